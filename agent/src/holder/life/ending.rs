//! How a program's life ends: by itself, because its time is up, or because somebody wants it to; and what becomes of
//! the output that is still on its way then.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use opsctl_protocol::Timestamp;
use opsctl_protocol::message::Signal;
use tokio::time::Instant;

use super::Life;
use crate::holder::signals;
use crate::wire::End;

/// How long output is waited for after the program's end while something else holds its streams open.
const DRAIN: Duration = Duration::from_secs(2);

/// The program has ended, its output perhaps not.
#[derive(Debug)]
pub(super) struct Exit {
    /// How.
    status: ExitStatus,
    /// When.
    at: Timestamp,
    /// Bytes that stood in its streams then, and must still be read.
    pub(super) owed: u64,
    /// When streams that are still open are given up.
    give_up: Instant,
}

impl Life {
    /// When something is due though nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.exit {
            _ if self.running.is_none() => None,
            // Output that can't be taken now is neither given up nor polled for.
            Some(exit) => (exit.owed == 0 || exit.give_up > Instant::now()).then_some(exit.give_up),
            None => [self.timeout, self.escalation.map(|step| step.at)]
                .into_iter()
                .flatten()
                .min(),
        }
    }

    pub(super) fn deadline_reached(&mut self) {
        let now = Instant::now();
        if self.exit.is_some() {
            return;
        }
        if self.timeout.is_some_and(|at| at <= now) {
            self.timeout = None;
            self.timed_out = true;
            self.signal(Signal::Int, true);
        } else if let Some(step) = self.escalation.filter(|step| step.at <= now) {
            self.signal(step.next, false);
            self.escalation = step.step(now);
        }
    }

    /// The process has ended. Its output hasn't, perhaps.
    pub(super) fn exited(&mut self, status: io::Result<ExitStatus>) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.terminal_end = None;
        // Waiting for one's own child fails only when somebody else has reaped it: its status is unknown.
        let status = status.unwrap_or_else(|_| ExitStatus::from_raw(0x7f00));
        let owed = unread(running.terminal.as_ref().map(AsFd::as_fd))
            + unread(running.output.as_ref().map(AsFd::as_fd))
            + unread(running.error.as_ref().map(AsFd::as_fd));
        if self.escalation.is_some() {
            // It was to go with everything that it started.
            signals::send(running, Signal::Term);
        }
        self.input.discard();
        self.exit = Some(Exit {
            status,
            at: Timestamp::now(),
            owed,
            give_up: Instant::now() + DRAIN,
        });
    }

    /// Ends the life of the program once its output was read, or what holds its streams is not waited for any longer.
    pub(super) fn finish_when_drained(&mut self) {
        let (Some(exit), Some(running)) = (&self.exit, &self.running) else {
            return;
        };
        let open =
            running.terminal.is_some() || running.output.is_some() || running.error.is_some();
        if open && (exit.owed > 0 || Instant::now() < exit.give_up) {
            return;
        }
        if open && self.escalation.is_some() {
            signals::send(running, Signal::Kill);
        }
        if open {
            let (what, line_end) = match running.terminal {
                Some(_) => ("terminal", "\r\n"),
                None => ("output", "\n"),
            };
            let text = format!(
                "opsctl: a background process still holds the {what}; its output is no longer followed{line_end}"
            );
            self.spool.say(&text, Timestamp::now());
        }
        self.end = Some(End {
            exit_code: exit.status.code(),
            signal: exit.status.signal(),
            timed_out: self.timed_out,
            failure: None,
            at: exit.at,
        });
        self.running = None;
        self.tell_end();
    }
}

/// Bytes that stand in a stream.
fn unread(stream: Option<BorrowedFd<'_>>) -> u64 {
    stream.map_or(0, |stream| {
        rustix::io::ioctl_fionread(stream).unwrap_or_default()
    })
}
