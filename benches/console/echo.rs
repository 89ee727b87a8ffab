//! From a key to its echo in an attached pane.

use std::time::Duration;

use anyhow::Result;

use crate::options::Options;
use crate::programs::Program;
use crate::sides::console::Console;
use crate::sides::{self, Kind, Side};
use crate::support::place::Place;
use crate::support::report::{Bar, Section, times};
use crate::support::samples::{Samples, shown};
use crate::support::stop;
use crate::support::typist::Typist;
use crate::viewer::Viewer;

/// The program that echoes; its terminal doesn't, so that each key goes all the way.
const ECHO: &str = "stty raw -echo; echo READY; exec cat";

/// So that the 99th percentile is ten keys.
const KEYS: u32 = 1000;

/// Panes beside the one that is attached to, in the console's grid.
const BESIDE: usize = 8;

/// Busy terminals, in all.
const BUSY: usize = 50;

/// How often a busy one prints a line.
const PERIOD: Duration = Duration::from_millis(50);

/// What the console may take more than a bare terminal at the median.
const MORE: Duration = Duration::from_millis(1);

/// What it may take at p99, alone and among busy ones.
const P99: Duration = Duration::from_millis(5);
/// See above.
const P99_BUSY: Duration = Duration::from_millis(15);

/// A bare terminal, which everything else has behind it too.
struct Bare {
    viewer: Viewer,
    _place: Place,
}

/// Measures keys to `cat` through each side, by turns; then through the console among fifty busy terminals.
pub fn measure(options: &Options) -> Result<Section> {
    let keys = options.extent.count(KEYS);
    let (names, samples, notes) = alone(keys)?;
    let busy = among_busy(keys)?;
    let (bare, console) = (&samples[0], &samples[1]);
    let more = console.median().saturating_sub(bare.median());
    let mut rows: Vec<_> = names
        .iter()
        .zip(&samples)
        .map(|(name, one)| times(name, one))
        .collect();
    rows.push(times(
        "`opsctl tui`, fifty busy terminals, nine panes",
        &busy,
    ));
    Ok(Section {
        title: "The console: from a key to its echo",
        how: "One byte is written to a terminal of 200 × 60 and comes back from `cat` behind it, in a pane that is attached \
              to; 5 to 15 ms between two keys, by turns. Then, of the console only, with fifty terminals that print a \
              coloured line 20 times a second, eight of them in panes beside it.",
        head: vec!["", "keys", "median", "p99"],
        rows,
        bars: vec![
            Bar::new(
                format!("p50 under 1 ms above a bare terminal: {}", shown(more)),
                more < MORE,
            ),
            Bar::new("p99 under 5 ms", console.p99() < P99),
            Bar::new(
                "p99 under 15 ms among fifty busy terminals",
                busy.p99() < P99_BUSY,
            ),
        ],
        notes,
        peers: sides::versions(),
    })
}

/// The names of the sides and what keys took; the bare terminal first, then the console.
fn alone(keys: u32) -> Result<(Vec<&'static str>, Vec<Samples>, Vec<String>)> {
    let mut notes = Vec::new();
    let line = [ECHO.to_owned()];
    let mut console = Console::with(&line)?;
    console.viewer().wait_text("READY")?;
    console.attach(true)?;
    let mut sides: Vec<Box<dyn Side>> = vec![Box::new(Bare::start()?), Box::new(console)];
    for kind in [Kind::Tmux, Kind::Zellij] {
        sides.extend(kind.start(&line, &mut notes)?);
    }
    for side in &mut sides {
        side.viewer().wait_text("READY")?;
    }
    let mut typists: Vec<Typist> = (0..sides.len()).map(|at| Typist::new(at as u64)).collect();
    let mut samples = vec![Vec::new(); sides.len()];
    for round in 0..=keys as usize {
        for turn in 0..sides.len() {
            let at = (round + turn) % sides.len();
            let time = key(&mut typists[at], sides[at].viewer())?;
            // The first of each warms caches.
            if round > 0 {
                samples[at].push(time);
            }
        }
    }
    let names = sides.iter().map(|side| side.name()).collect();
    Ok((
        names,
        samples.into_iter().map(Samples::new).collect(),
        notes,
    ))
}

fn among_busy(keys: u32) -> Result<Samples> {
    let busy = Program::Paint {
        lines: 1,
        period: PERIOD,
    }
    .line()?;
    let mut lines = vec![busy.clone(); BESIDE];
    lines.push(ECHO.to_owned());
    let mut console = Console::with(&lines)?;
    console.viewer().wait_text("READY")?;
    console.unseen(&vec![busy; BUSY - BESIDE])?;
    console.attach(false)?;
    let mut typist = Typist::new(7);
    let times = (0..keys).map(|_| key(&mut typist, console.viewer()));
    Ok(Samples::new(times.collect::<Result<Vec<_>>>()?))
}

impl Bare {
    fn start() -> Result<Self> {
        let place = Place::new()?;
        let mut command = place.command("/bin/sh");
        command.args(["-c", ECHO]);
        let viewer = Viewer::start(&command)?;
        Ok(Self {
            viewer,
            _place: place,
        })
    }
}

impl Side for Bare {
    fn name(&self) -> &'static str {
        "a bare terminal"
    }

    fn viewer(&mut self) -> &mut Viewer {
        &mut self.viewer
    }

    fn processes(&self) -> Vec<rustix::process::Pid> {
        vec![self.viewer.pid()]
    }
}

fn key(typist: &mut Typist, viewer: &mut Viewer) -> Result<Duration> {
    stop::check()?;
    // Looking on meanwhile: a terminal that nobody reads stops its program.
    viewer.watch(typist.pause())?;
    viewer.echo(typist.letter())
}
