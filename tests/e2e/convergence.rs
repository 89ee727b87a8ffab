//! Consoles that watch the same end with the same: whatever their sizes, and as the emulator fed at once.

use std::fs;
use std::path::PathBuf;

use opsctl_terminal::{Limit, Screen};
use opsctl_tui::export;

use crate::harness::{Pty, TestAgent, TestDaemon, wait_until};

/// The size of a terminal that nobody was attached to, whatever the consoles that watch it have.
const TERMINAL: (u16, u16) = (80, 24);

/// What a pane keeps, and more than it.
const LINES: usize = 30_000;

/// A console that shows the one command in a pane.
fn watch(daemon: &TestDaemon, id: &str, cols: u16, rows: u16) -> Pty {
    let console = daemon.opsctl(["tui"]).pty(cols, rows);
    console.wait_text("connected");
    console.send(format!(":logs {id}\r"));
    console
}

/// All that the pane holds, once it ends as the output does.
fn contents(
    daemon: &TestDaemon,
    console: &Pty,
    name: &str,
    whole: impl Fn(&str) -> bool,
) -> String {
    let mut number = 0;
    wait_until("the pane's contents", || {
        number += 1;
        let path: PathBuf = daemon.path(format!("{name}-{number}"));
        console.send(format!(":export ansi {}\r", path.display()));
        console.wait_text(&format!("written to {}", path.display()));
        let text = fs::read_to_string(&path).unwrap();
        whole(&text).then_some(text)
    })
}

/// Runs a line in a terminal of [`TERMINAL`] and leaves it running; its id.
fn start(daemon: &TestDaemon, line: &str) -> String {
    let send = ["send", "a", "--pty", "--detach", "--shell", line];
    let finished = daemon.opsctl(send).run();
    assert_eq!(finished.code, 0, "{}", finished.err());
    finished.out().trim().to_owned()
}

#[test]
fn consoles_of_three_sizes_end_with_the_same_after_a_flood() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    // Far more than a console can show while it comes, so that each is lapped where it will.
    let go = daemon.path("go");
    let line = format!(
        "echo ready; while [ ! -e {} ]; do sleep 0.02; done; yes \"$(printf '\\033[31mmuch\\033[m of it')\" | head -c 8000000; seq -f 'line %.0f' 1 {LINES}; echo the end; sleep 1000",
        go.display()
    );
    let id = start(&daemon, &line);
    let sizes = [(120, 40), (80, 24), (200, 60)];
    let consoles = sizes.map(|(cols, rows)| watch(&daemon, &id, cols, rows));
    for console in &consoles {
        console.wait_text("ready");
    }
    fs::write(go, "").unwrap();
    let whole = |text: &str| text.ends_with("the end\n") && text.lines().count() >= 10_000;
    let mut seen = Vec::new();
    for (console, (cols, _)) in consoles.iter().zip(sizes) {
        console.wait_text("the end");
        seen.push(contents(&daemon, console, &format!("pane-{cols}"), whole));
    }
    assert!(
        seen[0].contains("\nline 25000\n"),
        "the lines above the screen are there"
    );
    for (other, (cols, rows)) in seen.iter().zip(sizes).skip(1) {
        let differs = seen[0]
            .lines()
            .zip(other.lines())
            .find(|(one, other)| one != other);
        assert_eq!(differs, None, "{cols}x{rows}");
        assert_eq!(
            seen[0].lines().count(),
            other.lines().count(),
            "{cols}x{rows}"
        );
    }
}

#[test]
fn a_pane_fed_over_the_whole_way_is_the_emulator_fed_at_once() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    for seed in 1..=4_u64 {
        let stream = stream(seed);
        let path = daemon.path(format!("stream-{seed}"));
        fs::write(&path, &stream).unwrap();
        // Raw, so that the terminal's driver changes nothing; and nobody answers what the stream asks.
        let line = format!("stty raw -echo; cat {}; sleep 1000", path.display());
        let id = start(&daemon, &line);
        // A console that follows while it comes may skip what it is too slow for, and has the lines from the log; a screen
        // for its preview that is still on its way counts as that.
        let console = daemon.opsctl(["tui"]).pty(120, 40);
        console.wait_text("the end");
        console.send(format!(":logs {id}\r"));
        let mut alone = Screen::keeping(TERMINAL.0, TERMINAL.1, Limit::lines(10_000));
        alone.feed(&stream);
        let expected = export::ansi(&alone);
        contents(&daemon, &console, &format!("pane-{seed}"), |text| {
            text == expected
        });
        console.send("q");
    }
}

/// Text and sequences at random, the same for a seed, with bytes that are neither; it ends on the normal screen.
fn stream(seed: u64) -> Vec<u8> {
    const PIECES: [&[u8]; 24] = [
        b"word ",
        b"longer than many others ",
        "界".as_bytes(),
        "表示 ".as_bytes(),
        "e\u{301}".as_bytes(),
        "👍".as_bytes(),
        "👩\u{200d}💻 ".as_bytes(),
        b"\r\n",
        b"\r\n",
        b"\t",
        b"\x08",
        b"\x1b[3;10H",
        b"\x1b[31m",
        b"\x1b[1;4;38;5;200m",
        b"\x1b[m",
        b"\x1b[K",
        b"\x1b[2J",
        b"\x1bM",
        b"\x1b[5L",
        b"\x1b[?1049h",
        b"\x1b[?1049l",
        b"\x1b[4;12r",
        b"\xff\xe2\x82",
        b"\x1b]8;;http://x/\x1b\\",
    ];
    let mut state = seed;
    let mut stream = Vec::new();
    while stream.len() < 200_000 {
        // Knuth's constants for MMIX; the high bits are the random ones.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        stream.extend_from_slice(PIECES[(state >> 33) as usize % PIECES.len()]);
    }
    stream.extend_from_slice(b"\x1b[?1049l\x1b[r\x1b[m\x1b]8;;\x1b\\\x1b[24;1H\r\nthe end\r\n");
    stream
}
