//! What /proc tells about processes.

use std::ffi::OsStr;
use std::fs;
use std::ops::{Add, Sub};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Pid;

/// What processes have used since their start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Time on a CPU, in user space and in the kernel.
    pub cpu: Duration,
    /// How often a thread went to sleep by itself: each means that something had woken it.
    pub sleeps: u64,
}

/// What a process keeps in memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident, shared pages in full (`VmRSS`).
    pub resident: u64,
    /// Resident, shared pages divided by those who share them (PSS).
    pub share: u64,
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            sleeps: self.sleeps + other.sleeps,
        }
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            sleeps: self.sleeps.saturating_sub(earlier.sleeps),
        }
    }
}

/// The usage of a process, all its threads together.
///
/// CPU time comes from `schedstat`, which counts nanoseconds: the ticks of `stat` are 10 ms, more than an idle process uses.
pub fn usage(pid: Pid) -> Result<Usage> {
    let dir = format!("/proc/{}/task", pid.as_raw_nonzero());
    let threads = fs::read_dir(&dir).with_context(|| dir.clone())?;
    let mut sum = Usage::default();
    for thread in threads {
        let thread = thread?.path();
        let (Ok(schedstat), Ok(status)) = (
            fs::read_to_string(thread.join("schedstat")),
            fs::read_to_string(thread.join("status")),
        ) else {
            // A thread that ended after the listing.
            continue;
        };
        let nanos = schedstat.split(' ').next().and_then(|n| n.parse().ok());
        sum = sum
            + Usage {
                cpu: Duration::from_nanos(nanos.context("schedstat has another form")?),
                sleeps: field(&status, "voluntary_ctxt_switches:")?,
            };
    }
    Ok(sum)
}

/// The memory of a process.
pub fn memory(pid: Pid) -> Result<Memory> {
    const KIB: u64 = 1024;
    let read = |name: &str| {
        let path = format!("/proc/{}/{name}", pid.as_raw_nonzero());
        fs::read_to_string(&path).with_context(|| path)
    };
    Ok(Memory {
        resident: field(&read("status")?, "VmRSS:")? * KIB,
        share: field(&read("smaps_rollup")?, "Pss:")? * KIB,
    })
}

/// The number after a name at the start of a line.
fn field(text: &str, name: &str) -> Result<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no number after {name:?} in /proc"))
}

/// The processes with this variable in the environment that they were started with.
pub fn with_variable(name: &str, value: &OsStr) -> Vec<Pid> {
    let wanted = [name.as_bytes(), b"=", value.as_encoded_bytes()].concat();
    let has_it = |pid: &Pid| {
        let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
        environment
            .unwrap_or_default()
            .split(|byte| *byte == 0)
            .any(|entry| entry == wanted)
    };
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .filter(has_it)
        .collect()
}

/// A process's first argument after the program's name.
pub fn first_argument(pid: Pid) -> Option<Vec<u8>> {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
    line.split(|byte| *byte == 0).nth(1).map(<[u8]>::to_vec)
}
