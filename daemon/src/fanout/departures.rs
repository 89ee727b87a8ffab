//! The clock of output that is held back. All dashboards share it: what is held goes at the same moments, so that one timer
//! serves all of them, and the writes follow each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::pace::Pace;

/// When what is held back goes. Clones are handles on the same clock, which stands while nobody waits.
#[derive(Debug, Clone)]
pub struct Departures {
    clock: Arc<Clock>,
}

#[derive(Debug)]
struct Clock {
    /// From one departure to the next.
    interval: Duration,
    /// The first departure.
    origin: Instant,
    /// Whether somebody waits for the next one.
    runs: AtomicBool,
    /// Somebody began to wait.
    wanted: Notify,
    /// A departure, for all who wait.
    departs: Notify,
}

impl Departures {
    /// Departures that let output wait no longer than `limit`: three quarters of it are from one to the next; the rest is for
    /// the timer, which counts milliseconds, for the scheduler and for the writes, one dashboard's after another's.
    pub fn new(limit: Duration) -> Self {
        Self {
            clock: Arc::new(Clock {
                interval: limit * 3 / 4,
                origin: Instant::now(),
                runs: AtomicBool::new(false),
                wanted: Notify::new(),
                departs: Notify::new(),
            }),
        }
    }

    /// A pace for one dashboard.
    pub fn pace(&self) -> Pace {
        Pace::new(self.clock.interval)
    }

    /// Keeps the clock going until `stop`; without it, nothing ever departs.
    pub async fn run(self, stop: CancellationToken) {
        let Self { clock } = self;
        loop {
            tokio::select! {
                () = clock.wanted.notified() => {}
                () = stop.cancelled() => return,
            }
            sleep_until(clock.next(Instant::now())).await;
            // Who comes from here on has to ask for another one.
            clock.runs.store(false, Ordering::Release);
            clock.departs.notify_waiters();
        }
    }

    /// Waits for the next departure. Cancel-safe.
    pub async fn next(&self) {
        // It hears of departures from here on, before it is waited for.
        let departs = self.clock.departs.notified();
        if !self.clock.runs.swap(true, Ordering::AcqRel) {
            self.clock.wanted.notify_one();
        }
        departs.await;
    }
}

impl Clock {
    /// The first departure after a moment.
    fn next(&self, now: Instant) -> Instant {
        let interval = self.interval.as_nanos().max(1);
        let since = now.saturating_duration_since(self.origin).as_nanos();
        let left = interval - since % interval;
        now + Duration::from_nanos(u64::try_from(left).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(8);

    #[test]
    fn departures_are_on_one_beat() {
        let clock = Departures::new(LIMIT).clock;
        let after = |ms: u64| {
            let next = clock.next(clock.origin + Duration::from_millis(ms));
            (next - clock.origin).as_millis()
        };
        assert_eq!([0, 5, 6, 7, 1000].map(after), [6, 6, 12, 12, 1002]);
    }

    #[tokio::test]
    async fn all_who_wait_go_together_and_then_the_clock_stands() {
        let departures = Departures::new(LIMIT);
        let stop = CancellationToken::new();
        let clock = tokio::spawn(departures.clone().run(stop.clone()));
        for _ in 0..3 {
            // All three ask before the clock gets its turn: one departure is for all of them.
            futures_util::future::join_all((0..3).map(|_| departures.next())).await;
            assert!(!departures.clock.runs.load(Ordering::Acquire));
        }
        stop.cancel();
        clock.await.unwrap();
    }
}
