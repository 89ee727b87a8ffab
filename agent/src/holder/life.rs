//! One program from its start until its end is durable elsewhere. A single loop owns everything.

use std::future::pending;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::process::ExitStatus;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use opsctl_protocol::message::{CommandInput, Kind, Signal};
use opsctl_protocol::{BinaryFrame, Timestamp};
use rustix::termios::{SpecialCodeIndex, tcgetattr};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::unix::pipe;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Child;
use tokio::time::{Instant, sleep_until};

use super::input::Input;
use super::peer::{Peer, Received};
use super::program::{self, Running};
use super::signals::{self, Escalation};
use super::spool::Spool;
use crate::wire::{End, FromHolder, Incoming, Job, Progress, ToHolder};

/// Unacknowledged output that is held before the program has to wait. The daemon acknowledges each MB a few ms after it
/// was written, so at 500 MB/s some 4 MB are under way.
const HOLD: usize = 8 * 1024 * 1024;

/// Output that may wait for a connected agent: what the effect of a Ctrl-C queues behind here.
const BACKLOG: u64 = 192 * 1024;

/// How long output is waited for after the program's end while something else holds its streams open.
const DRAIN: Duration = Duration::from_secs(2);

/// The program has ended, its output perhaps not.
#[derive(Debug)]
struct Exit {
    status: ExitStatus,
    at: Timestamp,
    /// Bytes that stood in its streams then, and must still be read.
    owed: u64,
    /// When streams that are still open are given up.
    give_up: Instant,
}

/// A program's whole life.
pub(super) struct Life {
    /// Where agents come in.
    listener: UnixListener,
    /// The agent that came last.
    peer: Option<Peer>,
    /// What is run.
    job: Job,
    /// The program, until it has ended and its output was read.
    running: Option<Running>,
    /// Its unacknowledged output.
    spool: Spool,
    /// Its input.
    input: Input,
    /// When it started.
    started_at: Option<Timestamp>,
    /// Set when the process has ended.
    exit: Option<Exit>,
    /// Set when the process has ended and its output was read.
    end: Option<End>,
    /// When its time is up.
    timeout: Option<Instant>,
    /// Its time was up.
    timed_out: bool,
    /// What follows when it doesn't go.
    escalation: Option<Escalation>,
    /// The terminal's size, until a piece of output has told it.
    size: Option<(u16, u16)>,
}

/// Why the loop goes on.
enum Wake {
    Peer(io::Result<()>),
    Newcomer(UnixStream),
    Exited(io::Result<ExitStatus>),
    Deadline,
    /// The terminal took input.
    Wrote(io::Result<usize>),
    /// Standard input takes input.
    Writable,
    /// The terminal's output stands in the spool's space.
    Terminal(io::Result<usize>),
    /// Standard output or error can be read.
    Readable(Kind),
}

impl Life {
    /// Starts the job's program. When it can't be, the life consists of saying so.
    pub(super) fn start(listener: UnixListener, peer: Peer, job: Job) -> Self {
        let spec = &job.spec;
        let mut life = Self {
            listener,
            peer: Some(peer),
            running: None,
            spool: Spool::new(job.command_id),
            input: Input::default(),
            started_at: None,
            exit: None,
            end: None,
            timeout: spec
                .timeout_ms
                .map(|ms| Instant::now() + Duration::from_millis(ms)),
            timed_out: false,
            escalation: None,
            size: spec.pty.then_some((spec.cols, spec.rows)),
            job,
        };
        match program::start(&life.job) {
            Ok(running) => {
                life.running = Some(running);
                life.started_at = Some(Timestamp::now());
                let progress = FromHolder::Progress(life.progress());
                life.tell(|peer| peer.say(&progress));
            }
            Err(failure) => {
                life.end = Some(End {
                    failure: Some(failure),
                    at: Timestamp::now(),
                    ..End::default()
                });
                life.tell_end();
            }
        }
        life
    }

    /// Goes on until the agent has settled the end.
    pub(super) async fn run(mut self) -> io::Result<()> {
        loop {
            if !self.receive() {
                return Ok(());
            }
            self.feed();
            self.flush();
            let wake = self.wait().await;
            self.handle(wake);
        }
    }

