//! Panes that aren't shown. Nothing of theirs is parsed: what comes is kept as it is, and little of it. What is more
//! stays with the daemon, which is asked for it when the pane is shown again. After a while the scrollback goes too, and
//! comes back from the daemon's log.

use std::collections::VecDeque;

use bytes::Bytes;
use opsctl_protocol::message::Since;
use opsctl_protocol::{CommandId, OutputFrame, Timestamp};
use opsctl_terminal::Limit;

use super::{Effect, Pane, State, channel};

/// Bytes of output that a hidden pane keeps, each piece counted with [`PIECE`]. With the screen of a terminal of 200x60
/// (0.6 MB with its alternate one) and [`RESTING`] it stays below 1 MB. When it is full, the subscription is given up.
const BACKLOG: usize = 128 * 1024;

/// What a piece of output takes beside its bytes.
const PIECE: usize = size_of::<OutputFrame>() + 64;

/// How long a hidden pane keeps its scrollback, in milliseconds: who goes to and fro shall not load it each time.
const REST_MS: u64 = 10_000;

/// The scrollback of a pane that has been hidden for longer.
const RESTING: Limit = Limit {
    lines: super::pane::SCROLLBACK.lines,
    bytes: 128 * 1024,
};

/// Output that was missed and is still read whole; the screen alone comes where it is more. More lines than a pane keeps,
/// unless they are long, and parsed within a blink.
pub const CATCH_UP: u64 = 4 * 1024 * 1024;

/// A pane that isn't shown.
#[derive(Debug)]
pub(super) struct Hidden {
    since: Timestamp,
    /// Output that has come since then; at most [`BACKLOG`].
    backlog: VecDeque<OutputFrame>,
    bytes: usize,
    /// Whether there was more than that, and the output is no longer subscribed.
    is_away: bool,
    /// Whether the scrollback was given up.
    rests: bool,
}

/// From where a command's output is heard again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// From this byte.
    Offset(u64),
    /// From its screen as it is.
    Screen,
}

impl From {
    /// For who has seen the output up to `next` of `end` bytes.
    pub fn after(next: u64, end: u64, pty: bool) -> Self {
        if end.saturating_sub(next) <= CATCH_UP {
            Self::Offset(next)
        } else if pty {
            Self::Screen
        } else {
            Self::Offset(end - CATCH_UP)
        }
    }

    /// The same in a subscription.
    pub fn since(self) -> Option<Since> {
        match self {
            Self::Offset(offset) => Some(Since {
                offset: Some(offset),
                ..Since::default()
            }),
            Self::Screen => None,
        }
    }
}

impl Pane {
    /// Whether it isn't shown.
    pub fn is_hidden(&self) -> bool {
        self.hidden.is_some()
    }

    fn hide(&mut self, now: Timestamp) {
        self.hidden.get_or_insert_with(|| Hidden {
            since: now,
            backlog: VecDeque::new(),
            bytes: 0,
            is_away: false,
            rests: false,
        });
    }

    /// Takes a piece of output for later. False when there is no room, and from then on the daemon keeps it.
    pub(super) fn keep(&mut self, frame: &OutputFrame) -> bool {
        if self.is_stale(frame) {
            return true;
        }
        let Some(hidden) = self.hidden.as_mut().filter(|hidden| !hidden.is_away) else {
            return true;
        };
        let size = frame.data.len() + PIECE;
        if hidden.bytes + size > BACKLOG {
            hidden.is_away = true;
            return false;
        }
        hidden.bytes += size;
        // A piece may share the memory of a far larger read.
        let data = Bytes::copy_from_slice(&frame.data);
        hidden.backlog.push_back(OutputFrame {
            data,
            ..frame.clone()
        });
        true
    }

    /// Parses what has been kept; the pane stays hidden.
    pub(super) fn catch_up(&mut self) {
        let Some(hidden) = &mut self.hidden else {
            return;
        };
        hidden.bytes = 0;
        let rests = hidden.rests;
        let backlog = std::mem::take(&mut hidden.backlog);
        // Lines that were broken anew for a narrower screen are more than have been scrolled.
        let given_up = |pane: &Self| pane.screen.scrolled() as i64 - pane.screen.history() as i64;
        let before = given_up(self);
        for frame in backlog {
            self.output(&frame);
        }
        // There is hardly room for lines while it rests: they come back with the others when it is shown.
        if rests && given_up(self) > before {
            self.past.restores_at.get_or_insert(Timestamp(0));
        }
        // Questions in it were asked while nobody looked.
        self.screen.take_replies();
    }

    /// Forgets what has been kept: something newer has come.
    pub(super) fn forget_kept(&mut self) {
        if let Some(hidden) = &mut self.hidden {
            hidden.bytes = 0;
            hidden.backlog.clear();
        }
    }

