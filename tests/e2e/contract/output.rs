//! What those who read output rely on: whole, in order, the end last.

use serde_json::{Value, json};

use super::{is_final, request, subscribe};
use crate::harness::{Sandbox, TestAgent, TestDaemon};
use crate::raw::{Dial, Raw, numbers};

#[test]
fn a_finished_command_is_told_whole() {
    let mut daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let mut raw = Raw::dashboard(&daemon);
    let command = request(&mut raw, "web-1", "whole", "seq 1 2000");
    let channel = format!("command:{command}");
    let expected = numbers(2000);

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
    daemon.stop();
    daemon.start_again();
    let mut late = Raw::dashboard(&daemon);
    whole(&mut late);
    let numbered = late.pushes(&channel);
    assert!(
        numbered.is_empty(),
        "what is read back is a copy: {numbered:?}"
    );
}

#[test]
fn output_goes_on_where_a_client_says() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let mut raw = Raw::dashboard(&daemon);
    let command = request(&mut raw, "web-1", "since", "printf 0123456789");
    let channel = format!("command:{command}");
    subscribe(&mut raw, &json!({"channel": channel}));
    raw.until("the end", |message| is_final(message, &command));
    raw.seen.clear();
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

/// A daemon that remembers ten lines, and a command on an agent that has nothing else to do.
fn forgetful() -> (TestDaemon, Raw, Raw, String) {
    let sandbox = Sandbox::new();
    sandbox.file("config.toml", "[daemon]\nring_lines = 10\n");
    let daemon = TestDaemon::start_in(sandbox, []);
    let (mut agent, _) = Raw::agent(&daemon, "raw", &json!([]));
    let mut raw = Raw::dashboard(&daemon);
    let command = request(&mut raw, "raw", "flood", "x");
    agent.until("the command", |message| {
        message["type"] == "command:execute"
    });
    agent.say(
        "command:status",
        &json!({"commandId": command, "state": "running"}),
    );
    (daemon, agent, raw, command)
}

/// Says a thousand times ten lines, two megabytes together: more than the sockets hold, so that a reader who doesn't
/// read is left far behind.
fn say_much(agent: &mut Raw, command: &str, said: &mut String) {
    for n in 0..1000 {
        let piece = format!("{n:0200}\n").repeat(10);
        agent.say(
            "terminal:output",
            &json!({"commandId": command, "offset": said.len(), "data": piece}),
        );
        *said += &piece;
    }
}

/// Says the end, and waits until the daemon has taken all of it.
fn say_the_end(agent: &mut Raw, command: &str, said: &str) {
    let end = json!({"commandId": command, "state": "exited", "exitCode": 0, "offset": said.len()});
    agent.say("command:status", &end);
    agent.until("the settling ack", |message| {
        message["payload"]["settled"] == true && message["payload"]["commandId"] == command
    });
}

/// Says much and the end while nobody reads; returns what was said.
fn flood(agent: &mut Raw, command: &str) -> String {
    let mut said = String::new();
    say_much(agent, command, &mut said);
    say_the_end(agent, command, &said);
    said
}

#[test]
fn a_lossless_reader_gets_everything_before_the_end() {
    let (_daemon, mut agent, mut raw, command) = forgetful();
    subscribe(
        &mut raw,
        &json!({"channel": format!("command:{command}"), "since": {"offset": 0}, "lossless": true}),
    );
    let said = flood(&mut agent, &command);
    raw.until("the end", |message| is_final(message, &command));
    let mut read = String::new();
    for message in &raw.seen {
        assert_ne!(message["type"], "gap", "{message}");
        if message["type"] == "terminal:output" {
            assert_eq!(message["payload"]["offset"], read.len(), "{message}");
            read += message["payload"]["data"].as_str().unwrap();
        }
    }
    assert_eq!(read.len(), said.len(), "all of it came before the end");
    assert!(read == said);
}

/// Every byte that was said came in its place, or stands in a gap.
fn assert_whole(seen: &[Value], said: &str) {
    let mut at = 0;
    for message in seen {
        let payload = &message["payload"];
        if message["type"] == "terminal:output" {
            let data = payload["data"].as_str().unwrap();
            assert_eq!(payload["offset"], at, "{message}");
            assert_eq!(&said[at..at + data.len()], data);
            at += data.len();
        } else if message["type"] == "gap" {
            assert_eq!(payload["from"], at, "{message}");
            at = usize::try_from(payload["to"].as_u64().unwrap()).unwrap();
        }
    }
    assert_eq!(
        at,
        said.len(),
        "every byte came or stands in a gap before the end"
    );
}

#[test]
fn whoever_may_miss_something_is_told_what() {
    let (_daemon, mut agent, mut raw, command) = forgetful();
    subscribe(&mut raw, &json!({"channel": format!("command:{command}")}));
    let said = flood(&mut agent, &command);
    raw.until("the end", |message| is_final(message, &command));
    assert_whole(&raw.seen, &said);
}

#[test]
fn whoever_follows_an_agent_and_is_left_behind_hears_every_end() {
    let (_daemon, mut agent, mut raw, flooder) = forgetful();
    subscribe(&mut raw, &json!({"channel": "agent:raw"}));
    let other = request(&mut raw, "raw", "other", "x");
    agent.until("the command", |message| {
        message["type"] == "command:execute"
    });
    agent.say(
        "command:status",
        &json!({"commandId": other, "state": "running"}),
    );
    raw.until("the start", |message| {
        message["payload"]["commandId"] == other.as_str()
            && message["payload"]["state"] == "running"
    });
    // From here on nobody reads. What is said between the floods is neither in the sockets nor in the daemon's memory
    // when somebody does again.
    let mut said = String::new();
    say_much(&mut agent, &flooder, &mut said);
    say_the_end(&mut agent, &other, "");
    say_much(&mut agent, &flooder, &mut said);
    say_the_end(&mut agent, &flooder, &said);
    raw.until("the end of the flood", |message| {
        is_final(message, &flooder)
    });
    // State copies come in no order between commands.
    if !raw.seen.iter().any(|message| is_final(message, &other)) {
        raw.until("the other end", |message| is_final(message, &other));
    }
    let end = raw.seen.iter().find(|message| is_final(message, &other));
    assert_eq!(
        end.expect("the other end was told, too")["payload"]["exitCode"],
        0
    );
    assert_whole(&raw.seen, &said);
}
