//! Searching a pane's lines.

use std::ops::Range;

use opsctl_terminal::Screen;
use regex::{Regex, RegexBuilder};

use super::lines::{self, Place, Text};

/// Matches that are counted; a search for what stands everywhere needn't know how often.
pub const MOST: usize = 10_000;

/// What a search found: from the first cell to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// The first character.
    pub start: Place,
    /// The last one.
    pub end: Place,
}

impl Match {
    /// Whether a cell belongs to it.
    pub fn covers(&self, place: Place) -> bool {
        (self.start..=self.end).contains(&place)
    }
}

/// A search in a pane.
#[derive(Debug)]
pub struct Search {
    /// The expression as typed.
    pub text: String,
    regex: Regex,
    /// All matches, the oldest first; at most [`MOST`], the newest ones.
    found: Vec<Match>,
    /// The screen's generation that was searched.
    generation: Option<u64>,
    /// The match that is shown.
    current: Option<Match>,
}

impl Search {
    /// A search by a regular expression. Without capital letters, case doesn't matter.
    ///
    /// # Errors
    /// What is wrong with the expression, for people.
    pub fn new(text: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(text)
            .case_insensitive(!text.chars().any(char::is_uppercase))
            .build();
        let regex = regex.map_err(|error| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            format!(
                "not a regular expression: {}",
                reason.trim_start_matches("error: ")
            )
        })?;
        Ok(Self {
            text: text.to_owned(),
            regex,
            found: Vec::new(),
            generation: None,
            current: None,
        })
    }

    /// The matches in the text that starts in `line`, and the number of the line after it.
    fn in_text(&self, screen: &Screen, line: u64) -> (Vec<Match>, u64) {
        let (text, next) = Text::at(screen, line);
        let found = self
            .regex
            .find_iter(&text.text)
            .filter(|found| !found.is_empty());
        let found = found.filter_map(|found| {
            Some(Match {
                start: text.place(found.start())?,
                end: text.place(found.end() - 1)?,
            })
        });
        (found.collect(), next)
    }

    /// The matches that a view of `rows` lines from `line` on shows.
    pub fn shown(&self, screen: &Screen, line: u64, rows: u16) -> Vec<Match> {
        let end = line + u64::from(rows);
        let mut at = lines::start_of_text(screen, line);
        let mut shown = Vec::new();
        while at < end {
            let (found, next) = self.in_text(screen, at);
            shown.extend(found);
            at = next;
        }
        shown
    }

    fn refresh(&mut self, screen: &Screen) {
        if self.generation == Some(screen.generation()) {
            return;
        }
        self.generation = Some(screen.generation());
        self.found.clear();
        let all = lines::all(screen);
        let mut at = *all.start();
        while at <= *all.end() {
            let (found, next) = self.in_text(screen, at);
            self.found.extend(found);
            at = next;
        }
        let surplus = self.found.len().saturating_sub(MOST);
        self.found.drain(..surplus);
    }

    /// Goes to the next match from `from` on, towards older lines or newer ones; around the end if
    /// there is none.
    pub fn go(&mut self, screen: &Screen, from: Place, older: bool) -> Option<Match> {
        self.refresh(screen);
        let found = if older {
            let before = self.found.partition_point(|found| found.start < from);
            before.checked_sub(1).or(self.found.len().checked_sub(1))
        } else {
            let after = self.found.partition_point(|found| found.start <= from);
            Some(if after < self.found.len() { after } else { 0 })
        };
        self.current = found.and_then(|at| self.found.get(at)).copied();
        self.current
    }

    /// Is at no match any more, where the one that was gone to begins in none of these lines.
    pub fn leave(&mut self, shown: &Range<u64>) {
        self.current
            .take_if(|found| !shown.contains(&found.start.line));
    }

    /// The match that is shown.
    pub fn current(&self) -> Option<Match> {
        self.current
    }

    /// Whether there are matches at all.
    pub fn found_any(&self) -> bool {
        !self.found.is_empty()
    }

    /// Which match is shown, and of how many: `3/17`.
    pub fn count(&self) -> String {
        let all = match self.found.len() {
            MOST => format!("{MOST}+"),
            count => count.to_string(),
        };
        let at = self
            .found
            .iter()
            .position(|found| Some(*found) == self.current);
        at.map_or(all.clone(), |at| format!("{}/{all}", at + 1))
    }
}
