//! Bad input: each a clear answer, nothing lost, and the daemon goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{DEADLINE, Sandbox, TestAgent, TestDaemon, wait_until};
use crate::raw::{Dial, Raw, envelope, http};

/// The daemon still answers and still runs commands.
#[track_caller]
fn assert_serves(daemon: &TestDaemon) {
    let (status, _) = http(daemon, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status, 200);
    daemon
        .opsctl(["send", "web-1", "--", "sh", "-c", "exit 7"])
        .run()
        .expect_code(7);
}

/// A daemon with an agent, which is still there at the end.
fn serving() -> (TestDaemon, TestAgent) {
    let daemon = TestDaemon::start();
    let agent = TestAgent::start(&daemon, "web-1");
    (daemon, agent)
}

/// A token with any claims, signed with the daemon's own secret or another one.
fn forge(daemon: &TestDaemon, claims: &Value, secret: Option<&[u8]>) -> String {
    use jsonwebtoken::{EncodingKey, Header, encode};
    let key = match secret {
        Some(secret) => EncodingKey::from_secret(secret),
        None => {
            let text = std::fs::read_to_string(daemon.state_dir().join("secret")).unwrap();
            EncodingKey::from_base64_secret(text.trim()).unwrap()
        }
    };
    encode(&Header::default(), claims, &key).unwrap()
}

fn claims(role: &str, expires_in: i64) -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        .cast_signed();
    json!({"iss": "opsctl", "aud": "opsctl", "sub": "t", "role": role, "iat": now, "nbf": now - 100, "exp": now + expires_in})
}

#[track_caller]
fn assert_refused(dial: Dial<'_>, status: u16, code: &str) {
    let (found, body) = dial.refused();
    assert_eq!(
        (found, &body["error"]["code"]),
        (status, &json!(code)),
        "{body}"
    );
    assert!(
        body["error"]["message"]
            .as_str()
            .is_some_and(|message| message.len() > 10),
        "{body}"
    );
}

#[test]
fn wrong_tokens_are_refused_before_the_upgrade() {
    let (daemon, _agent) = serving();
    let dashboard = || Dial::remote(&daemon, "/ws/dashboard");
    assert_refused(dashboard(), 401, "token_missing");
    assert_refused(dashboard().token("nonsense"), 401, "token_invalid");
    assert_refused(dashboard().token(""), 401, "token_invalid");
    assert_refused(
        dashboard().header("authorization", "Basic eDp5"),
        401,
        "token_invalid",
    );

    let good = forge(&daemon, &claims("viewer", 600), None);
    Raw::greeted(dashboard().token(&good));
    let other = forge(
        &daemon,
        &claims("viewer", 600),
        Some(b"another secret of the same length"),
    );
    assert_refused(dashboard().token(&other), 401, "token_invalid");
    let mut cut = good.clone();
    cut.pop();
    assert_refused(dashboard().token(&cut), 401, "token_invalid");
    let (head, rest) = good.split_once('.').unwrap();
    let unsigned = format!(
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
        rest.split_once('.').unwrap().0
    );
    assert_refused(dashboard().token(&unsigned), 401, "token_invalid");
    assert!(!head.is_empty());

    let expired = forge(&daemon, &claims("viewer", -120), None);
    assert_refused(dashboard().token(&expired), 401, "token_expired");
    let mut early = claims("viewer", 6000);
    early["nbf"] = json!(early["iat"].as_i64().unwrap() + 3000);
    assert_refused(
        dashboard().token(&forge(&daemon, &early, None)),
        401,
        "token_expired",
    );
    for (name, value) in [
        ("aud", json!("other")),
        ("iss", json!("other")),
        ("role", json!("king")),
    ] {
        let mut wrong = claims("viewer", 600);
        wrong[name] = value;
        assert_refused(
            dashboard().token(&forge(&daemon, &wrong, None)),
            401,
            "token_invalid",
        );
        wrong.as_object_mut().unwrap().remove(name);
        assert_refused(
            dashboard().token(&forge(&daemon, &wrong, None)),
            401,
            "token_invalid",
        );
    }
    for name in ["exp", "sub"] {
        let mut wrong = claims("viewer", 600);
        wrong.as_object_mut().unwrap().remove(name);
        assert_refused(
            dashboard().token(&forge(&daemon, &wrong, None)),
            401,
            "token_invalid",
        );
    }
    let log = daemon.process().stderr();
    assert!(
        !log.contains(&good) && !log.contains(&expired),
        "no token stands in a log"
    );
    assert_serves(&daemon);
}

#[test]
fn a_token_may_stand_in_three_places() {
    let daemon = TestDaemon::start();
    let token = daemon.token(["--role", "operator"]);
    let dashboard = || Dial::remote(&daemon, "/ws/dashboard");
    Raw::greeted(dashboard().token(&token));
    let (mut raw, chosen) = dashboard()
        .offer(&format!("opsctl.v1, bearer.{token}"))
        .open();
    assert_eq!(chosen.as_deref(), Some("opsctl.v1"));
    assert_eq!(
        raw.ask("dashboard:connect", &json!({}))["payload"]["rights"]["role"],
        "operator"
    );
    let mut raw = Raw::greeted(Dial::remote(
        &daemon,
        &format!("/ws/dashboard?x=y&token={token}"),
    ));
    assert_eq!(raw.ask("ping", &json!({}))["type"], "pong");
}

