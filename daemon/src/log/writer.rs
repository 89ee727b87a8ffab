//! The one thread that writes.
//!
//! It keeps the bytes of all records since the last sync, and writes them at fixed positions. Whatever fails, a write or
//! a sync, is done again from these bytes until it works: what has been taken is never dropped and never torn, and
//! nothing new is taken meanwhile.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime};

use opsctl_protocol::CommandId;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::index;
use super::record::Record;
use super::segment::{self, FIRST_RECORD};
use super::shared::{Active, Sealed, Shared};
use super::{LogError, LogOptions};

/// Unsynced bytes that force a sync: large enough that a disk's throughput is reached (766 MB/s measured).
const SYNC_BYTES: usize = 1 << 20;

/// The longest that written bytes stay unsynced, and so the longest that an agent waits for its acknowledgement.
const SYNC_AFTER: Duration = Duration::from_millis(200);

/// How long a write waits for what else comes: nobody but a sync waits for it, and lines that come one by one would each
/// cost a wake-up and a system call.
const LINGER: Duration = Duration::from_millis(5);

/// What is worth a write at once.
const LINGER_BYTES: usize = 64 * 1024;

/// How often a disk that refused something is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A segment with this many commands is sealed, whatever its size: its index is in memory until then (about 5 MB).
const MAX_EXTENTS: usize = 1 << 16;

/// A buffer larger than this is given back when there is nothing to do.
const IDLE_BUFFER_BYTES: usize = 64 * 1024;

/// Work for the writer.
#[derive(Debug)]
pub(super) enum Job {
    /// A record, and the room that it takes in the queue until it is written.
    Append(Record, OwnedSemaphorePermit),
    /// Says when all that came before is durable.
    Sync(oneshot::Sender<Result<(), LogError>>),
    /// The same, and ends the writer.
    Close(oneshot::Sender<Result<(), LogError>>),
}

/// A record that is in the buffer and not yet visible to readers.
struct Placed {
    /// Whose output.
    command: CommandId,
    /// Where in the segment.
    place: Range<u64>,
    /// Which output.
    output: Range<u64>,
}

/// The writer's own state.
struct Writer {
    /// What readers see.
    shared: Arc<Shared>,
    /// When to start a new segment and to drop old ones.
    options: LogOptions,
    /// The active segment.
    file: File,
    /// Its number.
    number: u64,
    /// When it was begun, by this host's clock.
    begun: SystemTime,
    /// When age is looked at again; never without a bound.
    look_at: Option<Instant>,
    /// Up to where it is durable.
    synced: u64,
    /// The bytes that follow, which are not.
    buffer: Vec<u8>,
    /// How many of them are in the file.
    written: usize,
    /// Records among those that are not in the file.
    placed: Vec<Placed>,
    /// The room that these take in the queue.
    room: Option<OwnedSemaphorePermit>,
    /// Ends of commands that a sync will make durable.
    ends: HashMap<CommandId, u64>,
    /// When the oldest unsynced bytes were written.
    unsynced_since: Option<Instant>,
    /// Those who wait for a sync.
    waiting: Vec<oneshot::Sender<Result<(), LogError>>>,
    /// [`LINGER`].
    linger: Duration,
    /// No more work comes.
    closing: bool,
    /// The last attempt failed.
    failing: bool,
}

/// Starts the thread; it ends with [`Job::Close`] or when nobody can send work any more. Whoever sends a [`Job`] that is
/// waited for unparks it, so that it doesn't wait for what else comes.
pub(super) fn start(
    shared: Arc<Shared>,
    options: LogOptions,
    file: File,
    queue: Receiver<Job>,
) -> io::Result<Thread> {
    let mut writer = Writer::new(shared, options, file);
    std::thread::Builder::new()
        .name("log-write".to_owned())
        .spawn(move || writer.run(&queue))
        .map(|writer| writer.thread().clone())
}

