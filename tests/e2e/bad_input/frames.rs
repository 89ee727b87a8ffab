//! Frames that no program should send.

use std::io::Write;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{assert_serves, resident, serving};
use crate::harness::TestDaemon;
use crate::raw::{Dial, Raw, envelope};

#[test]
fn another_major_version_is_refused() {
    let (daemon, _agent) = serving();
    let mut raw = Dial::local(&daemon, "/ws/dashboard").open().0;
    raw.text(envelope("dashboard:connect", Some("v"), &json!({})).replace("1.0.0", "2.0.0"));
    let (code, _) = raw.closed();
    assert_eq!(code, 4506);
    assert_eq!(raw.seen.len(), 1, "{:?}", raw.seen);
    assert_eq!(
        (&raw.seen[0]["re"], &raw.seen[0]["payload"]["code"]),
        (&json!("v"), &json!("unsupported_version"))
    );
    // A newer minor version is understood, and so are fields that nobody knows.
    let mut raw = Dial::local(&daemon, "/ws/dashboard").open().0;
    let newer =
        envelope("dashboard:connect", Some("m"), &json!({"new": 1})).replace("1.0.0", "1.9.3");
    raw.text(newer);
    raw.until("the answer", |message| {
        message["type"] == "connected" && message["re"] == "m"
    });
    assert_serves(&daemon);
}

#[test]
fn giant_frames_close_the_connection_and_cost_no_memory() {
    let (daemon, _agent) = serving();
    let before = resident(&daemon);
    for route in ["/ws/dashboard", "/ws/agent"] {
        // The header of a frame that claims a gigabyte; the bytes never come, nor does the daemon wait for them.
        let mut raw = Dial::local(&daemon, route).open().0;
        let mut header = vec![0x82, 0xff];
        header.extend((1_u64 << 30).to_be_bytes());
        header.extend([0; 4]);
        raw.socket.get_mut().write_all(&header).unwrap();
        let (code, reason) = raw.closed();
        assert_eq!(code, 1009, "{reason}");
        // Many fragments of one message.
        let mut raw = Dial::local(&daemon, route).open().0;
        let piece = vec![b' '; 256 * 1024];
        for n in 0..8_u8 {
            let mut frame = vec![u8::from(n == 0), 0xff];
            frame.extend((piece.len() as u64).to_be_bytes());
            frame.extend([0; 4]);
            frame.extend(&piece);
            if raw.socket.get_mut().write_all(&frame).is_err() {
                break;
            }
        }
        assert!([1009, 1006].contains(&raw.closed().0));
    }
    // A gigabyte of spaces in a megabyte of gzip.
    let mut raw = Raw::dashboard(&daemon);
    let bomb = bomb();
    let text = envelope("ping", Some("bomb"), &json!(bomb))
        .replace(r#""payload""#, r#""encoding":"gzip","payload""#);
    raw.text(text);
    let answer = raw.until("the answer", |message| message["type"] == "error");
    assert_eq!(answer["payload"]["code"], "bad_message");
    let grown = resident(&daemon).saturating_sub(before);
    assert!(grown < 32 * 1024 * 1024, "grew by {grown} bytes");
    assert_serves(&daemon);
}

/// Base64 of the gzip of 64 MiB of spaces, made by gzip itself.
fn bomb() -> String {
    let script = "head -c 67108864 /dev/zero | tr '\\0' ' ' | gzip -9 | base64 -w0";
    let made = std::process::Command::new("sh")
        .args(["-c", script])
        .output()
        .unwrap();
    String::from_utf8(made.stdout).unwrap()
}

#[test]
fn the_third_bad_message_closes_and_an_unknown_type_never_does() {
    let (daemon, _agent) = serving();
    for route in ["/ws/dashboard", "/ws/agent"] {
        let mut raw = match route {
            "/ws/agent" => Raw::agent(&daemon, "raw", &json!([])).0,
            _ => Raw::dashboard(&daemon),
        };
        for _ in 0..20 {
            assert_eq!(raw.ask_error("command:dance", &json!({})), "unknown_type");
        }
        raw.seen.clear();
        let spoilt = envelope("publish", Some("spoilt"), &json!({"channel": 7}));
        for bad in ["{", &spoilt, "[]"] {
            raw.text(bad);
        }
        let (code, _) = raw.closed();
        assert_eq!(code, 4501);
        let errors: Vec<(&Value, &Value)> = raw
            .seen
            .iter()
            .filter(|message| message["type"] == "error")
            .map(|message| (&message["payload"]["code"], &message["re"]))
            .collect();
        let bad = json!("bad_message");
        assert_eq!(
            errors,
            [
                (&bad, &Value::Null),
                (&bad, &json!("spoilt")),
                (&bad, &Value::Null)
            ]
        );
    }
    assert_serves(&daemon);
}

#[test]
fn binary_garbage_is_answered() {
    let (daemon, _agent) = serving();
    let mut raw = Dial::local(&daemon, "/ws/dashboard")
        .offer("opsctl.v1.bin")
        .open()
        .0;
    raw.ask("dashboard:connect", &json!({}));
    let output_from_a_dashboard = [vec![1], vec![0; 60]].concat();
    for garbage in [vec![9, 9, 9], vec![3, 1, 2, 3], output_from_a_dashboard] {
        raw.socket.send(Message::binary(garbage)).unwrap();
    }
    assert_eq!(raw.closed().0, 4501);
    let errors = raw
        .seen
        .iter()
        .filter(|message| message["payload"]["code"] == "bad_message")
        .count();
    assert_eq!(errors, 3);
    // Text that is not UTF-8 is against the WebSocket's own rules.
    let mut raw = Raw::dashboard(&daemon);
    raw.socket
        .get_mut()
        .write_all(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe])
        .unwrap();
    let (code, reason) = raw.closed();
    assert!([1002, 1007].contains(&code), "{code} {reason}");
    assert_serves(&daemon);
}

#[test]
fn commands_with_giant_arguments_can_still_be_listed() {
    let daemon = TestDaemon::start();
    let (_agent, _) = Raw::agent(&daemon, "raw", &json!([]));
    let mut raw = Raw::dashboard(&daemon);
    for n in 0..12 {
        let argv = ["x".repeat(200_000), "y".to_owned()];
        let request = json!({"key": n.to_string(), "target": {"agent": "raw"}, "argv": argv});
        assert_eq!(
            raw.ask("command:request", &request)["type"],
            "command:accepted"
        );
    }
    let argv = [vec!["x"], vec![""; 200_000]].concat();
    let request = json!({"key": "many", "target": {"agent": "raw"}, "argv": argv});
    assert_eq!(
        raw.ask("command:request", &request)["type"],
        "command:accepted"
    );
    let listed = raw.ask("command:query", &json!({}));
    assert_eq!(listed["payload"]["commands"].as_array().unwrap().len(), 13);
    let fresh = Raw::dashboard(&daemon);
    let shown = &fresh.seen[1]["payload"]["agents"][0]["commands"];
    assert_eq!(shown.as_array().unwrap().len(), 13);
}
