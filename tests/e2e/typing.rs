//! Messages typed into terminals that run: whole, once, and what is said of them is so.

use crate::harness::{Finished, Proxy, TestAgent, TestDaemon, has_program, wait_until};

/// How the exit code says that nothing was typed.
const NOT_TYPED: i32 = 250;
/// How it says that the agent is away.
const AGENT_OFFLINE: i32 = 241;

/// A daemon and an agent `a`, whose main terminal is this line for a shell.
fn world(line: &str) -> (TestDaemon, TestAgent) {
    let daemon = TestDaemon::start();
    let line = with_names(&daemon, line);
    let agent = TestAgent::start_with(&daemon, "a", ["--", "sh", "-c", &line]);
    wait_ready(&daemon);
    (daemon, agent)
}

/// Names the test's files and the program under test in a line for a shell.
fn with_names(daemon: &TestDaemon, line: &str) -> String {
    line.replace("DIR", daemon.path("").to_str().unwrap())
        .replace("OPSCTL", env!("CARGO_BIN_EXE_opsctl"))
}

/// Waits until the program has made the file `ready`, and the daemon knows that it runs.
fn wait_ready(daemon: &TestDaemon) {
    wait_until("the program to run", || {
        let running = daemon.opsctl(["ps", "-q", "--state", "running"]).run();
        (!running.stdout.is_empty() && daemon.path("ready").exists()).then_some(())
    });
}

/// A program that answers each line, and writes it down.
const READER: &str = "stty -echo; : > DIR/typed; echo ready > DIR/ready; \
    while read -r line; do echo \"$line\" >> DIR/typed; echo \"<$line>\"; done";

/// What the program has read.
fn typed(daemon: &TestDaemon) -> String {
    std::fs::read_to_string(daemon.path("typed")).unwrap_or_default()
}

fn wait_typed(daemon: &TestDaemon, expected: &str) {
    wait_until(&format!("{expected:?} to be read"), || {
        (typed(daemon) == expected).then_some(())
    });
}

fn send<const N: usize>(daemon: &TestDaemon, args: [&str; N]) -> Finished {
    daemon.opsctl(["send", "a"]).args(args).run()
}

/// Waits until the agent does this.
fn wait_doing(daemon: &TestDaemon, activity: &str) {
    wait_until(&format!("the agent to be {activity}"), || {
        let listed = daemon.opsctl(["agents", "--json"]).run();
        (listed.json()["agents"][0]["activity"] == activity).then_some(())
    });
}

#[test]
fn a_message_is_typed_and_submitted_once_for_a_key() {
    let (daemon, _agent) = world(READER);
    let args = ["--type", "hello", "--key", "k1"];
    assert_eq!(send(&daemon, args).expect_code(0).out(), "a: submitted\n");
    assert_eq!(send(&daemon, args).expect_code(0).out(), "a: submitted\n");
    let other = send(&daemon, ["--type", "other", "--key", "k1"]);
    assert!(other.out().contains("k1"), "{}", other.out());
    assert_eq!(other.code, 2);
    let stdin = daemon.opsctl(["send", "a", "--type", "-", "--json"]);
    let answer = stdin.stdin("from stdin\n").run().expect_code(0).json();
    assert_eq!(answer["messages"][0]["state"], "submitted");
    assert_eq!(answer["messages"][0]["evidence"], "output");
    assert_eq!(typed(&daemon), "hello\nfrom stdin\n");
}

#[test]
fn who_repeats_a_message_is_told_what_became_of_it_whatever_stands_in_its_way_now() {
    let (daemon, mut agent) = world(READER);
    let args = ["--type", "hello", "--key", "k1"];
    assert_eq!(send(&daemon, args).expect_code(0).out(), "a: submitted\n");
    agent.kill();
    wait_until("the agent to be gone", || {
        let sent = send(&daemon, ["--type", "other"]);
        (sent.out() == "a: refused (a is not connected)\n").then_some(())
    });
    assert_eq!(send(&daemon, args).expect_code(0).out(), "a: submitted\n");
    let refused = ["--type", "again", "--key", "k2"];
    assert_eq!(send(&daemon, refused).code, AGENT_OFFLINE);
    agent.start_again(&daemon);
    agent.wait_connected(&daemon);
    assert_eq!(
        send(&daemon, refused).expect_code(0).out(),
        "a: submitted\n"
    );
}

