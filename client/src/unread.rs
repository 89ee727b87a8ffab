//! For how long the program has taken nothing of what came, which is what a daemon closes a connection for. Pure.

use std::time::Duration;

use opsctl_protocol::limits::FLUSH_STALL;
use tokio::time::Instant;

/// So long after the program takes everything again, the end of a connection has another reason. Time in which it is
/// held up does not count: what the daemon sent before it closed is then still being read.
const FRESH: Duration = FLUSH_STALL;

/// A hold-up for which a daemon may have closed the connection.
#[derive(Debug)]
struct HoldUp {
    /// How long it was.
    lasted: Duration,
    /// How long everything has been taken at once since.
    free: Duration,
}

/// What is known of a connection's reader.
#[derive(Debug)]
pub(crate) struct Unread {
    /// It is held up.
    is_held: bool,
    /// Since when it is, or is not.
    since: Instant,
    /// The last long one.
    long: Option<HoldUp>,
}

impl Unread {
    /// A reader that is not held up.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            is_held: false,
            since: now,
            long: None,
        }
    }

    /// Notes whether something waits for the program, so that nothing further is read.
    pub(crate) fn note(&mut self, is_held: bool, now: Instant) {
        if is_held == self.is_held {
            return;
        }
        let lasted = now - self.since;
        match &mut self.long {
            _ if self.is_held && lasted >= FLUSH_STALL => {
                let free = Duration::ZERO;
                self.long = Some(HoldUp { lasted, free });
            }
            Some(long) if !self.is_held => long.free += lasted,
            _ => {}
        }
        (self.is_held, self.since) = (is_held, now);
    }

    /// Why the daemon has hung up, where that is the reason.
    pub(crate) fn why(mut self, now: Instant) -> Option<String> {
        self.note(!self.is_held, now);
        let long = self.long.filter(|long| long.free < FRESH)?;
        let seconds = long.lasted.as_secs();
        Some(format!(
            "nothing that it sent was taken here for {seconds} s, so it closed the connection"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said after these spans in seconds, by turns free and held up.
    fn why(spans: &[u64]) -> Option<String> {
        let mut now = Instant::now();
        let mut unread = Unread::new(now);
        for (at, span) in spans.iter().enumerate() {
            unread.note(at % 2 == 1, now);
            now += Duration::from_secs(*span);
        }
        unread.why(now)
    }

    #[test]
    fn a_long_hold_up_is_the_reason_while_it_is_fresh() {
        assert_eq!(why(&[60]), None);
        assert_eq!(why(&[60, 9]), None);
        assert_eq!(why(&[60, 9, 0, 9, 0]), None, "it was taken in between");
        let said = "nothing that it sent was taken here for 14 s, so it closed the connection";
        assert_eq!(why(&[60, 14]).unwrap(), said);
        assert_eq!(why(&[60, 14, 1]).unwrap(), said);
        assert_eq!(why(&[60, 14, 1, 9, 1, 9, 1]).unwrap(), said, "page by page");
        assert_eq!(why(&[60, 14, 10]), None);
        assert_eq!(why(&[60, 14, 9, 1, 1]), None);
    }
}
