//! What the runs of one side took.

use std::time::Duration;

/// The times of several runs, sorted.
#[derive(Debug)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// # Panics
    /// Without any time: there is no median of nothing.
    pub fn new(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "something was measured");
        times.sort_unstable();
        Self(times)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that half of the runs kept within.
    pub fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// The time that 99 of 100 runs kept within; of fewer than 100 runs, the longest.
    pub fn p99(&self) -> Duration {
        self.percentile(99)
    }

    /// The longest time.
    pub fn max(&self) -> Duration {
        self.percentile(100)
    }

    /// By nearest rank: always a time that was measured.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0[rank.saturating_sub(1)]
    }
}

impl From<Vec<Duration>> for Samples {
    fn from(times: Vec<Duration>) -> Self {
        Self::new(times)
    }
}

/// A time with three significant digits or so, in the unit that suits it.
pub fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 0.1 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds >= 0.01 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{:.2} ms", seconds * 1e3),
    }
}
