//! What outside programs rely on, over raw WebSockets and JSON: the flows of docs/protocol.md.

use serde_json::{Value, json};

use crate::harness::{TestAgent, TestDaemon, wait_until};
use crate::raw::{Dial, Raw, assert_no_holes};

fn is_final(message: &Value, command: &str) -> bool {
    let state = message["payload"]["state"].as_str().unwrap_or_default();
    message["type"] == "command:status"
        && message["payload"]["commandId"] == command
        && ["exited", "failed", "cancelled", "expired", "lost"].contains(&state)
}

/// Asks for a command on one agent; returns its id.
#[track_caller]
fn request(raw: &mut Raw, agent: &str, key: &str, line: &str) -> String {
    let body = json!({"key": key, "target": {"agent": agent}, "shell": line});
    let accepted = raw.ask("command:request", &body);
    assert_eq!(accepted["type"], "command:accepted", "{accepted}");
    assert_eq!(accepted["payload"]["key"], key);
    let commands = accepted["payload"]["commands"].as_array().unwrap();
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0]["agentId"], agent);
    commands[0]["commandId"].as_str().unwrap().to_owned()
}

#[track_caller]
fn subscribe(raw: &mut Raw, body: &Value) -> Value {
    let answer = raw.ask("subscribe", body);
    assert_eq!(answer["type"], "subscribed", "{answer}");
    assert_eq!(answer["payload"]["channel"], body["channel"]);
    answer["payload"]["streams"].clone()
}

#[test]
fn a_local_dashboard_needs_no_token_and_is_told_the_fleet() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start_with(&daemon, "web-1", ["--label", "env=test"]);
    let raw = Raw::dashboard(&daemon);
    let connected = &raw.seen[0];
    assert_eq!(connected["version"], "1.0.0");
    assert!(connected["timestamp"].is_u64());
    let payload = &connected["payload"];
    assert_eq!(payload["heartbeatMs"], 15_000);
    assert_eq!(payload["rights"]["role"], "admin");
    assert_eq!(
        payload["rights"]["subject"],
        format!("uid:{}", rustix::process::getuid().as_raw())
    );
    assert_eq!(payload["limits"]["maxMessageBytes"], 1_048_576);
    assert_eq!(payload["limits"]["maxPieceBytes"], 32_768);
    for name in ["clientId", "serverVersion", "epoch"] {
        assert!(
            payload[name].as_str().is_some_and(|text| !text.is_empty()),
            "{name}: {payload}"
        );
    }
    let list = &raw.seen[1];
    assert_eq!(list["type"], "agent:list");
    assert!(
        list.get("seq").is_none() && list.get("channel").is_none(),
        "a state copy has no number: {list}"
    );
    let agent = &list["payload"]["agents"][0];
    assert_eq!(
        (agent["agentId"].as_str(), agent["status"].as_str()),
        (Some("web-1"), Some("connected"))
    );
    assert_eq!(agent["labels"]["env"], "test");
    for fact in ["os", "arch", "hostname", "user", "version"] {
        assert!(agent["facts"][fact].is_string(), "{fact}: {agent}");
    }
    assert!(agent["since"].is_u64() && agent["lastSeen"].is_u64());
}

