//! A gigabyte from one program.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use opsctl_protocol::message::{Since, Subscribe};
use opsctl_protocol::{BinaryFrame, Pattern, ToDashboard, decode};
use rustix::process::Pid;

use crate::hubs::Peer;
use crate::hubs::opsctl::{ANY_PORT, Dashboard, Door};
use crate::net::{Ear, Heard, Id, Net};
use crate::options::Options;
use crate::programs::Program;
use crate::support::daemon::Daemon;
use crate::support::fleet::Fleet;
use crate::support::processes::memory;
use crate::support::report::{Bar, Section};
use crate::support::stop;

/// How much the program writes.
const BYTES: usize = 1_000_000_000;

/// How many dashboards watch, and whether they skip nothing.
const CASES: [(usize, bool); 6] = [
    (1, false),
    (10, false),
    (50, false),
    (1, true),
    (10, true),
    (50, true),
];

/// What daemon, agent and holder may have resident, at most, in bytes.
const RESIDENT: u64 = 64 << 20;

/// How long a flood may take. Far longer than needed: only a failure waits so long.
const DEADLINE: Duration = Duration::from_mins(10);

/// Measures how much reaches how many, and what it takes.
pub fn measure(options: &Options) -> Result<Section> {
    let bytes = options.extent.count(BYTES);
    let floods = CASES
        .into_iter()
        .map(|(watchers, lossless)| Flood::run(bytes, watchers, lossless))
        .collect::<Result<Vec<_>>>()?;
    let holes: u64 = floods.iter().map(|flood| flood.holes).sum();
    let small = |flood: &Flood| flood.peaks.iter().all(|peak| *peak < RESIDENT);
    let whole = |flood: &Flood| !flood.lossless || flood.share >= 1.0;
    Ok(Section {
        title: "A program that writes as fast as it can",
        how: "1 GB of text from one program through its holder and a real agent, to dashboards with binary frames. Those on \
              `agent:*` may be lapped: then a gap says so and a snapshot of the screen (for a terminal) or the next output \
              (for pipes, as here) follows. Lossless ones get all of it. MB/s is until the last dashboard has been told the \
              program's end; share is how much of the bytes a dashboard got, all of them together. Memory is the most that \
              each process ever had resident.",
        head: vec![
            "dashboards",
            "MB/s",
            "share",
            "MB/s, all together",
            "gaps",
            "daemon",
            "agent",
            "holder",
        ],
        rows: floods.iter().map(Flood::cells).collect(),
        bars: vec![
            Bar::new("memory under 64 MiB", floods.iter().all(small)),
            Bar::new("no hole without a gap", holes == 0),
            Bar::new("lossless ones got all", floods.iter().all(whole)),
        ],
        notes: Vec::new(),
        peers: Vec::new(),
    })
}

/// How one flood went.
struct Flood {
    watchers: usize,
    lossless: bool,
    bytes: usize,
    took: Duration,
    /// How much of it a dashboard got, on average.
    share: f64,
    gaps: u64,
    /// Jumps that no gap announced.
    holes: u64,
    /// Of daemon, agent and holder.
    peaks: [u64; 3],
}

impl Flood {
    fn run(bytes: usize, watchers: usize, lossless: bool) -> Result<Self> {
        let fleet = Fleet::around(Daemon::start(ANY_PORT, "")?, 1)?;
        let door = Door::of(fleet.daemon())?;
        let (mut net, mut audience) = (Net::new()?, Audience::default());
        let mut began = Instant::now();
        if lossless {
            let id = start(&fleet, bytes)?;
            audience.open(&mut net, &door, watchers, &of_command(&id)?)?;
        } else {
            let all = Subscribe {
                channel: Pattern::new("agent:*")?,
                since: None,
                lossless: false,
                no_output: false,
            };
            audience.open(&mut net, &door, watchers, &all)?;
            audience.until(&mut net, |watcher| watcher.dashboard.is_ready())?;
            began = Instant::now();
            start(&fleet, bytes)?;
        }
        let holders = fleet.holders();
        audience.until(&mut net, |watcher| watcher.ended)?;
        let took = began.elapsed();
        let all = audience.watchers.values();
        let received: u64 = all.clone().map(|watcher| watcher.received).sum();
        let peak = |pids: &[Pid]| {
            let peaks = pids.iter().filter_map(|pid| memory(*pid).ok());
            peaks.map(|memory| memory.peak).max().unwrap_or_default()
        };
        Ok(Self {
            watchers,
            lossless,
            bytes,
            took,
            share: received as f64 / (bytes * watchers) as f64,
            gaps: all.clone().map(|watcher| watcher.gaps).sum(),
            holes: all.map(|watcher| watcher.holes).sum(),
            peaks: [
                peak(&[fleet.daemon().pid()]),
                peak(&fleet.agents()),
                peak(&holders),
            ],
        })
    }

