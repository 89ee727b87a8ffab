//! Asking for commands, their life, and steering them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stream::Payload;
use crate::ids::{AgentId, CommandId, Timestamp, bounded, bounded_option};

/// What to run: exactly one of a list of arguments and a line for the shell.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Program {
    /// Program and arguments; no shell takes part.
    Argv(Vec<String>),
    /// A line for `/bin/sh -c`.
    Shell(String),
}

impl<'de> Deserialize<'de> for Program {
    /// By hand, because a derived enum that is flattened into its message takes whichever key comes first when both
    /// stand, and runs what the sender may not have meant.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        #[derive(Deserialize)]
        struct Either {
            argv: Option<Vec<String>>,
            shell: Option<String>,
        }
        let either = Either::deserialize(deserializer)?;
        match (either.argv, either.shell) {
            (Some(argv), None) => Ok(Self::Argv(argv)),
            (None, Some(line)) => Ok(Self::Shell(line)),
            (Some(_), Some(_)) => Err(D::Error::custom("argv and shell cannot stand together")),
            (None, None) => Err(D::Error::custom("a command has argv or shell")),
        }
    }
}

/// Bytes of a program that summaries show; the whole of it can be 500 times as long.
const ABRIDGED_BYTES: usize = 512;

impl Program {
    /// The program as summaries show it: what passes 512 bytes is cut off, with an ellipsis.
    #[must_use]
    pub fn abridged(&self) -> Self {
        let mut left = ABRIDGED_BYTES;
        match self {
            Self::Shell(line) => Self::Shell(abridge(line, &mut left)),
            Self::Argv(argv) => {
                let mut words = Vec::new();
                for word in argv {
                    if left == 0 {
                        break;
                    }
                    words.push(abridge(word, &mut left));
                }
                Self::Argv(words)
            }
        }
    }
}

/// `text`, or as much of it as is left; then nothing is left.
fn abridge(text: &str, left: &mut usize) -> String {
    if text.len() < *left {
        // An empty word takes room too.
        *left -= text.len() + 1;
        return text.to_owned();
    }
    let mut end = std::mem::take(left).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

impl std::fmt::Display for Program {
    /// The command as a person would type it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shell(line) => f.write_str(line),
            Self::Argv(argv) => {
                for (at, word) in argv.iter().enumerate() {
                    if at > 0 {
                        f.write_str(" ")?;
                    }
                    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
                    if !word.is_empty() && word.chars().all(plain) {
                        f.write_str(word)?;
                    } else {
                        write!(f, "'{}'", word.replace('\'', r"'\''"))?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Where a command's standard input comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stdin {
    /// Nowhere: it is empty.
    #[default]
    None,
    /// From `command:input`.
    Stream,
}

/// How to run a command; shared by the request, the execution and the journals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandSpec {
    /// `argv` or `shell`.
    #[serde(flatten)]
    pub program: Program,
    /// In a terminal of its own; else stdout and stderr are kept apart.
    #[serde(default)]
    pub pty: bool,
    /// The terminal's columns.
    #[serde(default = "default_cols")]
    pub cols: u16,
    /// The terminal's rows.
    #[serde(default = "default_rows")]
    pub rows: u16,
    /// The working directory; the agent's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Variables set on top of the agent's environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Where standard input comes from. With `pty`, the terminal takes input either way.
    #[serde(default)]
    pub stdin: Stdin,
    /// Interrupt the command when it has run this long, in milliseconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub timeout_ms: Option<u64>,
    /// How long each step of an escalation (interrupt, terminate, kill) waits, in milliseconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub kill_grace_ms: Option<u64>,
}

fn default_cols() -> u16 {
    80
}

fn default_rows() -> u16 {
    24
}

/// How long each step of an escalation waits when the request doesn't say, in milliseconds.
pub const DEFAULT_KILL_GRACE_MS: u64 = 5000;

impl CommandSpec {
    /// A command with its defaults: no terminal, no input, no timeout.
    pub fn new(program: Program) -> Self {
        Self {
            program,
            pty: false,
            cols: default_cols(),
            rows: default_rows(),
            cwd: None,
            env: BTreeMap::new(),
            stdin: Stdin::None,
            timeout_ms: None,
            kill_grace_ms: None,
        }
    }

    /// What is wrong with the command, for people.
    pub fn check(&self) -> Result<(), String> {
        use crate::limits::{MAX_COMMAND_BYTES, MAX_TERMINAL_SIDE};
        let (words, empty) = match &self.program {
            Program::Argv(argv) => (argv.clone(), argv.first().is_none_or(String::is_empty)),
            Program::Shell(line) => (vec![line.clone()], line.trim().is_empty()),
        };
        if empty {
            return Err("the command is empty".to_owned());
        }
        let bytes: usize = words
            .iter()
            .chain(self.env.keys())
            .chain(self.env.values())
            .map(|word| word.len() + 1)
            .sum();
        if bytes > MAX_COMMAND_BYTES {
            return Err(format!(
                "arguments and environment have {bytes} bytes, at most {MAX_COMMAND_BYTES} are possible"
            ));
        }
        if words
            .iter()
            .chain(self.env.values())
            .chain(&self.cwd)
            .any(|word| word.contains('\0'))
        {
            return Err("arguments, environment and directory cannot hold a NUL byte".to_owned());
        }
        if let Some(name) = self
            .env
            .keys()
            .find(|name| name.is_empty() || name.contains(['=', '\0']))
        {
            return Err(format!("{name:?} cannot name an environment variable"));
        }
        let side = 1..=MAX_TERMINAL_SIDE;
        if !side.contains(&self.cols) || !side.contains(&self.rows) {
            return Err(format!(
                "a terminal has 1 to {MAX_TERMINAL_SIDE} columns and rows, not {}x{}",
                self.cols, self.rows
            ));
        }
        Ok(())
    }
}

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
    /// To dashboards: the command itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandSummary>,
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
            command: Some(summary.clone()),
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
    /// At most so many, newest first; the daemon's default is 100, its bound 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_programs_are_abridged() {
        let short = Program::Argv(vec!["echo".to_owned(), "hi".to_owned()]);
        assert_eq!(short.abridged(), short);
        let long = Program::Argv(vec!["echo".to_owned(), "é".repeat(9000), "more".to_owned()]);
        let Program::Argv(words) = long.abridged() else {
            panic!("it stays what it was")
        };
        assert_eq!(words.len(), 2);
        assert!(words[1].len() < 520 && words[1].ends_with('…'));
        let Program::Shell(line) = Program::Shell("x".repeat(600)).abridged() else {
            panic!("it stays what it was")
        };
        assert_eq!(line.chars().count(), 513);
        let Program::Argv(words) = Program::Argv(vec![String::new(); 100_000]).abridged() else {
            panic!("it stays what it was")
        };
        assert!(words.len() <= 512);
    }
}
