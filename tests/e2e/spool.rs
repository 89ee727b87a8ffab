//! Output that waits at an agent, over the real binary: what survives, and what is said of what doesn't.

use super::harness::{Sandbox, Signal, TestAgent, TestDaemon, wait_until};
use super::lists::{detached, wait_state};

/// The sum of what `bytes are gone` says in a text.
fn gone(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| {
            line.split_once(" bytes are gone: ")?
                .0
                .split(' ')
                .next_back()?
                .parse::<u64>()
                .ok()
        })
        .sum()
}

#[test]
fn what_an_agent_had_to_drop_is_said_also_after_a_restart() {
    let sandbox = Sandbox::new();
    let settings = "[agent]\nspool_bytes = \"1MiB\"\nspool = \"drop-oldest\"\n";
    sandbox.file("config.toml", settings);
    let mut daemon = TestDaemon::start_in(sandbox, []);
    let agent = TestAgent::start(&daemon, "a");
    let (go, done) = (daemon.path("go"), daemon.path("done"));
    let line = format!(
        "echo begun; while ! test -e {}; do sleep 0.02; done; seq 1 1000000; touch {}",
        go.display(),
        done.display()
    );
    let id = detached(&daemon, &line);
    wait_state(&daemon, &id, "running");
    let whole = 6 + 6_888_896;
    daemon.kill();
    daemon.file("go", "");
    // Nobody takes its output, and still it comes to its end.
    wait_until("the program's end", || done.exists().then_some(()));
    daemon.start_again();
    agent.wait_connected(&daemon);
    wait_state(&daemon, &id, "exited");
    for restart in [true, false] {
        // Some of it is gone: that is said, and is the exit code.
        let logs = daemon.opsctl(["logs", &id]).run().expect_code(248);
        let shown = logs.stdout.len() as u64;
        assert_eq!(shown + gone(&logs.err()), whole, "{}", logs.err());
        assert!(shown > 500_000 && shown < 1 << 20, "{shown}");
        assert!(logs.out().ends_with("\n999999\n1000000\n"));
        if restart {
            daemon.kill();
            daemon.start_again();
        }
    }
}

#[test]
fn a_daemon_that_stands_still_holds_nobody_up_who_may_drop_output() {
    let sandbox = Sandbox::new();
    let settings = "[agent]\nspool_bytes = \"1MiB\"\nspool = \"drop-oldest\"\n";
    sandbox.file("config.toml", settings);
    let daemon = TestDaemon::start_in(sandbox, []);
    // Over TCP, whose sockets hold more than the spool: all of it is taken, and none of it arrives.
    let token = daemon.token(["--role", "agent", "--agent", "a"]);
    let file = daemon.file("a.token", &token);
    let (url, token) = (daemon.url(), file.to_str().unwrap());
    let _agent = TestAgent::start_with(&daemon, "a", ["--url", &url, "--token-file", token]);
    let (go, done) = (daemon.path("go"), daemon.path("done"));
    let line = format!(
        "while ! test -e {}; do sleep 0.02; done; seq 1 2000000; touch {}",
        go.display(),
        done.display()
    );
    let id = detached(&daemon, &line);
    wait_state(&daemon, &id, "running");
    daemon.process().signal(Signal::STOP);
    daemon.file("go", "");
    wait_until("the program's end", || done.exists().then_some(()));
    daemon.process().signal(Signal::CONT);
    wait_state(&daemon, &id, "exited");
    let logs = daemon.opsctl(["logs", &id]).run().expect_code(248);
    let whole = 14_888_896;
    assert_eq!(logs.stdout.len() as u64 + gone(&logs.err()), whole);
}

#[test]
fn a_killed_holders_output_arrives_before_its_command_is_lost() {
    let mut daemon = TestDaemon::start();
    let agent = TestAgent::start(&daemon, "a");
    let id = detached(&daemon, "echo $PPID $$; seq 1 100000; exec sleep 1000");
    wait_state(&daemon, &id, "running");
    let logs = || daemon.opsctl(["logs", &id]).run();
    wait_until("all output", || {
        logs().out().ends_with("\n100000\n").then_some(())
    });
    let whole = logs().out();
    let numbers: Vec<i32> = whole
        .lines()
        .next()
        .unwrap()
        .split(' ')
        .map(|word| word.parse().unwrap())
        .collect();
    daemon.kill();
    let holder = rustix::process::Pid::from_raw(numbers[0]).unwrap();
    rustix::process::kill_process(holder, rustix::process::Signal::KILL).unwrap();
    daemon.start_again();
    agent.wait_connected(&daemon);
    wait_state(&daemon, &id, "lost");
    let listed = daemon.opsctl(["ps", "--all", "--json"]).run().json();
    let reason = listed["commands"][0]["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.contains("the process that held the program died"),
        "{reason}"
    );
    let logs = daemon.opsctl(["logs", &id]).run();
    assert_eq!((logs.out(), gone(&logs.err())), (whole, 0));
    // It was made sure of.
    assert!(!daemon.processes().contains(&numbers[1]));
}
