//! When output may go out to a dashboard: at once after a pause, so that a key's echo waits for nothing; gathered in a
//! steady flow, so that ten agents' lines cost one write instead of ten (requirement C7). Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Flushes that may follow each other at once before they are spread. A key's echo comes in a few pieces, and so does
/// what a short command prints.
const AT_ONCE: u32 = 4;

/// A leaky bucket (the GCRA of ATM's traffic management): it holds [`AT_ONCE`] flushes and leaks one in each interval. While
/// it is full, output waits for the next departure.
#[derive(Debug, Clone)]
pub struct Pace {
    /// From one departure to the next.
    interval: Duration,
    /// When the bucket will be empty; `None` when it is and always was.
    empty: Option<Instant>,
}

impl Pace {
    /// A pace for departures that are so far apart.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            empty: None,
        }
    }

    /// Whether output that came now waits for the next departure, or goes at once.
    pub fn holds(&self, now: Instant) -> bool {
        let room = self
            .empty
            .and_then(|empty| empty.checked_sub(self.interval * (AT_ONCE - 1)));
        room.is_some_and(|room| room > now)
    }

    /// Output has been flushed. A flood flushes whole batches without being held, and so may a departure be too early: the
    /// bucket doesn't fill beyond its size, or what comes afterwards would wait for all of it to leak.
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
        /// Output comes after these pauses (in ms) and goes out as soon as the pace and the departures let it.
        #[test]
        fn flushes_are_spread(
            interval in 0_u32..50,
            pauses in prop::collection::vec(0_u64..20, 1..200),
        ) {
            let mut pace = Pace::new(Duration::from_millis(interval.into()));
            let start = Instant::now();
            let (mut now, mut at_once) = (start, 0_u32);
            for pause in pauses {
                now += Duration::from_millis(pause);
                if pace.holds(now) {
                    let passed = (now - start).as_millis() as u32 / interval;
                    now = start + pace.interval * (passed + 1);
                } else {
                    at_once += 1;
                }
                pace.flushed(now);
                // Beside those of departures.
                let allowed = f64::from(AT_ONCE)
                    + (now - start).as_secs_f64() / pace.interval.as_secs_f64().max(1e-9);
                prop_assert!(f64::from(at_once) <= allowed + 1e-6);
            }
        }
    }

    #[test]
    fn after_a_flood_and_a_pause_nothing_waits() {
        let mut pace = Pace::new(Duration::from_millis(10));
        let start = Instant::now();
        (0..1000).for_each(|_| pace.flushed(start));
        assert!(pace.holds(start));
        assert!(!pace.holds(start + Duration::from_millis(11)), "one may go");
        let rested = start + Duration::from_millis(100);
        for _ in 0..AT_ONCE {
            assert!(!pace.holds(rested));
            pace.flushed(rested);
        }
        assert!(pace.holds(rested));
    }
}
