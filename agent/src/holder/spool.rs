//! The output that the daemon hasn't acknowledged, as frames ready to send. No IO, no clock.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use opsctl_protocol::frame::Via;
use opsctl_protocol::frame::{HEADER_BYTES, OutputFrame};
use opsctl_protocol::limits::MAX_OUTPUT_PIECE;
use opsctl_protocol::message::Kind;
use opsctl_protocol::{CommandId, Timestamp};

use crate::wire::PREFIX;

/// Bytes before the data of each piece: the message's length and the frame's header.
const HEAD: usize = PREFIX + HEADER_BYTES;

/// Memory that pieces are cut from. Untouched parts cost nothing; one allocation serves many small pieces.
const CHUNK: usize = 256 * 1024;

/// What a piece costs beyond its frame: its entry in the queue.
const ENTRY: usize = 64;

/// A piece of output.
#[derive(Debug, Clone)]
struct Piece {
    /// Bytes of output before it.
    offset: u64,
    /// Its bytes; none where it only says a size.
    length: usize,
    /// The message, its length included.
    message: Bytes,
}

impl Piece {
    fn end(&self) -> u64 {
        self.offset + self.length as u64
    }
}

/// Where a reader stands: the number of the next piece, counted from the first ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor(u64);

/// Where a stream starts again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seek {
    /// The first byte that follows; later than asked for where older ones are gone.
    pub(crate) from: u64,
    /// The rest of a piece that `from` falls into.
    pub(crate) rest: Option<Bytes>,
    /// What follows.
    pub(crate) cursor: Cursor,
}

/// Unacknowledged output of one command.
#[derive(Debug)]
pub(crate) struct Spool {
    /// Whose output.
    command_id: CommandId,
    /// In order, oldest first.
    pieces: VecDeque<Piece>,
    /// Pieces that are gone.
    dropped: u64,
    /// The offset after the newest byte.
    end: u64,
    /// The offset of the oldest byte that is held.
    start: u64,
    /// Memory in use, by estimate.
    held: usize,
    /// Where the next pieces are read into; all of it is initialised.
    chunk: BytesMut,
}

impl Spool {
    pub(crate) fn new(command_id: CommandId) -> Self {
        Self {
            command_id,
            pieces: VecDeque::new(),
            dropped: 0,
            end: 0,
            start: 0,
            held: 0,
            chunk: BytesMut::new(),
        }
    }

    /// The offset after the newest byte.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The offset of the oldest byte that is held.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Memory in use, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Room for one piece, to be read into.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.chunk.len() < HEAD + MAX_OUTPUT_PIECE {
            self.chunk = BytesMut::zeroed(CHUNK);
        }
        &mut self.chunk[HEAD..HEAD + MAX_OUTPUT_PIECE]
    }

    /// Adds the first `length` bytes of [`Self::space`] as a piece.
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
        let mut message = self.chunk.split_to(HEAD + length);
        message[..PREFIX].copy_from_slice(&((HEADER_BYTES + length) as u32).to_be_bytes());
        message[PREFIX..HEAD].copy_from_slice(&header.encode());
        self.held += message.len() + ENTRY;
        self.pieces.push_back(Piece {
            offset: self.end,
            length,
            message: message.freeze(),
        });
        self.end += length as u64;
    }

    /// Adds text of opsctl's own.
    pub(crate) fn say(&mut self, text: &str, time: Timestamp) {
        let length = text.len().min(MAX_OUTPUT_PIECE);
        self.space()[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.commit(length, Kind::Info, None, time);
    }

    /// Forgets what ends before or at `offset`. A piece without bytes at `offset` itself may not have arrived yet.
    pub(crate) fn ack(&mut self, offset: u64) {
        while let Some(piece) = self.pieces.front() {
            if piece.end() > offset || piece.offset >= offset {
                break;
            }
            self.held -= piece.message.len() + ENTRY;
            self.start = piece.end();
            self.dropped += 1;
            self.pieces.pop_front();
        }
    }

    /// The message at the cursor, which moves on. A cursor whose pieces are gone stands at the oldest.
    pub(crate) fn next(&self, cursor: &mut Cursor) -> Option<Bytes> {
        let at = cursor.0.max(self.dropped);
        let piece = self.pieces.get((at - self.dropped) as usize)?;
        *cursor = Cursor(at + 1);
        Some(piece.message.clone())
    }

    /// Bytes from the cursor to the end.
    pub(crate) fn behind(&self, cursor: Cursor) -> u64 {
        let at = cursor.0.max(self.dropped) - self.dropped;
        self.pieces
            .get(at as usize)
            .map_or(0, |piece| self.end - piece.offset)
    }

    /// Finds where a stream from `from` starts.
    pub(crate) fn seek(&self, from: u64) -> Seek {
        let from = from.clamp(self.start, self.end);
        let at = self.pieces.partition_point(|piece| {
            piece.end() < from || (piece.end() == from && piece.offset < from)
        });
        let cursor = self.dropped + at as u64;
        match self.pieces.get(at) {
            Some(piece) if piece.offset < from => {
                let rest = cut(&piece.message, (from - piece.offset) as usize, from);
                Seek {
                    from,
                    rest: Some(rest),
                    cursor: Cursor(cursor + 1),
                }
            }
            _ => Seek {
                from,
                rest: None,
                cursor: Cursor(cursor),
            },
        }
    }
}