    async fn wait(&mut self) -> Wake {
        let deadline = self.deadline();
        let read = self.may_read();
        let exited = self.exit.is_some();
        let Self {
            running,
            spool,
            input,
            peer,
            listener,
            ..
        } = self;
        let waiting = input.is_waiting();
        let (mut child, mut terminal, mut output, mut error, mut stdin) =
            (None, None, None, None, None);
        if let Some(running) = running {
            child = (!exited).then_some(&mut running.child);
            terminal = running.terminal.as_mut().map(pty_process::Pty::split);
            output = running.output.as_ref().filter(|_| read);
            error = running.error.as_ref().filter(|_| read);
            stdin = running.input.as_ref().filter(|_| waiting);
        }
        let (reader, writer) = terminal.unzip();
        tokio::select! {
            biased;
            ready = peer_ready(peer.as_ref()) => Wake::Peer(ready),
            Ok((newcomer, _)) = listener.accept() => Wake::Newcomer(newcomer),
            status = exit_of(child) => Wake::Exited(status),
            () = reached(deadline) => Wake::Deadline,
            written = write(writer.filter(|_| waiting), input.front()) => Wake::Wrote(written),
            () = writable(stdin) => Wake::Writable,
            () = readable(error) => Wake::Readable(Kind::Error),
            () = readable(output) => Wake::Readable(Kind::Output),
            length = read_into(reader.filter(|_| read), spool.space()) => Wake::Terminal(length),
        }
    }

    fn handle(&mut self, wake: Wake) {
        match wake {
            Wake::Peer(Ok(())) | Wake::Writable => {}
            Wake::Peer(Err(_)) => self.peer = None,
            Wake::Newcomer(socket) => self.welcome(socket),
            Wake::Exited(status) => self.exited(status),
            Wake::Deadline => self.deadline_reached(),
            Wake::Wrote(Ok(written)) => self.input.advance(written),
            Wake::Wrote(Err(_)) => self.input.discard(),
            Wake::Terminal(length) => self.read_terminal(length),
            Wake::Readable(kind) => self.read_pipe(kind),
        }
        self.finish_when_drained();
    }

    /// The newest agent is the one that counts; an older one is let go.
    fn welcome(&mut self, socket: UnixStream) {
        let mut peer = Peer::new(socket);
        peer.say(&FromHolder::Hello {
            job: Box::new(self.job.clone()),
            progress: self.progress(),
        });
        self.peer = Some(peer);
    }

    fn progress(&self) -> Progress {
        Progress {
            started_at: self.started_at,
            end: self.end.clone(),
            from: self.spool.start(),
            to: self.spool.end(),
            input: self.input.consumed(),
        }
    }

    fn tell(&mut self, say: impl FnOnce(&mut Peer)) {
        if let Some(peer) = &mut self.peer {
            say(peer);
        }
    }

    fn tell_end(&mut self) {
        let progress = FromHolder::Progress(self.progress());
        self.tell(|peer| peer.say_last(&progress));
    }

    /// Takes what the agent has sent. Returns whether life goes on.
    fn receive(&mut self) -> bool {
        while let Some(peer) = &mut self.peer {
            match peer.receive() {
                Ok(Received::Message(Incoming::Control(ToHolder::Settle)))
                    if self.end.is_some() =>
                {
                    return false;
                }
                Ok(Received::Message(message)) => self.obey(message),
                Ok(Received::Empty) => break,
                Err(_) => self.peer = None,
            }
        }
        true
    }

    fn obey(&mut self, message: Incoming<ToHolder>) {
        match message {
            Incoming::Input(frame) => self.take_input(&frame),
            Incoming::Output(_) => {}
            Incoming::Control(message) => match message {
                // A program that runs has its job, and isn't settled.
                ToHolder::Job(_) | ToHolder::Settle => {}
                ToHolder::Stream { generation, from } => self.stream(generation, from),
                ToHolder::Pause => self.tell(Peer::pause),
                ToHolder::Ack { offset } => self.spool.ack(offset),
                ToHolder::Resize { cols, rows } => self.resize(cols, rows),
                ToHolder::Signal { signal, escalate } => self.signal(signal, escalate),
            },
        }
    }

    fn stream(&mut self, generation: u64, from: u64) {
        // A peer that asks for output from here on has what comes before.
        self.spool.ack(from);
        if let Some(peer) = &mut self.peer {
            peer.stream(generation, from, &self.spool);
        }
        if self.end.is_some() {
            self.tell_end();
        }
    }

    fn take_input(&mut self, frame: &Bytes) {
        let Ok(BinaryFrame::Input(CommandInput {
            data, offset, eof, ..
        })) = BinaryFrame::decode(frame)
        else {
            return;
        };
        if let Err(refused) = self.input.accept(offset, data.0, eof) {
            let message = FromHolder::InputRefused {
                reason: refused.to_string(),
            };
            self.tell(|peer| peer.say(&message));
        }
    }

