//! `opsctl agents`, `ps`, `logs` and `interrupt`. What waits is in [`super::queue`].

use super::harness::{Sandbox, TestAgent, TestDaemon, wait_until};

fn one() -> (TestDaemon, TestAgent) {
    let daemon = TestDaemon::start();
    let agent = TestAgent::start_with(&daemon, "a", ["--label", "env=prod"]);
    (daemon, agent)
}

/// Starts a command and leaves it; returns its id.
pub fn detached(sandbox: &Sandbox, line: &str) -> String {
    let sent = sandbox
        .opsctl(["send", "a", "--detach", "--shell", line])
        .run()
        .expect_code(0);
    sent.out().trim().to_owned()
}

/// Waits until a command is in a state.
pub fn wait_state(sandbox: &Sandbox, id: &str, state: &str) {
    wait_until(&format!("{id} to be {state}"), || {
        let listed = sandbox
            .opsctl(["ps", "-q", "--all", "--state", state])
            .run()
            .expect_code(0);
        listed.out().contains(id).then_some(())
    });
}

#[test]
fn agents_are_listed_and_selected() {
    let (daemon, mut agent) = one();
    let table = daemon.opsctl(["agents"]).run().expect_code(0).out();
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("NAME") && lines[0].ends_with("LAST SEEN"),
        "{table}"
    );
    assert!(
        lines[1].starts_with("a ") && lines[1].contains("env=prod"),
        "{table}"
    );
    let json = daemon
        .opsctl(["agents", "--json"])
        .run()
        .expect_code(0)
        .json();
    assert_eq!(json["agents"][0]["labels"]["env"], "prod");
    assert_eq!(
        daemon.opsctl(["agents", "env=test", "--json"]).run().json()["agents"],
        serde_json::json!([])
    );
    daemon.opsctl(["agents", "env=test"]).run().expect_code(240);
    daemon.opsctl(["agents", "env="]).run().expect_code(240);
    daemon.opsctl(["agents", "(a"]).run().expect_code(2);
    agent.stop();
    wait_until("the agent to be offline", || {
        daemon
            .opsctl(["agents"])
            .run()
            .out()
            .contains("offline")
            .then_some(())
    });
}

#[test]
fn agents_are_watched() {
    let (daemon, mut agent) = one();
    let lines = daemon.opsctl(["agents", "-w", "--json"]).spawn();
    let screen = daemon.opsctl(["agents", "-w"]).pty(80, 10);
    lines.wait_stdout("\"status\":\"connected\"");
    screen.wait_text("env=prod");
    agent.stop();
    lines.wait_stdout("\"status\":\"disconnected\"");
    screen.wait_text("offline");
    agent.start_again(&daemon);
    let shown = screen.wait_screen("the agent again", |text| {
        !text.contains("offline") && text.contains("env=prod")
    });
    assert_eq!(
        shown.matches("env=prod").count(),
        1,
        "redrawn in place: {shown}"
    );
}

#[test]
fn watching_survives_the_daemon() {
    let (mut daemon, agent) = one();
    let lines = daemon.opsctl(["agents", "-w", "--json"]).spawn();
    lines.wait_stdout("\"status\":\"connected\"");
    daemon.kill();
    lines.wait_stderr("reconnecting");
    daemon.start_again();
    agent.wait_connected(&daemon);
    TestAgent::start(&daemon, "late");
    lines.wait_stdout("\"late\"");
}

#[test]
fn commands_are_listed() {
    let (daemon, _agent) = one();
    let ended = detached(&daemon, "exit 3");
    let running = detached(&daemon, "exec sleep 1000");
    wait_state(&daemon, &ended, "exited");
    wait_state(&daemon, &running, "running");
    let table = daemon.opsctl(["ps"]).run().expect_code(0).out();
    let line = |id: &str| {
        table
            .lines()
            .find(|line| line.starts_with(&id[..8]))
            .unwrap()
            .to_owned()
    };
    assert!(line(&ended).contains("exited   3"), "{table}");
    assert!(
        line(&running).contains("running") && line(&running).contains("sleep 1000"),
        "{table}"
    );
    let only = daemon
        .opsctl(["ps", "-q", "--state", "running"])
        .run()
        .expect_code(0)
        .out();
    assert_eq!(only.trim(), running);
    let newest = daemon
        .opsctl(["ps", "--all", "--limit", "1", "--json"])
        .run()
        .expect_code(0)
        .json();
    assert_eq!(newest["commands"][0]["commandId"], running.as_str());
    let nobody = daemon.opsctl(["ps", "x*", "-q"]).run();
    assert_eq!(nobody.expect_code(240).out(), "");
    let narrow = daemon.opsctl(["ps"]).pty(40, 10);
    assert_eq!(narrow.wait(), 0);
    let raw = String::from_utf8_lossy(&narrow.raw()).into_owned();
    assert!(raw.contains('…'), "{raw}");
}

