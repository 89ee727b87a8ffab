//! Who else is connected to the daemon, from where, and how much goes over each connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::session::Role;
use crate::ids::{AgentId, Timestamp};

/// What goes over connections one way, as the daemon counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Traffic {
    /// Messages so far; pings and pongs are none.
    pub messages: u64,
    /// Bytes so far, all that WebSocket adds among them.
    pub bytes: u64,
    /// Messages in a second, over the last two whole seconds; rounded up, so that 0 is silence.
    pub messages_per_second: u64,
    /// Bytes in a second, likewise.
    pub bytes_per_second: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.messages_per_second += other.messages_per_second;
        self.bytes_per_second += other.bytes_per_second;
    }
}

/// `connection:query`: who is connected? For those who may operate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionQuery {
    /// At most so many dashboards and so many agents, those that have been there longest first; the daemon's default is
    /// 100, its bound 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `connection:list`: the answer to `connection:query`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionList {
    /// Dashboards, those that have been there longest first. The one that asked is among them.
    pub connections: Vec<ConnectionInfo>,
    /// Agents, those that have been there longest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentConnection>,
    /// Whether others were left out, of either kind.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A dashboard's connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionInfo {
    /// Its name in logs, as `connected` told it.
    pub client_id: String,
    /// What the program calls itself.
    pub client: String,
    /// Whose token it has, or `uid:1000` on the local socket.
    pub subject: String,
    /// What it may do.
    pub role: Role,
    /// When it said who it is, by the daemon's clock.
    pub since: Timestamp,
    /// The first of the patterns that it subscribed to, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// How many it subscribed to in all.
    #[serde(default)]
    pub subscriptions: u32,
    /// Where it comes from, as the daemon sees it: `192.0.2.7:51234`, or `unix` for the local socket. Behind a proxy that is
    /// the proxy.
    #[serde(default)]
    pub address: String,
    /// What the daemon gets from it.
    #[serde(default)]
    pub received: Traffic,
    /// What the daemon sends it.
    #[serde(default)]
    pub sent: Traffic,
}

/// An agent's connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentConnection {
    /// Which agent.
    pub agent_id: AgentId,
    /// The connection's name in logs.
    pub client_id: String,
    /// Since when it is connected, by the daemon's clock.
    pub since: Timestamp,
    /// Where it comes from, as with dashboards.
    pub address: String,
    /// The last measured round trip in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// What the daemon gets from it.
    #[serde(default)]
    pub received: Traffic,
    /// What the daemon sends it.
    #[serde(default)]
    pub sent: Traffic,
}
