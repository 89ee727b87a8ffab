//! How the connection to the daemon stands, as the operator sees it (requirement R2).

use opsctl_protocol::Timestamp;

/// Failed attempts after which connecting by hand is offered.
const OFFER_AFTER: u32 = 5;

/// Losses within [`UNSTABLE_MS`] that make a connection count as degraded.
const UNSTABLE_LOSSES: usize = 2;

/// How far back losses count, in milliseconds.
const UNSTABLE_MS: u64 = 60_000;

/// The connection's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Dialing.
    Connecting {
        /// Which attempt this is.
        attempt: u32,
    },
    /// There.
    Connected,
    /// Waiting for the next attempt.
    Waiting {
        /// Attempts that failed.
        attempt: u32,
        /// When the next one starts.
        until: Timestamp,
        /// Why the last one failed.
        reason: String,
    },
    /// The daemon doesn't want this console.
    Refused {
        /// Why.
        message: String,
    },
    /// Closed by this console.
    Closed,
}

/// How grave a state is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// All is well.
    Good,
    /// It may pass.
    Warning,
    /// It doesn't pass by itself.
    Bad,
}

/// The state with what led to it.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The state now.
    pub link: Link,
    /// Why it is a slow one, where it is.
    pub slow: Option<String>,
    /// Whether it is told without a countdown.
    pub still: bool,
    /// When connections were lost lately.
    losses: Vec<Timestamp>,
    /// When the last connection was lost, until there is another.
    lost: Option<Timestamp>,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            link: Link::Connecting { attempt: 1 },
            slow: None,
            still: false,
            losses: Vec::new(),
            lost: None,
        }
    }
}

impl Connection {
    /// Takes a new state.
    pub fn change(&mut self, link: Link, now: Timestamp) {
        if self.link == Link::Connected && link != Link::Connected {
            self.losses.push(now);
            self.lost = Some(now);
        }
        if link == Link::Connected {
            self.lost = None;
        }
        self.losses
            .retain(|loss| now.0.saturating_sub(loss.0) < UNSTABLE_MS);
        self.link = link;
    }

    /// Whether the daemon can be spoken to.
    pub fn is_connected(&self) -> bool {
        self.link == Link::Connected
    }

    /// Since when what is known of the fleet has been no news any more.
    pub fn lost(&self) -> Option<Timestamp> {
        self.lost
    }

    fn is_degraded(&self, now: Timestamp) -> bool {
        let recent = self
            .losses
            .iter()
            .filter(|loss| now.0.saturating_sub(loss.0) < UNSTABLE_MS);
        self.is_connected() && recent.count() >= UNSTABLE_LOSSES
    }

    /// Whether connecting by hand makes sense.
    pub fn offers_reconnect(&self) -> bool {
        match self.link {
            Link::Waiting { attempt, .. } | Link::Connecting { attempt } => attempt >= OFFER_AFTER,
            Link::Refused { .. } => true,
            Link::Connected | Link::Closed => false,
        }
    }

    /// The state in a glyph and a word or two.
    pub fn label(&self, now: Timestamp) -> (Grade, String) {
        match &self.link {
            Link::Connecting { attempt: 0 | 1 } => (Grade::Warning, "◌ connecting".to_owned()),
            Link::Connecting { attempt } => {
                (Grade::Warning, format!("◌ connecting, attempt {attempt}"))
            }
            Link::Connected if self.is_degraded(now) => {
                let losses = self.losses.len();
                (
                    Grade::Warning,
                    format!("▲ degraded, lost {losses} times in a minute"),
                )
            }
            Link::Connected if self.slow.is_some() => {
                (Grade::Warning, "● connected by polling".to_owned())
            }
            Link::Connected => (Grade::Good, "● connected".to_owned()),
            Link::Waiting { attempt, until, .. } => {
                let next = attempt + 1;
                let when = self.countdown(*until, now);
                (
                    Grade::Warning,
                    format!("⚡ reconnecting, attempt {next}{when}"),
                )
            }
            Link::Refused { .. } => (Grade::Bad, "✗ offline".to_owned()),
            Link::Closed => (Grade::Bad, "✗ offline, closed".to_owned()),
        }
    }

