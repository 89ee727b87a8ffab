//! Another width: long lines are wrapped anew, as the emulator does it with the lines on the screen.

use alacritty_terminal::grid::{Dimensions, Grid, Row as GridRow};
use alacritty_terminal::index::Line;
use alacritty_terminal::term::cell::Cell as GridCell;

use super::{History, pack};

/// Lines that are unpacked at once. A line of text that goes on for longer than this is wrapped anew
/// in pieces.
const CHUNK: usize = 1000;

/// More than any chunk has after wrapping.
const UNLIMITED: usize = 1 << 24;

impl History {
    /// Gives the lines another width.
    pub(crate) fn reflow(&mut self, cols: usize) {
        if cols == self.cols {
            return;
        }
        let mut reflowed = Self::new(cols, self.limit);
        let mut at = 0;
        while at < self.len() {
            let text = self.text_lines(at);
            let line = self.packed(at).unwrap_or_default();
            // Most lines fit either way.
            if text == 1 && pack::cells(line) <= cols && !pack::is_wrapped(line) {
                reflowed.push_packed(line);
                at += 1;
            } else {
                let end = self.chunk_end(at + text);
                self.wrap_anew(at, end, &mut reflowed);
                at = end;
            }
        }
        reflowed.seal();
        *self = reflowed;
    }

    /// How many lines from `at` on are one line of text.
    fn text_lines(&self, at: usize) -> usize {
        let more = (at..self.len() - 1).take_while(|at| self.is_wrapped(*at));
        more.take(CHUNK - 1).count() + 1
    }

    /// The end of a chunk of whole lines of text that need wrapping, from `end` on.
    fn chunk_end(&self, mut end: usize) -> usize {
        let start = end;
        while end < self.len() {
            let text = self.text_lines(end);
            if end + text - start > CHUNK {
                break;
            }
            end += text;
        }
        end
    }

    fn wrap_anew(&self, start: usize, end: usize, into: &mut Self) {
        let mut rows: Vec<GridRow<GridCell>> =
            (start..end).filter_map(|at| self.line(at)).collect();
        let goes_on = self.is_wrapped(end - 1);
        if let Some(last) = rows.last_mut() {
            pack::set_wrapped(last, false);
        }
        let mut grid = Grid::new(1, self.cols, UNLIMITED);
        fill_history(&mut grid, rows);
        grid.resize(true, 1, into.cols);
        let lines = grid.history_size() as i32;
        for line in (1..=lines).rev() {
            let row = &mut grid[Line(-line)];
            if line == 1 && goes_on {
                pack::set_wrapped(row, true);
            }
            into.push(row);
        }
    }
}

/// Gives a grid without history the rows as its history, the oldest first.
pub(crate) fn fill_history(grid: &mut Grid<GridCell>, rows: Vec<GridRow<GridCell>>) {
    let count = rows.len();
    grid.update_history(count);
    grid.initialize_all();
    for (at, row) in rows.into_iter().enumerate() {
        grid[Line(at as i32 - count as i32)] = row;
    }
    grid.update_history(UNLIMITED);
}