    fn cells(&self) -> Vec<String> {
        let kind = if self.lossless { ", lossless" } else { "" };
        let rate = self.bytes as f64 / 1e6 / self.took.as_secs_f64();
        let mut cells = vec![
            format!("{}{kind}", self.watchers),
            format!("{rate:.0}"),
            format!("{:.0} %", self.share * 100.0),
            format!("{:.0}", rate * self.share * self.watchers as f64),
            self.gaps.to_string(),
        ];
        let megabytes = |bytes: &u64| format!("{:.1} MB", *bytes as f64 / 1e6);
        cells.extend(self.peaks.iter().map(megabytes));
        cells
    }
}

/// Starts the program; returns the command's id.
fn start(fleet: &Fleet, bytes: usize) -> Result<String> {
    let mut start = fleet.opsctl(["send", "a1", "--detach", "--"]);
    let started = start.args(Program::Flood { bytes }.argv()?).output()?;
    let said = String::from_utf8_lossy(&started.stderr);
    ensure!(started.status.success(), "cannot start the flood: {said}");
    Ok(String::from_utf8(started.stdout)?.trim().to_owned())
}

/// All of a command's output.
fn of_command(id: &str) -> Result<Subscribe> {
    let since = Since {
        offset: Some(0),
        ..Since::default()
    };
    Ok(Subscribe {
        channel: Pattern::new(format!("command:{id}"))?,
        since: Some(since),
        lossless: true,
        no_output: false,
    })
}

/// Those who watch.
#[derive(Default)]
struct Audience {
    watchers: HashMap<Id, Watcher>,
    /// A connection that ended, with why.
    ending: Option<String>,
}

struct Watcher {
    dashboard: Dashboard,
    /// The next byte's offset.
    next: u64,
    received: u64,
    gaps: u64,
    holes: u64,
    ended: bool,
}

impl Audience {
    fn open(
        &mut self,
        net: &mut Net,
        door: &Door,
        count: usize,
        subscribe: &Subscribe,
    ) -> Result<()> {
        for _ in 0..count {
            let watcher = Watcher {
                dashboard: Dashboard::new(subscribe.clone()),
                next: 0,
                received: 0,
                gaps: 0,
                holes: 0,
                ended: false,
            };
            self.watchers.insert(door.dashboard(net, true)?, watcher);
        }
        Ok(())
    }

    fn until(&mut self, net: &mut Net, all: impl Fn(&Watcher) -> bool) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        while !self.watchers.values().all(&all) {
            stop::check()?;
            ensure!(Instant::now() < end, "the flood did not end");
            net.turn(Instant::now() + Duration::from_millis(100), self)?;
            if let Some(ending) = &self.ending {
                anyhow::bail!("a dashboard's connection ended: {ending}");
            }
        }
        Ok(())
    }
}

impl Ear for Audience {
    fn heard(&mut self, net: &mut Net, id: Id, heard: Heard<'_>) {
        let Some(watcher) = self.watchers.get_mut(&id) else {
            return;
        };
        watcher.dashboard.heard(net, id, heard);
        match heard {
            Heard::Binary(bytes) => watcher.output(bytes),
            Heard::Text(text) => watcher.message(text),
            Heard::Closed(ending) => self.ending = Some(format!("{ending:?}")),
            Heard::Opened => {}
        }
    }
}

impl Watcher {
    fn output(&mut self, bytes: &[u8]) {
        use opsctl_protocol::frame::HEADER_BYTES;
        let Some((header, data)) = bytes.split_at_checked(HEADER_BYTES) else {
            return;
        };
        // The header alone is enough, and the data need not be copied for it.
        let header = bytes::Bytes::copy_from_slice(header);
        let Ok(BinaryFrame::Output(frame)) = BinaryFrame::decode(&header) else {
            return;
        };
        self.holes += u64::from(frame.offset != self.next);
        self.next = frame.offset + data.len() as u64;
        self.received += data.len() as u64;
    }

    fn message(&mut self, text: &[u8]) {
        let decoded = std::str::from_utf8(text)
            .context("text")
            .and_then(|text| Ok(decode::<ToDashboard>(text)?));
        match decoded.map(|decoded| decoded.message) {
            Ok(ToDashboard::Gap(gap)) => {
                self.gaps += 1;
                self.holes += u64::from(gap.from != self.next);
                self.next = gap.to;
            }
            Ok(ToDashboard::Status(status)) if status.state.is_final() => self.ended = true,
            _ => {}
        }
    }
}
