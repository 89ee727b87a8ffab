//! What a terminal shows, and the next frame for it. A frame is drawn over the last one, so that where little has changed
//! little is drawn, compared and written.

use ratatui::backend::{Backend, ClearType};
use ratatui::buffer::{Buffer, Cell, CellWidth};
use ratatui::layout::{Position, Rect};

/// Rows that are compared one by one; of more, all are compared at once.
const FEW_ROWS: usize = 8;

/// A frame that is being drawn.
pub struct Frame<'a> {
    buffer: &'a mut Buffer,
    /// What the terminal shows now.
    shown: &'a Buffer,
    rows: &'a mut Rows,
    /// The buffer has the last frame in it, or what was drawn of this one.
    begun: bool,
    cursor: Option<Position>,
}

/// Which rows may differ from what is shown.
#[derive(Debug, Default, PartialEq, Eq)]
enum Rows {
    /// These, each once.
    Few(Vec<u16>),
    /// Any.
    #[default]
    All,
}

/// Draws frames on a terminal, and writes what differs from the frame before.
pub struct Canvas<B> {
    backend: B,
    shown: Buffer,
    next: Buffer,
    /// `next` is the same as `shown`, but for what is drawn of a frame.
    is_same: bool,
    /// Whether the terminal shows what `shown` says.
    is_known: bool,
}

impl Frame<'_> {
    /// Columns and rows.
    pub fn area(&self) -> Rect {
        self.buffer.area
    }

    /// A blank buffer for a whole frame.
    pub fn whole(&mut self, blank: &Cell) -> &mut Buffer {
        *self.rows = Rows::All;
        self.begun = true;
        self.buffer.content.fill(blank.clone());
        self.buffer
    }

    /// The buffer with the last frame in it, to have something in a row drawn anew; none where the terminal doesn't show it.
    pub fn row(&mut self, row: u16) -> Option<&mut Buffer> {
        let Rows::Few(few) = &mut *self.rows else {
            return None;
        };
        if !few.contains(&row) {
            few.push(row);
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.buffer.clone_from(self.shown);
        }
        Some(self.buffer)
    }

    /// Whether the terminal shows the last frame, so that some of it may be drawn anew.
    pub fn goes_on(&self) -> bool {
        matches!(self.rows, Rows::Few(_))
    }

    /// Where the cursor is seen; without this it isn't.
    pub fn set_cursor(&mut self, position: Position) {
        self.cursor = Some(position);
    }
}

impl<B: Backend> Canvas<B> {
    /// For a terminal that is blank.
    pub fn new(backend: B, (cols, rows): (u16, u16)) -> Self {
        let blank = Buffer::empty(Rect::new(0, 0, cols, rows));
        Self {
            backend,
            shown: blank.clone(),
            next: blank,
            is_same: true,
            is_known: false,
        }
    }

    /// The terminal.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The same, to write something besides frames.
    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }

    /// Takes another size: the terminal is blank then.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    pub fn resize(&mut self, (cols, rows): (u16, u16)) -> Result<(), B::Error> {
        if (cols, rows) == (self.shown.area.width, self.shown.area.height) {
            return Ok(());
        }
        self.backend.clear_region(ClearType::All)?;
        self.shown = Buffer::empty(Rect::new(0, 0, cols, rows));
        self.next = self.shown.clone();
        (self.is_same, self.is_known) = (true, false);
        Ok(())
    }

    /// Has a frame drawn, and writes it.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> Result<(), B::Error> {
        let mut rows = if self.is_known {
            Rows::Few(Vec::new())
        } else {
            Rows::All
        };
        let mut frame = Frame {
            buffer: &mut self.next,
            shown: &self.shown,
            rows: &mut rows,
            begun: self.is_same,
            cursor: None,
        };
        render(&mut frame);
        let (begun, cursor) = (frame.begun, frame.cursor);
        if begun {
            self.write(rows)?;
        }
        match cursor {
            Some(position) => {
                self.backend.show_cursor()?;
                self.backend.set_cursor_position(position)?;
            }
            None => self.backend.hide_cursor()?,
        }
        Backend::flush(&mut self.backend)
    }

    /// Writes the rows of the next frame that differ; then it is the one that is shown.
    fn write(&mut self, rows: Rows) -> Result<(), B::Error> {
        self.is_known = true;
        match rows {
            Rows::Few(mut few) if few.len() <= FEW_ROWS => {
                few.sort_unstable();
                for row in few {
                    let (shown, next) = (row_of(&self.shown, row), row_of(&self.next, row));
                    if is_written_anew(&self.shown, &self.next, row) {
                        write_anew(&mut self.backend, &self.next, row)?;
                    } else {
                        self.backend.draw(shown.diff_iter(&next))?;
                    }
                    let at = cells_of(&self.next, row);
                    self.shown.content[at].clone_from_slice(&next.content);
                }
                self.is_same = true;
            }
            Rows::Few(_) | Rows::All => {
                let rows = 0..self.next.area.height;
                let anew: Vec<u16> = rows
                    .filter(|row| is_written_anew(&self.shown, &self.next, *row))
                    .collect();
                let differing = self.shown.diff_iter(&self.next);
                self.backend
                    .draw(differing.filter(|(_, row, _)| !anew.contains(row)))?;
                for row in anew {
                    write_anew(&mut self.backend, &self.next, row)?;
                }
                std::mem::swap(&mut self.shown, &mut self.next);
                self.is_same = false;
            }
        }
        Ok(())
    }
}

