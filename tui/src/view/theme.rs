//! How things look. Whatever the console draws has a [`Role`], and a theme gives each role its style; what
//! programs in panes draw keeps its own colours. Both go through [`Depth`], so that no terminal gets a
//! colour that it lacks.
//!
//! No state is told by colour alone: there is a glyph and a word wherever there is a colour.
//!
//! - [`role`]: what can have a look.
//! - [`palette`]: the built-in themes.
//! - [`own`]: a person's own, from a file.
//! - [`depth`]: colours as the terminal has them.
//! - [`glyph`]: signs, and their ASCII forms.
//! - [`wishes`]: what the settings and the environment ask for.

pub mod depth;
pub mod glyph;
pub mod own;
pub mod palette;
pub mod role;
pub mod wishes;

use opsctl_protocol::message::{CommandSummary, State as CommandState};
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Style};

use crate::state::doing::Doing;
use crate::state::link::Grade;
pub use depth::Depth;
pub use glyph::Glyph;
pub use own::Problem;
pub use palette::BUILT_IN;
pub use role::Role;
pub use wishes::{Ascii, Colors, Wishes};

/// How things look.
#[derive(Debug, Clone)]
pub struct Theme {
    /// By [`Role`], in the terminal's colours.
    styles: [Style; Role::ALL.len()],
    depth: Depth,
    ascii: bool,
}

impl Theme {
    /// A theme that gives each role a style, on a terminal with these colours. Without colours the roles'
    /// other marks (bold, reverse, underline) are those of the theme `none`, whatever the theme.
    pub fn new(style: impl Fn(Role) -> Style, depth: Depth, ascii: bool) -> Self {
        let fitted = |role| match depth {
            Depth::None => palette::without_colours(role),
            _ => depth.style(style(role)),
        };
        Self {
            styles: Role::ALL.map(fitted),
            depth,
            ascii,
        }
    }

    /// One without colours.
    pub fn plain() -> Self {
        Self::new(palette::without_colours, Depth::None, false)
    }

    /// A role's style.
    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }

    /// A sign.
    pub fn glyph(&self, glyph: Glyph) -> &'static str {
        if self.ascii {
            glyph.ascii()
        } else {
            glyph.unicode()
        }
    }

    /// The colours of the terminal.
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// The foreground and background that a program chose, as this terminal has them.
    pub fn program(&self, fg: Color, bg: Color) -> (Color, Color) {
        self.depth.pair(fg, bg)
    }

    /// Whether [`Theme::finish`] does anything.
    pub fn changes_frames(&self) -> bool {
        self.ascii
    }

    /// What must be done to a frame when everything is drawn: only ASCII where nothing else is wanted.
    pub fn finish(&self, buffer: &mut Buffer) {
        if self.ascii {
            buffer.content.iter_mut().for_each(glyph::to_ascii);
        }
    }

    /// What is less important.
    pub fn dim(&self) -> Style {
        self.style(Role::Dim)
    }

    /// Names and titles.
    pub fn strong(&self) -> Style {
        self.style(Role::Strong)
    }

    /// Keys in hints.
    pub fn key(&self) -> Style {
        self.style(Role::Key)
    }

    /// The bar at the top and unfocused titles.
    pub fn bar(&self) -> Style {
        self.style(Role::Bar)
    }

    /// The title of what has the focus.
    pub fn focused_bar(&self) -> Style {
        self.style(Role::FocusedBar)
    }

    /// The title of a pane that gets all keys.
    pub fn attached_bar(&self) -> Style {
        self.style(Role::AttachedBar)
    }

    /// The selected row; the list that has the focus shows it more strongly.
    pub fn selected(&self, focused: bool) -> Style {
        self.style(if focused {
            Role::Selected
        } else {
            Role::SelectedFar
        })
    }

    /// What a search found.
    pub fn found(&self) -> Style {
        self.style(Role::Found)
    }

    /// The match that is shown.
    pub fn current_match(&self) -> Style {
        self.style(Role::CurrentMatch)
    }

    /// Something went wrong.
    pub fn error(&self) -> Style {
        self.style(Role::Error)
    }

    /// How grave a connection's state is.
    pub fn grade(&self, grade: Grade) -> Style {
        self.style(match grade {
            Grade::Good => Role::Good,
            Grade::Warning => Role::Warning,
            Grade::Bad => Role::Error,
        })
    }

    /// The sign of what an agent does.
    pub fn sign(&self, doing: Doing) -> &'static str {
        self.glyph(match doing {
            Doing::Working => Glyph::Working,
            Doing::Blocked => Glyph::Blocked,
            Doing::Done => Glyph::Done,
            Doing::Idle => Glyph::Idle,
            Doing::Error => Glyph::Error,
            Doing::Disconnected => Glyph::Offline,
            Doing::Starting => Glyph::Starting,
            Doing::Unknown => Glyph::Unknown,
        })
    }

    /// What an agent does.
    pub fn doing(&self, doing: Doing) -> Style {
        self.style(match doing {
            Doing::Working => Role::Working,
            Doing::Blocked => Role::Blocked,
            Doing::Done => Role::Done,
            Doing::Idle => Role::Idle,
            Doing::Error => Role::Failed,
            Doing::Disconnected => Role::Offline,
            Doing::Starting => Role::Starting,
            Doing::Unknown => Role::Unknown,
        })
    }

    /// A command's state: its glyph and word, and their look.
    pub fn command(&self, command: &CommandSummary) -> (String, Style) {
        let (glyph, word, role) = command_state(command);
        (format!("{} {word}", self.glyph(glyph)), self.style(role))
    }
}

/// A command's state for people.
fn command_state(command: &CommandSummary) -> (Glyph, String, Role) {
    let said = |glyph, word: &str, role| (glyph, word.to_owned(), role);
    match command.state {
        CommandState::Queued => said(Glyph::Starting, "queued", Role::Starting),
        CommandState::Delivered => said(Glyph::Starting, "starting", Role::Starting),
        CommandState::Running => said(Glyph::Working, "running", Role::Working),
        CommandState::Exited if command.timed_out => said(Glyph::Error, "timed out", Role::Failed),
        CommandState::Exited => match (command.exit_code, command.signal) {
            (Some(0), _) => said(Glyph::Done, "exit 0", Role::Done),
            (Some(code), _) => (Glyph::Error, format!("exit {code}"), Role::Failed),
            (None, Some(signal)) => (Glyph::Error, format!("signal {signal}"), Role::Failed),
            (None, None) => said(Glyph::Done, "ended", Role::Idle),
        },
        CommandState::Failed => said(Glyph::Error, "failed", Role::Failed),
        CommandState::Cancelled => said(Glyph::Cancelled, "cancelled", Role::Dim),
        CommandState::Expired => said(Glyph::Cancelled, "expired", Role::Dim),
        CommandState::Lost => said(Glyph::Unknown, "lost", Role::Failed),
    }
}
