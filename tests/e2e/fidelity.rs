//! Real programs in a pane of the console and in tmux, cell by cell. Where the two differ is in [`KNOWN`], with the reason
//! in docs/fidelity.md.

use std::fs;
use std::time::{Duration, Instant};

use opsctl_terminal::{Attributes, Cell, Color, Screen, Underline, Width};

use crate::harness::{Pty, TestAgent, TestDaemon, has_program, wait_until};

/// Columns and rows of the program's terminal.
const SIZE: (u16, u16) = (80, 24);

/// Rows of a zoomed console that are not the pane's: the title of the console and of the pane above it, the keys below.
const ABOVE: u16 = 2;
/// See above.
const BELOW: u16 = 1;

/// How long the two may take to get equal. A known difference is given less, since it only has to show itself.
const DEADLINE: Duration = Duration::from_secs(20);
/// See above.
const SHORT: Duration = Duration::from_secs(2);

/// For how long they must have been equal, so that a screen that is still being drawn doesn't count.
const STABLE: Duration = Duration::from_millis(150);

/// Where pane and tmux differ, and why: program, step, reason in short.
const KNOWN: &[(&str, usize, &str)] = &[
    (
        "vttest",
        2,
        "132 columns: tmux and a pane both keep 80, and cut elsewhere",
    ),
    (
        "vttest",
        3,
        "wrapping mixed with control characters: tmux loses lines",
    ),
    ("vttest", 4, "the same in 132 columns"),
    (
        "vttest",
        8,
        "line drawing: tmux draws + , - . 0 as arrows and a block too",
    ),
];

/// A program, and what is typed into it.
struct Program {
    name: &'static str,
    /// As typed into a shell; `DIR` has [`files`], and `SLEEPER` is a process that does nothing.
    line: &'static str,
    /// Each is compared; the screen after the start is step 0.
    steps: &'static [&'static str],
    /// What stands on the screen when it waits for a key; nothing for those that read ahead.
    asks: &'static [&'static str],
    /// The rows that are compared: others tell of the machine as it is at that moment.
    rows: std::ops::Range<u16>,
}

const ALL: std::ops::Range<u16> = 0..SIZE.1;

const PROGRAMS: &[Program] = &[
    Program {
        name: "vim",
        line: "vim -u NONE -i NONE -n -N DIR/text",
        steps: &[
            "\x04",
            "G",
            ":set number list ruler\r",
            ":set hlsearch\r/line 7\r",
            "ggOtyped 界 👍 e\u{301}\x1b",
            ":split\r",
            ":vsplit\r",
            "\x17w\x06",
            ":help\r",
        ],
        asks: &[],
        rows: ALL,
    },
    Program {
        name: "less",
        line: "less -R DIR/coloured",
        steps: &[" ", "/line 50\r", "G", "-S\r", "g", "\x1b[C"],
        asks: &[],
        rows: ALL,
    },
    Program {
        name: "nano",
        line: "nano --ignorercfiles DIR/text",
        steps: &["\x16", "typed 界 👍 e\u{301}", "\x07", "\x18", "\x18"],
        asks: &[],
        rows: ALL,
    },
    Program {
        name: "mc",
        line: "mc --nosubshell DIR DIR",
        steps: &[
            "\x1b[B",
            "\x1b[B\x1b[B",
            "\x1bOR",
            "\x1b[21~",
            "\x1b[20~",
            "\x1b\x1b",
            "\x1bOQ",
        ],
        asks: &[],
        rows: ALL,
    },
    Program {
        name: "htop",
        line: "htop --no-mouse --delay=100 -p SLEEPER",
        steps: &["\x1bOQ", "\x1b[B", "\x1b[B"],
        asks: &[],
        // Above are the machine's meters.
        rows: 12..SIZE.1,
    },
    Program {
        name: "vttest",
        line: "vttest",
        steps: &[
            // Cursor movements, screen features, character sets, double sizes, insert and delete.
            "1\r", "\r", "\r", "\r", "\r", "\r", "\r", "3\r", "8\r", "\r", "\r", "\r", "0\r", "8\r",
            "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r",
        ],
        asks: &["Push <RETURN>", "Enter choice number"],
        rows: ALL,
    },
];

#[test]
fn vim_looks_the_same() {
    compare("vim");
}

