//! Bytes between the program and the spool, as far as they go without waiting.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use opsctl_protocol::Timestamp;
use opsctl_protocol::message::Kind;
use pty_process::Pty;
use rustix::termios::{SpecialCodeIndex, tcgetattr};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Life;
use crate::holder::input::Input;
use crate::holder::program::Running;
use crate::wire::FromHolder;

/// Output that may wait for a connected agent: what the effect of a Ctrl-C queues behind here.
const BACKLOG: u64 = 192 * 1024;

/// How often room for output is looked for while there is none: other commands give some back, or the disk does.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(100);

/// A program whose oldest output may be dropped waits all the same for an agent that takes some, but not for one that
/// has taken none for so long.
const STALL: Duration = Duration::from_secs(1);

impl Life {
    /// Whether more output may be read.
    pub(super) fn may_read(&self) -> bool {
        !self.spool.is_blocked()
            && (self.has_little_backlog()
                || (self.spool.drops_oldest() && self.stalls_at() <= Instant::now()))
    }

    fn has_little_backlog(&self) -> bool {
        self.backlog().is_none_or(|backlog| backlog < BACKLOG)
    }

    fn backlog(&self) -> Option<u64> {
        self.peer.as_ref()?.backlog(&self.spool)
    }

    /// When the agent counts as one that takes nothing.
    fn stalls_at(&self) -> Instant {
        match &self.peer {
            Some(peer) if self.spool.behind().is_some() => peer.moved().max(self.acked) + STALL,
            _ => self.acked,
        }
    }

    /// When the program need not wait for its agent any longer, while it does.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        let waits = self.spool.drops_oldest() && !self.has_little_backlog();
        waits
            .then(|| self.stalls_at())
            .filter(|at| *at > Instant::now())
    }

    /// Finds room for output that has none, or drops older output for it.
    pub(super) fn make_room(&mut self) {
        if !self.spool.is_blocked() {
            self.look_for_room = None;
            return;
        }
        let now = Instant::now();
        let drop = self.spool.drops_oldest() && self.stalls_at() <= now;
        if !drop && self.look_for_room.is_some_and(|at| at > now) {
            return;
        }
        if self.spool.make_room(drop) {
            // It may have been told in what was dropped.
            self.size = self.screen;
        }
        self.look_for_room = self.spool.is_blocked().then(|| now + LOOK_FOR_ROOM);
    }

    /// The agent has what comes before `offset`.
    pub(super) fn ack(&mut self, offset: u64) {
        self.spool.ack(offset);
        self.acked = Instant::now();
        self.look_for_room = None;
    }

    /// Adds the terminal's output to the spool, with what else it gives without waiting.
    pub(super) fn read_terminal(&mut self, first: io::Result<usize>) {
        let Some(terminal) = self
            .running
            .as_mut()
            .and_then(|running| running.terminal.as_mut())
        else {
            return;
        };
        let space = self.spool.space();
        // The terminal's end reads as EIO.
        let mut length = first.unwrap_or(0);
        let mut open = length > 0;
        while open && length < space.len() {
            let mut buffer = ReadBuf::new(&mut space[length..]);
            match Pin::new(&mut *terminal)
                .poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer)
            {
                Poll::Pending => break,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    length += buffer.filled().len();
                }
                Poll::Ready(_) => open = false,
            }
        }
        self.add(length, Kind::Output);
        self.front.put_out(Instant::now());
        if !open && let Some(running) = &mut self.running {
            running.terminal = None;
        }
    }

    /// Adds standard output and error to the spool. Both, whichever was ready: a flood of one must not hide the other.
    pub(super) fn read_pipes(&mut self) {
        self.read_pipe(Kind::Error);
        self.read_pipe(Kind::Output);
    }

    /// Adds a piece of one of them to the spool, as much as it gives without waiting.
    fn read_pipe(&mut self, kind: Kind) {
        let Some(running) = &mut self.running else {
            return;
        };
        let pipe = if kind == Kind::Error {
            &mut running.error
        } else {
            &mut running.output
        };
        let Some(reader) = pipe else {
            return;
        };
        let space = self.spool.space();
        let mut length = 0;
        while length < space.len() {
            match reader.try_read(&mut space[length..]) {
                Ok(read) if read > 0 => length += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => {
                    *pipe = None;
                    break;
                }
            }
        }
        self.add(length, kind);
    }

    fn add(&mut self, length: usize, kind: Kind) {
        if length > 0 {
            self.spool
                .commit(length, kind, self.size.take(), Timestamp::now());
        }
        if let Some(exit) = &mut self.exit {
            exit.owed = exit.owed.saturating_sub(length as u64);
        }
    }

    /// Gives the program what input it takes without waiting.
    pub(super) fn feed(&mut self) {
        match &mut self.running {
            Some(Running {
                terminal: Some(terminal),
                ..
            }) => feed_terminal(terminal, &mut self.input),
            Some(Running {
                input: Some(pipe), ..
            }) => {
                while self.input.is_waiting() {
                    match pipe.try_write_vectored(&self.input.slices()) {
                        Ok(written) => self.input.advance(written),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(_) => self.input.discard(),
                    }
                }
                if self.input.is_over()
                    && let Some(running) = &mut self.running
                {
                    running.input = None;
                }
            }
            // Nobody will read it.
            _ => self.input.discard(),
        }
        if let Some(report) = self.input.report(Instant::now()) {
            let told = FromHolder::Consumed {
                offset: report.consumed,
                received: Some(report.received),
            };
            self.tell(|peer| peer.say(&told));
        }
    }
}

fn feed_terminal(terminal: &mut Pty, input: &mut Input) {
    loop {
        if input.needs_trailer() {
            input.end_with(end_of_input(terminal, input.last()));
        }
        if !input.is_waiting() {
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut *terminal).poll_write(&mut context, input.front()) {
            Poll::Ready(Ok(written)) => input.advance(written),
            Poll::Ready(Err(_)) => input.discard(),
            Poll::Pending => return,
        }
    }
}

/// What the terminal takes for the end of input: its VEOF, twice where a line was begun, since the first only sends the
/// line.
fn end_of_input(terminal: &Pty, last: Option<u8>) -> Bytes {
    const CTRL_D: u8 = 4;
    let code =
        tcgetattr(terminal).map_or(CTRL_D, |modes| modes.special_codes[SpecialCodeIndex::VEOF]);
    let times = if last.is_none_or(|last| matches!(last, b'\n' | b'\r')) {
        1
    } else {
        2
    };
    Bytes::from(vec![code; times])
}
