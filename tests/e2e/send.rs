//! `opsctl send`: what a command says, says where and when, and how it ends.

use super::harness::{Finished, Opsctl, Sandbox, Signal, TestAgent, TestDaemon, wait_until};

/// A daemon with one agent, `a`.
fn one() -> (TestDaemon, TestAgent) {
    let daemon = TestDaemon::start();
    let agent = TestAgent::start(&daemon, "a");
    (daemon, agent)
}

/// A daemon with the agents `web-1` and `web-2`, and `db`, which is offline.
fn fleet() -> (TestDaemon, [TestAgent; 2]) {
    let daemon = TestDaemon::start();
    let web = [
        TestAgent::start_with(&daemon, "web-1", ["--label", "env=prod"]),
        TestAgent::start_with(&daemon, "web-2", ["--label", "env=test"]),
    ];
    TestAgent::start(&daemon, "db").stop();
    wait_until("db to be seen as gone", || {
        let status = daemon.opsctl(["status", "--json"]).run().json();
        let agents = status["agents"].as_array()?.clone();
        agents
            .iter()
            .any(|agent| agent["name"] == "db" && agent["connected"] == false)
            .then_some(())
    });
    (daemon, web)
}

/// Sends a line for the shell.
fn shell<const N: usize>(sandbox: &Sandbox, args: [&str; N], line: &str) -> Opsctl {
    sandbox.opsctl(["send"]).args(args).args(["--shell", line])
}

/// A shell here, with `opsctl` as `$O`.
fn here(sandbox: &Sandbox, line: &str) -> Finished {
    sandbox
        .command("sh", ["-c", line])
        .env("O", env!("CARGO_BIN_EXE_opsctl"))
        .run()
}

/// Waits until nothing runs any more.
fn wait_idle(sandbox: &Sandbox) {
    wait_until("everything to end", || {
        let running = sandbox
            .opsctl(["ps", "-q", "--state", "running"])
            .run()
            .expect_code(0);
        running.out().is_empty().then_some(())
    });
}

#[test]
fn a_command_s_code_is_the_code_in_every_mode() {
    let (daemon, _agent) = one();
    for mode in ["--no-pty", "--pty", "--json", "--jsonl", "-b", "-n"] {
        shell(&daemon, ["a", mode], "exit 7").run().expect_code(7);
    }
    let id = shell(&daemon, ["a", "--detach"], "exit 7")
        .run()
        .expect_code(0)
        .out();
    daemon
        .opsctl(["logs", "-f", id.trim()])
        .run()
        .expect_code(7);
    daemon
        .opsctl(["send", "a", "--", "sh", "-c", "exit 7"])
        .run()
        .expect_code(7);
}

#[test]
fn ends_without_a_code_have_codes() {
    let (daemon, _agent) = one();
    shell(&daemon, ["a"], "kill -9 $$").run().expect_code(137);
    let timed_out = shell(&daemon, ["a", "--timeout", "200ms"], "exec sleep 600").run();
    timed_out.expect_code(124).expect_err(&["a: timed out"]);
    let failed = daemon
        .opsctl(["send", "a", "--", "/nowhere/to/be/found"])
        .run();
    failed
        .expect_code(244)
        .expect_err(&["a: ", "/nowhere/to/be/found"]);
    let unknown = daemon.opsctl(["send", "nobody", "--", "true"]).run();
    unknown.expect_code(240).expect_err(&["nobody"]);
    daemon
        .opsctl(["send", "x*,env=y", "--", "true"])
        .run()
        .expect_code(240);
}

