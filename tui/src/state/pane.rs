//! A pane: one command's terminal, and which part of it is looked at.

use opsctl_protocol::frame::OutputFrame;
use opsctl_protocol::message::{CommandSummary, Kind, TerminalSnapshot};
use opsctl_protocol::{AgentId, CommandId, Timestamp};
use opsctl_terminal::{Limit, Screen};
use ratatui::layout::Rect;

use super::copy::{Copy, Step};
use super::hidden::Hidden;
use super::lines::{self, Place};
use super::older::Past;
use super::search::Search;
use super::times::Times;
use crate::clock;

/// What a pane keeps above the screen (requirement C10). The bytes are what 10,000 lines of 200 columns
/// with colours take, so that a pane stays below 6 MB with its screen.
pub const SCROLLBACK: Limit = Limit {
    lines: 10_000,
    bytes: 5_000_000,
};

/// How long after the last screen in place of output it counts as calm, in milliseconds.
const CALM_MS: u64 = 3000;

/// Columns that the times of lines take at the left, with a blank.
const TIMES: u16 = clock::COLUMNS + 1;

/// Columns that are left for lines at least.
const LINES_LEAST: u16 = 20;

/// A command's terminal in the console.
#[derive(Debug)]
pub struct Pane {
    /// Whose terminal.
    pub command: CommandId,
    /// On which agent.
    pub agent: AgentId,
    /// What runs, as a person would type it.
    pub program: String,
    /// The emulated terminal.
    pub screen: Screen,
    /// Whether the command has a terminal of its own; else stdout and stderr come through pipes.
    pub pty: bool,
    /// Whether something is missing in the output.
    pub gap: bool,
    /// What is searched for.
    pub search: Option<Search>,
    /// Copy mode, while it is on.
    pub copy: Option<Copy>,
    /// How it stands with older output.
    pub past: Past,
    /// When its lines arrived.
    pub times: Times,
    /// Whether that is shown beside them.
    pub shows_times: bool,
    /// What is kept while it isn't shown.
    pub(super) hidden: Option<Hidden>,
    /// Whether its output was asked for again and has not come yet.
    pub(super) resumes: bool,
    /// The offset of the next byte of output.
    next: u64,
    /// Of pipes: which of them spoke last.
    kind: Kind,
    /// Of pipes: the last byte, to see whether a line feed has its carriage return.
    last: u8,
    /// The line at the top, counted from the first that ever was; `None` while following.
    top: Option<u64>,
    /// How many lines had scrolled out when following was paused.
    paused_at: u64,
    /// Columns that the view is moved to the right by hand.
    pan: u16,
}

/// The part of a terminal that a view shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The line at the top, as [`Screen::row`] counts: negative above the screen.
    pub line: i32,
    /// The column at the left.
    pub col: u16,
}

/// On which sides of a view a terminal's screen has more than it shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct More {
    /// Columns to the left.
    pub left: bool,
    /// Something in the columns to the right.
    pub right: bool,
    /// Rows of the screen above; lines that have scrolled out are another matter.
    pub above: bool,
    /// Something in the rows below.
    pub below: bool,
}

impl Pane {
    /// A pane for a command, nothing of it known yet.
    pub fn new(summary: &CommandSummary) -> Self {
        Self {
            command: summary.command_id,
            agent: summary.agent_id.clone(),
            program: summary.program.to_string(),
            screen: Screen::keeping(summary.cols, summary.rows, SCROLLBACK),
            pty: summary.pty,
            gap: false,
            search: None,
            past: Past::default(),
            copy: None,
            times: Times::default(),
            shows_times: false,
            hidden: None,
            resumes: false,
            next: 0,
            kind: Kind::Output,
            last: 0,
            top: None,
            paused_at: 0,
            pan: 0,
        }
    }

    /// Takes a piece of output.
    pub fn output(&mut self, frame: &OutputFrame) {
        if self.is_stale(frame) {
            return;
        }
        if let Some((cols, rows)) = frame.size.filter(|_| self.pty) {
            self.resize(cols, rows);
        }
        self.past.begins.get_or_insert(frame.offset);
        let known = self.next.saturating_sub(frame.offset);
        let Some(bytes) = frame.data.get(known as usize..) else {
            return;
        };
        self.next = self.next.max(frame.end());
        let from = self.cursor_line();
        if self.pty {
            self.screen.feed(bytes);
        } else {
            self.feed_pipe(frame.kind, bytes);
        }
        self.mark_times(from, self.cursor_line(), frame.time);
    }

