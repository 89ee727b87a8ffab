//! Asking for commands, their life, and steering them.
//!
//! - [`spec`]: what to run, and how.
//! - [`status`]: a command's life: its state, and what is seen of it.
//! - [`steer`]: what people do to a command that is there.

pub mod spec;
pub mod status;
pub mod steer;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use spec::{CommandSpec, DEFAULT_KILL_GRACE_MS, Program, Stdin};
pub use status::{CommandReport, CommandStatus, CommandSummary, State};
pub use steer::{CommandCancel, CommandInput, CommandInterrupt, CommandResize, Signal};

use crate::ids::{AgentId, CommandId, Timestamp, bounded_option};

/// Whom a request means.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// One agent by its name.
    Agent(AgentId),
    /// All that a selector covers.
    Selector(String),
}

/// `command:request`: run something on one agent or many.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandRequest {
    /// The idempotency key: the same key with the same body is the same request. At most 128 bytes.
    pub key: String,
    /// Whom it means.
    pub target: Target,
    /// What to run and how.
    #[serde(flatten)]
    pub spec: CommandSpec,
    /// How long the command may wait for an agent that is offline or busy, in milliseconds. Absent: an offline agent is
    /// an error, a busy one is waited for without end.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub ttl_ms: Option<u64>,
    /// How many of the selected agents run it at once. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fanout: Option<u32>,
    /// At most this many of the selected agents, first by name. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `command:accepted`: the request is journaled; one command for each agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandAccepted {
    /// The request's key.
    pub key: String,
    /// One for each agent, ordered by name.
    pub commands: Vec<AcceptedCommand>,
    /// Agents that the selector covers and that are offline; nothing will run on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offline: Vec<AgentId>,
}

/// A command of an accepted request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedCommand {
    /// Where it runs.
    pub agent_id: AgentId,
    /// Its id.
    pub command_id: CommandId,
}

/// `command:execute`: run this. An agent that already knows the id does nothing but report its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandExecute {
    /// The command's id.
    pub command_id: CommandId,
    /// What to run and how.
    #[serde(flatten)]
    pub spec: CommandSpec,
}

/// `command:query`: which commands are there?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CommandQuery {
    /// Only those whose id starts with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_prefix: Option<String>,
    /// Only those of agents that this selector covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Only those in one of these states; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<State>,
    /// Only those created before this, and of this very millisecond those with a smaller id than `before_id`: the last
    /// command of one answer leads to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
    /// See `before`. Absent: none of that millisecond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_id: Option<CommandId>,
    /// At most so many, newest first; the daemon's default is 100, its bound 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl CommandQuery {
    /// Whether a command created then comes after the place that `before` names.
    pub fn is_before(&self, created_at: Timestamp, id: CommandId) -> bool {
        self.before.is_none_or(|before| {
            let place = (before, self.before_id.unwrap_or(CommandId([0; 16])));
            (created_at, id) < place
        })
    }
}

/// `command:list`: the answer to `command:query`, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandList {
    /// The commands that fit.
    pub commands: Vec<CommandSummary>,
    /// Whether older ones were left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}
