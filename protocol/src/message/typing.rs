//! Typing into the terminal of a program that runs: whole messages, and answers to what it asks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::activity::Approval;
use crate::ids::{AgentId, CommandId, Timestamp, bounded_option};

/// `terminal:type`: type a message into a terminal, or answer what stands on its screen. Either `commandId` or `agentId`
/// (its one running terminal) stands, and either `text` or `answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a permission of its own, absent on the wire where it is not given"
)]
pub struct TerminalType {
    /// The idempotency key: the same key with the same body is typed once. At most 128 bytes.
    pub key: String,
    /// Which terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// Or the one that runs on this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// What is typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Or the answer to an approval prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<ApprovalAnswer>,
    /// Whether Enter follows the text.
    #[serde(default = "yes")]
    pub submit: bool,
    /// Several lines may be typed one by one, each with Enter, where the program takes no paste.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lines: bool,
    /// Wait until the program is idle.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub when_idle: bool,
    /// How long it may wait for that, in milliseconds. Absent: as long as the program runs.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub ttl_ms: Option<u64>,
    /// Also where the program waits for a person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_approval: bool,
    /// Also while the program is known to be busy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub while_working: bool,
    /// Also behind what somebody else has begun to type.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over_draft: bool,
}

fn yes() -> bool {
    true
}

/// The answer to an approval prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalAnswer {
    /// What is answered.
    pub verdict: Verdict,
    /// The prompt as who answers has seen it; another one is not answered.
    pub seen: Approval,
}

impl ApprovalAnswer {
    /// The keys that say so.
    pub fn keys(&self) -> &str {
        match self.verdict {
            Verdict::Approve => &self.seen.approve,
            Verdict::Deny => &self.seen.deny,
        }
    }
}

/// What is answered to an approval prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It may.
    Approve,
    /// It may not.
    Deny,
}

/// `terminal:typed`: how a message stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminalTyped {
    /// The message's key.
    pub key: String,
    /// Where its terminal runs.
    pub agent_id: AgentId,
    /// Which terminal.
    pub command_id: CommandId,
    /// How it stands.
    pub state: TypedState,
    /// `queued`: its place among those that wait for the same terminal, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u32>,
    /// `refused`: why, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<Obstacle>,
    /// Why it stands so, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `submitted`: how that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// How the message begins, on one line; of an answer its keys, `Esc` and `Enter` by these names.
    pub text: String,
    /// Whose it is: a token's subject, or `uid:N`.
    pub requested_by: String,
    /// When it was asked for, by the daemon's clock.
    pub created_at: Timestamp,
    /// When it expires if it still waits then, by the daemon's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl std::fmt::Display for TerminalTyped {
    /// How it stands, with its place and the reason: `queued (place 1; it is working)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self
            .queue_position
            .filter(|_| self.state == TypedState::Queued)
            .map(|place| format!("place {place}"));
        let notes: Vec<String> = place.into_iter().chain(self.reason.clone()).collect();
        if notes.is_empty() {
            write!(f, "{}", self.state)
        } else {
            write!(f, "{} ({})", self.state, notes.join("; "))
        }
    }
}

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TypedState {
    /// On disk at the daemon; nothing of it has been typed.
    Queued,
    /// The process that holds the terminal has all of it; more is not known.
    Typed,
    /// And Enter, and the program has reacted.
    Submitted,
    /// Nothing of it was typed, unless the reason says so, and nothing will be.
    Refused,
    /// It waited longer than its time to live; nothing was typed.
    Expired,
    /// Taken back; nothing was typed.
    Cancelled,
}

impl TypedState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Typed => "typed",
            Self::Submitted => "submitted",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will become of it.
    pub fn is_final(self) -> bool {
        self != Self::Queued
    }
}

impl std::fmt::Display for TypedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What stands in the way of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Obstacle {
    /// The program waits for a person; what is typed would answer it.
    Approval,
    /// The prompt that was to be answered is gone, or another one.
    Changed,
    /// The program is busy.
    Working,
    /// Somebody has begun to type, or may have when the daemon was restarted.
    Draft,
    /// Several lines, and the program takes no paste.
    Lines,
    /// The agent is not connected, or takes no more now.
    Offline,
    /// The agent does not say what its terminals have been given.
    Unconfirmed,
    /// The program has ended.
    Ended,
    /// Never sent; how a reader of this version sees the word of a newer one.
    #[serde(other)]
    Other,
}

/// How it is known that a message was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// The terminal was still, and the program put something out on Enter.
    Output,
    /// The program began to work.
    Working,
    /// The prompt that was answered is gone.
    Answered,
    /// Never sent; how a reader of this version sees the word of a newer one.
    #[serde(other)]
    Other,
}

/// `terminal:cancel`: take a message back that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminalCancel {
    /// The message's key.
    pub key: String,
}

/// `terminal:queue` from a dashboard: which messages wait?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TerminalQueue {
    /// Only those for terminals of agents that this selector covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

/// `terminal:queue` to a dashboard: the messages that wait, each terminal's in the order in which they will go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminalMessages {
    /// Ordered by agent.
    pub messages: Vec<TerminalTyped>,
}
