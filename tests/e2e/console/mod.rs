//! The console, in a terminal of its own.
//!
//! - `custody`: the terminal is left as it was, however the console ends or stops.
//! - `typing`: what comes from the terminal, in whatever pieces.
//! - `looks`: themes, ASCII, focus.
//! - `saying`: what is said to programs, and answered to what they ask.
//! - `work`: long work, and its end.
//! - `memory`: what lasts until the next start.

mod custody;
mod looks;
mod memory;
mod mouse;
mod saying;
mod typing;
mod work;

use opsctl_terminal::{Color, Mouse, Screen};

use crate::harness::{Pty, TestAgent, TestDaemon, has_program};

fn open(daemon: &TestDaemon, cols: u16, rows: u16) -> Pty {
    let console = daemon.opsctl(["tui"]).pty(cols, rows);
    console.wait_text("● connected");
    console
}

/// Starts a daemon with these agents, and a console that shows them.
#[track_caller]
fn open_with<const N: usize>(names: [&str; N]) -> (TestDaemon, [TestAgent; N], Pty) {
    let daemon = TestDaemon::start();
    let agents = names.map(|name| TestAgent::start(&daemon, name));
    let console = open(&daemon, 120, 40);
    for name in names {
        console.wait_text(name);
    }
    (daemon, agents, console)
}

/// The lines of the pane on the right, its title first.
fn pane(screen: &str) -> Vec<&str> {
    let rows = screen.lines().filter_map(|line| line.split_once('│'));
    rows.map(|(_, pane)| pane).collect()
}

/// Scrolls the selected pane to the line "1", which comes from the daemon's log in pieces.
#[track_caller]
fn scroll_to_first(console: &Pty) {
    console.wait_screen("the first line", |screen| {
        let first = pane(screen).get(1) == Some(&"1");
        if !first && !screen.contains("LOADING") {
            console.send("\x1b[H");
        }
        first
    });
}

/// Leaves the console as a person does, and sees that it ends well.
#[track_caller]
fn leave(console: &Pty) {
    console.send("q");
    assert_eq!(console.wait(), 0);
}

/// Runs a command on the selected agent by the keys that a person uses.
fn run(console: &Pty, command: &str) {
    console.send("r");
    console.wait_text("run on ");
    console.send(format!("{command}\r"));
}

/// Whether the terminal is as programs find it.
fn is_restored(screen: &Screen) -> bool {
    let modes = screen.modes();
    !modes.alternate_screen
        && !modes.bracketed_paste
        && !modes.focus_events
        && modes.mouse == Mouse::Off
        && modes.keyboard == 0
        && screen.cursor().visible
}

#[test]
fn a_person_runs_a_command_sees_its_output_and_leaves() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let console = open(&daemon, 120, 40);
    console.wait_text("○ idle     web-1");
    run(&console, "stty size; seq 3; exit 7");
    // Which of the state and the output comes first is open.
    for text in ["✗ exit 7", "37 83", "│1", "│2", "│3"] {
        console.wait_text(text);
    }
    leave(&console);
    assert!(console.look(is_restored), "{}", console.screen());
}

#[test]
fn attached_every_key_goes_to_the_program() {
    let (_daemon, [_agent], console) = open_with(["web-1"]);
    run(
        &console,
        "trap 'echo caught' INT; echo ready; cat -v; cat -v",
    );
    console.wait_text("│ready");
    console.send("\ta");
    console.wait_text("ATTACHED");
    console.send("typed q\x1b[15~\x1d");
    console.wait_screen("the program's echo, and that it is left", |screen| {
        screen.contains("typed q^[[15~") && !screen.contains("ATTACHED")
    });
    console.send("a");
    console.wait_text("ATTACHED");
    // The signal ends the first `cat`; the shell goes on and says so.
    console.send("\x03");
    console.wait_text("^Ccaught");
    console.send("\x04");
    console.wait_text("✓ exit 0");
    leave(&console);
}

#[test]
fn a_flood_is_interrupted_at_once() {
    let (_daemon, [_agent], console) = open_with(["web-1"]);
    run(&console, "yes flood");
    console.wait_text("│flood");
    console.send("x");
    console.wait_screen("the end of the flood", |screen| {
        screen.contains("✗ signal 2") || screen.contains("✗ exit 130")
    });
    leave(&console);
}