impl Writer {
    /// A writer that goes on at the end of the active segment.
    fn new(shared: Arc<Shared>, options: LogOptions, file: File) -> Self {
        let (number, synced) = {
            let segments = shared.segments();
            (segments.active.number, segments.active.bytes)
        };
        // A file system without times of birth has that of the last write; the segment is then kept a little longer.
        let begun = file
            .metadata()
            .and_then(|file| file.created().or_else(|_| file.modified()))
            .unwrap_or_else(|_| SystemTime::now());
        Self {
            shared,
            begun,
            look_at: None,
            options,
            file,
            number,
            synced,
            buffer: Vec::new(),
            written: 0,
            placed: Vec::new(),
            room: None,
            ends: HashMap::new(),
            unsynced_since: None,
            waiting: Vec::new(),
            linger: LINGER,
            closing: false,
            failing: false,
        }
    }

    fn run(&mut self, queue: &Receiver<Job>) {
        // The bounds may have been lowered since the last run.
        self.drop_oldest();
        while !self.closing {
            // Also while the disk is full.
            if self.look_at.is_some_and(|at| at <= Instant::now()) {
                self.drop_oldest();
            }
            self.gather(queue);
            let result = self
                .step()
                .map_err(|error| LogError::io("write", &self.shared.dir, &error));
            self.report(&result);
        }
    }

