//! A command's life: its state, and what is seen of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::activity::{Activity, ActivitySource, Approval};
use super::spec::{CommandSpec, Program, default_cols, default_rows};
use crate::ids::{AgentId, CommandId, Timestamp, bounded, bounded_option};

/// The exit status of a command whose time limit passed, as of timeout(1).
const TIMED_OUT: u8 = 124;

/// Where a command is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Journaled at the daemon, not yet with the agent.
    Queued,
    /// Sent to the agent, not yet started.
    Delivered,
    /// Started.
    Running,
    /// Ended, with `exitCode` or `signal`.
    Exited,
    /// Could not be started, with a reason.
    Failed,
    /// Taken back before it started.
    Cancelled,
    /// Its time to live ended before it started.
    Expired,
    /// The agent died with it.
    Lost,
}

impl State {
    /// Whether nothing more will happen to the command.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Delivered | Self::Running)
    }

    /// The exit status that a shell would show for a command in this state: its own, 124 where its time limit passed, 128 + n
    /// where signal n ended it. `None` where it has none: it has not ended, never started, or nobody knows how it ended.
    pub fn exit_status(
        self,
        timed_out: bool,
        exit_code: Option<i32>,
        signal: Option<i32>,
    ) -> Option<u8> {
        if self != Self::Exited {
            return None;
        }
        if timed_out {
            return Some(TIMED_OUT);
        }
        // Exit statuses have eight bits; anything else is a peer's mistake and must not read as success.
        let byte = |code: i32| u8::try_from(code).unwrap_or(u8::MAX);
        exit_code
            .map(byte)
            .or_else(|| signal.map(|signal| byte(signal.saturating_add(128))))
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Lost => "lost",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        use State::{Cancelled, Delivered, Exited, Expired, Failed, Lost, Queued, Running};
        [
            Queued, Delivered, Running, Exited, Failed, Cancelled, Expired, Lost,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// `command:status`: where a command is in its life. To dashboards it always carries `command`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandStatus {
    /// Which command.
    pub command_id: CommandId,
    /// Where it runs; an agent may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Where it is in its life.
    pub state: State,
    /// `exited`: the program's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// `exited`: the number of the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// `exited`: opsctl ended it because its `timeoutMs` had passed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it started, by the agent's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended, by the agent's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The output's length in bytes when this was said; in a final state, all that there will be.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub offset: Option<u64>,
    /// Bytes of input that the program has been given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub input_offset: Option<u64>,
    /// From agents: bytes of input that will come to the program, and need not be sent again.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub input_received: Option<u64>,
    /// From agents: input was not taken. With `inputReceived`, nothing beyond that was; without it none is taken until that
    /// comes again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub input_refused: bool,
    /// To dashboards: the command itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Box<CommandSummary>>,
}

impl CommandStatus {
    /// A command's state as a message to dashboards.
    pub fn of(summary: &CommandSummary) -> Self {
        Self {
            command_id: summary.command_id,
            agent_id: Some(summary.agent_id.clone()),
            state: summary.state,
            exit_code: summary.exit_code,
            signal: summary.signal,
            timed_out: summary.timed_out,
            reason: summary.reason.clone(),
            started_at: summary.started_at,
            finished_at: summary.finished_at,
            offset: Some(summary.output_bytes),
            input_offset: None,
            input_received: None,
            input_refused: false,
            command: Some(Box::new(summary.clone())),
        }
    }

    /// A status with nothing but the state.
    pub fn new(command_id: CommandId, state: State) -> Self {
        Self {
            command_id,
            agent_id: None,
            state,
            exit_code: None,
            signal: None,
            timed_out: false,
            reason: None,
            started_at: None,
            finished_at: None,
            offset: None,
            input_offset: None,
            input_received: None,
            input_refused: false,
            command: None,
        }
    }
}

/// A command that an agent still knows, in `agent:connect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandReport {
    /// Where it is in its life.
    #[serde(flatten)]
    pub status: CommandStatus,
    /// The oldest output byte that the agent still holds.
    #[serde(default, deserialize_with = "bounded")]
    pub from: u64,
    /// The offset after the newest output byte.
    #[serde(default, deserialize_with = "bounded")]
    pub to: u64,
    /// The command itself, so that a daemon that has never heard of it (an agent's main terminal, say) can take it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<CommandSpec>,
    /// The agent's main terminal, started with it rather than by a request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub main: bool,
}

/// What people see of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandSummary {
    /// Its id.
    pub command_id: CommandId,
    /// Where it runs.
    pub agent_id: AgentId,
    /// What runs; cut off with an ellipsis where it is longer than 512 bytes.
    #[serde(flatten)]
    pub program: Program,
    /// In a terminal of its own.
    #[serde(default)]
    pub pty: bool,
    /// The terminal's columns now.
    #[serde(default = "default_cols")]
    pub cols: u16,
    /// The terminal's rows now.
    #[serde(default = "default_rows")]
    pub rows: u16,
    /// The working directory, where the request named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Who asked for it: a token's subject, `uid:N`, or the agent's name for its main terminal.
    pub requested_by: String,
    /// When it was asked for, by the daemon's clock.
    pub created_at: Timestamp,
    /// The agent's main terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub main: bool,
    /// Where it is in its life.
    pub state: State,
    /// `exited`: the program's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// `exited`: the number of the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// `exited`: opsctl ended it because its `timeoutMs` had passed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it started, by the agent's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended, by the agent's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The output's length in bytes so far.
    #[serde(default, deserialize_with = "bounded")]
    pub output_bytes: u64,
    /// `queued`: its place among those that wait for the same agent, from 1, when this was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u32>,
    /// When it expires if it has not started by then, by the daemon's clock; absent for one that may wait without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What it is doing, where that is known.
    #[serde(default, skip_serializing_if = "is_unknown")]
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
    /// What its screen asks a person for, where that is known; whatever counts as its activity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a field over by reference"
)]
fn is_unknown(activity: &Activity) -> bool {
    *activity == Activity::Unknown
}

impl CommandSummary {
    /// A command that nothing has happened to yet; who asked for it and when is left to the caller.
    pub fn queued(command_id: CommandId, agent_id: AgentId, spec: &CommandSpec) -> Self {
        Self {
            command_id,
            agent_id,
            program: spec.program.abridged(),
            pty: spec.pty,
            cols: spec.cols,
            rows: spec.rows,
            cwd: spec.cwd.clone(),
            requested_by: String::new(),
            created_at: Timestamp::default(),
            main: false,
            state: State::Queued,
            exit_code: None,
            signal: None,
            timed_out: false,
            reason: None,
            started_at: None,
            finished_at: None,
            output_bytes: 0,
            queue_position: None,
            expires_at: None,
            activity: Activity::Unknown,
            activity_reason: None,
            activity_source: None,
            activity_since: None,
            approval: None,
        }
    }

    /// What the command's end means as a process exit code (shell convention): its own code, 128 + signal, 124 for a
    /// timeout; `None` while it lives, or when it never ran to an end.
    pub fn exit_status(&self) -> Option<i32> {
        match self.state {
            State::Exited if self.timed_out => Some(124),
            State::Exited => self.exit_code.or(self.signal.map(|signal| 128 + signal)),
            _ => None,
        }
    }
}
