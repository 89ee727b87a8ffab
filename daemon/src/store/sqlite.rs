//! The store in one `SQLite` file (WAL, `synchronous=FULL`).
//!
//! One thread writes: it takes what is queued, puts it into one transaction and answers all callers after one sync, so
//! that a lone caller waits for one `fdatasync` and many callers share it. Another thread reads on its own connection;
//! in WAL mode neither waits for the other.

mod read;
mod wal;
mod write;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use opsctl_protocol::{CommandId, Timestamp};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use super::row::{AgentRow, CommandRow, MessageRow, RequestRow, Write};
use super::schema::{Migrated, migrate};
use super::{CommandFilter, CommandPage, Store, StoreError};

/// Callers that may wait for the writer; the next one waits for room. Each is one decision of the hub, so that a queue
/// this long already means that the disk is the bottleneck.
const WRITE_QUEUE: usize = 1024;

/// Readers that may wait for their thread.
const READ_QUEUE: usize = 64;

/// Commands, and requests, that are removed in one transaction: others that write wait for it some milliseconds.
const PRUNE: u32 = 500;

/// Databases up to this size, in bytes, are looked through at the start: about half a second.
const CHECKED_BYTES: u64 = 256 << 20;

/// How long to wait for another process that holds the database (`sqlite3` in somebody's shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The page cache of each connection in KiB: the working set is small, and the daemon's memory has a bound.
const CACHE_KIB: i64 = 1024;

/// After a checkpoint the WAL file is cut back to this many bytes.
const WAL_KEEP_BYTES: i64 = 4 * 1024 * 1024;

/// Runs on the reading thread.
type Query = Box<dyn FnOnce(&Connection) + Send>;

/// The store in a file. Dropping it ends its threads once what is queued has been written.
#[derive(Debug, Clone)]
pub struct Sqlite {
    /// To the writing thread; full: callers wait.
    writes: mpsc::Sender<write::Job>,
    /// To the reading thread; full: callers wait.
    queries: mpsc::Sender<Query>,
    /// The file's name, for messages.
    path: String,
}

impl Sqlite {
    /// Opens or makes the database (mode 0600), brings its tables up to date and starts its threads. Blocks for a few
    /// milliseconds.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        let explain = |error: &rusqlite::Error| explain(&name, error);
        check_files(path)?;
        // SQLite would make the file with the umask's mode; the WAL takes over the file's own.
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| StoreError::Denied {
                path: name.clone(),
                message: error.to_string(),
            })?;
        let mut main = connect(path).map_err(|error| explain(&error))?;
        check_pages(path, &main)?;
        match migrate(&mut main).map_err(|error| explain(&error))? {
            Migrated::Current => {}
            Migrated::Newer { found, known } => {
                return Err(StoreError::Newer {
                    path: name,
                    found,
                    known,
                });
            }
        }
        let reader = connect(path).map_err(|error| explain(&error))?;
        reader
            .pragma_update(None, "query_only", true)
            .map_err(|error| explain(&error))?;

        let (writes, write_queue) = mpsc::channel(WRITE_QUEUE);
        let (queries, mut query_queue) = mpsc::channel::<Query>(READ_QUEUE);
        let failed = |error: std::io::Error| StoreError::Failed {
            path: name.clone(),
            message: error.to_string(),
        };
        let write_name = name.clone();
        std::thread::Builder::new()
            .name("store-write".to_owned())
            .spawn(move || write::run(main, write_queue, &write_name))
            .map_err(failed)?;
        std::thread::Builder::new()
            .name("store-read".to_owned())
            .spawn(move || {
                while let Some(query) = query_queue.blocking_recv() {
                    query(&reader);
                }
            })
            .map_err(failed)?;
        Ok(Self {
            writes,
            queries,
            path: name,
        })
    }

    /// Hands work to the writing thread and waits for it.
    fn write(&self, writes: Option<Vec<Write>>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.writes
                .send(write::Job { writes, answer })
                .await
                .map_err(|_| StoreError::Closed)?;
            answered.await.map_err(|_| StoreError::Closed)?
        })
    }

    /// Runs a query on the reading thread.
    fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let job: Query = Box::new(move |connection| {
                // Who asked may have gone; nobody misses the answer then.
                let _ = answer.send(query(connection));
            });
            self.queries
                .send(job)
                .await
                .map_err(|_| StoreError::Closed)?;
            let result = answered.await.map_err(|_| StoreError::Closed)?;
            result.map_err(|error| explain(&self.path, &error))
        })
    }
}

