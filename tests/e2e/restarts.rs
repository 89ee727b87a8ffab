//! The daemon goes away, by SIGTERM or by `kill -9`, and comes back: whoever watches says so and goes on.

use crate::harness::{Process, Pty, Signal, TestAgent, TestDaemon, wait_until};
use crate::raw::numbers;

/// How the daemon goes away.
#[derive(Clone, Copy)]
enum Going {
    Killed,
    Stopped,
}

const BOTH: [Going; 2] = [Going::Stopped, Going::Killed];

fn take_away(daemon: &mut TestDaemon, how: Going) {
    match how {
        Going::Killed => daemon.kill(),
        Going::Stopped => assert_eq!(daemon.stop().code, 0),
    }
}

/// Restarts the daemon in both ways under processes that say on stderr that they reconnect.
fn restart_twice(daemon: &mut TestDaemon, agent: &TestAgent, watchers: &[&Process]) {
    for (at, how) in BOTH.into_iter().enumerate() {
        take_away(daemon, how);
        let said = |text: &'static str| {
            for watcher in watchers {
                watcher.wait_output(text, |_, stderr| stderr.matches(text).count() == at + 1);
            }
        };
        said("reconnecting");
        daemon.start_again();
        said("connected again");
        agent.wait_connected(daemon);
    }
}

/// Prints 1 to 300 while it waits for files; `a`, `b` and `c` let it go on.
const IN_PARTS: &str = "seq 100; until [ -e a ]; do sleep 0.02; done; seq 101 200; \
    until [ -e b ]; do sleep 0.02; done; seq 201 300; exit 6";

fn let_go(daemon: &TestDaemon, name: &str) {
    daemon.file(name, "");
}

#[test]
fn send_and_logs_go_on() {
    let mut daemon = TestDaemon::start();
    let agent = TestAgent::start(&daemon, "a");
    let send = daemon.opsctl(["send", "a", "--shell", IN_PARTS]).spawn();
    send.wait_stdout("\n100\n");
    let id = daemon.opsctl(["ps", "-q"]).run().expect_code(0).out();
    let logs = daemon.opsctl(["logs", "-f", id.trim()]).spawn();
    logs.wait_stdout("\n100\n");
    let_go(&daemon, "a");
    restart_twice(&mut daemon, &agent, &[&send, &logs]);
    let_go(&daemon, "b");
    for watcher in [send, logs] {
        let ended = watcher.wait().expect_code(6);
        assert_eq!(ended.out(), numbers(300));
        assert_eq!(
            ended.err().matches("reconnecting").count(),
            2,
            "{}",
            ended.err()
        );
    }
}

#[test]
fn a_script_sees_a_command_go_only_forward() {
    let mut daemon = TestDaemon::start();
    let agent = TestAgent::start(&daemon, "a");
    let send = daemon
        .opsctl(["send", "a", "--jsonl", "--shell", IN_PARTS])
        .spawn();
    send.wait_stdout("running");
    restart_twice(&mut daemon, &agent, &[&send]);
    let_go(&daemon, "a");
    let_go(&daemon, "b");
    let ended = send.wait().expect_code(6);
    let states: Vec<String> = ended
        .out()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["type"] == "command:status")
        .map(|line| line["state"].as_str().unwrap().to_owned())
        .collect();
    let rank = |state: &String| {
        ["queued", "delivered", "running", "exited"]
            .iter()
            .position(|s| s == state)
    };
    assert!(states.is_sorted_by_key(rank), "{states:?}");
    assert_eq!(states.iter().filter(|state| *state == "exited").count(), 1);
}

/// A daemon and an agent whose main terminal echoes each line that it reads, once.
fn echoing() -> (TestDaemon, TestAgent) {
    let daemon = TestDaemon::start();
    let line = "stty -echo; echo ready; while read line; do echo \"<$line>\"; done";
    let agent = TestAgent::start_with(&daemon, "a", ["--", "sh", "-c", line]);
    wait_until("the program to run", || {
        let running = daemon.opsctl(["ps", "-q", "--state", "running"]).run();
        (!running.stdout.is_empty()).then_some(())
    });
    (daemon, agent)
}

/// Everything that the program has read, from its log.
fn read_so_far(daemon: &TestDaemon) -> String {
    let id = daemon.opsctl(["ps", "-q"]).run().expect_code(0).out();
    daemon
        .opsctl(["logs", id.trim()])
        .run()
        .expect_code(0)
        .out()
}

