//! Lines that a pane no longer holds, or never did: they are read from the daemon's log, emulated aside, and
//! put before those that it has.

use opsctl_protocol::Timestamp;
use opsctl_protocol::frame::OutputFrame;
use opsctl_protocol::message::CommandSummary;
use opsctl_terminal::Limit;

use super::pane::SCROLLBACK;
use super::work::Progress;
use super::{Effect, Pane, State};

/// What a pane keeps while the person reads older lines. Beyond this there is the editor and `opsctl logs`.
const LIMIT: Limit = Limit {
    lines: 200_000,
    bytes: 64 * 1024 * 1024,
};

/// Bytes of output that are read first; each further time it is [`GROWTH`] times as much.
const FIRST: u64 = 2 * 1024 * 1024;

/// Bytes of output that bring back what a pane usually keeps.
const RESTORED: u64 = 8 * 1024 * 1024;

/// Reading starts over each time, so that it must grow by more than a little.
const GROWTH: u64 = 4;

/// Older output that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// Whose.
    pub command: CommandSummary,
    /// Columns and rows of the terminal, where the output doesn't say.
    pub size: (u16, u16),
    /// The first byte to read; 0, or somewhere within a line.
    pub from: u64,
    /// The byte after the last.
    pub to: u64,
    /// How many lines had scrolled out when `to` had come.
    pub until: u64,
    /// How much of it is kept.
    pub limit: Limit,
}

impl Older {
    /// What tells it from what was asked for another screen of the same command: the bytes to read, and the line before
    /// which they belong.
    fn span(&self) -> (u64, u64, u64) {
        (self.from, self.to, self.until)
    }

    /// A pane to emulate the output in.
    pub fn pane(&self) -> Pane {
        let mut pane = Pane::new(&self.command);
        pane.screen.set_scrollback(self.limit);
        pane.screen.resize(self.size.0, self.size.1);
        pane
    }

    /// The part of a piece that was asked for; the start of a line whose rest was not is left out.
    pub fn part(&self, mut frame: OutputFrame, begun: &mut bool) -> OutputFrame {
        let length = self.to.saturating_sub(frame.offset);
        frame
            .data
            .truncate(usize::try_from(length).unwrap_or(usize::MAX));
        if !std::mem::replace(begun, true) && self.from > 0 {
            let line = frame.data.iter().position(|byte| *byte == b'\n');
            let skipped = line.map_or(frame.data.len(), |at| at + 1);
            *begun = line.is_some();
            frame.data = frame.data.split_off(skipped);
            frame.offset += skipped as u64;
        }
        frame
    }
}

/// Older output that is being loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loading {
    /// In bytes.
    pub progress: Progress,
    /// Whether the person has asked for it by scrolling; else it is put back by itself.
    is_asked: bool,
    /// What is read, as [`Older::span`] tells it: an answer about anything else is for nobody.
    span: (u64, u64, u64),
}

/// How a pane stands with what it doesn't hold.
#[derive(Debug)]
pub struct Past {
    /// Where the output that the pane holds begins, once something has come.
    pub begins: Option<u64>,
    /// How far older output is that is being loaded.
    pub loading: Option<Loading>,
    /// Whether the person has cancelled loading: then there is none until they scroll up again.
    declined: bool,
    /// Bytes that were asked for last.
    asked: u64,
    /// Whether some of it was given up when the person went back to the end.
    forgotten: bool,
    /// Whether the limit allows no more.
    full: bool,
    /// When to load what was given up while the pane was hidden, or what a screen came in place of.
    pub(super) restores_at: Option<Timestamp>,
    /// How much is kept when the pane is shown.
    pub(super) limit: Limit,
    /// Bytes that the scrollback took before some of it was given up.
    pub(super) held: u64,
}

impl Default for Past {
    fn default() -> Self {
        Self {
            begins: None,
            loading: None,
            declined: false,
            asked: 0,
            forgotten: false,
            full: false,
            restores_at: None,
            limit: SCROLLBACK,
            held: 0,
        }
    }
}

impl Past {
    /// Of a pane that starts at this offset.
    pub fn starting_at(offset: u64) -> Self {
        Self {
            begins: Some(offset),
            ..Self::default()
        }
    }

    /// How far loading is that the person has asked for.
    pub(super) fn asked_for(&self) -> Option<Progress> {
        let loading = self.loading.filter(|loading| loading.is_asked);
        loading.map(|loading| loading.progress)
    }

    /// What is being loaded isn't wanted any more, and nothing comes by itself in its place.
    pub(super) fn give_up(&mut self) {
        self.loading = None;
        self.restores_at = None;
        self.declined = true;
    }

    /// The person scrolls up, and wants what there is.
    pub(super) fn want(&mut self) {
        self.declined = false;
    }

    fn load(&mut self, older: &Older, is_asked: bool, now: Timestamp) {
        self.loading = Some(Loading {
            progress: Progress::of(older.to - older.from, now),
            is_asked,
            span: older.span(),
        });
    }

