//! Nine panes in which nothing happens.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::options::Options;
use crate::sides;
use crate::support::report::{Bar, Section};

const PANES: usize = 9;

/// How long each side is watched.
const WATCHED: Duration = Duration::from_secs(10);

/// So that what belongs to the start is over, with the threads that tokio keeps for 10 s after they have blocked.
const SETTLING: Duration = Duration::from_secs(12);

/// What counts as no CPU, of a core: room for a heartbeat.
const NO_CPU: f64 = 0.001;

/// CPU time, wake-ups and frames of each side.
pub fn measure(options: &Options) -> Result<Section> {
    let lines = vec!["echo READY; exec cat".to_owned(); PANES];
    let mut notes = Vec::new();
    let time = options.extent.time(WATCHED);
    let all = sides::watch_each(&lines, SETTLING, time, &mut notes)?;
    let rows = all.iter().map(|side| {
        vec![
            side.name.to_owned(),
            format!("{:.3} %", side.cpu * 100.0),
            format!("{:.1}", side.sleeps),
            format!("{:.0}", side.bytes * time.as_secs_f64()),
        ]
    });
    let console = all.first().context("the console was watched")?;
    Ok(Section {
        title: "The console: nothing changed",
        how: "Nine panes with `cat` waiting, watched in turn. CPU is of one core, of the processes that show panes.",
        head: vec!["", "CPU", "wake-ups a second", "bytes to the terminal"],
        rows: rows.collect(),
        bars: vec![
            Bar::new("no frame", console.bytes == 0.0),
            Bar::new("no CPU (under 0.1 % of a core)", console.cpu < NO_CPU),
        ],
        notes,
        peers: sides::versions(),
    })
}