#[test]
fn roles_keep_to_their_routes() {
    let (daemon, _agent) = serving();
    let agent = daemon.token(["--role", "agent", "--agent", "db-1"]);
    let viewer = daemon.token(["--role", "viewer"]);
    assert_refused(
        Dial::remote(&daemon, "/ws/dashboard").token(&agent),
        403,
        "forbidden",
    );
    assert_refused(
        Dial::remote(&daemon, "/ws/agent").token(&viewer),
        403,
        "forbidden",
    );

    let mut raw = Raw::greeted(Dial::remote(&daemon, "/ws/dashboard").token(&viewer));
    let request = json!({"key": "k", "target": {"agent": "web-1"}, "argv": ["true"]});
    assert_eq!(raw.ask_error("command:request", &request), "forbidden");
    assert_eq!(
        raw.ask_error("command:interrupt", &json!({"agentId": "web-1"})),
        "forbidden"
    );
    assert_eq!(
        raw.ask_error("publish", &json!({"channel": "system", "event": "e"})),
        "forbidden"
    );
    assert_eq!(
        raw.ask("subscribe", &json!({"channel": "*"}))["type"],
        "subscribed"
    );

    let mut raw = Dial::remote(&daemon, "/ws/agent").token(&agent).open().0;
    raw.say("agent:connect", &json!({"agentId": "web-1"}));
    let (code, reason) = raw.closed();
    assert_eq!(code, 4507, "{reason}");
    assert!(reason.contains("web-1"), "{reason}");
    let mut raw = Dial::remote(&daemon, "/ws/agent").token(&agent).open().0;
    assert_eq!(
        raw.ask("agent:connect", &json!({"agentId": "db-1"}))["payload"]["rights"]["agent"],
        "db-1"
    );
    assert_serves(&daemon);
}

#[test]
fn unknown_subprotocols_and_plain_requests_are_refused() {
    let (daemon, _agent) = serving();
    let token = daemon.token(["--role", "viewer"]);
    let dial = || Dial::remote(&daemon, "/ws/dashboard").token(&token);
    assert_refused(dial().offer("mqtt, opsctl.v2"), 400, "unknown_subprotocol");
    assert_eq!(
        dial().offer("mqtt, opsctl.v1").open().1.as_deref(),
        Some("opsctl.v1")
    );
    assert_eq!(dial().open().1, None);
    let plain =
        format!("GET /ws/dashboard HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    let (status, body) = http(&daemon, &plain);
    assert!(
        (400..=426).contains(&status) && body.contains(r#""code":"bad_request""#),
        "{status} {body}"
    );
    assert_eq!(
        http(&daemon, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n").0,
        404
    );
    assert_eq!(
        http(&daemon, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").0,
        200
    );
    assert_eq!(http(&daemon, "\x16\x03\x01 nonsense\r\n\r\n").0, 400);
    assert_serves(&daemon);
}

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

/// What the daemon has in memory, in bytes.
fn resident(daemon: &TestDaemon) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", daemon.process().pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
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
    let (daemon, _agent) = serving();
    let mut watcher = Raw::dashboard(&daemon);
    watcher.ask("subscribe", &json!({"channel": "agent:silent"}));
    let (mut silent, _) = Raw::agent(&daemon, "silent", &json!([]));
    // From here on nothing is answered, not even a ping: the frames are read as mere bytes.
    let mut bytes = Vec::new();
    silent.socket.get_mut().read_to_end(&mut bytes).unwrap();
    let code = 4012_u16.to_be_bytes();
    assert!(
        bytes.windows(2).any(|pair| pair == code),
        "closed with 4012: {bytes:?}"
    );
    let left = watcher.until("its end", |message| message["type"] == "agent:disconnected");
    assert_eq!(left["payload"]["agent"]["status"], "disconnected");
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
    /// The largest number that a message may hold.
    const FAR: u64 = (1 << 53) - 1;
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

#[test]
fn places_that_cannot_be_used_are_named() {
    let long = "x".repeat(120);
    let sandbox = Sandbox::new();
    let socket = sandbox.path(&long).join("opsctl.sock");
    let refused = sandbox
        .opsctl(["daemon", "--listen", "none"])
        .env("OPSCTL_SOCKET", &socket)
        .run();
    assert_ne!(refused.code, 0);
    refused.expect_err(&[&long, "at most 107"]);

    let daemon = TestDaemon::start();
    let other = Sandbox::new();
    let address = daemon.address().to_string();
    let refused = other.opsctl(["daemon", "--listen", &address]).run();
    refused.expect_code(246).expect_err(&[&address]);

    // A directory cannot be made within a file, whoever asks.
    let file = other.file("file", "");
    let refused = other
        .opsctl(["daemon", "--listen", "none"])
        .env("OPSCTL_STATE_DIR", file.join("state"))
        .run();
    assert_ne!(refused.code, 0);
    refused.expect_err(&["file/state"]);

    let second = daemon
        .opsctl(["daemon", "--listen", "none"])
        .env("OPSCTL_SOCKET", other.path("s"))
        .run();
    second
        .expect_code(246)
        .expect_err(&[&daemon.state_dir().display().to_string()]);
}
