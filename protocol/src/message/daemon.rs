//! How the daemon is: what somebody who watches over it wants to know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::connection::Traffic;
use crate::ids::Timestamp;

/// `daemon:query`: how is the daemon?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DaemonQuery {}

/// `daemon:status`: the answer to `daemon:query`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DaemonStatus {
    /// Its program's version.
    pub version: String,
    /// When this run of it started.
    pub started_at: Timestamp,
    /// The directory on its host that it keeps everything in. Only for those who may operate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<String>,
    /// How many agents are in which state.
    pub agents: AgentCounts,
    /// Connected dashboards, whoever asked among them.
    pub dashboards: u64,
    /// What all connections of this run have brought; the rates are of those that are open.
    #[serde(default)]
    pub received: Traffic,
    /// What was sent over them.
    #[serde(default)]
    pub sent: Traffic,
    /// What waits and what runs.
    pub queue: QueueCounts,
    /// The output log.
    pub log: LogStatus,
    /// Bytes of the database with its write-ahead log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_bytes: Option<u64>,
    /// The file system that the state directory is on; absent where the system doesn't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskStatus>,
}

/// How many agents are in which state. Those that are connected are counted once more by what they are doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentCounts {
    /// Connected.
    pub connected: u64,
    /// Known, and not connected.
    pub disconnected: u64,
    /// Connected and working.
    pub working: u64,
    /// Connected and in need of a person.
    pub blocked: u64,
    /// Connected and done.
    pub done: u64,
    /// Connected, and ran into an error.
    pub error: u64,
    /// Connected, and its program has just been started.
    pub starting: u64,
    /// Connected and idle.
    pub idle: u64,
    /// Connected, and nobody knows what they are doing.
    pub unknown: u64,
}

/// What waits and what runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueCounts {
    /// Commands that wait for their agent.
    pub queued: u64,
    /// Commands that were sent to their agent, which has not confirmed them.
    pub delivered: u64,
    /// Commands that run.
    pub running: u64,
    /// Messages that wait to be typed into a terminal, or are being typed.
    pub typing: u64,
}

/// How the output log is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LogStatus {
    /// Bytes of its segments.
    pub bytes: u64,
    /// Bytes that it may have before the oldest output goes (`daemon.log_max_bytes`).
    pub max_bytes: u64,
    /// Why nothing can be written into it, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskStatus {
    /// Its size in bytes.
    pub total_bytes: u64,
    /// Bytes that the daemon's user may still write.
    pub free_bytes: u64,
}
