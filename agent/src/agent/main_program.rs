//! The agent's main terminal: a program that starts with the agent, and whose end is the agent's.

use std::time::Duration;

use opsctl_protocol::CommandId;
use opsctl_protocol::message::{CommandSpec, CommandStatus, State};
use tokio::time::Instant;

use super::Agent;
use crate::command::{Command, Phase, status_of};
use crate::wire::Progress;
use crate::{AgentError, Ended};

/// How long the agent waits for a daemon to take the end, when there is none.
const WAIT_FOR_DAEMON: Duration = Duration::from_secs(5);

/// How often it waits that long for a daemon that is there, but slow to write.
const PATIENCE: u32 = 12;

/// The main program's end, once it comes.
#[derive(Debug, Default)]
pub(super) struct Main {
    /// Which command it is.
    id: Option<CommandId>,
    /// How it ended.
    outcome: Option<Result<i32, String>>,
    /// When waiting for the daemon ends.
    deadline: Option<Instant>,
    /// Waits so far.
    waits: u32,
    /// Nothing more is waited for.
    over: bool,
}

impl Main {
    /// The agent's end, when it has come.
    pub(super) fn ended(&self) -> Option<Result<Ended, AgentError>> {
        let outcome = self.outcome.as_ref().filter(|_| self.over)?;
        Some(match outcome {
            Ok(code) => Ok(Ended::MainExited(*code)),
            Err(reason) => Err(AgentError::MainFailed {
                reason: reason.clone(),
            }),
        })
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn deadline_reached(&mut self, connected: bool) {
        self.waits += 1;
        if connected && self.waits < PATIENCE {
            self.deadline = Some(Instant::now() + WAIT_FOR_DAEMON);
        } else {
            self.over = true;
        }
    }

    /// A command ended in its holder.
    pub(super) fn ended_with(&mut self, id: CommandId, progress: &Progress) {
        let Some(end) = progress
            .end
            .as_ref()
            .filter(|_| self.id == Some(id) && self.outcome.is_none())
        else {
            return;
        };
        let code = if end.timed_out {
            Some(124)
        } else {
            end.exit_code.or(end.signal.map(|signal| 128 + signal))
        };
        self.end(code.ok_or_else(|| status_of(id, progress).reason.unwrap_or_default()));
    }

    /// A command ended without a holder.
    pub(super) fn failed(&mut self, id: CommandId, status: &CommandStatus) {
        if self.id == Some(id) && self.outcome.is_none() {
            let reason = status.reason.clone();
            self.end(Err(reason.unwrap_or_else(|| {
                format!("the main program was {}", status.state)
            })));
        }
    }

    /// The daemon has all of a command.
    pub(super) fn settled(&mut self, id: CommandId) {
        if self.id == Some(id) {
            self.over = true;
        }
    }

    fn end(&mut self, outcome: Result<i32, String>) {
        self.outcome = Some(outcome);
        self.deadline = Some(Instant::now() + WAIT_FOR_DAEMON);
    }
}

impl Agent {
    /// Starts the main program, unless an earlier agent's is the same and still runs.
    pub(super) fn start_main(&mut self) {
        let Some(mut spec) = self.options.main.clone() else {
            return;
        };
        spec.pty = true;
        if let Some(id) = self.running_main(&spec) {
            self.main.id = Some(id);
            return;
        }
        let id = CommandId::random();
        self.main.id = Some(id);
        let checked = spec.check();
        let command = Command {
            spec: Some(spec),
            main: true,
            phase: Phase::Queued,
            acked: 0,
            streamed: 0,
            input_refused: false,
            attempts: 0,
        };
        self.commands.insert(id, command);
        match checked {
            Ok(()) => self.begin(id),
            Err(reason) => self.end_without_holder(id, State::Failed, Some(reason)),
        }
    }

    fn running_main(&self, spec: &CommandSpec) -> Option<CommandId> {
        let same = |command: &Command| {
            let runs = match &command.phase {
                Phase::Held(held) => held.progress.end.is_none(),
                Phase::Sought { .. } => true,
                _ => false,
            };
            runs && command.main
                && command
                    .spec
                    .as_ref()
                    .is_some_and(|other| other.program == spec.program)
        };
        self.commands
            .iter()
            .find(|(_, command)| same(command))
            .map(|(id, _)| *id)
    }
}
