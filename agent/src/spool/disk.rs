//! One command's chunks on disk.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::{Bytes, BytesMut};
use opsctl_protocol::CommandId;

use super::record::{
    CHECKSUM, CHUNK_HEADER, ChunkHeader, END_MARK, MAX_RECORD, Piece, checksum, is_end, parse, walk,
};
use super::slots::{NoChunk, Slot, Slots, SpoolLimits};

/// Bytes that are read back at once.
const READ_AHEAD: usize = 4 * MAX_RECORD;

/// Files that are kept to be written over: what one acknowledgement of a MiB, as they come in a flood, sets free.
const SPARES: usize = 5;

/// A chunk with records in it.
#[derive(Debug)]
struct Chunk {
    slot: Slot,
    /// Its place among this command's.
    number: u64,
    /// The position of its first record.
    start: u64,
    /// Bytes of its records.
    bytes: u64,
    /// The first piece's offset.
    first: u64,
    /// The newest piece.
    last: Piece,
}

impl Chunk {
    /// The position after its newest record.
    fn stop(&self) -> u64 {
        self.start + self.bytes
    }

    fn read(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let left = (self.stop() - position) as usize;
        let mut bytes = BytesMut::zeroed(length.min(left));
        let at = CHUNK_HEADER as u64 + (position - self.start);
        self.slot.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes.freeze())
    }
}

/// The chunks of one command.
#[derive(Debug)]
pub(super) struct Disk {
    command_id: CommandId,
    slots: Slots,
    /// Oldest first; none is empty.
    chunks: VecDeque<Chunk>,
    /// Files that are free to be written over, while others are in use: a flood that is acknowledged as it comes makes
    /// no new files. At most [`SPARES`].
    spare: Vec<Slot>,
    /// The next chunk's number.
    number: u64,
    /// What was read back and not yet asked for: a chunk's number, a position, and the bytes from there.
    ahead: (u64, u64, Bytes),
    /// For the operator of this host.
    remarks: Vec<String>,
    /// The trouble that was remarked upon, until it is over.
    trouble: Option<String>,
}

impl Disk {
    pub(super) fn new(command_id: CommandId, slots: Slots) -> Self {
        Self {
            command_id,
            slots,
            chunks: VecDeque::new(),
            spare: Vec::new(),
            number: 0,
            ahead: (0, 0, Bytes::new()),
            remarks: Vec::new(),
            trouble: None,
        }
    }

    /// Finds the chunks that a dead process left, and cuts what it hadn't finished.
    pub(super) fn inherit(&mut self) -> io::Result<()> {
        let mut found = self
            .slots
            .mine(|header| header.command_id == self.command_id)?;
        found.sort_unstable_by_key(|(header, _)| header.number);
        let mut position = 0;
        for (header, slot) in found {
            let number = header.number;
            self.number = number + 1;
            match self.load(number, position, slot) {
                Ok(chunk) => {
                    position = chunk.stop();
                    self.chunks.push_back(chunk);
                }
                // Nothing had been written to it.
                Err(empty) => self.slots.release(&empty),
            }
        }
        Ok(())
    }

    /// Reads a chunk's records. One without any is given back.
    fn load(&mut self, number: u64, start: u64, slot: Slot) -> Result<Chunk, Slot> {
        let length = slot.file.metadata().map_or(0, |file| file.len());
        let length = length.min(self.slots.limits().chunk_bytes);
        let mut bytes = vec![0; (length as usize).saturating_sub(CHUNK_HEADER)];
        if let Err(error) = slot.file.read_exact_at(&mut bytes, CHUNK_HEADER as u64) {
            self.remarks.push(format!(
                "chunk {number} of the spool cannot be read: {error}"
            ));
        }
        let (mut good, mut first, mut last) = (0, None, None);
        for (at, record) in walk(number, &bytes) {
            good = at + record.length;
            first = first.or(Some(record.piece.offset));
            last = Some(record.piece);
        }
        if !is_end(&bytes[good..]) {
            self.remarks.push(format!(
                "chunk {number} of the spool is cut short; going on with its first {good} bytes"
            ));
        }
        match first.zip(last) {
            Some((first, last)) => Ok(Chunk {
                slot,
                number,
                start,
                bytes: good as u64,
                first,
                last,
            }),
            None => Err(slot),
        }
    }