#[test]
fn less_looks_the_same() {
    compare("less");
}

#[test]
fn nano_looks_the_same() {
    compare("nano");
}

#[test]
fn midnight_commander_looks_the_same() {
    compare("mc");
}

#[test]
fn htop_looks_the_same() {
    compare("htop");
}

#[test]
fn vttest_looks_the_same() {
    compare("vttest");
}

/// Runs a program on both sides, types the same, and compares after each step.
fn compare(name: &str) {
    if !(has_program(name) && has_program("tmux")) {
        return;
    }
    let program = PROGRAMS
        .iter()
        .find(|program| program.name == name)
        .unwrap();
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    files(&daemon);
    let (pane, tmux) = (pane(&daemon), tmux(&daemon));
    let mut sleeper = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let line = program
        .line
        .replace("DIR", daemon.path("files").to_str().unwrap())
        .replace("SLEEPER", &sleeper.id().to_string());
    let mut wrong = Vec::new();
    let start = format!("clear; {line}\r");
    let steps = std::iter::once(start.as_str()).chain(program.steps.iter().copied());
    for (at, keys) in steps.enumerate() {
        let known = KNOWN.iter().any(|(of, step, _)| *of == name && *step == at);
        let before = (pane.screen(), tmux.screen());
        pane.send(keys);
        tmux.send(keys);
        wait_changed(&pane, &before.0);
        wait_changed(&tmux, &before.1);
        wait_asking(&pane, program.asks);
        wait_asking(&tmux, program.asks);
        let differences = settle(
            &pane,
            &tmux,
            &program.rows,
            if known { SHORT } else { DEADLINE },
        );
        if known && differences.is_empty() {
            wrong.push(format!(
                "step {at} ({keys:?}) no longer differs: take it out of KNOWN"
            ));
        }
        if !known && !differences.is_empty() {
            let shown = differences[..differences.len().min(8)].join("\n  ");
            wrong.push(format!(
                "step {at} ({keys:?}), {} cells:\n  {shown}",
                differences.len()
            ));
        }
    }
    // It has nothing to say about how it ends.
    let _ = sleeper.kill().and_then(|()| sleeper.wait());
    assert!(
        wrong.is_empty(),
        "{name} differs (pane, tmux)\n{}\n--- pane\n{}\n--- tmux\n{}",
        wrong.join("\n"),
        pane.screen(),
        tmux.screen()
    );
}

/// What the programs show.
fn files(daemon: &TestDaemon) {
    let dir = daemon.path("files");
    fs::create_dir(&dir).unwrap();
    let text: String = (1..=200)
        .map(|n| match n % 5 {
            0 => format!("line {n}: 表示 と 漢字 가나다\n"),
            1 => format!("line {n}: emoji 👍 🎉 ✓ and e\u{301} a\u{308}\n"),
            2 => format!("line {n}:\ttabs\tand more\n"),
            3 => format!("line {n}: {}\n", "long ".repeat(30)),
            _ => format!("line {n}\n"),
        })
        .collect();
    fs::write(dir.join("text"), text).unwrap();
    let coloured = |n: u32| {
        format!(
            "\x1b[1;3{}mline {n}\x1b[0m \x1b[38;5;{n}mindexed\x1b[m \x1b[4;48;2;{n};20;90mrgb\x1b[m 界\n",
            n % 8
        )
    };
    let coloured: Vec<String> = (1..=200).map(coloured).collect();
    fs::write(dir.join("coloured"), coloured.concat()).unwrap();
    let mc = daemon.path(".config/mc");
    fs::create_dir_all(&mc).unwrap();
    // Hints are chosen by chance, and how much is free changes.
    fs::write(
        mc.join("ini"),
        "[Layout]\nmessage_visible=0\nfree_space=0\n",
    )
    .unwrap();
}

/// A shell in a pane that has the whole of a console, attached.
fn pane(daemon: &TestDaemon) -> Pty {
    let shell = [
        "send",
        "a",
        "--pty",
        "--detach",
        "--shell",
        "PS1='sh> ' ENV= exec sh -i",
    ];
    let started = daemon.opsctl(shell).run();
    assert_eq!(started.code, 0, "{}", started.err());
    let console = daemon
        .opsctl(["tui"])
        .env("COLORTERM", "truecolor")
        .pty(SIZE.0, SIZE.1 + ABOVE + BELOW);
    console.wait_text("connected");
    console.send(format!(":logs {}\r", started.out().trim()));
    console.wait_text("sh>");
    console.send("z");
    console.send("a");
    console.wait_text("ATTACHED");
    console
}

