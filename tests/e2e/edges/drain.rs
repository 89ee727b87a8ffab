//! The daemon stops: it says so, says when to come back, and first does what was said.

use serde_json::json;

use super::daemon_with;
use crate::harness::{Signal, TestAgent, TestDaemon};
use crate::raw::{Dial, Raw};

/// The hint in a close reason, in milliseconds.
#[track_caller]
fn hint(reason: &str) -> u64 {
    let (_, hint) = reason.split_once("retry-after-ms=").unwrap();
    hint.parse().unwrap()
}

#[test]
fn everybody_is_told_when_to_come_back_and_nobody_new_gets_in() {
    let mut daemon = TestDaemon::start();
    let (mut agent, _) = Raw::agent(&daemon, "raw", &json!([]));
    let mut dashboard = Raw::dashboard(&daemon);
    // This one never said who it is.
    let mut fresh = Dial::local(&daemon, "/ws/agent").open().0;
    daemon.process().signal(Signal::TERM);
    for raw in [&mut dashboard, &mut agent, &mut fresh] {
        let (code, reason) = raw.closed();
        assert_eq!(code, 4001, "{reason}");
        assert!((250..5000).contains(&hint(&reason)), "{reason}");
    }
    let log = daemon.wait_end().expect_code(0).err();
    assert!(!log.contains("in time"), "{log}");
    assert!(!daemon.socket().exists());
}

#[test]
fn what_was_asked_before_the_end_still_reaches_its_agent() {
    let mut daemon = TestDaemon::start();
    let own = "00000000000000000000000000000007";
    let running =
        json!([{"commandId": own, "state": "running", "spec": {"argv": ["x"], "stdin": "stream"}}]);
    let (mut agent, _) = Raw::agent(&daemon, "raw", &running);
    let mut dashboard = Raw::dashboard(&daemon);
    for n in 0..100_u64 {
        dashboard.say(
            "command:input",
            &json!({"commandId": own, "data": "x", "offset": n}),
        );
    }
    dashboard.say(
        "command:interrupt",
        &json!({"commandId": own, "signal": "INT"}),
    );
    daemon.process().signal(Signal::TERM);
    agent.until("the interrupt", |message| {
        message["type"] == "command:interrupt"
    });
    assert_eq!(agent.closed().0, 4001);
    daemon.wait_end().expect_code(0);
}

#[test]
fn an_agent_that_floods_reads_its_goodbye() {
    let mut daemon = TestDaemon::start();
    let agent = TestAgent::start(&daemon, "web-1");
    daemon
        .opsctl(["send", agent.name(), "--detach", "--", "yes"])
        .run()
        .expect_code(0);
    daemon.stop().expect_code(0);
    agent.process().wait_stderr("retry-after-ms=");
    daemon.start_again();
    agent.wait_connected(&daemon);
}

#[test]
fn a_peer_that_does_not_end_does_not_hold_the_daemon_up() {
    let mut daemon = daemon_with("[daemon]\nstall_timeout = \"1h\"\n");
    // Neither of them reads its goodbye, nor hangs up.
    let (_agent, _) = Raw::agent(&daemon, "raw", &json!([]));
    let _dashboard = Raw::dashboard(&daemon);
    daemon.stop().expect_code(0);
}