impl Store for Sqlite {
    fn commit(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.write(Some(writes))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.write(None)
    }

    fn agents(&self) -> BoxFuture<'_, Result<Vec<AgentRow>, StoreError>> {
        self.query(read::agents)
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<CommandRow>, StoreError>> {
        self.query(read::unfinished)
    }

    fn command(&self, id: CommandId) -> BoxFuture<'_, Result<Option<CommandRow>, StoreError>> {
        self.query(move |connection| read::command(connection, id))
    }

    fn request(&self, key: String) -> BoxFuture<'_, Result<Option<RequestRow>, StoreError>> {
        self.query(move |connection| read::request(connection, &key))
    }

    fn commands(&self, filter: CommandFilter) -> BoxFuture<'_, Result<CommandPage, StoreError>> {
        self.query(move |connection| read::commands(connection, &filter))
    }

    fn open_messages(&self) -> BoxFuture<'_, Result<Vec<MessageRow>, StoreError>> {
        self.query(read::open_messages)
    }

    fn message(&self, key: String) -> BoxFuture<'_, Result<Option<MessageRow>, StoreError>> {
        self.query(move |connection| read::message(connection, &key))
    }

    fn prune(&self, before: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(async move {
            let outdated = self.query(move |connection| read::outdated(connection, before, PRUNE));
            let (commands, requests) = outdated.await?;
            let rows = commands.len() + requests.len();
            if rows > 0 {
                self.commit(vec![Write::Remove(commands, requests)]).await?;
            } else {
                self.commit(vec![Write::RemoveMessages(before)]).await?;
            }
            Ok(rows)
        })
    }
}

/// Refuses what `SQLite` would take for a fresh start, and says what it would drop without a word.
fn check_files(path: &Path) -> Result<(), StoreError> {
    let wal = PathBuf::from(format!("{}-wal", path.display()));
    let has_wal = wal.metadata().is_ok_and(|wal| wal.len() > 0);
    let corrupt = |message: &str| {
        Err(StoreError::Corrupt {
            path: path.display().to_string(),
            message: message.to_owned(),
        })
    };
    match path.metadata() {
        Ok(file) if file.len() == 0 => return corrupt("it is empty"),
        Err(_) if has_wal => return corrupt("it is missing, and its -wal is there"),
        _ => {}
    }
    match wal::damage(&wal) {
        Ok(None) => {}
        Ok(Some(wal::Damage {
            frame,
            transactions,
        })) => {
            let copy = wal.with_extension("db-wal-damaged");
            let kept = std::fs::copy(&wal, &copy).map(|_| copy.display().to_string());
            let copy = kept.unwrap_or_else(|error| format!("none: {error}"));
            tracing::error!(
                wal = %wal.display(), frame, transactions, copy,
                "the database's write-ahead log is damaged: its last transactions are lost; agents tell again what they know"
            );
        }
        Err(error) => {
            tracing::warn!(%error, wal = %wal.display(), "the write-ahead log cannot be checked");
        }
    }
    Ok(())
}

/// Looks through a database of ordinary size, so that damage is found before anybody relies on it.
fn check_pages(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let name = path.display().to_string();
    if path.metadata().is_ok_and(|file| file.len() > CHECKED_BYTES) {
        tracing::info!(
            database = name,
            "too large to be looked through at the start"
        );
        return Ok(());
    }
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| explain(&name, &error))?;
    if found == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        path: name,
        message: found,
    })
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEEP_BYTES)?;
    Ok(connection)
}

/// What an error of the database means to whoever runs the daemon.
fn explain(path: &str, error: &rusqlite::Error) -> StoreError {
    let (path, message) = (path.to_owned(), error.to_string());
    // The WAL's index is a file too, and has an error of its own when there is no room for it.
    let extended = error.sqlite_error().map(|error| error.extended_code);
    if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) {
        return StoreError::Full { path };
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt { path, message }
        }
        Some(ErrorCode::ConstraintViolation) => StoreError::Duplicate { message },
        Some(
            ErrorCode::PermissionDenied
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::AuthorizationForStatementDenied,
        ) => StoreError::Denied { path, message },
        _ => match error {
            rusqlite::Error::FromSqlConversionFailure(..) => StoreError::Corrupt { path, message },
            _ => StoreError::Failed { path, message },
        },
    }
}

#[cfg(test)]
mod tests;