    /// Whether this is what is being loaded.
    fn loads(&self, older: &Older) -> bool {
        self.loading.map(|loading| loading.span) == Some(older.span())
    }
}

impl Pane {
    /// Whether there are older lines than those that are held, and room for them.
    fn has_older(&self) -> bool {
        let lost = self.past.forgotten || self.screen.scrolled() > self.screen.history() as u64;
        let before = self.past.begins.is_some_and(|begins| begins > 0);
        self.past.loading.is_none()
            && !self.past.declined
            && !self.past.full
            && !self.screen.modes().alternate_screen
            && (lost || before)
    }

    /// What to load next.
    fn next_older(&mut self, command: CommandSummary, now: Timestamp) -> Older {
        let most = self.seen();
        let taken = self.screen.history_bytes() as u64;
        self.past.asked = self.past.asked.max(taken).saturating_mul(GROWTH).max(FIRST);
        // Output that is shown takes part in it: what is asked for must reach beyond that.
        let held = most - self.past.begins.unwrap_or(0).min(most);
        let asked = if self.past.begins == Some(0) {
            self.past.asked
        } else {
            held + self.past.asked
        };
        let from = most.saturating_sub(asked);
        let older = Older {
            command,
            size: self.screen.size(),
            from,
            to: most,
            until: self.screen.scrolled(),
            limit: LIMIT,
        };
        self.past.load(&older, true, now);
        older
    }

    /// When it is time to load scrollback that it had, or would have; `None` while it isn't shown.
    pub(super) fn restores_at(&self) -> Option<Timestamp> {
        let ready = self.past.loading.is_none() && !self.resumes && !self.is_hidden();
        self.past.restores_at.filter(|_| ready)
    }

    /// The output whose lines were given up.
    pub(super) fn restoration(&mut self, command: CommandSummary, now: Timestamp) -> Older {
        self.past.restores_at = None;
        let to = self.seen();
        // A line takes about as many bytes packed as it came with, but for what was drawn over.
        let asked = self.past.asked.max(2 * self.past.held).max(RESTORED);
        let from = to.saturating_sub(asked);
        let older = Older {
            command,
            size: self.screen.size(),
            from,
            to,
            until: self.screen.scrolled(),
            limit: self.past.limit,
        };
        self.past.load(&older, false, now);
        older
    }

    /// Takes older lines before those that are held.
    fn take_older(&mut self, pane: &Self, older: &Older) {
        self.past.loading = None;
        let since = self.screen.scrolled() - older.until;
        // Fewer than there are: a program that draws much and scrolls little. More is asked for next time.
        if pane.screen.history() as u64 + since < self.screen.history() as u64 {
            self.take_times(pane, older.until);
            return;
        }
        self.past.forgotten = false;
        self.past.full =
            older.limit == LIMIT && pane.screen.scrolled() > pane.screen.history() as u64;
        self.past.begins = Some(older.from);
        self.screen.set_scrollback(older.limit);
        self.screen.put_older(&pane.screen, older.until);
        self.take_times(pane, older.until);
    }

    /// Keeps no more than usual again.
    pub(super) fn forget_older(&mut self) {
        if self.screen.scrollback() == LIMIT {
            let before = self.screen.history();
            self.screen.set_scrollback(SCROLLBACK);
            self.forget_times();
            self.past.forgotten |= self.screen.history() < before;
        }
        self.past.asked = 0;
        self.past.full = false;
        self.past.declined = false;
    }
}

impl State {
    /// Loads older lines when the oldest that the pane holds is looked at.
    pub(super) fn load_older(&mut self) -> Vec<Effect> {
        let Some(pane) = self.panes.current().filter(|pane| !pane.follows()) else {
            return Vec::new();
        };
        let size = pane.size_beside_times(self.layout.inner(self.panes.focused));
        let at_oldest = pane.top_line(size) == *super::lines::all(&pane.screen).start();
        let summary = self.summary(&pane.command).cloned();
        let Some(summary) =
            summary.filter(|_| at_oldest && pane.has_older() && self.connection.is_connected())
        else {
            return Vec::new();
        };
        let now = self.now;
        let pane = &mut self.panes.list[self.panes.focused];
        vec![Effect::LoadOlder(Box::new(pane.next_older(summary, now)))]
    }

    /// Older output has come. Where a screen has come in place of the pane's, or the pane is another one, it is for nobody.
    pub(super) fn older(&mut self, read: &Pane, older: &Older) {
        let pane = self.panes.of(older.command.command_id);
        if let Some((_, pane)) = pane.filter(|(_, pane)| pane.past.loads(older)) {
            // Who has gone back to the end doesn't need it any more.
            let needless = pane.follows() && older.limit == LIMIT;
            if needless || pane.is_hidden() {
                pane.past.loading = None;
                if !needless {
                    pane.past.restores_at = Some(self.now);
                }
            } else {
                pane.take_older(read, older);
            }
            if pane.past.full {
                self.notify(
                    "there is more than a pane takes: `opsctl logs` has all of it",
                    false,
                );
            }
        }
    }
}
