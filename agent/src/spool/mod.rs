//! The output of one command that the daemon hasn't acknowledged: on disk, so that it survives the death of every process
//! here (writes reach the page cache; a power cut may cost what it hadn't written out).
//!
//! - [`record`]: the bytes of a chunk. Pure.
//! - [`slots`]: the chunk files, and the bound that all commands of an agent share.
//! - [`disk`]: one command's chunks.
//!
//! Output is appended to a chunk file before anybody is offered it, and a chunk goes once all of it is acknowledged. What
//! is acknowledged soon never reaches the platter. The newest pieces stay in memory too while the stream is about to take
//! them, so that nothing is read back as long as the agent keeps up.

mod disk;
pub(crate) mod record;
mod slots;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;

use bytes::{Bytes, BytesMut};
use opsctl_protocol::frame::{HEADER_BYTES, OutputFrame, Via};
use opsctl_protocol::limits::MAX_OUTPUT_PIECE;
use opsctl_protocol::message::Kind;
use opsctl_protocol::{CommandId, Timestamp};

use crate::wire::PREFIX;
use disk::Disk;
use record::{CHECKSUM, END_MARK, Piece, RECORD_HEAD};

pub use slots::WhenFull;
pub(crate) use slots::{Slots, SpoolLimits, sweep};

/// Memory that pieces are cut from. Untouched parts cost nothing; one allocation serves many small pieces.
const MEMORY: usize = 256 * 1024;

/// Output that is kept in memory for the stream. Above what may wait for a connected agent, so that one that keeps up is
/// never served from disk.
const TAIL: usize = 256 * 1024;

/// A piece in memory.
#[derive(Debug, Clone)]
struct Held {
    /// Where its record stands in the sequence of all records ever.
    position: u64,
    /// The message, its length included.
    message: Bytes,
}

/// Where the one reader is.
#[derive(Debug)]
struct Stream {
    /// The position of the next record.
    position: u64,
    /// The next byte of output.
    offset: u64,
    /// The rest of the piece that the start fell into.
    rest: Option<Bytes>,
}

/// What the stream gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A message, ready to send.
    Piece(Bytes),
    /// Output that is gone.
    Gap {
        /// The first missing byte.
        from: u64,
        /// The offset after the last one.
        to: u64,
    },
}

/// Unacknowledged output of one command, with at most one reader.
#[derive(Debug)]
pub(crate) struct Spool {
    /// Whose output.
    command_id: CommandId,
    /// What is on disk.
    disk: Disk,
    /// The newest pieces, without a hole up to the end: those that aren't on disk yet, and those that the stream is
    /// about to take.
    tail: VecDeque<Held>,
    /// Bytes in it.
    tail_bytes: usize,
    /// How many of the tail's last are not on disk. Few: nothing more is read from the program while there are any.
    unwritten: usize,
    /// The position after the newest record.
    position: u64,
    /// The offset after the newest byte.
    end: u64,
    /// The reader, while there is one.
    stream: Option<Stream>,
    /// Nothing is added any more: whoever has more than this spool has what it lacks.
    inherited: bool,
    /// Where the next pieces are read into; all of it is initialised.
    memory: BytesMut,
}

impl Spool {
    /// An empty spool.
    pub(crate) fn new(command_id: CommandId, slots: Slots) -> Self {
        Self {
            command_id,
            disk: Disk::new(command_id, slots),
            tail: VecDeque::new(),
            tail_bytes: 0,
            unwritten: 0,
            position: 0,
            end: 0,
            stream: None,
            inherited: false,
            memory: BytesMut::new(),
        }
    }

    /// The spool that a process that is dead has left.
    pub(crate) fn inherit(command_id: CommandId, slots: Slots) -> io::Result<Self> {
        let mut spool = Self::new(command_id, slots);
        spool.disk.inherit()?;
        spool.position = spool.disk.position();
        spool.end = spool.disk.end().unwrap_or_default();
        spool.inherited = true;
        Ok(spool)
    }

    /// Notes that there was so much output, whatever is left of it.
    pub(crate) fn ends_at(&mut self, offset: u64) {
        self.end = self.end.max(offset);
    }

    /// The offset after the newest byte.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The offset of the oldest byte that is held.
    pub(crate) fn start(&self) -> u64 {
        let oldest = || Piece::of(&self.tail.front()?.message).map(|piece| piece.offset);
        self.disk.start().or_else(oldest).unwrap_or(self.end)
    }

