//! What will be done to whom, and when: a pure function of a kind and a seed.

use std::fmt;
use std::ops::Range;

use crate::proxy::{End, Fate, Way};
use crate::rng::Rng;

/// Connections beyond this one, on either side, are left alone, so that every storm ends.
const FATED: u32 = 40;

/// How long a reader stands still, in ms, that the daemon gives up.
const GIVEN_UP: u64 = 12_000;

/// Which faults a plan is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Cuts, early ends, delays, narrow links; all connections at once, repeatedly.
    Network,
    /// Connections that go silent without an end.
    HalfOpen,
    /// `kill -9` and restarts of every part.
    Crashes,
    /// Parts that are stopped for a while, and go on.
    Freezes,
    /// No room left on the disk of daemon or agent.
    Disk,
    /// Clocks that jump.
    Clock,
    /// A bit of everything.
    Everything,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Network,
        Self::HalfOpen,
        Self::Crashes,
        Self::Freezes,
        Self::Disk,
        Self::Clock,
        Self::Everything,
    ];

    /// Its name, as the command line takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::HalfOpen => "half-open",
            Self::Crashes => "crashes",
            Self::Freezes => "freezes",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::Everything => "everything",
        }
    }
}

/// A part of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The daemon.
    Daemon,
    /// The agent with this number.
    Agent(usize),
}

/// Whose connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The agents'.
    Agents,
    /// Those of `send`, dashboards and their like.
    Clients,
}

/// One step. Times are in ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing happens for so long.
    Calm(u64),
    /// `kill -9`, and so long until it is started again.
    Kill(Part, u64),
    /// SIGTERM, waiting for the end, and so long until it is started again.
    Restart(Part, u64),
    /// `kill -9` of the holder of the job with this number, if it runs.
    KillHolder(usize),
    /// `kill -9` of whoever reads the output of the job with this number.
    KillReader(usize),
    /// SIGSTOP, and SIGCONT after so long.
    Freeze(Part, u64),
    /// The same for whoever reads the output of the job with this number.
    FreezeReader(usize, u64),
    /// All of these connections are cut.
    Cut(Side),
    /// Nothing gets through on these connections for so long.
    Stall(Side, u64),
    /// No room on the part's disk for so long.
    Fill(Part, u64),
    /// The part's clock jumps by so many seconds.
    Clock(Part, i64),
    /// A second daemon is started on the same state directory.
    SecondDaemon,
}

/// How a job is started and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `opsctl send`.
    Send,
    /// `opsctl send` with so many bytes on its standard input.
    SendInput(usize),
    /// `opsctl send --pty`, not from a terminal.
    SendPty,
    /// `opsctl send --jsonl`.
    SendLines,
    /// `opsctl send --detach`, then `opsctl logs -f`.
    Follow,
    /// `opsctl send --detach --pty`, then `opsctl attach` in a terminal.
    Attach,
    /// `opsctl send --jsonl` to all agents at once, each with a script of its own.
    SendAll,
    /// `opsctl send --detach --pty`, then `opsctl tui` in a terminal, killed and started again meanwhile.
    Console,
}