#[test]
fn wrong_usage_says_what_is_right() {
    let sandbox = Sandbox::new();
    let send = |args: &[&str]| sandbox.opsctl(["send"]).args(args).run();
    send(&["--", "true"])
        .expect_code(2)
        .expect_err(&["whom?", "opsctl agents"]);
    send(&["a"])
        .expect_code(2)
        .expect_err(&["what?", "after `--`"]);
    send(&["a", "uptime"])
        .expect_code(2)
        .expect_err(&["column 3", "after `--`"]);
    send(&["a", "--timeout", "soon", "--", "true"])
        .expect_code(2)
        .expect_err(&["10s"]);
    send(&["a", "--env", "X", "--", "true"])
        .expect_code(2)
        .expect_err(&["KEY=VALUE"]);
    send(&["a", "--", "true"])
        .expect_code(242)
        .expect_err(&["opsctl up"]);
}

#[test]
fn output_passes_byte_for_byte() {
    let (daemon, _agent) = one();
    let every_byte: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let file = daemon.path("bytes");
    std::fs::write(&file, &every_byte).unwrap();
    let cat = daemon
        .opsctl(["send", "a", "--", "cat"])
        .arg(&file)
        .run()
        .expect_code(0);
    assert!(cat.stdout == every_byte, "out differs");
    let echoed = daemon
        .opsctl(["send", "a", "--", "cat"])
        .stdin(every_byte.clone())
        .run()
        .expect_code(0);
    assert!(echoed.stdout == every_byte, "in and out differ");
    let apart = shell(&daemon, ["a"], "printf out; printf err >&2")
        .run()
        .expect_code(0);
    assert_eq!((apart.out(), apart.err()), ("out".into(), "err".into()));
}

#[test]
fn bulk_arrives_whole_both_ways() {
    let (daemon, _agent) = one();
    let digest = |out: String| out.split_whitespace().next().map(str::to_owned);
    let local = here(&daemon, "seq 1 200000 | sha256sum").out();
    let sent = here(&daemon, "$O send a -- seq 1 200000 | sha256sum")
        .expect_code(0)
        .out();
    assert_eq!(digest(sent), digest(local));
    let local = here(&daemon, "head -c 32000000 /dev/urandom > r; sha256sum r").out();
    let there = here(&daemon, "$O send a -- sha256sum < r")
        .expect_code(0)
        .out();
    assert_eq!(digest(there), digest(local.clone()));
    let back = here(&daemon, "$O send a -- cat < r | sha256sum")
        .expect_code(0)
        .out();
    assert_eq!(digest(back), digest(local));
}

#[test]
fn stdin_is_what_it_is_here() {
    let (daemon, _agent) = one();
    let cat = |how: &str| {
        here(&daemon, &format!("$O send a -- cat {how}"))
            .expect_code(0)
            .out()
    };
    assert_eq!(cat("</dev/null"), "");
    assert_eq!(cat("<&-"), "");
    assert_eq!(
        here(&daemon, "printf x | $O send a -n -- cat")
            .expect_code(0)
            .out(),
        ""
    );
    assert_eq!(
        here(&daemon, ": | $O send a -- cat").expect_code(0).out(),
        ""
    );
    // A command that doesn't read its input ends all the same.
    here(&daemon, "head -c 5000000 /dev/zero | $O send a -- true").expect_code(0);
}

#[test]
fn output_comes_as_it_is_made() {
    let (daemon, _agent) = one();
    let mut send = shell(
        &daemon,
        ["a"],
        "echo ready; read line; echo got $line; read more",
    )
    .open_stdin()
    .spawn();
    send.wait_stdout("ready\n");
    send.write(b"this\n");
    send.wait_stdout("got this\n");
    send.close_stdin();
    send.wait().expect_code(1);
}

#[test]
fn environment_and_directory_are_as_asked() {
    let (daemon, _agent) = one();
    let line = "printf '%s %s %s' \"$A\" \"$B\" \"$(pwd)\"";
    let asked = shell(
        &daemon,
        ["a", "--env", "A=1 2", "--env", "B=x=y", "--cwd", "/usr"],
        line,
    );
    assert_eq!(asked.run().expect_code(0).out(), "1 2 x=y /usr");
}

