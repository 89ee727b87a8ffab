//! How often a peer may send what cannot be read: the third time within a minute ends the connection. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use opsctl_protocol::limits::MAX_BAD_MESSAGES;

/// How long a bad message counts.
const MEMORY: Duration = Duration::from_mins(1);

/// The bad messages of one connection.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    bad: VecDeque<Instant>,
}

impl Conduct {
    /// Notes a bad message; true when it was one too many.
    pub(super) fn is_too_bad(&mut self, now: Instant) -> bool {
        self.bad.retain(|at| now.duration_since(*at) < MEMORY);
        self.bad.push_back(now);
        self.bad.len() > MAX_BAD_MESSAGES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_in_a_minute_is_too_bad() {
        let start = Instant::now();
        let mut conduct = Conduct::default();
        assert!(!conduct.is_too_bad(start));
        assert!(!conduct.is_too_bad(start + Duration::from_secs(30)));
        assert!(conduct.is_too_bad(start + Duration::from_secs(59)));
        let mut patient = Conduct::default();
        assert!(
            !(0..10).any(|minute| patient.is_too_bad(start + minute * Duration::from_secs(31)))
        );
    }
}
