//! What outside programs rely on, over a raw WebSocket: the flows of docs/protocol.md.
//!
//! - [`dashboards`]: state, requests, numbers, resuming.
//! - [`agents`]: commands, acks, coming back.
//! - [`output`]: bytes and their offsets.

mod agents;
mod dashboards;
mod output;

use serde_json::{Value, json};

use crate::raw::Raw;

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
