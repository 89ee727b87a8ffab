//! Where a command's records are: one extent for each segment that has any.
//!
//! The segment that is written has its extents in memory. A sealed one has them in a file beside it, sorted by command
//! and searched in place, so that gigabytes of log cost neither memory nor time at the start:
//!
//! ```text
//! 0   magic  8 bytes
//! 8   count  u64  entries
//! 16  bytes  u64  the segment's length
//! 24  crc32c u32  of the bytes before
//! 28  entries of 52 bytes: command 16, first u64, last u64, from u64, to u64, crc32c u32 of these
//! ```
//!
//! Each entry has a checksum of its own, so that a search notices damage without reading the whole file.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};
use opsctl_protocol::CommandId;

const MAGIC: [u8; 8] = *b"opsidx\0\x01";

const HEADER_BYTES: usize = 28;

const ENTRY_BYTES: usize = 52;

/// Where a command's records are in one segment, and what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where the first record starts.
    pub(super) first: u64,
    /// Where the last record ends. Other commands' records may lie between.
    pub(super) last: u64,
    /// The first output byte's offset.
    pub(super) from: u64,
    /// The offset after the last output byte.
    pub(super) to: u64,
}

/// The extents of one segment.
#[derive(Debug, Clone, Default)]
pub(super) struct Extents(HashMap<CommandId, Extent>);

impl Extents {
    /// None yet.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a record: its place in the segment and the output that it holds.
    pub(super) fn note(&mut self, command: CommandId, place: Range<u64>, output: Range<u64>) {
        self.0
            .entry(command)
            .and_modify(|extent| {
                extent.first = extent.first.min(place.start);
                extent.last = extent.last.max(place.end);
                extent.from = extent.from.min(output.start);
                extent.to = extent.to.max(output.end);
            })
            .or_insert(Extent {
                first: place.start,
                last: place.end,
                from: output.start,
                to: output.end,
            });
    }

    /// A command's extent.
    pub(super) fn get(&self, command: CommandId) -> Option<Extent> {
        self.0.get(&command).copied()
    }

    /// How many commands have records.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The index file of a segment.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.idx"))
}

/// Writes the index of a segment; the name never shows a file that is not whole.
pub(super) fn write(
    dir: &Path,
    number: u64,
    segment_bytes: u64,
    extents: &Extents,
) -> io::Result<()> {
    let fresh = dir.join(format!("{number:08}.new"));
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    let mut out = BufWriter::new(file);
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.put_slice(&MAGIC);
    header.put_u64(extents.len() as u64);
    header.put_u64(segment_bytes);
    header.put_u32(crc32c::crc32c(&header));
    out.write_all(&header)?;
    let mut sorted: Vec<(&CommandId, &Extent)> = extents.0.iter().collect();
    sorted.sort_unstable_by_key(|(command, _)| **command);
    let mut entry = Vec::with_capacity(ENTRY_BYTES);
    for (command, extent) in sorted {
        entry.clear();
        entry.put_slice(&command.0);
        for number in [extent.first, extent.last, extent.from, extent.to] {
            entry.put_u64(number);
        }
        entry.put_u32(crc32c::crc32c(&entry));
        out.write_all(&entry)?;
    }
    out.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    std::fs::rename(&fresh, path(dir, number))
}

/// Why an index file is of no use.
#[derive(Debug)]
pub(super) enum Unusable {
    /// It is missing, or holds something else than was written.
    Damaged,
    /// It could not be read.
    Io(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => Self::Damaged,
            _ => Self::Io(error),
        }
    }
}

/// An index file that belongs to its segment, ready to be searched.
pub(super) struct IndexFile {
    /// The file.
    file: File,
    /// Its entries.
    count: u64,
}

impl IndexFile {
    /// Opens the index of a segment that has this length.
    pub(super) fn open(dir: &Path, number: u64, segment_bytes: u64) -> Result<Self, Unusable> {
        let file = File::open(path(dir, number))?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let crc = crc32c::crc32c(&header[..HEADER_BYTES - 4]);
        let mut rest = &header[..];
        let magic = rest.copy_to_bytes(MAGIC.len());
        let (count, bytes, stored) = (rest.get_u64(), rest.get_u64(), rest.get_u32());
        let expected = count
            .saturating_mul(ENTRY_BYTES as u64)
            .saturating_add(HEADER_BYTES as u64);
        if magic != MAGIC[..]
            || stored != crc
            || bytes != segment_bytes
            || file.metadata()?.len() != expected
        {
            return Err(Unusable::Damaged);
        }
        Ok(Self { file, count })
    }

    /// Looks a command up.
    pub(super) fn find(&self, command: CommandId) -> Result<Option<Extent>, Unusable> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let (found, extent) = self.entry(middle)?;
            match found.cmp(&command) {
                std::cmp::Ordering::Equal => return Ok(Some(extent)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    fn entry(&self, number: u64) -> Result<(CommandId, Extent), Unusable> {
        let mut entry = [0; ENTRY_BYTES];
        self.file.read_exact_at(
            &mut entry,
            HEADER_BYTES as u64 + number * ENTRY_BYTES as u64,
        )?;
        let crc = crc32c::crc32c(&entry[..ENTRY_BYTES - 4]);
        let mut rest = &entry[..];
        let mut command = [0; 16];
        rest.copy_to_slice(&mut command);
        let extent = Extent {
            first: rest.get_u64(),
            last: rest.get_u64(),
            from: rest.get_u64(),
            to: rest.get_u64(),
        };
        if rest.get_u32() == crc {
            Ok((CommandId(command), extent))
        } else {
            Err(Unusable::Damaged)
        }
    }
}

/// Makes all checksums of an index fit, so that fuzzing gets behind them.
#[cfg(fuzzing)]
pub(super) fn mend(index: &mut [u8]) {
    let mend = |part: &mut [u8]| {
        let (body, crc) = part.split_at_mut(part.len() - 4);
        crc.copy_from_slice(&crc32c::crc32c(body).to_be_bytes());
    };
    if let Some((header, entries)) = index.split_at_mut_checked(HEADER_BYTES) {
        header[..MAGIC.len()].copy_from_slice(&MAGIC);
        mend(header);
        entries.chunks_exact_mut(ENTRY_BYTES).for_each(mend);
    }
}
