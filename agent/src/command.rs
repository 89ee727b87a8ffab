//! A command as the agent knows it: where it is in its life, and how that is told to the daemon.

use opsctl_protocol::CommandId;
use opsctl_protocol::message::{CommandReport, CommandSpec, CommandStatus, State};

use crate::attach::Attachment;
use crate::wire::Progress;

/// A command that isn't settled.
pub(crate) struct Command {
    /// What it runs; absent for one that ended before it was about to start, in an earlier life of the agent.
    pub(crate) spec: Option<CommandSpec>,
    /// The agent's main terminal.
    pub(crate) main: bool,
    /// Where it is.
    pub(crate) phase: Phase,
    /// Output before this is durable at the daemon.
    pub(crate) acked: u64,
}

/// Where a command is in its life.
pub(crate) enum Phase {
    /// It waits for a free place.
    Queued,
    /// Its start is being written to the journal.
    Journaling,
    /// It waits for a holder.
    Starting,
    /// A holder has it.
    Held(Held),
    /// It was started by an earlier agent, and its holder has not answered yet.
    Sought,
    /// It has ended, and no holder remembers it.
    Ended(Box<CommandStatus>),
}

/// A command in a holder's hands.
pub(crate) struct Held {
    /// The way to the holder.
    pub(crate) holder: Attachment,
    /// It has said something; before, it cannot have started anything.
    pub(crate) ready: bool,
    /// What the holder said last.
    pub(crate) progress: Progress,
}

impl Command {
    /// Where it is, for the daemon.
    pub(crate) fn status(&self, id: CommandId) -> CommandStatus {
        match &self.phase {
            Phase::Queued | Phase::Journaling | Phase::Starting => {
                CommandStatus::new(id, State::Delivered)
            }
            Phase::Sought => CommandStatus::new(id, State::Running),
            Phase::Held(held) => status_of(id, &held.progress),
            Phase::Ended(status) => CommandStatus::clone(status),
        }
    }

    /// Where it is, when the daemon hasn't got all of its output yet: an end that only the holder knows is told after
    /// the output before it.
    pub(crate) fn status_before_output(&self, id: CommandId) -> CommandStatus {
        match &self.phase {
            Phase::Held(held) => status_of(
                id,
                &Progress {
                    end: None,
                    ..held.progress.clone()
                },
            ),
            _ => self.status(id),
        }
    }

    /// What `agent:connect` says of it.
    pub(crate) fn report(&self, id: CommandId) -> CommandReport {
        let to = match &self.phase {
            Phase::Held(held) => held.holder.to().max(held.progress.to),
            _ => self.acked,
        };
        CommandReport {
            status: self.status_before_output(id),
            from: self.acked,
            to,
            spec: self.spec.clone(),
            main: self.main,
        }
    }
}

/// What a holder's words mean to the daemon.
pub(crate) fn status_of(id: CommandId, progress: &Progress) -> CommandStatus {
    let state = match (&progress.end, progress.started_at) {
        (Some(end), _) if end.failure.is_some() => State::Failed,
        (Some(_), _) => State::Exited,
        (None, Some(_)) => State::Running,
        (None, None) => State::Delivered,
    };
    let mut status = CommandStatus {
        started_at: progress.started_at,
        ..CommandStatus::new(id, state)
    };
    if let Some(end) = &progress.end {
        status.exit_code = end.exit_code;
        status.signal = end.signal;
        status.timed_out = end.timed_out;
        status.reason.clone_from(&end.failure);
        status.finished_at = Some(end.at);
        status.offset = Some(progress.to);
        status.input_offset = Some(progress.input);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::End;
    use opsctl_protocol::Timestamp;

    #[test]
    fn progress_reads_as_a_status() {
        let id = CommandId([1; 16]);
        let mut progress = Progress::default();
        assert_eq!(status_of(id, &progress).state, State::Delivered);
        progress.started_at = Some(Timestamp(5));
        assert_eq!(status_of(id, &progress).state, State::Running);
        progress.to = 9;
        progress.end = Some(End {
            exit_code: Some(7),
            at: Timestamp(6),
            ..End::default()
        });
        let status = status_of(id, &progress);
        assert_eq!(
            (status.state, status.exit_code, status.offset),
            (State::Exited, Some(7), Some(9))
        );
        progress.end = Some(End {
            failure: Some("no".into()),
            ..End::default()
        });
        assert_eq!(status_of(id, &progress).state, State::Failed);
    }
}