#[test]
fn logs_keep_outputs_apart_and_end_with_the_command() {
    let (daemon, _agent) = one();
    let id = detached(&daemon, "echo out; echo err >&2; read never || exit 4");
    let followed = daemon.opsctl(["logs", "-f", &id]).run().expect_code(4);
    assert_eq!(
        (followed.out(), followed.err()),
        ("out\n".into(), "err\n".into())
    );
    let shown = daemon.opsctl(["logs", &id[..6]]).run().expect_code(0);
    assert_eq!((shown.out(), shown.err()), ("out\n".into(), "err\n".into()));
    let only = daemon
        .opsctl(["logs", "--stderr-only", &id])
        .run()
        .expect_code(0);
    assert_eq!((only.out(), only.err()), (String::new(), "err\n".into()));
    let stamped = daemon
        .opsctl(["logs", "-t", &id])
        .run()
        .expect_code(0)
        .out();
    let (stamp, text) = stamped.split_once(' ').unwrap();
    assert!(
        stamp.ends_with('Z') && stamp.len() == 24 && text == "out\n",
        "{stamped}"
    );
    assert_eq!(
        daemon
            .opsctl(["logs", "--since", "1h", &id])
            .run()
            .expect_code(0)
            .out(),
        "out\n"
    );
    assert_eq!(
        daemon
            .opsctl(["logs", "--since", "2099-01-01", &id])
            .run()
            .expect_code(0)
            .out(),
        ""
    );
    daemon
        .opsctl(["logs", "--since", "soon", &id])
        .run()
        .expect_code(2)
        .expect_err(&["RFC 3339"]);
}

#[test]
fn logs_follow_what_runs_and_end_where_it_stands() {
    let (daemon, _agent) = one();
    let gate = daemon.path("gate");
    let line = format!(
        "seq 1 50; until [ -e {} ]; do sleep 0.02; done; echo end; exit 5",
        gate.display()
    );
    let id = detached(&daemon, &line);
    let follow = daemon.opsctl(["logs", "-f", &id]).spawn();
    follow.wait_stdout("\n50\n");
    let now = daemon.opsctl(["logs", &id]).run().expect_code(0).out();
    assert!(now.ends_with("\n50\n"), "{now}");
    let tail = daemon
        .opsctl(["logs", "--tail", "2", &id])
        .run()
        .expect_code(0)
        .out();
    assert_eq!(tail, "49\n50\n");
    std::fs::write(&gate, "").unwrap();
    let all = follow.wait().expect_code(5).out();
    assert!(
        all.starts_with("1\n2\n") && all.ends_with("50\nend\n"),
        "{all}"
    );
}

#[test]
fn unknown_ids_are_said_to_be() {
    let (daemon, _agent) = one();
    for wrong in ["ffffffff", "zz", ""] {
        daemon
            .opsctl(["logs", wrong])
            .run()
            .expect_code(245)
            .expect_err(&["no command"]);
        daemon
            .opsctl(["interrupt", wrong])
            .run()
            .expect_code(245)
            .expect_err(&["no command"]);
    }
    // Of seventeen ids two begin with the same digit.
    let ids: Vec<String> = (0..17).map(|_| detached(&daemon, "true")).collect();
    let same = |digit: &str| ids.iter().filter(|id| id.starts_with(digit)).count() > 1;
    let digit = ids
        .iter()
        .map(|id| &id[..1])
        .find(|digit| same(digit))
        .unwrap();
    daemon
        .opsctl(["logs", digit])
        .run()
        .expect_code(245)
        .expect_err(&["several", digit]);
}

