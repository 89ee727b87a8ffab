//! A command as the agent knows it: where it is in its life, and how that is told to the daemon.

use std::collections::VecDeque;
use std::path::PathBuf;

use opsctl_protocol::CommandId;
use opsctl_protocol::message::{CommandReport, CommandSpec, CommandStatus, Foreground, State};

use crate::attach::Attachment;
use crate::pool::Fresh;
use crate::report::{Report, Said};
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
    /// Holders that got it and died before they started anything.
    pub(crate) attempts: u32,
    /// Output before this was given to the present connection by a holder that is gone.
    pub(crate) streamed: u64,
    /// The daemon was told over the present connection that no input is taken now, and hears when it is again.
    pub(crate) input_refused: bool,
}

/// Where a command is in its life.
pub(crate) enum Phase {
    /// It waits for a free place.
    Queued,
    /// It waits for a holder.
    Starting,
    /// Its start is being written to the journal; then this holder gets it.
    Journaling(Fresh),
    /// A holder has it.
    Held(Held),
    /// It was started, perhaps by an earlier agent, and what became of it is being found out.
    Sought {
        /// The directory of the holder that was to get the job, where that is known.
        holder: Option<String>,
    },
    /// It has ended, and no holder remembers it.
    Ended(Box<CommandStatus>),
}

/// A command in a holder's hands.
pub(crate) struct Held {
    /// The way to the holder.
    pub(crate) holder: Attachment,
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// It has said something of its program.
    pub(crate) begun: bool,
    /// What the holder said last.
    pub(crate) progress: Progress,
    /// What the program said last that it is doing.
    pub(crate) report: Option<Report>,
    /// What was in front in its terminal last.
    pub(crate) foreground: Option<Foreground>,
    /// What else it said and the daemon may not have, numbered, oldest first; the holder keeps them few.
    pub(crate) notices: VecDeque<(u64, Said)>,
}

impl Command {
    /// Whether its program has ended, or was never started.
    pub(crate) fn has_ended(&self) -> bool {
        match &self.phase {
            Phase::Held(held) => held.progress.end.is_some(),
            Phase::Ended(_) => true,
            _ => false,
        }
    }

    /// Where it is, for the daemon.
    pub(crate) fn status(&self, id: CommandId) -> CommandStatus {
        match &self.phase {
            Phase::Queued | Phase::Starting | Phase::Journaling(_) => {
                CommandStatus::new(id, State::Delivered)
            }
            Phase::Sought { .. } => CommandStatus::new(id, State::Running),
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
        let (from, to) = match &self.phase {
            Phase::Held(held) => (
                held.progress.from.max(self.acked),
                held.holder.to().max(held.progress.to),
            ),
            _ => (self.acked, self.acked),
        };
        CommandReport {
            status: self.status_before_output(id),
            from,
            to,
            spec: self.spec.clone(),
            main: self.main,
        }
    }
}

/// What a holder's words mean to the daemon.
pub(crate) fn status_of(id: CommandId, progress: &Progress) -> CommandStatus {
    let state = match (&progress.end, progress.started_at) {
        (Some(end), _) if end.lost.is_some() => State::Lost,
        (Some(end), _) if end.failure.is_some() => State::Failed,
        (Some(_), _) => State::Exited,
        (None, Some(_)) => State::Running,
        (None, None) => State::Delivered,
    };
    let mut status = CommandStatus {
        started_at: progress.started_at,
        // Both also where they were told before: over a connection that was lost, perhaps.
        input_offset: progress.started_at.map(|_| progress.input),
        input_received: progress.received.filter(|_| progress.started_at.is_some()),
        ..CommandStatus::new(id, state)
    };
    if let Some(end) = &progress.end {
        status.exit_code = end.exit_code;
        status.signal = end.signal;
        status.timed_out = end.timed_out;
        status.reason = end.lost.clone().or_else(|| end.failure.clone());
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
        progress.input = 5;
        let told = status_of(id, &progress).input_offset;
        assert_eq!(told, Some(5), "its last report may be lost");
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
        progress.end = Some(End {
            lost: Some("gone".into()),
            ..End::default()
        });
        let status = status_of(id, &progress);
        assert_eq!(
            (status.state, status.reason.as_deref()),
            (State::Lost, Some("gone"))
        );
    }
}
