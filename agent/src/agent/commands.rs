//! From `command:execute` to a holder with its job, and what holders say.

use std::io;
use std::time::Duration;

use opsctl_protocol::message::{
    CommandInterrupt, CommandSpec, CommandStatus, ErrorCode, ErrorPayload, State,
};
use opsctl_protocol::{CommandId, Timestamp};
use tokio::time::Instant;

use super::{Agent, Event};
use crate::attach::{Attachment, HolderKey, News, send_last};
use crate::command::{Command, Held, Phase};
use crate::journal::Record;
use crate::pool::Fresh;
use crate::wire::{FromHolder, Job, Progress, ToHolder};

/// How long after a start another holder is started, when the command hasn't ended before: starting one takes time on
/// a processor that the command itself, or its end on its way to whoever waits for it, can use.
const REFILL_AFTER: Duration = Duration::from_millis(20);

impl Agent {
    /// Takes a command up, unless it is known.
    pub(super) fn execute(&mut self, id: CommandId, spec: CommandSpec) {
        if let Some(command) = self.commands.get(&id) {
            let status = command.status_before_output(id);
            self.send(status);
            return;
        }
        let checked = spec.check();
        let command = Command {
            spec: Some(spec),
            main: false,
            phase: Phase::Queued,
            acked: 0,
        };
        self.commands.insert(id, command);
        if let Err(reason) = checked {
            self.end_without_holder(id, State::Failed, Some(reason));
        } else if self.queue.push(id) {
            self.begin(id);
        }
    }

    /// Writes the start to the journal; [`Self::journaled`] goes on.
    pub(super) fn begin(&mut self, id: CommandId) {
        let Some(command) = self.commands.get_mut(&id) else {
            return;
        };
        let Some(spec) = command.spec.clone() else {
            return;
        };
        command.phase = Phase::Journaling;
        let events = self.events.clone();
        let record = Record::Start {
            command_id: id,
            spec,
            main: command.main,
        };
        self.journal.sync(record, move |written| {
            // The agent has ended when nobody listens.
            let _ = events.blocking_send(Event::Journaled(id, written));
        });
    }

    pub(super) fn journaled(&mut self, id: CommandId, written: io::Result<()>) {
        // It may have been cancelled meanwhile.
        let Some(command) = self
            .commands
            .get_mut(&id)
            .filter(|command| matches!(command.phase, Phase::Journaling))
        else {
            return;
        };
        if let Err(error) = written {
            let reason = format!("the agent cannot write its journal: {error}");
            self.end_without_holder(id, State::Failed, Some(reason));
            return;
        }
        command.phase = Phase::Starting;
        if let Some(fresh) = self.pool.take(id, Fresh::is_alive) {
            self.hand_over(id, fresh);
            self.refill = Some(Instant::now() + REFILL_AFTER);
        } else {
            self.start_holders();
        }
    }

    /// Starts as many holders as are wanted. Making a process stops the thread that asks for it, so others do.
    pub(super) fn start_holders(&mut self) {
        self.refill = None;
        for _ in 0..self.pool.missing() {
            let (launcher, events) = (self.launcher.clone(), self.events.clone());
            tokio::task::spawn_blocking(move || {
                // The agent has ended when nobody listens.
                let _ = events.blocking_send(Event::Started(launcher.start()));
            });
        }
    }

    pub(super) fn holder_started(&mut self, started: io::Result<Fresh>) {
        match started {
            Ok(fresh) => {
                if let Some((id, fresh)) = self.pool.started(fresh) {
                    self.hand_over(id, fresh);
                }
            }
            Err(error) => {
                tracing::error!(%error, program = %self.launcher.program.display(), "no holder can be started");
                if let Some(id) = self.pool.failed() {
                    let reason = format!("the agent cannot start a holder: {error}");
                    self.end_without_holder(id, State::Failed, Some(reason));
                }
            }
        }
    }

    /// Gives a holder its job.
    fn hand_over(&mut self, id: CommandId, fresh: Fresh) {
        let socket = match fresh.into_socket() {
            Ok(socket) => socket,
            Err(error) => {
                let reason = format!("the agent cannot reach its holder: {error}");
                self.end_without_holder(id, State::Failed, Some(reason));
                return;
            }
        };
        let (key, holder) = self.attach(socket);
        let Some(command) = self.commands.get_mut(&id) else {
            return;
        };
        let Some(spec) = command.spec.clone() else {
            return;
        };
        holder.tell(&ToHolder::Job(Box::new(Job {
            command_id: id,
            agent: self.options.name.to_string(),
            spec,
            kill_grace_ms: self.options.kill_grace.as_millis() as u64,
            main: command.main,
        })));
        if let Some(link) = &self.link {
            self.generation += 1;
            holder.stream(id, self.generation, command.acked, link.clone());
        }
        command.phase = Phase::Held(Held {
            holder,
            ready: false,
            progress: Progress::default(),
        });
        self.holders.insert(key, id);
    }

    /// Ends a command that no holder has.
    pub(super) fn end_without_holder(
        &mut self,
        id: CommandId,
        state: State,
        reason: Option<String>,
    ) {
        let status = CommandStatus {
            reason,
            finished_at: Some(Timestamp::now()),
            ..CommandStatus::new(id, state)
        };
        self.journal.note(Record::Ended {
            status: Box::new(status.clone()),
        });
        if let Some(link) = self.link.clone() {
            // Its output may still be on its way.
            let status = status.clone();
            tokio::spawn(async move { send_last(&link, status).await });
        }
        self.main.failed(id, &status);
        if let Some(command) = self.commands.get_mut(&id) {
            command.phase = Phase::Ended(Box::new(status));
        }
        self.pool.forget(id);
        self.release(id);
    }

