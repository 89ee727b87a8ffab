//! A terminal's screen: fed with bytes, looked at by cells.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use alacritty_terminal::vte::ansi::{Processor, Timeout};

use crate::cell::Row;
use crate::emulator::Emulator;
use crate::history::Limit;
use crate::modes::{Cursor, Modes};
use crate::prompts::Prompts;
use crate::tail::Tail;

/// Bytes parsed at once. Bounds what one endless control string adds to memory between checks.
const PIECE: usize = 64 * 1024;

/// The generation that was given last. Screens share it, so that those of two are never the same.
static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// An emulated terminal with its scrollback.
///
/// It is at least two columns wide and one row high, since a wide character needs two columns.
pub struct Screen {
    pub(crate) emulator: Emulator,
    parser: Processor<Immediate>,
    pub(crate) tail: Tail,
    prompts: Prompts,
    generation: u64,
}

/// The parser would hold back a synchronized frame until its end or until a time passes; here are
/// no clocks, so a frame is parsed as it comes, and [`Modes::synchronized`] says that it isn't whole.
#[derive(Default)]
struct Immediate;

impl Timeout for Immediate {
    fn set_timeout(&mut self, _: std::time::Duration) {}
    fn clear_timeout(&mut self) {}
    fn pending_timeout(&self) -> bool {
        false
    }
}

/// Where the texts of the primary screen and of its scrollback start. A text is one line of output, however many lines
/// it is wrapped into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The first line of each text, the oldest first, as [`Screen::row`] counts; at last the line after all of them.
    pub starts: Vec<i32>,
    /// Which of them has the cursor. A new size leaves their order: counted from this one they are the
    /// same as before.
    pub cursor: usize,
}

impl Screen {
    /// A blank screen of `cols` by `rows` cells that keeps `scrollback` lines above it.
    pub fn new(cols: u16, rows: u16, scrollback: usize) -> Self {
        Self::keeping(cols, rows, Limit::lines(scrollback))
    }

    /// The same, the scrollback bounded in bytes too.
    pub fn keeping(cols: u16, rows: u16, scrollback: Limit) -> Self {
        Self {
            emulator: Emulator::new(cols.into(), rows.into(), scrollback),
            parser: Processor::new(),
            tail: Tail::default(),
            prompts: Prompts::default(),
            generation: 0,
        }
    }

    /// Takes output of the application. Pieces may end anywhere, also inside a character.
    pub fn feed(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.next_generation();
        for mut piece in bytes.chunks(PIECE) {
            while let Some(end) = Prompts::find(self.tail.bytes(), piece) {
                let (with_mark, rest) = piece.split_at(end);
                self.parse(with_mark);
                self.mark_prompt();
                piece = rest;
            }
            self.parse(piece);
        }
        self.emulator.date_changes(self.generation);
    }

    fn mark_prompt(&mut self) {
        if !self.modes().alternate_screen {
            let line = self.scrolled() + u64::from(self.cursor().row);
            self.prompts.mark(line);
        }
    }

    fn parse(&mut self, piece: &[u8]) {
        let piece = &piece[self.tail.surplus(piece)..];
        let held = self.tail.partial_char().to_vec();
        self.tail.follow(piece);
        let cut = self.tail.partial_char().len();
        if held.is_empty() {
            self.parser
                .advance(&mut self.emulator, &piece[..piece.len() - cut]);
        } else {
            let joined = [&held, piece].concat();
            self.parser
                .advance(&mut self.emulator, &joined[..joined.len() - cut]);
        }
    }

