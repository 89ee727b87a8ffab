//! What agents and people publish: free events, and the few kinds that every dashboard knows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shapeless;
use crate::ids::Channel;

/// `publish`: put an event on a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Publish {
    /// The concrete channel.
    #[schemars(with = "String")]
    pub channel: Channel,
    /// The event's name (`status_changed`, `issue_created`, …).
    pub event: String,
    /// Whatever belongs to it.
    #[serde(default, deserialize_with = "shapeless::value")]
    pub data: serde_json::Value,
}

/// `event`: what somebody published; the envelope names the channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The event's name.
    pub event: String,
    /// Whatever belongs to it.
    #[serde(default, deserialize_with = "shapeless::value")]
    pub data: serde_json::Value,
    /// Who published it: an agent's name, or a token's subject.
    pub from: String,
}

/// `task_status`: how a task stands; pushed on `task:ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// Which task.
    pub task_id: String,
    /// How it stands, in the publisher's words.
    pub status: String,
}

/// How much a notification matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Nice to know.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Worth an interruption.
    High,
    /// Act now.
    Urgent,
}

/// `notification`: something that a person should notice; pushed on `agent:ID` of its publisher, else on `system`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// One line.
    pub title: String,
    /// The rest.
    #[serde(default)]
    pub message: String,
    /// How much it matters.
    #[serde(default)]
    pub priority: Priority,
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// The usual.
    #[default]
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

/// `activity_log`: a line for the activity log; pushed like a notification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActivityLog {
    /// How serious.
    #[serde(default)]
    pub level: Level,
    /// The line.
    pub message: String,
    /// Whatever belongs to it.
    #[serde(default, deserialize_with = "shapeless::object")]
    pub metadata: BTreeMap<String, serde_json::Value>,
}