#[test]
fn who_repeats_a_message_whose_program_has_ended_is_told_what_became_of_it() {
    let (daemon, _agent) = world(
        "stty -echo; echo ready > DIR/ready; read -r line; echo \"<$line>\"; read -r end; exit 0",
    );
    let args = ["--type", "hello", "--key", "k1"];
    assert_eq!(send(&daemon, args).expect_code(0).out(), "a: submitted\n");
    send(&daemon, ["--type", "end", "--no-submit"]).expect_code(0);
    let running = daemon.opsctl(["ps", "-q", "--state", "running"]).run();
    let id = running.out().trim().to_owned();
    daemon
        .opsctl(["interrupt", &id, "--signal", "KILL"])
        .run()
        .expect_code(0);
    // The agent leaves after its main program.
    wait_until("the program to end", || {
        let sent = send(&daemon, ["--type", "other"]);
        let refused = match sent.out().as_str() {
            "a: refused (no terminal runs on a)\n" => NOT_TYPED,
            "a: refused (a is not connected)\n" => AGENT_OFFLINE,
            _ => return None,
        };
        assert_eq!(sent.code, refused);
        Some(())
    });
    assert_eq!(send(&daemon, args).expect_code(0).out(), "a: submitted\n");
    let other = send(&daemon, ["--type", "other", "--key", "k1"]);
    assert_eq!(other.code, 2, "{}", other.out());
}

#[test]
fn what_nobody_reads_is_not_called_submitted() {
    let (daemon, _agent) = world("echo ready > DIR/ready; exec sleep 1000");
    let sent = send(&daemon, ["--type", "hello"]).expect_code(0);
    assert_eq!(sent.out(), "a: typed (the program has shown no reaction)\n");
    let left = send(&daemon, ["--type", "draft", "--no-submit"]).expect_code(0);
    assert_eq!(left.out(), "a: typed\n");
    let mixed = send(&daemon, ["--type", "more"]);
    assert_eq!(mixed.code, NOT_TYPED);
    assert!(mixed.out().contains("has begun to type"), "{}", mixed.out());
}

#[test]
fn several_lines_are_one_message_or_none() {
    let (daemon, _agent) = world(READER);
    let lines = send(&daemon, ["--type", "one\ntwo"]);
    assert_eq!(lines.code, NOT_TYPED);
    assert!(lines.out().contains("takes no paste"), "{}", lines.out());
    send(&daemon, ["--type", "one\ntwo", "--lines"]).expect_code(0);
    wait_typed(&daemon, "one\ntwo\n");
}

#[test]
fn several_lines_are_one_paste_that_nothing_ends() {
    if !has_program("bash") {
        return;
    }
    let line = "echo ready > DIR/ready; PS1='prompt> ' exec bash --norc -i";
    let (mut daemon, agent) = world(line);
    let attached = daemon.opsctl(["attach", "a"]).pty(80, 24);
    attached.wait_text("prompt>");
    let text = with_names(&daemon, "cat > DIR/typed <<'E'\none\ttab\n\x1b[201~two\nE");
    let sent = send(&daemon, ["--type", &text]).expect_code(0);
    assert_eq!(sent.out(), "a: submitted\n");
    wait_typed(&daemon, "one\ttab\n␛[201~two\n");
    // A daemon that starts anew reads it from the log.
    daemon.kill();
    daemon.start_again();
    agent.wait_connected(&daemon);
    let text = with_names(&daemon, "echo >> DIR/typed\necho three >> DIR/typed");
    send(&daemon, ["--type", &text]).expect_code(0);
    wait_typed(&daemon, "one\ttab\n␛[201~two\n\nthree\n");
}

/// Works until the file `go` is there, then is idle and reads.
const WORKER: &str = "OPSCTL report working; stty -echo; : > DIR/typed; echo ready > DIR/ready; \
    while ! [ -e DIR/go ]; do sleep 0.05; done; OPSCTL report idle; \
    while read -r line; do echo \"$line\" >> DIR/typed; echo \"<$line>\"; done";