#[test]
fn several_are_told_apart_and_the_highest_code_counts() {
    let (daemon, _web) = fleet();
    let line = "echo out; echo err >&2; [ $OPSCTL_TEST = 3 ] && exit 3; exit 0";
    let sent = shell(&daemon, ["web-*", "--env", "OPSCTL_TEST=3"], line)
        .run()
        .expect_code(3);
    let mut lines: Vec<String> = sent.out().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["web-1: out", "web-2: out"]);
    sent.expect_err(&[
        "web-1: err\n",
        "web-2: err\n",
        "opsctl: web-1: exited with exit code 3\n",
    ]);
    let bare = shell(&daemon, ["web-*", "-N"], "echo out")
        .run()
        .expect_code(0);
    assert_eq!(bare.out(), "out\nout\n");
    let one = daemon
        .opsctl(["send", "web-*", "and", "env=prod", "--", "echo", "x"])
        .run()
        .expect_code(0);
    assert_eq!(one.out(), "x\n", "a single one has no prefix");
}

#[test]
fn who_was_meant_and_not_reached_is_said_and_counts() {
    let (daemon, _web) = fleet();
    let offline = daemon.opsctl(["send", "*", "--", "true"]).run();
    offline.expect_code(241).expect_err(&["db is offline"]);
    daemon
        .opsctl(["send", "db", "--", "true"])
        .run()
        .expect_code(241)
        .expect_err(&["db"]);
    let misspelt = daemon.opsctl(["send", "web-1,wbe-2", "--", "true"]).run();
    misspelt.expect_code(240).expect_err(&["wbe-2"]);
    let excluded = daemon
        .opsctl(["send", "*", "-x", "db,web-2", "--", "echo", "x"])
        .run();
    assert_eq!(excluded.expect_code(0).out(), "x\n");
    let dry = daemon
        .opsctl(["send", "*", "--dry-run"])
        .run()
        .expect_code(241);
    assert_eq!(dry.out(), "web-1\nweb-2\n");
    dry.expect_err(&["db is offline"]);
    let limited = daemon
        .opsctl(["send", "web-*", "--limit", "1", "--dry-run"])
        .run()
        .expect_code(0);
    assert_eq!(limited.out(), "web-1\n");
    daemon
        .opsctl(["send", "x*", "--dry-run"])
        .run()
        .expect_code(240);
}

#[test]
fn a_command_waits_for_an_offline_agent_where_asked_to() {
    let daemon = TestDaemon::start();
    let mut agent = TestAgent::start(&daemon, "a");
    agent.stop();
    let late = daemon
        .opsctl(["send", "a", "--ttl", "60s", "--", "echo", "late"])
        .spawn();
    wait_until("the command to be queued", || {
        let queued = daemon.opsctl(["ps", "-q", "--state", "queued"]).run().out();
        (!queued.is_empty()).then_some(())
    });
    agent.start_again(&daemon);
    assert_eq!(late.wait().expect_code(0).out(), "late\n");
}

#[test]
fn equal_outputs_are_gathered() {
    let (daemon, _web) = fleet();
    let same = shell(&daemon, ["web-*", "-b"], "echo same")
        .run()
        .expect_code(0);
    let rule = "---------------";
    assert_eq!(same.out(), format!("{rule}\nweb-[1-2] (2)\n{rule}\nsame\n"));
    let failed = shell(&daemon, ["web-*", "-b"], "exit 9").run();
    failed
        .expect_code(9)
        .expect_err(&["web-[1-2] (2): exited with exit code 9"]);
}

