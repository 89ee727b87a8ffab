//! Fifty terminals that print and that nobody sees.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::options::Options;
use crate::programs::Program;
use crate::sides::{self, Kind, Watched};
use crate::support::report::{Bar, Section};

/// Terminals behind the one that is seen.
const HIDDEN: usize = 50;

/// Lines that each prints in each period: a thousand a second.
const LINES: u32 = 50;
/// See above.
const PERIOD: Duration = Duration::from_millis(50);

/// What the one that is seen shows, and nothing after it.
const SEEN: &str = "echo READY; exec cat";

/// What runs in the others where they are to be still.
const STILL: &str = "exec cat";

/// How long each side is watched.
const WATCHED: Duration = Duration::from_secs(10);

/// So that what belongs to the start is over, with the threads that tokio keeps for 10 s after they have blocked.
const SETTLING: Duration = Duration::from_secs(12);

/// What they may cost, of a core: next to nothing.
const MORE: f64 = 0.01;

/// CPU time of each side with fifty that are still, and with fifty that print.
pub fn measure(options: &Options) -> Result<Section> {
    let busy = Program::Paint {
        lines: LINES,
        period: PERIOD,
    };
    let time = options.extent.time(WATCHED);
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    let mut more = None;
    for kind in Kind::ALL {
        let mut watched = Vec::new();
        for line in [STILL.to_owned(), busy.line()?] {
            watched.extend(watch(kind, &line, time, &mut notes)?);
        }
        let [still, busy] = watched[..] else {
            continue;
        };
        more.get_or_insert(busy.cpu - still.cpu);
        rows.push(vec![
            still.name.to_owned(),
            format!("{:.2} %", still.cpu * 100.0),
            format!("{:.2} %", busy.cpu * 100.0),
        ]);
    }
    notes.dedup();
    let more = more.context("the console was watched")?;
    Ok(Section {
        title: "The console: fifty hidden terminals",
        how: "One terminal is seen in 200 × 60 and does nothing; behind it are fifty others. They are still; or each prints a \
              thousand coloured lines a second, 7 MB/s all together. Of opsctl's, eight are in panes that are hidden behind \
              the one that is seen, which is as many as there can be, and the others in none; tmux has them in windows, \
              zellij in tabs. CPU is of one core, of the processes that show panes: the console; tmux's and zellij's servers \
              and clients. (opsctl's daemon and agents, which keep all that output on disk, do so whoever watches.)",
        head: vec!["", "CPU, still", "CPU, all printing"],
        rows,
        bars: vec![Bar::new(
            format!(
                "hidden panes cost next to nothing (under 1 % of a core): {:.2} %",
                more * 100.0
            ),
            more < MORE,
        )],
        notes,
        peers: sides::versions(),
    })
}

/// One side with fifty of these lines behind what is seen; `None` when it isn't installed.
fn watch(
    kind: Kind,
    line: &str,
    time: Duration,
    notes: &mut Vec<String>,
) -> Result<Option<Watched>> {
    let hidden = vec![line.to_owned(); HIDDEN];
    let Some(mut side) = kind.before(SEEN, &hidden, notes)? else {
        return Ok(None);
    };
    side.viewer().wait_text("READY")?;
    side.viewer().watch(SETTLING)?;
    sides::watch(side.as_mut(), time).map(Some)
}
