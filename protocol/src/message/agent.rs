//! What an agent tells of itself, and what dashboards see of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::activity::{Activity, ActivitySource, Foreground};
use super::command::{CommandReport, CommandSummary, State};
use crate::ids::{AgentId, CommandId, Timestamp};
use crate::limits::{MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTES};

/// The capability of an agent that says when it has an interrupt.
pub const RECEIPTS: &str = "receipts";

/// `agent:connect`: the first message of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentConnect {
    /// The agent's name; a second live connection with it replaces the first.
    pub agent_id: AgentId,
    /// Labels that selectors match.
    #[serde(default, deserialize_with = "attributes")]
    pub labels: BTreeMap<String, String>,
    /// Facts about the host: `os`, `arch`, `hostname`, `user`, `version`, …
    #[serde(default, deserialize_with = "attributes")]
    pub facts: BTreeMap<String, String>,
    /// What the agent can do beyond the contract's minimum: `pty`, `stdin`, `resize`, [`RECEIPTS`].
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// How many commands the agent runs at once; the daemon holds further ones back. Absent: no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_commands: Option<u32>,
    /// Every command that the agent still knows.
    #[serde(default)]
    pub commands: Vec<CommandReport>,
}

/// `agent:status` from an agent: what has changed about it, or about one of its commands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentReport {
    /// What the command is doing, or the agent as a whole where no command is named; `unknown` takes back what was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
    /// Why, in a few words for people: `approval`, `tests fail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How it is known; absent, the program said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ActivitySource>,
    /// Which command does it; absent, the agent speaks for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// Since when, by the agent's clock; absent, since the daemon heard of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What is in front in the command's terminal now; only with `commandId`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreground: Option<Foreground>,
    /// Facts that changed.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "attributes"
    )]
    pub facts: BTreeMap<String, String>,
}

/// Reads labels or facts within their bounds.
fn attributes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let attributes = BTreeMap::deserialize(deserializer)?;
    check_attributes(&attributes).map_err(serde::de::Error::custom)?;
    Ok(attributes)
}

/// Why an agent may not have these labels or facts: they are too many, or too large.
pub fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), String> {
    let bytes: usize = attributes
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if attributes.len() <= MAX_ATTRIBUTES && bytes <= MAX_ATTRIBUTE_BYTES {
        return Ok(());
    }
    Err(format!(
        "an agent has at most {MAX_ATTRIBUTES} labels and as many facts, of {MAX_ATTRIBUTE_BYTES} bytes together, not {} of {bytes} bytes",
        attributes.len()
    ))
}

/// Whether an agent has a live connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It has.
    Connected,
    /// It has not.
    Disconnected,
}

/// `agent:status` to dashboards, and an item of `agent:list`: all that is known about an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentInfo {
    /// The agent's name.
    pub agent_id: AgentId,
    /// Whether it has a live connection.
    pub status: Presence,
    /// Since when it has that status.
    pub since: Timestamp,
    /// When it was last heard.
    pub last_seen: Timestamp,
    /// Labels that selectors match.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Facts about its host.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// What it is doing: what the one of its commands does that needs a person most, or what it said of itself.
    #[serde(default)]
    pub activity: Activity,
    /// Why, in a few words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity_reason: Option<String>,
    /// How it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity_source: Option<ActivitySource>,
    /// Since when it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity_since: Option<Timestamp>,
    /// The command that the activity is of; absent, the agent said it of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity_command_id: Option<CommandId>,
    /// Whether it left because its main program failed; the activity tells how.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// Commands that are running or wait on it, oldest first; the first 32 of them.
    #[serde(default)]
    pub commands: Vec<CommandSummary>,
    /// The last measured round trip, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// How many commands it runs at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_commands: Option<u32>,
}

impl AgentInfo {
    /// Whether the agent has a live connection.
    pub fn is_connected(&self) -> bool {
        self.status == Presence::Connected
    }

    /// What it is doing, as people are told it. Where nobody says anything, the commands that there are do: one between pipes
    /// runs or not, and what goes on in a terminal isn't guessed. `None` while there is no connection, unless it left because
    /// its main program failed: that is an `error` like any other.
    pub fn doing(&self) -> Option<Activity> {
        let has = |state| self.commands.iter().any(|command| command.state == state);
        let is_in_terminal =
            |command: &CommandSummary| command.state == State::Running && command.pty;
        if !self.is_connected() {
            return self.failed.then_some(Activity::Error);
        }
        Some(match self.activity {
            Activity::Unknown if self.commands.iter().any(is_in_terminal) => Activity::Unknown,
            Activity::Unknown if has(State::Running) => Activity::Working,
            Activity::Unknown if has(State::Delivered) => Activity::Starting,
            Activity::Unknown => Activity::Idle,
            said => said,
        })
    }
}

/// `agent:list`: the fleet as this connection may see it; several when one would be too big.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentList {
    /// Ordered by name.
    pub agents: Vec<AgentInfo>,
    /// Whether another `agent:list` continues this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// `agent:connected`: an agent came (back).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentConnected {
    /// Which one.
    pub agent_id: AgentId,
    /// All that is known about it.
    pub agent: AgentInfo,
}

/// `agent:forget`: an agent will not come back. `agent:forgotten` is the answer, and tells it to all who watch the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentForget {
    /// Which one.
    pub agent_id: AgentId,
}

/// `agent:disconnected`: an agent's connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentDisconnected {
    /// Which one.
    pub agent_id: AgentId,
    /// Why, for people.
    pub reason: String,
    /// All that is known about it.
    pub agent: AgentInfo,
}
