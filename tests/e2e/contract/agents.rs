//! What agents rely on.

use serde_json::{Value, json};

use super::{is_final, request, subscribe};
use crate::harness::TestDaemon;
use crate::raw::{Raw, assert_no_holes};

#[test]
fn a_foreign_agent_streams_breaks_and_goes_on() {
    let mut daemon = TestDaemon::start();
    let (mut agent, connected) = Raw::agent(&daemon, "raw", &json!([]));
    assert_eq!(
        connected["rights"]["role"], "admin",
        "the unix socket needs no token"
    );
    let mut raw = Raw::dashboard(&daemon);
    subscribe(&mut raw, &json!({"channel": "agent:raw"}));
    let command = request(
        &mut raw,
        "raw",
        "foreign",
        "whatever this agent takes it for",
    );

    let execute = agent.until("the command", |message| {
        message["type"] == "command:execute"
    });
    assert_eq!(execute["payload"]["commandId"], command.as_str());
    assert_eq!(
        execute["payload"]["shell"],
        "whatever this agent takes it for"
    );
    let output = |offset: u64, text: &str| json!({"commandId": command, "offset": offset, "kind": "output", "data": text});
    agent.say(
        "command:status",
        &json!({"commandId": command, "state": "running", "startedAt": 5}),
    );
    agent.say("terminal:output", &output(0, "héllo "));
    let ack = agent.until("an ack", |message| message["type"] == "terminal:ack");
    assert_eq!(
        (&ack["payload"]["offset"], &ack["payload"]["commandId"]),
        (&json!(7), &json!(command))
    );
    // What has been said is not lost with the connection, nor with the daemon.
    drop(agent);
    daemon.kill();
    daemon.start_again();
    let report =
        json!([{"commandId": command, "state": "running", "startedAt": 5, "from": 0, "to": 12}]);
    let (mut agent, connected) = Raw::agent(&daemon, "raw", &report);
    assert_eq!(connected["commands"][&command], 7, "{connected}");
    let mut raw = Raw::dashboard(&daemon);
    subscribe(
        &mut raw,
        &json!({"channel": format!("command:{command}"), "since": {"offset": 0}}),
    );
    // Too early is cut off, not doubled.
    agent.say("terminal:output", &output(4, "lo world"));
    agent.say(
        "command:status",
        &json!({"commandId": command, "state": "exited", "exitCode": 0, "offset": 12}),
    );
    let end = raw.until("the end", |message| is_final(message, &command));
    assert_eq!(end["payload"]["offset"], 12);
    let pieces = raw
        .seen
        .iter()
        .filter(|message| message["type"] == "terminal:output");
    let text: String = pieces
        .map(|message| message["payload"]["data"].as_str().unwrap())
        .collect();
    assert_eq!(text, "héllo world");
    agent.until("the settling ack", |message| {
        message["payload"]["settled"] == true
    });

    let (_agent, connected) = Raw::agent(&daemon, "raw", &report);
    assert!(
        connected["commands"].get(&command).is_none(),
        "settled commands are not asked for: {connected}"
    );
}

#[test]
fn an_agent_that_loses_output_leaves_a_gap() {
    let daemon = TestDaemon::start();
    let (mut agent, _) = Raw::agent(&daemon, "raw", &json!([]));
    let mut raw = Raw::dashboard(&daemon);
    subscribe(&mut raw, &json!({"channel": "agent:raw"}));
    let command = request(&mut raw, "raw", "gap", "x");
    agent.until("the command", |message| {
        message["type"] == "command:execute"
    });
    agent.say(
        "command:status",
        &json!({"commandId": command, "state": "running"}),
    );
    agent.say(
        "terminal:output",
        &json!({"commandId": command, "offset": 0, "data": "ab"}),
    );
    agent.say(
        "gap",
        &json!({"commandId": command, "from": 2, "to": 10, "reason": "buffer full"}),
    );
    agent.say(
        "terminal:output",
        &json!({"commandId": command, "offset": 10, "dataB64": "/w=="}),
    );
    agent.say(
        "command:status",
        &json!({"commandId": command, "state": "exited", "signal": 9, "offset": 11}),
    );
    let gap = raw.until("the gap", |message| message["type"] == "gap");
    assert_eq!(
        (&gap["payload"]["from"], &gap["payload"]["to"]),
        (&json!(2), &json!(10))
    );
    let piece = raw.until("the rest", |message| message["type"] == "terminal:output");
    assert_eq!(
        (&piece["payload"]["offset"], &piece["payload"]["dataB64"]),
        (&json!(10), &json!("/w=="))
    );
    let end = raw.until("the end", |message| is_final(message, &command));
    assert_eq!(
        (&end["payload"]["signal"], &end["payload"]["offset"]),
        (&json!(9), &json!(11))
    );
    assert_no_holes(&raw.seen);
}

