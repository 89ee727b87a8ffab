//! Thousands of idle agents.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use opsctl_protocol::close::{Retry, retry, retry_after_ms};
use opsctl_protocol::limits::HEARTBEAT;
use opsctl_protocol::reconnect::{Backoff, jittered, noise};
use rustix::process::Signal;

use crate::hubs::Peer;
use crate::hubs::opsctl::{ANY_PORT, Agent, Door};
use crate::net::{Ear, Ending, Heard, Id, Net};
use crate::options::Options;
use crate::support::daemon::Daemon;
use crate::support::processes::{Snapshot, memory};
use crate::support::report::{Bar, Section};
use crate::support::samples::shown;
use crate::support::stop;
use crate::wire::websocket::Opcode;

/// How many there are.
const COUNTS: [usize; 2] = [1_000, 10_000];

/// Connections under way when they come for the first time; when they come back there is no such bound.
const AT_ONCE: usize = 100;

/// How long all may take to come. Far longer than needed: only a failure waits so long.
const DEADLINE: Duration = Duration::from_mins(2);

/// So that what belongs to the start is over, with the threads that tokio keeps for 10 s after they have blocked.
const SETTLING: Duration = Duration::from_secs(15);

/// Two heartbeats of every agent.
const IDLE: Duration = Duration::from_secs(30);

/// How often is looked who has to do something.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the issue asks for: bytes of the daemon for each agent.
const BYTES_EACH: f64 = 20_000.0;

/// See above: how soon a thousand are back.
const BACK: Duration = Duration::from_secs(5);

/// Measures memory, rest and return.
pub fn measure(options: &Options) -> Result<Section> {
    let (mut rows, mut bars) = (Vec::new(), Vec::new());
    for count in COUNTS.map(|count| options.extent.count(count)) {
        let figures = Figures::of(count, options.extent.time(IDLE))?;
        bars.push(Bar::new(
            format!("under 20 KB for each of {count} agents"),
            figures.bytes_each < BYTES_EACH,
        ));
        if count <= options.extent.count(COUNTS[0]) {
            let latest = figures.terminated.max(figures.killed);
            bars.push(Bar::new(
                format!("all {count} back within 5 s"),
                latest <= BACK,
            ));
        }
        rows.push(figures.cells());
    }
    Ok(Section {
        title: "Idle agents",
        how: "Agents of one process, over TCP, each from an address of its own, with a token and heartbeats as real ones. \
              Memory is what the daemon's RSS grew by, for each of them. CPU is the daemon's share of a core with nothing \
              but heartbeats. Then the daemon is restarted at once, with SIGTERM and with `kill -9`; the agents wait as \
              real ones do. Time is from the moment that the new daemon listens until the last agent is told that it is \
              connected.",
        head: vec![
            "agents",
            "memory for each",
            "RSS before",
            "with them",
            "CPU at rest",
            "all back after SIGTERM",
            "after `kill -9`",
        ],
        rows,
        bars,
        notes: Vec::new(),
        peers: Vec::new(),
    })
}

struct Figures {
    count: usize,
    bytes_each: f64,
    /// Resident bytes of the daemon, without and with agents.
    resident: (u64, u64),
    /// The daemon's share of a core.
    cpu: f64,
    terminated: Duration,
    killed: Duration,
}

impl Figures {
    fn of(count: usize, idle: Duration) -> Result<Self> {
        let mut daemon = Daemon::start(ANY_PORT, "")?;
        let before = memory(daemon.pid())?.resident;
        let mut swarm = Swarm::new(&daemon, count)?;
        swarm.come()?;
        swarm.live_for(SETTLING)?;
        let with = memory(daemon.pid())?.resident;
        let start = Snapshot::of(&[daemon.pid()])?;
        swarm.live_for(idle)?;
        let used = Snapshot::of(&[daemon.pid()])?.since(&start);
        let terminated = swarm.survive(&mut daemon, Signal::TERM)?;
        swarm.live_for(SETTLING)?;
        let killed = swarm.survive(&mut daemon, Signal::KILL)?;
        Ok(Self {
            count,
            bytes_each: with.saturating_sub(before) as f64 / count as f64,
            resident: (before, with),
            cpu: used.cpu.as_secs_f64() / idle.as_secs_f64(),
            terminated,
            killed,
        })
    }

    fn cells(&self) -> Vec<String> {
        let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        vec![
            self.count.to_string(),
            format!("{:.1} KB", self.bytes_each / 1e3),
            megabytes(self.resident.0),
            megabytes(self.resident.1),
            format!("{:.2} %", self.cpu * 100.0),
            shown(self.terminated),
            shown(self.killed),
        ]
    }
}

/// Many agents.
struct Swarm {
    net: Net,
    members: Members,
}

/// The agents; apart from [`Net`], which calls them.
struct Members {
    door: Door,
    agents: Vec<Member>,
    /// Which agent's a connection is.
    whose: Vec<usize>,
    /// What will not come back, with why.
    refused: Option<String>,
}