#[test]
fn a_commands_life_on_its_agents_channel() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let mut raw = Raw::dashboard(&daemon);
    let streams = subscribe(&mut raw, &json!({"channel": "agent:*"}));
    assert_eq!(streams[0]["channel"], "agent:web-1");
    assert_eq!(streams[0]["recovered"], false);
    let from = streams[0]["seq"].as_u64().unwrap();
    raw.until("the state copy", |message| message["type"] == "agent:list");

    let command = request(&mut raw, "web-1", "life", "echo out; echo err >&2; exit 7");
    let end = raw.until("the end", |message| is_final(message, &command));
    assert_eq!(end["payload"]["exitCode"], 7);
    assert_eq!(end["payload"]["agentId"], "web-1");
    assert_eq!(end["payload"]["offset"], 8);
    assert_eq!(
        end["payload"]["command"]["shell"],
        "echo out; echo err >&2; exit 7"
    );
    assert!(
        end["payload"]["command"]["requestedBy"]
            .as_str()
            .unwrap()
            .starts_with("uid:")
    );

    let pushes = raw.pushes("agent:web-1");
    assert_eq!(
        pushes[0]["seq"],
        from + 1,
        "the first push follows what the answer named"
    );
    assert_no_holes(&raw.seen);
    let states: Vec<&str> = pushes
        .iter()
        .filter(|message| message["type"] == "command:status")
        .map(|message| message["payload"]["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["queued", "delivered", "running", "exited"]);
    assert_eq!(
        raw.output("agent:web-1", &command).len(),
        8,
        "all output came before the end"
    );
    let kinds: Vec<&str> = pushes
        .iter()
        .filter(|message| message["type"] == "terminal:output")
        .map(|message| message["payload"]["kind"].as_str().unwrap_or("output"))
        .collect();
    assert!(
        kinds.contains(&"output") && kinds.contains(&"error"),
        "{kinds:?}"
    );
}

#[test]
fn a_finished_command_is_told_whole() {
    let mut daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let mut raw = Raw::dashboard(&daemon);
    let command = request(&mut raw, "web-1", "whole", "seq 1 2000");
    let channel = format!("command:{command}");
    let expected: String = (1..=2000).map(|n| format!("{n}\n")).collect();

    let whole = |raw: &mut Raw| {
        let streams = subscribe(
            raw,
            &json!({"channel": channel, "since": {"offset": 0}, "lossless": true}),
        );
        assert_eq!(streams[0]["channel"], channel.as_str());
        assert_eq!(streams[0]["offset"], 0);
        assert_eq!(streams[0]["recovered"], true);
        let end = raw.until("the end", |message| is_final(message, &command));
        assert_eq!(end["payload"]["offset"], expected.len());
        let mut text = String::new();
        for message in raw
            .seen
            .iter()
            .filter(|message| message["type"] == "terminal:output")
        {
            assert_eq!(message["payload"]["offset"], text.len(), "{message}");
            text += message["payload"]["data"].as_str().unwrap();
        }
        assert_eq!(text, expected);
    };
    whole(&mut raw);
    // Long after its end, for somebody else, and from the log alone.
    whole(&mut Raw::dashboard(&daemon));
    daemon.kill();
    daemon.start_again();
    whole(&mut Raw::dashboard(&daemon));
}

#[test]
fn output_goes_on_where_a_client_says() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let mut raw = Raw::dashboard(&daemon);
    let command = request(&mut raw, "web-1", "since", "printf 0123456789");
    let channel = format!("command:{command}");
    let streams = subscribe(
        &mut raw,
        &json!({"channel": channel, "since": {"offset": 4}}),
    );
    assert_eq!(streams[0]["offset"], 4);
    raw.until("the end", |message| is_final(message, &command));
    let pieces = raw
        .seen
        .iter()
        .filter(|message| message["type"] == "terminal:output");
    let text: String = pieces
        .clone()
        .map(|message| message["payload"]["data"].as_str().unwrap())
        .collect();
    assert_eq!(text, "456789");
    assert_eq!(pieces.into_iter().next().unwrap()["payload"]["offset"], 4);
}