    /// Takes a screen in place of all output before it. Where that is because too much came at once, the lines above it
    /// are loaded once it is calm.
    pub fn snapshot(&mut self, snapshot: &TerminalSnapshot, now: Timestamp) {
        let wait = if std::mem::take(&mut self.resumes) {
            0
        } else {
            CALM_MS
        };
        self.forget_kept();
        self.start_over(snapshot.cols, snapshot.rows, snapshot.offset);
        self.screen.feed(&snapshot.data.0);
        self.past.restores_at = (snapshot.offset > 0).then(|| Timestamp(now.0 + wait));
    }

    /// Starts with a blank screen at an offset.
    pub(super) fn start_over(&mut self, cols: u16, rows: u16, offset: u64) {
        self.screen = Screen::keeping(cols, rows, SCROLLBACK);
        self.next = offset;
        (self.kind, self.last) = (Kind::Output, 0);
        self.past = Past::starting_at(offset);
        self.times = Times::default();
        self.top = None;
        self.copy = None;
    }

    /// The offset after the last byte that has come.
    pub fn seen(&self) -> u64 {
        self.next
    }

    /// Takes note of output that will not come.
    pub fn missing(&mut self, to: u64) {
        self.catch_up();
        self.resumes = false;
        self.next = self.next.max(to);
        self.gap = true;
    }

    /// Feeds what came through a pipe: line feeds get their carriage returns, and stderr and opsctl's
    /// own words their look.
    fn feed_pipe(&mut self, kind: Kind, bytes: &[u8]) {
        if kind != self.kind {
            self.kind = kind;
            self.screen.feed(match kind {
                Kind::Output => b"\x1b[0m",
                Kind::Error => b"\x1b[0;31m",
                Kind::Info => b"\x1b[0;2m",
            });
        }
        let mut translated = Vec::with_capacity(bytes.len() + bytes.len() / 16);
        for &byte in bytes {
            if byte == b'\n' && self.last != b'\r' {
                translated.push(b'\r');
            }
            translated.push(byte);
            self.last = byte;
        }
        self.screen.feed(&translated);
    }

    /// Fits a command without a terminal of its own to its view.
    pub fn fit(&mut self, cols: u16, rows: u16) {
        if !self.pty && cols > 0 && rows > 0 {
            self.resize(cols, rows);
        }
    }

    /// The part of a view that has the lines; the rest has their times. There is none for those where lines would hardly
    /// have any.
    pub fn beside_times(&self, view: Rect) -> Rect {
        if !self.shows_times || view.width < TIMES + LINES_LEAST {
            return view;
        }
        Rect {
            x: view.x + TIMES,
            width: view.width - TIMES,
            ..view
        }
    }

    /// Columns and rows for lines in a view of `size`.
    pub fn size_beside_times(&self, (cols, rows): (u16, u16)) -> (u16, u16) {
        (self.beside_times(Rect::new(0, 0, cols, rows)).width, rows)
    }

    /// Whether the newest output stays in view.
    pub fn follows(&self) -> bool {
        self.top.is_none()
    }

    /// Follows the output again.
    pub fn follow(&mut self) {
        self.top = None;
        self.forget_older();
        self.copy = None;
    }

    /// Lines that have come since following was paused.
    pub fn lines_since(&self) -> u64 {
        if self.follows() {
            0
        } else {
            self.screen.scrolled() - self.paused_at
        }
    }

    /// Moves the view by lines, down if positive, within a view of `size`. Down to the end follows.
    pub fn scroll(&mut self, lines: i64, size: (u16, u16)) {
        if lines < 0 {
            self.past.want();
        }
        let newest = lines::top(&self.screen) as i64 + i64::from(self.following(size).line);
        let oldest = *lines::all(&self.screen).start() as i64;
        let now = self.top.map_or(newest, |top| top as i64).max(oldest);
        let target = now.saturating_add(lines).max(oldest);
        if target >= newest && self.copy.is_none() {
            self.follow();
        } else {
            if self.top.is_none() {
                self.paused_at = self.screen.scrolled();
            }
            self.top = Some(target.min(newest) as u64);
        }
    }

    /// Is at no match any more where the one that was gone to is out of sight.
    pub(super) fn leave_match(&mut self, size: (u16, u16)) {
        let top = self.top_line(size);
        let shown = top..top + u64::from(size.1);
        if let Some(search) = &mut self.search {
            search.leave(&shown);
        }
    }

    /// The number of the line at the top of a view of `size`.
    pub fn top_line(&self, size: (u16, u16)) -> u64 {
        lines::top(&self.screen).saturating_add_signed(self.window(size).line.into())
    }