    /// Changes the size. Long lines of the primary screen are wrapped anew, as in a real terminal.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        if (cols, rows) != self.size() {
            self.next_generation();
            if cols != self.size().0 {
                self.prompts.clear();
            }
            self.emulator.resize(cols.into(), rows.into());
            self.emulator.date_changes(self.generation);
        }
    }

    /// Where texts start. Takes a look at each line, as a new size does.
    pub fn texts(&mut self) -> Texts {
        self.emulator.texts()
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        (self.emulator.cols() as u16, self.emulator.rows() as u16)
    }

    /// A number that changes with everything that may change the screen. Only screens that nothing has happened to yet
    /// have the same.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    fn next_generation(&mut self) {
        self.generation = GENERATIONS.fetch_add(1, Ordering::Relaxed) + 1;
    }

    /// The generation in which a row of the screen shown, 0 at the top, changed last: as long as it is the same, the row
    /// looks the same. What only may have changed counts too; the row that the cursor was on always does.
    pub fn changed(&self, row: u16) -> u64 {
        self.emulator.changed(row.into())
    }

    /// A line of the screen shown: 0 is the top row, -1 the line that scrolled out last. `None`
    /// outside of screen and scrollback.
    pub fn row(&self, line: i32) -> Option<Row<'_>> {
        let above = usize::try_from(-i64::from(line)).unwrap_or(0);
        if above == 0 {
            return Row::of(self.emulator.grid(), line);
        }
        let at = self.history().checked_sub(above)?;
        self.emulator.history().line(at).map(Row::unpacked)
    }

    /// Lines that can be seen above the screen. The alternate screen has none.
    pub fn history(&self) -> usize {
        if self.emulator.modes().alternate_screen {
            0
        } else {
            self.emulator.history().len()
        }
    }

    /// Bytes that the scrollback takes.
    pub fn history_bytes(&self) -> usize {
        self.emulator.history().bytes()
    }

    /// How much scrollback is kept at most.
    pub fn scrollback(&self) -> Limit {
        self.emulator.history().limit()
    }

    /// Keeps more or less scrollback from now on; what is over is given up at once.
    pub fn set_scrollback(&mut self, limit: Limit) {
        self.next_generation();
        self.emulator.history_mut().set_limit(limit);
    }

    /// Gives up the scrollback.
    pub fn clear_history(&mut self) {
        self.next_generation();
        self.emulator.history_mut().clear();
    }

    /// Puts the scrollback of `older`, a screen that was fed with the output up to when `scrolled()`
    /// was `until`, in the place of what is kept from before then.
    pub fn put_older(&mut self, older: &Self, until: u64) {
        self.next_generation();
        let since = usize::try_from(self.scrolled().saturating_sub(until)).unwrap_or(usize::MAX);
        let kept = self.emulator.history().len();
        let older = older.emulator.history().clone();
        self.emulator
            .history_mut()
            .put_before(older, kept.saturating_sub(since));
    }

    /// Lines that have scrolled out of the primary screen since the start, kept or not: the
    /// difference between two looks is how many lines came in between.
    pub fn scrolled(&self) -> u64 {
        self.emulator.scrolled()
    }

    /// The lines with a prompt of a shell that marks them (OSC 133), numbered as [`Screen::scrolled`]
    /// counts, the oldest first. A new width, which gives lines other numbers, forgets them.
    pub fn prompts(&self) -> impl Iterator<Item = u64> {
        // Wrapped anew, or loaded later, more lines can be held than have scrolled out.
        let oldest = self.scrolled().saturating_sub(self.history() as u64);
        self.prompts.since(oldest)
    }

    /// Where the cursor is and how it looks.
    pub fn cursor(&self) -> Cursor {
        self.emulator.cursor()
    }

    /// What the application has switched on.
    pub fn modes(&self) -> Modes {
        self.emulator.modes()
    }

    /// The title that the application has set.
    pub fn title(&self) -> Option<&str> {
        self.emulator.title()
    }

    /// How often the bell rang.
    pub fn bells(&self) -> u64 {
        self.emulator.bells()
    }

    /// What a real terminal would have answered to questions in the output (device attributes,
    /// cursor position, …) since the last call. For whoever is the application's one terminal; a
    /// watcher lets it lie.
    pub fn take_replies(&mut self) -> Vec<u8> {
        self.emulator.take_replies()
    }

    /// The screen as text: its rows without the blanks at their ends.
    pub fn text(&self) -> String {
        let rows = 0..i32::from(self.size().1);
        let mut text: Vec<String> = rows
            .filter_map(|row| self.row(row))
            .map(|row| row.text())
            .collect();
        while text.last().is_some_and(String::is_empty) {
            text.pop();
        }
        text.join("\n")
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cols, rows) = self.size();
        write!(f, "Screen {cols}x{rows}\n{}", self.text())
    }
}