#[test]
fn interrupts_reach_what_they_name() {
    let (daemon, _agent) = one();
    let sleeper = detached(&daemon, "exec sleep 1000");
    wait_state(&daemon, &sleeper, "running");
    daemon
        .opsctl(["interrupt", &sleeper[..8]])
        .run()
        .expect_code(0)
        .expect_err(&["interrupted", &sleeper[..8]]);
    daemon
        .opsctl(["logs", "-f", &sleeper])
        .run()
        .expect_code(130);
    daemon
        .opsctl(["interrupt", &sleeper])
        .run()
        .expect_code(1)
        .expect_err(&["has ended"]);
    let line = "trap 'echo usr1; exit 8' USR1; echo up; while :; do sleep 0.02; done";
    let trapper = detached(&daemon, line);
    daemon
        .opsctl(["logs", "-f", &trapper])
        .spawn()
        .wait_stdout("up\n");
    daemon
        .opsctl(["interrupt", &trapper, "--signal", "usr1"])
        .run()
        .expect_code(0);
    assert_eq!(
        daemon
            .opsctl(["logs", "-f", &trapper])
            .run()
            .expect_code(8)
            .out(),
        "up\nusr1\n"
    );
    let two = [
        detached(&daemon, "exec sleep 1000"),
        detached(&daemon, "exec sleep 1000"),
    ];
    for id in &two {
        wait_state(&daemon, id, "running");
    }
    daemon
        .opsctl(["interrupt", "--all-of", "a"])
        .run()
        .expect_code(0);
    for id in two {
        daemon.opsctl(["logs", "-f", &id]).run().expect_code(130);
    }
    daemon
        .opsctl(["interrupt", "--all-of", "nobody"])
        .run()
        .expect_code(240);
    daemon
        .opsctl(["interrupt", "--signal", "dance", &sleeper])
        .run()
        .expect_code(2)
        .expect_err(&["TERM"]);
}

#[test]
fn what_names_no_agent_is_an_error() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let run = |args: &[&str], code: i32, words: &[&str]| {
        let ended = daemon.opsctl(args.iter().copied()).run();
        ended.expect_code(code).expect_err(words);
    };
    run(
        &["cancel", "--all-of", "nobody"],
        240,
        &["no agent is named nobody"],
    );
    run(&["cancel", "--all-of", "a"], 0, &["nothing waits for a"]);
    run(&["interrupt", "--all-of", "nobody"], 240, &["nobody"]);
    run(&["ps", "nobody"], 240, &["no agent matches \"nobody\""]);
    run(&["ps", "--queued", "env=none"], 240, &["no agent matches"]);
    run(&["ps", "not", "a", "or"], 2, &["expected"]);
    run(&["ps", "a"], 0, &[]);
    run(&["cancel"], 2, &["ID", "--all-of <AGENT>"]);
    run(&["interrupt"], 2, &["ID", "--all-of <AGENT>"]);
    run(
        &["cancel", "1", "--all-of", "a"],
        2,
        &["cannot be used with"],
    );
}

#[test]
fn an_agent_that_will_not_come_back_is_forgotten() {
    let mut daemon = TestDaemon::start();
    let mut gone = TestAgent::start(&daemon, "gone");
    let _stays = TestAgent::start(&daemon, "stays");
    daemon
        .opsctl(["forget", "stays"])
        .run()
        .expect_code(2)
        .expect_err(&["stays is connected"]);
    gone.stop();
    let waits = daemon
        .opsctl(["send", "gone", "--ttl", "10m", "--detach", "--", "true"])
        .run()
        .expect_code(0);
    let waits = waits.out().trim().to_owned();
    let forget = daemon.opsctl(["forget", "gone"]).run();
    forget.expect_code(0).expect_err(&["forgot gone"]);
    daemon.opsctl(["logs", "-f", &waits]).run().expect_code(244);
    daemon.opsctl(["forget", "gone"]).run().expect_code(240);
    daemon.kill();
    daemon.start_again();
    let listed = daemon.opsctl(["agents"]).run().expect_code(0).out();
    assert!(
        listed.contains("stays") && !listed.contains("gone"),
        "{listed}"
    );
}
