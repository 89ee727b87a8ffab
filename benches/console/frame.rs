//! Nine panes of a 200x60 terminal, all of them changing with every frame; and a flood in one of them.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::options::Options;
use crate::programs::{coloured, plain};
use crate::support::report::{Bar, Section};
use crate::support::samples::{Samples, shown};
use crate::viewer::SIZE;
use crate::world::{Cpu, Line, World, pieces};

/// Frames that are measured: some seconds of a busy console.
const FRAMES: u32 = 2000;

/// Lines that a pane gets between two frames.
const LINES: usize = 5;

/// How long each flood lasts, in CPU time.
const FLOOD: Duration = Duration::from_secs(3);

/// The shortest time between two frames, as in the console.
const FRAME: Duration = Duration::from_millis(16);

/// What a frame may take.
const P50: Duration = Duration::from_millis(2);
/// See above.
const P99: Duration = Duration::from_millis(4);

/// What a flood must come through with, in MB a second.
const RATE: f64 = 30.0;

/// What changes from one frame to the next.
struct Change {
    /// As the table says it.
    what: &'static str,
    /// Panes that are shown.
    panes: usize,
    /// Those of them that get something new.
    changing: usize,
    /// What each of them gets in a frame.
    output: fn(usize) -> String,
}

/// The first is the one that the figures are about.
const CHANGES: [Change; 3] = [
    Change {
        what: "five new coloured lines in each of nine panes",
        panes: 9,
        changing: 9,
        output: lines,
    },
    Change {
        what: "five new coloured lines in one of nine panes",
        panes: 9,
        changing: 1,
        output: lines,
    },
    Change {
        what: "one new character in a pane of a full screen",
        panes: 1,
        changing: 1,
        output: letter,
    },
];

/// CPU time of frames, with parsing what is new in them, and of floods with their frames.
pub fn measure(options: &Options) -> Section {
    let count = options.extent.count(FRAMES);
    let changes = CHANGES.map(|change| (change.what, frames(&change, count)));
    let times = &changes[0].1.0;
    let kinds: [(&str, Line); 2] = [("coloured", coloured), ("plain", plain)];
    let time = options.extent.time(FLOOD);
    let rates = kinds.map(|(name, line)| (name, rate(line, time)));
    let frame = |(what, (times, bytes)): &(&str, (Samples, usize))| {
        vec![
            format!("frame, {what}"),
            shown(times.median()),
            shown(times.p99()),
            format!("{:.1} KB a frame", *bytes as f64 / 1e3),
        ]
    };
    let mut rows: Vec<_> = changes.iter().map(frame).collect();
    rows.extend(rates.iter().map(|(name, rate)| {
        vec![
            format!("flood of {name} lines, one pane"),
            String::new(),
            String::new(),
            format!("{rate:.0} MB a second"),
        ]
    }));
    Section {
        title: "The console: a frame",
        how: "The reducer and the drawing in this process, at 200 × 60, in CPU time: pieces of output go in, the bytes for \
              the terminal come out. A frame's time has the parsing of what is new in it. The floods are drawn 60 times a \
              second and come through as much in a second of CPU time.",
        head: vec!["", "p50", "p99", ""],
        rows,
        bars: vec![
            Bar::new(
                "a frame takes under 2 ms at the median",
                times.median() < P50,
            ),
            Bar::new("p99 under 4 ms", times.p99() < P99),
            Bar::new(
                "at least 30 MB/s through a visible pane",
                rates.iter().all(|(_, rate)| *rate >= RATE),
            ),
        ],
        notes: Vec::new(),
        peers: Vec::new(),
    }
}

/// The CPU time of frames, and the bytes of one.
fn frames(change: &Change, count: u32) -> (Samples, usize) {
    let mut world = World::with_panes(change.panes);
    fill(&mut world, change.panes);
    let mut times = Vec::with_capacity(count as usize);
    let mut bytes = 0;
    for frame in 0..count as usize {
        let outputs: Vec<Bytes> = (0..change.changing)
            .map(|pane| Bytes::from((change.output)(frame * change.changing + pane)))
            .collect();
        let start = Cpu::start();
        for (pane, output) in outputs.into_iter().enumerate() {
            world.output(pane, output);
        }
        bytes += world.draw();
        times.push(start.elapsed());
    }
    (Samples::new(times), bytes / count as usize)
}

/// Fills the screens, so that every frame is one of a console in use.
fn fill(world: &mut World, panes: usize) {
    for pane in 0..panes {
        let lines: String = (0..usize::from(SIZE.1)).map(coloured).collect();
        world.output(pane, Bytes::from(lines));
    }
    world.draw();
}

fn lines(number: usize) -> String {
    (0..LINES)
        .map(|line| coloured(number * LINES + line))
        .collect()
}

fn letter(number: usize) -> String {
    char::from(b'a' + (number % 26) as u8).to_string()
}

/// Megabytes a second of CPU time.
fn rate(line: Line, time: Duration) -> f64 {
    let pieces = pieces(line);
    let mut world = World::with_panes(1);
    let (start, mut taken, mut drawn) = (Cpu::start(), 0, Instant::now());
    for piece in pieces.iter().cycle() {
        world.output(0, piece.clone());
        taken += piece.len();
        if drawn.elapsed() >= FRAME {
            drawn = Instant::now();
            world.draw();
        }
        if start.elapsed() >= time {
            break;
        }
    }
    taken as f64 / 1e6 / start.elapsed().as_secs_f64()
}
