//! The rows, in the hub's words.

use std::collections::BTreeMap;

use opsctl_protocol::message::{
    Activity, CommandSpec, CommandSummary, TerminalType, TerminalTyped,
};
use opsctl_protocol::{AgentId, CommandId, Timestamp};

/// One change to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every write is the large one"
)]
pub enum Write {
    /// Puts an agent in the place of what is known about it.
    Agent(AgentRow),
    /// Adds a request and its commands; the key must be new.
    Request(RequestRow),
    /// Puts a command's state in the place of the former; adds the command where it is new. What cannot change in a
    /// command's life (agent, spec, key) is not written again.
    Command(CommandRow),
    /// Adds a message for a terminal; the key must be new.
    AddMessage(Box<MessageRow>),
    /// Puts how a message stands in the place of the former.
    Message(Box<MessageRow>),
    /// Removes messages that were asked for before a time and wait no more.
    RemoveMessages(Timestamp),
    /// Removes an agent.
    ForgetAgent(AgentId),
    /// Removes commands that have ended, and requests whose commands are gone, by their keys.
    Remove(Vec<CommandId>, Vec<String>),
}

/// What is known about an agent while it is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// The agent's name.
    pub agent_id: AgentId,
    /// Labels that selectors match.
    pub labels: BTreeMap<String, String>,
    /// Facts about its host.
    pub facts: BTreeMap<String, String>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// How many commands it runs at once.
    pub max_commands: Option<u32>,
    /// What it was doing.
    pub activity: Activity,
    /// Since when it has (or has not) been connected.
    pub since: Timestamp,
    /// When it was last heard.
    pub last_seen: Timestamp,
}

/// An accepted request: enough to give the same answer again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// The request's idempotency key.
    pub key: String,
    /// What tells the request's body from another's.
    pub fingerprint: String,
    /// Who asked.
    pub subject: String,
    /// When, by the daemon's clock.
    pub created_at: Timestamp,
    /// How many of its commands run at once.
    pub fanout: Option<u32>,
    /// Its commands, in the answer's order; each must carry the request's key.
    pub commands: Vec<CommandRow>,
    /// Agents that the selector covered and that were offline, in the answer's order.
    pub offline: Vec<AgentId>,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRow {
    /// What people see of it, its state included.
    pub summary: CommandSummary,
    /// How to run it.
    pub spec: CommandSpec,
    /// The key of the request that it belongs to, which is also its fan-out group; empty for a main terminal.
    pub key: String,
    /// How long it may wait for its agent, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// What somebody has begun to type into its terminal; absent where nobody has followed the keys.
    pub draft: Option<DraftRow>,
}

/// What stood in a terminal's input behind the last Enter, as far as the keys were followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DraftRow {
    /// How many characters, about; none is no draft.
    pub count: u32,
    /// Bytes of input up to there.
    pub to: u64,
}

/// A message for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// What was asked.
    pub asked: TerminalType,
    /// How it stands; `queued` until nothing more will become of it.
    pub typed: TerminalTyped,
    /// What has been, or is about to be sent.
    pub sent: Option<Sent>,
}

/// What is typed of a message, without the Enter behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of the terminal's input before it.
    pub from: u64,
    /// The bytes.
    pub data: Vec<u8>,
}

impl Sent {
    /// The offset behind it.
    pub fn end(&self) -> u64 {
        self.from + self.data.len() as u64
    }
}
