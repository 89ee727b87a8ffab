//! Nine panes in which nothing happens.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::options::Options;
use crate::sides::{self, Kind, share};
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
    let time = options.time(WATCHED);
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    let mut console = None;
    for kind in Kind::ALL {
        let Some(mut side) = kind.start(&lines, &mut notes)? else {
            continue;
        };
        side.viewer().watch(SETTLING)?;
        let before = side.viewer().drawn;
        let usage = sides::watch(side.as_mut(), time)?;
        let bytes = side.viewer().drawn.bytes - before.bytes;
        let cpu = share(usage, time);
        console.get_or_insert((bytes, cpu));
        rows.push(vec![
            side.name().to_owned(),
            format!("{:.3} %", cpu * 100.0),
            format!("{:.1}", usage.sleeps as f64 / time.as_secs_f64()),
            bytes.to_string(),
        ]);
    }
    let (bytes, cpu) = console.context("the console was watched")?;
    Ok(Section {
        title: "The console: nothing changed",
        how: "Nine panes with `cat` waiting, watched in turn. CPU is of one core, of the processes that show panes.",
        head: vec!["", "CPU", "wake-ups a second", "bytes to the terminal"],
        rows,
        bars: vec![
            Bar::new("no frame", bytes == 0),
            Bar::new("no CPU (under 0.1 % of a core)", cpu < NO_CPU),
        ],
        notes,
        peers: sides::versions(),
    })
}
