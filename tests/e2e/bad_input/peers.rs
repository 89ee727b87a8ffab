//! Peers that say too little, too much, or say they are somebody else.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{assert_serves, resident, serving};
use crate::harness::{DEADLINE, Sandbox, TestAgent, TestDaemon, wait_until};
use crate::raw::{Dial, Raw};

/// The largest number that a message may hold.
const FAR: u64 = (1 << 53) - 1;

#[test]
fn whoever_does_not_say_who_it_is_in_time_is_closed() {
    let sandbox = Sandbox::new();
    sandbox.file("config.toml", "[daemon]\nhello_timeout = \"200ms\"\n");
    let daemon = TestDaemon::start_in(sandbox, []);
    let _agent = TestAgent::start(&daemon, "web-1");
    let mut raw = Dial::local(&daemon, "/ws/dashboard").open().0;
    let (code, reason) = raw.closed();
    assert_eq!(code, 4002, "{reason}");
    // Talking about something else doesn't help.
    let mut raw = Dial::local(&daemon, "/ws/agent").open().0;
    assert_eq!(raw.ask_error("ping", &json!({})), "not_connected");
    assert_eq!(raw.closed().0, 4002);
    // Nor does a connection that never gets to its upgrade stay.
    let mut slow = TcpStream::connect(daemon.address()).unwrap();
    slow.set_read_timeout(Some(DEADLINE)).unwrap();
    slow.write_all(b"GET /ws/agent HTTP/1.1\r\nHost:").unwrap();
    let mut rest = Vec::new();
    // Closed or reset, as long as it ends.
    let ended = slow.read_to_end(&mut rest);
    assert!(!ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    assert_serves(&daemon);
}

#[test]
fn the_second_agent_of_a_name_replaces_the_first() {
    let daemon = TestDaemon::start();
    let (mut first, _) = Raw::agent(&daemon, "twin", &json!([]));
    let mut watcher = Raw::dashboard(&daemon);
    watcher.ask("subscribe", &json!({"channel": "agent:twin"}));
    let (mut second, _) = Raw::agent(&daemon, "twin", &json!([]));
    let (code, reason) = first.closed();
    assert_eq!(code, 4009, "{reason}");
    watcher.until("the newcomer", |message| {
        message["type"] == "agent:connected"
    });
    let request = json!({"key": "k", "target": {"agent": "twin"}, "argv": ["true"]});
    assert_eq!(
        watcher.ask("command:request", &request)["type"],
        "command:accepted"
    );
    second.until("the command", |message| {
        message["type"] == "command:execute"
    });
    let gone = watcher
        .seen
        .iter()
        .any(|message| message["type"] == "agent:disconnected");
    assert!(!gone, "the name was never without an agent");
}

#[test]
fn an_agent_that_was_replaced_stays_away() {
    let daemon = TestDaemon::start();
    let agent = TestAgent::start(&daemon, "web-1");
    let (_raw, _) = Raw::agent(&daemon, "web-1", &json!([]));
    let process = agent.process();
    wait_until("the agent to give up", || {
        (!process.is_running()).then_some(())
    });
    assert!(!process.stderr().is_empty(), "it says why");
}

#[test]
fn a_silent_connection_is_found() {
    let sandbox = Sandbox::new();
    sandbox.file("config.toml", "[daemon]\nheartbeat = \"1s\"\n");
    let daemon = TestDaemon::start_in(sandbox, []);
    let _agent = TestAgent::start(&daemon, "web-1");
    let (mut silent, _) = Raw::agent(&daemon, "silent", &json!([]));
    // From here on nothing is answered, not even a ping: the frames are read as mere bytes.
    let mut bytes = Vec::new();
    silent.socket.get_mut().read_to_end(&mut bytes).unwrap();
    let code = 4012_u16.to_be_bytes();
    assert!(
        bytes.windows(2).any(|pair| pair == code),
        "closed with 4012: {bytes:?}"
    );
    wait_until("the daemon to say so", || {
        let fleet = Raw::dashboard(&daemon).seen[1]["payload"]["agents"].clone();
        let agents = fleet.as_array().unwrap().iter();
        let status =
            |agent: &Value| agent["agentId"] == "silent" && agent["status"] == "disconnected";
        agents.clone().any(status).then_some(())
    });
    assert_serves(&daemon);
}

#[test]
fn an_agents_nonsense_harms_only_itself() {
    let (daemon, _agent) = serving();
    let mut watcher = Raw::dashboard(&daemon);
    let sleep = json!({"key": "k", "target": {"agent": "web-1"}, "argv": ["sleep", "600"]});
    let command =
        watcher.ask("command:request", &sleep)["payload"]["commands"][0]["commandId"].clone();
    watcher.ask(
        "subscribe",
        &json!({"channel": format!("command:{}", command.as_str().unwrap())}),
    );
    watcher.until("the start", |message| {
        message["payload"]["state"] == "running"
    });
    // Somebody else's command: neither its state nor its output can be told.
    let (mut raw, _) = Raw::agent(
        &daemon,
        "raw",
        &json!([{"commandId": command, "state": "running", "to": 9}]),
    );
    raw.say(
        "command:status",
        &json!({"commandId": command, "state": "exited", "exitCode": 0}),
    );
    raw.say(
        "terminal:output",
        &json!({"commandId": command, "offset": 0, "data": "forged"}),
    );
    raw.say(
        "gap",
        &json!({"commandId": command, "from": 0, "to": 99, "reason": "forged"}),
    );
    // Offsets that no output has, and a terminal that no memory holds.
    let huge = json!({"commandId": "00000000000000000000000000000007", "state": "running", "main": true, "from": 0,
        "to": FAR, "spec": {"argv": ["x"], "pty": true, "cols": 65535, "rows": 65535}});
    let (mut raw, _) = {
        drop(raw);
        Raw::agent(&daemon, "raw", &json!([huge]))
    };
    let own = "00000000000000000000000000000007";
    raw.say(
        "terminal:output",
        &json!({"commandId": own, "offset": FAR, "data": "far"}),
    );
    raw.say(
        "terminal:output",
        &json!({"commandId": own, "offset": 0, "data": "near"}),
    );
    assert_eq!(raw.ask("ping", &json!({}))["type"], "pong");
    watcher.ask("subscribe", &json!({"channel": format!("command:{own}")}));
    assert_eq!(watcher.ask("ping", &json!({}))["type"], "pong");
    let forged = |message: &Value| {
        message["payload"]["commandId"] == command && message["payload"]["state"] == "exited"
    };
    assert!(
        !watcher
            .seen
            .iter()
            .any(|message| forged(message) || message["payload"]["data"] == "forged")
    );
    assert!(resident(&daemon) < 256 * 1024 * 1024);
    assert_serves(&daemon);
}
