//! Figures of the far end alone, with a daemon's end that does nothing. `cargo test -p opsctl-agent --test far_end figures`
//! prints them; they fail nothing, since a busy machine says little.

use std::time::{Duration, Instant};

use opsctl_protocol::limits::INPUT_WINDOW;
use opsctl_protocol::message::Stdin;

use crate::daemon::{World, argv, sh};

const MEGABYTES: u64 = 200;

/// Prints all figures.
pub(crate) async fn all() {
    start_to_end().await;
    echo().await;
    bulk_out().await;
    bulk_in().await;
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!(
        "{what}: median {:?}, p90 {:?}, p99 {:?}",
        at(50),
        at(90),
        at(99)
    );
}

async fn start_to_end() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    for (what, pty) in [
        ("true between pipes, execute to end", false),
        ("true in a terminal, execute to end", true),
    ] {
        let mut times = Vec::new();
        for _ in 0..200 {
            let mut spec = argv(&["true"]);
            spec.pty = pty;
            let begin = Instant::now();
            let id = conn.execute(spec);
            conn.end(id).await;
            times.push(begin.elapsed());
            conn.ack(id, conn.received, true);
            // People take a moment between commands, and a warm holder takes one to start.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        report(what, times);
    }
}

async fn echo() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    let mut spec = argv(&["cat"]);
    spec.pty = true;
    let id = conn.execute(spec);
    conn.until_running(id).await;
    let mut times = Vec::new();
    for _ in 0..500 {
        let (begin, before) = (Instant::now(), conn.received);
        conn.input(id, None, b"x", false).await;
        conn.until("the echo", |conn| conn.received > before).await;
        times.push(begin.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    report("key to echo", times);
}

async fn bulk_out() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    conn.keep = false;
    for (what, pty, line) in [
        (
            "out between pipes",
            false,
            format!("head -c {MEGABYTES}M /dev/zero"),
        ),
        (
            "out of a terminal",
            true,
            format!("yes | head -c {}M", MEGABYTES / 4),
        ),
    ] {
        let mut spec = sh(&line);
        spec.pty = pty;
        let (begin, before) = (Instant::now(), conn.received);
        let id = conn.execute(spec);
        while !conn
            .statuses
            .iter()
            .any(|status| status.command_id == id && status.state.is_final())
        {
            let acked = conn.received;
            conn.step().await;
            if conn.received >> 20 != acked >> 20 {
                conn.ack(id, conn.received - before, false);
            }
        }
        rate(what, conn.received - before, begin.elapsed());
        println!("  {} pieces", conn.pieces.len());
    }
}

async fn bulk_in() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    let mut spec = sh("cat >/dev/null");
    spec.stdin = Stdin::Stream;
    let id = conn.execute(spec);
    conn.until_running(id).await;
    let (piece, length, begin) = (vec![0; 32 * 1024], MEGABYTES << 20, Instant::now());
    let mut sent = 0;
    while !conn.statuses.iter().any(|status| status.state.is_final()) {
        let consumed = conn
            .statuses
            .iter()
            .filter_map(|status| status.input_offset)
            .max()
            .unwrap_or(0);
        if sent < length && sent + (piece.len() as u64) <= consumed + INPUT_WINDOW {
            let end = sent + piece.len() as u64;
            conn.input(id, Some(sent), &piece, end == length).await;
            sent = end;
        } else {
            conn.step().await;
        }
    }
    rate("in between pipes", length, begin.elapsed());
}

fn rate(what: &str, bytes: u64, time: Duration) {
    println!(
        "{what}: {:.0} MB/s",
        bytes as f64 / 1e6 / time.as_secs_f64()
    );
}
