//! The view Connections: who else is connected, in which order, and how much comes here.

use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{
    AgentConnection, ConnectionInfo, ConnectionList, ConnectionQuery, Role, Traffic as Wire,
};

use super::{Effect, State, View};

/// How often the view asks who is there, in milliseconds: as long as the daemon takes its rates over.
const ASK_MS: u64 = 2000;

/// Connections of either kind that are asked for, so that sorting finds among all of them: as many as the daemon tells.
const ASKED: u32 = 1000;

/// The time over which what comes is counted, in milliseconds.
const WINDOW_MS: u64 = 1000;

/// What the view shows beside the connection itself.
#[derive(Debug, Default)]
pub struct Connections {
    /// Who is connected, as last told; none while nobody has said, or where the role may not know.
    pub others: Option<ConnectionList>,
    /// How they are sorted.
    pub order: Order,
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

/// How connections are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Those that have been there longest first.
    #[default]
    Longest,
    /// The agents that are slowest to answer first; dashboards tell no latency, and are as before.
    Slowest,
    /// Those over which most bytes go first, both ways together.
    Busiest,
    /// By name, dashboards by whose they are.
    Name,
    /// By where they come from.
    Address,
}

impl Order {
    /// The next one of the round.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Longest => Self::Slowest,
            Self::Slowest => Self::Busiest,
            Self::Busiest => Self::Name,
            Self::Name => Self::Address,
            Self::Address => Self::Longest,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Longest => "the longest there first",
            Self::Slowest => "the slowest to answer first",
            Self::Busiest => "the busiest first",
            Self::Name => "by name",
            Self::Address => "by address",
        }
    }
}

fn busy(received: &Wire, sent: &Wire) -> std::cmp::Reverse<u64> {
    std::cmp::Reverse(
        received
            .bytes_per_second
            .saturating_add(sent.bytes_per_second),
    )
}

impl Connections {
    /// The dashboards, sorted. Equal ones stay as the daemon tells them.
    pub fn dashboards(&self) -> Vec<&ConnectionInfo> {
        let known = self.others.iter();
        let mut all: Vec<&ConnectionInfo> = known.flat_map(|list| &list.connections).collect();
        match self.order {
            Order::Longest | Order::Slowest => {}
            Order::Busiest => all.sort_by_key(|it| busy(&it.received, &it.sent)),
            Order::Name => all.sort_by(|a, b| a.subject.cmp(&b.subject)),
            Order::Address => all.sort_by(|a, b| a.address.cmp(&b.address)),
        }
        all
    }

    /// The agents, sorted. Equal ones stay as the daemon tells them.
    pub fn agents(&self) -> Vec<&AgentConnection> {
        let known = self.others.iter();
        let mut all: Vec<&AgentConnection> = known.flat_map(|list| &list.agents).collect();
        match self.order {
            Order::Longest => {}
            Order::Slowest => all.sort_by_key(|it| std::cmp::Reverse(it.latency_ms)),
            Order::Busiest => all.sort_by_key(|it| busy(&it.received, &it.sent)),
            Order::Name => all.sort_by(|a, b| a.agent_id.cmp(&b.agent_id)),
            Order::Address => all.sort_by(|a, b| a.address.cmp(&b.address)),
        }
        all
    }
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
        vec![Effect::Connections(ConnectionQuery { limit: Some(ASKED) })]
    }

    /// When the view's rates will read differently.
    pub(super) fn rates_change(&self) -> Option<Timestamp> {
        (self.view == View::Connections).then(|| Timestamp(self.now.0 + WINDOW_MS))
    }
}