/// Where a row's cells are.
fn cells_of(buffer: &Buffer, row: u16) -> std::ops::Range<usize> {
    let cols = usize::from(buffer.area.width);
    let start = usize::from(row) * cols;
    start..start + cols
}

/// Whether a row differs, and has or had what terminals give different widths: where the rest of it stands isn't known then.
fn is_written_anew(shown: &Buffer, next: &Buffer, row: u16) -> bool {
    let cells = [shown, next].map(|buffer| &buffer.content[cells_of(buffer, row)]);
    cells.iter().any(|cells| cells.iter().any(is_disputed)) && cells[0] != cells[1]
}

/// Whether terminals disagree about how many columns a cell takes, alone or with its neighbours.
fn is_disputed(cell: &Cell) -> bool {
    const JOINER: char = '\u{200d}';
    const EMOJI_STYLE: char = '\u{fe0f}';
    let symbol = cell.symbol();
    // None of them has fewer bytes; most cells have one.
    symbol.len() > 2
        && symbol.chars().any(|c| {
            matches!(c, JOINER | EMOJI_STYLE | '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f3fb}'..='\u{1f3ff}')
        })
}

/// Writes all of a row. After what is disputed the cursor is put where the next cell belongs, as each call of the backend
/// begins with that, so that no terminal's opinion moves the rest.
fn write_anew<B: Backend>(backend: &mut B, buffer: &Buffer, row: u16) -> Result<(), B::Error> {
    let mut piece: Vec<(u16, u16, &Cell)> = Vec::new();
    let mut covered = 0;
    for (col, cell) in (0_u16..).zip(&buffer.content[cells_of(buffer, row)]) {
        // The second column of a wide character has nothing of its own.
        if col < covered {
            continue;
        }
        covered = col + cell.cell_width().max(1);
        let follows = piece.last().is_some_and(|(_, _, last)| is_disputed(last));
        if follows && !is_disputed(cell) {
            backend.draw(piece.drain(..))?;
        }
        piece.push((col, row, cell));
    }
    backend.draw(piece.into_iter())
}

/// A copy of one row.
fn row_of(buffer: &Buffer, row: u16) -> Buffer {
    let area = Rect::new(0, row, buffer.area.width, 1);
    let content = buffer.content[cells_of(buffer, row)].to_vec();
    Buffer { area, content }
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::*;

    fn canvas() -> Canvas<TestBackend> {
        let mut canvas = Canvas::new(TestBackend::new(3, 2), (3, 2));
        canvas
            .draw(|frame| {
                assert!(!frame.goes_on(), "nothing is shown yet");
                frame
                    .whole(&Cell::EMPTY)
                    .set_string(0, 0, "abc", ratatui::style::Style::new());
            })
            .unwrap();
        canvas
    }

    #[test]
    fn a_row_that_is_drawn_anew_leaves_the_others_as_they_are() {
        let mut canvas = canvas();
        for (row, text) in [(1, "x"), (0, "y"), (1, "z")] {
            canvas
                .draw(|frame| {
                    let buffer = frame.row(row).expect("the last frame is shown");
                    buffer[(1, row)].set_symbol(text);
                })
                .unwrap();
        }
        canvas.backend().assert_buffer_lines(["ayc", " z "]);
    }

    #[test]
    fn another_size_begins_with_a_whole_frame() {
        let mut canvas = canvas();
        canvas.backend_mut().resize(2, 2);
        canvas.resize((2, 2)).unwrap();
        canvas
            .draw(|frame| {
                assert!(frame.row(0).is_none());
                frame.whole(&Cell::new("-"));
            })
            .unwrap();
        canvas.backend().assert_buffer_lines(["--", "--"]);
    }
}
