//! What dashboards rely on.

use serde_json::{Value, json};

use super::{is_final, request, subscribe};
use crate::harness::{TestAgent, TestDaemon, wait_until};
use crate::raw::{Raw, assert_no_holes};

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
fn what_is_not_there_is_said_not_to_be_there() {
    let daemon = TestDaemon::start();
    let mut raw = Raw::dashboard(&daemon);
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

#[test]
fn the_schema_that_is_printed_is_that_of_the_types() {
    let daemon = TestDaemon::start();
    let printed = daemon.opsctl(["schema"]).run().expect_code(0).json();
    assert_eq!(printed, opsctl_protocol::message::schema());
}

/// Whether it is told from where a connection comes, and that something has gone over it both ways.
fn is_told(connection: &Value) -> bool {
    let counted = ["received", "sent"].iter().all(|way| {
        let (messages, bytes) = (&connection[way]["messages"], &connection[way]["bytes"]);
        messages.as_u64() >= Some(1) && bytes.as_u64() > messages.as_u64()
    });
    connection["address"] == "unix" && counted
}

#[test]
fn who_watches_is_told_to_those_who_may_operate() {
    let daemon = TestDaemon::start();
    let mut other = Raw::dashboard(&daemon);
    subscribe(&mut other, &json!({"channel": "agent:web-*"}));
    let mut raw = Raw::dashboard(&daemon);
    let (_agent, _) = Raw::agent(&daemon, "web-1", &json!([]));
    let answer = wait_until("what went over every connection to be counted", || {
        let answer = raw.ask("connection:query", &json!({}));
        let told = ["connections", "agents"].map(|kind| {
            let all = answer["payload"][kind].as_array()?;
            all.iter().all(is_told).then_some(())
        });
        told.iter().all(Option::is_some).then_some(answer)
    });
    assert_eq!(answer["type"], "connection:list");
    let connections = answer["payload"]["connections"].as_array().unwrap();
    let ids: Vec<&Value> = connections.iter().map(|one| &one["clientId"]).collect();
    let told = [&other, &raw].map(|raw| &raw.seen[0]["payload"]["clientId"]);
    assert_eq!(ids, told, "{answer}");
    assert_eq!(connections[0]["channels"], json!(["agent:web-*"]));
    assert_eq!(connections[0]["subscriptions"], 1);
    assert_eq!(connections[1]["role"], "admin");
    let agents = answer["payload"]["agents"].as_array().unwrap();
    assert_eq!(agents.len(), 1, "{answer}");
    assert_eq!(agents[0]["agentId"], "web-1");
    let first = raw.ask("connection:query", &json!({"limit": 1}));
    assert_eq!(first["payload"]["connections"].as_array().unwrap().len(), 1);
    assert_eq!(first["payload"]["more"], true);
}
