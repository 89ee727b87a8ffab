//! A command's output from any offset on.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use opsctl_protocol::CommandId;
use tokio::sync::watch;

use super::LogError;
use super::record::Record;
use super::segment::{self, Found, Walk};
use super::shared::{Place, Shared};

/// Where a reader is in a segment.
#[derive(Debug)]
struct Cursor {
    /// The segment.
    segment: u64,
    /// How far it has been read.
    walk: Walk,
}

/// Reads a command's output in order. Holds at most one chunk (64 KiB) in memory.
#[derive(Debug)]
pub struct LogReader {
    /// What the writer tells.
    shared: Arc<Shared>,
    /// Moves when there is more to read.
    written: watch::Receiver<()>,
    /// Whose output.
    command: CommandId,
    /// The next offset to give out, when what is ready has been.
    at: u64,
    /// No segment before this one has anything for this reader.
    segment: u64,
    /// Where it is; none before the first read and between segments.
    cursor: Option<Cursor>,
    /// Read and not yet given out.
    ready: VecDeque<Record>,
}

/// What a background read came to.
struct Read {
    /// Records that follow.
    records: VecDeque<Record>,
    /// The offset after them.
    at: u64,
    /// As in [`LogReader`].
    segment: u64,
    /// As in [`LogReader`].
    cursor: Option<Cursor>,
}

impl LogReader {
    pub(super) fn new(shared: Arc<Shared>, command: CommandId, from: u64) -> Self {
        let written = shared.written();
        Self {
            shared,
            written,
            command,
            at: from,
            segment: 0,
            cursor: None,
            ready: VecDeque::new(),
        }
    }

    /// The next record; `None` at the end of what is written, and more may come. The first one is cut to start at the
    /// wanted offset. A record that starts later than the former ended shows that what lies between is gone. Records
    /// without bytes (only a size) at the wanted offset are given out too. A call that is dropped loses nothing; a size
    /// may then come twice.
    pub async fn next(&mut self) -> Result<Option<Record>, LogError> {
        if self.ready.is_empty() {
            self.written.mark_unchanged();
            let shared = Arc::clone(&self.shared);
            let (command, at, segment) = (self.command, self.at, self.segment);
            let cursor = self.cursor.take();
            let read = in_background(&self.shared, move || {
                read(
                    &shared,
                    command,
                    Read {
                        records: VecDeque::new(),
                        at,
                        segment,
                        cursor,
                    },
                )
            });
            let read = read.await?;
            self.ready = read.records;
            self.at = read.at;
            self.segment = read.segment;
            self.cursor = read.cursor;
        }
        Ok(self.ready.pop_front())
    }

    /// Waits until the log has grown (perhaps by other commands' output) since [`LogReader::next`] last gave `None`.
    pub async fn grown(&mut self) -> Result<(), LogError> {
        self.written.changed().await.map_err(|_| LogError::Closed)
    }

    /// The offset after the last record that was read; where the next one should start.
    pub fn offset(&self) -> u64 {
        self.ready.front().map_or(self.at, |record| record.offset)
    }
}

/// Runs something that reads files on a thread that may wait for them.
pub(super) async fn in_background<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(LogError::io("read", &shared.dir, &io::Error::other(error))))
}

/// Reads on until there is at least one record, or nothing more.
fn read(shared: &Shared, command: CommandId, mut read: Read) -> Result<Read, LogError> {
    while read.records.is_empty() {
        let Some(cursor) = &mut read.cursor else {
            let located = shared.locate(command, read.segment, read.at)?;
            read.segment = located.searched;
            let Some(place) = located.place else { break };
            match open(shared, place)? {
                Some(walk) => {
                    read.cursor = Some(Cursor {
                        segment: place.segment,
                        walk,
                    });
                }
                None => read.segment = place.segment + 1,
            }
            continue;
        };
        if cursor.walk.is_done() {
            match shared.place(command, cursor.segment)? {
                Some(place) if place.extent.last > cursor.walk.end => {
                    cursor.walk.end = place.extent.last;
                }
                Some(place) if place.active => break,
                _ => {
                    read.segment = cursor.segment + 1;
                    read.cursor = None;
                }
            }
            continue;
        }
        let (at, records) = (&mut read.at, &mut read.records);
        let before = cursor.walk.at;
        let damage = cursor
            .walk
            .chunk(|found| {
                if found.head.command == command
                    && let Some(record) = wanted(found, *at)
                {
                    *at = record.end();
                    records.push_back(record);
                }
            })
            .map_err(|error| LogError::io("read", &shared.dir, &error))?;
        detach(records, cursor.walk.at - before);
        if let Some(damage) = damage {
            tracing::warn!(
                segment = cursor.segment,
                at = damage.at,
                "the output log is damaged here"
            );
        }
    }
    Ok(read)
}