    /// Waits for work, or for the time to sync, and takes as much as one write should have.
    fn gather(&mut self, queue: &Receiver<Job>) {
        let wait = if self.failing {
            Some(RETRY_AFTER)
        } else {
            self.unsynced_since
                .map(|since| SYNC_AFTER.saturating_sub(since.elapsed()))
        };
        if wait.is_none() {
            self.shrink();
        }
        let look = self
            .look_at
            .map(|at| at.saturating_duration_since(Instant::now()));
        let first = match wait.into_iter().chain(look).min() {
            Some(wait) => queue.recv_timeout(wait),
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match first {
            Ok(job) => self.take(job),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => self.closing = true,
        }
        self.take_ready(queue);
        if !self.closing
            && self.waiting.is_empty()
            && self.buffer.len() - self.written < LINGER_BYTES
        {
            // Only who asks for a sync wakes it before.
            std::thread::park_timeout(self.linger);
            self.take_ready(queue);
        }
    }

    /// Takes what waits, as much as one write should have.
    fn take_ready(&mut self, queue: &Receiver<Job>) {
        while !self.closing
            && self.buffer.len() - self.written < SYNC_BYTES
            && self.position() < self.options.segment_bytes
            && let Ok(job) = queue.try_recv()
        {
            self.take(job);
        }
    }

    /// Gives back what a burst has left; nothing is in it.
    fn shrink(&mut self) {
        if self.buffer.capacity() > IDLE_BUFFER_BYTES {
            self.buffer = Vec::new();
            self.placed = Vec::new();
            self.ends = HashMap::new();
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Append(record, room) => {
                let start = self.position();
                record.write(&mut self.buffer);
                let (place, output) = (start..self.position(), record.offset..record.end());
                self.placed.push(Placed {
                    command: record.command,
                    place,
                    output,
                });
                match &mut self.room {
                    Some(held) => held.merge(room),
                    None => self.room = Some(room),
                }
            }
            Job::Sync(answer) => self.waiting.push(answer),
            Job::Close(answer) => {
                self.waiting.push(answer);
                self.closing = true;
            }
        }
    }

    /// Where the next record goes.
    fn position(&self) -> u64 {
        self.synced + self.buffer.len() as u64
    }

    /// Writes what is there, syncs if it is time, and starts a new segment if this one is full.
    fn step(&mut self) -> io::Result<()> {
        self.write()?;
        let full = self.position() >= self.options.segment_bytes
            || self.shared.segments().active.extents.len() >= MAX_EXTENTS
            || self.options.is_to_be_sealed(self.begun, SystemTime::now());
        let due = full
            || self.closing
            || !self.waiting.is_empty()
            || self.buffer.len() >= SYNC_BYTES
            || self
                .unsynced_since
                .is_some_and(|since| since.elapsed() >= SYNC_AFTER);
        if due {
            self.sync()?;
        }
        if full && !self.closing && self.synced > FIRST_RECORD {
            self.roll()?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let start = self.synced + self.written as u64;
        if self.written < self.buffer.len() {
            if let Err(error) = self.file.write_all_at(&self.buffer[self.written..], start) {
                // Gives the room back that a torn record takes, unless readers know these bytes (a sync failed before).
                // What is not cut is written over later.
                if start >= self.shared.segments().active.bytes {
                    let _ = self.file.set_len(start);
                }
                return Err(error);
            }
            self.written = self.buffer.len();
            self.unsynced_since.get_or_insert_with(Instant::now);
        }
        if !self.placed.is_empty() {
            let mut segments = self.shared.segments();
            for Placed {
                command,
                place,
                output,
            } in self.placed.drain(..)
            {
                self.ends.insert(command, output.end);
                segments.active.bytes = place.end;
                Arc::make_mut(&mut segments.active.extents).note(command, place, output);
            }
            drop(segments);
            self.shared.tell_written();
        }
        self.room = None;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.written > 0 {
            if let Err(error) = self.file.sync_data() {
                // The kernel may have dropped what it could not write: only writing it again makes another sync mean
                // anything.
                self.written = 0;
                return Err(error);
            }
            self.synced += self.written as u64;
            self.buffer.clear();
            self.written = 0;
            self.shared.news.tell(self.ends.drain());
        }
        self.unsynced_since = None;
        Ok(())
    }

    /// Seals the segment, which is synced, and starts the next.
    fn roll(&mut self) -> io::Result<()> {
        let sealed = Sealed {
            number: self.number,
            bytes: self.synced,
            written: SystemTime::now(),
        };
        // Only this thread changes the extents, so that the lock need not be held while the disk works.
        let extents = Arc::clone(&self.shared.segments().active.extents);
        index::write(&self.shared.dir, sealed.number, sealed.bytes, &extents)?;
        let file = segment::create(&self.shared.dir, sealed.number + 1)?;
        let mut segments = self.shared.segments();
        segments.sealed.push(sealed);
        segments.active = Active {
            number: sealed.number + 1,
            bytes: FIRST_RECORD,
            extents: Arc::default(),
        };
        drop(segments);
        self.file = file;
        self.number = sealed.number + 1;
        self.begun = sealed.written;
        self.synced = FIRST_RECORD;
        self.drop_oldest();
        self.shared.tell_written();
        Ok(())
    }

    /// Removes the oldest sealed segments while they are too many bytes or too old. Readers that have one open keep it.
    fn drop_oldest(&mut self) {
        self.look_at = self.options.look_again().map(|wait| Instant::now() + wait);
        let mut segments = self.shared.segments();
        let gone =
            self.options
                .expendable(&segments.sealed, segments.active.bytes, SystemTime::now());
        let removed: Vec<Sealed> = segments.sealed.drain(..gone).collect();
        drop(segments);
        for Sealed { number, bytes, .. } in removed {
            tracing::info!(segment = number, bytes, "removed the oldest output");
            for file in [
                segment::path(&self.shared.dir, number),
                index::path(&self.shared.dir, number),
            ] {
                if let Err(error) = std::fs::remove_file(&file)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    tracing::warn!(file = %file.display(), %error, "cannot remove old output");
                }
            }
        }
    }

    /// Tells whoever appends or waits how the last attempt went. Who waits hears it last: an append that follows finds
    /// the same.
    fn report(&mut self, result: &Result<(), LogError>) {
        let failure = result.clone().err();
        let recovered = self.failing && failure.is_none();
        self.failing = failure.is_some();
        if self.shared.set_failure(failure)
            && let Err(error) = result
        {
            tracing::error!(%error, "the output log cannot be written");
        }
        if recovered {
            tracing::info!("the output log can be written again");
        }
        if self.closing {
            self.shared.set_failure(Some(LogError::Closed));
            self.shared.news.close();
        }
        for answer in self.waiting.drain(..) {
            // Who asked may have gone.
            let _ = answer.send(result.clone());
        }
    }
}

#[cfg(test)]
mod tests;
