//! Tokens, roles and subprotocols: refused before the upgrade.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{assert_serves, serving};
use crate::harness::TestDaemon;
use crate::raw::{Dial, Raw, http};

/// A token with any claims, signed with the daemon's own secret or another one.
fn forge(daemon: &TestDaemon, claims: &Value, secret: Option<&[u8]>) -> String {
    use jsonwebtoken::{EncodingKey, Header, encode};
    let key = if let Some(secret) = secret {
        EncodingKey::from_secret(secret)
    } else {
        let text = std::fs::read_to_string(daemon.state_dir().join("secret")).unwrap();
        EncodingKey::from_base64_secret(text.trim()).unwrap()
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
fn a_person_without_a_token_is_told_where_one_is_given() {
    let (daemon, _agent) = serving();
    let url = daemon.url();
    for command in ["status", "ps", "agents"] {
        let asked = daemon.opsctl(["--url", &url, command]).run();
        let asked = asked.expect_code(243);
        asked.expect_err(&["asks for a token", "--token-file", "OPSCTL_TOKEN_FILE"]);
    }
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
    let (_, rest) = good.split_once('.').unwrap();
    let unsigned = format!(
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
        rest.split_once('.').unwrap().0
    );
    assert_refused(dashboard().token(&unsigned), 401, "token_invalid");

    let log = daemon.process().stderr();
    assert!(
        !log.contains(&good) && !log.contains(&other),
        "no token stands in a log"
    );
    assert_serves(&daemon);
}

#[test]
fn tokens_with_wrong_claims_are_refused() {
    let daemon = TestDaemon::start();
    let dashboard = || Dial::remote(&daemon, "/ws/dashboard");
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
