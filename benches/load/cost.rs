//! What something costs a hub and this program.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::{Pid, getpid};

use crate::support::processes::cpu;

/// CPU time that was used meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The hub's.
    pub hub: Duration,
    /// This program's.
    pub own: Duration,
    /// How long it took.
    pub took: Duration,
}

impl Cost {
    /// Does something and says what it cost besides.
    pub fn of<T>(hub: Pid, something: impl FnOnce() -> Result<T>) -> Result<(T, Self)> {
        let (start, hub_before, own_before) = (Instant::now(), cpu(hub)?, cpu(getpid())?);
        let done = something()?;
        let cost = Self {
            hub: cpu(hub)?.saturating_sub(hub_before),
            own: cpu(getpid())?.saturating_sub(own_before),
            took: start.elapsed(),
        };
        Ok((done, cost))
    }

    /// How many cores the hub and this program kept busy.
    pub fn cores(&self) -> (f64, f64) {
        let share = |used: Duration| used.as_secs_f64() / self.took.as_secs_f64();
        (share(self.hub), share(self.own))
    }
}