#[test]
fn a_key_is_one_request() {
    let mut daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let count = daemon.path("count");
    let line = format!("echo once >> {}", count.display());
    let mut raw = Raw::dashboard(&daemon);
    subscribe(&mut raw, &json!({"channel": "agent:web-1"}));
    let command = request(&mut raw, "web-1", "key", &line);
    assert_eq!(
        request(&mut raw, "web-1", "key", &line),
        command,
        "while it runs"
    );
    raw.until("the end", |message| is_final(message, &command));
    assert_eq!(
        request(&mut raw, "web-1", "key", &line),
        command,
        "after its end"
    );
    let other = json!({"key": "key", "target": {"agent": "web-1"}, "shell": "true"});
    assert_eq!(raw.ask_error("command:request", &other), "key_reused");
    daemon.kill();
    daemon.start_again();
    let mut raw = Raw::dashboard(&daemon);
    subscribe(&mut raw, &json!({"channel": "agent:web-1"}));
    raw.until("the agent", |message| {
        message["payload"]["agents"][0]["status"] == "connected"
            || message["type"] == "agent:connected"
    });
    assert_eq!(
        request(&mut raw, "web-1", "key", &line),
        command,
        "after a crash"
    );
    assert_eq!(raw.ask_error("command:request", &other), "key_reused");
    let after = request(&mut raw, "web-1", "after", "true");
    raw.until("the end", |message| is_final(message, &after));
    assert_eq!(std::fs::read_to_string(count).unwrap(), "once\n");
}

#[test]
fn all_dashboards_see_the_same() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let mut one = Raw::dashboard(&daemon);
    let mut two = Raw::dashboard(&daemon);
    for raw in [&mut one, &mut two] {
        subscribe(raw, &json!({"channel": "*"}));
    }
    let command = request(
        &mut one,
        "web-1",
        "same",
        "for i in 1 2 3 4 5; do echo $i; done; exit 3",
    );
    let task = json!({"channel": "task:7", "event": "stage_changed", "data": {"n": 0.1}});
    one.say("publish", &task);
    let seen = [&mut one, &mut two].map(|raw| {
        let ends =
            |message: &Value| message["channel"] == "agent:web-1" && is_final(message, &command);
        raw.until("the end", ends);
        let published = |message: &Value| message["type"] == "event";
        if !raw.seen.iter().any(published) {
            raw.until("what was published", published);
        }
        assert_no_holes(&raw.seen);
        let mut pushes: Vec<(String, u64, String, String)> = Vec::new();
        for channel in ["agent:web-1", "task:7"] {
            for message in raw.pushes(channel) {
                let epoch = message["epoch"].as_str().unwrap().to_owned();
                let said = format!("{} {}", message["type"], message["payload"]);
                pushes.push((
                    channel.to_owned(),
                    message["seq"].as_u64().unwrap(),
                    epoch,
                    said,
                ));
                if channel == "agent:web-1" && is_final(message, &command) {
                    break;
                }
            }
        }
        pushes
    });
    assert_eq!(seen[0], seen[1]);
    let event = seen[0]
        .iter()
        .find(|(channel, ..)| channel == "task:7")
        .unwrap();
    assert_eq!(event.1, 1, "numbers start at 1");
    assert!(event.3.contains(r#""data":{"n":0.1}"#), "{event:?}");
}

#[test]
fn a_dashboard_resumes_without_a_hole() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let mut raw = Raw::dashboard(&daemon);
    let streams = subscribe(&mut raw, &json!({"channel": "agent:web-1"}));
    let first = request(&mut raw, "web-1", "first", "true");
    raw.until("the end", |message| is_final(message, &first));
    let last = raw.pushes("agent:web-1").last().unwrap()["seq"]
        .as_u64()
        .unwrap();
    let epoch = streams[0]["epoch"].clone();
    drop(raw);

    let mut other = Raw::dashboard(&daemon);
    subscribe(&mut other, &json!({"channel": "agent:web-1"}));
    let second = request(&mut other, "web-1", "second", "echo missed");
    other.until("the end", |message| is_final(message, &second));

    let mut raw = Raw::dashboard(&daemon);
    let since = json!({"streams": {"agent:web-1": {"epoch": epoch, "seq": last}}});
    let streams = subscribe(&mut raw, &json!({"channel": "agent:web-1", "since": since}));
    assert_eq!(streams[0]["recovered"], true);
    assert_eq!(streams[0]["seq"], last);
    raw.until("the end", |message| is_final(message, &second));
    assert_eq!(raw.pushes("agent:web-1")[0]["seq"], last + 1);
    assert_no_holes(&raw.seen);
    assert_eq!(raw.output("agent:web-1", &second), "missed\n");

    let mut raw = Raw::dashboard(&daemon);
    let since = json!({"streams": {"agent:web-1": {"epoch": "another", "seq": last}}});
    let streams = subscribe(&mut raw, &json!({"channel": "agent:web-1", "since": since}));
    assert_eq!(streams[0]["recovered"], false);
    raw.until("the state instead", |message| {
        message["type"] == "agent:list"
    });
}