#[test]
fn a_killed_daemon_is_shown_and_come_back_to() {
    let (mut daemon, [agent], console) = open_with(["web-1"]);
    run(&console, "echo before; read line; echo got $line");
    console.wait_text("│before");
    daemon.kill();
    console.wait_text("⚡ reconnecting, attempt");
    daemon.start_again();
    agent.wait_connected(&daemon);
    console.send("R");
    console.wait_text("● connected");
    console.send("\ta");
    console.wait_text("ATTACHED");
    console.send("after\r");
    let screen = console.wait_text("✓ exit 0");
    assert!(screen.contains("got after"), "{screen}");
    assert_eq!(
        screen.matches("before").count(),
        2,
        "once in the title, once as output:\n{screen}"
    );
    leave(&console);
}

#[test]
fn a_late_console_sees_the_same_screen() {
    let (daemon, [_agent], first) = open_with(["web-1"]);
    // A screen of its own, drawn out of order, with a mark that comes last.
    let program = r"printf '\033[?1049h\033[2J\033[5;10H\033[7mbar\033[m\033[2;2H表示\033[20;40Hmark'; read x";
    run(&first, program);
    first.wait_text("│ 表示");
    let second = open(&daemon, 120, 40);
    second.wait_text("$ printf");
    second.send("\r\r");
    first.wait_text("● running  printf");
    let screen = first.screen();
    let shown = pane(&screen);
    // What stands there before the pane is open is a preview.
    second.wait_screen("the same in a pane", |screen| {
        screen.contains("● running  printf") && pane(screen)[1..] == shown[1..]
    });
    for console in [first, second] {
        leave(&console);
    }
}

#[test]
fn a_storm_of_sizes_ends_in_the_last() {
    let (_daemon, [_agent], console) = open_with(["web-1"]);
    for step in 0..60_u16 {
        console.resize(10 + step * 3, 5 + step % 40);
    }
    console.resize(90, 20);
    let fits = |screen: &Screen| {
        let last = screen
            .row(19)
            .is_some_and(|row| row.text().contains("help"));
        let connected = screen
            .row(0)
            .is_some_and(|row| row.text().ends_with("● connected"));
        last && connected && screen.size() == (90, 20)
    };
    console.wait_look("a screen of the last size", fits);
    leave(&console);
}

#[test]
fn without_a_terminal_it_says_so() {
    let daemon = TestDaemon::start();
    let finished = daemon.opsctl(["tui"]).run();
    assert_ne!(finished.code, 0);
    assert!(
        finished.err().contains("needs a terminal"),
        "{}",
        finished.err()
    );
}

#[test]
fn after_a_flood_the_pane_shows_its_end() {
    let (_daemon, [_agent, other], console) = open_with(["web-1", "web-2"]);
    run(&console, "seq 1 400000");
    console.wait_text("✓ exit 0");
    console.wait_screen("the last lines in place", |screen| {
        let pane = pane(screen);
        let last = pane.iter().position(|line| *line == "400000");
        last.is_some_and(|at| pane[at - 1] == "399999" && pane[at - 20] == "399980")
    });
    // What the console missed meanwhile was about one agent; the other is still there.
    assert!(
        console.screen().contains(other.name()),
        "{}",
        console.screen()
    );
    leave(&console);
}

#[test]
fn only_who_is_attached_decides_the_size() {
    let (daemon, [_agent], console) = open_with(["web-1"]);
    run(
        &console,
        "while read line; do echo size $(stty size) $line; done",
    );
    console.wait_text("● running  while");
    console.send("a");
    console.wait_text("ATTACHED");
    console.send("one\r");
    console.wait_text("size 37 83 one");
    console.resize(100, 30);
    console.wait_look("a screen of the new size", |screen| {
        screen
            .row(29)
            .is_some_and(|row| row.text().contains("leaves"))
    });
    console.send("two\r");
    console.wait_text("size 27 71 two");
    // A second console of another size watches, zooms, is resized, and changes nothing.
    let second = open(&daemon, 80, 24);
    second.wait_text("$ while read");
    second.send("\r\r");
    second.wait_text("27 71 two");
    second.send("z");
    second.resize(60, 15);
    second.wait_text("27 71 two");
    console.send("three\r");
    second.wait_text("size 27 71 three");
    console.wait_text("size 27 71 three");
    console.send("\x04");
    console.wait_text("✓ exit 0");
    for console in [console, second] {
        leave(&console);
    }
}

