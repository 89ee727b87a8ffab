//! The lines of a pane by their numbers, counted from the first that ever was: such a number stays the
//! same while output comes.

use std::ops::RangeInclusive;

use opsctl_terminal::{Row, Screen, Width};

/// Rows that are joined to one line of text at most, so that one line without an end stays cheap.
const JOINED: u64 = 200;

/// A cell in a pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line's number.
    pub line: u64,
    /// The column, from 0.
    pub col: u16,
}

/// The number of a screen's first line when nothing has scrolled yet. Older lines that are loaded later
/// come before it.
const FIRST: u64 = 1 << 40;

/// The number of the line at the top of the screen.
pub fn top(screen: &Screen) -> u64 {
    FIRST + screen.scrolled()
}

/// The numbers of all lines that can be looked at.
pub fn all(screen: &Screen) -> RangeInclusive<u64> {
    let top = top(screen);
    top - screen.history() as u64..=top + u64::from(screen.size().1) - 1
}

/// The lines with a prompt of a shell that marks them, the oldest first.
pub fn prompts(screen: &Screen) -> impl Iterator<Item = u64> {
    screen.prompts().map(|line| FIRST + line)
}

/// A line by its number.
pub fn row(screen: &Screen, line: u64) -> Option<Row<'_>> {
    let line = i128::from(line) - i128::from(top(screen));
    screen.row(i32::try_from(line).ok()?)
}

/// Text that the terminal has wrapped, as one, with the place of each of its characters.
#[derive(Debug, Default)]
pub struct Text {
    /// The characters, without blanks at the end.
    pub text: String,
    /// Where each character starts in `text`, and where it stands.
    places: Vec<(usize, Place)>,
}

impl Text {
    /// The text that starts in `line`, and the number of the line after it.
    pub fn at(screen: &Screen, line: u64) -> (Self, u64) {
        let mut text = Self::default();
        let mut next = line;
        while let Some(row) = row(screen, next) {
            text.add(&row, next);
            next += 1;
            if !row.is_wrapped() || next - line == JOINED {
                break;
            }
        }
        let end = text.text.trim_end_matches(' ').len();
        text.text.truncate(end);
        (text, next.max(line + 1))
    }

    fn add(&mut self, row: &Row<'_>, line: u64) {
        for (col, cell) in row.cells().enumerate() {
            if cell.width() != Width::Spacer {
                let place = Place {
                    line,
                    col: col as u16,
                };
                self.places.push((self.text.len(), place));
                self.text.push(cell.ch());
                self.text.extend(cell.marks());
            }
        }
    }

    /// Where the character with the byte `at` stands.
    pub fn place(&self, at: usize) -> Option<Place> {
        let after = self.places.partition_point(|(start, _)| *start <= at);
        self.places
            .get(after.checked_sub(1)?)
            .map(|(_, place)| *place)
    }
}

/// The first line of the text that `line` belongs to.
pub fn start_of_text(screen: &Screen, line: u64) -> u64 {
    let oldest = *all(screen).start();
    let before = (oldest..line).rev().take(JOINED as usize - 1);
    let wrapped =
        before.take_while(|before| row(screen, *before).is_some_and(|row| row.is_wrapped()));
    line - wrapped.count() as u64
}
