//! One program from its start until its end is durable elsewhere. A single loop owns everything.
//!
//! - [`orders`]: what the agent says.
//! - [`flow`]: bytes between the program and the spool.
//! - [`ending`]: how it ends, and what becomes of its output then.

mod ending;
mod flow;
mod orders;

use std::future::pending;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use opsctl_protocol::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Child;
use tokio::time::{Instant, sleep_until};

use self::ending::Exit;
use super::input::Input;
use super::peer::Peer;
use super::program::{self, Running};
use super::signals::Escalation;
use super::spool::Spool;
use crate::wire::{End, FromHolder, Job, Progress};

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
    Readable,
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
            () = readable(error) => Wake::Readable,
            () = readable(output) => Wake::Readable,
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
            Wake::Readable => self.read_pipes(),
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

    fn flush(&mut self) {
        if let Some(peer) = &mut self.peer
            && peer.flush(&self.spool).is_err()
        {
            self.peer = None;
        }
    }
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