/// A command that runs meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The agent with this number.
    pub agent: usize,
    /// How it is started and read.
    pub mode: Mode,
    /// When, in ms since the start.
    pub after: u64,
    /// Decides what it prints.
    pub seed: u64,
    /// Lines that it prints.
    pub lines: u32,
    /// Lines that it prints without a pause.
    pub burst: u32,
    /// The pause after each burst, in ms.
    pub pause: u64,
    /// Whether it prints any bytes.
    pub binary: bool,
    /// Its exit code.
    pub code: u8,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which faults.
    pub kind: Kind,
    /// What decided the rest.
    pub seed: u64,
    /// How many agents there are.
    pub agents: usize,
    /// How many dashboards there are.
    pub dashboards: u64,
    /// The work.
    pub jobs: Vec<Job>,
    /// The faults.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The plan of this seed. `size` scales its work and faults; 1 takes about twenty seconds.
    pub fn new(kind: Kind, seed: u64, size: u32) -> Self {
        let rng = Rng::new(seed);
        let agents = 2;
        let jobs = jobs(&mut rng.fork(1), agents, size);
        let steps = steps(&mut rng.fork(2), kind, agents, &jobs, size);
        Self {
            kind,
            seed,
            agents,
            dashboards: 4,
            jobs,
            steps,
        }
    }

    /// What becomes of the connection with this number.
    pub fn fate(kind: Kind, seed: u64, side: Side, number: u32) -> Fate {
        let part = 1000 + u64::from(number) * 2 + u64::from(side == Side::Clients);
        let mut rng = Rng::new(seed).fork(part);
        let chance = match kind {
            Kind::Network => 70,
            Kind::HalfOpen | Kind::Everything => 30,
            _ => 0,
        };
        // An agent that is cut off often waits long before it comes back, by R1.
        let fated = if side == Side::Agents { 6 } else { FATED };
        if number >= fated || !rng.percent(chance) {
            return Fate::Pass;
        }
        let way = *rng.pick(&[Way::Up, Way::Down]);
        let nth = match rng.within(0..3) {
            0 => rng.within(1..5),
            1 => rng.within(5..40),
            _ => rng.within(40..400),
        } as u32;
        if kind == Kind::HalfOpen {
            return Fate::SilentAt(way, nth);
        }
        match rng.within(0..10) {
            0..3 => Fate::CutAt(way, nth, End::Reset),
            3..5 => Fate::CutAt(way, nth, End::Fin),
            5..7 => Fate::FinAt(way, nth),
            7 => Fate::Slow(rng.within(60_000..400_000) as u32),
            _ => Fate::Late(rng.within(1..60)),
        }
    }

    /// The agents that run the job.
    pub fn agents_of(&self, job: usize) -> Range<usize> {
        let job = &self.jobs[job];
        match job.mode {
            Mode::SendAll => 0..self.agents,
            _ => job.agent..job.agent + 1,
        }
    }

    /// Whether a job may be lost on an agent: its holder is killed, or the agent, which may have written down that it starts
    /// the job and not have done so yet.
    pub fn may_be_lost(&self, job: usize, agent: usize) -> bool {
        let agent = Part::Agent(agent);
        let killed = |step: &Step| matches!(step, Step::Kill(part, _) if *part == agent);
        self.steps.contains(&Step::KillHolder(job)) || self.steps.iter().any(killed)
    }

    /// Whether a job may fail on an agent without having been started: the agent's disk is full, and it must write down
    /// what it starts.
    pub fn may_fail(&self, agent: usize) -> bool {
        let agent = Part::Agent(agent);
        let filled = |step: &Step| matches!(step, Step::Fill(part, _) if *part == agent);
        self.steps.iter().any(filled)
    }
}

fn jobs(rng: &mut Rng, agents: usize, size: u32) -> Vec<Job> {
    let modes = [
        Mode::Send,
        Mode::Follow,
        Mode::SendInput(700_000),
        Mode::Attach,
        Mode::SendPty,
        Mode::SendLines,
        Mode::SendAll,
        Mode::Console,
        Mode::Send,
        Mode::Follow,
    ];
    let job = |at: usize| {
        let mode = modes[at % modes.len()];
        // Bulk, chatter, and a few lines now and then.
        let (lines, burst, pause) = match rng.within(0..5) {
            0 => (rng.within(8_000..20_000), 4_000, 20),
            1 | 2 => (rng.within(1_000..4_000), rng.within(5..40), 20),
            _ => (rng.within(30..200), 1, rng.within(20..80)),
        };
        Job {
            agent: rng.within(0..agents as u64) as usize,
            mode,
            after: rng.within(0..4_000 * u64::from(size)),
            seed: rng.next(),
            lines: lines as u32,
            burst: burst as u32,
            pause,
            binary: !matches!(mode, Mode::Attach | Mode::Console) && rng.percent(50),
            code: *rng.pick(&[0, 0, 1, 7, 42]),
        }
    };
    (0..modes.len() * size as usize).map(job).collect()
}