/// The message without its first `skip` bytes of data.
fn cut(message: &Bytes, skip: usize, offset: u64) -> Bytes {
    let data = &message[HEAD + skip..];
    let mut rest = BytesMut::with_capacity(HEAD + data.len());
    rest.extend_from_slice(&((HEADER_BYTES + data.len()) as u32).to_be_bytes());
    rest.extend_from_slice(&message[PREFIX..HEAD]);
    // The offset's place in the header is part of the contract.
    rest[PREFIX + 16..PREFIX + 24].copy_from_slice(&offset.to_be_bytes());
    rest.extend_from_slice(data);
    rest.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opsctl_protocol::BinaryFrame;
    use proptest::prelude::*;

    fn spool(pieces: &[&[u8]]) -> Spool {
        let mut spool = Spool::new(CommandId([7; 16]));
        for piece in pieces {
            spool.space()[..piece.len()].copy_from_slice(piece);
            spool.commit(piece.len(), Kind::Output, None, Timestamp(1));
        }
        spool
    }

    fn read(message: &Bytes) -> OutputFrame {
        match BinaryFrame::decode(&message.slice(PREFIX..)).unwrap() {
            BinaryFrame::Output(frame) => frame,
            other => panic!("{other:?}"),
        }
    }

    fn all_from(spool: &Spool, from: u64) -> (u64, Vec<u8>) {
        let mut seek = spool.seek(from);
        let mut at = seek.from;
        let mut bytes = Vec::new();
        let mut rest = seek.rest.take();
        while let Some(message) = rest.take().or_else(|| spool.next(&mut seek.cursor)) {
            let frame = read(&message);
            assert_eq!((frame.offset, frame.command_id), (at, CommandId([7; 16])));
            at = frame.end();
            bytes.extend_from_slice(&frame.data);
        }
        (seek.from, bytes)
    }

    #[test]
    fn a_size_without_bytes_survives_an_ack_up_to_it() {
        let mut spool = spool(&[b"abc"]);
        spool.commit(0, Kind::Output, Some((90, 30)), Timestamp(2));
        spool.ack(3);
        let mut cursor = spool.seek(3).cursor;
        let frame = read(&spool.next(&mut cursor).unwrap());
        assert_eq!(
            (frame.offset, frame.size, frame.data.len()),
            (3, Some((90, 30)), 0)
        );
        assert_eq!(spool.next(&mut cursor), None);
    }

    #[test]
    fn what_is_gone_is_not_promised() {
        let mut spool = spool(&[b"abc", b"def"]);
        spool.ack(3);
        assert_eq!(all_from(&spool, 0), (3, b"def".to_vec()));
        assert_eq!(spool.behind(Cursor(0)), 3);
    }

    proptest! {
        #[test]
        fn any_resume_gives_exactly_the_rest(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..20),
            acked in 0_u64..60,
            from in 0_u64..60,
        ) {
            let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let mut spool = spool(&slices);
            let whole = slices.concat();
            let acked = acked.min(whole.len() as u64);
            spool.ack(acked);
            prop_assert!(spool.start() <= acked);
            let (start, bytes) = all_from(&spool, from);
            prop_assert_eq!(start, from.clamp(spool.start(), whole.len() as u64));
            prop_assert_eq!(&bytes[..], &whole[start as usize..]);
        }

        #[test]
        fn acking_all_frees_all(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..9), 0..20)) {
            let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let mut spool = spool(&slices);
            spool.ack(spool.end());
            prop_assert_eq!(spool.held(), 0);
        }
    }
}
