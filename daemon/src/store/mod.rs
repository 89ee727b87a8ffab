//! What must survive a restart besides output: agents, requests with their keys, and commands.
//!
//! - [`row`]: the rows, in the hub's words.
//! - [`schema`]: the tables and their versions.
//! - [`sqlite`]: the store in a file.

pub mod row;

mod schema;
pub mod sqlite;

use futures_util::future::BoxFuture;
use opsctl_protocol::message::State;
use opsctl_protocol::{AgentId, CommandId, Timestamp};

pub use row::{AgentRow, CommandRow, DraftRow, MessageRow, RequestRow, Sent, Write};
pub use sqlite::Sqlite;

/// A durable home for rows.
pub trait Store: Send + Sync {
    /// Writes all or nothing; durable when `Ok`. Callers that write at the same time share one sync. Waits while the
    /// store's queue is full.
    fn commit(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Every agent that was ever seen, ordered by name.
    fn agents(&self) -> BoxFuture<'_, Result<Vec<AgentRow>, StoreError>>;

    /// Every command that is not in a final state, oldest first.
    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<CommandRow>, StoreError>>;

    /// One command.
    fn command(&self, id: CommandId) -> BoxFuture<'_, Result<Option<CommandRow>, StoreError>>;

    /// The request with this key, its commands in the order in which they were written.
    fn request(&self, key: String) -> BoxFuture<'_, Result<Option<RequestRow>, StoreError>>;

    /// The commands that a filter covers, newest first.
    fn commands(&self, filter: CommandFilter) -> BoxFuture<'_, Result<CommandPage, StoreError>>;

    /// Every message that waits or is being typed, oldest first.
    fn open_messages(&self) -> BoxFuture<'_, Result<Vec<MessageRow>, StoreError>>;

    /// The message with this key.
    fn message(&self, key: String) -> BoxFuture<'_, Result<Option<MessageRow>, StoreError>>;

    /// Removes some of the commands that were asked for and have ended before a time, and of the requests before it that
    /// have no commands left. Returns how many rows went; 0 when none is left, and no message that waits no more either.
    fn prune(&self, before: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>>;

    /// Writes what is queued and leaves everything in as few files as possible. Nothing can be written afterwards.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Which commands are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandFilter {
    /// Only those whose id starts with these hex digits.
    pub id_prefix: Option<String>,
    /// Only those of these agents.
    pub agents: Option<Vec<AgentId>>,
    /// Only those in one of these states; all when empty.
    pub states: Vec<State>,
    /// Only those that come after this place in the answer's order: a time of creation, an id.
    pub before: Option<(Timestamp, CommandId)>,
    /// At most so many.
    pub limit: u32,
}

/// Commands, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandPage {
    /// The commands that fit.
    pub commands: Vec<CommandRow>,
    /// Whether older ones were left out.
    pub more: bool,
}

/// Why the store could not do it; each message says what to do where something can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk.
    #[error("no room on the disk for the database {path}; free some, it goes on by itself")]
    Full {
        /// The database.
        path: String,
    },
    /// The file cannot be opened or written.
    #[error(
        "cannot use the database {path}: {message}; check who owns it and what may be written there"
    )]
    Denied {
        /// The database.
        path: String,
        /// What the database said.
        message: String,
    },
    /// The file is damaged, or no database.
    #[error(
        "the database {path} is damaged ({message}); restore a copy, or move it away together with its -wal to start without history"
    )]
    Corrupt {
        /// The database.
        path: String,
        /// What the database said.
        message: String,
    },
    /// A newer opsctl wrote it.
    #[error(
        "the database {path} was written by a newer opsctl (schema {found}, this one knows {known}); update opsctl"
    )]
    Newer {
        /// The database.
        path: String,
        /// The file's schema version.
        found: i64,
        /// The newest version that this build knows.
        known: i64,
    },
    /// A row with this key or id is there already.
    #[error("the database has such a row already: {message}")]
    Duplicate {
        /// What the database said.
        message: String,
    },
    /// Nothing was tried, because the output log takes nothing.
    #[error("{0}")]
    NoLog(String),
    /// The store has been closed.
    #[error("the database is closed")]
    Closed,
    /// Anything else.
    #[error("the database {path} failed: {message}")]
    Failed {
        /// The database.
        path: String,
        /// What the database said.
        message: String,
    },
}