#[test]
fn what_waits_until_idle_survives_the_daemon_and_is_typed_once() {
    let (mut daemon, agent) = world(WORKER);
    wait_doing(&daemon, "working");
    let refused = send(&daemon, ["--type", "now"]);
    assert_eq!(refused.out(), "a: refused (it is working)\n");
    assert_eq!(refused.code, NOT_TYPED);
    let queued = send(&daemon, ["--type", "one", "--when-idle"]).expect_code(0);
    assert_eq!(queued.out(), "a: queued (place 1; it is working)\n");
    let waiting = daemon
        .opsctl(["send", "a", "--type", "two", "--when-idle", "--wait"])
        .spawn();
    wait_until("both to wait", || {
        let queued = daemon.opsctl(["ps", "--queued", "--json"]).run().json();
        (queued["messages"].as_array()?.len() == 2).then_some(())
    });
    daemon.kill();
    daemon.start_again();
    agent.wait_connected(&daemon);
    wait_doing(&daemon, "working");
    let listed = daemon.opsctl(["ps", "--queued"]).run().expect_code(0).out();
    assert!(
        listed.contains("it is working") && listed.contains("two"),
        "{listed}"
    );
    daemon.file("go", "");
    let waited = waiting.wait().expect_code(0);
    assert_eq!(waited.out(), "a: submitted\n");
    assert_eq!(typed(&daemon), "one\ntwo\n");
}

#[test]
fn what_waits_can_be_taken_back_and_expires() {
    let (daemon, _agent) = world(WORKER);
    wait_doing(&daemon, "working");
    let args = ["--type", "one", "--when-idle", "--key", "k1"];
    send(&daemon, args).expect_code(0);
    daemon.opsctl(["cancel", "k1"]).run().expect_code(0);
    let again = send(&daemon, args);
    assert_eq!(again.out(), "a: cancelled (taken back)\n");
    let args = ["--type", "two", "--when-idle", "--wait", "--ttl", "300ms"];
    let expired = send(&daemon, args);
    assert_eq!(expired.code, 247);
    assert!(expired.out().contains("expired"), "{}", expired.out());
    daemon.file("go", "");
    wait_doing(&daemon, "idle");
    send(&daemon, ["--type", "three"]).expect_code(0);
    assert_eq!(typed(&daemon), "three\n");
}

#[test]
fn nothing_is_typed_where_a_person_is_waited_for() {
    let line = format!("OPSCTL report blocked --reason approval; {READER}");
    let (daemon, _agent) = world(&line);
    wait_doing(&daemon, "blocked");
    let refused = send(&daemon, ["--type", "go on"]);
    assert_eq!(
        refused.out(),
        "a: refused (it waits for a person: approval)\n"
    );
    assert_eq!(refused.code, NOT_TYPED);
    let sent = send(&daemon, ["--type", "yes", "--at-approval"]).expect_code(0);
    assert_eq!(sent.out(), "a: submitted\n");
    assert_eq!(typed(&daemon), "yes\n");
}

#[test]
fn a_prompt_is_answered_as_it_was_seen() {
    let daemon = TestDaemon::start();
    std::fs::create_dir(daemon.path("rules")).unwrap();
    let rules = "version = 1\nname = \"asker\"\n[match]\nprograms = [\"asker\"]\n[[rule]]\n\
        state = \"blocked\"\nreason = \"approval\"\nscreen = ['Allow .*\\? \\[y/n\\]$']\n\
        asked = '(Allow .*\\?)'\napprove = \"y\\r\"\ndeny = \"n\\r\"\n";
    daemon.file("rules/asker.toml", rules);
    let mut daemon = daemon;
    daemon.kill();
    daemon.start_again();
    let script = with_names(
        &daemon,
        "#!/bin/sh\nstty -echo; echo ready > DIR/ready\nfor what in one two; do clear; echo \"Allow $what? [y/n]\"; \
         read -r line; echo \"$what $line\" >> DIR/typed; done\nclear; echo all asked; exec sleep 1000\n",
    );
    let program = daemon.file("asker", &script);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, executable).unwrap();
    let _agent = TestAgent::start_with(&daemon, "a", ["--", program.to_str().unwrap()]);
    wait_ready(&daemon);
    wait_doing(&daemon, "blocked");
    let refused = send(&daemon, ["--type", "go on"]);
    let open = "a: refused (an approval prompt is open: \"Allow one?\")\n";
    assert_eq!((refused.out().as_str(), refused.code), (open, NOT_TYPED));
    let other = send(&daemon, ["--approve", "--asked", "Allow two"]);
    assert_eq!(other.code, NOT_TYPED, "{}", other.out());
    let approved = send(&daemon, ["--approve", "--asked", "Allow one"]).expect_code(0);
    assert_eq!(approved.out(), "a: submitted\n");
    assert!(approved.err().contains("Allow one?"), "{}", approved.err());
    wait_until("the second prompt", || {
        let refused = send(&daemon, ["--type", "go on"]);
        refused.out().contains("Allow two?").then_some(())
    });
    send(&daemon, ["--deny"]).expect_code(0);
    wait_typed(&daemon, "one y\ntwo n\n");
    wait_until("no prompt", || {
        (send(&daemon, ["--deny"]).code == NOT_TYPED).then_some(())
    });
    assert_eq!(typed(&daemon), "one y\ntwo n\n");
}

