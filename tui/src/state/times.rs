//! When the lines of a pane arrived: runs of lines that came in the same second.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use opsctl_protocol::Timestamp;
use opsctl_terminal::Texts;

use super::Pane;
use super::lines;

/// Milliseconds in what is told apart.
const SECOND: u64 = 1000;

/// A time in whole seconds since 1970, which 32 bits hold until 2106: a pane has up to 10,000 of these. `None` where
/// nothing is known.
type Second = Option<NonZeroU32>;

/// Lines from one on up to the next run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    line: u64,
    second: Second,
}

/// When lines arrived, by their numbers. Runs of lines that a pane no longer holds are given up, so that there are at
/// most about as many as its scrollback has lines.
#[derive(Debug, Default)]
pub struct Times {
    runs: VecDeque<Run>,
}

impl Times {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many runs are held.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// When a line arrived, to the second; `None` where that isn't known.
    pub fn at(&self, line: u64) -> Option<Timestamp> {
        let second = self.second(line)?;
        Some(Timestamp(u64::from(second.get()) * SECOND))
    }

    fn second(&self, line: u64) -> Second {
        let after = self.runs.partition_point(|run| run.line <= line);
        self.runs.get(after.checked_sub(1)?)?.second
    }

    /// Output of `time` has reached the lines from `first` to `last`. A line has the time of its last part.
    pub(super) fn mark(&mut self, first: u64, last: u64, time: Timestamp) {
        let below = self.second(last + 1);
        let from = self.runs.partition_point(|run| run.line < first);
        // What is further down than the output reached keeps its time; a program may have gone up.
        let kept: Vec<Run> = self.runs.range(from..).copied().collect();
        self.runs.truncate(from);
        self.push(first, second(time));
        self.push(last + 1, below);
        for run in kept.into_iter().filter(|run| run.line > last + 1) {
            self.push(run.line, run.second);
        }
    }

    fn push(&mut self, line: u64, second: Second) {
        if self.runs.back().and_then(|run| run.second) != second {
            self.runs.push_back(Run { line, second });
        }
    }

    /// Gives up what is known of lines before `oldest`.
    pub(super) fn forget_before(&mut self, oldest: u64) {
        while self.runs.get(1).is_some_and(|next| next.line <= oldest) {
            self.runs.pop_front();
        }
        if let Some(run) = self.runs.front_mut() {
            run.line = run.line.max(oldest);
        }
        if self.runs.len() < self.runs.capacity() / 4 {
            self.runs.shrink_to_fit();
        }
    }

    /// Lines have other numbers. A run that begins within a text begins with the next one now: a text has the time of
    /// its first line. `top` is the line at the top of the screen, from which both count.
    pub(super) fn renumber(&mut self, top: u64, before: &Texts, after: &Texts) {
        for run in std::mem::take(&mut self.runs) {
            let place = run.line as i64 - top as i64;
            let text = before
                .starts
                .partition_point(|start| i64::from(*start) < place);
            // Texts are the same from the one with the cursor upwards and downwards, however many lines each has.
            let text = (text + after.cursor).saturating_sub(before.cursor);
            let Some(start) = after.starts.get(text).or(after.starts.last()) else {
                continue;
            };
            let line = top.saturating_add_signed(i64::from(*start));
            while self.runs.back().is_some_and(|last| last.line >= line) {
                self.runs.pop_back();
            }
            self.push(line, run.second);
        }
    }

    /// Takes what `older` knows of lines that nothing is known of here. Its lines have numbers that are `by` too small.
    pub(super) fn take_older(&mut self, older: &Self, by: i64) {
        let own = std::mem::take(&mut self.runs);
        let first = own.front().map_or(u64::MAX, |run| run.line);
        for run in &older.runs {
            let line = run.line.saturating_add_signed(by);
            if line < first {
                self.push(line, run.second);
            }
        }
        for run in own {
            self.push(run.line, run.second);
        }
    }
}

fn second(time: Timestamp) -> Second {
    NonZeroU32::new(u32::try_from(time.0 / SECOND).unwrap_or(u32::MAX))
}

impl Pane {
    /// The line of the cursor, except on the alternate screen, whose lines have no numbers.
    pub(super) fn cursor_line(&self) -> Option<u64> {
        let primary = !self.screen.modes().alternate_screen;
        primary.then(|| lines::top(&self.screen) + u64::from(self.screen.cursor().row))
    }

    /// Takes note that output of `time` led from one line to another.
    pub(super) fn mark_times(&mut self, from: Option<u64>, to: Option<u64>, time: Timestamp) {
        let (Some(from), Some(to)) = (from.or(to), to.or(from)) else {
            return;
        };
        self.times.mark(from.min(to), from.max(to), time);
        self.forget_times();
    }

    /// Gives up the times of lines that are no longer held.
    pub(super) fn forget_times(&mut self) {
        if !self.screen.modes().alternate_screen {
            self.times.forget_before(*lines::all(&self.screen).start());
        }
    }

    /// Gives the terminal another size. Lines keep their times where they are wrapped anew, and where more rows bring
    /// some back or fewer push some out.
    pub(super) fn resize(&mut self, cols: u16, rows: u16) {
        if self.screen.size() == (cols, rows) || self.times.is_empty() {
            self.screen.resize(cols, rows);
            return;
        }
        let before = self.screen.texts();
        self.screen.resize(cols, rows);
        let after = self.screen.texts();
        self.times
            .renumber(lines::top(&self.screen), &before, &after);
    }

    /// Takes the times of lines that were loaded: `until` had scrolled out when the other pane was at its end.
    pub(super) fn take_times(&mut self, older: &Self, until: u64) {
        // Lines of another width have other numbers. That is so only where the size changed while they were read.
        if older.screen.size().0 == self.screen.size().0 {
            let by = until as i64 - older.screen.scrolled() as i64;
            self.times.take_older(&older.times, by);
            self.forget_times();
        }
    }

    /// When the line at `line`, as [`opsctl_terminal::Screen::row`] counts, arrived, if that is known. Blank lines below
    /// the cursor never did.
    pub fn arrived(&self, line: i32) -> Option<Timestamp> {
        let cursor = self.cursor_line()?;
        let number = lines::top(&self.screen).saturating_add_signed(line.into());
        let blank = || {
            self.screen
                .row(line)
                .is_none_or(|row| row.text().is_empty())
        };
        if number > cursor && blank() {
            return None;
        }
        self.times.at(number)
    }
}
