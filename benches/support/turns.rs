//! Several sides by turns, so that whatever else the machine does meanwhile hits all alike.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::samples::Samples;
use super::stop;

/// One run of a side.
pub type Side<'a> = &'a mut dyn FnMut() -> Result<Duration>;

/// Runs each side `runs` times, by turns; who goes first changes each time. A first run of each is not counted: it warms
/// caches.
pub fn take_turns<const N: usize>(runs: u32, mut sides: [Side<'_>; N]) -> Result<[Samples; N]> {
    for side in &mut sides {
        side()?;
    }
    let mut times = [const { Vec::new() }; N];
    for round in 0..runs as usize {
        stop::check()?;
        for turn in 0..N {
            let at = (round + turn) % N;
            times[at].push(sides[at]()?);
        }
    }
    Ok(times.map(Samples::new))
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
