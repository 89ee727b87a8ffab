//! What comes from the daemon while commands run.

use std::time::Instant;

use opsctl_client::{ConnState, Event};
use opsctl_protocol::message::{CommandStatus, ErrorCode, ToDashboard};
use opsctl_protocol::{Channel, OutputFrame, Pattern};

use super::{Stop, Watch};
use crate::ask::no_connection;

/// Output that is still shown after an interrupt when the command has ended; what is more is left at the daemon.
const BACKLOG: u64 = 256 * 1024;

impl Watch<'_> {
    pub(super) fn event(&mut self, event: Event) -> Result<(), Stop> {
        match event {
            Event::Output(frame) => self.output(frame),
            Event::Message(decoded) => {
                self.message(decoded.header.channel.as_ref(), decoded.message);
            }
            Event::State(state) => self.connection(state)?,
            Event::Connected(_) | Event::Transport(_) => {}
            Event::Dropped { pattern, error } => {
                if let Some(Channel::Command(id)) = pattern.concrete()
                    && let Some(at) = self.by_id.get(&id).copied()
                {
                    self.lose(at, error.message);
                }
            }
        }
        Ok(())
    }

    fn output(&mut self, frame: OutputFrame) {
        let Some(at) = self.by_id.get(&frame.command_id).copied() else {
            return;
        };
        if self.jobs[at].done {
            return;
        }
        self.jobs[at].seen = frame.end();
        match &mut self.skim {
            Some(skim) => skim.push(at, frame, Instant::now()),
            None => self.form.output(at, &self.jobs[at], frame, &mut self.out),
        }
    }

    fn message(&mut self, channel: Option<&Channel>, message: ToDashboard) {
        match message {
            ToDashboard::Status(status) => {
                let Some(at) = self.by_id.get(&status.command_id).copied() else {
                    return;
                };
                if !self.jobs[at].done {
                    let ahead = matches!(channel, Some(Channel::Agent(_)));
                    if ahead {
                        self.status_ahead(at, status);
                    } else {
                        self.status(at, status);
                    }
                }
            }
            ToDashboard::Gap(gap) => {
                if let Some(at) = self.by_id.get(&gap.command_id).copied() {
                    let (agent, bytes) = (&self.jobs[at].agent, gap.to - gap.from);
                    let text = format!("{agent}: {bytes} bytes of output are gone: {}", gap.reason);
                    self.form.note(&text, &mut self.out);
                }
            }
            // The daemon does not say whose input it was.
            ToDashboard::Error(error)
                if matches!(
                    error.code,
                    ErrorCode::InputRejected | ErrorCode::AgentOffline
                ) =>
            {
                self.jobs
                    .iter()
                    .filter_map(|job| job.input.as_ref())
                    .for_each(|input| input.rejected());
            }
            _ => {}
        }
    }

    /// A command's state, in order with its output.
    fn status(&mut self, at: usize, status: CommandStatus) {
        let job = &mut self.jobs[at];
        if let Some(input) = &job.input {
            input.status(&status);
        }
        let ended = status.state.is_final();
        let changed = job.status.state != status.state;
        job.status = status;
        if changed {
            let job = &self.jobs[at];
            self.form.status(job, &job.status, &mut self.out);
        }
        if ended {
            self.end(at);
        }
    }

    /// A command's state from its agent's channel, which may have overtaken output: a command that has ended is not
    /// waited for when much of its output is still to come.
    fn status_ahead(&mut self, at: usize, status: CommandStatus) {
        let job = &mut self.jobs[at];
        let rest = status.offset.unwrap_or_default().saturating_sub(job.seen);
        if status.state.is_final() && rest > BACKLOG {
            job.status = status;
            self.left_out(rest, Some(at));
            self.end(at);
        }
    }

    /// Says that output was not shown, and how to see it.
    pub(super) fn left_out(&mut self, bytes: u64, at: Option<usize>) {
        let hint = match at.or((self.jobs.len() == 1).then_some(0)) {
            Some(at) => self.jobs[at].hint(),
            None => "opsctl logs".to_owned(),
        };
        let text = format!(
            "{} KiB of output are not shown: {hint}",
            bytes.div_ceil(1024)
        );
        self.form.note(&text, &mut self.out);
    }

    /// A command's end has been seen.
    fn end(&mut self, at: usize) {
        self.stop_skimming();
        self.jobs[at].done = true;
        self.jobs[at].input = None;
        self.interrupts.forget(at);
        self.following -= 1;
        self.form.ended(at, &self.jobs[at], &mut self.out);
        if self.all_done() {
            return;
        }
        let channel = Pattern::exactly(&Channel::Command(self.jobs[at].id));
        let client = self.client.clone();
        // The answer is nobody's concern; without it the daemon holds a subscription more.
        tokio::spawn(async move { client.unsubscribe(channel).await });
        self.subscribe_more();
    }

    /// Nothing more will be heard of a command.
    pub(super) fn lose(&mut self, at: usize, reason: String) {
        if !self.jobs[at].done {
            self.jobs[at].give_up(reason);
            self.end(at);
        }
    }

    /// Output is shown again as it comes.
    pub(super) fn stop_skimming(&mut self) {
        let Some(skim) = self.skim.take() else { return };
        let (skipped, end) = skim.finish();
        if skipped > 0 {
            self.left_out(skipped, None);
        }
        for (at, frame) in end {
            self.form.output(at, &self.jobs[at], frame, &mut self.out);
        }
    }

    fn connection(&mut self, state: ConnState) -> Result<(), Stop> {
        match state {
            ConnState::Waiting { reason, .. } if !self.lost => {
                self.lost = true;
                let text =
                    format!("the connection to the daemon was lost ({reason}); reconnecting");
                self.form.note(&text, &mut self.out);
            }
            ConnState::Connected if std::mem::take(&mut self.lost) => {
                self.form.note("connected again", &mut self.out);
            }
            ConnState::Refused { .. } => {
                return Err(Stop::Failed(no_connection(self.context, state)));
            }
            _ => {}
        }
        Ok(())
    }
}
