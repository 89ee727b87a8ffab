//! A key with its modifiers: as the terminal reports it, as people read it, as a configuration names it.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with its modifiers. Shift is part of a character.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub KeyCode, pub KeyModifiers);

/// A text that names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no key: write a character, or a name such as enter, space, tab, esc, up, pgdn, f5, with ctrl-, alt- or shift- before it"
)]
pub struct NoKey(String);

/// Keys with names; the first name of each is the one that is written.
const NAMES: &[(&str, KeyCode)] = &[
    ("space", KeyCode::Char(' ')),
    ("enter", KeyCode::Enter),
    ("return", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("escape", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("del", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pageup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
    ("pagedown", KeyCode::PageDown),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
];

impl Key {
    /// A key in the one form that it is compared in: shift is in the character, and Ctrl has small letters.
    fn normal(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let with = |modifier| modifiers.contains(modifier);
        let (shift, ctrl) = (with(KeyModifiers::SHIFT), with(KeyModifiers::CONTROL));
        match code {
            // The same keys, as terminals with kitty's protocol tell them.
            KeyCode::Char('[') if modifiers == KeyModifiers::CONTROL => {
                Self(KeyCode::Esc, KeyModifiers::NONE)
            }
            KeyCode::Char('m') if modifiers == KeyModifiers::CONTROL => {
                Self(KeyCode::Enter, KeyModifiers::NONE)
            }
            KeyCode::Char('i') if modifiers == KeyModifiers::CONTROL => {
                Self(KeyCode::Tab, KeyModifiers::NONE)
            }
            KeyCode::Char(c) if ctrl => Self(
                KeyCode::Char(c.to_ascii_lowercase()),
                modifiers - KeyModifiers::SHIFT,
            ),
            KeyCode::Char(c) if shift => Self(
                KeyCode::Char(c.to_ascii_uppercase()),
                modifiers - KeyModifiers::SHIFT,
            ),
            KeyCode::Tab if shift => Self(KeyCode::BackTab, modifiers - KeyModifiers::SHIFT),
            KeyCode::BackTab => Self(code, modifiers - KeyModifiers::SHIFT),
            _ => Self(code, modifiers),
        }
    }
}

impl Key {
    /// The key as a configuration writes it: `ctrl-k`, `pgup`, `G`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for (modifier, word) in [
            (KeyModifiers::CONTROL, "ctrl-"),
            (KeyModifiers::ALT, "alt-"),
            (KeyModifiers::SHIFT, "shift-"),
        ] {
            if self.1.contains(modifier) {
                name.push_str(word);
            }
        }
        let known = NAMES.iter().find(|(_, code)| *code == self.0);
        let key = match (known, self.0) {
            (Some((word, _)), _) => (*word).to_owned(),
            (None, KeyCode::BackTab) => "shift-tab".to_owned(),
            (None, KeyCode::F(number)) => format!("f{number}"),
            (None, KeyCode::Char(c)) => c.to_string(),
            (None, other) => format!("{other:?}"),
        };
        name + &key
    }
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        let known = KeyModifiers::SHIFT | KeyModifiers::CONTROL | KeyModifiers::ALT;
        Self::normal(event.code, event.modifiers & known)
    }
}

impl FromStr for Key {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        while let Some((word, after)) = rest.split_once('-').filter(|(_, after)| !after.is_empty())
        {
            modifiers |= match word.to_ascii_lowercase().as_str() {
                "ctrl" | "control" | "c" => KeyModifiers::CONTROL,
                "alt" | "meta" | "m" => KeyModifiers::ALT,
                "shift" | "s" => KeyModifiers::SHIFT,
                _ => return Err(NoKey(text.to_owned())),
            };
            rest = after;
        }
        let code = code(rest).ok_or_else(|| NoKey(text.to_owned()))?;
        Ok(Self::normal(code, modifiers))
    }
}

fn code(name: &str) -> Option<KeyCode> {
    let mut chars = name.chars();
    if let (Some(c), None) = (chars.next(), chars.next()) {
        return (!c.is_control()).then_some(KeyCode::Char(c));
    }
    let name = name.to_ascii_lowercase();
    if let Some((_, code)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*code);
    }
    let number = name.strip_prefix('f')?.parse().ok()?;
    (1..=24).contains(&number).then_some(KeyCode::F(number))
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (modifier, name) in [
            (KeyModifiers::CONTROL, "Ctrl-"),
            (KeyModifiers::ALT, "Alt-"),
            (KeyModifiers::SHIFT, "Shift-"),
        ] {
            if self.1.contains(modifier) {
                f.write_str(name)?;
            }
        }
        match self.0 {
            KeyCode::Char(' ') => f.write_str("Space"),
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::BackTab => f.write_str("Shift-Tab"),
            KeyCode::Up => f.write_str("↑"),
            KeyCode::Down => f.write_str("↓"),
            KeyCode::Left => f.write_str("←"),
            KeyCode::Right => f.write_str("→"),
            KeyCode::PageUp => f.write_str("PgUp"),
            KeyCode::PageDown => f.write_str("PgDn"),
            KeyCode::F(number) => write!(f, "F{number}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_people_write_them() {
        for (text, shown) in [
            ("ctrl-k", "Ctrl-k"),
            ("Ctrl-K", "Ctrl-k"),
            ("alt-x", "Alt-x"),
            ("f5", "F5"),
            ("F12", "F12"),
            ("space", "Space"),
            (" ", "Space"),
            ("shift-tab", "Shift-Tab"),
            ("shift-a", "A"),
            ("G", "G"),
            ("-", "-"),
            ("ctrl--", "Ctrl--"),
            ("ctrl-alt-left", "Ctrl-Alt-←"),
            ("shift-up", "Shift-↑"),
            ("PageDown", "PgDn"),
        ] {
            assert_eq!(
                text.parse::<Key>().map(|key| key.to_string()).as_deref(),
                Ok(shown),
                "{text}"
            );
        }
        for text in ["", "hyper-x", "f0", "f25", "ctrl-", "word", "\u{7}"] {
            assert!(text.parse::<Key>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_key_is_the_same_however_a_terminal_reports_it() {
        let typed = |c, modifiers| Key::from(KeyEvent::new(KeyCode::Char(c), modifiers));
        let shift = KeyModifiers::SHIFT;
        assert_eq!(typed('G', shift), typed('G', KeyModifiers::NONE));
        assert_eq!(typed('g', shift), typed('G', KeyModifiers::NONE));
        assert_eq!(
            typed('K', KeyModifiers::CONTROL | shift),
            "ctrl-k".parse().unwrap()
        );
        let back = KeyEvent::new(KeyCode::Tab, shift);
        assert_eq!(Key::from(back), "shift-tab".parse().unwrap());
    }
}