    /// Is looked at again. The result is what to ask the daemon for.
    fn show(&mut self) -> Option<Effect> {
        // What was kept needs the room that the pane has when it is shown.
        if self.hidden.as_ref()?.rests {
            self.screen.set_scrollback(self.past.limit);
        }
        self.catch_up();
        let hidden = self.hidden.take()?;
        hidden.is_away.then(|| {
            self.resumes = true;
            Effect::Resume {
                command: self.command,
                next: self.seen(),
            }
        })
    }

    /// Whether its output is no longer subscribed.
    pub(super) fn is_away(&self) -> bool {
        self.hidden.as_ref().is_some_and(|hidden| hidden.is_away)
    }

    /// When the scrollback goes.
    fn rests_at(&self) -> Option<Timestamp> {
        let hidden = self.hidden.as_ref().filter(|hidden| !hidden.rests)?;
        Some(Timestamp(hidden.since.0 + REST_MS))
    }

    fn rest(&mut self, now: Timestamp) {
        if self.rests_at().is_none_or(|at| at > now) {
            return;
        }
        let before = self.screen.history();
        self.past.limit = self.screen.scrollback();
        self.past.held = self.screen.history_bytes() as u64;
        self.screen.set_scrollback(RESTING);
        self.forget_times();
        if self.screen.history() < before {
            self.past.restores_at = Some(now);
        }
        if let Some(hidden) = &mut self.hidden {
            hidden.rests = true;
        }
    }

    /// Its output comes again, from here on; what comes later than that belongs to an older subscription.
    fn resume(&mut self, from: From, now: Timestamp) {
        if let From::Offset(offset) = from
            && offset > self.seen()
        {
            let (cols, rows) = self.screen.size();
            self.start_over(cols, rows, offset);
            self.past.restores_at = Some(now);
        }
    }

    /// Whether a piece of output is of a subscription that was given up, while the new one's is awaited.
    pub(super) fn is_stale(&mut self, frame: &OutputFrame) -> bool {
        self.resumes &= frame.offset > self.seen();
        self.resumes
    }
}

impl State {
    /// Hides the panes that the layout doesn't show, and wakes those that it does.
    pub(super) fn look_at_shown(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        let glanced = self.glanced_command();
        for (index, pane) in self.panes.list.iter_mut().enumerate() {
            let is_shown = self.layout.panes.iter().any(|(shown, _)| *shown == index);
            if is_shown || glanced == Some(pane.command) {
                effects.extend(pane.show());
            } else {
                pane.hide(self.now);
            }
        }
        effects.extend(self.restore());
        effects
    }

    /// Loads the scrollback that panes gave up while they were hidden.
    fn restore(&mut self) -> Vec<Effect> {
        if !self.connection.is_connected() {
            return Vec::new();
        }
        let now = self.now;
        let due = |pane: &&Pane| pane.restores_at().is_some_and(|at| at <= now);
        let wanting = self.panes.list.iter().filter(due);
        let wanting: Vec<CommandId> = wanting.map(|pane| pane.command).collect();
        wanting
            .into_iter()
            .filter_map(|command| {
                let summary = self.summary(&command)?.clone();
                let (_, pane) = self.panes.of(command)?;
                Some(Effect::LoadOlder(Box::new(pane.restoration(summary, now))))
            })
            .collect()
    }

    /// When a pane's scrollback goes or comes next.
    pub(super) fn next_rest(&self) -> Option<Timestamp> {
        // Without a connection nothing can be loaded, and the change to one is told.
        let connected = self.connection.is_connected();
        let panes = self.panes.list.iter();
        let times =
            panes.flat_map(|pane| [pane.rests_at(), pane.restores_at().filter(|_| connected)]);
        times.flatten().min()
    }

    /// Takes the scrollback of panes that have been hidden for a while, and loads that of others.
    pub(super) fn rest(&mut self) -> Vec<Effect> {
        let now = self.now;
        self.panes.list.iter_mut().for_each(|pane| pane.rest(now));
        self.restore()
    }

    /// A hidden pane's output goes on.
    pub(super) fn resuming(&mut self, command: CommandId, from: From) {
        let now = self.now;
        if let Some((_, pane)) = self.panes.of(command) {
            pane.resume(from, now);
        }
    }

    /// Keeps output of a hidden pane, or gives its subscription up.
    pub(super) fn keep_hidden(&mut self, frame: &OutputFrame) -> Vec<Effect> {
        let pane = self.panes.of(frame.command_id);
        if pane.is_none_or(|(_, pane)| pane.keep(frame)) {
            return Vec::new();
        }
        vec![Effect::Unsubscribe(channel(frame.command_id))]
    }
}
