//! The bound on all the spools of an agent. A spool consists of chunk files of one size, and these lie in one directory
//! that all holders share, named by numbers below a bound. Whoever wants a chunk makes the file of a free number, which
//! only one can do: the directory is the ledger. Nothing needs to be given back by the dead, and what a dead holder left
//! counts until its output was delivered.
//!
//! A few numbers are for those who have no chunk yet: a flood that fills the spool doesn't stop commands that print
//! little.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::{CHUNK_HEADER, ChunkHeader};

/// Bytes of a chunk file: seven full pieces and some. What is written to disk, dropped, and given back at once.
pub(crate) const CHUNK_BYTES: u64 = 256 * 1024;

/// What happens when there is no room for more output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// The program isn't read from, and so waits.
    #[default]
    Wait,
    /// The command's oldest output is dropped, and a gap takes its place.
    DropOldest,
}

/// How much an agent's spools may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SpoolLimits {
    /// Chunk files that there may be at once.
    pub(crate) chunks: u32,
    /// How many of these are for commands that have none.
    pub(crate) reserved: u32,
    /// Bytes of a chunk file.
    pub(crate) chunk_bytes: u64,
    /// What happens when all are taken.
    pub(crate) when_full: WhenFull,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self::new(crate::DEFAULT_SPOOL_BYTES, 8, WhenFull::default())
    }
}

impl SpoolLimits {
    /// Limits that keep all chunks within `bytes`, with one chunk reserved for each of `commands`, as far as half of
    /// them suffice.
    pub(crate) fn new(bytes: u64, commands: u32, when_full: WhenFull) -> Self {
        let chunks = u32::try_from(bytes / CHUNK_BYTES)
            .unwrap_or(u32::MAX)
            .max(2);
        Self {
            chunks,
            reserved: commands.min(chunks / 2),
            chunk_bytes: CHUNK_BYTES,
            when_full,
        }
    }
}

/// Why there is no chunk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoChunk {
    /// All are taken.
    #[error("the spool is full")]
    Full,
    /// The system refuses: a full disk, for the most part.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A chunk file of one's own.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Its name's number.
    number: u32,
    /// The file.
    pub(crate) file: File,
}

/// Where chunks lie.
#[derive(Debug)]
pub(crate) struct Slots {
    /// The directory that is shared.
    dir: PathBuf,
    /// A name of one's own beside it, for a chunk that has no number yet.
    fresh: PathBuf,
    /// The bound.
    limits: SpoolLimits,
}

impl Slots {
    /// Chunks in `dir`. `fresh` is a path on the same file system that nobody else uses.
    pub(crate) fn new(dir: PathBuf, fresh: PathBuf, limits: SpoolLimits) -> Self {
        Self { dir, fresh, limits }
    }

    pub(crate) fn limits(&self) -> SpoolLimits {
        self.limits
    }

    /// Makes a chunk file with this header. Who has none yet says so by `first`. The header stands before the file has
    /// its name, so that no chunk is ever without an owner.
    pub(crate) fn take(&self, header: &ChunkHeader, first: bool) -> Result<Slot, NoChunk> {
        let taken: BTreeSet<u32> = numbers(&self.dir)?.collect();
        let lowest = if first { 0 } else { self.limits.reserved };
        let mut free = (lowest..self.limits.chunks)
            .filter(|number| !taken.contains(number))
            .peekable();
        if free.peek().is_none() {
            return Err(NoChunk::Full);
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.fresh)?;
        let made = file
            .write_all_at(&header.encode(), 0)
            .map_err(NoChunk::Io)
            .and_then(|()| self.link(free));
        // Only its number names it from here on.
        let _ = std::fs::remove_file(&self.fresh);
        made.map(|number| Slot { number, file })
    }

    /// Gives the fresh file the first number that nobody was faster to take.
    fn link(&self, free: impl Iterator<Item = u32>) -> Result<u32, NoChunk> {
        for number in free {
            match std::fs::hard_link(&self.fresh, path(&self.dir, number)) {
                Ok(()) => return Ok(number),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(NoChunk::Full)
    }

    /// Gives a chunk back. One that is gone already is no error.
    pub(crate) fn release(&self, slot: &Slot) {
        let _ = std::fs::remove_file(path(&self.dir, slot.number));
    }

    /// The chunks of one's own that an earlier process left, in no order.
    pub(crate) fn mine(
        &self,
        mine: impl Fn(&ChunkHeader) -> bool,
    ) -> io::Result<Vec<(ChunkHeader, Slot)>> {
        let mut found = Vec::new();
        for number in numbers(&self.dir)? {
            let opened = OpenOptions::new()
                .read(true)
                .write(true)
                .open(path(&self.dir, number));
            // Others take and release theirs at all times.
            let Ok(file) = opened else { continue };
            if let Some(header) = header(&file).filter(&mine) {
                found.push((header, Slot { number, file }));
            }
        }
        Ok(found)
    }
}

/// Removes chunks that are nobody's: no command that `known` knows has them, or nobody can tell. Returns how many.
pub(crate) fn sweep(dir: &Path, known: impl Fn(&ChunkHeader) -> bool) -> io::Result<usize> {
    let mut removed = 0;
    for number in numbers(dir)? {
        let path = path(dir, number);
        let Ok(file) = File::open(&path) else {
            continue;
        };
        if !header(&file).is_some_and(|header| known(&header)) && std::fs::remove_file(path).is_ok()
        {
            removed += 1;
        }
    }
    Ok(removed)
}

/// The numbers that are taken.
fn numbers(dir: &Path) -> io::Result<impl Iterator<Item = u32>> {
    let entries = std::fs::read_dir(dir)?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:05}"))
}

fn header(file: &File) -> Option<ChunkHeader> {
    let mut bytes = [0; CHUNK_HEADER];
    file.read_exact_at(&mut bytes, 0).ok()?;
    ChunkHeader::decode(&bytes)
}
