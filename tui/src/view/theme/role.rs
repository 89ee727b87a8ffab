//! What can have a look of its own.

/// What something is; a theme gives it a style. In theme files by [`Role::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Role {
    /// What nothing else is said about.
    Text,
    /// What is less important.
    Dim,
    /// Names and titles.
    Strong,
    /// Keys in hints.
    Key,
    /// The lines between panes.
    Border,
    /// Titles of what has no focus.
    Bar,
    /// The title of what has the focus.
    FocusedBar,
    /// The title of a pane that gets all keys.
    AttachedBar,
    /// What must not be missed: typing goes to many terminals, nothing can be changed.
    Banner,
    /// The selected row of the list that has the focus.
    Selected,
    /// The selected row of another list.
    SelectedFar,
    /// Rows and panes that are marked for what comes next.
    Marked,
    /// What lies over the rest: help, palette, questions.
    Overlay,
    /// What a search found.
    Found,
    /// The match that is shown.
    CurrentMatch,
    /// It is well.
    Good,
    /// It wants attention.
    Warning,
    /// It went wrong.
    Error,
    /// Busy.
    Working,
    /// Waits for a person.
    Blocked,
    /// Finished, and nobody has looked yet.
    Done,
    /// Has nothing to do.
    Idle,
    /// Failed.
    Failed,
    /// Has no connection.
    Offline,
    /// Begins.
    Starting,
    /// Nothing is known of it.
    Unknown,
    /// What a program without a terminal wrote to standard error.
    Stderr,
    /// What opsctl itself says within a program's output.
    Info,
    /// When a line came.
    Time,
}

impl Role {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 29] = [
        Self::Text,
        Self::Dim,
        Self::Strong,
        Self::Key,
        Self::Border,
        Self::Bar,
        Self::FocusedBar,
        Self::AttachedBar,
        Self::Banner,
        Self::Selected,
        Self::SelectedFar,
        Self::Marked,
        Self::Overlay,
        Self::Found,
        Self::CurrentMatch,
        Self::Good,
        Self::Warning,
        Self::Error,
        Self::Working,
        Self::Blocked,
        Self::Done,
        Self::Idle,
        Self::Failed,
        Self::Offline,
        Self::Starting,
        Self::Unknown,
        Self::Stderr,
        Self::Info,
        Self::Time,
    ];

    /// What it is called in theme files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Dim => "dim",
            Self::Strong => "strong",
            Self::Key => "key",
            Self::Border => "border",
            Self::Bar => "bar",
            Self::FocusedBar => "focused-bar",
            Self::AttachedBar => "attached-bar",
            Self::Banner => "banner",
            Self::Selected => "selected",
            Self::SelectedFar => "selected-far",
            Self::Marked => "marked",
            Self::Overlay => "overlay",
            Self::Found => "found",
            Self::CurrentMatch => "current-match",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Working => "working",
            Self::Blocked => "blocked",
            Self::Done => "done",
            Self::Idle => "idle",
            Self::Failed => "failed",
            Self::Offline => "offline",
            Self::Starting => "starting",
            Self::Unknown => "unknown",
            Self::Stderr => "stderr",
            Self::Info => "info",
            Self::Time => "time",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_name_every_role() {
        let docs = include_str!("../../../../docs/themes.md");
        for role in Role::ALL {
            assert!(docs.contains(&format!("`{}`", role.name())), "{role:?}");
        }
    }

    #[test]
    fn each_role_stands_at_its_number_and_is_found_by_its_name() {
        for (at, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role as usize, at);
            assert_eq!(Role::named(role.name()), Some(role));
        }
    }
}