#[test]
fn requests_that_cannot_be_served_say_why() {
    let daemon = TestDaemon::start();
    let mut agent = TestAgent::start(&daemon, "web-1");
    let mut raw = Raw::dashboard(&daemon);
    let body = |target: Value, argv: Value| json!({"key": "k", "target": target, "argv": argv});
    let cases = [
        (
            body(json!({"selector": "db-*"}), json!(["true"])),
            "no_match",
        ),
        (
            body(json!({"selector": "(web"}), json!(["true"])),
            "bad_selector",
        ),
        (
            body(json!({"agent": "nobody"}), json!(["true"])),
            "unknown_agent",
        ),
        (body(json!({"agent": "web-1"}), json!([])), "bad_request"),
        (
            body(json!({"agent": "web-1"}), json!(["a\u{0}b"])),
            "bad_request",
        ),
        (
            json!({"key": "", "target": {"agent": "web-1"}, "argv": ["true"]}),
            "bad_request",
        ),
        (
            json!({"key": "k", "target": {"agent": "web-1"}, "argv": ["true"], "pty": true, "cols": 0}),
            "bad_request",
        ),
    ];
    for (body, code) in cases {
        assert_eq!(raw.ask_error("command:request", &body), code, "{body}");
    }
    let nobody = "00000000000000000000000000000000";
    for kind in ["command:interrupt", "command:cancel", "command:input"] {
        assert_eq!(
            raw.ask_error(kind, &json!({"commandId": nobody})),
            "unknown_command",
            "{kind}"
        );
    }
    assert_eq!(
        raw.ask_error(
            "command:resize",
            &json!({"commandId": nobody, "cols": 80, "rows": 24})
        ),
        "unknown_command"
    );
    assert_eq!(
        raw.ask_error(
            "subscribe",
            &json!({"channel": format!("command:{nobody}")})
        ),
        "unknown_command"
    );
    assert_eq!(
        raw.ask_error("dashboard:connect", &json!({})),
        "already_connected"
    );

    subscribe(&mut raw, &json!({"channel": "agent:web-1"}));
    let ended = request(&mut raw, "web-1", "ended", "true");
    raw.until("the end", |message| is_final(message, &ended));
    assert_eq!(
        raw.ask_error("command:cancel", &json!({"commandId": ended})),
        "finished"
    );
    assert_eq!(
        raw.ask_error("command:input", &json!({"commandId": ended, "data": "x"})),
        "finished"
    );

    agent.stop();
    raw.until("the agent's leaving", |message| {
        message["type"] == "agent:disconnected"
    });
    assert_eq!(
        raw.ask_error(
            "command:request",
            &body(json!({"agent": "web-1"}), json!(["true"]))
        ),
        "agent_offline"
    );
}

