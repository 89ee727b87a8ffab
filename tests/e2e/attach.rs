//! `opsctl attach`, and `send --pty` from a terminal.

use serde_json::json;

use super::harness::{Pty, Sandbox, TestAgent, TestDaemon, has_program, wait_until};
use super::raw::Raw;

/// A shell without anybody's settings, with a prompt to wait for.
const SHELL: [&str; 6] = ["--", "env", "PS1=remote$ ", "ENV=", "sh", "-i"];

/// A daemon with an agent `a` whose main terminal is a shell.
fn with_shell() -> (TestDaemon, TestAgent) {
    let daemon = TestDaemon::start();
    let agent = TestAgent::start_with(&daemon, "a", SHELL);
    wait_until("the shell to run", || {
        let running = daemon.opsctl(["ps", "-q", "--state", "running"]).run();
        (!running.stdout.is_empty()).then_some(())
    });
    (daemon, agent)
}

#[test]
fn a_terminal_that_is_about_to_start_is_waited_for() {
    let daemon = TestDaemon::start();
    let id = "00c0ffee00c0ffee00c0ffee00c0ffee";
    let spec = json!({"argv": ["assistant"], "pty": true});
    let command = json!({"commandId": id, "state": "delivered", "spec": spec, "main": true});
    let (mut agent, _) = Raw::agent(&daemon, "a", &json!([command]));
    let terminal = attach(&daemon, 80, 24);
    terminal.wait_text("about to start");
    agent.say(
        "command:status",
        &json!({"commandId": id, "state": "running"}),
    );
    agent.say(
        "terminal:output",
        &json!({"commandId": id, "offset": 0, "kind": "output", "data": "hello"}),
    );
    terminal.wait_text("hello");
}

#[test]
fn a_terminal_of_an_agent_that_has_come_just_now_is_waited_for() {
    let daemon = TestDaemon::start();
    let (_early, _) = Raw::agent(&daemon, "a", &json!([]));
    let terminal = attach(&daemon, 80, 24);
    terminal.wait_text("has connected just now");
    let id = "00c0ffee00c0ffee00c0ffee00c0ffee";
    let spec = json!({"argv": ["assistant"], "pty": true});
    let command = json!({"commandId": id, "state": "running", "spec": spec, "main": true});
    let (mut agent, _) = Raw::agent(&daemon, "a", &json!([command]));
    agent.say(
        "terminal:output",
        &json!({"commandId": id, "offset": 0, "kind": "output", "data": "hello"}),
    );
    terminal.wait_text("hello");
}

fn attach(sandbox: &Sandbox, cols: u16, rows: u16) -> Pty {
    sandbox.opsctl(["attach", "a"]).pty(cols, rows)
}

/// Waits for a line of the screen.
#[track_caller]
fn wait_line(terminal: &Pty, wanted: &str) {
    terminal.wait_screen(wanted, |text| text.lines().any(|line| line == wanted));
}

#[test]
fn keys_go_there_and_the_code_comes_back() {
    let (daemon, _agent) = with_shell();
    let terminal = attach(&daemon, 80, 24);
    terminal.wait_text("remote$");
    terminal.send("echo $((6*7))\r");
    wait_line(&terminal, "42");
    terminal.send("stty size\r");
    wait_line(&terminal, "24 80");
    terminal.send("exit 3\r");
    terminal.wait_text("[exited 3]");
    assert_eq!(terminal.wait(), 3);
}

#[test]
fn the_terminal_has_the_size_of_the_writer_used_last() {
    let (daemon, _agent) = with_shell();
    let first = attach(&daemon, 80, 24);
    first.wait_text("remote$");
    first.resize(70, 20);
    first.send("stty size\r");
    wait_line(&first, "20 70");
    let watcher = daemon.opsctl(["attach", "--read-only", "a"]).pty(50, 15);
    watcher.wait_text("20 70");
    first.send("clear; stty size\r");
    first.wait_screen("an unchanged size", |text| {
        text.lines().next() == Some("20 70")
    });
}

#[test]
fn leaving_leaves_the_program_running_and_the_terminal_as_it_was() {
    let (daemon, _agent) = with_shell();
    let line = "opsctl=$1; stty -a > before; $opsctl attach a; code=$?; stty -a > after; cmp before after && echo same $code";
    for keys in ["\r~.", "\x1d"] {
        let terminal = daemon
            .command("sh", ["-c", line, "sh", env!("CARGO_BIN_EXE_opsctl")])
            .pty(80, 24);
        terminal.wait_text("remote$");
        terminal.send(keys);
        terminal.wait_text("same 0");
        terminal.wait_text("the program goes on");
        assert_eq!(terminal.wait(), 0);
    }
    let terminal = attach(&daemon, 80, 24);
    terminal.wait_text("remote$");
    terminal.send("\r~?");
    terminal.wait_text("this list");
    terminal.send("\recho ~~/~.\r");
    terminal.wait_screen("a ~ in the middle of a line", |text| text.contains("/~."));
}

