//! Every exit code of the binary, in one table: what `--help` shows, what failures map to, and how a command's end becomes
//! the code of the program that waited for it.

use std::fmt::{self, Write as _};

use opsctl_protocol::message::{CommandStatus, ErrorCode, State};

/// The codes that opsctl itself gives; a command's own code passes through beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All went well.
    Ok = 0,
    /// Something failed that has no code of its own.
    General = 1,
    /// Arguments or settings are wrong.
    Usage = 2,
    /// The command's `--timeout` passed.
    Timeout = 124,
    /// The selector covers no agent.
    NoMatch = 240,
    /// The agent is known and not connected.
    AgentOffline = 241,
    /// No daemon answers.
    Unreachable = 242,
    /// The token was refused, or the role does not permit this.
    NotAllowed = 243,
    /// The command has no exit status: it could not be started, was lost or cancelled.
    NoStatus = 244,
    /// No command has this id.
    UnknownCommand = 245,
    /// Something else already holds the state directory, the socket or the port.
    InUse = 246,
    /// The command waited longer than its time to live and never started.
    Expired = 247,
    /// Output that was asked for is no longer kept.
    OutputGone = 248,
    /// This must run inside a terminal that opsctl holds, and doesn't.
    NotInside = 249,
    /// Nothing was typed: something stood in the way.
    NotTyped = 250,
}

/// What `--help` says of each code, in ascending order.
const TABLE: [(&str, &str); 17] = [
    ("0", "success"),
    ("1", "general failure"),
    ("2", "wrong usage or settings"),
    (
        "N",
        "the command's own exit code; the highest when several agents ran it",
    ),
    ("124", "the command passed its timeout"),
    ("128+N", "the command was ended by signal N"),
    ("240", "no agent matches"),
    ("241", "the agent is offline"),
    ("242", "the daemon cannot be reached"),
    (
        "243",
        "the token was refused, or the role does not permit this",
    ),
    (
        "244",
        "the command could not be started, was lost or cancelled",
    ),
    ("245", "no command has this id"),
    ("246", "already running, or the address is in use"),
    ("247", "the --ttl passed before it could start or be typed"),
    ("248", "some of the output is no longer kept"),
    (
        "249",
        "this runs in no terminal of opsctl's, or what held it is gone",
    ),
    ("250", "nothing was typed: something stood in the way"),
];

/// The table as text for `--help`.
pub fn table() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in TABLE {
        // A string takes everything.
        let _ = writeln!(text, "  {code:<6} {meaning}");
    }
    text
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> Self {
        code as Self
    }
}

impl ExitCode {
    /// The code for a request that the daemon refused.
    pub fn of_refusal(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NoMatch | ErrorCode::UnknownAgent => Self::NoMatch,
            ErrorCode::AgentOffline => Self::AgentOffline,
            ErrorCode::TokenMissing
            | ErrorCode::TokenInvalid
            | ErrorCode::TokenExpired
            | ErrorCode::Forbidden => Self::NotAllowed,
            ErrorCode::UnknownCommand | ErrorCode::AmbiguousCommand => Self::UnknownCommand,
            ErrorCode::NoTerminal => Self::NotTyped,
            ErrorCode::BadSelector | ErrorCode::BadRequest | ErrorCode::KeyReused => Self::Usage,
            _ => Self::General,
        }
    }
}

/// The code for a command that has ended: its own, 128+n for a signal, 124 for its timeout.
pub fn of_status(status: &CommandStatus) -> u8 {
    of_end(
        status.state,
        status.timed_out,
        status.exit_code,
        status.signal,
    )
}

/// The code for a command's end, from its parts.
pub fn of_end(state: State, timed_out: bool, exit_code: Option<i32>, signal: Option<i32>) -> u8 {
    let none = match state {
        State::Expired => ExitCode::Expired,
        _ => ExitCode::NoStatus,
    };
    state
        .exit_status(timed_out, exit_code, signal)
        .unwrap_or(none.into())
}

/// A failure with a code of its own, and perhaps a hint what to do. Travels inside [`anyhow::Error`]; `main` prints it.
#[derive(Debug)]
pub struct Failure {
    /// The process's exit code.
    pub code: ExitCode,
    /// What went wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Tells a person about a failure on stderr, and returns the code to exit with.
pub fn report(error: &anyhow::Error) -> u8 {
    eprintln!("opsctl: {error:#}");
    let failure = error.downcast_ref::<Failure>();
    if let Some(hint) = failure.and_then(|failure| failure.hint.as_ref()) {
        eprintln!("  {}", hint.replace('\n', "\n  "));
    }
    failure
        .map_or(ExitCode::General, |failure| failure.code)
        .into()
}

#[cfg(test)]
mod tests {
    use opsctl_protocol::CommandId;

    use super::*;

    fn exited(code: Option<i32>, signal: Option<i32>, timed_out: bool) -> CommandStatus {
        let mut status = CommandStatus::new(CommandId::random(), State::Exited);
        (status.exit_code, status.signal, status.timed_out) = (code, signal, timed_out);
        status
    }

    #[test]
    fn ends_become_codes() {
        assert_eq!(of_status(&exited(Some(7), None, false)), 7);
        assert_eq!(of_status(&exited(None, Some(9), false)), 137);
        assert_eq!(of_status(&exited(None, Some(2), true)), 124);
        assert_eq!(of_status(&exited(Some(300), None, false)), 255);
        assert_eq!(
            of_status(&CommandStatus::new(CommandId::random(), State::Lost)),
            244
        );
        assert_eq!(
            of_status(&CommandStatus::new(CommandId::random(), State::Expired)),
            247
        );
    }

    #[test]
    fn failures_keep_their_code_under_context() {
        let error =
            anyhow::Error::from(Failure::new(ExitCode::NoMatch, "nobody")).context("while sending");
        assert_eq!(report(&error), 240);
        assert_eq!(report(&anyhow::anyhow!("plain")), 1);
    }
}
