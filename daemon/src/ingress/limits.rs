//! What single peers may ask of the daemon.

use opsctl_protocol::message::{LimitsInfo, RateInfo};

use super::census::Caps;
use super::rate::Rates;

/// How many seconds' worth may come at once: enough for whoever comes back and says everything again.
const BURST_SECONDS: u32 = 10;

/// The bounds of all connections and of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many connections there may be.
    pub caps: Caps,
    /// How many agents the daemon may know before it takes new names only from tokens that hold them.
    pub agents: usize,
    /// `command:request`, each second.
    pub requests: u32,
    /// `command:query`, `terminal:queue` and `daemon:query`, each of them, each second.
    pub queries: u32,
    /// `subscribe` and `unsubscribe`, each of them, each second.
    pub subscriptions: u32,
    /// Everything that is published or told, each type, each second.
    pub events: u32,
    /// `terminal:type`, `terminal:cancel`, `command:interrupt`, `command:cancel`, `command:resize`, `agent:forget`,
    /// `connection:query` and `ping`, each of them, each second.
    pub control: u32,
}

/// What is answered when a type is not known: it counts like a type of its own.
pub(super) const UNKNOWN_TYPE: &str = "an unknown type";

impl Limits {
    /// For a dashboard. Input isn't here: who is slower than it comes is not read from meanwhile.
    pub fn dashboard(&self) -> Rates {
        vec![
            ("command:request", rate(self.requests)),
            ("command:query", rate(self.queries)),
            ("terminal:queue", rate(self.queries)),
            ("daemon:query", rate(self.queries)),
            ("subscribe", rate(self.subscriptions)),
            ("unsubscribe", rate(self.subscriptions)),
            ("publish", rate(self.events)),
            ("terminal:type", rate(self.control)),
            ("terminal:cancel", rate(self.control)),
            ("command:interrupt", rate(self.control)),
            ("command:cancel", rate(self.control)),
            ("command:resize", rate(self.control)),
            ("agent:forget", rate(self.control)),
            ("connection:query", rate(self.control)),
            ("ping", rate(self.control)),
            (UNKNOWN_TYPE, rate(self.control)),
        ]
    }

    /// For an agent. Output, gaps and statuses of commands aren't here: none of them may be left out, so that an agent that
    /// is faster than the daemon waits instead.
    pub fn agent(&self) -> Rates {
        vec![
            ("agent:status", rate(self.events)),
            ("publish", rate(self.events)),
            ("task_status", rate(self.events)),
            ("notification", rate(self.events)),
            ("activity_log", rate(self.events)),
            ("error", rate(self.control)),
            ("ping", rate(self.control)),
            (UNKNOWN_TYPE, rate(self.control)),
        ]
    }
}

/// The bounds as a peer is told them.
pub fn announced(rates: &Rates) -> LimitsInfo {
    let known = rates.iter().filter(|(kind, _)| *kind != UNKNOWN_TYPE);
    LimitsInfo {
        rates: known
            .map(|(kind, rate)| ((*kind).to_owned(), *rate))
            .collect(),
        ..LimitsInfo::default()
    }
}

fn rate(per_second: u32) -> RateInfo {
    RateInfo {
        per_second,
        burst: per_second.saturating_mul(BURST_SECONDS),
    }
}
