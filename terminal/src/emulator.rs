//! Alacritty's terminal, and what it doesn't tell.
//!
//! It keeps some of its state to itself (scroll region, tab stops, title, the active character set,
//! keyboard mode stacks), which a snapshot needs. Everything that the parser does passes through
//! `handler`, so that this state is remembered on the way.

mod damage;
mod handler;
#[cfg(test)]
mod tests;

use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use alacritty_terminal::event::{Event, EventListener};
use alacritty_terminal::grid::{Dimensions, Grid, GridCell};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::term::test::TermSize;
use alacritty_terminal::term::{Config, MIN_COLUMNS, MIN_SCREEN_LINES, Osc52, Term, TermMode};
use alacritty_terminal::vte::ansi::{
    CharsetIndex, CursorShape as GridShape, Handler, KeyboardModes, KeyboardModesApplyBehavior, Rgb,
};

use unicode_width::UnicodeWidthChar;

use crate::history::{History, Limit, fill_history};
use crate::modes::{Cursor, CursorShape, Modes, Mouse, MouseEncoding};
use crate::screen::Texts;
use damage::Changed;

/// Bytes of replies kept until somebody takes them; what is over is dropped, as an application that
/// asks that much without reading gets nothing from a real terminal either.
const REPLIES_LIMIT: usize = 4096;

/// Distance between tab stops on a fresh terminal.
const TAB_DISTANCE: usize = 8;

/// Lines beyond a screenful that come back to the screen on a new size because they are one long line
/// of text; a longer one is wrapped anew in pieces.
const GIVEN_BACK: usize = 500;

/// Collects what the terminal wants to say to the application.
#[derive(Clone, Debug, Default)]
struct Outbox(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    replies: Vec<u8>,
    bells: u64,
}

impl EventListener for Outbox {
    fn send_event(&self, event: Event) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::PtyWrite(text) if said.replies.len() + text.len() <= REPLIES_LIMIT => {
                said.replies.extend_from_slice(text.as_bytes());
            }
            Event::Bell => said.bells += 1,
            _ => {}
        }
    }
}

/// Alacritty's terminal, and what it doesn't tell.
pub(crate) struct Emulator {
    term: Term<Outbox>,
    outbox: Outbox,
    /// Lines that have left the top of the primary screen. The terminal itself keeps none.
    history: History,
    /// Lines that have left the top of the primary screen since the start.
    scrolled: u64,
    region: Range<usize>,
    tabs: Vec<bool>,
    charset: CharsetIndex,
    title: Option<String>,
    titles: Vec<Option<String>>,
    /// Keyboard modes of the screen shown, and of the other.
    keyboard: Vec<KeyboardModes>,
    other_keyboard: Vec<KeyboardModes>,
    synchronized: bool,
    /// Which rows have changed since when.
    changed: Changed,
    /// The character that `CSI b` would repeat.
    last_char: Option<char>,
}

/// The parts of the state that only a snapshot needs.
pub(crate) struct Hidden<'a> {
    pub(crate) region: &'a Range<usize>,
    pub(crate) tabs: &'a [bool],
    pub(crate) charset: CharsetIndex,
    pub(crate) titles: &'a [Option<String>],
    pub(crate) keyboard: &'a [KeyboardModes],
    pub(crate) other_keyboard: &'a [KeyboardModes],
    pub(crate) last_char: Option<char>,
}

impl Emulator {
    pub(crate) fn new(cols: usize, rows: usize, scrollback: Limit) -> Self {
        let (cols, rows) = (cols.max(MIN_COLUMNS), rows.max(MIN_SCREEN_LINES));
        let config = Config {
            scrolling_history: 0,
            kitty_keyboard: true,
            osc52: Osc52::Disabled,
            ..Config::default()
        };
        let outbox = Outbox::default();
        Self {
            term: Term::new(config, &TermSize::new(cols, rows), outbox.clone()),
            outbox,
            history: History::new(cols, scrollback),
            scrolled: 0,
            region: 0..rows,
            tabs: default_tabs(cols),
            charset: CharsetIndex::G0,
            title: None,
            titles: Vec::new(),
            keyboard: Vec::new(),
            other_keyboard: Vec::new(),
            synchronized: false,
            changed: Changed::default(),
            last_char: None,
        }
    }

