//! A record and its bytes in a segment.
//!
//! Numbers are big-endian; the checksum (CRC-32C) covers everything after it:
//!
//! ```text
//!  0  length   u32  bytes after the checksum
//!  4  crc32c   u32
//!  8  command  16 bytes
//! 24  kind     u8
//! 25  offset   u64
//! 33  time     u64  ms since the epoch
//! 41  cols     u16  0 where unchanged
//! 43  rows     u16
//! 45  the bytes
//! ```

use bytes::{Buf, BufMut, Bytes};
use opsctl_protocol::message::Kind;
use opsctl_protocol::{CommandId, OutputFrame, Timestamp, limits};

/// Bytes of a record before its data.
pub(super) const HEADER_BYTES: usize = 45;

/// The checksum and what stands before it.
const PREFIX_BYTES: usize = 8;

/// No record has more data: as much as one message can carry. A greater length in a file is damage.
pub const MAX_DATA_BYTES: usize = limits::MAX_MESSAGE;

/// A piece of a command's output as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose output.
    pub command: CommandId,
    /// Which output.
    pub kind: Kind,
    /// Bytes of this command's output before this piece.
    pub offset: u64,
    /// When the agent read it.
    pub time: Timestamp,
    /// The terminal's columns and rows from here on, where they changed.
    pub size: Option<(u16, u16)>,
    /// The bytes; there may be none where the size changed.
    pub data: Bytes,
}

/// Bytes that a record with so much data takes in a segment.
pub(super) fn stored_bytes(data_bytes: usize) -> usize {
    HEADER_BYTES + data_bytes
}

impl Record {
    /// The offset after this piece.
    pub fn end(&self) -> u64 {
        self.offset + self.data.len() as u64
    }

    /// Bytes that the record takes in a segment.
    pub(super) fn stored_bytes(&self) -> usize {
        stored_bytes(self.data.len())
    }

    /// Adds the record's bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let (cols, rows) = self.size.unwrap_or_default();
        out.put_u32((self.stored_bytes() - PREFIX_BYTES) as u32);
        out.put_u32(0);
        out.put_slice(&self.command.0);
        out.put_u8(self.kind.number());
        out.put_u64(self.offset);
        out.put_u64(self.time.0);
        out.put_u16(cols);
        out.put_u16(rows);
        out.put_slice(&self.data);
        let crc = crc32c::crc32c(&out[start + PREFIX_BYTES..]);
        out[start + 4..start + PREFIX_BYTES].copy_from_slice(&crc.to_be_bytes());
    }
}

impl From<&OutputFrame> for Record {
    fn from(frame: &OutputFrame) -> Self {
        Self {
            command: frame.command_id,
            kind: frame.kind,
            offset: frame.offset,
            time: frame.time,
            size: frame.size,
            data: frame.data.clone(),
        }
    }
}

/// What stands at a place in a segment.
#[derive(Debug)]
pub(super) enum Parsed {
    /// A record; its data is left out, and its bytes in all.
    Whole(Head, usize),
    /// So many bytes are needed to tell.
    Short(usize),
    /// Bytes that are no record. Where the length makes sense, how many to skip.
    Damaged(Option<usize>),
}

/// A record without its data.
#[derive(Debug)]
pub(super) struct Head {
    /// As in [`Record`].
    pub(super) command: CommandId,
    /// As in [`Record`].
    pub(super) kind: Kind,
    /// As in [`Record`].
    pub(super) offset: u64,
    /// As in [`Record`].
    pub(super) time: Timestamp,
    /// As in [`Record`].
    pub(super) size: Option<(u16, u16)>,
    /// The data's length.
    pub(super) length: usize,
}

impl Head {
    /// The offset after the data.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.length as u64
    }
}

/// Reads the record at the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    if bytes.len() < PREFIX_BYTES {
        return Parsed::Short(PREFIX_BYTES);
    }
    let mut header = bytes;
    let length = header.get_u32() as usize;
    let crc = header.get_u32();
    let total = PREFIX_BYTES + length;
    if !(HEADER_BYTES..=HEADER_BYTES + MAX_DATA_BYTES).contains(&total) {
        return Parsed::Damaged(None);
    }
    if bytes.len() < total {
        return Parsed::Short(total);
    }
    if crc32c::crc32c(&bytes[PREFIX_BYTES..total]) != crc {
        return Parsed::Damaged(Some(total));
    }
    let mut command = [0; 16];
    header.copy_to_slice(&mut command);
    let kind = Kind::from_number(header.get_u8()).unwrap_or_default();
    let (offset, time) = (header.get_u64(), Timestamp(header.get_u64()));
    let size = (header.get_u16(), header.get_u16());
    let size = (size != (0, 0)).then_some(size);
    let head = Head {
        command: CommandId(command),
        kind,
        offset,
        time,
        size,
        length: total - HEADER_BYTES,
    };
    Parsed::Whole(head, total)
}