/// Gives records memory of their own where they are the smaller part of their chunk: who keeps a few of them would
/// otherwise keep other commands' output too.
fn detach(records: &mut VecDeque<Record>, chunk_bytes: u64) {
    let kept: u64 = records.iter().map(|record| record.data.len() as u64).sum();
    if kept < chunk_bytes / 2 {
        for record in records {
            record.data = Bytes::copy_from_slice(&record.data);
        }
    }
}

/// The part of a record from an offset on.
fn wanted(found: &Found<'_>, from: u64) -> Option<Record> {
    let head = &found.head;
    let skip = from.saturating_sub(head.offset);
    if skip > 0 && head.end() <= from {
        return None;
    }
    Some(Record {
        command: head.command,
        kind: head.kind,
        offset: head.offset + skip,
        time: head.time,
        size: head.size,
        data: found.data(skip as usize),
    })
}

/// A walk over a command's extent; `None` where retention removed the segment.
fn open(shared: &Shared, place: Place) -> Result<Option<Walk>, LogError> {
    match File::open(segment::path(&shared.dir, place.segment)) {
        Ok(file) => Ok(Some(Walk::new(file, place.extent.first, place.extent.last))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::io("read", &shared.dir, &error)),
    }
}

/// See [`super::Log::tail_offset`]. Goes through the command's extents from the newest on and counts newlines; the one
/// extent in which the tail starts is read a second time, so that no memory is needed for places.
pub(super) fn tail_offset(
    shared: &Shared,
    command: CommandId,
    lines: u64,
) -> Result<Option<u64>, LogError> {
    let mut wanted = lines;
    let mut before = u64::MAX;
    let mut oldest = None;
    // The very last byte, once it has been seen: a newline there ends a line and does not start one.
    let mut last_byte = None;
    while let Some(place) = shared.newest(command, before)? {
        if lines == 0 {
            return Ok(Some(place.extent.to));
        }
        let (mut newlines, mut last_here) = (0, None);
        each_piece(shared, command, place, |_, bytes| {
            newlines += memchr::memchr_iter(b'\n', bytes).count() as u64;
            last_here = bytes.last().copied().or(last_here);
            true
        })?;
        if last_byte.is_none() && last_here == Some(b'\n') {
            wanted = wanted.saturating_add(1);
        }
        last_byte = last_byte.or(last_here);
        if newlines >= wanted {
            return nth_line(shared, command, place, newlines - wanted).map(Some);
        }
        wanted -= newlines;
        oldest = Some(place.extent.from);
        before = place.segment;
    }
    Ok(oldest)
}

/// The offset after a place's newline of this number, counted from 0.
fn nth_line(
    shared: &Shared,
    command: CommandId,
    place: Place,
    number: u64,
) -> Result<u64, LogError> {
    let (mut left, mut line) = (number, place.extent.from);
    each_piece(shared, command, place, |offset, bytes| {
        for at in memchr::memchr_iter(b'\n', bytes) {
            if left == 0 {
                line = offset + at as u64 + 1;
                return false;
            }
            left -= 1;
        }
        true
    })?;
    Ok(line)
}

/// Shows a command's pieces in one place, with their offsets, until it is told to stop.
fn each_piece(
    shared: &Shared,
    command: CommandId,
    place: Place,
    mut each: impl FnMut(u64, &[u8]) -> bool,
) -> Result<(), LogError> {
    let Some(mut walk) = open(shared, place)? else {
        return Ok(());
    };
    let mut go_on = true;
    while go_on && !walk.is_done() {
        walk.chunk(|found| {
            if go_on && found.head.command == command {
                go_on = each(found.head.offset, found.bytes());
            }
        })
        .map_err(|error| LogError::io("read", &shared.dir, &error))?;
    }
    Ok(())
}