    pub(crate) fn resize(&mut self, cols: usize, rows: usize) {
        let (cols, rows) = (cols.max(MIN_COLUMNS), rows.max(MIN_SCREEN_LINES));
        self.resize_screens(cols, rows);
        let mut col = self.tabs.len();
        self.tabs.resize_with(cols, || {
            col += 1;
            (col - 1).is_multiple_of(TAB_DISTANCE)
        });
        self.region = 0..rows;
    }

    pub(crate) fn cols(&self) -> usize {
        self.term.columns()
    }

    pub(crate) fn rows(&self) -> usize {
        self.term.screen_lines()
    }

    /// Wraps long lines of the primary screen anew, together with those lines above it that belong
    /// to them or that a larger screen has room for.
    fn resize_screens(&mut self, cols: usize, rows: usize) {
        self.change_all();
        let count = self.lines_to_give_back(cols, rows);
        let mut lines: Vec<_> = (0..count).map_while(|_| self.history.pop()).collect();
        lines.reverse();
        self.history.reflow(cols);
        if !lines.is_empty() {
            self.with_primary(|grid| fill_history(grid, lines));
        } else if self.history.keeps() {
            self.with_primary(|grid| fill_history(grid, Vec::new()));
        }
        self.term.resize(TermSize::new(cols, rows));
        mark_used(self.term.grid_mut());
        self.with_other(mark_used);
        if self.history.keeps() {
            let out = self.with_primary(|grid| {
                let above = (1..=grid.history_size() as i32).rev();
                let out: Vec<_> = above.map(|line| grid[Line(-line)].clone()).collect();
                grid.update_history(0);
                grid.truncate();
                out
            });
            for row in &out {
                self.history.push(row);
            }
        }
    }

    /// Where the texts of the primary screen and of the lines above it start.
    pub(crate) fn texts(&mut self) -> Texts {
        let above = self.history.len();
        let mut wrapped: Vec<bool> = (0..above).map(|at| self.history.is_wrapped(at)).collect();
        let row = self.with_primary(|grid| {
            let last = Column(grid.columns() - 1);
            let rows = 0..grid.screen_lines() as i32;
            wrapped.extend(rows.map(|row| grid[Line(row)][last].flags.contains(Flags::WRAPLINE)));
            grid.cursor.point.line.0
        });
        let begins = |at: &usize| *at == 0 || !wrapped[at - 1];
        // One more, for what comes below the last.
        let starts = (0..wrapped.len()).filter(begins).chain([wrapped.len()]);
        let starts: Vec<i32> = starts.map(|at| at as i32 - above as i32).collect();
        let cursor = starts.partition_point(|start| *start <= row) - 1;
        Texts { starts, cursor }
    }

    /// How many of the newest lines of the history may come back to the screen.
    fn lines_to_give_back(&self, cols: usize, rows: usize) -> usize {
        let merged = rows * (cols / self.cols() + 2);
        let length = self.history.len();
        let mut count = merged.min(length);
        // Whole lines of text only, if they aren't endless.
        while count < length.min(merged + GIVEN_BACK) && self.history.is_wrapped(length - count - 1)
        {
            count += 1;
        }
        count
    }

    pub(crate) fn grid(&self) -> &Grid<Cell> {
        self.term.grid()
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn history_mut(&mut self) -> &mut History {
        &mut self.history
    }

    /// Takes note that lines are about to leave the top of the primary screen.
    fn leave(&mut self, lines: usize) {
        for line in 0..lines {
            self.history.push(&self.term.grid()[Line(line as i32)]);
        }
        self.scrolled += lines as u64;
    }

    pub(crate) fn scrolled(&self) -> u64 {
        self.scrolled
    }

    /// Counts lines that were never shown to the emulator as scrolled out.
    pub(crate) fn count_scrolled(&mut self, lines: u64) {
        self.scrolled += lines;
    }

    pub(crate) fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    pub(crate) fn bells(&self) -> u64 {
        self.outbox
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bells
    }

    pub(crate) fn take_replies(&mut self) -> Vec<u8> {
        mem::take(
            &mut self
                .outbox
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .replies,
        )
    }

    pub(crate) fn colors(&self) -> impl Iterator<Item = (usize, Rgb)> {
        let colors = self.term.colors();
        (0..alacritty_terminal::term::color::COUNT).filter_map(|at| Some((at, colors[at]?)))
    }

    pub(crate) fn hidden(&self) -> Hidden<'_> {
        Hidden {
            region: &self.region,
            tabs: &self.tabs,
            charset: self.charset,
            titles: &self.titles,
            keyboard: &self.keyboard,
            other_keyboard: &self.other_keyboard,
            last_char: self.last_char,
        }
    }

