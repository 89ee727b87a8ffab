//! Which segments go: the oldest, when all together are too large or when they are too old.

use std::time::{Duration, SystemTime};

use super::LogOptions;
use super::shared::Sealed;

/// How often age is looked at; the part of the bound that output may outlive it by is as large.
const LOOKS: u32 = 64;

/// The longest between two looks.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// A segment is sealed when this part of the age bound has passed since its first record, so that old output does not
/// stay because it shares a segment with new.
const SEAL_PARTS: u32 = 8;

impl LogOptions {
    /// How many of the oldest sealed segments go now.
    pub(super) fn expendable(
        &self,
        sealed: &[Sealed],
        active_bytes: u64,
        now: SystemTime,
    ) -> usize {
        let mut total = active_bytes + sealed.iter().map(|segment| segment.bytes).sum::<u64>();
        let goes = |segment: &&Sealed| {
            let goes = total > self.max_bytes || self.is_older(segment.written, self.max_age, now);
            total -= segment.bytes;
            goes
        };
        sealed.iter().take_while(goes).count()
    }

    /// Whether a segment that was begun then is to be sealed for its age.
    pub(super) fn is_to_be_sealed(&self, begun: SystemTime, now: SystemTime) -> bool {
        self.is_older(begun, self.max_age / SEAL_PARTS, now)
    }

    /// How long until age is looked at again; `None` when there is no bound.
    pub(super) fn look_again(&self) -> Option<Duration> {
        let wait = (self.max_age / LOOKS).clamp(Duration::from_millis(100), LONGEST_WAIT);
        (!self.max_age.is_zero()).then_some(wait)
    }

    /// A time to come, by a clock that was set back, is not old.
    fn is_older(&self, then: SystemTime, age: Duration, now: SystemTime) -> bool {
        !self.max_age.is_zero() && now.duration_since(then).is_ok_and(|passed| passed > age)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_oldest_go_until_the_rest_is_small_and_young_enough(
            segments in prop::collection::vec((1_u64..100, 0_u64..100), 0..20),
            active in 0_u64..100,
            max_bytes in 0_u64..1000,
            max_age in 0_u64..100,
        ) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
            let mut ages: Vec<u64> = segments.iter().map(|(_, age)| *age).collect();
            ages.sort_unstable_by(|a, b| b.cmp(a));
            let sealed: Vec<Sealed> = segments
                .iter()
                .zip(&ages)
                .zip(1..)
                .map(|(((bytes, _), age), number)| Sealed {
                    number,
                    bytes: *bytes,
                    written: now - Duration::from_secs(*age),
                })
                .collect();
            let options = LogOptions {
                max_bytes,
                max_age: Duration::from_secs(max_age),
                ..LogOptions::default()
            };
            let gone = options.expendable(&sealed, active, now);
            let fits = |from: usize| {
                let bytes: u64 = sealed[from..].iter().map(|segment| segment.bytes).sum();
                bytes + active <= max_bytes && (max_age == 0 || ages[from..].iter().all(|age| *age <= max_age))
            };
            prop_assert!(gone == sealed.len() || fits(gone));
            prop_assert!(gone == 0 || !fits(gone - 1));
        }
    }
}
