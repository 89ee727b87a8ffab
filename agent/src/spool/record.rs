//! The bytes of a chunk of the spool. No IO.
//!
//! A chunk starts with a header, and records follow; numbers are big-endian:
//!
//! ```text
//!  0  magic    8 bytes
//!  8  command  16 bytes
//! 24  number   u64  the chunk's place among its command's
//! 32  crc32c   u32  of the bytes before
//! 36  records: crc32c u32, length u32, as many bytes: an output frame as it travels
//! ```
//!
//! A record's checksum covers the chunk's number too, so that what an earlier use of the file left behind is no record.
//! Zeroes stand behind the newest record; anything else there was cut short.

use bytes::{Buf, BufMut};
use opsctl_protocol::CommandId;
use opsctl_protocol::frame::HEADER_BYTES as FRAME_HEADER;
use opsctl_protocol::limits::MAX_OUTPUT_PIECE;

use crate::wire::PREFIX;

/// Changes when the format does.
const MAGIC: [u8; 8] = *b"opsspl\0\x01";

/// Bytes of a chunk before its records.
pub(crate) const CHUNK_HEADER: usize = 36;

/// Bytes of a record before the message that it holds (a length and a frame, as they go to the agent).
pub(crate) const CHECKSUM: usize = 4;

/// Bytes of a record before the output itself.
pub(crate) const RECORD_HEAD: usize = CHECKSUM + PREFIX + FRAME_HEADER;

/// Zeroes behind the newest record, which the next one overwrites.
pub(crate) const END_MARK: usize = CHECKSUM + PREFIX;

/// The largest record.
pub(crate) const MAX_RECORD: usize = RECORD_HEAD + MAX_OUTPUT_PIECE;

/// Whose a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkHeader {
    /// Whose output.
    pub(crate) command_id: CommandId,
    /// Its place among the chunks of that command; later ones have larger numbers.
    pub(crate) number: u64,
}

impl ChunkHeader {
    /// The header's bytes.
    pub(crate) fn encode(&self) -> [u8; CHUNK_HEADER] {
        let mut bytes = Vec::with_capacity(CHUNK_HEADER);
        bytes.put_slice(&MAGIC);
        bytes.put_slice(&self.command_id.0);
        bytes.put_u64(self.number);
        bytes.put_u32(crc32c::crc32c(&bytes));
        bytes.try_into().expect("these are all of its fields")
    }

    /// Reads the header at the start of `bytes`; `None` where there is no whole one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<CHUNK_HEADER>()?;
        let (checked, mut crc) = header.split_at(CHUNK_HEADER - CHECKSUM);
        let mut rest = checked.strip_prefix(&MAGIC)?;
        if crc.get_u32() != crc32c::crc32c(checked) {
            return None;
        }
        let mut id = [0; 16];
        rest.copy_to_slice(&mut id);
        Some(Self {
            command_id: CommandId(id),
            number: rest.get_u64(),
        })
    }
}

/// A piece of output, by its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Bytes of output before it.
    pub(crate) offset: u64,
    /// The offset after it; the same where it only says a size.
    pub(crate) end: u64,
}

impl Piece {
    /// The piece that a message (a length and a frame) carries.
    pub(crate) fn of(message: &[u8]) -> Option<Self> {
        let frame = message.get(PREFIX..)?;
        let data = frame.len().checked_sub(FRAME_HEADER)?;
        let offset = u64::from_be_bytes(*frame.get(16..24)?.first_chunk()?);
        let end = offset.checked_add(data as u64)?;
        Some(Self { offset, end })
    }

    /// Whether somebody who has `offset` bytes needs nothing of it. A piece without bytes at `offset` itself may not have
    /// arrived yet.
    pub(crate) fn is_before(self, offset: u64) -> bool {
        self.end <= offset && self.offset < offset
    }
}

/// The checksum of a record in the chunk of this number.
pub(crate) fn checksum(number: u64, message: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_be_bytes()), message)
}

/// A whole record at the start of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// What it holds.
    pub(crate) piece: Piece,
    /// Its bytes in all.
    pub(crate) length: usize,
}

/// Reads the record at the start of `bytes`, in the chunk of this number. `None` where none is, or not all of it.
pub(crate) fn parse(number: u64, bytes: &[u8]) -> Option<Record> {
    let mut head = bytes.get(..CHECKSUM + PREFIX)?;
    let (crc, frame) = (head.get_u32(), head.get_u32() as usize);
    let length = CHECKSUM + PREFIX + frame;
    if !(RECORD_HEAD..=MAX_RECORD).contains(&length) {
        return None;
    }
    let message = bytes.get(CHECKSUM..length)?;
    if checksum(number, message) != crc {
        return None;
    }
    let piece = Piece::of(message)?;
    Some(Record { piece, length })
}

/// The records at the start of `bytes`, up to where none follows: their places and themselves.
pub(crate) fn walk(number: u64, bytes: &[u8]) -> impl Iterator<Item = (usize, Record)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let record = parse(number, bytes.get(at..)?)?;
        let found = (at, record);
        at += record.length;
        Some(found)
    })
}

/// Whether `bytes`, which are no record, are where records end; else a record was cut short there.
pub(crate) fn is_end(bytes: &[u8]) -> bool {
    bytes.iter().take(END_MARK).all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_reads_back_and_damage_shows() {
        let header = ChunkHeader {
            command_id: CommandId([3; 16]),
            number: 7,
        };
        let mut bytes = header.encode();
        assert_eq!(ChunkHeader::decode(&bytes), Some(header));
        assert_eq!(ChunkHeader::decode(&bytes[..CHUNK_HEADER - 1]), None);
        bytes[30] ^= 1;
        assert_eq!(ChunkHeader::decode(&bytes), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(number in any::<u64>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            ChunkHeader::decode(&bytes);
            walk(number, &bytes).count();
        }
    }
}