fn steps(rng: &mut Rng, kind: Kind, agents: usize, jobs: &[Job], size: u32) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..5 * size {
        steps.push(Step::Calm(rng.within(200..1_500)));
        let kind = match kind {
            Kind::Everything => *rng.pick(&[
                Kind::Network,
                Kind::Crashes,
                Kind::Crashes,
                Kind::Freezes,
                Kind::Clock,
                Kind::Disk,
            ]),
            kind => kind,
        };
        fault(rng, kind, agents, jobs, &mut steps);
    }
    steps
}

fn fault(rng: &mut Rng, kind: Kind, agents: usize, jobs: &[Job], steps: &mut Vec<Step>) {
    let agent = Part::Agent(rng.within(0..agents as u64) as usize);
    let part = *rng.pick(&[Part::Daemon, agent]);
    let side = *rng.pick(&[Side::Agents, Side::Clients]);
    let job = rng.within(0..jobs.len() as u64) as usize;
    let down = rng.within(0..1_200);
    match kind {
        Kind::Network => match rng.within(0..4) {
            0 => steps.push(Step::Cut(side)),
            1 => steps.push(Step::Stall(side, rng.within(100..2_000))),
            2 => {
                for _ in 0..rng.within(2..4) {
                    steps.extend([Step::Cut(Side::Clients), Step::Calm(rng.within(5..300))]);
                }
                steps.push(Step::Cut(Side::Agents));
            }
            _ => steps.extend([Step::Cut(Side::Agents), Step::Cut(Side::Clients)]),
        },
        Kind::Crashes => match rng.within(0..8) {
            0 | 1 => steps.push(Step::Kill(Part::Daemon, down)),
            2 => steps.push(Step::Restart(Part::Daemon, down)),
            3 => steps.push(Step::Kill(agent, down)),
            4 => steps.push(Step::Restart(agent, down)),
            5 => steps.push(Step::KillHolder(job)),
            6 => steps.push(Step::SecondDaemon),
            _ => steps.push(Step::KillReader(job)),
        },
        Kind::Freezes => match rng.within(0..8) {
            0..5 => steps.push(Step::Freeze(part, rng.within(100..3_000))),
            5 | 6 => steps.push(Step::FreezeReader(job, rng.within(100..3_000))),
            _ => steps.push(Step::FreezeReader(job, GIVEN_UP)),
        },
        Kind::Disk => steps.push(Step::Fill(part, rng.within(500..3_000))),
        Kind::Clock => {
            let seconds = *rng.pick(&[-86_400, -3_600, -30, 30, 3_600, 86_400]);
            steps.push(Step::Clock(part, seconds));
        }
        // The connections' fates are all there is; they need a while to be found out.
        Kind::HalfOpen => {}
        Kind::Everything => unreachable!("one of the others was picked"),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} with seed {}:", self.kind.name(), self.seed)?;
        for (at, job) in self.jobs.iter().enumerate() {
            writeln!(f, "  job {at}: {job:?}")?;
        }
        for step in &self.steps {
            writeln!(f, "  {step:?}")?;
        }
        Ok(())
    }
}

/// A plan follows from its seed alone.
pub fn check() {
    for kind in Kind::ALL {
        assert_eq!(Plan::new(kind, 7, 1), Plan::new(kind, 7, 1));
        assert_eq!(
            Plan::fate(kind, 7, Side::Agents, 3),
            Plan::fate(kind, 7, Side::Agents, 3)
        );
    }
    assert_ne!(
        Plan::new(Kind::Crashes, 7, 1).steps,
        Plan::new(Kind::Crashes, 8, 1).steps
    );
}
