//! Nine panes, all of them changing 60 times a second.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::options::Options;
use crate::programs::Program;
use crate::sides;
use crate::support::report::{Bar, Section};

/// As fast as a screen can show it.
const PERIOD: Duration = Duration::from_millis(16);

/// Lines that each pane gets in each period.
const LINES: u32 = 5;

const PANES: usize = 9;

/// How long each side is watched.
const WATCHED: Duration = Duration::from_secs(10);

/// So that what belongs to the start is over.
const SETTLING: Duration = Duration::from_secs(2);

/// What a person's screen shows, with the rounding of a second's ends.
const FRAMES: f64 = 61.0;

/// CPU time and frames of each side.
pub fn measure(options: &Options) -> Result<Section> {
    let line = Program::Paint {
        lines: LINES,
        period: PERIOD,
    }
    .line()?;
    let lines = vec![line; PANES];
    let mut notes = Vec::new();
    let time = options.extent.time(WATCHED);
    let all = sides::watch_each(&lines, SETTLING, time, &mut notes)?;
    let rows = all.iter().map(|side| {
        vec![
            side.name.to_owned(),
            format!("{:.0} %", side.cpu * 100.0),
            if side.frames > 0.0 {
                format!("{:.0}", side.frames)
            } else {
                "not told".to_owned()
            },
            format!("{:.0} KB", side.bytes / 1e3),
        ]
    });
    let frames = all.first().context("the console was watched")?.frames;
    Ok(Section {
        title: "The console: nine panes all changing",
        how: "Each of nine panes gets five coloured lines 60 times a second, in a terminal of 200 × 60. CPU is of one core, \
              of the processes that show panes: the console; tmux's and zellij's servers and clients. (Daemon and agents of \
              opsctl do what these servers don't: they keep all output on disk.)",
        head: vec!["", "CPU", "frames a second", "to the terminal, a second"],
        rows: rows.collect(),
        bars: vec![Bar::new(
            format!("at most 60 frames a second: {frames:.1}"),
            frames < FRAMES,
        )],
        notes,
        peers: sides::versions(),
    })
}
