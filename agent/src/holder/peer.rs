//! The connection to the agent, as the holder sees it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::spool::{Item, Spool};
use crate::wire::{self, FromHolder, Incoming, ToHolder};

/// Bytes that are read from the agent at once.
const READ: usize = 64 * 1024;

/// Output that is taken out of the spool for the socket at once.
const OUTBOX: usize = 128 * 1024;

/// Slices given to one write.
const SLICES: usize = 64;

/// A connected agent.
#[derive(Debug)]
pub(super) struct Peer {
    socket: UnixStream,
    /// Bytes that are no whole message yet.
    unread: BytesMut,
    /// Messages on their way, in order; the first may be sent in part.
    outbox: VecDeque<Bytes>,
    /// Bytes in it.
    waiting: usize,
    /// What is to be said once all output was sent.
    last: Option<Bytes>,
    /// When the socket last took something. Not when there is nothing for it: sockets on the way may hold as much as a
    /// spool, and an agent whose daemon stands still has then taken all and passed on none.
    moved: Instant,
}

/// What came from the agent.
pub(super) enum Received {
    /// A message.
    Message(Incoming<ToHolder>),
    /// Nothing more for now.
    Empty,
}

impl Peer {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            unread: BytesMut::new(),
            outbox: VecDeque::new(),
            waiting: 0,
            last: None,
            moved: Instant::now(),
        }
    }

    /// Waits until there is something to read, or room for what is to be sent.
    pub(super) async fn ready(&self) -> io::Result<()> {
        let interest = if self.outbox.is_empty() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        self.socket.ready(interest).await.map(drop)
    }

    /// The next message, without waiting.
    pub(super) fn receive(&mut self) -> io::Result<Received> {
        loop {
            let message = wire::take(&mut self.unread).map_err(io::Error::other)?;
            if let Some(message) = message {
                return Ok(Received::Message(message));
            }
            self.unread.reserve(READ);
            match self.socket.try_read_buf(&mut self.unread) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Received::Empty);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Says something now, before output that wasn't taken out of the spool yet.
    pub(super) fn say(&mut self, message: &impl Serialize) {
        self.push(wire::control(message));
    }

    /// Says something after all output, or now when output isn't streamed.
    pub(super) fn say_last(&mut self, message: &FromHolder, spool: &Spool) {
        let message = wire::control(message);
        if spool.behind().is_some() {
            self.last = Some(message);
        } else {
            self.push(message);
        }
    }

    /// Whether something that nobody waits for may be said: nothing, or only a little, is on its way.
    pub(super) fn has_room(&self) -> bool {
        self.waiting < OUTBOX
    }

    /// Starts the output stream anew.
    pub(super) fn stream(&mut self, generation: u64, from: u64, spool: &mut Spool) {
        let from = spool.seek(from);
        self.last = None;
        self.moved = Instant::now();
        self.say(&FromHolder::Resumed { generation, from });
    }

    /// Stops the output stream.
    pub(super) fn pause(&mut self, spool: &mut Spool) {
        spool.pause();
        if let Some(last) = self.last.take() {
            self.push(last);
        }
    }

    /// Output that was read from the program and not yet put into the socket; `None` when output isn't streamed.
    pub(super) fn backlog(&self, spool: &Spool) -> Option<u64> {
        spool.behind().map(|behind| behind + self.waiting as u64)
    }

    /// When the socket last took something.
    pub(super) fn moved(&self) -> Instant {
        self.moved
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self, spool: &mut Spool) -> io::Result<()> {
        loop {
            self.fill(spool);
            if self.outbox.is_empty() || !self.write()? {
                return Ok(());
            }
            self.moved = Instant::now();
        }
    }

    /// Sends what was said, as far as the socket takes it, while there is no output yet.
    pub(super) fn flush_said(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() && self.write()? {}
        Ok(())
    }

    /// Writes once. `false` when the socket takes nothing.
    fn write(&mut self) -> io::Result<bool> {
        let slices: Vec<IoSlice<'_>> = self
            .outbox
            .iter()
            .take(SLICES)
            .map(|piece| IoSlice::new(piece))
            .collect();
        match self.socket.try_write_vectored(&slices) {
            Ok(written) => {
                self.advance(written);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn fill(&mut self, spool: &mut Spool) {
        while spool.behind().is_some() && self.waiting < OUTBOX {
            match spool.next() {
                Some(Item::Piece(message)) => self.push(message),
                Some(Item::Gap { from, to }) => self.say(&FromHolder::Gap {
                    from,
                    to,
                    reason: spool.gap_reason().to_owned(),
                }),
                None => {
                    if let Some(last) = self.last.take() {
                        self.push(last);
                    }
                    return;
                }
            }
        }
    }

    fn push(&mut self, message: Bytes) {
        self.waiting += message.len();
        self.outbox.push_back(message);
    }

    fn advance(&mut self, mut written: usize) {
        self.waiting -= written;
        while let Some(piece) = self.outbox.front_mut() {
            let part = written.min(piece.len());
            piece.advance(part);
            written -= part;
            if !piece.is_empty() {
                return;
            }
            self.outbox.pop_front();
        }
    }
}
