//! The one key table: what each key does in each mode, for dispatch, help and documentation.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The list of agents.
    Agents,
    /// The list of an agent's commands.
    Commands,
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

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the table says what each does")]
pub enum Action {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Left,
    Right,
    Open,
    OpenBeside,
    Back,
    NextPane,
    PreviousPane,
    Zoom,
    Grid,
    ClosePane,
    Run,
    Interrupt,
    Kill,
    Attach,
    Detach,
    CommandLine,
    Filter,
    Search,
    NextMatch,
    PreviousMatch,
    PreviousPrompt,
    NextPrompt,
    CopyMode,
    SelectChar,
    SelectLine,
    SelectBlock,
    WordForward,
    WordBack,
    Yank,
    Edit,
    Clear,
    Mouse,
    Reconnect,
    Help,
    Suspend,
    Redraw,
    Quit,
    Accept,
    Yes,
    Complete,
    EraseLine,
    EraseWord,
    LineStart,
    LineEnd,
}

/// A key with its modifiers. Shift is part of the character.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub KeyCode, pub KeyModifiers);

const fn plain(c: char) -> Key {
    Key(KeyCode::Char(c), KeyModifiers::NONE)
}

const fn ctrl(c: char) -> Key {
    Key(KeyCode::Char(c), KeyModifiers::CONTROL)
}

