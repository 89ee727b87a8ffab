//! One of the dashboards hardly reads.

use std::time::Duration;

use anyhow::Result;

use crate::fan_out::{RATE, SOURCES, WATCHERS};
use crate::hubs::opsctl::Opsctl;
use crate::load::{Found, Load};
use crate::options::Options;
use crate::support::report::{Bar, Section};
use crate::support::samples::shown;

const TIME: Duration = Duration::from_secs(20);

/// How fast the slow one reads, in bytes a second.
const SLOW: usize = 10_000;

/// How much of the p99 is chance: two runs under equal conditions differ by this much.
const CHANCE: f64 = 1.5;

/// Measures the others with and without.
pub fn measure(options: &Options) -> Result<Section> {
    let time = options.extent.time(TIME);
    let hub = Opsctl::start(false)?;
    let mut load = Load::connect(&hub, SOURCES, WATCHERS)?;
    let rate = RATE * SOURCES as f64;
    let without = load.run(rate, time)?;
    load.slow_down_one(SLOW)?;
    let with = load.run(rate, time)?;
    let row = |name: &str, found: &Found| {
        vec![
            name.to_owned(),
            shown(found.latencies.median()),
            shown(found.latencies.p99()),
            shown(found.latencies.max()),
            found.missing.to_string(),
        ]
    };
    let seconds = |found: &Found| found.latencies.p99().as_secs_f64();
    Ok(Section {
        title: "One slow reader",
        how: "The load of *Fan-out*, in JSON; then the same while one of the 50 dashboards reads 10 KB a second. The figures \
              are those of the other 49, or of all 50.",
        head: vec!["", "p50", "p99", "max", "lost"],
        rows: vec![row("all read", &without), row("one reads 10 KB/s", &with)],
        bars: vec![Bar::new(
            "the p99 of the others doesn't move (by less than half)",
            seconds(&with) <= seconds(&without) * CHANCE,
        )],
        notes: vec![format!(
            "The slow one got {} of {} records{}.",
            with.slow,
            (rate * time.as_secs_f64()) as u64,
            with.endings
                .first()
                .map(|ending| format!(", then its connection was closed: {ending}"))
                .unwrap_or_default(),
        )],
        peers: Vec::new(),
    })
}