    /// Scrolls as far as needed for a place to be seen.
    fn reveal(&mut self, place: Place, size: (u16, u16)) {
        let top = self.top_line(size);
        let rows = u64::from(size.1.max(1));
        let by = if place.line < top {
            place.line as i64 - top as i64
        } else if place.line >= top + rows {
            place.line as i64 - (top + rows - 1) as i64
        } else {
            0
        };
        self.scroll(by, size);
        let col = self.window(size).col;
        if !(col..col.saturating_add(size.0)).contains(&place.col) {
            self.pan(
                i32::from(place.col) - i32::from(col) - i32::from(size.0 / 2),
                size,
            );
        }
    }

    /// Goes to the next match from a place on.
    pub fn go_match(&mut self, from: Place, older: bool, size: (u16, u16)) {
        let Some(search) = &mut self.search else {
            return;
        };
        if let Some(found) = search.go(&self.screen, from, older) {
            if let Some(copy) = &mut self.copy {
                copy.cursor = found.start;
            }
            self.reveal(found.start, size);
        }
    }

    /// Starts or changes copy mode; what is looked at stays.
    pub fn start_copy(&mut self, copy: Copy, size: (u16, u16)) {
        self.copy = Some(copy);
        self.reveal(copy.cursor, size);
    }

    /// Moves the cursor of copy mode.
    pub fn step_copy(&mut self, step: Step, size: (u16, u16)) {
        if let Some(mut copy) = self.copy {
            copy.step(&self.screen, step);
            self.start_copy(copy, size);
        }
    }

    /// The target of the hyperlink (OSC 8) at a place.
    pub fn link(&self, place: Place) -> Option<String> {
        lines::row(&self.screen, place.line)?
            .cell(place.col)?
            .link()
    }

    /// Gives up the lines above the screen; of pipes, those on it too.
    pub fn clear(&mut self) {
        self.screen.clear_history();
        if !self.pty {
            self.screen.feed(b"\x1b[2J\x1b[H");
            self.screen.clear_history();
        }
        self.forget_times();
        self.follow();
    }

    /// Moves the view by columns.
    pub fn pan(&mut self, cols: i32, size: (u16, u16)) {
        let most = self.screen.size().0.saturating_sub(size.0);
        let now = self.window(size).col;
        self.pan = now
            .saturating_add_signed(cols.clamp(-1000, 1000) as i16)
            .min(most);
    }

    /// The part that a view of `size` (columns, rows) shows.
    pub fn window(&self, size: (u16, u16)) -> Window {
        let following = self.following(size);
        let line = self.top.map_or(following.line, |top| {
            let oldest = -(self.screen.history() as i64);
            (top as i64 - lines::top(&self.screen) as i64).max(oldest) as i32
        });
        let col = if self.pan > 0 {
            self.pan
        } else {
            following.col
        };
        Window {
            line,
            col: col.min(self.screen.size().0.saturating_sub(size.0)),
        }
    }

    /// What a view of `size` (columns, rows) at `window` leaves out of the screen. Blanks are no loss.
    pub fn hides(&self, window: Window, (width, height): (u16, u16)) -> More {
        let (cols, rows) = self.screen.size();
        let end = window.line.saturating_add(height.into());
        let has_text = |line: i32, from: u16| {
            let row = self.screen.row(line);
            row.is_some_and(|row| row.cells().skip(from.into()).any(|cell| !cell.is_blank()))
        };
        let first_hidden = window.col.saturating_add(width);
        More {
            left: window.col > 0,
            right: first_hidden < cols
                && (window.line..end).any(|line| has_text(line, first_hidden)),
            above: window.line > 0,
            below: (end.max(0)..rows.into()).any(|line| self.follows() && has_text(line, 0)),
        }
    }

    /// The last of what there is, from the first column on: for a look in passing at so many rows.
    pub fn tail(&self, rows: u16) -> Window {
        let all = self.screen.size().1;
        let cursor = self.screen.cursor();
        let lowest = if cursor.visible { cursor.row } else { 0 };
        let has_text = |row: &u16| {
            let row = self.screen.row(i32::from(*row));
            row.is_some_and(|row| row.cells().any(|cell| !cell.is_blank()))
        };
        let last = (lowest..all).rev().find(has_text).unwrap_or(lowest);
        Window {
            line: i32::from((last + 1).saturating_sub(rows)),
            col: 0,
        }
    }

    /// The part with the cursor, for a terminal that is larger than its view. Watching never resizes.
    fn following(&self, size: (u16, u16)) -> Window {
        let (cols, rows) = self.screen.size();
        let cursor = self.screen.cursor();
        if !cursor.visible {
            return Window { line: 0, col: 0 };
        }
        let line = (cursor.row + 1)
            .saturating_sub(size.1)
            .min(rows.saturating_sub(size.1));
        let col = (cursor.col + 1)
            .saturating_sub(size.0)
            .min(cols.saturating_sub(size.0));
        Window {
            line: i32::from(line),
            col,
        }
    }
}
