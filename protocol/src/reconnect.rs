//! When to come back (requirement R1): at once, then after 1, 2, 4, 8, 16 s, capped at 30 s, each ±20 %.

use std::time::Duration;

/// The longest wait before its jitter.
const CAP: Duration = Duration::from_secs(30);

/// How far a wait is spread to either side.
const JITTER: f64 = 0.2;

/// A connection that lived this long counts as stable, and the counter starts anew.
pub const STABLE_AFTER: Duration = Duration::from_mins(1);

/// The longest wait that a hint is followed for; nobody means more.
pub const LONGEST_HINT: Duration = Duration::from_mins(5);

/// After this many failed attempts the console offers a manual reconnect (requirement R2).
pub const OFFER_MANUAL_AFTER: u32 = 5;

/// Counts failed attempts and names the wait before the next. Holds no clock: the caller sleeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backoff {
    /// Attempts since the last stable connection.
    attempt: u32,
}

impl Backoff {
    /// The wait before the next attempt. `noise` is uniform in `0.0..1.0` and becomes the jitter.
    pub fn next(&mut self, noise: f64) -> Duration {
        let base = match self.attempt {
            0 => Duration::ZERO,
            n => Duration::from_secs(1 << (n - 1).min(5)).min(CAP),
        };
        self.attempt = self.attempt.saturating_add(1);
        jittered(base, noise)
    }

    /// The wait before the next attempt when the daemon has said how long to stay away: at least so long, and up to a
    /// fifth more, since others were told the same. It counts as an attempt.
    pub fn next_hinted(&mut self, hint: Option<Duration>, noise: f64) -> Duration {
        let hint = hint.unwrap_or_default().min(LONGEST_HINT);
        let hint = hint.mul_f64(1.0 + JITTER * noise.clamp(0.0, 1.0));
        self.next(noise).max(hint)
    }

    /// Attempts made since the last stable connection.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Tells how long the last connection lived; a stable one resets the counter.
    pub fn lived(&mut self, lifetime: Duration) {
        if lifetime >= STABLE_AFTER {
            self.attempt = 0;
        }
    }

    /// Starts over at once, as when a person asks for it.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

/// Spreads `base` over ±20 %. `noise` is uniform in `0.0..1.0`.
pub fn jittered(base: Duration, noise: f64) -> Duration {
    base.mul_f64(1.0 - JITTER + 2.0 * JITTER * noise.clamp(0.0, 1.0))
}

/// A number in `0.0..1.0` from the system's randomness; 0.5 when there is none, which only costs the spread.
pub fn noise() -> f64 {
    getrandom::u32().map_or(0.5, |n| f64::from(n) / (f64::from(u32::MAX) + 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_follow_r1() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..8).map(|_| backoff.next(0.5).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let base = Duration::from_secs(10);
        assert_eq!(jittered(base, 0.0), Duration::from_secs(8));
        assert_eq!(jittered(base, 1.0), Duration::from_secs(12));
        assert!((0.0..1.0).contains(&noise()));
    }

    #[test]
    fn only_a_stable_connection_resets() {
        let mut backoff = Backoff::default();
        backoff.next(0.5);
        backoff.next(0.5);
        backoff.lived(Duration::from_secs(59));
        assert_eq!(backoff.next(0.5).as_secs(), 2);
        backoff.lived(Duration::from_mins(1));
        assert_eq!(backoff.next(0.5), Duration::ZERO);
    }

    #[test]
    fn a_hint_is_waited_for_and_counts() {
        let mut backoff = Backoff::default();
        let hint = Some(Duration::from_millis(300));
        assert_eq!(
            backoff.next_hinted(hint, 0.0).as_millis(),
            300,
            "never sooner"
        );
        assert_eq!(
            backoff.next(0.5).as_secs(),
            1,
            "the attempt at once was the hinted one"
        );
        let long = backoff.next_hinted(Some(Duration::MAX), 1.0);
        assert_eq!(long, LONGEST_HINT.mul_f64(1.2));
    }

    /// What happens to somebody who comes back.
    #[derive(Debug, Clone)]
    enum Step {
        /// An attempt failed.
        Failed,
        /// A connection was had for so many seconds.
        Lived(u64),
        /// The same, and the daemon gave a hint in ms.
        SentAway(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Failed),
            (0..120_u64).prop_map(Step::Lived),
            (0..120_u64, 0..10_000_u64).prop_map(|(lived, hint)| Step::SentAway(lived, hint)),
        ]
    }

    proptest! {
        /// Against R1 read as a table: whatever happens, each wait is the table's, or the hint where that is longer.
        #[test]
        fn every_wait_is_r1s(steps in prop::collection::vec((step(), 0.0..1.0), 1..64)) {
            let table = [0, 1, 2, 4, 8, 16, 30];
            let mut backoff = Backoff::default();
            let mut failed: usize = 0;
            for (step, noise) in steps {
                let (lived, hint) = match step {
                    Step::Failed => (None, None),
                    Step::Lived(lived) => (Some(lived), None),
                    Step::SentAway(lived, hint) => (Some(lived), Some(Duration::from_millis(hint))),
                };
                if let Some(lived) = lived {
                    backoff.lived(Duration::from_secs(lived));
                    failed = if lived >= 60 { 0 } else { failed };
                }
                let wait = backoff.next_hinted(hint, noise);
                let base = Duration::from_secs(table[failed.min(6)]);
                let hint = hint.unwrap_or_default();
                prop_assert!(wait >= base.mul_f64(0.8).max(hint));
                prop_assert!(wait <= base.max(hint).mul_f64(1.2) + Duration::from_nanos(2));
                failed += 1;
            }
        }
    }
}
