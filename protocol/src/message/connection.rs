//! Who else is connected to the daemon and watches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::session::Role;
use crate::ids::Timestamp;

/// `connection:query`: which dashboards are connected? For those who may operate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionQuery {
    /// At most so many, those that have been there longest first; the daemon's default is 100, its bound 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `connection:list`: the answer to `connection:query`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionList {
    /// Dashboards, those that have been there longest first. The one that asked is among them.
    pub connections: Vec<ConnectionInfo>,
    /// Whether others were left out.
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
}