#[test]
fn json_is_one_document_and_jsonl_a_line_an_event() {
    let (daemon, _web) = fleet();
    let document = shell(
        &daemon,
        ["*", "--json"],
        "echo x; printf '\\377' >&2; exit 4",
    )
    .run();
    let document = document.expect_code(241).json();
    assert_eq!(document["exitCode"], 241);
    assert_eq!(document["offline"], serde_json::json!(["db"]));
    let first = &document["commands"][0];
    assert_eq!(
        (&first["agentId"], &first["exitCode"]),
        (&"web-1".into(), &4.into())
    );
    assert_eq!(
        (&first["stdout"], &first["stderrB64"]),
        (&"x\n".into(), &"/w==".into())
    );
    let lines = shell(&daemon, ["web-1", "--jsonl"], "echo x; exit 4")
        .run()
        .expect_code(4)
        .out();
    let events: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events[0]["type"], "command:accepted");
    assert!(
        events
            .iter()
            .any(|event| event["type"] == "terminal:output" && event["data"] == "x\n")
    );
    assert!(
        events
            .iter()
            .any(|event| event["state"] == "exited" && event["exitCode"] == 4)
    );
    assert_eq!(
        events.last().unwrap(),
        &serde_json::json!({"type": "end", "exitCode": 4})
    );
}

#[test]
fn a_key_runs_once() {
    let (mut daemon, mut agent) = one();
    let line = "echo ran >> runs; wc -l < runs";
    let cwd = daemon.path("").display().to_string();
    let send = |daemon: &TestDaemon, line: &str| {
        shell(daemon, ["a", "--key", "k1", "--cwd", &cwd], line).run()
    };
    assert_eq!(send(&daemon, line).expect_code(0).out().trim(), "1");
    let again = |daemon: &TestDaemon| {
        let again = send(daemon, line).expect_code(0);
        assert_eq!(again.out().trim(), "1", "the same run again");
    };
    again(&daemon);
    send(&daemon, "echo other")
        .expect_code(2)
        .expect_err(&["what differs: shell"]);
    agent.stop();
    again(&daemon);
    daemon.kill();
    daemon.start_again();
    again(&daemon);
    shell(&daemon, ["a"], "echo new")
        .run()
        .expect_code(241)
        .expect_err(&["a is not connected", "--ttl"]);
}

#[test]
fn detached_commands_print_their_ids() {
    let (daemon, _web) = fleet();
    let one = daemon
        .opsctl(["send", "web-1", "--detach", "--", "true"])
        .run()
        .expect_code(0)
        .out();
    assert_eq!(one.trim().len(), 32, "{one}");
    let both = daemon
        .opsctl(["send", "web-*", "--detach", "--", "true"])
        .run()
        .expect_code(0)
        .out();
    let names: Vec<&str> = both
        .lines()
        .filter_map(|line| Some(line.split_once('\t')?.0))
        .collect();
    assert_eq!(names, ["web-1", "web-2"]);
}

#[test]
fn a_closed_pipe_is_no_error_and_ends_the_command() {
    let (daemon, _agent) = one();
    let head = here(&daemon, "{ $O send a -- yes; echo code $? >&2; } | head -1").expect_code(0);
    assert_eq!((head.out(), head.err()), ("y\n".into(), "code 0\n".into()));
    wait_idle(&daemon);
    let closed = "trap '' PIPE; while echo x; do :; done 2>/dev/null";
    let listed = format!("{{ {closed}; $O ps --all --json; echo code $? >&2; }} | true");
    let listed = here(&daemon, &listed);
    assert_eq!(listed.expect_code(0).err(), "code 0\n");
}

#[test]
fn ctrl_c_interrupts_and_prints_what_came() {
    let (daemon, _agent) = one();
    let line = "trap 'echo bye; exit 5' INT; echo up; while :; do sleep 0.05; done";
    let send = shell(&daemon, ["a"], line).spawn();
    send.wait_stdout("up\n");
    send.signal(Signal::INT);
    let ended = send.wait().expect_code(5);
    assert_eq!(ended.out(), "up\nbye\n");
    wait_idle(&daemon);
}

