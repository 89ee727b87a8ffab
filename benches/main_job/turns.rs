//! Two sides by turns, so that whatever else the machine does meanwhile hits both alike.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::samples::Samples;
use crate::stop;

/// Runs each side `runs` times, by turns; who goes first changes each time. A first run of each is not counted: it warms
/// caches.
pub fn take_turns(
    runs: u32,
    mut ours: impl FnMut() -> Result<Duration>,
    mut theirs: impl FnMut() -> Result<Duration>,
) -> Result<(Samples, Samples)> {
    ours()?;
    theirs()?;
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for round in 0..runs {
        stop::check()?;
        if round % 2 == 0 {
            our_times.push(ours()?);
            their_times.push(theirs()?);
        } else {
            their_times.push(theirs()?);
            our_times.push(ours()?);
        }
    }
    Ok((Samples::new(our_times), Samples::new(their_times)))
}

/// Runs a program from its start to its end.
///
/// # Errors
/// When it doesn't start or doesn't succeed.
pub fn time_process(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status();
    let took = start.elapsed();
    let status = status.with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(took)
}
