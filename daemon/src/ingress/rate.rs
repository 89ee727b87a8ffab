//! How often a peer may say what: a bucket for each type of message, so that no type takes another's share. Pure: the
//! time comes with the message.
//!
//! The algorithm is GCRA (ITU-T I.371) as one time for each bucket: when the bucket would be full again. Whoever is refused
//! is told a time of its own, one interval behind the one before: those who follow their hints are all served.

use std::time::{Duration, Instant};

use opsctl_protocol::message::RateInfo;

/// How often messages of some types may come.
pub type Rates = Vec<(&'static str, RateInfo)>;

/// The longest wait that is told. Who has piled up more than this is not listening to hints.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Refusals that a peer may cause: those of an honest burst, and a few for ever. Beyond them it is closed with 4013.
const PATIENCE: RateInfo = RateInfo {
    per_second: 20,
    burst: 1000,
};

/// Why a message is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Too many of its type; it may come again after so long.
    Later(Duration),
    /// The peer has been told that too often.
    Abuse,
}

/// What one connection may still say.
#[derive(Debug)]
pub(super) struct Limiter {
    start: Instant,
    buckets: Vec<(&'static str, RateInfo, Bucket)>,
    refusals: Bucket,
}

impl Limiter {
    /// The limiter of a connection that begins now.
    pub(super) fn new(rates: &Rates, start: Instant) -> Self {
        let bucket = |(kind, rate): &(&'static str, RateInfo)| (*kind, *rate, Bucket::default());
        Self {
            start,
            buckets: rates.iter().map(bucket).collect(),
            refusals: Bucket::default(),
        }
    }

    /// Whether a message of this type may be served. A type without a rate always may.
    pub(super) fn admit(&mut self, kind: &str, now: Instant) -> Result<(), Refused> {
        let now = now.saturating_duration_since(self.start);
        let Some((_, rate, bucket)) = self.buckets.iter_mut().find(|(of, ..)| *of == kind) else {
            return Ok(());
        };
        bucket.take(*rate, now).map_err(|wait| {
            if self.refusals.take(PATIENCE, now).is_ok() {
                Refused::Later(wait)
            } else {
                Refused::Abuse
            }
        })
    }
}

/// A bucket of tokens; the times count from the connection's start.
#[derive(Debug, Default)]
struct Bucket {
    /// When it will be full again.
    full_at: Duration,
    /// The last time that somebody was told to come at.
    promised: Duration,
}

impl Bucket {
    /// Takes a token, or says how long to wait for one.
    fn take(&mut self, rate: RateInfo, now: Duration) -> Result<(), Duration> {
        let interval = Duration::from_secs(1) / rate.per_second.max(1);
        let depth = interval * rate.burst.max(1);
        let full_at = self.full_at.max(now) + interval;
        if full_at <= now + depth {
            self.full_at = full_at;
            return Ok(());
        }
        let free_at = full_at.saturating_sub(depth);
        self.promised = free_at
            .max(self.promised + interval)
            .min(now + LONGEST_WAIT);
        Err(self.promised.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: RateInfo = RateInfo {
        per_second: 10,
        burst: 5,
    };

    fn limiter(start: Instant) -> Limiter {
        Limiter::new(&vec![("publish", RATE), ("ping", RATE)], start)
    }

    #[test]
    fn a_burst_passes_and_the_next_one_waits() {
        let start = Instant::now();
        let mut limiter = limiter(start);
        for _ in 0..5 {
            assert_eq!(limiter.admit("publish", start), Ok(()));
        }
        let later = |ms| Err(Refused::Later(Duration::from_millis(ms)));
        assert_eq!(limiter.admit("publish", start), later(100));
        assert_eq!(limiter.admit("publish", start), later(200));
        let next = start + Duration::from_millis(100);
        assert_eq!(limiter.admit("publish", next), Ok(()));
    }

    #[test]
    fn no_type_takes_anothers_share_and_one_without_a_rate_is_free() {
        let start = Instant::now();
        let mut limiter = limiter(start);
        while limiter.admit("publish", start).is_ok() {}
        assert_eq!(limiter.admit("ping", start), Ok(()));
        assert!((0..10_000).all(|_| limiter.admit("terminal:output", start).is_ok()));
    }

    #[test]
    fn whoever_never_listens_is_closed() {
        let start = Instant::now();
        let mut limiter = limiter(start);
        let refused = (0..10_000).find(|_| limiter.admit("publish", start) == Err(Refused::Abuse));
        assert_eq!(refused, Some(5 + 1000));
        assert_eq!(limiter.admit("ping", start), Ok(()), "the floor holds");
    }

    proptest! {
        /// Whatever the arrivals, no stretch of time sees more than a burst and what its length permits.
        #[test]
        fn no_stretch_passes_more_than_it_may(
            gaps in prop::collection::vec(0..300_u64, 1..200),
            per_second in 1..50_u32,
            burst in 1..20_u32,
        ) {
            let rate = RateInfo { per_second, burst };
            let mut bucket = Bucket::default();
            let (mut now, mut passed) = (Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                if bucket.take(rate, now).is_ok() {
                    passed.push(now);
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let permitted = f64::from(burst) + to.saturating_sub(*from).as_secs_f64() * f64::from(per_second);
                    prop_assert!((last - first + 1) as f64 <= permitted + 1e-6);
                }
            }
        }

        /// Whoever comes when it was told to is served, however many were refused together.
        #[test]
        fn hints_hold(refused in 1..50_u32, per_second in 2..50_u32, burst in 1..20_u32) {
            let rate = RateInfo { per_second, burst };
            let mut bucket = Bucket::default();
            while bucket.take(rate, Duration::ZERO).is_ok() {}
            // The take that ended the loop was told a time too.
            let mut hints = vec![bucket.promised];
            hints.extend((1..refused).map(|_| bucket.take(rate, Duration::ZERO).unwrap_err()));
            for hint in hints {
                prop_assert!(bucket.take(rate, hint).is_ok());
            }
        }

        /// A bucket that was left alone for long enough gives a whole burst.
        #[test]
        fn rest_fills_it(used in 0..100_u32, per_second in 1..50_u32, burst in 1..20_u32) {
            let rate = RateInfo { per_second, burst };
            let mut bucket = Bucket::default();
            for _ in 0..used {
                let _ = bucket.take(rate, Duration::ZERO);
            }
            let rested = Duration::from_secs(1) / per_second * burst;
            prop_assert!((0..burst).all(|_| bucket.take(rate, rested).is_ok()));
        }
    }
}