/// `nohup` and a script's `&` start programs that ignore signals, and so would all that these start.
#[test]
fn what_an_agent_was_made_to_ignore_its_commands_do_not() {
    let daemon = TestDaemon::start();
    let line = "trap '' INT QUIT HUP; exec \"$O\" agent --name a";
    let _agent = daemon
        .command("sh", ["-c", line])
        .env("O", env!("CARGO_BIN_EXE_opsctl"))
        .spawn();
    wait_until("the agent", || {
        let listed = daemon.opsctl(["agents"]).run();
        listed.out().contains("\na ").then_some(())
    });
    for (signal, code) in [("INT", 130), ("QUIT", 131), ("HUP", 129)] {
        let line = format!("ulimit -c 0; kill -s {signal} $$; echo ignored");
        let ended = shell(&daemon, ["a"], &line).run().expect_code(code);
        assert_eq!(ended.out(), "");
    }
}

/// Waits until the daemon has noticed that the agent `a` has gone.
fn wait_away(sandbox: &Sandbox) {
    wait_until("the agent to be away", || {
        let status = sandbox.opsctl(["status", "--json"]).run().json();
        (status["agents"][0]["connected"] == false).then_some(())
    });
}

#[test]
fn an_interrupt_waits_for_an_agent_that_is_away() {
    let (daemon, mut agent) = one();
    let line = "trap 'echo bye; exit 5' INT; echo up; while :; do sleep 0.05; done";
    let first = shell(&daemon, ["a"], line).spawn();
    let second = shell(&daemon, ["a"], line).spawn();
    first.wait_stdout("up\n");
    second.wait_stdout("up\n");
    agent.kill();
    wait_away(&daemon);
    for send in [&first, &second] {
        send.signal(Signal::INT);
        send.wait_stderr("a is not connected: the interrupt will be delivered when it returns");
    }
    second.signal(Signal::INT);
    second
        .wait()
        .expect_code(130)
        .expect_err(&["a: not interrupted, it is away", "opsctl interrupt"]);
    agent.start_again(&daemon);
    let ended = first.wait().expect_code(5);
    assert_eq!(ended.out(), "up\nbye\n");
    let left = daemon.opsctl(["ps", "-q", "--state", "running"]).run();
    let interrupt = ["interrupt", left.out().trim()].map(str::to_owned);
    daemon.opsctl(interrupt).run().expect_code(0);
    wait_idle(&daemon);
}

#[test]
fn ctrl_c_takes_back_what_waits() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start_with(&daemon, "a", ["--max-commands", "1"]);
    let first = shell(&daemon, ["a"], "echo up; read x")
        .open_stdin()
        .spawn();
    first.wait_stdout("up\n");
    let second = daemon
        .opsctl(["send", "a", "--jsonl", "--", "echo", "x"])
        .spawn();
    second.wait_stdout("command:accepted");
    second.signal(Signal::INT);
    second.wait().expect_code(130);
    drop(first);
}

#[test]
fn a_signal_interrupts_what_runs_and_a_closed_terminal_lets_it_go_on() {
    let (daemon, _agent) = one();
    let running = || {
        daemon
            .opsctl(["ps", "-q", "--state", "running"])
            .run()
            .out()
    };
    let line = "echo up; read x";
    for pty in [false, true] {
        let start = |signal: Signal, code: i32| {
            if pty {
                let send = daemon
                    .opsctl(["send", "a", "--pty", "--shell", line])
                    .pty(80, 24);
                send.wait_text("up");
                send.signal(signal);
                assert_eq!(send.wait(), code);
            } else {
                let send = shell(&daemon, ["a"], line).open_stdin().spawn();
                send.wait_stdout("up\n");
                send.signal(signal);
                send.wait().expect_code(code);
            }
        };
        start(Signal::TERM, 143);
        wait_idle(&daemon);
        start(Signal::HUP, 129);
        let left = running();
        assert_eq!(left.lines().count(), 1, "{left}");
        let kill = ["interrupt", left.trim(), "--signal", "KILL"];
        daemon.opsctl(kill).run().expect_code(0);
        wait_idle(&daemon);
    }
}