    /// Whether output waits for room, so that no more may be read.
    pub(crate) fn is_blocked(&self) -> bool {
        self.unwritten > 0
    }

    /// Whether the oldest output makes room for new.
    pub(crate) fn drops_oldest(&self) -> bool {
        self.disk.limits().when_full == WhenFull::DropOldest
    }

    /// Why output is gone, for people.
    pub(crate) fn gap_reason(&self) -> &'static str {
        if self.drops_oldest() {
            "the agent's spool was full, and drops the oldest output"
        } else {
            "the agent's spool no longer holds it"
        }
    }

    /// What the operator of this host should know, once.
    pub(crate) fn remarks(&mut self) -> Vec<String> {
        self.disk.remarks()
    }

    /// Room for one piece, to be read into.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.memory.len() < RECORD_HEAD + MAX_OUTPUT_PIECE + END_MARK {
            self.memory = BytesMut::zeroed(MEMORY);
        }
        &mut self.memory[RECORD_HEAD..RECORD_HEAD + MAX_OUTPUT_PIECE]
    }

    /// Adds the first `length` bytes of [`Self::space`] as a piece. Where there is no room for it the spool is blocked.
    pub(crate) fn commit(
        &mut self,
        length: usize,
        kind: Kind,
        size: Option<(u16, u16)>,
        time: Timestamp,
    ) {
        self.space();
        let header = OutputFrame {
            command_id: self.command_id,
            kind,
            via: Via::Direct,
            seq: 0,
            offset: self.end,
            time,
            size,
            data: Bytes::new(),
        };
        let whole = RECORD_HEAD + length;
        let frame = CHECKSUM + PREFIX;
        let record = &mut self.memory[..whole + END_MARK];
        record[CHECKSUM..frame].copy_from_slice(&((HEADER_BYTES + length) as u32).to_be_bytes());
        record[frame..RECORD_HEAD].copy_from_slice(&header.encode());
        record[whole..].fill(0);
        let piece = Piece {
            offset: self.end,
            end: self.end + length as u64,
        };
        let written = self.unwritten == 0 && self.disk.append(self.position, piece, record).is_ok();
        let message = self.memory.split_to(whole).freeze().slice(CHECKSUM..);
        self.tail_bytes += message.len();
        self.tail.push_back(Held {
            position: self.position,
            message,
        });
        self.unwritten += usize::from(!written);
        self.position += whole as u64;
        self.end = piece.end;
        self.trim();
    }

    /// Adds text of opsctl's own.
    pub(crate) fn say(&mut self, text: &str, time: Timestamp) {
        let length = text.len().min(MAX_OUTPUT_PIECE);
        self.space()[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.commit(length, Kind::Info, None, time);
    }

    /// Tries to find room for what has none. With `drop`, the oldest output makes room where nothing else does. Returns
    /// whether output was dropped.
    pub(crate) fn make_room(&mut self, drop: bool) -> bool {
        let mut dropped = false;
        while self.unwritten > 0 {
            let next = self.tail.len() - self.unwritten;
            let Held { position, message } = self.tail[next].clone();
            let Some(piece) = Piece::of(&message) else {
                break;
            };
            let mut record = vec![0; CHECKSUM + message.len() + END_MARK];
            record[CHECKSUM..CHECKSUM + message.len()].copy_from_slice(&message);
            if self.disk.append(position, piece, &mut record).is_ok() {
                self.unwritten -= 1;
            } else if drop {
                dropped = true;
                self.drop_oldest();
            } else {
                break;
            }
        }
        self.trim();
        dropped
    }

    /// Drops a chunk; where there is none to drop, a piece that has found no room.
    fn drop_oldest(&mut self) {
        if let Some(position) = self.disk.drop_oldest() {
            while self.tail.len() > self.unwritten && self.tail[0].position < position {
                self.forget_front();
            }
        } else {
            // Without chunks, all of the tail is unwritten.
            self.forget_front();
            self.unwritten = self.tail.len();
        }
    }

    fn forget_front(&mut self) {
        if let Some(held) = self.tail.pop_front() {
            self.tail_bytes -= held.message.len();
        }
    }

    /// Forgets what nobody needs who has `offset` bytes.
    pub(crate) fn ack(&mut self, offset: u64) {
        self.disk.ack(offset);
        while let Some(held) = self.tail.front() {
            if !Piece::of(&held.message).is_none_or(|piece| piece.is_before(offset)) {
                break;
            }
            self.forget_front();
        }
        self.unwritten = self.unwritten.min(self.tail.len());
    }

    /// Lets go of what is both on disk and of no use to the stream soon.
    fn trim(&mut self) {
        let position = self.stream.as_ref().map(|stream| stream.position);
        while self.tail.len() > self.unwritten
            && let Some(oldest) = self.tail.front()
        {
            let wanted = position.is_some_and(|next| next <= oldest.position);
            if wanted && self.tail_bytes <= TAIL {
                return;
            }
            self.forget_front();
        }
    }

    /// Starts the stream anew at `from`; returns where it starts, which is elsewhere only where there never was so much
    /// output. A gap comes first where what is wanted is gone.
    pub(crate) fn seek(&mut self, from: u64) -> u64 {
        if self.inherited {
            // Nobody has more than there was; the end was acknowledged, and so is no longer here.
            self.end = self.end.max(from);
        }
        let from = from.min(self.end);
        let found = self.disk.seek(from).unwrap_or_else(|| {
            let next = self
                .tail
                .iter()
                .find(|held| !Piece::of(&held.message).is_none_or(|piece| piece.is_before(from)));
            next.map_or(self.position, |held| held.position)
        });
        let mut stream = Stream {
            position: found,
            offset: from,
            rest: None,
        };
        if let Some((position, message)) = self.at(found)
            && let Some(piece) = Piece::of(&message)
            && piece.offset < from
        {
            stream.rest = Some(without(&message, (from - piece.offset) as usize, from));
            stream.position = position + (CHECKSUM + message.len()) as u64;
        }
        self.stream = Some(stream);
        from
    }

    /// Ends the stream.
    pub(crate) fn pause(&mut self) {
        self.stream = None;
        self.disk.forget_ahead();
        self.trim();
    }

    /// Bytes between the stream and the end, roughly; `None` without a stream.
    pub(crate) fn behind(&self) -> Option<u64> {
        self.stream
            .as_ref()
            .map(|stream| self.position - stream.position.min(self.position))
    }

    /// What comes next in the stream.
    pub(crate) fn next(&mut self) -> Option<Item> {
        let stream = self.stream.as_mut()?;
        if let Some(rest) = stream.rest.take() {
            stream.offset = Piece::of(&rest).map_or(stream.offset, |piece| piece.end);
            return Some(Item::Piece(rest));
        }
        let (position, offset) = (stream.position, stream.offset);
        let found = self.at(position);
        let next = found
            .as_ref()
            .and_then(|(_, message)| Piece::of(message))
            .map_or(self.end, |piece| piece.offset);
        let stream = self.stream.as_mut()?;
        if next > offset {
            stream.offset = next;
            stream.position = found.map_or(position, |(position, _)| position);
            return Some(Item::Gap {
                from: offset,
                to: next,
            });
        }
        let (position, message) = found?;
        stream.position = position + (CHECKSUM + message.len()) as u64;
        stream.offset = Piece::of(&message).map_or(offset, |piece| piece.end);
        self.trim();
        Some(Item::Piece(message))
    }

    /// The first message at or after a position.
    fn at(&mut self, position: u64) -> Option<(u64, Bytes)> {
        let tail = self
            .tail
            .front()
            .map_or(self.position, |held| held.position);
        if position < tail
            && let Some(found) = self.disk.at(position, tail)
        {
            return Some(found);
        }
        let next = self
            .tail
            .partition_point(|held| held.position < position.max(tail));
        let held = self.tail.get(next)?;
        Some((held.position, held.message.clone()))
    }

    /// Removes everything from the disk.
    pub(crate) fn clear(&mut self) {
        self.disk.clear();
    }
}

/// The message without its first `skip` bytes of data; what is left starts at `offset`.
fn without(message: &Bytes, skip: usize, offset: u64) -> Bytes {
    let head = PREFIX + HEADER_BYTES;
    let data = &message[head + skip..];
    let mut rest = BytesMut::with_capacity(head + data.len());
    rest.extend_from_slice(&((HEADER_BYTES + data.len()) as u32).to_be_bytes());
    rest.extend_from_slice(&message[PREFIX..head]);
    // The offset's place in the header is part of the contract.
    rest[PREFIX + 16..PREFIX + 24].copy_from_slice(&offset.to_be_bytes());
    rest.extend_from_slice(data);
    rest.freeze()
}
