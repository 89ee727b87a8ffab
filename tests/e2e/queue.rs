//! Commands that wait: for a busy agent, for one that is away, over a crash of the daemon.

use super::harness::{Sandbox, TestAgent, TestDaemon, skip, wait_until};

/// Asks for a command and leaves it; returns its id.
fn queue<const N: usize>(sandbox: &Sandbox, options: [&str; N], line: &str) -> String {
    let sent = sandbox
        .opsctl(["send", "a", "--detach", "--shell", line])
        .args(options)
        .run()
        .expect_code(0);
    sent.out().trim().to_owned()
}

/// What waits, as `ps --queued --json` says it.
fn queued(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    let listed = sandbox.opsctl(["ps", "--queued", "--json"]).run();
    let listed = listed.expect_code(0).json();
    listed["commands"].as_array().unwrap().clone()
}

/// Ids and places of what waits.
fn places(sandbox: &Sandbox) -> Vec<(String, u64)> {
    let place = |command: &serde_json::Value| {
        let id = command["commandId"].as_str().unwrap().to_owned();
        (id, command["queuePosition"].as_u64().unwrap())
    };
    queued(sandbox).iter().map(place).collect()
}

fn wait_running(sandbox: &Sandbox, id: &str) {
    wait_until("the command to run", || {
        let running = sandbox.opsctl(["ps", "-q", "--state", "running"]).run();
        running.out().contains(id).then_some(())
    });
}

/// A daemon with an agent that takes one command at a time, and has one that ends when a file is there.
fn busy() -> (TestDaemon, TestAgent, String) {
    let daemon = TestDaemon::start();
    let agent = TestAgent::start_with(&daemon, "a", ["--max-commands", "1"]);
    let line = format!(
        "while ! test -e {}; do sleep 0.02; done",
        daemon.path("go").display()
    );
    let first = queue(&daemon, [], &line);
    wait_running(&daemon, &first);
    (daemon, agent, first)
}

#[test]
fn what_waits_for_a_busy_agent_has_places_and_keeps_them_over_a_crash() {
    let (mut daemon, agent, _first) = busy();
    let order = daemon.path("order");
    let note = |n: u32| format!("echo {n} >> {}", order.display());
    let ids = [1, 2, 3].map(|n| queue(&daemon, [], &note(n)));
    let expected: Vec<(String, u64)> = ids.iter().cloned().zip(1..).collect();
    assert_eq!(places(&daemon), expected);
    let table = daemon.opsctl(["ps", "--queued"]).run().expect_code(0).out();
    assert!(table.contains("POS") && table.contains("LEFT"), "{table}");
    daemon.kill();
    daemon.start_again();
    agent.wait_connected(&daemon);
    assert_eq!(places(&daemon), expected, "after the daemon's crash");

    daemon
        .opsctl(["cancel", &ids[1]])
        .run()
        .expect_code(0)
        .expect_err(&["cancelled"]);
    assert_eq!(places(&daemon), [(ids[0].clone(), 1), (ids[2].clone(), 2)]);
    daemon.kill();
    daemon.start_again();
    agent.wait_connected(&daemon);
    daemon.file("go", "");
    let ends = |id: &str| daemon.opsctl(["logs", "-f", id]).run().code;
    assert_eq!((ends(&ids[0]), ends(&ids[1]), ends(&ids[2])), (0, 244, 0));
    assert_eq!(std::fs::read_to_string(order).unwrap(), "1\n3\n");
}

#[test]
fn only_what_waits_is_cancelled() {
    let (daemon, _agent, first) = busy();
    daemon
        .opsctl(["cancel", &first])
        .run()
        .expect_code(2)
        .expect_err(&["running", "interrupt"]);
    let waiting = [queue(&daemon, [], "true"), queue(&daemon, [], "true")];
    daemon
        .opsctl(["cancel", "--all-of", "a"])
        .run()
        .expect_code(0)
        .expect_err(&[&waiting[0][..8], &waiting[1][..8]]);
    assert!(queued(&daemon).is_empty());
    daemon
        .opsctl(["cancel", &waiting[0]])
        .run()
        .expect_code(0)
        .expect_err(&["is cancelled already"]);
    wait_running(&daemon, &first);
}

/// Whoever comes second, or asks again because an answer was lost, wants the same.
#[test]
fn whoever_cancels_what_is_cancelled_hears_so() {
    let (daemon, _agent, _first) = busy();
    for _ in 0..5 {
        let waits = queue(&daemon, [], "true");
        let several = [(); 3].map(|()| daemon.opsctl(["cancel", &waits]).spawn());
        for one in several {
            one.wait().expect_code(0).expect_err(&["cancelled"]);
        }
    }
}

#[test]
fn a_time_to_live_counts_on_while_the_daemon_is_dead() {
    let (mut daemon, mut agent, _first) = busy();
    agent.stop();
    let waits = queue(&daemon, ["--ttl", "10m"], "true");
    let left = &queued(&daemon)[0];
    assert!(left["expiresAt"].as_u64() > left["createdAt"].as_u64());
    let expires = daemon
        .opsctl(["send", "a", "--ttl", "1500ms", "--", "true"])
        .spawn();
    wait_until("both to be queued", || {
        (queued(&daemon).len() == 2).then_some(())
    });
    daemon.kill();
    daemon.start_again();
    expires.wait().expect_code(247).expect_err(&["expired"]);
    let listed = ["ps", "-q", "--all", "--state", "expired"];
    let id = daemon.opsctl(listed).run().expect_code(0).out();
    daemon
        .opsctl(["logs", id.trim()])
        .run()
        .expect_code(0)
        .expect_err(&["was not run: expired"]);
    assert_eq!(places(&daemon), [(waits, 1)]);
}

#[test]
fn the_time_that_is_left_is_by_the_daemons_clock() {
    const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    if !std::path::Path::new(FAKETIME).is_file() {
        return skip("no other clock: libfaketime is not installed (Debian: faketime)");
    }
    let (daemon, mut agent, _first) = busy();
    agent.stop();
    queue(&daemon, ["--ttl", "90m"], "true");
    let here = daemon.opsctl(["ps", "--queued"]);
    let table = here.env("LD_PRELOAD", FAKETIME).env("FAKETIME", "+1h");
    let table = table.run().expect_code(0).out();
    assert!(
        table.contains("1h29m") || table.contains("1h30m"),
        "{table}"
    );
}

#[test]
fn a_fan_out_holds_over_a_crash() {
    let mut daemon = TestDaemon::start();
    let agents = ["a", "b", "c"].map(|name| TestAgent::start(&daemon, name));
    let (here, go) = (daemon.path("here"), daemon.path("go"));
    let line = format!(
        "echo >> {}; while ! test -e {}; do sleep 0.02; done",
        here.display(),
        go.display()
    );
    daemon
        .opsctl(["send", "*", "--fanout", "1", "--detach", "--shell", &line])
        .run()
        .expect_code(0);
    let started = || std::fs::read(&here).unwrap_or_default().len();
    wait_until("the first to start", || (started() == 1).then_some(()));
    daemon.kill();
    daemon.start_again();
    for agent in &agents {
        agent.wait_connected(&daemon);
    }
    assert_eq!(queued(&daemon).len(), 2);
    assert_eq!(started(), 1, "the others wait for the first");
    daemon.file("go", "");
    wait_until("all to have run", || (started() == 3).then_some(()));
}
