//! One command on one agent, as far as this process has followed it.

use std::rc::Rc;

use opsctl_client::InputPump;
use opsctl_protocol::message::{CommandStatus, State};
use opsctl_protocol::{AgentId, CommandId};

use crate::exit_code::{self, ExitCode};

/// One command on one agent.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) agent: AgentId,
    pub(super) id: CommandId,
    /// What was last said of it.
    pub(super) status: CommandStatus,
    /// The offset after the last byte of output that came.
    pub(super) seen: u64,
    /// Its output has come whole, or as far as anybody waits for it.
    pub(super) done: bool,
    /// Where its input goes, when this process has some.
    pub(super) input: Option<Rc<InputPump>>,
}

impl Job {
    pub(super) fn new(agent: AgentId, id: CommandId, input: Option<Rc<InputPump>>) -> Self {
        let status = CommandStatus::new(id, State::Queued);
        Self {
            agent,
            id,
            status,
            seen: 0,
            done: false,
            input,
        }
    }

    /// The exit code that its end stands for.
    pub(super) fn code(&self) -> u8 {
        exit_code::of_status(&self.status)
    }

    /// Why it has no exit status, or what ended it, for people; nothing when it ended by itself.
    pub(super) fn trouble(&self) -> Option<String> {
        let status = &self.status;
        match status.state {
            State::Exited if status.timed_out => Some("timed out".to_owned()),
            State::Exited => None,
            state => Some(match (&status.reason, state) {
                (Some(reason), State::Failed) => reason.clone(),
                (Some(reason), state) if *reason != state.to_string() => {
                    format!("{state}: {reason}")
                }
                (None, State::Failed) => "could not be started".to_owned(),
                (_, state) => state.to_string(),
            }),
        }
    }

    /// How it ended, for people, where that was not with success.
    pub(super) fn verdict(&self) -> Option<String> {
        if let Some(trouble) = self.trouble() {
            return Some(trouble);
        }
        match (self.status.exit_code, self.status.signal) {
            (Some(0), _) => None,
            (Some(code), _) => Some(format!("exited with exit code {code}")),
            (None, Some(signal)) => Some(format!("ended by signal {signal}")),
            (None, None) => Some("ended without an exit code".to_owned()),
        }
    }

    /// Ends it without word from its agent.
    pub(super) fn give_up(&mut self, reason: String) {
        self.status.state = State::Lost;
        self.status.reason = Some(reason);
        self.done = true;
    }

    /// What to type to see the rest.
    pub(super) fn hint(&self) -> String {
        format!("opsctl logs -f {}", self.id.short())
    }
}

/// The exit code of all together: the highest, 0 only when all are. `taken_back` stands for commands that an interrupt
/// kept from starting.
pub(super) fn code_of_all(jobs: &[Job], absent: u8, taken_back: Option<u8>) -> u8 {
    let code = |job: &Job| match taken_back {
        Some(code) if job.status.state == State::Cancelled => code,
        _ => job.code(),
    };
    jobs.iter()
        .map(code)
        .chain([absent])
        .max()
        .unwrap_or(ExitCode::Ok.into())
}
