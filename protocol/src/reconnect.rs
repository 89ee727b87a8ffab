//! When to come back (requirement R1): at once, then after 1, 2, 4, 8, 16 s, capped at 30 s, each ±20 %.

use std::time::Duration;

/// The longest wait before its jitter.
const CAP: Duration = Duration::from_secs(30);

/// A connection that lived this long counts as stable, and the counter starts anew.
pub const STABLE_AFTER: Duration = Duration::from_mins(1);

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
    base.mul_f64(0.8 + 0.4 * noise.clamp(0.0, 1.0))
}

/// A number in `0.0..1.0` from the system's randomness; 0.5 when there is none, which only costs the spread.
pub fn noise() -> f64 {
    getrandom::u32().map_or(0.5, |n| f64::from(n) / (f64::from(u32::MAX) + 1.0))
}

#[cfg(test)]
mod tests {
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
}