    /// Gives the command's place to the next.
    fn release(&mut self, id: CommandId) {
        for next in self.queue.remove(id) {
            self.begin(next);
        }
    }

    pub(super) fn interrupt(&mut self, interrupt: &CommandInterrupt) {
        let Some(id) = interrupt.command_id else {
            return;
        };
        match self.commands.get(&id).map(|command| &command.phase) {
            Some(Phase::Queued | Phase::Journaling | Phase::Starting) => {
                self.end_without_holder(id, State::Cancelled, None);
            }
            Some(Phase::Held(held)) => {
                let signal = ToHolder::Signal {
                    signal: interrupt.signal,
                    escalate: interrupt.escalate,
                };
                held.holder.tell(&signal);
            }
            Some(Phase::Sought) => self.refuse(
                ErrorCode::Internal,
                format!("the holder of {id} does not answer"),
            ),
            Some(Phase::Ended(_)) => {}
            None => self.refuse(
                ErrorCode::UnknownCommand,
                format!("no command {id} is known here"),
            ),
        }
    }

    pub(super) fn refuse(&self, code: ErrorCode, message: String) {
        tracing::warn!(
            code = code.as_str(),
            message,
            "a request of the daemon cannot be served"
        );
        self.send(ErrorPayload::new(code, message));
    }

    /// The daemon has all of a command.
    pub(super) fn settle(&mut self, id: CommandId) {
        let Some(command) = self.commands.get(&id) else {
            return;
        };
        match &command.phase {
            Phase::Held(held) if held.progress.end.is_some() => {
                held.holder.tell(&ToHolder::Settle);
            }
            Phase::Held(_) | Phase::Sought => {
                tracing::warn!(command = %id, "the daemon has settled a command whose program still runs; keeping it");
                return;
            }
            // One that waits was taken back while the daemon was away.
            Phase::Queued | Phase::Journaling | Phase::Starting | Phase::Ended(_) => {}
        }
        self.commands.remove(&id);
        self.holders.retain(|_, other| *other != id);
        self.pool.forget(id);
        self.release(id);
        self.journal.note(Record::Settled { command_id: id });
        self.main.settled(id);
    }

    pub(super) fn holder_news(&mut self, key: HolderKey, news: News) {
        match news {
            News::Said(FromHolder::Hello { job, progress }) => {
                if let Some(holder) = self.silent.remove(&key) {
                    self.found(key, holder, *job, progress);
                }
                self.nobody_left_to_seek();
            }
            News::Said(message) => {
                if let Some(id) = self.holders.get(&key).copied() {
                    self.holder_said(id, message);
                }
            }
            News::Gone => self.holder_gone(key),
        }
    }

    fn holder_said(&mut self, id: CommandId, message: FromHolder) {
        match message {
            FromHolder::Progress(progress) => {
                let Some(Command {
                    phase: Phase::Held(held),
                    ..
                }) = self.commands.get_mut(&id)
                else {
                    return;
                };
                held.progress = progress;
                held.ready = true;
                if held.progress.end.is_some() {
                    let progress = held.progress.clone();
                    self.main.ended_with(id, &progress);
                    self.release(id);
                    self.start_holders();
                }
            }
            FromHolder::Ready => {
                if let Some(Command {
                    phase: Phase::Held(held),
                    ..
                }) = self.commands.get_mut(&id)
                {
                    held.ready = true;
                }
            }
            FromHolder::InputRefused { reason } => {
                self.refuse(
                    ErrorCode::InputRejected,
                    format!("input for {id}: {reason}"),
                );
            }
            FromHolder::Hello { .. } | FromHolder::Resumed { .. } | FromHolder::Consumed { .. } => {
            }
        }
    }

    /// A holder is gone that wasn't told to go.
    fn holder_gone(&mut self, key: HolderKey) {
        self.silent.remove(&key);
        if let Some(id) = self.holders.remove(&key) {
            tracing::error!(command = %id, log = %self.launcher.log.display(), "the holder of a command is gone");
            if self.held(id).is_some_and(|held| held.ready) {
                let reason = "the process that held the program is gone".to_owned();
                self.end_without_holder(id, State::Lost, Some(reason));
            } else {
                let reason = "the process that was to hold the program ended at once".to_owned();
                self.end_without_holder(id, State::Failed, Some(reason));
            }
        }
        self.nobody_left_to_seek();
    }

    /// A holder of an earlier agent has said what it has.
    pub(super) fn found(
        &mut self,
        key: HolderKey,
        holder: Attachment,
        job: Job,
        progress: Progress,
    ) {
        let id = job.command_id;
        let ended = progress.end.is_some();
        if !ended && !job.main {
            self.queue.occupy(id);
        }
        let known = self.commands.get(&id);
        // A holder whose command is settled missed the word for it; one whose command ended otherwise is a stray.
        let wanted = known.is_some_and(|command| matches!(command.phase, Phase::Sought));
        if !wanted {
            if ended {
                holder.tell(&ToHolder::Settle);
                return;
            }
            tracing::warn!(command = %id, "a program runs that the journal doesn't know; taking it up");
        }
        let acked = progress.from;
        let main = job.main;
        self.holders.insert(key, id);
        let held = Held {
            holder,
            ready: true,
            progress,
        };
        self.commands.insert(
            id,
            Command {
                spec: Some(job.spec),
                main,
                phase: Phase::Held(held),
                acked,
            },
        );
        self.resume(id, acked);
    }
}
