//! When output may go out to a dashboard: at once after a pause, so that a key's echo waits for nothing; gathered in a
//! steady flow, so that ten agents' lines cost one write instead of ten (requirement C7). Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Flushes that may follow each other at once before they are spread. A key's echo comes in a few pieces, and so does
/// what a short command prints.
const AT_ONCE: u32 = 4;

/// A leaky bucket (the GCRA of ATM's traffic management): it holds [`AT_ONCE`] flushes and leaks one in each interval.
#[derive(Debug, Clone)]
pub struct Pace {
    /// How long output is held back at most.
    interval: Duration,
    /// When the bucket will be empty; `None` when it is and always was.
    empty: Option<Instant>,
}

impl Pace {
    /// A pace that keeps output no longer than `limit`. Seven tenths of it are for gathering; the rest is for the timer,
    /// which counts milliseconds, for the scheduler and for the write itself.
    pub fn new(limit: Duration) -> Self {
        Self {
            interval: limit * 7 / 10,
            empty: None,
        }
    }

    /// Until when output is held back that came now; `None` when it may go at once.
    pub fn hold(&self, now: Instant) -> Option<Instant> {
        let due = self.empty?.checked_sub(self.interval * (AT_ONCE - 1))?;
        (due > now).then_some(due)
    }

    /// Output has been flushed. A flood flushes whole batches without being held: the bucket doesn't fill beyond its size, or
    /// what comes after the flood would wait for all of it to leak.
    pub fn flushed(&mut self, now: Instant) {
        let empty = self.empty.map_or(now, |empty| empty.max(now)) + self.interval;
        self.empty = Some(empty.min(now + self.interval * AT_ONCE));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Output comes after these pauses (in ms) and goes out as soon as the pace lets it.
        #[test]
        fn nothing_is_late_and_flushes_are_spread(
            limit in 0_u64..50,
            pauses in prop::collection::vec(0_u64..20, 1..200),
        ) {
            let limit = Duration::from_millis(limit);
            let mut pace = Pace::new(limit);
            let start = Instant::now();
            let (mut now, mut flushes) = (start, 0_u32);
            for pause in pauses {
                let came = now + Duration::from_millis(pause);
                now = pace.hold(came).unwrap_or(came);
                prop_assert!(now >= came);
                prop_assert!(now - came <= limit);
                pace.flushed(now);
                flushes += 1;
                let allowed = f64::from(AT_ONCE)
                    + (now - start).as_secs_f64() / pace.interval.as_secs_f64().max(1e-9);
                prop_assert!(f64::from(flushes) <= allowed + 1e-6);
            }
        }
    }

    #[test]
    fn after_a_flood_nothing_waits_longer_than_in_it() {
        let limit = Duration::from_millis(10);
        let mut pace = Pace::new(limit);
        let start = Instant::now();
        (0..1000).for_each(|_| pace.flushed(start));
        assert!(pace.hold(start).is_some_and(|due| due - start <= limit));
    }

    #[test]
    fn after_a_pause_nothing_waits() {
        let mut pace = Pace::new(Duration::from_millis(10));
        let start = Instant::now();
        for _ in 0..AT_ONCE {
            assert_eq!(pace.hold(start), None);
            pace.flushed(start);
        }
        assert!(pace.hold(start).is_some());
        assert_eq!(pace.hold(start + Duration::from_millis(100)), None);
    }
}
