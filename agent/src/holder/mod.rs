//! The small process that each program runs under. It owns the program, its streams, and the output that nobody has made
//! durable yet; it outlives the agent, and waits for the next one.
//!
//! - [`program`]: starts the program.
//! - [`spool`]: its unacknowledged output.
//! - [`input`]: its input.
//! - [`signals`]: which processes a signal means, and what follows.
//! - [`peer`]: the connection to the agent.
//! - [`life`]: the loop that ties these together.

mod input;
mod life;
mod peer;
mod program;
mod signals;
mod spool;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::ExitCode;

use tokio::net::{UnixListener, UnixStream};

use crate::socket;
use crate::wire::{FromHolder, Incoming, Job, ToHolder};
use life::Life;
use peer::{Peer, Received};

/// The process `opsctl holder DIR`. Standard input is a connected unix socket to the agent that started it; `DIR` is the
/// directory where later agents find it, and is removed at the end. Call it before anything else is set up: commands
/// wait for it.
pub fn holder_main(dir: &Path) -> ExitCode {
    // It fails where the process leads a session already, which is as good.
    let _ = rustix::process::setsid();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime.and_then(|runtime| runtime.block_on(hold(dir)));
    // An agent may have cleared up already.
    let _ = std::fs::remove_dir_all(dir);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("opsctl holder {}: {error}", dir.display());
            ExitCode::FAILURE
        }
    }
}

async fn hold(dir: &Path) -> io::Result<()> {
    let mut peer = Peer::new(adopt_stdin()?);
    let listener = UnixListener::from_std(socket::listen(dir)?)?;
    peer.say(&FromHolder::Ready);
    match wait_for_job(&mut peer).await? {
        Some(job) => Life::start(listener, peer, *job).run().await,
        None => Ok(()),
    }
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
