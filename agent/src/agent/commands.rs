//! From `command:execute` to a holder with its job, and what holders say.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use opsctl_protocol::message::{
    CommandInterrupt, CommandSpec, CommandStatus, ErrorCode, ErrorPayload, State,
};
use opsctl_protocol::{CommandId, Timestamp};
use tokio::time::Instant;

use super::{Agent, Event, Silent};
use crate::attach::{Attachment, HolderKey, News, send_last};
use crate::command::{Command, Held, Phase};
use crate::holder::record;
use crate::journal::{Record, Start};
use crate::pool::Fresh;
use crate::spool::SpoolLimits;
use crate::wire::{FromHolder, Job, Progress, ToHolder};

/// How long after a start another holder is started, when the command hasn't ended before: starting one takes time on
/// a processor that the command itself, or its end on its way to whoever waits for it, can use.
const REFILL_AFTER: Duration = Duration::from_millis(20);

/// How many holders are tried that die before they start anything.
const ATTEMPTS: u32 = 3;

impl Agent {
    /// Takes a command up, unless it is known.
    pub(super) fn execute(&mut self, id: CommandId, spec: CommandSpec) {
        if self.stopping {
            // The next agent of this name doesn't know it, and the daemon sends it again.
            return;
        }
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
            streamed: 0,
            input_refused: false,
            attempts: 0,
        };
        self.commands.insert(id, command);
        if let Err(reason) = checked {
            self.end_without_holder(id, State::Failed, Some(reason));
        } else if self.queue.push(id) {
            self.begin(id);
        }
    }

    /// Gets a holder for the command; [`Self::journal_start`] goes on.
    pub(super) fn begin(&mut self, id: CommandId) {
        let Some(command) = self.commands.get_mut(&id) else {
            return;
        };
        command.phase = Phase::Starting;
        if let Some(fresh) = self.pool.take(id, Fresh::is_alive) {
            self.refill = Some(Instant::now() + REFILL_AFTER);
            self.journal_start(id, fresh);
        } else {
            self.start_holders();
        }
    }

    /// Writes the start to the journal, with the holder that will get the job; [`Self::journaled`] goes on.
    fn journal_start(&mut self, id: CommandId, fresh: Fresh) {
        let Some(command) = self.commands.get_mut(&id) else {
            return;
        };
        let Some(spec) = command.spec.clone() else {
            return;
        };
        let start = Start {
            spec,
            main: command.main,
            holder: fresh.name(),
        };
        command.phase = Phase::Journaling(fresh);
        let events = self.events.clone();
        let record = Record::Start {
            command_id: id,
            start,
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
            .filter(|command| matches!(command.phase, Phase::Journaling(_)))
        else {
            return;
        };
        if let Err(error) = written {
            let reason = format!("the agent cannot write its journal: {error}");
            self.end_without_holder(id, State::Failed, Some(reason));
        } else if let Phase::Journaling(fresh) =
            std::mem::replace(&mut command.phase, Phase::Starting)
        {
            self.hand_over(id, fresh);
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
                    self.journal_start(id, fresh);
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
        let dir = fresh.dir.clone();
        let Some((job, acked)) = self.job(id) else {
            return;
        };
        let socket = match fresh.into_socket() {
            Ok(socket) => socket,
            Err(error) => {
                let reason = format!("the agent cannot reach its holder: {error}");
                self.end_without_holder(id, State::Failed, Some(reason));
                return;
            }
        };
        let (key, holder) = self.attach(socket);
        holder.tell(&ToHolder::Job(Box::new(job)));
        if let Some(link) = &self.link {
            self.generation += 1;
            holder.stream(id, self.generation, acked, link.clone());
        }
        let Some(command) = self.commands.get_mut(&id) else {
            return;
        };
        command.phase = Phase::Held(Held {
            holder,
            dir,
            begun: false,
            progress: Progress::default(),
            report: None,
            foreground: None,
            notices: VecDeque::new(),
        });
        self.holders.insert(key, id);
    }

    /// What a holder is told to run, and the output of it that nobody needs any more.
    pub(super) fn job(&self, id: CommandId) -> Option<(Job, u64)> {
        let options = &self.options;
        let command = self.commands.get(&id)?;
        let job = Job {
            command_id: id,
            agent: options.name.to_string(),
            spec: command.spec.clone()?,
            kill_grace_ms: options.kill_grace.as_millis() as u64,
            main: command.main,
            // One for each command that may run, and for the main program.
            spool: SpoolLimits::new(
                options.spool_bytes,
                options.max_commands.saturating_add(1),
                options.when_full,
            ),
            alone_ms: options.alone.map(|alone| alone.as_millis() as u64),
        };
        Some((job, command.acked))
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
        self.put_back(id, Phase::Ended(Box::new(status)));
        self.pool.forget(id);
        self.release(id);
    }

    /// Takes a command to another phase; a holder that was meant for it is free for others.
    pub(super) fn put_back(&mut self, id: CommandId, phase: Phase) {
        let Some(command) = self.commands.get_mut(&id) else {
            return;
        };
        if let Phase::Journaling(fresh) = std::mem::replace(&mut command.phase, phase)
            && let Some((next, fresh)) = self.pool.give(fresh)
        {
            self.journal_start(next, fresh);
        }
    }

    /// Gives the command's place to the next.
    fn release(&mut self, id: CommandId) {
        for next in self.queue.remove(id) {
            self.begin(next);
        }
    }

    /// Passes a signal on to a command, and answers the message with this `id`, where it has one, when that is done.
    pub(super) fn interrupt(&mut self, interrupt: &CommandInterrupt, id: Option<String>) {
        let Some(command_id) = interrupt.command_id else {
            return;
        };
        match self.pass_signal(command_id, interrupt) {
            Ok(status) if id.is_some() => self.answer(id, status),
            // Nobody asked, and an end is told anyway.
            Err((ErrorCode::Finished, _)) if id.is_none() => {}
            Ok(_) => {}
            Err((code, why)) => self.refuse_to(id, code, why),
        }
    }

    /// Returns how the command stands, to be told now: an end that has output before it comes later.
    fn pass_signal(
        &mut self,
        id: CommandId,
        interrupt: &CommandInterrupt,
    ) -> Result<CommandStatus, NoSignal> {
        let Some(command) = self.commands.get(&id) else {
            let why = format!("no command {id} is known here");
            return Err((ErrorCode::UnknownCommand, why));
        };
        if command.has_ended() {
            return Err((ErrorCode::Finished, format!("{} has ended", id.short())));
        }
        let status = command.status_before_output(id);
        match &command.phase {
            Phase::Queued | Phase::Starting | Phase::Journaling(_) => {
                self.end_without_holder(id, State::Cancelled, None);
                Ok(CommandStatus::new(id, State::Cancelled))
            }
            Phase::Held(held) => {
                let signal = ToHolder::Signal {
                    signal: interrupt.signal,
                    escalate: interrupt.escalate,
                };
                let told = held.holder.tell(&signal).then_some(status);
                told.ok_or_else(|| silent(id))
            }
            // What is left of it, if anything, is being ended.
            Phase::Sought { .. } | Phase::Ended(_) => Err(silent(id)),
        }
    }

    pub(super) fn refuse(&self, code: ErrorCode, message: String) {
        self.refuse_to(None, code, message);
    }

    /// Says why the daemon's message with this `id` cannot be served.
    fn refuse_to(&self, id: Option<String>, code: ErrorCode, message: String) {
        tracing::warn!(
            code = code.as_str(),
            message,
            "a request of the daemon cannot be served"
        );
        self.answer(id, ErrorPayload::new(code, message));
    }

    /// The daemon has all of a command.
    pub(super) fn settle(&mut self, id: CommandId) {
        let Some(command) = self.commands.get(&id) else {
            return;
        };
        match &command.phase {
            Phase::Held(held) if held.progress.end.is_some() => {
                self.journal.note(Record::Settled { command_id: id });
                held.holder.tell(&ToHolder::Settle);
            }
            Phase::Held(_) | Phase::Sought { .. } => {
                tracing::warn!(command = %id, "the daemon has settled a command whose program still runs; keeping it");
                return;
            }
            // One that waits was taken back while the daemon was away.
            Phase::Queued | Phase::Starting | Phase::Journaling(_) | Phase::Ended(_) => {
                self.journal.note(Record::Settled { command_id: id });
            }
        }
        self.put_back(id, Phase::Queued);
        self.commands.remove(&id);
        self.holders.retain(|_, other| *other != id);
        self.pool.forget(id);
        self.release(id);
        self.main.settled(id);
    }

    pub(super) fn holder_news(&mut self, key: HolderKey, news: News) {
        match news {
            News::Said(FromHolder::Hello { job, progress }) => {
                if let Some(Silent { holder, dir }) = self.silent.remove(&key) {
                    self.sought.remove(&dir);
                    self.found(key, holder, dir, *job, &progress);
                    self.nobody_left_to_seek();
                }
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
                held.begun = true;
                if held.progress.end.is_some() {
                    let progress = held.progress.clone();
                    self.main.ended_with(id, &progress);
                    self.release(id);
                    self.start_holders();
                }
            }
            FromHolder::InputRefused { reason, .. } => {
                self.refuse(
                    ErrorCode::InputRejected,
                    format!("input for {id}: {reason}"),
                );
            }
            FromHolder::Gap { from, to, reason } => {
                tracing::warn!(command = %id, from, to, reason, "output is gone");
            }
            FromHolder::Consumed { offset, received } => {
                if let Some(Command {
                    phase: Phase::Held(held),
                    ..
                }) = self.commands.get_mut(&id)
                {
                    held.progress.input = held.progress.input.max(offset);
                    held.progress.received = received;
                }
            }
            FromHolder::Ready | FromHolder::Hello { .. } | FromHolder::Resumed { .. } => {}
            FromHolder::Report(report) => self.program_reports(id, report),
            FromHolder::Foreground(foreground) => self.has_in_front(id, foreground),
            FromHolder::Notice { number, said } => self.program_says(id, number, said),
        }
    }

    /// A holder is gone that wasn't told to go.
    fn holder_gone(&mut self, key: HolderKey) {
        if let Some(Silent { dir, .. }) = self.silent.remove(&key) {
            self.seek_later(dir);
        }
        let Some(id) = self.holders.remove(&key) else {
            return;
        };
        let Some(held) = self.held(id) else {
            return;
        };
        let (dir, begun, streamed) = (held.dir.clone(), held.begun, held.holder.to());
        if let Some(command) = self.commands.get_mut(&id) {
            command.streamed = streamed;
        }
        tracing::error!(command = %id, log = %self.launcher.log.display(), "the holder of a command is gone");
        match record::read(&dir) {
            Ok(None) if !begun => self.begin_again(id),
            // It was an older version's, which wrote nothing down, or somebody else has removed what it wrote.
            Ok(None) => {
                self.sought_without_trace(id);
            }
            Ok(Some(_)) | Err(_) => {
                self.put_back(id, Phase::Sought { holder: None });
                self.seek(dir);
            }
        }
    }

    /// Tries another holder: the first one died before it had written its job down, and so before it started anything.
    fn begin_again(&mut self, id: CommandId) {
        let Some(command) = self.commands.get_mut(&id) else {
            return;
        };
        command.attempts += 1;
        if command.attempts < ATTEMPTS {
            self.begin(id);
        } else {
            let reason = "the process that was to hold the program ended at once".to_owned();
            self.end_without_holder(id, State::Failed, Some(reason));
        }
    }

    /// A holder that this agent didn't give its job to has said what it has.
    pub(super) fn found(
        &mut self,
        key: HolderKey,
        holder: Attachment,
        dir: PathBuf,
        job: Job,
        progress: &Progress,
    ) {
        let id = job.command_id;
        let ended = progress.end.is_some();
        if !ended && !job.main {
            self.queue.occupy(id);
        }
        let known = self.commands.get(&id);
        // A holder whose command is settled missed the word for it; one whose command ended otherwise is a stray.
        let wanted = known.is_some_and(|command| matches!(command.phase, Phase::Sought { .. }));
        if !wanted {
            if ended {
                holder.tell(&ToHolder::Settle);
                return;
            }
            tracing::warn!(command = %id, "a program runs that the journal doesn't know; taking it up");
        }
        let acked = known.map_or(0, |command| command.acked);
        let from = known.map_or(0, |command| command.streamed).max(acked);
        let main = job.main;
        self.holders.insert(key, id);
        let held = Held {
            holder,
            dir,
            begun: true,
            progress: progress.clone(),
            report: None,
            foreground: None,
            notices: VecDeque::new(),
        };
        self.commands.insert(
            id,
            Command {
                spec: Some(job.spec),
                main,
                phase: Phase::Held(held),
                acked,
                streamed: 0,
                input_refused: false,
                attempts: 0,
            },
        );
        if ended {
            self.main.ended_with(id, progress);
            self.release(id);
        }
        self.resume(id, from);
    }
}

/// Why a command takes no signal.
type NoSignal = (ErrorCode, String);

fn silent(id: CommandId) -> NoSignal {
    let why = format!("the holder of {id} does not answer");
    (ErrorCode::Internal, why)
}
