//! The output log: every command's output in append-only segment files, in the order in which it came.
//!
//! Data flows through the modules in this order:
//!
//! - [`record`]: a record and its bytes.
//! - [`segment`]: a file of records, read from front to back.
//! - [`index`]: where a command's records are in each segment.
//! - [`shared`]: what the writer tells readers.
//! - [`recovery`]: finding out what a former run left, and cutting what it did not finish.
//! - [`retention`]: which segments go.
//! - [`writer`]: the one thread that writes, syncs, starts new segments and drops old ones.
//! - [`durable`]: what has reached the disk, for those who acknowledge it.
//! - [`reader`]: a command's output from any offset on.
//!
//! Offsets in the log may jump: where retention removed what came before, where a segment is damaged, or where the agent
//! itself lost something. A reader sees it from the next record's offset.

pub mod record;

mod index;
mod recovery;
mod retention;
mod segment;
mod shared;
mod writer;

pub mod durable;
pub mod reader;

#[cfg(fuzzing)]
pub(crate) mod fuzz;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::Thread;
use std::time::Duration;

use opsctl_protocol::CommandId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

pub use durable::Durable;
pub use reader::LogReader;
pub use record::Record;
pub use recovery::Cut;

use shared::Shared;
use writer::Job;

/// Sizes of the log, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// A segment that has reached this size is sealed. What one crash makes a start scan, and what retention removes at
    /// once.
    pub segment_bytes: u64,
    /// The oldest sealed segments go when all together are larger.
    pub max_bytes: u64,
    /// Sealed segments that were written longer ago go, within an eighth of this more; zero keeps them.
    pub max_age: Duration,
    /// What may wait for the writer; who appends more waits.
    pub queue_bytes: u32,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            max_bytes: 4 << 30,
            max_age: Duration::ZERO,
            queue_bytes: 8 << 20,
        }
    }
}

/// Why the log could not do it; each message says what to do where something can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// No room on the disk. What was taken is kept in memory and written once there is room.
    #[error("no room on the disk for the output log {path}; free some, it goes on by itself")]
    Full {
        /// The log's directory.
        path: PathBuf,
    },
    /// The system refused something else.
    #[error("cannot {action} the output log {path}: {message}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The log's directory.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// A newer opsctl wrote the log.
    #[error("{path} is no segment that this opsctl can read; update opsctl, or move the file away")]
    Foreign {
        /// The segment.
        path: PathBuf,
    },
    /// The record has more data than one may have.
    #[error("a record of {0} bytes is too large for the output log")]
    TooBig(usize),
    /// The log has been closed.
    #[error("the output log is closed")]
    Closed,
}

/// The output log. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Log {
    /// What the writer tells readers.
    shared: Arc<Shared>,
    /// To the writer. Unbounded by count, but each record holds its bytes' worth of `room`.
    jobs: mpsc::Sender<Job>,
    /// The writer's thread, to be woken by who waits for it.
    writer: Thread,
    /// Bytes that may still be queued.
    room: Arc<Semaphore>,
    /// The queue's bound; a larger record takes all of it.
    queue_bytes: u32,
}

/// Room for one record in the log's queue; given back when the record is written, or with the drop.
#[derive(Debug)]
pub struct Room(OwnedSemaphorePermit);

#[cfg(test)]
impl Room {
    /// Room in no log at all.
    pub(crate) fn for_tests() -> Self {
        let semaphore = Arc::new(Semaphore::new(1));
        Self(semaphore.try_acquire_owned().expect("it has one permit"))
    }
}

/// A log, just opened.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub log: Log,
    /// What reaches the disk from now on.
    pub durable: Durable,
    /// What a former run did not finish and was cut away.
    pub cut: Option<Cut>,
}

impl Log {
    /// Opens or makes the log in a directory (mode 0700) and starts its writer. All that it holds is durable then.
    /// Blocks while it reads the last segment (at most a few tenths of a second).
    pub fn open(dir: impl Into<PathBuf>, options: LogOptions) -> Result<Opened, LogError> {
        let dir = dir.into();
        let recovered = recovery::recover(&dir)?;
        let (shared, durable) = Shared::new(dir.clone(), recovered.sealed, recovered.active);
        let shared = Arc::new(shared);
        let (jobs, queue) = mpsc::channel();
        let writer = writer::start(Arc::clone(&shared), options, recovered.file, queue)
            .map_err(|error| LogError::io("start the writer of", &dir, &error))?;
        let room = Arc::new(Semaphore::new(options.queue_bytes as usize));
        let log = Self {
            shared,
            jobs,
            writer,
            room,
            queue_bytes: options.queue_bytes,
        };
        Ok(Opened {
            log,
            durable,
            cut: recovered.cut,
        })
    }

