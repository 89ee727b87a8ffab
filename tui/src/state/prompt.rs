//! A line that the person types: the command line, a filter, a command to run.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use opsctl_protocol::AgentId;

use super::saying::Listener;
use crate::keys::Action;

/// Lines that are remembered for each kind of prompt.
const HISTORY_LIMIT: usize = 100;

/// What the line is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// `:`
    Command,
    /// `/` in a list.
    Filter,
    /// `/` in a view with a filter of its own.
    Narrow,
    /// `/` in the help.
    Help,
    /// What the palette looks for.
    Palette,
    /// `/` in a pane.
    Search,
    /// A command to run on these agents.
    Run(Vec<AgentId>),
    /// A message for the programs in these terminals. It may have several lines.
    Say {
        /// To whom.
        to: Vec<Listener>,
        /// Whether it waits until they are idle.
        when_idle: bool,
    },
}

/// A line being typed.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// What it is for.
    pub purpose: Purpose,
    /// The text so far.
    pub text: String,
    /// Where the cursor is, in bytes; always between characters.
    pub cursor: usize,
    /// Which line of the history is shown, counted from the newest.
    recalled: Option<usize>,
}

impl Prompt {
    /// A prompt with a text to start from.
    pub fn new(purpose: Purpose, text: &str) -> Self {
        Self {
            purpose,
            text: text.to_owned(),
            cursor: text.len(),
            recalled: None,
        }
    }

    /// What stands before the text.
    pub fn label(&self) -> String {
        match &self.purpose {
            Purpose::Command => ":".to_owned(),
            Purpose::Filter | Purpose::Narrow | Purpose::Help | Purpose::Search => "/".to_owned(),
            Purpose::Palette => " > ".to_owned(),
            Purpose::Run(agents) => match agents.as_slice() {
                [agent] => format!("run on {agent}: "),
                several => format!("run on {} agents: ", several.len()),
            },
            Purpose::Say { to, when_idle } => {
                let when = if *when_idle { "when idle, " } else { "" };
                match to.as_slice() {
                    [one] => format!("{when}say to {}: ", one.agent),
                    several => format!("{when}say to {} agents: ", several.len()),
                }
            }
        }
    }

    /// Adds text where the cursor is. What isn't text is left out; the ends of lines too, where the line is not a message.
    pub fn insert(&mut self, text: &str) {
        let lines = matches!(self.purpose, Purpose::Say { .. });
        // Terminals paste the end of a line as the key Enter sends it.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let kept = text.chars().filter_map(|c| match c {
            '\n' | '\t' if lines => Some(c),
            '\n' | '\t' => Some(' '),
            c => (!c.is_control()).then_some(c),
        });
        let kept: String = kept.collect();
        self.text.insert_str(self.cursor, &kept);
        self.cursor += kept.len();
    }

    /// Erases the character before the cursor. False when the line is empty already.
    pub fn backspace(&mut self) -> bool {
        match self.text[..self.cursor].char_indices().next_back() {
            Some((at, _)) => {
                self.text.remove(at);
                self.cursor = at;
                true
            }
            None => !self.text.is_empty(),
        }
    }

    /// Erases the character at the cursor.
    pub fn delete(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
    }

    /// Moves the cursor by a character.
    pub fn step(&mut self, right: bool) {
        if right {
            let next = self.text[self.cursor..]
                .chars()
                .next()
                .map_or(0, char::len_utf8);
            self.cursor += next;
        } else {
            let before = self.text[..self.cursor]
                .chars()
                .next_back()
                .map_or(0, char::len_utf8);
            self.cursor -= before;
        }
    }

    /// Takes a key that the table has no action for.
    pub fn typed(&mut self, event: KeyEvent) {
        let chord = KeyModifiers::CONTROL | KeyModifiers::ALT;
        match event.code {
            KeyCode::Char(c) if !event.modifiers.intersects(chord) => {
                self.insert(c.encode_utf8(&mut [0; 4]));
            }
            KeyCode::Backspace => {
                self.backspace();
            }
            KeyCode::Delete => self.delete(),
            KeyCode::Left => self.step(false),
            KeyCode::Right => self.step(true),
            _ => {}
        }
    }

    /// Edits by an action of the key table; others do nothing.
    pub fn edit(&mut self, action: Action) {
        match action {
            Action::LineStart => self.cursor = 0,
            Action::LineEnd => self.cursor = self.text.len(),
            Action::EraseLine => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            Action::EraseWord => {
                let before = self.text[..self.cursor].trim_end();
                let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
                self.text.drain(start..self.cursor);
                self.cursor = start;
            }
            _ => {}
        }
    }

    /// Shows an older or newer line of the history (newest last).
    pub fn recall(&mut self, history: &[String], older: bool) {
        let at = match (self.recalled, older) {
            (None, true) => Some(0),
            (Some(at), true) => Some((at + 1).min(history.len().saturating_sub(1))),
            (Some(0) | None, false) => None,
            (Some(at), false) => Some(at - 1),
        };
        let line = at.and_then(|at| history.iter().rev().nth(at));
        self.recalled = at.filter(|_| line.is_some());
        self.text = line.cloned().unwrap_or_default();
        self.cursor = self.text.len();
    }

    /// Completes the word at the cursor to what all fitting candidates share.
    pub fn complete<'a>(&mut self, candidates: impl Iterator<Item = &'a str>) {
        let start = self.text[..self.cursor]
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + 1);
        let word = &self.text[start..self.cursor];
        let fitting: Vec<&str> = candidates.filter(|name| name.starts_with(word)).collect();
        let Some(first) = fitting.first() else { return };
        let shared = fitting.iter().fold(first.len(), |shared, name| {
            let same = first
                .char_indices()
                .zip(name.chars())
                .find(|((_, a), b)| a != b);
            shared.min(same.map_or(name.len().min(first.len()), |((at, _), _)| at))
        });
        let mut rest = first[word.len()..shared.max(word.len())].to_owned();
        if fitting.len() == 1 {
            rest.push(' ');
        }
        self.insert(&rest);
    }
}

/// Remembers a line as the newest.
pub fn remember(history: &mut Vec<String>, line: &str) {
    history.retain(|known| known != line);
    history.push(line.to_owned());
    if history.len() > HISTORY_LIMIT {
        history.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_edited_by_characters() {
        let mut prompt = Prompt::new(Purpose::Command, "aé界");
        prompt.step(false);
        prompt.backspace();
        assert_eq!((prompt.text.as_str(), prompt.cursor), ("a界", 1));
        prompt.insert("x\ny\x1b");
        assert_eq!(prompt.text, "ax y界");
        prompt.delete();
        assert_eq!(prompt.text, "ax y");
        prompt.edit(Action::EraseWord);
        assert_eq!(prompt.text, "ax ");
    }

    #[test]
    fn words_are_completed_as_far_as_they_agree() {
        let names = ["web-1", "web-2", "worker"];
        let mut prompt = Prompt::new(Purpose::Command, "send we");
        prompt.complete(names.into_iter());
        assert_eq!(prompt.text, "send web-");
        let mut prompt = Prompt::new(Purpose::Command, "send wo");
        prompt.complete(names.into_iter());
        assert_eq!(prompt.text, "send worker ");
    }

    #[test]
    fn history_goes_back_and_forth() {
        let history = ["first".to_owned(), "second".to_owned()];
        let mut prompt = Prompt::new(Purpose::Filter, "");
        for (older, expected) in [
            (true, "second"),
            (true, "first"),
            (true, "first"),
            (false, "second"),
            (false, ""),
        ] {
            prompt.recall(&history, older);
            assert_eq!(prompt.text, expected);
        }
    }
}