#[test]
fn a_queued_command_waits_is_cancelled_or_expires() {
    let daemon = TestDaemon::start();
    let mut agent = TestAgent::start(&daemon, "web-1");
    let mut raw = Raw::dashboard(&daemon);
    subscribe(&mut raw, &json!({"channel": "agent:web-1"}));
    agent.stop();
    raw.until("the agent's leaving", |message| {
        message["type"] == "agent:disconnected"
    });
    let queue = |raw: &mut Raw, key: &str, ttl: u64| {
        let body =
            json!({"key": key, "target": {"agent": "web-1"}, "argv": ["true"], "ttlMs": ttl});
        let accepted = raw.ask("command:request", &body);
        accepted["payload"]["commands"][0]["commandId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let cancelled = queue(&mut raw, "cancelled", 600_000);
    let expired = queue(&mut raw, "expired", 50);
    let waits = queue(&mut raw, "waits", 600_000);
    raw.say("command:cancel", &json!({"commandId": cancelled}));
    let mut states = Vec::new();
    for command in [&cancelled, &expired] {
        let ends = |message: &Value| is_final(message, command);
        let end = raw
            .seen
            .iter()
            .find(|message| ends(message))
            .cloned()
            .unwrap_or_else(|| raw.until("the end", ends));
        states.push(end["payload"]["state"].as_str().unwrap().to_owned());
    }
    assert_eq!(states, ["cancelled", "expired"]);
    agent.start_again(&daemon);
    let end = raw.until("the end", |message| is_final(message, &waits));
    assert_eq!(end["payload"]["exitCode"], 0);
}

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
fn bulk_travels_as_binary_frames_where_that_is_spoken() {
    let daemon = TestDaemon::start();
    let (dial, chosen) = Dial::local(&daemon, "/ws/agent")
        .offer("opsctl.v1, opsctl.v1.bin")
        .open();
    assert_eq!(chosen.as_deref(), Some("opsctl.v1.bin"));
    let mut agent = dial;
    agent.ask("agent:connect", &json!({"agentId": "raw"}));
    let (mut raw, _) = Dial::local(&daemon, "/ws/dashboard")
        .offer("opsctl.v1.bin")
        .open();
    raw.ask("dashboard:connect", &json!({}));
    let streams = subscribe(&mut raw, &json!({"channel": "agent:raw"}));
    let command = request(&mut raw, "raw", "binary", "x");
    agent.until("the command", |message| {
        message["type"] == "command:execute"
    });
    agent.say(
        "command:status",
        &json!({"commandId": command, "state": "running"}),
    );
    let mut frame = vec![1, 1, 0, 0, 0, 0, 0, 0];
    frame.extend([0; 16]);
    frame.extend(77_u64.to_be_bytes());
    let id: Vec<u8> = (0..32)
        .step_by(2)
        .map(|at| u8::from_str_radix(&command[at..at + 2], 16).unwrap())
        .collect();
    frame.extend(&id);
    frame.extend(b"\xff\x00bytes");
    agent
        .socket
        .send(tokio_tungstenite::tungstenite::Message::binary(frame))
        .unwrap();
    agent.say(
        "command:status",
        &json!({"commandId": command, "state": "exited", "exitCode": 0, "offset": 7}),
    );
    let end = raw.until("the end", |message| is_final(message, &command));
    assert_eq!(raw.binary.len(), 1);
    let frame = &raw.binary[0];
    assert_eq!(
        &frame[..4],
        [1, 1, 2, 0],
        "output, stderr, pushed on agent:ID"
    );
    let seq = u64::from_be_bytes(frame[8..16].try_into().unwrap());
    assert!(seq > streams[0]["seq"].as_u64().unwrap() && seq < end["seq"].as_u64().unwrap());
    assert_eq!(&frame[16..32], [[0; 8], 77_u64.to_be_bytes()].concat());
    assert_eq!(
        (&frame[32..48], &frame[48..]),
        (&id[..], &b"\xff\x00bytes"[..])
    );
}

#[test]
fn large_payloads_travel_compressed_both_ways() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let mut raw = Raw::dashboard(&daemon);
    subscribe(&mut raw, &json!({"channel": "agent:web-1"}));
    let line = format!("echo {}", "x".repeat(20_000));
    let body = json!({"key": "large", "target": {"agent": "web-1"}, "shell": line});
    let message: opsctl_protocol::message::CommandRequest = serde_json::from_value(body).unwrap();
    let header = opsctl_protocol::Header::asking("large");
    let text = opsctl_protocol::encode(&header, &opsctl_protocol::DashboardMessage::from(message))
        .unwrap();
    assert!(text.contains(r#""encoding":"gzip""#) && text.len() < 2000);
    raw.text(text);
    let accepted = raw.until("the answer", |message| message["re"] == "large");
    let command = accepted["payload"]["commands"][0]["commandId"]
        .as_str()
        .unwrap()
        .to_owned();
    raw.until("the end", |message| is_final(message, &command));
    assert_eq!(raw.output("agent:web-1", &command).len(), 20_001);
    let compressed = raw
        .seen
        .iter()
        .any(|message| message["encoding"] == "gzip" && message["type"] == "terminal:output");
    assert!(compressed, "output over 10 KB is compressed");
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

#[test]
fn commands_are_listed() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let mut raw = Raw::dashboard(&daemon);
    subscribe(&mut raw, &json!({"channel": "agent:web-1"}));
    let mut ids = Vec::new();
    for n in 0..3 {
        let command = request(
            &mut raw,
            "web-1",
            &format!("list-{n}"),
            &format!("exit {n}"),
        );
        raw.until("the end", |message| is_final(message, &command));
        ids.push(command);
    }
    let listed = |raw: &mut Raw, query: &Value| -> Vec<String> {
        let answer = raw.ask("command:query", query);
        assert_eq!(answer["type"], "command:list", "{answer}");
        let commands = answer["payload"]["commands"].as_array().unwrap();
        commands
            .iter()
            .map(|command| command["commandId"].as_str().unwrap().to_owned())
            .collect()
    };
    let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(listed(&mut raw, &json!({})), newest_first);
    assert_eq!(listed(&mut raw, &json!({"limit": 1})), newest_first[..1]);
    assert_eq!(
        listed(&mut raw, &json!({"idPrefix": ids[0][..12]})),
        ids[..1]
    );
    assert_eq!(
        listed(&mut raw, &json!({"states": ["running"]})),
        Vec::<String>::new()
    );
    assert_eq!(
        listed(&mut raw, &json!({"selector": "db-*"})),
        Vec::<String>::new()
    );
}

#[test]
fn unsubscribing_ends_the_pushes() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let mut raw = Raw::dashboard(&daemon);
    subscribe(&mut raw, &json!({"channel": "agent:web-1"}));
    assert_eq!(
        raw.ask("unsubscribe", &json!({"channel": "agent:web-1"}))["type"],
        "unsubscribed"
    );
    let before = raw.pushes("agent:web-1").len();
    let command = request(&mut raw, "web-1", "quiet", "echo x");
    subscribe(&mut raw, &json!({"channel": format!("command:{command}")}));
    raw.until("the end", |message| is_final(message, &command));
    assert_eq!(raw.pushes("agent:web-1").len(), before);
}

#[test]
fn the_schema_that_is_printed_is_that_of_the_types() {
    let daemon = TestDaemon::start();
    let printed = daemon.opsctl(["schema"]).run().expect_code(0).json();
    assert_eq!(printed, opsctl_protocol::message::schema());
}

#[test]
fn numbers_start_anew_with_the_daemon() {
    let mut daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let epoch = |daemon: &TestDaemon| Raw::dashboard(daemon).seen[0]["payload"]["epoch"].clone();
    let first = epoch(&daemon);
    assert_eq!(epoch(&daemon), first);
    daemon.kill();
    daemon.start_again();
    assert_ne!(epoch(&daemon), first);
    let mut raw = Raw::dashboard(&daemon);
    subscribe(&mut raw, &json!({"channel": "agent:web-1"}));
    wait_until("the agent to come back", || {
        let list = daemon.opsctl(["send", "web-1", "--", "true"]).run();
        (list.code == 0).then_some(())
    });
    let pushes = |raw: &Raw| {
        raw.pushes("agent:web-1")
            .iter()
            .map(|push| push["seq"].as_u64().unwrap())
            .min()
    };
    raw.until("a push", |message| message["seq"].is_u64());
    assert!(pushes(&raw).unwrap() < 10);
    assert_no_holes(&raw.seen);
}
