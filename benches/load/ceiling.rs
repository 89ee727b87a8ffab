//! Twice the rate of the fan-out until it breaks.

use std::time::Duration;

use anyhow::Result;
use rustix::process::Pid;

use crate::cost::Cost;
use crate::fan_out::{RATE, SOURCES, WATCHERS, peers, versions};
use crate::hubs::Hub;
use crate::hubs::opsctl::Opsctl;
use crate::load::{Found, Load};
use crate::options::Options;
use crate::support::report::Section;
use crate::support::samples::shown;

const TIME: Duration = Duration::from_secs(5);

/// What passes this has broken.
const P99: Duration = Duration::from_millis(200);

/// No hub here comes near: 2,000 times the rate of the issue.
const DOUBLINGS: u32 = 11;

/// One rate and how it went.
struct Step {
    /// Records a second from each source.
    rate: f64,
    found: Found,
    /// How many cores the hub and this program kept busy.
    cores: (f64, f64),
}

/// Measures where each hub breaks.
pub fn measure(options: &Options) -> Result<Section> {
    let time = options.extent.time(TIME);
    let mut rows = Vec::new();
    for binary in [false, true] {
        rows.push(climb(&Opsctl::start(binary)?, time)?);
    }
    let (peers, skipped) = peers();
    for peer in &peers {
        rows.push(climb(&**peer, time)?);
    }
    Ok(Section {
        title: "Fan-out until it breaks",
        how: "As above with simulated agents, 5 s for each rate, then twice the rate, until the p99 passes 200 ms or a \
              record is lost (or 5 s late at the end). Busy cores are those of the hub and of the load program at the rate \
              that broke: where the load program has a core to itself and keeps it busy, it is what broke.",
        head: vec![
            "",
            "held: records/s from each agent",
            "deliveries/s",
            "its p99",
            "broke at",
            "by",
            "busy cores, hub",
            "load",
        ],
        rows,
        bars: Vec::new(),
        notes: skipped,
        peers: versions(),
    })
}

fn climb(hub: &dyn Hub, time: Duration) -> Result<Vec<String>> {
    let mut load = Load::connect(hub, SOURCES, WATCHERS)?;
    let mut held = None;
    for doubling in 0..DOUBLINGS {
        let rate = RATE * f64::from(2_u32.pow(doubling));
        let found = Step::of(&mut load, hub.pid(), rate, time)?;
        match found.broken() {
            None => held = Some(found),
            Some(by) => return Ok(cells(hub, held.as_ref(), &found, by)),
        }
    }
    let last = held
        .as_ref()
        .map(|step| cells(hub, Some(step), step, "nothing".to_owned()));
    Ok(last.unwrap_or_default())
}

fn cells(hub: &dyn Hub, held: Option<&Step>, broke: &Step, by: String) -> Vec<String> {
    let per_second = |step: &Step| step.found.delivered as f64 / step.found.time.as_secs_f64();
    let show = |cell: fn(&Step) -> String| held.map_or_else(String::new, cell);
    vec![
        hub.name(),
        show(|step| format!("{:.0}", step.rate)),
        held.map_or_else(String::new, |step| format!("{:.0}", per_second(step))),
        show(|step| shown(step.found.latencies.p99())),
        format!("{:.0}", broke.rate),
        by,
        format!("{:.2}", broke.cores.0),
        format!("{:.2}", broke.cores.1),
    ]
}

impl Step {
    fn of(load: &mut Load, hub: Pid, rate: f64, time: Duration) -> Result<Self> {
        let (found, cost) = Cost::of(hub, || load.run(rate * SOURCES as f64, time))?;
        let cores = cost.cores();
        Ok(Self { rate, found, cores })
    }

    /// What broke, if anything did.
    fn broken(&self) -> Option<String> {
        let Found {
            latencies,
            missing,
            gaps,
            endings,
            ..
        } = &self.found;
        if let Some(ending) = endings.first() {
            return Some(format!("{} connections ended: {ending}", endings.len()));
        }
        if *missing > 0 || *gaps > 0 {
            return Some(format!("{missing} records late or lost, {gaps} gaps"));
        }
        (latencies.p99() > P99).then(|| format!("p99 {}", shown(latencies.p99())))
    }
}
