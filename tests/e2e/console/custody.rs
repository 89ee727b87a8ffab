//! The terminal is left as it was found, however the console ends or stops.

use opsctl_terminal::{CursorShape, Mouse, Screen};
use rustix::process::{Pid, kill_process};

use super::is_restored;
use crate::harness::{Pty, Signal, TestDaemon, has_program, skip, wait_until};

const OPSCTL: &str = env!("CARGO_BIN_EXE_opsctl");

/// Runs the console below a shell, that afterwards shows how the terminal is.
fn below_a_shell(daemon: &TestDaemon) -> Pty {
    let script = "\"$OPSCTL\" tui; echo \"ended with $?\"; stty -a; read line";
    let shell = daemon
        .command("sh", ["-c", script])
        .env("OPSCTL", OPSCTL)
        .env("OPSCTL_TEST_PANIC", "1")
        .pty(120, 40);
    shell.wait_text("● connected");
    shell
}

/// Whether the console has what it takes while it runs.
fn is_taken(screen: &Screen) -> bool {
    let modes = screen.modes();
    modes.alternate_screen
        && modes.bracketed_paste
        && modes.focus_events
        && modes.mouse == Mouse::Drag
        && modes.keyboard == 1
}

/// The console's process, of which the shell is the parent.
fn console_of(shell: &Pty) -> Pid {
    let children = format!("/proc/{0}/task/{0}/children", shell.pid());
    let children = std::fs::read_to_string(children).unwrap();
    let child = children.split_whitespace().next().unwrap().parse().unwrap();
    Pid::from_raw(child).unwrap()
}

fn expect_restored(shell: &Pty, how: &str) {
    let screen = shell.wait_text("ended with");
    shell.wait_text(" icanon");
    let plain = |screen: &Screen| {
        let cursor = screen.cursor();
        is_restored(screen)
            && cursor.shape == CursorShape::Block
            && screen.title().is_none_or(str::is_empty)
    };
    assert!(shell.look(plain), "after {how}:\n{screen}");
    let screen = shell.screen();
    for mode in ["isig", "icanon", "echo", "opost", "icrnl"] {
        assert!(
            screen.contains(&format!(" {mode}")) || screen.contains(&format!("\n{mode}")),
            "{mode} is off after {how}:\n{screen}"
        );
    }
}

#[test]
fn whatever_ends_the_console_the_terminal_is_as_it_was() {
    let daemon = TestDaemon::start();
    for (how, signal) in [
        ("SIGTERM", Some(Signal::TERM)),
        ("SIGHUP", Some(Signal::HUP)),
        ("SIGINT", Some(Signal::INT)),
        ("SIGQUIT", Some(Signal::QUIT)),
        ("q", None),
    ] {
        let shell = below_a_shell(&daemon);
        shell.wait_look("the terminal to be taken", is_taken);
        match signal {
            Some(signal) => kill_process(console_of(&shell), signal).unwrap(),
            None => shell.send("q"),
        }
        expect_restored(&shell, how);
        shell.send("\n");
        assert_eq!(shell.wait(), 0, "{how}");
    }
}

#[test]
fn a_panic_leaves_the_terminal_as_it_was_and_says_why() {
    let daemon = TestDaemon::start();
    let shell = below_a_shell(&daemon);
    shell.wait_look("the terminal to be taken", is_taken);
    // F20, which breaks the console while a variable is set.
    shell.send("\x1b[34~");
    expect_restored(&shell, "a panic");
    let screen = shell.screen();
    assert!(
        screen.contains("panicked at") && screen.contains("ended with 101"),
        "{screen}"
    );
}

#[test]
fn a_console_whose_terminal_is_gone_ends() {
    if !has_program("script") {
        return;
    }
    let daemon = TestDaemon::start();
    // Deaf to SIGHUP: only the terminal's end can tell it.
    let console = "trap \"\" HUP; exec \"$OPSCTL\" tui";
    let outer = daemon
        .command("script", ["-qc", console, "/dev/null"])
        .env("OPSCTL", OPSCTL)
        .env("SHELL", "/bin/sh")
        .pty(120, 40);
    outer.wait_text("● connected");
    let consoles = || {
        let is_console = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(OPSCTL.as_bytes()) && line.ends_with(b"\0tui\0")
        };
        daemon.processes().into_iter().filter(is_console).count()
    };
    assert_eq!(consoles(), 1);
    outer.signal(Signal::KILL);
    wait_until("the console's end", || (consoles() == 0).then_some(()));
}

#[test]
fn it_stops_and_comes_back_whole() {
    if !has_program("bash") {
        return;
    }
    let daemon = TestDaemon::start();
    let shell = daemon
        .command("bash", ["--norc", "--noprofile", "--noediting", "-i"])
        .env("OPSCTL", OPSCTL)
        .env("PS1", "prompt> ")
        .pty(120, 40);
    shell.wait_text("prompt>");
    shell.send("\"$OPSCTL\" tui\n");
    shell.wait_text("● connected");
    for (stopped, from_outside) in [(1, false), (2, true)] {
        shell.wait_look("the terminal to be taken", is_taken);
        if from_outside {
            kill_process(console_of(&shell), Signal::TSTP).unwrap();
        } else {
            shell.send("\x1a");
        }
        shell.wait_look("the shell", |screen| {
            is_restored(screen) && screen.text().matches("Stopped").count() == stopped
        });
        shell.send("stty -a | grep -o ' icanon'; fg\n");
        shell.wait_look("the console, whole", |screen| {
            let first = screen.row(0).map(|row| row.text()).unwrap_or_default();
            let last = screen.row(39).map(|row| row.text()).unwrap_or_default();
            is_taken(screen) && first.ends_with("● connected") && last.contains("help")
        });
    }
    shell.send("q");
    shell.wait_look("the shell", is_restored);
    shell.send("exit\n");
    assert_eq!(shell.wait(), 0);
}

#[test]
fn without_a_shell_it_does_not_stop() {
    let daemon = TestDaemon::start();
    let console = super::open(&daemon, 120, 40);
    console.send("\x1a");
    console.wait_text("nothing could continue the console here");
    console.send("q");
    assert_eq!(console.wait(), 0);
}

/// As `docker exec` starts programs: their parent's session began outside of their container, and has no number in it.
#[test]
fn in_a_container_it_does_not_stop_either() {
    const CONTAINER: [&str; 3] = ["--pid", "--fork", "--mount-proc"];
    if !has_program("unshare") || !has_program("setsid") {
        return;
    }
    let daemon = TestDaemon::start();
    let probe = ["true"];
    let arguments = CONTAINER.iter().chain(&probe);
    if daemon.command("unshare", arguments).run().code != 0 {
        return skip("no namespace of processes can be made");
    }
    let script = ["sh", "-c", "setsid --wait \"$OPSCTL\" tui; exit $?"];
    let console = daemon
        .command("unshare", CONTAINER.iter().chain(&script))
        .env("OPSCTL", OPSCTL)
        .pty(120, 40);
    console.wait_text("● connected");
    console.send("\x1a");
    console.wait_text("nothing could continue the console here");
    super::leave(&console);
}
