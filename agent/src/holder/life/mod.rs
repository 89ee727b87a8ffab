//! One program from its start until its end is durable elsewhere. A single loop owns everything.
//!
//! - [`orders`]: what the agent says.
//! - [`flow`]: bytes between the program and the spool.
//! - [`ending`]: how it ends, and what becomes of its output then.
//! - [`alarms`]: what is due though nothing happens.

mod alarms;
mod ending;
mod flow;
mod orders;

use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use opsctl_protocol::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::ending::Exit;
use super::front::{self, Front};
use super::input::Input;
use super::peer::Peer;
use super::processes;
use super::program::{self, Running};
use super::record::{Past, Record, Started};
use super::remains::Remains;
use super::reports::{self, Call, Reports};
use super::signals::Escalation;
use super::{complain, socket};
use crate::report::REPORT_SOCKET;
use crate::spool::{Slots, Spool};
use crate::state_dir::spool_of;
use crate::wire::{End, FromHolder, Job, Progress};

/// The name under which a chunk of the spool is made.
const FRESH_CHUNK: &str = "chunk";

/// A program's whole life.
pub(super) struct Life {
    /// The holder's own directory.
    dir: PathBuf,
    /// Where agents come in.
    listener: UnixListener,
    /// The agent that came last.
    peer: Option<Peer>,
    /// What the program says of itself, while it runs.
    calls: Option<mpsc::Receiver<Call>>,
    /// What it has said.
    reports: Reports,
    /// What is in front in its terminal.
    front: Front,
    /// Since when there is no agent.
    alone_since: Instant,
    /// When its directory was last looked for.
    looked: Instant,
    /// The directory is gone, and with it the way for agents to get here.
    forgotten: bool,
    /// What is run.
    job: Job,
    /// What is written down of it; absent when that couldn't be begun, and nothing was started then.
    record: Option<Record>,
    /// The program, until it has ended and its output was read.
    running: Option<Running>,
    /// What is left of a program whose holder died, until nothing is.
    remains: Option<Remains>,
    /// Its unacknowledged output.
    spool: Spool,
    /// When room for output is looked for again, while there is none.
    look_for_room: Option<Instant>,
    /// When output was last acknowledged.
    acked: Instant,
    /// Its input.
    input: Input,
    /// Bytes of input that it was given by a holder that is dead.
    input_before: u64,
    /// When it started.
    started_at: Option<Timestamp>,
    /// Set when the process has ended.
    exit: Option<Exit>,
    /// Set when the process has ended and its output was read.
    end: Option<End>,
    /// When its end is written down, where that failed before.
    write_end: Option<Instant>,
    /// When its time is up.
    timeout: Option<Instant>,
    /// Its time was up.
    timed_out: bool,
    /// Why it was ended without anybody asking for it.
    lost: Option<String>,
    /// What follows when it doesn't go.
    escalation: Option<Escalation>,
    /// The terminal's size, until a piece of output has told it.
    size: Option<(u16, u16)>,
    /// The terminal's size.
    screen: Option<(u16, u16)>,
}

/// Why the loop goes on.
enum Wake {
    Peer(io::Result<()>),
    Newcomer(UnixStream),
    /// The program says something of itself.
    Called(Call),
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
    pub(super) fn start(dir: &Path, listener: UnixListener, peer: Peer, job: Job) -> Self {
        let spool = Spool::new(job.command_id, slots(dir, &job));
        let mut life = Self::new(dir, listener, peer, job, spool);
        let socket = life.listen_to_reports();
        let started = Record::create(dir, &life.job)
            .map_err(|error| format!("its start cannot be written down: {error}"))
            .and_then(|record| {
                life.record = Some(record);
                program::start(&life.job, socket.as_deref())
            });
        match started {
            Ok(running) => life.run_with(running),
            Err(failure) => {
                life.end_with(End {
                    failure: Some(failure),
                    at: Timestamp::now(),
                    ..End::default()
                });
            }
        }
        life
    }

    /// Opens the socket for what the program says of itself; its absolute path. A program that has none is run all the same.
    fn listen_to_reports(&mut self) -> Option<PathBuf> {
        let listener = socket::listen(&self.dir, REPORT_SOCKET).and_then(UnixListener::from_std);
        let opened = listener.and_then(|listener| {
            let path = std::path::absolute(self.dir.join(REPORT_SOCKET))?;
            Ok((listener, path))
        });
        match opened {
            Ok((listener, path)) => {
                self.calls = Some(reports::listen(listener));
                Some(path)
            }
            Err(error) => {
                complain(&self.dir, &format_args!("no reports can be taken: {error}"));
                None
            }
        }
    }

    fn run_with(&mut self, running: Running) {
        let at = Timestamp::now();
        if let Some((record, process)) = self.record.as_mut().zip(processes::of(running.pid)) {
            let program = process.name();
            // Without it an heir looks for the program by its environment.
            if let Err(error) = record.started(Started { program, at }) {
                complain(
                    &self.dir,
                    &format_args!("its record cannot be written: {error}"),
                );
            }
        }
        self.running = Some(running);
        self.started_at = Some(at);
        let progress = FromHolder::Progress(self.progress());
        self.tell(|peer| peer.say(&progress));
    }