struct Member {
    agent: Agent,
    /// Where it dials from.
    address: Ipv4Addr,
    backoff: Backoff,
    stage: Stage,
}

enum Stage {
    /// Dials at this moment; never dialled before when there is none.
    Waiting(Option<Instant>),
    /// Dials.
    Dialing,
    /// Is connected since.
    Open {
        id: Id,
        since: Instant,
        /// When it last said something.
        spoke: Instant,
    },
}

impl Swarm {
    fn new(daemon: &Daemon, count: usize) -> Result<Self> {
        let member = |number: usize| {
            let [.., high, low] = (number as u32 + 1).to_be_bytes();
            Ok(Member {
                agent: Agent::idle(number)?,
                address: Ipv4Addr::new(127, 1, high, low),
                backoff: Backoff::default(),
                stage: Stage::Waiting(None),
            })
        };
        Ok(Self {
            net: Net::new()?,
            members: Members {
                door: Door::of(daemon)?,
                agents: (0..count).map(member).collect::<Result<_>>()?,
                whose: Vec::new(),
                refused: None,
            },
        })
    }

    /// Connects all, some at a time.
    fn come(&mut self) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        let mut next = 0;
        while !self.members.are_ready() {
            ensure!(Instant::now() < end, "not all agents came");
            let ready = self.members.ready();
            while next < self.members.agents.len() && next < ready + AT_ONCE {
                self.members.agents[next].stage = Stage::Waiting(Some(Instant::now()));
                next += 1;
            }
            self.live()?;
        }
        Ok(())
    }

    fn live_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.live()?;
        }
        ensure!(self.members.are_ready(), "agents were lost while idle");
        Ok(())
    }

    /// Restarts the daemon; returns how long after it listened all were back.
    fn survive(&mut self, daemon: &mut Daemon, signal: Signal) -> Result<Duration> {
        let listening = thread::scope(|scope| {
            let restart = scope.spawn(|| daemon.restart(signal));
            while !restart.is_finished() {
                self.live()?;
            }
            let restarted = restart.join().ok().context("the restart's thread ended");
            restarted?
        })?;
        let end = Instant::now() + DEADLINE;
        while !self.members.are_ready() {
            ensure!(Instant::now() < end, "not all agents came back");
            self.live()?;
        }
        Ok(listening.elapsed())
    }

    /// A moment of everybody's life.
    fn live(&mut self) -> Result<()> {
        stop::check()?;
        let until = Instant::now() + LOOK_EVERY;
        while Instant::now() < until {
            self.net.turn(until, &mut self.members)?;
        }
        if let Some(why) = &self.members.refused {
            anyhow::bail!("an agent will not come back: {why}");
        }
        self.members.look(&mut self.net)
    }
}

impl Members {
    fn ready(&self) -> usize {
        let ready = |member: &&Member| member.agent.is_ready();
        self.agents.iter().filter(ready).count()
    }

    fn are_ready(&self) -> bool {
        self.agents.iter().all(|member| member.agent.is_ready())
    }

    /// Dials and pings where it is time.
    fn look(&mut self, net: &mut Net) -> Result<()> {
        let now = Instant::now();
        for (number, member) in self.agents.iter_mut().enumerate() {
            match &mut member.stage {
                Stage::Waiting(Some(due)) if *due <= now => {
                    let id = self.door.agent(net, member.address)?;
                    debug_assert_eq!(id.index(), self.whose.len());
                    self.whose.push(number);
                    member.stage = Stage::Dialing;
                }
                Stage::Open { id, spoke, .. } if now.duration_since(*spoke) >= HEARTBEAT => {
                    net.queue(*id, Opcode::Ping, &[]);
                    net.flush(*id);
                    *spoke = now;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Ear for Members {
    fn heard(&mut self, net: &mut Net, id: Id, heard: Heard<'_>) {
        let member = &mut self.agents[self.whose[id.index()]];
        member.agent.heard(net, id, heard);
        let now = Instant::now();
        match heard {
            Heard::Opened => {
                member.stage = Stage::Open {
                    id,
                    since: now,
                    spoke: now,
                };
            }
            Heard::Closed(ending) => {
                let wait = member.wait(ending, &mut self.refused);
                member.stage = Stage::Waiting(Some(now + wait));
            }
            Heard::Text(_) | Heard::Binary(_) => {}
        }
    }
}

impl Member {
    /// How long a real agent waits before it dials again.
    fn wait(&mut self, ending: &Ending, refused: &mut Option<String>) -> Duration {
        if let Stage::Open { since, .. } = self.stage {
            self.backoff.lived(since.elapsed());
        }
        if let Some(code) = ending.code
            && retry(code) != Retry::Yes
        {
            refused.get_or_insert(format!("{code} {}", ending.reason));
        }
        let hint = retry_after_ms(&ending.reason).map(Duration::from_millis);
        match hint {
            Some(asked) => jittered(asked, noise()),
            None => self.backoff.next(noise()),
        }
    }
}
