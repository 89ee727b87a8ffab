//! What can have the keyboard, and where a key holds.

/// What has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The list of agents.
    Agents,
    /// The list of an agent's commands.
    Commands,
    /// What needs a person.
    Inbox,
    /// The commands of the whole fleet.
    AllCommands,
    /// What happened.
    Activity,
    /// The connections.
    Connections,
    /// The palette.
    Palette,
    /// A terminal pane that is watched.
    Pane,
    /// A terminal pane in which text is selected.
    Copying,
    /// A terminal pane that gets all keys.
    Attached,
    /// The help.
    Help,
    /// A line being typed.
    Prompt,
    /// A question.
    Confirm,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 13] = [
        Self::Agents,
        Self::Commands,
        Self::Inbox,
        Self::AllCommands,
        Self::Activity,
        Self::Connections,
        Self::Pane,
        Self::Copying,
        Self::Attached,
        Self::Palette,
        Self::Help,
        Self::Prompt,
        Self::Confirm,
    ];

    /// Where it is, for sentences.
    pub fn place(self) -> &'static str {
        match self {
            Self::Agents => "in the list of agents",
            Self::Commands => "in the list of an agent's commands",
            Self::Inbox => "in the view Inbox",
            Self::AllCommands => "in the view Commands",
            Self::Activity => "in the view Activity",
            Self::Connections => "in the view Connections",
            Self::Palette => "in the palette",
            Self::Pane => "in a pane",
            Self::Copying => "in copy mode",
            Self::Attached => "while attached",
            Self::Help => "in the help",
            Self::Prompt => "in a line",
            Self::Confirm => "at a question",
        }
    }

    /// Its heading in the help.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Agents => "Agents",
            Self::Commands => "An agent's commands",
            Self::Inbox => "The view Inbox",
            Self::AllCommands => "The view Commands",
            Self::Activity => "The view Activity",
            Self::Connections => "The view Connections",
            Self::Palette => "Palette",
            Self::Pane => "Panes",
            Self::Copying => "Copy mode",
            Self::Attached => "Attached",
            Self::Help => "Help",
            Self::Prompt => "Lines",
            Self::Confirm => "Questions",
        }
    }
}

/// Some of the modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes(u16);

impl Modes {
    /// These.
    pub const fn of(modes: &[Mode]) -> Self {
        Self(0).and(modes)
    }

    /// These as well.
    #[must_use]
    pub const fn and(self, modes: &[Mode]) -> Self {
        let (mut bits, mut at) = (self.0, 0);
        while at < modes.len() {
            bits |= 1 << modes[at] as u16;
            at += 1;
        }
        Self(bits)
    }

    /// Whether this is one of them.
    pub const fn contains(self, mode: Mode) -> bool {
        self.0 & (1 << mode as u16) != 0
    }

    /// Each of them, in the order of [`Mode::ALL`].
    pub fn each(self) -> impl Iterator<Item = Mode> {
        Mode::ALL
            .into_iter()
            .filter(move |mode| self.contains(*mode))
    }
}
