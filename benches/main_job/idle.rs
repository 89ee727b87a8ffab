//! CPU time and memory with nothing to do.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Pid;

use crate::options::Options;
use crate::support::fleet::Fleet;
use crate::support::processes::{Memory, Snapshot, Usage, memory};
use crate::support::report::{Bar, Section};
use crate::support::samples::shown;
use crate::support::stop;

const AGENTS: usize = 10;

/// So that what belongs to the start is over, with the threads that tokio keeps for 10 s after they have blocked.
const SETTLING: Duration = Duration::from_secs(15);

/// How long starting a terminal on each agent may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// What counts as no CPU: a thousandth of a core for all processes together, which leaves room for heartbeats.
const NO_CPU: f64 = 0.001;

/// How much of the daemon may be resident, in bytes.
const RESIDENT: u64 = 20_000_000;

/// Measures what daemon, agents and holders use while ten agents are connected, each with an idle terminal.
pub fn measure(options: &Options) -> Result<Section> {
    let fleet = Fleet::start(AGENTS)?;
    let started = fleet
        .opsctl(["send", "*", "--pty", "--detach", "--", "cat"])
        .output()?;
    ensure!(started.status.success(), "cannot start the terminals");
    stop::wait_until("the terminals", DEADLINE, || Ok(fleet.running()? == AGENTS))?;
    stop::sleep(SETTLING)?;
    let groups = [
        ("daemon", vec![fleet.daemon().pid()]),
        ("agents", fleet.agents()),
        ("holders", fleet.holders()),
    ];
    let before = groups.each_ref().map(|(_, pids)| Snapshot::of(pids));
    stop::sleep(options.idle)?;
    let mut rows = Vec::new();
    let mut all_cpu = Duration::ZERO;
    let mut daemon = None;
    for ((name, pids), before) in groups.into_iter().zip(before) {
        let used = Snapshot::of(&pids)?.since(&before?);
        let largest = largest(&pids)?;
        all_cpu += used.cpu;
        daemon.get_or_insert(largest.resident);
        rows.push(row(name, pids.len(), used, largest, options.idle));
    }
    let share = all_cpu.as_secs_f64() / options.idle.as_secs_f64();
    Ok(Section {
        title: "Idle",
        how: "Ten agents connected, each with `cat` waiting in a terminal, and with a holder kept ready. CPU time and wake-ups are those of all processes \
              of a kind together; memory is that of the largest of them: RSS, and PSS, which divides shared pages.",
        head: vec!["", "processes", "CPU time", "wake-ups", "RSS", "PSS"],
        rows,
        bars: vec![
            Bar::new(
                format!("no CPU (under 0.1 % of a core): {:.3} %", share * 100.0),
                share < NO_CPU,
            ),
            Bar::new(
                "daemon under 20 MB resident with ten agents",
                daemon.is_some_and(|resident| resident < RESIDENT),
            ),
        ],
        notes: vec![format!("Watched for {:?}.", options.idle)],
        peers: Vec::new(),
    })
}

fn largest(pids: &[Pid]) -> Result<Memory> {
    let all = pids.iter().map(|pid| memory(*pid));
    let all = all.collect::<Result<Vec<_>>>()?;
    let largest = all.into_iter().max_by_key(|memory| memory.resident);
    Ok(largest.unwrap_or_default())
}

fn row(name: &str, count: usize, used: Usage, memory: Memory, watched: Duration) -> Vec<String> {
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let wake_ups = used.sleeps as f64 / watched.as_secs_f64();
    vec![
        name.to_owned(),
        count.to_string(),
        shown(used.cpu),
        format!("{wake_ups:.1}/s"),
        megabytes(memory.resident),
        megabytes(memory.share),
    ]
}
