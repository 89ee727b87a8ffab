//! What /proc tells about processes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Pid;

/// What threads have used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Time on a CPU, in user space and in the kernel.
    pub cpu: Duration,
    /// How often a thread went to sleep by itself: each means that something had woken it.
    pub sleeps: u64,
}

/// What a process, with all threads that it ever had, has used of the CPUs; in steps of 10 ms.
pub fn cpu(pid: Pid) -> Result<Duration> {
    /// User space and kernel, counted behind the name, which may hold anything but a last parenthesis.
    const FIELDS: std::ops::Range<usize> = 11..13;
    const TICK: Duration = Duration::from_millis(10);
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let stat = fs::read_to_string(&path).with_context(|| path)?;
    let (_, behind) = stat.rsplit_once(") ").context("stat has another form")?;
    let fields: Vec<&str> = behind.split(' ').collect();
    let ticks = fields.get(FIELDS).context("stat has another form")?;
    let ticks = ticks.iter().map(|ticks| ticks.parse::<u32>());
    Ok(TICK * ticks.sum::<Result<u32, _>>()?)
}

/// What a process keeps in memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident, shared pages in full (`VmRSS`).
    pub resident: u64,
    /// The most that was ever resident (`VmHWM`).
    pub peak: u64,
    /// Resident, shared pages divided by those who share them (PSS).
    pub share: u64,
}

/// The usage of the threads of some processes at one moment, to be compared with a later one.
pub struct Snapshot(BTreeMap<PathBuf, Usage>);

impl Snapshot {
    /// Looks at all threads of these processes.
    ///
    /// CPU time comes from `schedstat`, which counts nanoseconds: the ticks of `stat` are 10 ms, more than an idle process
    /// uses. It has no sum for a whole process, though, so threads are told apart: one that ends takes its past with it.
    pub fn of(pids: &[Pid]) -> Result<Self> {
        let mut threads = BTreeMap::new();
        for pid in pids {
            let dir = format!("/proc/{}/task", pid.as_raw_nonzero());
            for thread in fs::read_dir(&dir).with_context(|| dir.clone())? {
                let thread = thread?.path();
                // None: a thread that ended after the listing.
                if let Some(usage) = usage(&thread)? {
                    threads.insert(thread, usage);
                }
            }
        }
        Ok(Self(threads))
    }

    /// What the threads of this snapshot have used since an earlier one, all together.
    pub fn since(&self, earlier: &Self) -> Usage {
        let mut sum = Usage::default();
        for (thread, now) in &self.0 {
            let then = earlier.0.get(thread).copied().unwrap_or_default();
            sum.cpu += now.cpu.saturating_sub(then.cpu);
            sum.sleeps += now.sleeps.saturating_sub(then.sleeps);
        }
        sum
    }
}

/// The usage of a thread, given its directory; `None` when it is gone.
fn usage(thread: &Path) -> Result<Option<Usage>> {
    let (Ok(schedstat), Ok(status)) = (
        fs::read_to_string(thread.join("schedstat")),
        fs::read_to_string(thread.join("status")),
    ) else {
        return Ok(None);
    };
    let nanos = schedstat.split(' ').next().and_then(|n| n.parse().ok());
    Ok(Some(Usage {
        cpu: Duration::from_nanos(nanos.context("schedstat has another form")?),
        sleeps: field(&status, "voluntary_ctxt_switches:")?,
    }))
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
        peak: field(&read("status")?, "VmHWM:")? * KIB,
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
