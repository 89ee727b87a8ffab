//! Bytes to stdout and stderr, from a thread of their own: a reader that is slow must not delay Ctrl-C, keystrokes or the
//! connection's heartbeat. What waits is bounded; whoever prints waits for room.

use std::cell::{Cell, OnceCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// Bytes gathered into one `writev`.
const GATHER: usize = 1024 * 1024;

/// Bytes written to a terminal at once: what is written can no longer be discarded.
const GATHER_TERMINAL: usize = 4096;

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

/// What printer and thread share about discarding. Pieces are counted from 1 in the order of printing.
#[derive(Debug, Default)]
struct Discard {
    /// Stdout's pieces up to this one are to be thrown away.
    upto: AtomicU64,
    /// Bytes that were printed and neither written nor thrown away.
    waiting: AtomicU64,
}

/// Prints in order. The thread starts with the first piece.
#[derive(Debug)]
pub struct Printer {
    /// Pieces that may wait.
    depth: usize,
    running: OnceCell<(mpsc::Sender<Piece>, oneshot::Receiver<io::Result<()>>)>,
    /// Pieces that were printed.
    printed: Cell<u64>,
    discard: Arc<Discard>,
}

impl Printer {
    /// A printer in which at most `depth` pieces wait.
    pub fn new(depth: usize) -> Self {
        Self {
            depth,
            running: OnceCell::new(),
            printed: Cell::new(0),
            discard: Arc::default(),
        }
    }

    /// Waits for room and prints the piece.
    ///
    /// # Errors
    /// Stdout is closed.
    pub async fn print(&self, piece: Piece) -> Result<(), StdoutClosed> {
        self.print_first(&mut VecDeque::from([piece])).await
    }

    /// Waits for room and prints the first of these. Cancel-safe: it is still among them, or printed.
    ///
    /// # Errors
    /// Stdout is closed.
    pub async fn print_first(&self, pieces: &mut VecDeque<Piece>) -> Result<(), StdoutClosed> {
        let room = self.lane()?.reserve().await.map_err(|_| StdoutClosed)?;
        if let Some(piece) = pieces.pop_front() {
            self.printed.set(self.printed.get() + 1);
            self.discard
                .waiting
                .fetch_add(piece.1.len() as u64, Ordering::Relaxed);
            room.send(piece);
        }
        Ok(())
    }

    /// Whether the reader of stdout is slower than what is printed.
    pub fn is_behind(&self) -> bool {
        self.running
            .get()
            .is_some_and(|(lane, _)| lane.capacity() < self.depth)
    }

    /// Throws away what waits for stdout. Returns how many bytes that are; a little may still be under way.
    pub fn discard(&self) -> u64 {
        self.discard
            .upto
            .store(self.printed.get(), Ordering::Relaxed);
        self.discard.waiting.load(Ordering::Relaxed)
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
            let writer = Writer::new(self.depth, self.discard.clone());
            std::thread::Builder::new()
                .name("printer".to_owned())
                // That nobody waits for the end any more is no matter.
                .spawn(move || drop(tell.send(writer.run(pieces))))
                .map_err(|_| StdoutClosed)?;
            // Nothing else runs between the look and this.
            let _ = self.running.set((lane, done));
        }
        self.running.get().map(|(lane, _)| lane).ok_or(StdoutClosed)
    }
}

/// The thread's own.
struct Writer {
    depth: usize,
    discard: Arc<Discard>,
    /// Bytes written to stdout at once.
    gather: usize,
    /// Pieces that were taken.
    taken: u64,
}

impl Writer {
    fn new(depth: usize, discard: Arc<Discard>) -> Self {
        let gather = if io::stdout().is_terminal() {
            GATHER_TERMINAL
        } else {
            GATHER
        };
        Self {
            depth,
            discard,
            gather,
            taken: 0,
        }
    }

    fn run(mut self, mut pieces: mpsc::Receiver<Piece>) -> io::Result<()> {
        let mut ready = Vec::with_capacity(self.depth);
        while pieces.blocking_recv_many(&mut ready, self.depth) > 0 {
            for run in ready.chunk_by(|a, b| a.0 == b.0) {
                self.taken += run.len() as u64;
                let written = self.write_run(run);
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
    fn write_run(&self, pieces: &[Piece]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = pieces
            .iter()
            .filter(|(_, data)| !data.is_empty())
            .map(|(_, data)| IoSlice::new(data))
            .collect();
        let to = pieces[0].0;
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            // A whole run is discarded or none of it: a few pieces more or less make no difference to a person.
            if to == To::Stdout && self.discard.upto.load(Ordering::Relaxed) >= self.taken {
                let left: usize = rest.iter().map(|slice| slice.len()).sum();
                self.discard
                    .waiting
                    .fetch_sub(left as u64, Ordering::Relaxed);
                return Ok(());
            }
            match write_some(to, rest, self.gather) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.discard
                        .waiting
                        .fetch_sub(count as u64, Ordering::Relaxed);
                    IoSlice::advance_slices(&mut rest, count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Writes what one call takes, at most `most` bytes or one slice of them.
fn write_some(to: To, slices: &[IoSlice<'_>], most: usize) -> io::Result<usize> {
    let fd = match to {
        To::Stdout => rustix::stdio::stdout(),
        To::Stderr => rustix::stdio::stderr(),
    };
    let written = match slices.first() {
        Some(first) if first.len() > most => rustix::io::write(fd, &first[..most]),
        _ => rustix::io::writev(fd, slices),
    };
    match written {
        // Somebody who shares the descriptor has made it non-blocking.
        Err(rustix::io::Errno::AGAIN) => {
            let mut ready = [rustix::event::PollFd::new(
                &fd,
                rustix::event::PollFlags::OUT,
            )];
            rustix::event::poll(&mut ready, None)?;
            Err(io::ErrorKind::Interrupted.into())
        }
        written => Ok(written?),
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