#[test]
fn a_command_that_was_not_heard_of_is_sent_again() {
    let daemon = TestDaemon::start();
    let (mut agent, _) = Raw::agent(&daemon, "raw", &json!([]));
    let mut raw = Raw::dashboard(&daemon);
    subscribe(&mut raw, &json!({"channel": "agent:raw"}));
    let command = request(&mut raw, "raw", "again", "x");
    agent.until("the command", |message| {
        message["type"] == "command:execute"
    });
    drop(agent);
    let (mut agent, _) = Raw::agent(&daemon, "raw", &json!([]));
    let again = agent.until("the command again", |message| {
        message["type"] == "command:execute"
    });
    assert_eq!(again["payload"]["commandId"], command.as_str());
    agent.say(
        "command:status",
        &json!({"commandId": command, "state": "failed", "reason": "no such program"}),
    );
    let end = raw.until("the end", |message| is_final(message, &command));
    assert_eq!(
        (&end["payload"]["state"], &end["payload"]["reason"]),
        (&json!("failed"), &json!("no such program"))
    );
}

#[test]
fn input_resize_and_interrupts_reach_the_agent() {
    let daemon = TestDaemon::start();
    let (mut agent, _) = Raw::agent(&daemon, "raw", &json!([]));
    let mut raw = Raw::dashboard(&daemon);
    subscribe(&mut raw, &json!({"channel": "agent:raw"}));
    let body = json!({"key": "steer", "target": {"selector": "kind=raw"}, "argv": ["cat"], "pty": true, "stdin": "stream"});
    let command = raw.ask("command:request", &body)["payload"]["commands"][0]["commandId"].clone();
    agent.until("the command", |message| {
        message["type"] == "command:execute"
    });
    agent.say(
        "command:status",
        &json!({"commandId": command, "state": "running"}),
    );
    raw.until("the start", |message| {
        message["payload"]["state"] == "running"
    });
    raw.say(
        "command:input",
        &json!({"commandId": command, "dataB64": "/wA=", "offset": 0}),
    );
    let input = agent.until("input", |message| message["type"] == "command:input");
    assert_eq!(
        (&input["payload"]["dataB64"], &input["payload"]["offset"]),
        (&json!("/wA="), &json!(0))
    );
    agent.say(
        "command:status",
        &json!({"commandId": command, "state": "running", "inputOffset": 2}),
    );
    raw.until("the report", |message| {
        message["payload"]["inputOffset"] == 2
    });
    raw.say(
        "command:resize",
        &json!({"commandId": command, "cols": 100, "rows": 30}),
    );
    let resize = agent.until("the size", |message| message["type"] == "command:resize");
    assert_eq!(
        (&resize["payload"]["cols"], &resize["payload"]["rows"]),
        (&json!(100), &json!(30))
    );
    raw.say(
        "command:interrupt",
        &json!({"commandId": command, "signal": "TERM", "escalate": true}),
    );
    let interrupt = agent.until("the interrupt", |message| {
        message["type"] == "command:interrupt"
    });
    assert_eq!(
        interrupt["payload"],
        json!({"commandId": command, "signal": "TERM", "escalate": true})
    );
}

#[test]
fn what_an_agent_publishes_is_pushed() {
    let daemon = TestDaemon::start();
    let (mut agent, _) = Raw::agent(&daemon, "raw", &json!([]));
    let mut raw = Raw::dashboard(&daemon);
    subscribe(&mut raw, &json!({"channel": "*"}));
    agent.say(
        "agent:status",
        &json!({"activity": "blocked", "facts": {"branch": "main"}}),
    );
    agent.say(
        "notification",
        &json!({"title": "t", "message": "m", "priority": "high"}),
    );
    agent.say(
        "activity_log",
        &json!({"level": "warn", "message": "m", "metadata": {"n": 1}}),
    );
    agent.say(
        "task_status",
        &json!({"taskId": "7", "status": "in review"}),
    );
    agent.say(
        "publish",
        &json!({"channel": "issue:42", "event": "issue_created", "data": [1, null]}),
    );
    let status = raw.until("the status", |message| message["type"] == "agent:status");
    assert_eq!(
        (
            &status["payload"]["activity"],
            &status["payload"]["facts"]["branch"]
        ),
        (&json!("blocked"), &json!("main"))
    );
    let notification = raw.until("the notification", |message| {
        message["type"] == "notification"
    });
    assert_eq!(
        (
            &notification["channel"],
            &notification["payload"]["priority"]
        ),
        (&json!("agent:raw"), &json!("high"))
    );
    let line = raw.until("the line", |message| message["type"] == "activity_log");
    assert_eq!(
        (&line["channel"], &line["payload"]["metadata"]),
        (&json!("agent:raw"), &json!({"n": 1}))
    );
    // Different channels have no order among each other.
    for (kind, channel, seq) in [("task_status", "task:7", 1), ("event", "issue:42", 1)] {
        let wanted = |message: &Value| message["type"] == kind;
        let found = raw.seen.iter().find(|message| wanted(message)).cloned();
        let message = found.unwrap_or_else(|| raw.until(kind, wanted));
        assert_eq!(
            (&message["channel"], &message["seq"]),
            (&json!(channel), &json!(seq)),
            "{message}"
        );
    }
    let event = raw
        .seen
        .iter()
        .find(|message| message["type"] == "event")
        .unwrap();
    assert_eq!(
        event["payload"],
        json!({"event": "issue_created", "data": [1, null], "from": "raw"})
    );
    assert_eq!(agent.ask("ping", &json!({}))["type"], "pong");
    assert_eq!(raw.ask("ping", &json!({}))["type"], "pong");
}
