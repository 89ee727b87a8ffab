//! Colours and signs. Sixteen colours, so that they are the person's own; none with `NO_COLOR`
//! (<https://no-color.org>), where bold, dim and reverse remain.

use opsctl_protocol::message::{CommandSummary, State as CommandState};
use ratatui::style::{Color, Modifier, Style};

use crate::state::fleet::Doing;
use crate::state::link::Grade;

/// How things look.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// Whether colours are used at all.
    pub colour: bool,
}

impl Theme {
    /// The theme that the environment asks for.
    pub fn from_env() -> Self {
        Self {
            colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    fn fg(self, color: Color) -> Style {
        if self.colour {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    /// What is less important.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Names and titles.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Keys in hints.
    pub fn key(self) -> Style {
        self.fg(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// The bar at the top and unfocused titles.
    pub fn bar(self) -> Style {
        if self.colour {
            Style::new().fg(Color::White).bg(Color::DarkGray)
        } else {
            Style::new().add_modifier(Modifier::UNDERLINED)
        }
    }

    /// The title of what has the focus.
    pub fn focused_bar(self) -> Style {
        if self.colour {
            Style::new().fg(Color::Black).bg(Color::Cyan)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    /// The title of a pane that gets all keys.
    pub fn attached_bar(self) -> Style {
        if self.colour {
            Style::new()
                .fg(Color::Black)
                .bg(Color::Yellow)
                .add_modifier(Modifier::BOLD)
        } else {
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
        }
    }

    /// The selected row; the list that has the focus shows it more strongly.
    pub fn selected(self, focused: bool) -> Style {
        let style = Style::new().add_modifier(Modifier::REVERSED);
        if focused {
            style
        } else {
            style.add_modifier(Modifier::DIM)
        }
    }

    /// What a search found.
    pub fn found(self) -> Style {
        if self.colour {
            Style::new().fg(Color::Black).bg(Color::Yellow)
        } else {
            Style::new().add_modifier(Modifier::UNDERLINED)
        }
    }

    /// The match that is shown.
    pub fn current_match(self) -> Style {
        if self.colour {
            Style::new().fg(Color::Black).bg(Color::LightRed)
        } else {
            Style::new().add_modifier(Modifier::UNDERLINED | Modifier::REVERSED)
        }
    }

    /// Something went wrong.
    pub fn error(self) -> Style {
        self.fg(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// How grave a connection's state is.
    pub fn grade(self, grade: Grade) -> Style {
        match grade {
            Grade::Good => self.fg(Color::Green),
            Grade::Warning => self.fg(Color::Yellow).add_modifier(Modifier::BOLD),
            Grade::Bad => self.error(),
        }
    }

    /// What an agent does.
    pub fn doing(self, doing: Doing) -> Style {
        match doing {
            Doing::Working | Doing::Running => self.fg(Color::Green),
            Doing::Blocked => self.fg(Color::Yellow).add_modifier(Modifier::BOLD),
            Doing::Done => self.fg(Color::Blue),
            Doing::Idle => Style::new(),
            Doing::Error => self.error(),
            Doing::Disconnected => self.fg(Color::Red),
        }
    }

    /// A command's state: its glyph and word, and their look.
    pub fn command(self, command: &CommandSummary) -> (String, Style) {
        let failed = self.fg(Color::Red);
        match command.state {
            CommandState::Queued => ("◌ queued".to_owned(), self.fg(Color::Yellow)),
            CommandState::Delivered => ("◌ starting".to_owned(), self.fg(Color::Yellow)),
            CommandState::Running => ("● running".to_owned(), self.fg(Color::Green)),
            CommandState::Exited if command.timed_out => ("✗ timed out".to_owned(), failed),
            CommandState::Exited => match (command.exit_code, command.signal) {
                (Some(0), _) => ("✓ exit 0".to_owned(), self.fg(Color::Blue)),
                (Some(code), _) => (format!("✗ exit {code}"), failed),
                (None, Some(signal)) => (format!("✗ signal {signal}"), failed),
                (None, None) => ("✓ ended".to_owned(), Style::new()),
            },
            CommandState::Failed => ("✗ failed".to_owned(), failed),
            CommandState::Cancelled => ("– cancelled".to_owned(), self.dim()),
            CommandState::Expired => ("– expired".to_owned(), self.dim()),
            CommandState::Lost => ("? lost".to_owned(), failed),
        }
    }
}
