//! The view Connections: who else watches, and how much comes here.

use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{ConnectionList, ConnectionQuery, Role};

use super::{Effect, State, View};

/// How often the view asks who is there, in milliseconds.
const ASK_MS: u64 = 5000;

/// The time over which what comes is counted, in milliseconds.
const WINDOW_MS: u64 = 1000;

/// What the view shows beside the connection itself.
#[derive(Debug, Default)]
pub struct Connections {
    /// Who is connected, as last told; none while nobody has said, or where the role may not know.
    pub others: Option<ConnectionList>,
    /// When that was asked for last.
    asked: Option<Timestamp>,
    /// How far the view is scrolled.
    pub line: usize,
    /// What came in the window before, and comes in this one.
    pub before: Traffic,
    current: Traffic,
    /// When this window began.
    since: Timestamp,
}

/// What came in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages and pieces of output.
    pub messages: u64,
    /// Bytes of output.
    pub bytes: u64,
}

impl Connections {
    /// Counts a message with so many bytes of output.
    pub(super) fn count(&mut self, bytes: usize, now: Timestamp) {
        self.turn(now);
        self.current.messages += 1;
        self.current.bytes += bytes as u64;
    }

    /// Begins a new window where the last one is over.
    pub(super) fn turn(&mut self, now: Timestamp) {
        let passed = now.0.saturating_sub(self.since.0);
        if passed < WINDOW_MS {
            return;
        }
        // Of a window that was over long ago nothing came in the last second.
        let counted = std::mem::take(&mut self.current);
        self.before = if passed < 2 * WINDOW_MS {
            counted
        } else {
            Traffic::default()
        };
        self.since = now;
    }
}

impl State {
    /// Asks who is connected, while the view is shown and now and then.
    pub(super) fn ask_connections(&mut self) -> Vec<Effect> {
        let operates = self.role.is_some_and(Role::may_operate);
        if self.view != View::Connections || !operates || !self.connection.is_connected() {
            return Vec::new();
        }
        let lately = |at: Timestamp| self.now.0.saturating_sub(at.0) < ASK_MS;
        if self.connections.asked.is_some_and(lately) {
            return Vec::new();
        }
        self.connections.asked = Some(self.now);
        vec![Effect::Connections(ConnectionQuery::default())]
    }

    /// When the view's rates will read differently.
    pub(super) fn rates_change(&self) -> Option<Timestamp> {
        (self.view == View::Connections).then(|| Timestamp(self.now.0 + WINDOW_MS))
    }
}
