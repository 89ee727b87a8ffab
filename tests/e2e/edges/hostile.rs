//! Peers that try to fill the daemon's memory.

use opsctl_protocol::limits::MAX_VALUES;
use serde_json::{Value, json};

use super::patience::Noise;
use crate::harness::{TestAgent, TestDaemon};
use crate::raw::{Raw, envelope};

/// What the daemon may grow by while somebody does his worst: less than he sends, or than it takes in memory.
const MAY_GROW: u64 = 64 * 1024 * 1024;

/// Does harm and checks that the daemon stays small, and goes on.
#[track_caller]
fn stays_small(harm: impl FnOnce(&TestDaemon)) {
    let daemon = TestDaemon::start();
    let agent = TestAgent::start(&daemon, "web-1");
    let before = crate::bad_input::resident(&daemon);
    harm(&daemon);
    let grown = crate::bad_input::resident(&daemon).saturating_sub(before);
    assert!(grown < MAY_GROW, "grew by {grown} bytes");
    daemon
        .opsctl(["send", agent.name(), "--", "sh", "-c", "exit 7"])
        .run()
        .expect_code(7);
}

/// Publishes this so many times on one channel, and waits until that is done.
#[track_caller]
fn publish(raw: &mut Raw, data: &Value, times: usize) {
    let event = json!({"channel": "task:x", "event": "e", "data": data});
    let text = envelope("publish", None, &event);
    for _ in 0..times {
        raw.text(text.clone());
    }
    assert_eq!(raw.ask("ping", &json!({}))["type"], "pong");
}

#[test]
fn large_events_do_not_pile_up_in_a_channel() {
    stays_small(|daemon| {
        let mut raw = Raw::dashboard(daemon);
        let data: Value = Noise(1).text(700 * 1024).into();
        publish(&mut raw, &data, 150);
    });
}

#[test]
fn events_of_many_small_values_do_not_pile_up_either() {
    stays_small(|daemon| {
        let mut raw = Raw::dashboard(daemon);
        // Each takes a byte or two on the wire, and many times that in memory.
        let data: Value = vec![0; MAX_VALUES - 1].into();
        publish(&mut raw, &data, 250);
    });
}

/// A message is a tree before anything can be refused in it: also that stays small.
#[test]
fn one_message_of_many_small_values_is_refused_while_it_is_read() {
    let daemon = TestDaemon::start();
    let before = crate::bad_input::resident(&daemon);
    let mut raw = Raw::dashboard(&daemon);
    let data: Value = vec![json!({}); 300_000].into();
    let event = json!({"channel": "task:x", "event": "e", "data": data});
    let error = raw.ask("publish", &event);
    assert_eq!(error["payload"]["code"], "bad_message", "{error}");
    let message = error["payload"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("16384 values"), "{message}");
    let grown = crate::bad_input::resident(&daemon).saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "grew by {grown} bytes");
    assert_eq!(raw.ask("ping", &json!({}))["type"], "pong");
}