/// The same shell in tmux, which tells it the same terminal type.
fn tmux(daemon: &TestDaemon) -> Pty {
    let settings = "set -g status off\nset -g default-terminal xterm-256color\nset -sg escape-time 0\nset -ga terminal-overrides ',*:Tc'\n";
    let config = daemon.file("tmux.conf", settings);
    let socket = daemon.path("tmux.sock");
    let [config, socket] = [config, socket].map(|path| path.to_str().unwrap().to_owned());
    let shell = "PS1='sh> ' ENV= exec sh -i";
    let tmux = daemon.command("tmux", ["-S", &socket, "-f", &config, "new-session", shell]);
    let tmux = tmux.pty(SIZE.0, SIZE.1);
    tmux.wait_text("sh>");
    tmux
}

/// Waits a while for a screen to change; some steps change nothing.
fn wait_changed(terminal: &Pty, before: &str) {
    let start = Instant::now();
    wait_until("the screen to change", || {
        (terminal.screen() != before || start.elapsed() > SHORT).then_some(())
    });
}

/// Waits a while for a program to ask for a key and to rest: what is typed before is thrown away by some.
fn wait_asking(terminal: &Pty, asks: &[&str]) {
    if asks.is_empty() {
        return;
    }
    let start = Instant::now();
    let mut rests = (String::new(), start);
    wait_until("the program to ask for a key", || {
        let screen = terminal.screen();
        if screen != rests.0 {
            rests = (screen, Instant::now());
        }
        let asked = asks.iter().any(|text| rests.0.contains(text)) && rests.1.elapsed() > STABLE;
        (asked || start.elapsed() > SHORT).then_some(())
    });
}

/// Waits until the two are equal and stay so; how they differ when the time is over.
fn settle(pane: &Pty, tmux: &Pty, rows: &std::ops::Range<u16>, deadline: Duration) -> Vec<String> {
    let start = Instant::now();
    let mut equal_since = None;
    wait_until("two equal screens", || {
        let found = differences(pane, tmux, rows);
        if found.is_empty() {
            let since = *equal_since.get_or_insert_with(Instant::now);
            return (since.elapsed() > STABLE).then_some(found);
        }
        equal_since = None;
        (start.elapsed() > deadline).then_some(found)
    })
}

fn differences(pane: &Pty, tmux: &Pty, rows: &std::ops::Range<u16>) -> Vec<String> {
    let theirs = tmux.look(|screen| looks(screen, 0));
    let ours = pane.look(|screen| looks(screen, ABOVE));
    let mut found = Vec::new();
    for row in rows.clone() {
        for col in 0..SIZE.0 {
            let at = usize::from(row) * usize::from(SIZE.0) + usize::from(col);
            if ours[at] != theirs[at] {
                found.push(format!("{row},{col}: {:?} {:?}", ours[at], theirs[at]));
            }
        }
    }
    found
}

/// What is seen of a cell.
#[derive(Debug, PartialEq)]
struct Look {
    text: String,
    width: Width,
    fg: Color,
    bg: Color,
    attributes: Attributes,
}

fn looks(screen: &Screen, above: u16) -> Vec<Look> {
    let rows = above..above + SIZE.1;
    let rows = rows.filter_map(|row| screen.row(i32::from(row)));
    rows.flat_map(|row| row.cells().map(look).collect::<Vec<_>>())
        .collect()
}

fn look(cell: Cell<'_>) -> Look {
    let mut text = String::from(cell.ch());
    text.extend(cell.marks());
    let mut attributes = cell.attributes();
    let mut fg = cell.fg();
    // Of a blank only the background is seen, and lines through it.
    let lined =
        attributes.inverse || attributes.strikeout || attributes.underline != Underline::None;
    if text == " " && !lined {
        fg = Color::Default;
        attributes = Attributes::default();
    }
    Look {
        text,
        width: cell.width(),
        fg,
        bg: cell.bg(),
        attributes,
    }
}