#[test]
fn a_draft_is_not_mixed_up_with_a_message() {
    let (daemon, _agent) = world(READER);
    send(&daemon, ["--type", "zero"]).expect_code(0);
    let attached = daemon.opsctl(["attach", "a"]).pty(80, 24);
    attached.wait_text("<zero>");
    attached.send("half");
    wait_until("the draft to be known", || {
        let refused = send(&daemon, ["--type", "whole"]);
        refused.out().contains("has begun to type").then_some(())
    });
    attached.send(" a draft\r");
    attached.wait_text("<half a draft>");
    wait_until("the message to go", || {
        (send(&daemon, ["--type", "whole"]).code == 0).then_some(())
    });
    wait_typed(&daemon, "zero\nhalf a draft\nwhole\n");
}

#[test]
fn a_draft_is_not_mixed_up_with_a_message_over_a_restart() {
    // What is typed is echoed: it has come through the daemon then.
    let echoing = READER.replace("stty -echo; ", "");
    let (mut daemon, agent) = world(&format!("echo here; {echoing}"));
    let attach = |daemon: &TestDaemon| {
        let attached = daemon.opsctl(["attach", "a"]).pty(80, 24);
        attached.wait_text("here");
        attached
    };
    let attached = attach(&daemon);
    attached.send("half");
    attached.wait_text("half");
    daemon.kill();
    drop(attached);
    daemon.start_again();
    agent.wait_connected(&daemon);
    let sent = send(&daemon, ["--type", "whole"]);
    assert!(sent.out().contains("begun to type"), "{}", sent.out());
    assert_eq!(sent.code, NOT_TYPED);
    let attached = attach(&daemon);
    attached.send(" a draft\rand another\r");
    attached.wait_text("<and another>");
    // Who is told to end writes down that nothing is left of it, whenever that was.
    daemon.stop();
    drop(attached);
    daemon.start_again();
    agent.wait_connected(&daemon);
    send(&daemon, ["--type", "whole"]).expect_code(0);
    wait_typed(&daemon, "half a draft\nand another\nwhole\n");
}

#[test]
fn two_senders_at_once_do_not_mix() {
    let (daemon, _agent) = world(READER);
    let texts: Vec<String> = (0..6).map(|n| n.to_string().repeat(200)).collect();
    let sending: Vec<_> = texts
        .iter()
        .map(|text| daemon.opsctl(["send", "a", "--type", text]).spawn())
        .collect();
    for process in sending {
        let sent = process.wait().expect_code(0);
        assert_eq!(sent.out(), "a: submitted\n");
    }
    let typed = typed(&daemon);
    let mut lines: Vec<&str> = typed.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, texts);
}

#[test]
fn a_message_under_way_when_the_daemon_is_killed_is_typed_once() {
    let mut daemon = TestDaemon::start();
    let proxy = Proxy::start(daemon.address());
    let line = with_names(&daemon, READER);
    let agent = TestAgent::start_through(&daemon, &proxy, "a", &line);
    wait_ready(&daemon);
    send(&daemon, ["--type", "zero"]).expect_code(0);
    for (name, upwards) in [("lost on the way", false), ("typed, and unknown", true)] {
        let before = proxy.lost();
        if upwards {
            proxy.freeze_upwards();
        } else {
            proxy.freeze();
        }
        let sending = daemon.opsctl(["send", "a", "--type", name]).spawn();
        wait_until("the message to be under way", || {
            let typed = upwards && typed(&daemon).contains(name);
            (typed || !upwards && proxy.lost() >= before + name.len()).then_some(())
        });
        daemon.kill();
        // Before there is a daemon to connect to, so that no connection to the new one is among these.
        proxy.cut();
        daemon.start_again();
        agent.wait_connected(&daemon);
        let sent = sending.wait().expect_code(0);
        assert!(sent.out().starts_with("a: "), "{}", sent.out());
        assert!(!sent.out().contains("refused"), "{}", sent.out());
    }
    send(&daemon, ["--type", "last"]).expect_code(0);
    wait_typed(&daemon, "zero\nlost on the way\ntyped, and unknown\nlast\n");
}
