//! A connection that only looks alive is found, on each side.

use serde_json::json;

use super::daemon_with;
use crate::harness::{Process, Proxy, TestAgent, TestDaemon};
use crate::raw::Raw;

/// Often enough for a test, and seldom enough for a busy machine: silence for 3.5 s is too long.
const SETTINGS: &str = "[daemon]\nheartbeat = \"1500ms\"\n";

/// What whoever finds a silent peer says.
const FOUND: &str = "nothing was heard for 3.5s";

fn agent_through(daemon: &TestDaemon, proxy: &Proxy, name: &str) -> TestAgent {
    let token = daemon.token(["--role", "agent", "--agent", name]);
    let file = daemon.file(&format!("{name}.token"), &token);
    let file = file.to_str().unwrap();
    TestAgent::start_with(daemon, name, ["--url", &proxy.url(), "--token-file", file])
}

#[test]
fn both_ends_of_an_agents_connection_find_that_it_is_dead() {
    let daemon = daemon_with(SETTINGS);
    let proxy = Proxy::start(daemon.address());
    let agent = agent_through(&daemon, &proxy, "web-1");
    // One that doesn't come back, so that nothing but the daemon's own deadline can end it.
    let (_silent, _) = Raw::agent(&daemon, "silent", &json!([]));
    let mut watcher = Raw::dashboard(&daemon);
    watcher.ask("subscribe", &json!({"channel": "agent:*"}));
    proxy.freeze();
    let left = watcher.until("the silent agent's end", |message| {
        message["type"] == "agent:disconnected" && message["payload"]["agentId"] == "silent"
    });
    assert_eq!(left["payload"]["reason"], FOUND);
    agent.process().wait_stderr(FOUND);
    // And then it is back, and works.
    agent.wait_connected(&daemon);
    daemon
        .opsctl(["send", "web-1", "--", "sh", "-c", "exit 7"])
        .run()
        .expect_code(7);
}

#[test]
fn the_daemon_finds_an_agent_behind_a_dead_connection() {
    let daemon = daemon_with(SETTINGS);
    let proxy = Proxy::start(daemon.address());
    let agent = agent_through(&daemon, &proxy, "web-1");
    let mut watcher = Raw::dashboard(&daemon);
    watcher.ask("subscribe", &json!({"channel": "agent:web-1"}));
    // Stopped, it can't come back and replace the dead connection.
    agent.process().signal(crate::harness::Signal::STOP);
    proxy.freeze();
    let left = watcher.until("the agent's end", |message| {
        message["type"] == "agent:disconnected"
    });
    assert_eq!(left["payload"]["reason"], FOUND);
    agent.process().signal(crate::harness::Signal::CONT);
    agent.wait_connected(&daemon);
}

#[test]
fn a_client_finds_that_its_connection_is_dead_and_misses_nothing() {
    let daemon = daemon_with(SETTINGS);
    let agent = TestAgent::start(&daemon, "web-1");
    let go = daemon.path("go");
    let script = format!(
        "echo one; while [ ! -e {} ]; do sleep 0.1; done; echo two; exit 7",
        go.display()
    );
    let proxy = Proxy::start(daemon.address());
    let token = daemon.token(["--role", "operator"]);
    let send: Process = daemon
        .opsctl([
            "send",
            agent.name(),
            "--url",
            &proxy.url(),
            "--",
            "sh",
            "-c",
        ])
        .arg(script)
        .env("OPSCTL_TOKEN", token)
        .spawn();
    send.wait_stdout("one\n");
    proxy.freeze();
    send.wait_stderr(FOUND);
    std::fs::write(go, "").unwrap();
    let ended = send.wait().expect_code(7);
    assert_eq!(ended.out(), "one\ntwo\n");
}
