//! What finding signals in a flood costs: `cargo bench -p opsctl-terminal --bench signals`.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::hint::black_box;
use std::time::Instant;

use opsctl_terminal::Signals;

/// What the daemon gets at once.
const PIECE: usize = 32 * 1024;

/// Bytes scanned for each figure.
const TOTAL: usize = 1 << 30;

fn main() {
    let floods: [(&str, Vec<u8>); 3] = [
        (
            "plain lines",
            b"a line of a log that says nothing much at all\r\n".repeat(1000),
        ),
        (
            "coloured lines",
            b"\x1b[32mok\x1b[0m a test of this name passed \x1b[2min 3 ms\x1b[0m\r\n".repeat(1000),
        ),
        (
            "full-screen drawing",
            b"\x1b[12;40H\x1b[7m x \x1b[m\x1b[K".repeat(2000),
        ),
    ];
    for (name, flood) in floods {
        let piece: Vec<u8> = flood.iter().copied().cycle().take(PIECE).collect();
        let mut scanner = Signals::default();
        let start = Instant::now();
        for _ in 0..TOTAL / PIECE {
            scanner.scan(black_box(&piece), |signal| drop(black_box(signal)));
        }
        let rate = TOTAL as f64 / start.elapsed().as_secs_f64() / 1e6;
        println!("{name:<20} {rate:>8.0} MB/s");
    }
}
