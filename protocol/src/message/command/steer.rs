//! What people do to a command that is there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::stream::Payload;
use crate::ids::{AgentId, CommandId, bounded_option};

/// A signal by its name without `SIG`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "POSIX names them")]
pub enum Signal {
    #[default]
    Int,
    Term,
    Kill,
    Hup,
    Quit,
    Usr1,
    Usr2,
    Stop,
    Cont,
}

impl Signal {
    /// Every signal that can be sent.
    pub const ALL: [Self; 9] = [
        Self::Int,
        Self::Term,
        Self::Kill,
        Self::Hup,
        Self::Quit,
        Self::Usr1,
        Self::Usr2,
        Self::Stop,
        Self::Cont,
    ];

    /// The name without `SIG`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Int => "INT",
            Self::Term => "TERM",
            Self::Kill => "KILL",
            Self::Hup => "HUP",
            Self::Quit => "QUIT",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
        }
    }
}

impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Signal {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let upper = s.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        Self::ALL
            .into_iter()
            .find(|signal| signal.as_str() == name)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|signal| signal.as_str()).collect();
                format!("{s:?} is not a signal; possible are {}", names.join(", "))
            })
    }
}

/// `command:interrupt`: send a signal to a command's processes. From a dashboard either `commandId` or `agentId` (all of
/// that agent's commands) stands; to an agent always `commandId`. A command that has not started is cancelled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CommandInterrupt {
    /// Which command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// Or all of this agent's commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Which signal: `INT` goes to the terminal's foreground group as Ctrl-C does, others to all of the command's.
    pub signal: Signal,
    /// When the command still runs after its `killGraceMs`: TERM, and after as long again KILL.
    pub escalate: bool,
}

/// `command:cancel`: take a command back that has not started; one that has is left alone and an error says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandCancel {
    /// Which command.
    pub command_id: CommandId,
}

/// `command:input`: bytes for a command's terminal or standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandInput {
    /// Which command.
    pub command_id: CommandId,
    /// The bytes.
    #[serde(flatten)]
    pub data: Payload,
    /// Bytes of input before these; what the agent already has is skipped, a hole is an error. Absent: append.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub offset: Option<u64>,
    /// Nothing follows: standard input is closed after these bytes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub eof: bool,
}

/// `command:resize`: the size of the terminal that a writer looks at the command through. The writer that was used last
/// decides the terminal's size; merely watching never does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandResize {
    /// Which command.
    pub command_id: CommandId,
    /// Columns, 1 to 1000.
    pub cols: u16,
    /// Rows, 1 to 1000.
    pub rows: u16,
}