    /// The same in fewer words, where there is little room.
    pub fn brief(&self, now: Timestamp) -> String {
        match &self.link {
            Link::Connecting { .. } => "◌ connecting".to_owned(),
            Link::Connected if self.is_degraded(now) => "▲ degraded".to_owned(),
            Link::Connected if self.slow.is_some() => "● polling".to_owned(),
            Link::Waiting { until, .. } => {
                format!("⚡ reconnecting{}", self.countdown(*until, now))
            }
            Link::Connected | Link::Refused { .. } | Link::Closed => self.label(now).1,
        }
    }

    fn countdown(&self, until: Timestamp, now: Timestamp) -> String {
        match until.0.saturating_sub(now.0).div_ceil(1000) {
            _ if self.still => String::new(),
            0 => " now".to_owned(),
            seconds => format!(" in {seconds} s"),
        }
    }

    /// Why the daemon can't be reached, where that is known.
    pub fn trouble(&self) -> Option<&str> {
        match &self.link {
            Link::Waiting { reason, .. } => Some(reason),
            Link::Refused { message } => Some(message),
            _ => None,
        }
    }

    /// When the label will read differently by itself.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.link {
            Link::Waiting { until, .. } if !self.still => {
                let left = until.0.saturating_sub(now.0);
                // The next whole second of the countdown.
                (left > 0).then(|| Timestamp(until.0 - (left - 1) / 1000 * 1000))
            }
            Link::Connecting { .. } if !self.still => {
                // How long ago what is shown was known.
                let since = now.0.saturating_sub(self.lost?.0);
                Some(Timestamp(now.0 + 1000 - since % 1000))
            }
            Link::Connected if self.is_degraded(now) => {
                let oldest = self.losses.iter().min()?;
                Some(Timestamp(oldest.0 + UNSTABLE_MS))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_countdown_changes_at_whole_seconds() {
        let mut connection = Connection::default();
        let link = Link::Waiting {
            attempt: 2,
            until: Timestamp(10_000),
            reason: "gone".into(),
        };
        connection.change(link, Timestamp(7_500));
        assert_eq!(
            connection.label(Timestamp(7_500)).1,
            "⚡ reconnecting, attempt 3 in 3 s"
        );
        assert_eq!(
            connection.next_change(Timestamp(7_500)),
            Some(Timestamp(8_000))
        );
        assert_eq!(
            connection.label(Timestamp(8_000)).1,
            "⚡ reconnecting, attempt 3 in 2 s"
        );
        assert_eq!(
            connection.next_change(Timestamp(8_000)),
            Some(Timestamp(9_000))
        );
        assert_eq!(connection.next_change(Timestamp(10_000)), None);
        assert_eq!(
            connection.label(Timestamp(10_000)).1,
            "⚡ reconnecting, attempt 3 now"
        );
        connection.still = true;
        assert_eq!(
            connection.label(Timestamp(7_500)).1,
            "⚡ reconnecting, attempt 3"
        );
        assert_eq!(connection.next_change(Timestamp(7_500)), None);
    }

    #[test]
    fn reconnecting_by_hand_is_offered_after_five() {
        let mut connection = Connection::default();
        for attempt in 1..=5 {
            assert!(!connection.offers_reconnect());
            let link = Link::Waiting {
                attempt,
                until: Timestamp(0),
                reason: "refused".to_owned(),
            };
            connection.change(link, Timestamp(0));
        }
        assert!(connection.offers_reconnect());
    }

    #[test]
    fn losing_it_often_is_degraded_for_a_minute() {
        let mut connection = Connection::default();
        for at in [0, 1000] {
            connection.change(Link::Connected, Timestamp(at));
            connection.change(Link::Connecting { attempt: 1 }, Timestamp(at));
        }
        connection.change(Link::Connected, Timestamp(2000));
        assert!(
            connection
                .label(Timestamp(2000))
                .1
                .starts_with("▲ degraded")
        );
        assert_eq!(
            connection.next_change(Timestamp(2000)),
            Some(Timestamp(60_000))
        );
        assert_eq!(connection.label(Timestamp(60_000)).1, "● connected");
    }

    #[test]
    fn a_slow_way_shows_as_long_as_it_is_gone() {
        let mut connection = Connection::default();
        connection.change(Link::Connected, Timestamp(0));
        connection.slow = Some("HTTP 426".to_owned());
        let polling = (Grade::Warning, "● connected by polling".to_owned());
        assert_eq!(connection.label(Timestamp(1)), polling);
        assert_eq!(connection.brief(Timestamp(1)), "● polling");
        connection.slow = None;
        assert_eq!(connection.brief(Timestamp(1)), "● connected");
    }
}
