//! Copy mode: a cursor in a pane's lines, and what is selected.

use opsctl_terminal::{Cell, Screen, Width};

use super::lines::{self, Place};

/// Bytes that are copied at most: terminals refuse far longer OSC 52 strings, some silently.
pub const MOST_BYTES: usize = 1024 * 1024;

/// How a selection extends between its two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From character to character.
    Char,
    /// Whole words.
    Word,
    /// Whole lines.
    Line,
    /// A rectangle.
    Block,
}

/// Copy mode in a pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// Where the cursor is.
    pub cursor: Place,
    /// Where the selection starts, if there is one.
    pub anchor: Option<Place>,
    /// How it extends.
    pub kind: Kind,
}

/// How the cursor moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// By lines, down if positive.
    Lines(i64),
    /// By columns, right if positive.
    Cols(i32),
    /// To the start of the line.
    LineStart,
    /// To the last character of the line.
    LineEnd,
    /// To the start of the next word, or of the one before.
    Word(bool),
}

impl Copy {
    /// A cursor without a selection.
    pub fn at(cursor: Place) -> Self {
        Self {
            cursor,
            anchor: None,
            kind: Kind::Char,
        }
    }

    /// Starts to select, changes how, or selects nothing when it is done twice.
    pub fn select(&mut self, kind: Kind) {
        if self.anchor.is_some() && self.kind == kind {
            self.anchor = None;
        } else {
            self.anchor.get_or_insert(self.cursor);
            self.kind = kind;
        }
    }

    /// Moves the cursor, not beyond what there is.
    pub fn step(&mut self, screen: &Screen, step: Step) {
        let all = lines::all(screen);
        let last = screen.size().0 - 1;
        let cursor = &mut self.cursor;
        match step {
            Step::Lines(by) => {
                let line = cursor.line.saturating_add_signed(by);
                cursor.line = line.clamp(*all.start(), *all.end());
            }
            Step::Cols(by) => {
                let col = i32::from(cursor.col).saturating_add(by);
                cursor.col = col.clamp(0, last.into()) as u16;
            }
            Step::LineStart => cursor.col = 0,
            Step::LineEnd => cursor.col = line_end(screen, cursor.line),
            Step::Word(forward) => *cursor = word(screen, *cursor, forward),
        }
    }

    /// The first and the last place that are selected; of a block, its corners.
    pub fn range(&self, screen: &Screen) -> Option<(Place, Place)> {
        let anchor = self.anchor?;
        let (mut from, mut to) = (anchor.min(self.cursor), anchor.max(self.cursor));
        match self.kind {
            Kind::Char => {}
            Kind::Word => {
                from = word_edge(screen, from, false);
                to = word_edge(screen, to, true);
            }
            Kind::Line => {
                from.col = 0;
                to.col = screen.size().0 - 1;
            }
            Kind::Block => {
                let cols = (
                    anchor.col.min(self.cursor.col),
                    anchor.col.max(self.cursor.col),
                );
                (from.col, to.col) = cols;
            }
        }
        Some((from, to))
    }

    /// Whether a place is selected, `range` being what [`Copy::range`] says.
    pub fn covers(&self, range: (Place, Place), place: Place) -> bool {
        let (from, to) = range;
        if self.kind == Kind::Block {
            (from.line..=to.line).contains(&place.line) && (from.col..=to.col).contains(&place.col)
        } else {
            (from..=to).contains(&place)
        }
    }

    /// The selected text: lines that the terminal has wrapped are whole again, blanks at the ends of lines
    /// are left out. At most [`MOST_BYTES`].
    pub fn text(&self, screen: &Screen) -> Option<String> {
        let range = self.range(screen)?;
        let mut text = String::new();
        for line in range.0.line..=range.1.line {
            let Some(row) = lines::row(screen, line) else {
                continue;
            };
            let mut part = String::new();
            for (col, cell) in row.cells().enumerate() {
                let place = Place {
                    line,
                    col: col as u16,
                };
                if cell.width() != Width::Spacer && self.covers(range, place) {
                    part.push(cell.ch());
                    part.extend(cell.marks());
                }
            }
            let goes_on = row.is_wrapped() && self.kind != Kind::Block;
            text.push_str(if goes_on {
                &part
            } else {
                part.trim_end_matches(' ')
            });
            if !goes_on && line < range.1.line {
                text.push('\n');
            }
            if text.len() > MOST_BYTES {
                let cut = text.floor_char_boundary(MOST_BYTES);
                text.truncate(cut);
                break;
            }
        }
        Some(text)
    }
}

/// The column of a line's last character.
fn line_end(screen: &Screen, line: u64) -> u16 {
    let row = lines::row(screen, line);
    let cells = row.iter().flat_map(|row| row.cells().enumerate());
    cells
        .filter(|(_, cell)| cell.ch() != ' ')
        .last()
        .map_or(0, |(col, _)| col as u16)
}

/// What a character is to words: nothing, a letter, or a sign of its own.
fn class(screen: &Screen, place: Place) -> u8 {
    let row = lines::row(screen, place.line);
    let cell = row.as_ref().and_then(|row| row.cell(place.col));
    match cell.map_or(' ', Cell::ch) {
        ' ' => 0,
        // What paths, names and addresses are made of.
        c if c.is_alphanumeric() || "_-./~:@%+#=&?".contains(c) => 1,
        _ => 2,
    }
}

/// The start of the next word, or of the one before.
fn word(screen: &Screen, from: Place, forward: bool) -> Place {
    let (all, last) = (lines::all(screen), screen.size().0 - 1);
    let after = |place: Place| match (forward, place) {
        (true, Place { line, col }) if col < last => Some(Place { line, col: col + 1 }),
        (true, Place { line, .. }) if line < *all.end() => Some(Place {
            line: line + 1,
            col: 0,
        }),
        (false, Place { line, col }) if col > 0 => Some(Place { line, col: col - 1 }),
        (false, Place { line, .. }) if line > *all.start() => Some(Place {
            line: line - 1,
            col: last,
        }),
        _ => None,
    };
    let starts = |place: Place| {
        let class_here = class(screen, place);
        let before = place.col.checked_sub(1).map(|col| Place { col, ..place });
        class_here != 0 && before.is_none_or(|before| class(screen, before) != class_here)
    };
    std::iter::successors(after(from), |place| after(*place))
        .take(usize::from(last) * 50)
        .find(|place| starts(*place))
        .unwrap_or(from)
}

/// The end of the word at a place, or its start, within the line.
fn word_edge(screen: &Screen, from: Place, end: bool) -> Place {
    let here = class(screen, from);
    let same = |col: u16| class(screen, Place { col, ..from }) == here;
    let col = if end {
        (from.col..screen.size().0)
            .take_while(|col| same(*col))
            .last()
    } else {
        (0..=from.col).rev().take_while(|col| same(*col)).last()
    };
    Place {
        col: col.unwrap_or(from.col),
        ..from
    }
}