    /// Takes over from a holder that is dead: what is left of its program is ended, and its output given out.
    pub(super) fn inherit(
        dir: &Path,
        listener: UnixListener,
        peer: Peer,
        record: Record,
        past: &Past,
    ) -> io::Result<Self> {
        let job = past.job.clone();
        let spool = Spool::inherit(job.command_id, slots(dir, &job))?;
        let mut life = Self::new(dir, listener, peer, job, spool);
        life.record = Some(record);
        life.timeout = None;
        life.started_at = past.started.map(|started| started.at);
        if let Some(ended) = &past.ended {
            life.end = Some(ended.end.clone());
            life.input_before = ended.input;
            life.spool.ends_at(ended.to);
        } else {
            life.remains = Some(Remains::end(past, life.grace()));
        }
        let hello = life.hello();
        life.tell(|peer| peer.say(&hello));
        Ok(life)
    }

    fn new(dir: &Path, listener: UnixListener, peer: Peer, job: Job, spool: Spool) -> Self {
        let spec = &job.spec;
        let now = Instant::now();
        let screen = spec.pty.then_some((spec.cols, spec.rows));
        Self {
            dir: dir.to_owned(),
            listener,
            peer: Some(peer),
            calls: None,
            reports: Reports::default(),
            front: Front::default(),
            alone_since: now,
            looked: now,
            forgotten: false,
            record: None,
            running: None,
            remains: None,
            spool,
            look_for_room: None,
            acked: now,
            input: Input::default(),
            input_before: 0,
            started_at: None,
            exit: None,
            end: None,
            write_end: None,
            timeout: spec.timeout_ms.map(|ms| now + Duration::from_millis(ms)),
            timed_out: false,
            lost: None,
            escalation: None,
            size: screen,
            screen,
            job,
        }
    }

    /// Goes on until the agent has settled the end.
    pub(super) async fn run(mut self) {
        loop {
            if !self.receive() || self.is_forgotten() {
                self.spool.clear();
                return;
            }
            self.feed();
            self.make_room();
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
            calls,
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
            Some(call) = called(calls.as_mut()) => Wake::Called(call),
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
            Wake::Peer(Err(_)) => self.lose_peer(),
            Wake::Newcomer(socket) => self.welcome(socket),
            Wake::Called((said, answer)) => {
                // A caller that has gone doesn't need its answer.
                let _ = answer.send(self.reports.take(said));
            }
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
        self.lose_peer();
        let mut peer = Peer::new(socket);
        peer.say(&self.hello());
        self.reports.tell_again();
        self.front.tell_again();
        self.peer = Some(peer);
    }

    fn hello(&self) -> FromHolder {
        FromHolder::Hello {
            job: Box::new(self.job.clone()),
            progress: self.progress(),
        }
    }

    fn lose_peer(&mut self) {
        self.peer = None;
        self.alone_since = Instant::now();
        self.spool.pause();
    }

    fn progress(&self) -> Progress {
        Progress {
            started_at: self.started_at,
            end: self.end.clone(),
            from: self.spool.start(),
            to: self.spool.end(),
            input: self.input.consumed().max(self.input_before),
            received: Some(self.input.received().max(self.input_before)),
        }
    }

    fn tell(&mut self, say: impl FnOnce(&mut Peer)) {
        if let Some(peer) = &mut self.peer {
            say(peer);
        }
    }

    /// Looks who is in front in the terminal.
    fn look_in_front(&mut self) {
        let seen = self.running.as_ref().and_then(|running| {
            let terminal = running.terminal.as_ref()?;
            front::look(terminal, running.pid)
        });
        self.front.seen(seen, Instant::now());
    }

    fn tell_end(&mut self) {
        let progress = FromHolder::Progress(self.progress());
        if let Some(peer) = &mut self.peer {
            peer.say_last(&progress, &self.spool);
        }
    }

    fn flush(&mut self) {
        if let Some(peer) = &mut self.peer {
            self.front.tell(peer);
            self.reports.tell(peer);
            if peer.flush(&mut self.spool).is_err() {
                self.lose_peer();
            }
        }
        for remark in self.spool.remarks() {
            complain(&self.dir, &remark);
        }
    }
}

/// Where the chunks of a holder's output lie.
fn slots(dir: &Path, job: &Job) -> Slots {
    Slots::new(spool_of(dir), dir.join(FRESH_CHUNK), job.spool)
}

async fn peer_ready(peer: Option<&Peer>) -> io::Result<()> {
    match peer {
        Some(peer) => peer.ready().await,
        None => pending().await,
    }
}

async fn called(calls: Option<&mut mpsc::Receiver<Call>>) -> Option<Call> {
    match calls {
        Some(calls) => calls.recv().await,
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
