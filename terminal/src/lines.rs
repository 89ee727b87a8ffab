//! All lines of a screen at one moment, for who reads them while the screen goes on.

use std::fmt;

use alacritty_terminal::grid::Row as GridRow;
use alacritty_terminal::index::Line;
use alacritty_terminal::term::cell::Cell as GridCell;

use crate::cell::Row;
use crate::history::{History, Limit};
use crate::screen::Screen;

/// A copy of the lines that can be seen: the scrollback, then the screen. It takes as much memory as they do.
#[derive(Clone, PartialEq)]
pub struct Lines {
    history: History,
    screen: Vec<GridRow<GridCell>>,
}

impl Screen {
    /// A copy of its lines.
    pub fn lines(&self) -> Lines {
        let emulator = &self.emulator;
        let rows = 0..emulator.rows() as i32;
        Lines {
            history: if self.modes().alternate_screen {
                History::new(emulator.cols(), Limit::lines(0))
            } else {
                emulator.history().clone()
            },
            screen: rows.map(|row| emulator.grid()[Line(row)].clone()).collect(),
        }
    }
}

impl Lines {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.history.len() + self.screen.len()
    }

    /// Whether there is none, which no screen allows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A line, 0 the oldest.
    pub fn row(&self, at: usize) -> Option<Row<'_>> {
        match at.checked_sub(self.history.len()) {
            None => self.history.line(at).map(Row::unpacked),
            Some(row) => self.screen.get(row).map(Row::borrowed),
        }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines", self.len())
    }
}