const fn special(code: KeyCode) -> Key {
    Key(code, KeyModifiers::NONE)
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        let shift = match event.code {
            KeyCode::Char(_) | KeyCode::BackTab => KeyModifiers::SHIFT,
            _ => KeyModifiers::NONE,
        };
        Self(event.code, event.modifiers - shift)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1.contains(KeyModifiers::CONTROL) {
            f.write_str("Ctrl-")?;
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

/// One row of the table.
#[derive(Debug)]
pub struct Binding {
    /// Where it holds.
    pub modes: &'static [Mode],
    /// The keys, the one to show first.
    pub keys: &'static [Key],
    /// What they do.
    pub action: Action,
    /// The same for people.
    pub help: &'static str,
}

impl Binding {
    /// The keys as people read them.
    pub fn keys_text(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        keys.join(" ")
    }
}

use Mode::{Agents, Attached, Commands, Confirm, Copying, Help, Pane, Prompt};

const LISTS: &[Mode] = &[Agents, Commands];
const PANES: &[Mode] = &[Pane, Copying];
const MAIN: &[Mode] = &[Agents, Commands, Pane];

macro_rules! table {
    ($($modes:expr, [$($key:expr),+], $action:ident, $help:expr;)+) => {
        &[$(Binding { modes: $modes, keys: &[$($key),+], action: Action::$action, help: $help }),+]
    };
}

/// All keys.
pub const TABLE: &[Binding] = table! {
    &[Agents, Commands, Pane, Copying, Help], [special(KeyCode::Up), plain('k')], Up, "up, or scroll up by a line";
    &[Agents, Commands, Pane, Copying, Help], [special(KeyCode::Down), plain('j')], Down, "down, or scroll down by a line";
    &[Agents, Commands, Pane, Copying, Help], [special(KeyCode::PageUp), ctrl('b')], PageUp, "a page up";
    &[Agents, Commands, Pane, Copying, Help], [special(KeyCode::PageDown), ctrl('f')], PageDown, "a page down";
    MAIN, [special(KeyCode::Home), plain('0')], First, "the first, or the oldest line";
    MAIN, [special(KeyCode::End), plain('G')], Last, "the last; in a pane, follow the output again";
    &[Pane], [special(KeyCode::Left), plain('h')], Left, "look further left in a wide terminal";
    &[Pane], [special(KeyCode::Right), plain('l')], Right, "look further right in a wide terminal";
    &[Agents], [special(KeyCode::Enter), plain('o')], Open, "the agent's commands";
    &[Commands], [special(KeyCode::Enter), plain('o')], Open, "show the command in the pane";
    &[Commands], [plain('+'), plain(' ')], OpenBeside, "show the command in a further pane";
    &[Commands], [special(KeyCode::Esc), special(KeyCode::Left)], Back, "back to the agents";
    &[Pane], [special(KeyCode::Esc)], Back, "back to the list";
    PANES, [plain('/')], Search, "search for a regular expression, upwards";
    PANES, [plain('n')], NextMatch, "the next match, further up";
    PANES, [plain('N')], PreviousMatch, "the match before, further down";
    PANES, [plain('{')], PreviousPrompt, "the prompt before (of shells that mark it)";
    PANES, [plain('}')], NextPrompt, "the next prompt";
    &[Pane], [plain('v')], CopyMode, "copy mode: select text by keys";
    &[Pane], [plain('e')], Edit, "open all lines in $EDITOR";
    &[Pane], [plain('c')], Clear, "forget the lines above the screen";
    &[Copying], [special(KeyCode::Left), plain('h')], Left, "left";
    &[Copying], [special(KeyCode::Right), plain('l')], Right, "right";
    &[Copying], [plain('w')], WordForward, "to the next word";
    &[Copying], [plain('b')], WordBack, "to the word before";
    &[Copying], [special(KeyCode::Home), plain('0')], LineStart, "to the start of the line";
    &[Copying], [special(KeyCode::End), plain('$')], LineEnd, "to the end of the line";
    &[Copying], [plain('g')], First, "to the oldest line";
    &[Copying], [plain('G')], Last, "to the newest line";
    &[Copying], [plain('v'), plain(' ')], SelectChar, "select characters, or nothing again";
    &[Copying], [plain('V')], SelectLine, "select lines";
    &[Copying], [ctrl('v')], SelectBlock, "select a block";
    &[Copying], [plain('y'), special(KeyCode::Enter)], Yank, "copy what is selected, else the link or the line";
    &[Copying], [special(KeyCode::Esc), plain('q'), ctrl('c')], Back, "leave copy mode";
    MAIN, [special(KeyCode::Tab)], NextPane, "the next pane, or the list";
    MAIN, [special(KeyCode::BackTab)], PreviousPane, "the previous pane, or the list";
    MAIN, [plain('z')], Zoom, "one pane on the whole screen, and back";
    MAIN, [plain('g')], Grid, "all panes at once, or one";
    MAIN, [plain('w')], ClosePane, "close the pane";
    MAIN, [plain('r')], Run, "run a command on the agent";
    MAIN, [plain('x'), ctrl('c')], Interrupt, "interrupt the command";
    MAIN, [plain('K')], Kill, "kill the command";
    MAIN, [plain('a')], Attach, "attach: every key goes to the terminal";
    &[Attached], [ctrl(']'), ctrl('5')], Detach, "leave the terminal";
    MAIN, [plain(':')], CommandLine, "command line";
    LISTS, [plain('/')], Filter, "filter the list";
    MAIN, [plain('R')], Reconnect, "connect again now";
    MAIN, [plain('?'), special(KeyCode::F(1))], Help, "this help";
    &[Help], [special(KeyCode::Esc), plain('q'), plain('?')], Back, "close the help";
    MAIN, [plain('m')], Mouse, "the mouse to the terminal, or back to opsctl";
    MAIN, [ctrl('l')], Redraw, "draw everything anew";
    MAIN, [ctrl('z')], Suspend, "suspend the console";
    MAIN, [plain('q')], Quit, "quit; commands go on";
    &[Prompt], [special(KeyCode::Enter)], Accept, "do it";
    &[Prompt], [special(KeyCode::Esc), ctrl('c')], Back, "leave the line";
    &[Prompt], [special(KeyCode::Up), ctrl('p')], Up, "the line before";
    &[Prompt], [special(KeyCode::Down), ctrl('n')], Down, "the line after";
    &[Prompt], [special(KeyCode::Tab)], Complete, "complete the word";
    &[Prompt], [special(KeyCode::Home), ctrl('a')], LineStart, "to the start";
    &[Prompt], [special(KeyCode::End), ctrl('e')], LineEnd, "to the end";
    &[Prompt], [ctrl('u')], EraseLine, "erase up to the start";
    &[Prompt], [ctrl('w')], EraseWord, "erase a word";
    &[Confirm], [plain('y'), plain('Y')], Yes, "yes";
    &[Confirm], [special(KeyCode::Esc), special(KeyCode::Enter), plain('n'), plain('q'), ctrl('c')], Back, "no";
};

/// What `key` does in `mode`.
pub fn action(mode: Mode, key: Key) -> Option<Action> {
    TABLE
        .iter()
        .find(|binding| binding.modes.contains(&mode) && binding.keys.contains(&key))
        .map(|binding| binding.action)
}

/// The key to show for `action` in `mode`.
pub fn shown(mode: Mode, action: Action) -> Option<Key> {
    let binding = TABLE
        .iter()
        .find(|binding| binding.modes.contains(&mode) && binding.action == action)?;
    binding.keys.first().copied()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_has_two_meanings_in_a_mode() {
        let mut seen = HashSet::new();
        for binding in TABLE {
            for mode in binding.modes {
                for key in binding.keys {
                    assert!(seen.insert((*mode, *key)), "{key} twice in {mode:?}");
                }
            }
        }
    }

    #[test]
    fn attached_leaves_only_one_chord() {
        let chords = TABLE
            .iter()
            .filter(|binding| binding.modes.contains(&Attached));
        assert_eq!(chords.count(), 1);
    }

    #[test]
    fn shifted_letters_are_found() {
        let event = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(action(Pane, event.into()), Some(Action::Last));
    }
}
