//! A flood through a visible pane: how much comes through, how far behind it is, and how fast keys are answered.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use opsctl_terminal::Screen;

use crate::options::Options;
use crate::programs::{Program, nanos};
use crate::sides::{self, Kind, Side, share};
use crate::support::processes::Snapshot;
use crate::support::report::{Bar, Section};
use crate::support::samples::{Samples, shown};
use crate::support::stop;
use crate::viewer::Viewer;

/// How long each side is watched.
const WATCHED: Duration = Duration::from_secs(10);

/// So that what belongs to the start is over.
const SETTLING: Duration = Duration::from_secs(2);

/// From one key to the next.
const PAUSE: Duration = Duration::from_millis(40);

/// What a key may take at p99, from being typed to being seen.
const KEY: Duration = Duration::from_millis(16);

/// How old what is seen may get.
const BEHIND: Duration = Duration::from_millis(100);

/// No line that is seen is older than this, in nanoseconds.
const OLDEST: u64 = 60_000_000_000;

/// What one side did.
struct Seen {
    /// Megabytes of the program's that went by, a second.
    rate: f64,
    /// How old the newest line that was seen had become, each time just before a newer one took its place.
    behind: Samples,
    /// From a key to what it does, of the console.
    keys: Option<Samples>,
    /// Of a core.
    cpu: f64,
}

/// Watches a flood through each side.
pub fn measure(options: &Options) -> Result<Section> {
    let time = options.extent.time(WATCHED);
    let line = [Program::Flood.line()?];
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    let mut first = None;
    for kind in Kind::ALL {
        // One after the other: two floods would halve each other.
        let Some(mut side) = kind.start(&line, &mut notes)? else {
            continue;
        };
        let types = first.is_none();
        let seen = watch(side.as_mut(), time, types)?;
        rows.push(vec![
            side.name().to_owned(),
            format!("{:.0}", seen.rate),
            shown(seen.behind.median()),
            shown(seen.behind.p99()),
            shown(seen.behind.max()),
            seen.keys
                .as_ref()
                .map_or(String::new(), |keys| shown(keys.p99())),
            format!("{:.0} %", seen.cpu * 100.0),
        ]);
        first.get_or_insert(seen);
    }
    let console = first.context("the console was watched")?;
    let keys = console.keys.context("keys were typed")?;
    Ok(Section {
        title: "The console: a flood through a visible pane",
        how: "A program writes coloured lines as fast as they are taken, each with the time and how many bytes came before \
              it; at the person's terminal of 200 × 60 that tells how much went by, in MB a second (what a reader that was \
              lapped didn't get went by too), and how far behind the screen is: by the program's clock, how old the newest \
              line that is seen has become when a newer one takes its place, so that a screen that stands still counts. The \
              program, all between, and the emulator that looks at the terminal share the two cores. A key is `?`, which \
              opens and closes the help; what it hides meanwhile doesn't count as behind. CPU is of one core, of the \
              processes that show panes.",
        head: vec!["", "MB/s", "behind, p50", "p99", "max", "key, p99", "CPU"],
        rows,
        bars: vec![
            Bar::new("at least 30 MB/s", console.rate >= 30.0),
            Bar::new("keys answered within 16 ms at p99", keys.p99() < KEY),
            Bar::new(
                "never more than 100 ms behind",
                console.behind.max() <= BEHIND,
            ),
        ],
        notes,
        peers: sides::versions(),
    })
}

fn watch(side: &mut dyn Side, time: Duration, types: bool) -> Result<Seen> {
    let pids = side.processes();
    let viewer = side.viewer();
    viewer.wait("the flood", |screen| newest(screen).is_some())?;
    viewer.watch(SETTLING)?;
    let before = Snapshot::of(&pids)?;
    let (start, first) = (Instant::now(), newest(&viewer.screen).context("a line")?);
    let (mut behind, mut keys) = (Vec::new(), Vec::new());
    let mut last = first;
    let mut key_at = start + PAUSE;
    while start.elapsed() < time {
        stop::check()?;
        if types && Instant::now() >= key_at {
            keys.push(help(viewer)?);
            key_at = Instant::now() + PAUSE;
            last = newest(&viewer.screen).unwrap_or(last);
        }
        viewer.look(Instant::now() + PAUSE)?;
        if let Some(line) = newest(&viewer.screen).filter(|line| *line != last) {
            let age = nanos().saturating_sub(last.time);
            behind.push(Duration::from_nanos(age));
            last = line;
        }
    }
    let passed = start.elapsed();
    let usage = Snapshot::of(&pids)?.since(&before);
    Ok(Seen {
        rate: (last.bytes - first.bytes) as f64 / 1e6 / passed.as_secs_f64(),
        behind: Samples::new(behind),
        keys: types.then(|| Samples::new(keys)),
        cpu: share(usage, passed),
    })
}

/// Opens the help and closes it again: how long opening it took.
fn help(viewer: &mut Viewer) -> Result<Duration> {
    const SEEN: &str = "Esc closes";
    let start = Instant::now();
    viewer.keys("?")?;
    viewer.wait_text(SEEN)?;
    let took = start.elapsed();
    viewer.keys("?")?;
    viewer.wait("the help to close", |screen| !screen.text().contains(SEEN))?;
    Ok(took)
}

/// What a line of the flood tells.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    bytes: u64,
    time: u64,
}

/// The newest line that is seen whole. Nothing in the middle of a frame, where half of a line may be an older one's.
fn newest(screen: &Screen) -> Option<Line> {
    if screen.modes().synchronized {
        return None;
    }
    let now = nanos();
    let rows = (0..i32::from(screen.size().1)).rev();
    let lines = rows.filter_map(|row| {
        let text = screen.row(row)?.text();
        let (_, text) = text.split_once('@')?;
        let mut words = text.split(' ');
        let line = Line {
            bytes: words.next()?.parse().ok()?,
            time: words.next()?.strip_prefix('T')?.parse().ok()?,
        };
        // Only a number with something behind it is there to its end. Who doesn't tell where a frame begins may still be in
        // the middle of one: then a time is none that can be.
        let is_whole = words.next().is_some() && line.time <= now && now - line.time < OLDEST;
        is_whole.then_some(line)
    });
    lines.max_by_key(|line| line.bytes)
}