    fn resize(&mut self, cols: u16, rows: u16) {
        let terminal = self
            .running
            .as_ref()
            .and_then(|running| running.terminal.as_ref());
        let resized = terminal
            .is_some_and(|terminal| terminal.resize(pty_process::Size::new(rows, cols)).is_ok());
        if resized {
            self.size = None;
            self.spool
                .commit(0, Kind::Output, Some((cols, rows)), Timestamp::now());
        }
    }

    fn grace(&self) -> Duration {
        Duration::from_millis(
            self.job
                .spec
                .kill_grace_ms
                .unwrap_or(self.job.kill_grace_ms),
        )
    }

    fn signal(&mut self, signal: Signal, escalate: bool) {
        let Some(running) = &self.running else {
            return;
        };
        signals::send(running, signal);
        if escalate && self.exit.is_none() {
            let follows = Escalation::after(signal, Instant::now(), self.grace());
            // Who asks again doesn't put off what follows.
            let under_way = self.escalation.filter(|step| {
                step.next == Signal::Kill || follows.is_some_and(|new| new.next == step.next)
            });
            self.escalation = under_way.or(follows);
        }
    }

    fn deadline(&self) -> Option<Instant> {
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

    fn deadline_reached(&mut self) {
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

    fn exited(&mut self, status: io::Result<ExitStatus>) {
        let Some(running) = &self.running else {
            return;
        };
        // Waiting for one's own child fails only when somebody else has reaped it: its status is unknown.
        let status = status.unwrap_or_else(|_| ExitStatus::from_raw(0x7f00));
        let pending = |fd: Option<std::os::fd::BorrowedFd<'_>>| {
            fd.map_or(0, |fd| rustix::io::ioctl_fionread(fd).unwrap_or_default())
        };
        let owed = pending(running.terminal.as_ref().map(std::os::fd::AsFd::as_fd))
            + pending(running.output.as_ref().map(std::os::fd::AsFd::as_fd))
            + pending(running.error.as_ref().map(std::os::fd::AsFd::as_fd));
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
    fn finish_when_drained(&mut self) {
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

    fn may_read(&self) -> bool {
        let backlog = self
            .peer
            .as_ref()
            .and_then(|peer| peer.backlog(&self.spool));
        self.spool.held() < HOLD && backlog.is_none_or(|backlog| backlog < BACKLOG)
    }

    /// Adds the terminal's output to the spool, with what else it gives without waiting.
    fn read_terminal(&mut self, first: io::Result<usize>) {
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
        if !open && let Some(running) = &mut self.running {
            running.terminal = None;
        }
    }

    /// Adds standard output or error to the spool, as much as it gives without waiting.
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
    fn feed(&mut self) {
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
        if let Some(offset) = self.input.report() {
            self.tell(|peer| peer.say(&FromHolder::Consumed { offset }));
        }
    }

    fn flush(&mut self) {
        if let Some(peer) = &mut self.peer
            && peer.flush(&self.spool).is_err()
        {
            self.peer = None;
        }
    }
}

fn feed_terminal(terminal: &mut pty_process::Pty, input: &mut Input) {
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
fn end_of_input(terminal: &pty_process::Pty, last: Option<u8>) -> Bytes {
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

async fn peer_ready(peer: Option<&Peer>) -> io::Result<()> {
    match peer {
        Some(peer) => peer.ready().await,
        None => pending().await,
    }
}

async fn exit_of(child: Option<&mut Child>) -> io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => pending().await,
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// An error shows when the pipe is read.
async fn readable(pipe: Option<&pipe::Receiver>) {
    match pipe {
        Some(pipe) => drop(pipe.readable().await),
        None => pending().await,
    }
}

/// An error shows when the pipe is written to.
async fn writable(pipe: Option<&pipe::Sender>) {
    match pipe {
        Some(pipe) => drop(pipe.writable().await),
        None => pending().await,
    }
}

async fn read_into<R: AsyncRead + Unpin>(reader: Option<R>, space: &mut [u8]) -> io::Result<usize> {
    match reader {
        Some(mut reader) => reader.read(space).await,
        None => pending().await,
    }
}

async fn write<W: AsyncWrite + Unpin>(writer: Option<W>, bytes: &[u8]) -> io::Result<usize> {
    match writer {
        Some(mut writer) => writer.write(bytes).await,
        None => pending().await,
    }
}
