//! How the operator's own terminal is called when somebody should act now.

use serde::{Deserialize, Serialize};

/// Characters of a text that a notification of the desktop shows.
const TEXT_CHARS: usize = 200;

/// How the operator is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alert {
    /// By the bell.
    #[default]
    Bell,
    /// By a notification of the desktop (OSC 9), from terminals that have them.
    Osc9,
    /// By both.
    Both,
    /// Not at all.
    None,
}

impl Alert {
    /// What the terminal gets. The text can't end the sequence or begin another.
    pub fn bytes(self, text: &str) -> String {
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(TEXT_CHARS)
            .collect();
        let notice = format!("\x1b]9;{text}\x1b\\");
        match self {
            Self::Bell => "\x07".to_owned(),
            Self::Osc9 => notice,
            Self::Both => format!("{notice}\x07"),
            Self::None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_leave_its_sequence() {
        let bytes = Alert::Osc9.bytes("done\x1b\\\x1b]52;c;AAAA\x07");
        assert_eq!(bytes, "\x1b]9;done \\ ]52;c;AAAA \x1b\\");
    }
}