    pub(crate) fn region_is_whole(&self) -> bool {
        self.region == (0..self.rows())
    }

    pub(crate) fn modes(&self) -> Modes {
        let mode = *self.term.mode();
        Modes {
            alternate_screen: mode.contains(TermMode::ALT_SCREEN),
            app_cursor: mode.contains(TermMode::APP_CURSOR),
            app_keypad: mode.contains(TermMode::APP_KEYPAD),
            bracketed_paste: mode.contains(TermMode::BRACKETED_PASTE),
            focus_events: mode.contains(TermMode::FOCUS_IN_OUT),
            mouse: if mode.contains(TermMode::MOUSE_MOTION) {
                Mouse::Motion
            } else if mode.contains(TermMode::MOUSE_DRAG) {
                Mouse::Drag
            } else if mode.contains(TermMode::MOUSE_REPORT_CLICK) {
                Mouse::Click
            } else {
                Mouse::Off
            },
            mouse_encoding: if mode.contains(TermMode::SGR_MOUSE) {
                MouseEncoding::Sgr
            } else if mode.contains(TermMode::UTF8_MOUSE) {
                MouseEncoding::Utf8
            } else {
                MouseEncoding::Bytes
            },
            alternate_scroll: mode.contains(TermMode::ALTERNATE_SCROLL),
            insert: mode.contains(TermMode::INSERT),
            origin: mode.contains(TermMode::ORIGIN),
            autowrap: mode.contains(TermMode::LINE_WRAP),
            newline: mode.contains(TermMode::LINE_FEED_NEW_LINE),
            synchronized: self.synchronized,
            keyboard: keyboard_bits(mode),
        }
    }

    pub(crate) fn urgency_hints(&self) -> bool {
        self.term.mode().contains(TermMode::URGENCY_HINTS)
    }

    pub(crate) fn cursor(&self) -> Cursor {
        let cursor = &self.grid().cursor;
        let style = self.term.cursor_style();
        Cursor {
            row: cursor.point.line.0 as u16,
            col: cursor.point.column.0 as u16,
            wrap_pending: cursor.input_needs_wrap,
            shape: match style.shape {
                GridShape::Underline => CursorShape::Underline,
                GridShape::Beam => CursorShape::Bar,
                _ => CursorShape::Block,
            },
            blinking: style.blinking,
            visible: self.term.mode().contains(TermMode::SHOW_CURSOR),
        }
    }

    /// Looks at the screen that isn't shown. The terminal can only be asked about the one it
    /// shows, and entering the alternate screen wipes it: so it is put back afterwards.
    pub(crate) fn with_other<T>(&mut self, look: impl FnOnce(&mut Grid<Cell>) -> T) -> T {
        let alternate = self.modes().alternate_screen;
        let flags = KeyboardModes::from_bits_truncate(self.modes().keyboard);
        let kept = alternate.then(|| self.grid().clone());
        let saved = self.grid().saved_cursor.clone();
        self.term.swap_alt();
        let seen = look(self.term.grid_mut());
        self.term.swap_alt();
        if let Some(grid) = kept {
            *self.term.grid_mut() = grid;
        }
        self.term.grid_mut().saved_cursor = saved;
        Handler::set_keyboard_mode(&mut self.term, flags, KeyboardModesApplyBehavior::Replace);
        seen
    }

    fn with_primary<T>(&mut self, work: impl FnOnce(&mut Grid<Cell>) -> T) -> T {
        if self.term.mode().contains(TermMode::ALT_SCREEN) {
            self.with_other(work)
        } else {
            work(self.term.grid_mut())
        }
    }

    /// Whether a line feed now moves a line into the scrollback.
    fn at_bottom(&self) -> bool {
        self.region.start == 0
            && self.grid().cursor.point.line.0 as usize + 1 == self.region.end
            && !self.term.mode().contains(TermMode::ALT_SCREEN)
    }

    /// Rows of the screen up to the last that isn't empty.
    fn used_rows(&self) -> usize {
        let grid = self.grid();
        let used = |row: &usize| {
            grid[Line(*row as i32)][..]
                .iter()
                .any(|cell| !cell.is_empty())
        };
        (0..self.rows()).rev().find(used).map_or(0, |last| last + 1)
    }

