//! What a message takes in memory, as far as whoever sent it decides that: a ring counts it, so that nobody fills the daemon
//! with large events. States of agents and commands are small, or bounded elsewhere.

use std::collections::BTreeMap;

use opsctl_protocol::ToDashboard;
use opsctl_protocol::message::{AgentInfo, Direction as _};
use serde_json::Value;

/// A value itself, wherever it stands: a megabyte of `[0,0,…]` is many of them.
const VALUE: usize = size_of::<Value>();

/// A key's place in a map beside its text.
const KEY: usize = size_of::<String>();

/// The bytes of a message, about.
pub(super) fn weight(message: &ToDashboard) -> usize {
    match message {
        ToDashboard::Event(event) => event.event.len() + tree(&event.data),
        ToDashboard::ActivityLog(line) => line.message.len() + map(line.metadata.iter()),
        ToDashboard::Notification(notification) => {
            notification.title.len() + notification.message.len()
        }
        ToDashboard::TaskStatus(task) => task.task_id.len() + task.status.len(),
        ToDashboard::AgentStatus(agent) => told(agent),
        ToDashboard::AgentConnected(news) => told(&news.agent),
        ToDashboard::AgentDisconnected(news) => told(&news.agent),
        _ => 0,
    }
}

/// The bytes of an answer or a state copy, about: also what the daemon itself gathers in it, by the length of its JSON.
pub(super) fn answer_weight(message: &ToDashboard) -> usize {
    // What cannot be written is not sent either.
    let mut json = Vec::new();
    let written = message.write_payload(&mut json).map_or(0, |()| json.len());
    written.max(weight(message))
}

/// What an agent has told about itself.
fn told(agent: &AgentInfo) -> usize {
    let texts = |texts: &BTreeMap<String, String>| -> usize {
        texts
            .iter()
            .map(|(key, text)| 2 * KEY + key.len() + text.len())
            .sum()
    };
    texts(&agent.labels) + texts(&agent.facts)
}

fn tree(value: &Value) -> usize {
    VALUE
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(tree).sum(),
            Value::Object(entries) => map(entries.iter()),
        }
}

fn map<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>) -> usize {
    entries
        .map(|(key, value)| KEY + key.len() + tree(value))
        .sum()
}

#[cfg(test)]
mod tests {
    use opsctl_protocol::message::Event;
    use serde_json::json;

    use super::*;

    fn event(data: Value) -> usize {
        let event = Event {
            event: String::new(),
            data,
            from: String::new(),
        };
        weight(&event.into())
    }

    #[test]
    fn text_weighs_its_bytes_and_small_values_their_places() {
        assert_eq!(event(json!(null)), VALUE);
        assert_eq!(event(json!("x".repeat(1000))), VALUE + 1000);
        assert_eq!(event(json!(vec![0; 1000])), VALUE * 1001);
        assert_eq!(event(json!({"abc": [1]})), VALUE * 3 + KEY + 3);
    }
}
