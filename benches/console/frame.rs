//! Nine panes of a 200x60 terminal, all of them changing with every frame; and a flood in one of them.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::options::Options;
use crate::programs::{coloured, plain};
use crate::support::report::{Bar, Section};
use crate::support::samples::{Samples, shown};
use crate::world::{Cpu, Line, World, pieces};

const PANES: usize = 9;

/// Frames that are measured: some seconds of a busy console.
const FRAMES: u32 = 2000;

/// Lines that each pane gets between two frames.
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

/// CPU time of frames, with parsing what is new in them, and of floods with their frames.
pub fn measure(options: &Options) -> Section {
    let (times, bytes) = frames(options.count(FRAMES));
    let kinds: [(&str, Line); 2] = [("coloured", coloured), ("plain", plain)];
    let time = options.time(FLOOD);
    let rates = kinds.map(|(name, line)| (name, rate(line, time)));
    let mut rows = vec![vec![
        format!("frame, {LINES} new coloured lines in each of {PANES} panes"),
        shown(times.median()),
        shown(times.p99()),
        format!("{} KiB a frame", bytes / 1024),
    ]];
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
fn frames(count: u32) -> (Samples, usize) {
    let mut world = World::with_panes(PANES);
    let mut times = Vec::with_capacity(count as usize);
    let mut bytes = 0;
    for frame in 0..count as usize {
        let lines: Vec<Bytes> = (0..PANES)
            .map(|pane| {
                let lines = (0..LINES).map(|line| coloured((frame * PANES + pane) * LINES + line));
                Bytes::from(lines.collect::<String>())
            })
            .collect();
        let start = Cpu::start();
        for (pane, lines) in lines.into_iter().enumerate() {
            world.output(pane, lines);
        }
        bytes += world.draw();
        times.push(start.elapsed());
    }
    (Samples::new(times), bytes / count as usize)
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