/// Types into a daemon that is frozen, killed, and away, and checks what is said of each key and what the program got.
fn type_through_a_crash(daemon: &mut TestDaemon, agent: &TestAgent, terminal: &Pty, unsent: &str) {
    terminal.send("one\r");
    terminal.wait_text("<one>");
    // A daemon that is stopped takes bytes and does nothing with them.
    daemon.process().signal(Signal::STOP);
    terminal.send("two\r");
    terminal.send("three\r");
    daemon.kill();
    // Whether they had left before the end is a matter of moments.
    terminal.wait_screen("what became of them", |screen| {
        ["may not have arrived", "was not sent"]
            .iter()
            .any(|word| screen.contains(word))
    });
    terminal.send("four\r");
    terminal.wait_text(unsent);
    daemon.start_again();
    agent.wait_connected(daemon);
    wait_until("a line to be taken again", || {
        terminal.send("five\r");
        read_so_far(daemon).contains("<five>").then_some(())
    });
    let read = read_so_far(daemon);
    for (line, at_most) in [("<one>", 1), ("<two>", 1), ("<three>", 1), ("<four>", 0)] {
        let times = read.matches(line).count();
        assert!(times <= at_most, "{line} was read {times} times:\n{read}");
    }
}

#[test]
fn keys_are_delivered_once_or_reported_by_attach() {
    let (mut daemon, agent) = echoing();
    let terminal = daemon.opsctl(["attach", "a"]).pty(120, 40);
    terminal.wait_text("ready");
    type_through_a_crash(&mut daemon, &agent, &terminal, "was not sent");
    terminal.wait_text("<five>");
}

#[test]
fn attach_still_names_what_it_did_not_send_when_the_screen_has_been_drawn_anew() {
    let daemon = TestDaemon::start();
    // Longer than the screen, so that drawing it anew scrolls.
    let line = "stty -echo; seq 500; echo ready; while read line; do echo \"<$line>\"; done";
    let agent = TestAgent::start_with(&daemon, "a", ["--", "sh", "-c", line]);
    let mut daemon = daemon;
    let terminal = daemon.opsctl(["attach", "a"]).pty(120, 40);
    terminal.wait_text("ready");
    daemon.kill();
    terminal.wait_text("was lost");
    // As people type: a key at a time.
    for key in ["l", "o", "s", "t", "\r"] {
        terminal.send(key);
        let notice = format!("[{key:?}: was not sent]");
        terminal.wait_text(&notice);
    }
    daemon.start_again();
    agent.wait_connected(&daemon);
    terminal.wait_screen(
        "all keys in one notice, on the screen drawn anew",
        |screen| screen.contains("[\"lost\\r\": was not sent]") && screen.contains("ready"),
    );
}

#[test]
fn keys_are_delivered_once_or_reported_by_the_console() {
    let (mut daemon, agent) = echoing();
    let console = daemon.opsctl(["tui"]).pty(140, 40);
    console.wait_text("● connected");
    console.wait_text("ready");
    console.send("\ta");
    console.wait_text("ATTACHED");
    type_through_a_crash(&mut daemon, &agent, &console, "was not sent");
    console.wait_text("<five>");
}

#[test]
fn stdin_under_way_goes_on_where_the_agent_has_it_and_is_refused_once() {
    let mut daemon = TestDaemon::start();
    let mut agent = TestAgent::start(&daemon, "a");
    let mut send = daemon
        .opsctl(["send", "a", "--", "cat"])
        .open_stdin()
        .spawn();
    let mut whole = String::new();
    let mut give = |send: &mut Process, lines: std::ops::Range<u32>| {
        for line in lines {
            let line = format!("{line}\n");
            send.write(line.as_bytes());
            whole.push_str(&line);
        }
    };
    give(&mut send, 0..500);
    send.wait_stdout("\n499\n");
    for both in [false, true] {
        agent.kill();
        give(&mut send, 500..2500);
        if both {
            daemon.kill();
            give(&mut send, 2500..4500);
            daemon.start_again();
        }
        agent.start_again(&daemon);
        give(&mut send, 4500..6500);
        let last = format!("\n{}\n", if both { 6500 } else { 6498 });
        if both {
            give(&mut send, 6500..6501);
        }
        let all = if both { 2 } else { 1 };
        send.wait_output("what was given", |stdout, _| {
            stdout.matches("\n6499\n").count() == all && stdout.contains(&last)
        });
        let log = agent.process().stderr();
        let refused = log.matches("input_rejected").count();
        assert!(refused <= 2, "{refused} refusals:\n{log}");
        assert!(!log.contains("4008"), "{log}");
    }
    send.close_stdin();
    assert!(send.wait().expect_code(0).out() == whole);
}
