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
use crate::holder::record::Ended;
use crate::holder::signals;
use crate::wire::End;

/// How long output is waited for after the program's end while something else holds its streams open.
const DRAIN: Duration = Duration::from_secs(2);

/// How long until an end that couldn't be written down is tried again.
const WRITE_AGAIN: Duration = Duration::from_millis(500);

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
    pub(super) give_up: Instant,
}

impl Life {
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
        let known = self.lost.is_none();
        let end = End {
            exit_code: exit.status.code().filter(|_| known),
            signal: exit.status.signal().filter(|_| known),
            timed_out: self.timed_out,
            failure: None,
            lost: self.lost.take(),
            at: exit.at,
        };
        self.running = None;
        self.end_with(end);
    }

    /// The program has ended, and no more of its output comes. Written down before it is told.
    pub(super) fn end_with(&mut self, end: End) {
        self.end = Some(end);
        self.write_end();
        self.tell_end();
    }

    /// Writes the end down. On a full disk that is tried again; the agent learns of it meanwhile.
    pub(super) fn write_end(&mut self) {
        let (Some(record), Some(end)) = (&mut self.record, &self.end) else {
            return;
        };
        let ended = Ended {
            end: end.clone(),
            to: self.spool.end(),
            input: self.input.consumed().max(self.input_before),
        };
        self.write_end = record
            .ended(ended)
            .is_err()
            .then(|| Instant::now() + WRITE_AGAIN);
    }

    /// Nothing is left of a program whose holder died.
    pub(super) fn remains_are_gone(&mut self) {
        let Some(remains) = self.remains.take() else {
            return;
        };
        let what = if remains.ran() {
            "its program still ran and was ended"
        } else {
            "its program had ended, and nobody knows how"
        };
        self.end_with(End {
            lost: Some(format!("the process that held the program died; {what}")),
            at: Timestamp::now(),
            ..End::default()
        });
    }
}

/// Bytes that stand in a stream.
fn unread(stream: Option<BorrowedFd<'_>>) -> u64 {
    stream.map_or(0, |stream| {
        rustix::io::ioctl_fionread(stream).unwrap_or_default()
    })
}