#[test]
fn read_only_sends_no_key() {
    let (daemon, _agent) = with_shell();
    let writer = attach(&daemon, 80, 24);
    writer.wait_text("remote$");
    let watcher = daemon.opsctl(["attach", "--read-only", "a"]).pty(80, 24);
    watcher.wait_text("remote$");
    watcher.send("echo watched\r");
    writer.send("echo written\r");
    wait_line(&watcher, "written");
    assert!(!writer.screen().contains("watched"), "{}", writer.screen());
    watcher.send("\x03");
    assert_eq!(watcher.wait(), 0);
}

#[test]
fn who_comes_late_sees_the_same_screen() {
    if !has_program("vim") {
        return;
    }
    let (daemon, _agent) = with_shell();
    std::fs::write(
        daemon.path("text"),
        (1..=500)
            .map(|n| format!("line {n}\n"))
            .collect::<Vec<_>>()
            .concat(),
    )
    .unwrap();
    let first = attach(&daemon, 80, 24);
    first.wait_text("remote$");
    first.send(format!(
        "vim -u NONE -i NONE {}\r",
        daemon.path("text").display()
    ));
    wait_line(&first, "line 5");
    first.send("200G");
    let expected = first.wait_text("line 200");
    let second = attach(&daemon, 80, 24);
    second.wait_screen("the same screen", |text| text == expected);
    second.send("\x1d");
    assert_eq!(second.wait(), 0);
    second.look(|screen| {
        assert!(
            !screen.text().contains("line 200"),
            "the alternate screen was left"
        );
    });
    first.send(":q\r");
    first.wait_screen("the shell again", |text| {
        !text.contains("line 200") && text.contains("remote$")
    });
}

#[test]
fn ctrl_c_works_while_output_floods() {
    let (daemon, _agent) = with_shell();
    let terminal = attach(&daemon, 80, 24);
    terminal.wait_text("remote$");
    terminal.send("yes\r");
    terminal.wait_text("y\ny\ny\ny");
    terminal.send("\x03");
    terminal.wait_screen("the prompt below ^C", |text| {
        text.contains("^C") && text.trim_end().ends_with("remote$")
    });
    terminal.send("echo still here\r");
    wait_line(&terminal, "still here");
}

#[test]
fn a_daemon_that_dies_is_waited_for() {
    let (mut daemon, agent) = with_shell();
    let terminal = attach(&daemon, 100, 24);
    terminal.wait_text("remote$");
    terminal.send("echo before\r");
    wait_line(&terminal, "before");
    daemon.kill();
    terminal.wait_text("reconnecting");
    daemon.start_again();
    agent.wait_connected(&daemon);
    let redrawn = terminal.wait_screen("the screen again", |text| {
        !text.contains("reconnecting") && text.contains("before")
    });
    assert!(redrawn.contains("remote$"), "{redrawn}");
    wait_until("a key to be taken again", || {
        terminal.send("echo after\r");
        terminal
            .screen()
            .lines()
            .any(|line| line == "after")
            .then_some(())
    });
}

#[test]
fn what_goes_to_a_file_comes_once_over_a_reconnect() {
    let mut daemon = TestDaemon::start();
    let agent = TestAgent::start(&daemon, "a");
    let go_on = daemon.path("go-on");
    let program = format!(
        "echo one; until [ -e {} ]; do sleep 0.05; done; echo two; exit 3",
        go_on.display()
    );
    let detached = ["send", "a", "--detach", "--pty", "--shell", &program];
    let id = daemon.opsctl(detached).run().expect_code(0).out();
    let watching = daemon.opsctl(["attach", "--read-only", id.trim()]).spawn();
    watching.wait_stdout("one");
    daemon.kill();
    watching.wait_stderr("reconnecting");
    daemon.start_again();
    agent.wait_connected(&daemon);
    std::fs::write(&go_on, "").unwrap();
    let ended = watching.wait().expect_code(3);
    assert_eq!(ended.out(), "one\r\ntwo\r\n");
}

#[test]
fn send_makes_a_terminal_out_of_this_one() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let terminal = daemon
        .opsctl([
            "send",
            "a",
            "--pty",
            "--shell",
            "stty size; read x; echo got $x; exit 9",
        ])
        .pty(90, 30);
    wait_line(&terminal, "30 90");
    terminal.send("this\r");
    wait_line(&terminal, "got this");
    assert_eq!(terminal.wait(), 9);
}

#[test]
fn what_cannot_be_attached_to_says_so() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let says = |args: [&str; 2], code: i32, text: &str| {
        let terminal = daemon.opsctl(args).pty(100, 24);
        terminal.wait_text(text);
        assert_eq!(terminal.wait(), code);
    };
    says(["attach", "a"], 1, "has no terminal running");
    says(["attach", "nothing"], 245, "no agent and no command");
    let id = daemon
        .opsctl(["send", "a", "--detach", "--", "sleep", "1000"])
        .run()
        .expect_code(0)
        .out();
    says(["attach", id.trim()], 2, "opsctl logs -f");
    daemon
        .opsctl(["attach", "a"])
        .run()
        .expect_code(2)
        .expect_err(&["needs a terminal"]);
}
