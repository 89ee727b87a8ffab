//! Bytes to stdout and stderr, from a thread of their own: a reader that is slow must not delay Ctrl-C, keystrokes or the
//! connection's heartbeat. What waits is bounded; whoever prints waits for room.

use std::cell::OnceCell;
use std::io::{self, IoSlice, Write};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// Pieces gathered into one `writev`.
const GATHER: usize = 32;

/// Where a piece goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum To {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

/// A piece for one of the two.
pub type Piece = (To, Bytes);

/// Nobody reads stdout any more, or it cannot be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stdout is closed")]
pub struct StdoutClosed;

/// Prints in order. The thread starts with the first piece.
#[derive(Debug)]
pub struct Printer {
    /// Pieces that may wait.
    depth: usize,
    running: OnceCell<(mpsc::Sender<Piece>, oneshot::Receiver<io::Result<()>>)>,
}

impl Printer {
    /// A printer in which at most `depth` pieces wait.
    pub fn new(depth: usize) -> Self {
        Self {
            depth,
            running: OnceCell::new(),
        }
    }

    /// Waits for room and hands the piece over. Cancel-safe: a piece is handed over or not.
    ///
    /// # Errors
    /// Stdout is closed.
    pub async fn print(&self, piece: Piece) -> Result<(), StdoutClosed> {
        self.lane()?.send(piece).await.map_err(|_| StdoutClosed)
    }

    /// Waits for room for one more piece. Cancel-safe.
    ///
    /// # Errors
    /// Stdout is closed.
    pub async fn room(&self) -> Result<mpsc::Permit<'_, Piece>, StdoutClosed> {
        self.lane()?.reserve().await.map_err(|_| StdoutClosed)
    }

    /// Waits until stdout is found closed, which only writing finds; for ever while nothing is printed.
    pub async fn closed(&self) {
        match self.running.get() {
            Some((lane, _)) => lane.closed().await,
            None => std::future::pending().await,
        }
    }

    /// Waits until everything is written. Cancelled, it leaves the thread to end with the process.
    ///
    /// # Errors
    /// What stdout's last write said, unless it only said that nobody reads.
    pub async fn finish(self) -> io::Result<()> {
        let Some((lane, done)) = self.running.into_inner() else {
            return Ok(());
        };
        drop(lane);
        match done
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the printing thread died")))
        {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }

    fn lane(&self) -> Result<&mpsc::Sender<Piece>, StdoutClosed> {
        if self.running.get().is_none() {
            let (lane, pieces) = mpsc::channel(self.depth);
            let (tell, done) = oneshot::channel();
            std::thread::Builder::new()
                .name("printer".to_owned())
                // That nobody waits for the end any more is no matter.
                .spawn(move || drop(tell.send(write_all(pieces))))
                .map_err(|_| StdoutClosed)?;
            // Nothing else runs between the look and this.
            let _ = self.running.set((lane, done));
        }
        self.running.get().map(|(lane, _)| lane).ok_or(StdoutClosed)
    }
}

fn write_all(mut pieces: mpsc::Receiver<Piece>) -> io::Result<()> {
    let mut ready = Vec::with_capacity(GATHER);
    while pieces.blocking_recv_many(&mut ready, GATHER) > 0 {
        for run in ready.chunk_by(|a, b| a.0 == b.0) {
            let written = write_run(run[0].0, run);
            // Without stderr there is nowhere to complain; output goes on.
            if run[0].0 == To::Stdout {
                written?;
            }
        }
        ready.clear();
    }
    Ok(())
}

/// Writes pieces for the same descriptor, many at once.
fn write_run(to: To, pieces: &[Piece]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces
        .iter()
        .filter(|(_, data)| !data.is_empty())
        .map(|(_, data)| IoSlice::new(data))
        .collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let written = match to {
            To::Stdout => write_some(rustix::stdio::stdout(), rest),
            To::Stderr => write_some(rustix::stdio::stderr(), rest),
        };
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut rest, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write_some(fd: rustix::fd::BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match rustix::io::writev(fd, slices) {
        // Somebody who shares the descriptor has made it non-blocking.
        Err(rustix::io::Errno::AGAIN) => {
            let mut ready = [rustix::event::PollFd::new(
                &fd,
                rustix::event::PollFlags::OUT,
            )];
            rustix::event::poll(&mut ready, None)?;
            Ok(rustix::io::writev(fd, slices).or_else(|error| match error {
                rustix::io::Errno::AGAIN => Err(rustix::io::Errno::INTR),
                other => Err(other),
            })?)
        }
        other => Ok(other?),
    }
}

/// Writes text to stdout for commands that print once and end.
///
/// # Errors
/// What writing says; a closed pipe ends the program quietly.
pub fn print_once(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