    /// On a screen or region of one row, marks it as going on in the next, as the terminal will: it is
    /// the line that leaves.
    fn mark_wrap(&mut self) {
        if self.region.end != 1 {
            return;
        }
        self.change_all();
        let grid = self.term.grid_mut();
        let (point, pending) = (grid.cursor.point, grid.cursor.input_needs_wrap);
        let template = grid.cursor.template.clone();
        let cell = &mut grid[point.line][point.column];
        if !pending {
            *cell = template;
            cell.c = ' ';
            cell.flags.insert(Flags::LEADING_WIDE_CHAR_SPACER);
        }
        cell.flags.insert(Flags::WRAPLINE);
    }

    /// A wide character at the start of the screen that is overwritten leaves a blank at the end of the
    /// line above without its reason.
    fn overwrite_start(&mut self, c: char) {
        let wide = Flags::WIDE_CHAR | Flags::WIDE_CHAR_SPACER;
        let row = &self.grid()[Line(0)];
        let point = self.grid().cursor.point;
        let width = c.width().unwrap_or(0);
        let end = point.column.0 + width;
        // What is inserted takes the place of what it pushes out at the end of its row.
        let inserts = self.term.mode().contains(TermMode::INSERT) && end < self.cols();
        let moved = if inserts { self.cols() - end } else { 0 };
        let overwritten =
            (point.column.0..end.min(2)).any(|col| row[Column(col + moved)].flags.intersects(wide));
        if overwritten && !self.term.mode().contains(TermMode::ALT_SCREEN) {
            self.history
                .change_newest(|cell| cell.flags.remove(Flags::LEADING_WIDE_CHAR_SPACER));
        }
    }

    /// Puts the cursor somewhere on the screen, whatever the origin mode.
    fn place(&mut self, line: i32, col: usize) {
        self.leave_row();
        let last = (self.rows() as i32 - 1, self.cols() - 1);
        let cursor = &mut self.term.grid_mut().cursor;
        cursor.point.line = Line(line.clamp(0, last.0));
        cursor.point.column = Column(col.min(last.1));
        cursor.input_needs_wrap = false;
    }

    /// Moves the cursor up or down, not beyond a margin that it starts within. The terminal's own
    /// movement knows no margins and counts them twice in origin mode.
    fn move_lines(&mut self, lines: i32) {
        let point = self.grid().cursor.point;
        let line = point.line.0;
        let (top, bottom) = (self.region.start as i32, self.region.end as i32 - 1);
        let target = line.saturating_add(lines);
        let target = if lines < 0 && line >= top {
            target.max(top)
        } else if lines > 0 && line <= bottom {
            target.min(bottom)
        } else {
            target
        };
        self.place(target, point.column.0);
    }

    fn swap_screens(&mut self, to_alternate: bool) {
        if self.term.mode().contains(TermMode::ALT_SCREEN) != to_alternate {
            self.change_all();
            mem::swap(&mut self.keyboard, &mut self.other_keyboard);
            self.term.swap_alt();
        }
    }

    fn scroll_out(&mut self, origin: usize, lines: usize) {
        if origin == 0 && !self.term.mode().contains(TermMode::ALT_SCREEN) {
            self.leave(lines.min(self.region.len()));
        }
    }
}

/// Rows that have become longer would otherwise keep coloured blanks when they are erased: the terminal
/// only looks at their last cell to see whether there is something to erase.
fn mark_used(grid: &mut Grid<Cell>) {
    for line in 0..grid.screen_lines() {
        let _: &mut [Cell] = &mut grid[Line(line as i32)][..];
    }
}

fn default_tabs(cols: usize) -> Vec<bool> {
    (0..cols).map(|col| col % TAB_DISTANCE == 0).collect()
}

fn keyboard_bits(mode: TermMode) -> u8 {
    [
        (
            TermMode::DISAMBIGUATE_ESC_CODES,
            KeyboardModes::DISAMBIGUATE_ESC_CODES,
        ),
        (
            TermMode::REPORT_EVENT_TYPES,
            KeyboardModes::REPORT_EVENT_TYPES,
        ),
        (
            TermMode::REPORT_ALTERNATE_KEYS,
            KeyboardModes::REPORT_ALTERNATE_KEYS,
        ),
        (
            TermMode::REPORT_ALL_KEYS_AS_ESC,
            KeyboardModes::REPORT_ALL_KEYS_AS_ESC,
        ),
        (
            TermMode::REPORT_ASSOCIATED_TEXT,
            KeyboardModes::REPORT_ASSOCIATED_TEXT,
        ),
    ]
    .into_iter()
    .filter(|(flag, _)| mode.contains(*flag))
    .fold(0, |bits, (_, flag)| bits | flag.bits())
}
