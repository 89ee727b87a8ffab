//! Segment files: their names, and reading them from front to back.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::index::Extents;
use super::record::{Head, Parsed, parse};

/// The first bytes of a segment: what it is, and the version of its records.
pub(super) const MAGIC: [u8; 8] = *b"opslog\0\x01";

/// Where the first record stands.
pub(super) const FIRST_RECORD: u64 = MAGIC.len() as u64;

/// The number of the first segment of a new log. Whose oldest has another has lost some to retention.
pub(super) const FIRST_SEGMENT: u64 = 1;

/// How much is read at once: large enough that the call's cost disappears, small enough for fifty readers at a time, each of
/// which holds one.
const CHUNK_BYTES: usize = 64 * 1024;

/// Places behind damage that are tried for the next record: enough to find it in any real output, few enough that no
/// content makes a walk endless.
const MAX_GUESSES: u32 = 4096;

/// The file of a segment.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.seg"))
}

/// The numbers of all files with this ending, in order.
pub(super) fn list(dir: &Path, ending: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in dir.read_dir()? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == ending)
            && let Some(number) = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok())
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes an empty segment, durably; what an attempt cut short has left is overwritten.
pub(super) fn create(dir: &Path, number: u64) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path(dir, number))?;
    file.write_all_at(&MAGIC, 0)?;
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(file)
}

/// Walks over a segment's records, a chunk at a time.
#[derive(Debug)]
pub(super) struct Walk {
    /// The segment.
    file: File,
    /// Where the next record starts.
    pub(super) at: u64,
    /// Where to stop; records beyond may still be in the making.
    pub(super) end: u64,
    /// How much to read next; more than usual when a record is larger than a chunk.
    want: usize,
    /// Places that were tried behind damage.
    guesses: u32,
}

/// A record that a walk came by.
pub(super) struct Found<'a> {
    /// The record without its data.
    pub(super) head: Head,
    /// Where the record starts in the segment.
    pub(super) at: u64,
    /// Where it ends.
    pub(super) to: u64,
    /// The chunk that holds it.
    chunk: &'a Bytes,
    /// Where its data starts in the chunk.
    data_at: usize,
}

impl Found<'_> {
    /// The data without the first `skip` bytes; shares the chunk's memory.
    pub(super) fn data(&self, skip: usize) -> Bytes {
        self.chunk
            .slice(self.data_at + skip..self.data_at + self.head.length)
    }

    /// The data in place.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.chunk[self.data_at..self.data_at + self.head.length]
    }
}

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage {
    /// Where in the segment.
    pub(super) at: u64,
}

impl Walk {
    /// A walk over the records from `at` to `end`, which both are borders of records.
    pub(super) fn new(file: File, at: u64, end: u64) -> Self {
        Self {
            file,
            at,
            end,
            want: CHUNK_BYTES,
            guesses: 0,
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.at >= self.end
    }

    /// Reads the next chunk and shows its records. Damage ends the chunk early; the walk goes on behind it, where the next
    /// record is found.
    pub(super) fn chunk(&mut self, mut each: impl FnMut(&Found<'_>)) -> io::Result<Option<Damage>> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let chunk = Bytes::from(read_at(&self.file, self.at, self.want.min(left))?);
        let truncated = chunk.len() < self.want.min(left);
        self.want = CHUNK_BYTES;
        let (base, mut here) = (self.at, 0);
        while here < chunk.len() {
            match parse(&chunk[here..]) {
                Parsed::Whole(head, total) => {
                    let at = base + here as u64;
                    here += total;
                    let data_at = here - head.length;
                    each(&Found {
                        head,
                        at,
                        to: base + here as u64,
                        chunk: &chunk,
                        data_at,
                    });
                }
                Parsed::Short(needed) if !truncated && here + needed <= left => {
                    self.want = self.want.max(needed);
                    break;
                }
                damaged => {
                    let claimed = match damaged {
                        Parsed::Damaged(Some(total)) => Some(here + total),
                        _ => None,
                    };
                    let limit = if truncated { chunk.len() } else { left };
                    let on = self.resync(&chunk, here, claimed, limit);
                    self.at = if on < limit {
                        base + on as u64
                    } else {
                        self.end
                    };
                    return Ok(Some(Damage {
                        at: base + here as u64,
                    }));
                }
            }
        }
        self.at = base + here as u64;
        if truncated {
            self.at = self.end;
            return Ok(Some(Damage {
                at: base + here as u64,
            }));
        }
        Ok(None)
    }
}

impl Walk {
    /// Where in the chunk the walk goes on behind a damaged record: where that one claims to end, if the next one starts
    /// there, else at the next place that looks like a record; `limit` when there is none.
    fn resync(&mut self, chunk: &[u8], here: usize, claimed: Option<usize>, limit: usize) -> usize {
        let starts = |at: usize| match chunk.get(at..).map(parse) {
            Some(Parsed::Whole(..)) => true,
            Some(Parsed::Short(needed)) => at + needed <= limit,
            _ => false,
        };
        if let Some(claimed) = claimed.filter(|at| *at == limit || starts(*at)) {
            return claimed;
        }
        for at in here + 1..chunk.len() {
            let plausible = !matches!(parse(&chunk[at..]), Parsed::Damaged(None));
            if plausible && starts(at) {
                return at;
            }
            self.guesses += u32::from(plausible);
            if self.guesses > MAX_GUESSES {
                break;
            }
        }
        limit
    }
}

/// As many bytes as there are, up to `want`.
fn read_at(file: &File, at: u64, want: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; want];
    let mut have = 0;
    while have < want {
        match file.read_at(&mut bytes[have..], at + have as u64) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(have);
    Ok(bytes)
}

/// What a whole segment holds.
#[derive(Debug)]
pub(super) struct Scan {
    /// Where each command's records are.
    pub(super) extents: Extents,
    /// Where the first bad record starts, or the file ends; 0 where not even the beginning is right.
    pub(super) good: u64,
    /// Where the last record ends that was taken.
    pub(super) last: u64,
    /// The file's length.
    pub(super) length: u64,
}

/// What a scan does where a segment is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDamage {
    /// Ends: nothing that follows was ever acknowledged.
    Stop,
    /// Goes on behind it.
    Skip,
}

/// Reads a segment.
pub(super) fn scan(path: &Path, on_damage: OnDamage) -> io::Result<Scan> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut scan = Scan {
        extents: Extents::new(),
        good: length,
        last: FIRST_RECORD,
        length,
    };
    if read_at(&file, 0, MAGIC.len())? != MAGIC {
        scan.good = 0;
        return Ok(scan);
    }
    let mut walk = Walk::new(file, FIRST_RECORD, length);
    while !walk.is_done() {
        let damage = walk.chunk(|found| {
            let output = found.head.offset..found.head.end();
            scan.last = found.to;
            scan.extents
                .note(found.head.command, found.at..found.to, output);
        })?;
        if let Some(damage) = damage {
            scan.good = scan.good.min(damage.at);
            if on_damage == OnDamage::Stop {
                break;
            }
        }
    }
    Ok(scan)
}
