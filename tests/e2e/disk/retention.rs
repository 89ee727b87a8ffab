//! Output and history that are too much or too old.

use crate::harness::{Sandbox, TestAgent, TestDaemon, wait_until};
use crate::lists::detached;

fn with_settings(settings: &str) -> (TestDaemon, TestAgent) {
    let sandbox = Sandbox::new();
    sandbox.file("config.toml", settings);
    let daemon = TestDaemon::start_in(sandbox, []);
    let agent = TestAgent::start(&daemon, "a");
    (daemon, agent)
}

/// Runs a line to its end; returns the command's id.
fn run(sandbox: &Sandbox, line: &str) -> String {
    let id = detached(sandbox, line);
    sandbox.opsctl(["logs", "-f", &id]).run();
    id
}

/// Runs commands until what is wanted has come: the daemon keeps the last ones that ended in memory, and has those before
/// them only on disk.
fn crowd_out<T>(sandbox: &Sandbox, what: &str, mut wanted: impl FnMut() -> Option<T>) -> T {
    wait_until(what, || {
        for _ in 0..16 {
            let sent = sandbox.opsctl(["send", "a", "--detach", "--", "true"]);
            sent.run().expect_code(0);
        }
        wanted()
    })
}

#[test]
fn output_beyond_the_size_goes_and_that_is_said() {
    let (mut daemon, _agent) = with_settings("[daemon]\nlog_max_bytes = \"1MiB\"\n");
    let id = run(&daemon, "seq 1 1000000");
    let whole = super::numbers(1_000_000);
    let check = |daemon: &TestDaemon| {
        let logs = daemon.opsctl(["logs", &id]).run().expect_code(248);
        let logs = logs.expect_err(&["bytes are gone", "pruned"]);
        let rest = logs.out();
        assert!(!rest.is_empty() && whole.ends_with(&rest));
        rest.len()
    };
    check(&daemon);
    daemon.kill();
    daemon.start_again();
    assert!(check(&daemon) < 4 << 20, "the log is bounded");
    let tail = daemon.opsctl(["logs", "--tail", "2", &id]).run();
    assert_eq!(tail.expect_code(0).out(), "999999\n1000000\n");
}

#[test]
fn output_beyond_the_age_goes_and_that_is_said() {
    let (daemon, _agent) = with_settings("[daemon]\nlog_max_age = \"1s\"\n");
    let id = run(&daemon, "echo soon gone; exit 3");
    let logs = crowd_out(&daemon, "the output to be too old", || {
        let logs = daemon.opsctl(["logs", &id]).run();
        (logs.code == 248).then_some(logs)
    });
    assert_eq!(logs.out(), "");
    logs.expect_err(&["10 bytes are gone", "pruned"]);
    daemon
        .opsctl(["logs", "-f", &id])
        .run()
        .expect_code(3)
        .expect_err(&["pruned"]);
}

#[test]
fn history_beyond_the_age_goes_and_what_runs_stays() {
    let (daemon, _agent) = with_settings("[daemon]\nhistory_max_age = \"2s\"\n");
    let sleeper = daemon
        .opsctl(["send", "a", "--detach", "--", "sleep", "1000"])
        .run()
        .expect_code(0);
    let sleeper = sleeper.out().trim().to_owned();
    let first = run(&daemon, "true");
    let listed = || {
        daemon
            .opsctl(["ps", "-q", "--all"])
            .run()
            .expect_code(0)
            .out()
    };
    crowd_out(&daemon, "the first to be forgotten", || {
        (!listed().contains(&first)).then_some(())
    });
    daemon.opsctl(["logs", &first]).run().expect_code(245);
    assert!(listed().contains(&sleeper));
}