#[test]
fn scrolling_up_reaches_the_first_line_of_all() {
    let (_daemon, [_agent], console) = open_with(["web-1"]);
    run(&console, "seq 1 60000");
    console.wait_text("✓ exit 0");
    console.wait_text("│60000");
    // The pane keeps 10,000 lines; the others are in the daemon's log.
    console.send("\t");
    scroll_to_first(&console);
    console.send("G");
    console.wait_text("│60000");
    leave(&console);
}

#[test]
fn a_pane_is_recorded_exported_and_edited() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let edited = daemon.path("edited");
    let script = format!("cp \"$1\" {}; echo EDITING; read line", edited.display());
    let editor = format!("sh -c '{script}' sh");
    let console = daemon
        .opsctl(["tui"])
        .env("EDITOR", &editor)
        .env_remove("VISUAL")
        .pty(120, 40);
    console.wait_text("web-1");
    run(&console, r"printf '\033[32mgreen\033[m\n'; seq 100");
    console.wait_text("✓ exit 0");
    // The end is told on the agent's channel too, maybe before the output has come.
    console.wait_text("│100");
    let [cast, ansi] = ["all.cast", "screen.ansi"].map(|name| daemon.path(name));
    console.send(format!(":export ansi {}\r", ansi.display()));
    console.wait_text("written to");
    console.send(format!(":export cast {}\r", cast.display()));
    console.wait_text("seconds of output are in");
    let text = std::fs::read_to_string(&ansi).unwrap();
    assert!(
        text.starts_with("\x1b[0;32mgreen\x1b[0m\n1\n2\n"),
        "{text:?}"
    );
    console.send("\te");
    console.wait_look("the editor on the normal screen", |screen| {
        screen.text().contains("EDITING") && !screen.modes().alternate_screen
    });
    console.send("\r");
    console.wait_look("the console again", |screen| {
        screen.modes().alternate_screen
    });
    console.wait_text("● connected");
    let text = std::fs::read_to_string(&edited).unwrap();
    assert!(
        text.starts_with("green\n1\n2\n") && text.ends_with("\n100\n"),
        "{text:?}"
    );
    leave(&console);
    assert!(console.look(is_restored), "{}", console.screen());
    if has_program("asciinema") {
        let cast = cast.to_str().unwrap();
        let player = daemon
            .command("asciinema", ["cat", cast])
            .env("LC_ALL", "C.UTF-8");
        let player = player.env("HOME", daemon.path("")).pty(80, 24);
        player.wait_text("99\n100");
        assert_eq!(player.wait(), 0);
        let seen = |screen: &Screen| {
            let above = i32::try_from(screen.history()).ok()?;
            let first = screen.row(-above)?;
            Some((first.text(), first.cell(0)?.fg()))
        };
        let expected = ("green".to_owned(), Color::Indexed(2));
        assert_eq!(player.look(seen), Some(expected), "{}", player.screen());
    }
}

#[test]
fn what_was_open_is_open_at_the_next_start() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let console = open(&daemon, 120, 40);
    console.wait_text("○ idle     web-1");
    run(&console, "echo here; read x");
    console.wait_text("│here");
    console.send(":group host\r");
    console.wait_text("by host");
    leave(&console);
    let console = open(&daemon, 120, 40);
    console.wait_text("by host");
    console.wait_text("│here");
    leave(&console);
    // A damaged file is said, ignored, and replaced.
    let dir = std::fs::read_dir(daemon.path("state/console")).unwrap();
    let files: Vec<_> = dir.map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else {
        panic!("one file for one daemon: {files:?}")
    };
    std::fs::write(file, "{").unwrap();
    let console = open(&daemon, 120, 40);
    console.wait_text("starts as new");
    console.wait_text("web-1");
    leave(&console);
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("\"endpoint\""), "{text}");
}
