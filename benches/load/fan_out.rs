//! Ten agents to fifty dashboards, against Node and NATS.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cost::Cost;
use crate::hubs::Hub;
use crate::hubs::nats::Nats;
use crate::hubs::node::Node;
use crate::hubs::opsctl::{ANY_PORT, Opsctl};
use crate::load::{Found, Load};
use crate::options::Options;
use crate::programs::Program;
use crate::support::daemon::Daemon;
use crate::support::fleet::Fleet;
use crate::support::report::{Bar, Section};
use crate::support::samples::shown;
use crate::support::stop;

/// How many agents.
pub const SOURCES: usize = 10;

/// How many dashboards.
pub const WATCHERS: usize = 50;

/// Records a second from each agent.
pub const RATE: f64 = 100.0;

const TIME: Duration = Duration::from_secs(20);

/// What the issue asks for.
const P99: Duration = Duration::from_millis(10);
/// See above.
const PER_DELIVERY: Duration = Duration::from_nanos(2500);

/// What one hub did.
struct Row {
    name: String,
    found: Found,
    /// CPU time of the hub, for each delivery.
    hub: Duration,
    /// CPU time of this program, for each delivery.
    own: Duration,
}

/// Measures the load of the issue.
pub fn measure(options: &Options) -> Result<Section> {
    let time = options.extent.time(TIME);
    let ours = [
        simulated(&Opsctl::start(false)?, time)?,
        simulated(&Opsctl::start(true)?, time)?,
        real(time)?,
    ];
    let (peers, skipped) = peers();
    let theirs = peers
        .iter()
        .map(|peer| simulated(&**peer, time))
        .collect::<Result<Vec<_>>>()?;
    let cheap = ours.iter().all(|row| row.hub <= PER_DELIVERY);
    let fast = |row: &Row| row.found.latencies.p99() < P99;
    let whole = |row: &Row| row.found.missing == 0 && row.found.gaps == 0;
    Ok(Section {
        title: "Fan-out",
        how: "10 agents, each with 100 records of 256 bytes a second, to 50 dashboards that watch all of them, over TCP. \
              Latency is from the moment that a record is due at the agent's program to the moment that a dashboard has \
              it. CPU time is for each delivery of a record to a dashboard: the hub's, and that of the load program, which \
              plays all agents and dashboards and shares the two cores. opsctl checks tokens, numbers each push and writes \
              all output to its log; the others do none of that. *Real agents* are `opsctl agent` with the program under a \
              holder, as in use; elsewhere the load program speaks as agents do.",
        head: vec!["", "p50", "p99", "max", "CPU, hub", "CPU, load", "lost"],
        rows: ours.iter().chain(&theirs).map(Row::cells).collect(),
        bars: vec![
            Bar::new("p99 under 10 ms", ours.iter().all(fast)),
            Bar::new("at most 2.5 µs of daemon CPU for each delivery", cheap),
            Bar::new("nothing lost, no gap", ours.iter().all(whole)),
        ],
        notes: skipped,
        peers: versions(),
    })
}

/// Those that are installed, and what to say of the others.
pub fn peers() -> (Vec<Box<dyn Hub>>, Vec<String>) {
    let (mut peers, mut skipped): (Vec<Box<dyn Hub>>, _) = (Vec::new(), Vec::new());
    match Node::start() {
        Ok(node) => peers.push(Box::new(node)),
        Err(error) => skipped.push(format!("Node was skipped: {error:#}.")),
    }
    match Nats::start() {
        Ok(nats) => peers.push(Box::new(nats)),
        Err(error) => skipped.push(format!("nats-server was skipped: {error:#}.")),
    }
    (peers, skipped)
}

/// The versions of those that are installed.
pub fn versions() -> Vec<String> {
    [Node::version(), Nats::version()]
        .into_iter()
        .flatten()
        .collect()
}

fn simulated(hub: &dyn Hub, time: Duration) -> Result<Row> {
    let mut load = Load::connect(hub, SOURCES, WATCHERS)?;
    Row::of(hub, || load.run(RATE * SOURCES as f64, time))
}

fn real(time: Duration) -> Result<Row> {
    let fleet = Fleet::around(Daemon::start(ANY_PORT, "")?, SOURCES)?;
    let hub = Opsctl::of(fleet.daemon(), false)?;
    let mut load = Load::connect(&hub, 0, WATCHERS)?;
    let count = (RATE * time.as_secs_f64()) as u64;
    let row = Row::of(&hub, || {
        for source in 0..SOURCES {
            stop::check()?;
            let program = Program::Emit {
                source,
                rate: RATE,
                count,
            };
            let agent = format!("a{}", source + 1);
            let mut start = fleet.opsctl(["send", &agent, "--detach", "--"]);
            let started = start.args(program.argv()?).output()?;
            let said = String::from_utf8_lossy(&started.stderr);
            ensure!(started.status.success(), "cannot start the program: {said}");
        }
        load.watch(time, count * SOURCES as u64)
    })?;
    let name = format!("{}, real agents", row.name);
    Ok(Row { name, ..row })
}

impl Row {
    fn of(hub: &dyn Hub, run: impl FnOnce() -> Result<Found>) -> Result<Self> {
        let (found, cost) = Cost::of(hub.pid(), run)?;
        let endings = &found.endings;
        ensure!(endings.is_empty(), "a connection ended: {endings:?}");
        let each = |used: Duration| used.div_f64(found.delivered as f64);
        Ok(Self {
            name: hub.name(),
            hub: each(cost.hub),
            own: each(cost.own),
            found,
        })
    }

    fn cells(&self) -> Vec<String> {
        let latencies = &self.found.latencies;
        let micros = |time: Duration| format!("{:.2} µs", time.as_secs_f64() * 1e6);
        vec![
            self.name.clone(),
            shown(latencies.median()),
            shown(latencies.p99()),
            shown(latencies.max()),
            micros(self.hub),
            micros(self.own),
            self.found.missing.to_string(),
        ]
    }
}