    /// Waits until the queue has room for a record with so many bytes of data. While the disk takes nothing, `Err` says
    /// why.
    pub async fn room(&self, data_bytes: usize) -> Result<Room, LogError> {
        if data_bytes > record::MAX_DATA_BYTES {
            return Err(LogError::TooBig(data_bytes));
        }
        self.shared.failure()?;
        let bytes = (record::stored_bytes(data_bytes) as u32).min(self.queue_bytes);
        let permit = match Arc::clone(&self.room).try_acquire_many_owned(bytes) {
            Ok(permit) => permit,
            Err(_) => self.wait_for_room(bytes).await?,
        };
        Ok(Room(permit))
    }

    /// Hands a record over to the writer, in room that was waited for. `Ok` means that it is in order behind what was
    /// appended before, not that it is durable.
    pub fn put(&self, room: Room, record: Record) -> Result<(), LogError> {
        self.jobs
            .send(Job::Append(record, room.0))
            .map_err(|_| LogError::Closed)
    }

    /// [`Log::room`] and [`Log::put`] in one.
    pub async fn append(&self, record: Record) -> Result<(), LogError> {
        let room = self.room(record.data.len()).await?;
        self.put(room, record)
    }

    async fn wait_for_room(&self, bytes: u32) -> Result<OwnedSemaphorePermit, LogError> {
        tokio::select! {
            biased;
            failure = self.shared.failed() => Err(failure),
            room = Arc::clone(&self.room).acquire_many_owned(bytes) => room.map_err(|_| LogError::Closed),
        }
    }

    /// Waits until all that was appended before is durable.
    pub async fn sync(&self) -> Result<(), LogError> {
        self.ask(Job::Sync).await
    }

    /// As [`Log::sync`]; nothing can be appended afterwards.
    pub async fn close(&self) -> Result<(), LogError> {
        self.ask(Job::Close).await
    }

    /// Has the writer do something at once, and waits until it has.
    async fn ask(
        &self,
        job: fn(oneshot::Sender<Result<(), LogError>>) -> Job,
    ) -> Result<(), LogError> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(job(answer)).map_err(|_| LogError::Closed)?;
        self.writer.unpark();
        answered.await.map_err(|_| LogError::Closed)?
    }

    /// The offset after a command's newest output that readers can see; `None` when the log holds nothing of it. Looks
    /// into one small file for each sealed segment, from the newest on: for the start and for tasks, not for each piece.
    pub fn end(&self, command: CommandId) -> Result<Option<u64>, LogError> {
        let newest = self.shared.newest(command, u64::MAX)?;
        Ok(newest.map(|place| place.extent.to))
    }

    /// The offset of a command's oldest output that the log still holds.
    pub fn start(&self, command: CommandId) -> Result<Option<u64>, LogError> {
        let oldest = self.shared.locate(command, 0, 0)?.place;
        Ok(oldest.map(|place| place.extent.from))
    }

    /// Whether the log holds any of a command's output before an offset.
    pub async fn reaches_before(&self, command: CommandId, offset: u64) -> Result<bool, LogError> {
        let shared = Arc::clone(&self.shared);
        reader::in_background(&self.shared, move || {
            let oldest = shared.locate(command, 0, 0)?.place;
            Ok(oldest.is_some_and(|place| place.extent.from < offset))
        })
        .await
    }

    /// Whether output has ever gone because it was old or too much.
    pub fn has_pruned(&self) -> bool {
        let segments = self.shared.segments();
        let oldest = segments.sealed.first().map(|segment| segment.number);
        oldest.unwrap_or(segments.active.number) > segment::FIRST_SEGMENT
    }

    /// Bytes of its segments.
    pub fn bytes(&self) -> u64 {
        let segments = self.shared.segments();
        let sealed: u64 = segments.sealed.iter().map(|segment| segment.bytes).sum();
        sealed + segments.active.bytes
    }

    /// Why nothing can be written at present.
    pub fn health(&self) -> Result<(), LogError> {
        self.shared.failure()
    }

    /// Waits until nothing is known to keep the log from being written.
    pub async fn recovered(&self) {
        self.shared.recovered().await;
    }

    /// A reader of a command's output from an offset on.
    pub fn read(&self, command: CommandId, from_offset: u64) -> LogReader {
        LogReader::new(Arc::clone(&self.shared), command, from_offset)
    }

    /// The offset from which about `lines` lines of a command's output remain; its end for none, its oldest offset
    /// where it has fewer. `None` when the log holds nothing of it.
    pub async fn tail_offset(
        &self,
        command: CommandId,
        lines: u64,
    ) -> Result<Option<u64>, LogError> {
        let shared = Arc::clone(&self.shared);
        reader::in_background(&self.shared, move || {
            reader::tail_offset(&shared, command, lines)
        })
        .await
    }
}

impl LogError {
    fn io(action: &'static str, dir: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded => Self::Full {
                path: dir.to_owned(),
            },
            _ => Self::Io {
                action,
                path: dir.to_owned(),
                message: error.to_string(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