#[test]
fn a_second_ctrl_c_lets_go() {
    let (daemon, _agent) = one();
    let send = shell(
        &daemon,
        ["a"],
        "trap '' INT TERM; echo up; while :; do sleep 0.05; done",
    )
    .spawn();
    send.wait_stdout("up\n");
    send.signal(Signal::INT);
    wait_until("the first interrupt to be taken", || {
        // The handler is there from the start, so the signals are told apart by what they lead to: nothing, and the end.
        send.signal(Signal::INT);
        (!send.is_running()).then_some(())
    });
    send.wait()
        .expect_code(130)
        .expect_err(&["a: has not ended", "opsctl logs -f"]);
    let id = daemon
        .opsctl(["ps", "-q", "--state", "running"])
        .run()
        .out();
    daemon
        .opsctl(["interrupt", id.trim(), "--signal", "KILL"])
        .run()
        .expect_code(0);
    wait_idle(&daemon);
}

#[test]
fn ctrl_c_works_while_output_floods() {
    let (daemon, _agent) = one();
    let send = daemon.opsctl(["send", "a", "--", "yes"]).pty(80, 24);
    send.wait_text("y\ny\ny");
    send.send(b"\x03");
    assert_eq!(send.wait(), 130);
    wait_idle(&daemon);
}

#[test]
fn a_daemon_that_dies_is_waited_for() {
    let (mut daemon, agent) = one();
    let mut send = shell(&daemon, ["a"], "echo one; read line; echo $line; exit 6")
        .open_stdin()
        .spawn();
    send.wait_stdout("one\n");
    daemon.kill();
    send.wait_stderr("reconnecting");
    send.write(b"two\n");
    daemon.start_again();
    agent.wait_connected(&daemon);
    let ended = send.wait().expect_code(6);
    assert_eq!(ended.out(), "one\ntwo\n");
    ended.expect_err(&["connected again"]);
}

#[test]
fn colours_are_only_for_terminals() {
    let (daemon, _web) = fleet();
    let send = || daemon.opsctl(["send", "web-*", "--", "echo", "x"]);
    assert!(!send().run().out().contains('\x1b'));
    assert!(
        !send()
            .args(["--", "--color", "always"])
            .run()
            .out()
            .contains('\x1b'),
        "after `--` it is the command's"
    );
    let always = daemon
        .opsctl(["send", "web-*", "--color", "always", "--", "echo", "x"])
        .run();
    assert!(
        always.out().contains("\x1b[36mweb-1:\x1b[0m x"),
        "{}",
        always.out()
    );
    let raw = |opsctl: Opsctl| {
        let pty = opsctl.pty(80, 24);
        assert_eq!(pty.wait(), 0);
        String::from_utf8_lossy(&pty.raw()).into_owned()
    };
    assert!(raw(send()).contains("\x1b[36m"));
    assert!(!raw(send().env("NO_COLOR", "1")).contains("\x1b[36m"));
}

#[test]
fn programs_learn_whom_it_reaches_and_what_was_started() {
    let (daemon, _web) = fleet();
    let reach = daemon.opsctl(["send", "*", "--dry-run", "--json"]).run();
    let expected = serde_json::json!({"agents": ["web-1", "web-2"], "offline": ["db"]});
    assert_eq!(reach.expect_code(241).json(), expected);
    let sent = daemon
        .opsctl(["send", "web-1,nobody", "--detach", "--json", "--", "true"])
        .run();
    let sent = sent.expect_code(240).json();
    assert_eq!(sent["missing"], serde_json::json!(["nobody"]));
    assert_eq!(sent["commands"][0]["agentId"], "web-1");
    let id = sent["commands"][0]["commandId"].as_str().unwrap();
    daemon.opsctl(["logs", "-f", id]).run().expect_code(0);
}
