//! Dashboards that come back, all at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use opsctl_protocol::message::Position;
use opsctl_protocol::{ToDashboard, decode};

use crate::fan_out::{RATE, SOURCES, WATCHERS};
use crate::hubs::Peer;
use crate::hubs::opsctl::{ANY_PORT, Dashboard, Door, Opsctl};
use crate::load::Load;
use crate::net::{Ear, Heard, Id, Net};
use crate::options::Options;
use crate::support::daemon::Daemon;
use crate::support::report::{Bar, Section, times};

/// How long they were away.
const BEHIND: Duration = Duration::from_secs(5);

/// So that every channel exists before somebody leaves.
const WARM_UP: Duration = Duration::from_millis(500);

const RUNS: usize = 10;

/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Measures how long it takes until all have caught up.
pub fn measure(options: &Options) -> Result<Section> {
    let mut rows = Vec::new();
    let mut missing = 0;
    for binary in [false, true] {
        let (mut all, mut last) = (Vec::new(), Vec::new());
        for _ in 0..options.extent.count(RUNS) {
            let joined = come_back(binary)?;
            missing += joined.missing;
            last.push(joined.times.max());
            all.push(joined.times.median());
        }
        let form = if binary { "binary frames" } else { "JSON" };
        rows.push(times(&format!("the median one, {form}"), &all.into()));
        rows.push(times(&format!("the last one, {form}"), &last.into()));
    }
    Ok(Section {
        title: "Fifty dashboards come back",
        how: "The load of *Fan-out*. 50 dashboards connect in the same instant, each with the position at which it left 5 s \
              ago (500 records of each of 10 agents), while the load goes on. Time from the first connection's start until \
              a dashboard has all that was published before that moment.",
        head: vec!["", "runs", "median", "p99"],
        rows,
        bars: vec![Bar::new("all of it, without a hole", missing == 0)],
        notes: Vec::new(),
        peers: Vec::new(),
    })
}

fn come_back(binary: bool) -> Result<crate::load::Joined> {
    let daemon = Daemon::start(ANY_PORT, "")?;
    let (hub, door) = (Opsctl::of(&daemon, binary)?, Door::of(&daemon)?);
    let rate = RATE * SOURCES as f64;
    let mut load = Load::connect(&hub, SOURCES, 0)?;
    load.publish_for(rate, WARM_UP)?;
    let (left, positions) = (load.sent(), positions(&door)?);
    load.publish_for(rate, BEHIND)?;
    load.join(rate, WATCHERS, left, |net| {
        let dashboard = Dashboard::of_all_agents_since(positions.clone())?;
        Ok((door.dashboard(net, binary)?, Box::new(dashboard)))
    })
}

/// Where each agent's channel stands now.
fn positions(door: &Door) -> Result<BTreeMap<String, Position>> {
    let mut net = Net::new()?;
    let mut probe = Probe {
        dashboard: Dashboard::of_all_agents()?,
        positions: BTreeMap::new(),
    };
    door.dashboard(&mut net, false)?;
    let end = Instant::now() + DEADLINE;
    while probe.positions.is_empty() {
        ensure!(Instant::now() < end, "the daemon does not answer");
        net.turn(end, &mut probe)?;
    }
    Ok(probe.positions)
}

/// A dashboard that only asks where it stands.
struct Probe {
    dashboard: Dashboard,
    positions: BTreeMap<String, Position>,
}

impl Ear for Probe {
    fn heard(&mut self, net: &mut Net, id: Id, heard: Heard<'_>) {
        self.dashboard.heard(net, id, heard);
        if let Heard::Text(text) = heard
            && let Ok(text) = std::str::from_utf8(text)
            && let Ok(decoded) = decode::<ToDashboard>(text)
            && let ToDashboard::Subscribed(subscribed) = decoded.message
        {
            for stream in subscribed.streams {
                let position = Position {
                    epoch: stream.epoch,
                    seq: stream.seq,
                };
                self.positions.insert(stream.channel.to_string(), position);
            }
        }
    }
}
