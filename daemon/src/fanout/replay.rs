//! A command's output from any offset on: from its ring where that reaches back far enough, else from the log.

use std::sync::Arc;
use std::time::Duration;

use opsctl_protocol::{AgentId, CommandId};

use super::channel::{Body, Piece, Stream};
use crate::log::{Log, LogError, LogReader};

/// How long to wait for the log's writer when the ring has moved on and the log has not caught up.
const LOG_LAG: Duration = Duration::from_millis(2);

/// How often it is waited for before the writer is asked whether it holds anything back at all: that costs a sync.
const LOG_LAGS: u32 = 25;

/// Why output is missing at the start of what the log has of a command.
const PRUNED: &str = "older output has been pruned from the log";

/// Why output is missing further on, or where none was ever pruned.
const HOLE: &str =
    "the output log does not have it: its agent had dropped it, or the log was damaged";

/// Reads a command's output, piece by piece.
pub struct Replay {
    log: Log,
    agent_id: AgentId,
    command_id: CommandId,
    /// The next byte.
    offset: u64,
    /// There is output up to here, whatever ring and log hold.
    end: u64,
    reader: Option<LogReader>,
    /// How often the log's writer has been waited for in a row.
    lags: u32,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("command_id", &self.command_id)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// What a replay found.
pub enum Found {
    /// The next piece; it starts where the last one ended.
    Piece(Arc<Piece>),
    /// What is left starts later.
    Gone {
        /// The offset of the first byte that is left, or of the end.
        to: u64,
        /// Why, for people.
        reason: &'static str,
    },
}

impl Replay {
    /// A replay that starts at `offset`, of output that reaches at least to `end`.
    pub fn new(log: Log, agent_id: AgentId, command_id: CommandId, offset: u64, end: u64) -> Self {
        Self {
            log,
            agent_id,
            command_id,
            offset,
            end,
            reader: None,
            lags: 0,
        }
    }

    /// The next byte's offset.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where live pushes take over: at the front of the command's ring, or where its output ends.
    pub fn until(&self, stream: &Stream) -> u64 {
        stream.oldest_offset(self.end.max(self.offset))
    }

    /// The next piece before `until`; `None` once that is reached. `stream` is the command's own channel: what its
    /// ring holds is taken from there.
    pub async fn next(&mut self, stream: &Stream, until: u64) -> Result<Option<Found>, LogError> {
        while self.offset < until {
            if let Some(piece) = piece_at(stream, self.offset) {
                self.offset = piece.end();
                self.reader = None;
                self.lags = 0;
                return Ok(Some(Found::Piece(piece)));
            }
            if let Some(found) = self.read_log().await? {
                return Ok(Some(found));
            }
            // The ring has dropped what the log's writer still holds in its hands.
            self.lags += 1;
            if self.lags < LOG_LAGS || self.log.sync().await.is_err() {
                tokio::time::sleep(LOG_LAG).await;
                continue;
            }
            // It holds nothing back: what it has written since is all that there is.
            self.lags = 0;
            let found = match self.read_log().await? {
                Some(found) => found,
                None => self.gone(until).await?,
            };
            return Ok(Some(found));
        }
        Ok(None)
    }

    /// Goes on at `to`, because neither ring nor log has what lies before.
    async fn gone(&mut self, to: u64) -> Result<Found, LogError> {
        let inside = self
            .log
            .reaches_before(self.command_id, self.offset)
            .await?;
        self.offset = to;
        self.reader = None;
        let reason = if inside || !self.log.has_pruned() {
            HOLE
        } else {
            PRUNED
        };
        Ok(Found::Gone { to, reason })
    }

    async fn read_log(&mut self) -> Result<Option<Found>, LogError> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => self
                .reader
                .insert(self.log.read(self.command_id, self.offset)),
        };
        let Some(record) = reader.next().await? else {
            return Ok(None);
        };
        self.lags = 0;
        if record.offset > self.offset {
            return self.gone(record.offset).await.map(Some);
        }
        self.offset = record.offset + record.data.len() as u64;
        Ok(Some(Found::Piece(Arc::new(Piece {
            agent_id: self.agent_id.clone(),
            command_id: self.command_id,
            offset: record.offset,
            kind: record.kind,
            time: record.time,
            size: record.size,
            data: record.data,
        }))))
    }
}

/// The piece in a command's ring that holds the byte at `offset`, without what comes before it.
fn piece_at(stream: &Stream, offset: u64) -> Option<Arc<Piece>> {
    let ring = stream.ring();
    // From the back: a reader that is nearly up to date is the common case.
    for entry in ring.iter().rev() {
        let Body::Output(piece) = &entry.body else {
            continue;
        };
        if piece.offset == offset && !piece.data.is_empty() {
            return Some(Arc::clone(piece));
        }
        if piece.offset < offset {
            return (offset < piece.end()).then(|| Arc::new(piece.from_offset(offset)));
        }
    }
    None
}
