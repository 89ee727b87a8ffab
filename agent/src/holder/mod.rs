//! The small process that each program runs under. It owns the program, its streams, and the output that nobody has made
//! durable yet; it outlives the agent, and waits for the next one. One that is started where another has died is its heir:
//! it ends what is left of the program, and gives out what the dead one had kept.
//!
//! - [`program`]: starts the program.
//! - [`record`]: what is written down of it.
//! - [`input`]: its input.
//! - [`processes`], [`signals`]: which processes a signal means, and what follows.
//! - [`remains`]: what is left of a program whose holder died.
//! - [`reports`]: what the program tells of itself.
//! - [`front`]: what is in front in its terminal.
//! - [`peer`]: the connection to the agent.
//! - [`life`]: the loop that ties these together.

mod front;
mod input;
mod life;
mod peer;
pub(crate) mod processes;
mod program;
pub(crate) mod record;
mod remains;
mod reports;
mod signals;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::ExitCode;

use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::socket;
use crate::wire::{FromHolder, Incoming, Job, SOCKET, ToHolder};
use life::Life;
use peer::{Peer, Received};
use record::Record;

/// The process `opsctl holder DIR`. Standard input is a connected unix socket to the agent that started it; `DIR` is the
/// directory where later agents find it, and is removed once all is settled. Call it before anything else is set up:
/// commands wait for it.
pub fn holder_main(dir: &Path) -> ExitCode {
    // It fails where the process leads a session already, which is as good.
    let _ = rustix::process::setsid();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime.and_then(|runtime| runtime.block_on(hold(dir))) {
        Ok(Outcome::Settled) => {
            // An agent may have cleared up already.
            let _ = std::fs::remove_dir_all(dir);
            ExitCode::SUCCESS
        }
        Ok(Outcome::NoJob) => ExitCode::SUCCESS,
        Err(error) => {
            complain(dir, &error);
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong, for the operator of this host. A full disk takes no complaints, not even about itself.
fn complain(dir: &Path, what: &dyn std::fmt::Display) {
    let _ = writeln!(io::stderr(), "opsctl holder {}: {what}", dir.display());
}

/// How a holder's life ended.
enum Outcome {
    /// Everything is durable elsewhere.
    Settled,
    /// The agent went before it had a job. That there is no record tells the next agent that nothing was started, so
    /// the directory is left to it.
    NoJob,
}

async fn hold(dir: &Path) -> io::Result<Outcome> {
    catch_ignored()?;
    let mut peer = Peer::new(adopt_stdin()?);
    let life = if let Some((record, past)) = Record::inherit(dir)? {
        // The dead one's.
        let _ = std::fs::remove_file(dir.join(SOCKET));
        Life::inherit(dir, listen(dir)?, peer, record, &past)?
    } else {
        let listener = listen(dir)?;
        peer.say(&FromHolder::Ready);
        match wait_for_job(&mut peer).await? {
            Some(job) => Life::start(dir, listener, peer, *job),
            None => return Ok(Outcome::NoJob),
        }
    };
    life.run().await;
    Ok(Outcome::Settled)
}

/// Catches what whoever started the agent may have made it ignore, as `nohup` and a script's `&` do. Ignored signals stay so
/// in every program that is started, which then could not be interrupted; those that are caught are as usual there.
fn catch_ignored() -> io::Result<()> {
    for kind in [
        SignalKind::interrupt(),
        SignalKind::quit(),
        SignalKind::hangup(),
    ] {
        // The handler stays when this goes.
        let _ = signal(kind)?;
    }
    Ok(())
}

fn listen(dir: &Path) -> io::Result<UnixListener> {
    UnixListener::from_std(socket::listen(dir, SOCKET)?)
}

/// The connection to the agent; standard input itself becomes `/dev/null`, so that nothing keeps a replaced connection.
fn adopt_stdin() -> io::Result<UnixStream> {
    let socket = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// `None` when the agent went before it had a job.
async fn wait_for_job(peer: &mut Peer) -> io::Result<Option<Box<Job>>> {
    loop {
        peer.flush_said()?;
        match peer.receive() {
            Ok(Received::Message(Incoming::Control(ToHolder::Job(job)))) => return Ok(Some(job)),
            Ok(Received::Message(_)) => return Err(io::Error::other("a job was expected")),
            Ok(Received::Empty) => peer.ready().await?,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}