    pub(super) fn limits(&self) -> SpoolLimits {
        self.slots.limits()
    }

    /// The position after the newest record.
    pub(super) fn position(&self) -> u64 {
        self.chunks.back().map_or(0, Chunk::stop)
    }

    /// The offset of the oldest byte here.
    pub(super) fn start(&self) -> Option<u64> {
        self.chunks.front().map(|chunk| chunk.first)
    }

    /// The offset after the newest byte here.
    pub(super) fn end(&self) -> Option<u64> {
        self.chunks.back().map(|chunk| chunk.last.end)
    }

    pub(super) fn remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    /// Writes a record, whose checksum is put in its place here; the end's mark follows it in `record`.
    pub(super) fn append(
        &mut self,
        position: u64,
        piece: Piece,
        record: &mut [u8],
    ) -> Result<(), NoChunk> {
        let written = self.write(position, piece, record);
        match &written {
            Ok(()) => self.trouble = None,
            Err(error) => self.complain(error.to_string()),
        }
        written
    }

    /// Says what is wrong, once.
    fn complain(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            self.remarks.push(format!(
                "output finds no room: {trouble}; it goes on by itself"
            ));
            self.trouble = Some(trouble);
        }
    }

    fn write(&mut self, position: u64, piece: Piece, record: &mut [u8]) -> Result<(), NoChunk> {
        let length = record.len() - END_MARK;
        let bound = self.slots.limits().chunk_bytes;
        let fits = |chunk: &Chunk| CHUNK_HEADER as u64 + chunk.bytes + record.len() as u64 <= bound;
        let mut fresh = None;
        if !self.chunks.back().is_some_and(fits) {
            fresh = Some(self.chunk(position, piece)?);
        }
        let Some(chunk) = fresh.as_mut().or(self.chunks.back_mut()) else {
            return Err(NoChunk::Full);
        };
        let crc = checksum(chunk.number, &record[CHECKSUM..length]);
        record[..CHECKSUM].copy_from_slice(&crc.to_be_bytes());
        let at = CHUNK_HEADER as u64 + chunk.bytes;
        let written = chunk.slot.file.write_all_at(record, at);
        if written.is_ok() {
            chunk.bytes += length as u64;
            chunk.last = piece;
        }
        // A chunk is never empty: one whose first record found no room waits for the next.
        match (fresh, &written) {
            (Some(chunk), Ok(())) => self.chunks.push_back(chunk),
            (Some(chunk), Err(_)) => self.spare.push(chunk.slot),
            (None, _) => {}
        }
        Ok(written?)
    }

    /// A chunk for the piece at this position.
    fn chunk(&mut self, position: u64, piece: Piece) -> Result<Chunk, NoChunk> {
        let header = ChunkHeader {
            command_id: self.command_id,
            number: self.number,
        };
        let slot = match self.spare.pop() {
            Some(slot) => {
                let mut start = header.encode().to_vec();
                start.resize(CHUNK_HEADER + END_MARK, 0);
                if let Err(error) = slot.file.write_all_at(&start, 0) {
                    self.spare.push(slot);
                    return Err(error.into());
                }
                slot
            }
            None => self.slots.take(&header, self.chunks.is_empty())?,
        };
        self.number += 1;
        Ok(Chunk {
            slot,
            number: header.number,
            start: position,
            bytes: 0,
            first: piece.offset,
            last: piece,
        })
    }

    /// Lets go of the chunks that nobody needs who has `offset` bytes. A few files are kept while there are others: whoever
    /// prints a lot needs the next one soon.
    pub(super) fn ack(&mut self, offset: u64) {
        while let Some(chunk) = self
            .chunks
            .pop_front_if(|chunk| chunk.last.is_before(offset))
        {
            self.free(chunk.slot);
        }
        if self.chunks.is_empty() {
            for spare in self.spare.drain(..) {
                self.slots.release(&spare);
            }
        }
    }

    /// Drops the oldest chunk, whose file the next one takes. Returns the position after it.
    pub(super) fn drop_oldest(&mut self) -> Option<u64> {
        let chunk = self.chunks.pop_front()?;
        let position = chunk.stop();
        self.free(chunk.slot);
        Some(position)
    }

    fn free(&mut self, slot: Slot) {
        if self.spare.len() < SPARES {
            self.spare.push(slot);
        } else {
            self.slots.release(&slot);
        }
    }

    /// The position of the first record here that somebody needs who has `from` bytes.
    pub(super) fn seek(&mut self, from: u64) -> Option<u64> {
        let at = self
            .chunks
            .partition_point(|chunk| chunk.last.is_before(from));
        let chunk = self.chunks.get(at)?;
        let bytes = match chunk.read(chunk.start, chunk.bytes as usize) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.unreadable(at, &error.to_string());
                return self.chunks.get(at).map(|chunk| chunk.start);
            }
        };
        walk(chunk.number, &bytes)
            .find(|(_, record)| !record.piece.is_before(from))
            .map(|(place, _)| chunk.start + place as u64)
            .or(Some(chunk.start))
    }

    /// The first message at or after a position and before another.
    pub(super) fn at(&mut self, mut position: u64, before: u64) -> Option<(u64, Bytes)> {
        loop {
            let at = self
                .chunks
                .partition_point(|chunk| chunk.stop() <= position);
            let chunk = self.chunks.get(at)?;
            position = position.max(chunk.start);
            if position >= before {
                return None;
            }
            match self.message(at, position) {
                Ok(message) => return Some((position, message)),
                Err(why) => {
                    position = chunk_stop(&self.chunks, at)?;
                    self.unreadable(at, &why);
                }
            }
        }
    }

    fn unreadable(&mut self, at: usize, why: &str) {
        if let Some(chunk) = self.chunks.get(at) {
            let remark = format!("chunk {} of the spool is damaged: {why}", chunk.number);
            self.remarks.push(remark);
        }
    }

    /// The message at a position in a chunk.
    fn message(&mut self, at: usize, position: u64) -> Result<Bytes, String> {
        let Some(chunk) = self.chunks.get(at) else {
            return Err("it is gone".to_owned());
        };
        let (number, from, bytes) = &self.ahead;
        let skip = position
            .checked_sub(*from)
            .filter(|_| *number == chunk.number);
        let known = skip
            .and_then(|skip| bytes.get(skip as usize..).zip(Some(skip as usize)))
            .and_then(|(bytes, skip)| Some((skip, parse(chunk.number, bytes)?.length)));
        if let Some((skip, length)) = known {
            return Ok(bytes.slice(skip + CHECKSUM..skip + length));
        }
        let bytes = chunk
            .read(position, READ_AHEAD)
            .map_err(|error| error.to_string())?;
        let record = parse(chunk.number, &bytes).ok_or("a checksum does not fit")?;
        let message = bytes.slice(CHECKSUM..record.length);
        self.ahead = (chunk.number, position, bytes);
        Ok(message)
    }

    /// Gives the memory back that reading has taken.
    pub(super) fn forget_ahead(&mut self) {
        self.ahead = (0, 0, Bytes::new());
    }

    /// Removes all chunks.
    pub(super) fn clear(&mut self) {
        let chunks = self.chunks.drain(..).map(|chunk| chunk.slot);
        for slot in chunks.chain(self.spare.drain(..)) {
            self.slots.release(&slot);
        }
    }
}

/// The position after a chunk.
fn chunk_stop(chunks: &VecDeque<Chunk>, at: usize) -> Option<u64> {
    chunks.get(at).map(Chunk::stop)
}
