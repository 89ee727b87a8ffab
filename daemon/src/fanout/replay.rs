//! A command's output from any offset on: from its ring where that reaches back far enough, else from the log.

use std::sync::Arc;
use std::time::Duration;

use opsctl_protocol::{AgentId, CommandId};

use super::channel::{Body, Piece, Stream};
use crate::log::{Log, LogError, LogReader};

/// How long to wait for the log's writer when the ring has moved on and the log has not caught up.
const LOG_LAG: Duration = Duration::from_millis(2);

/// Reads a command's output, piece by piece.
pub struct Replay {
    log: Log,
    agent_id: AgentId,
    command_id: CommandId,
    /// The next byte.
    offset: u64,
    reader: Option<LogReader>,
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
    /// The log has been pruned: what is left starts later.
    Pruned {
        /// The offset of the first byte that is left.
        to: u64,
    },
}

impl Replay {
    /// A replay that starts at `offset`.
    pub fn new(log: Log, agent_id: AgentId, command_id: CommandId, offset: u64) -> Self {
        Self {
            log,
            agent_id,
            command_id,
            offset,
            reader: None,
        }
    }

    /// The next byte's offset.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next piece before `until`; `None` once that is reached. `stream` is the command's own channel: what its
    /// ring holds is taken from there.
    pub async fn next(&mut self, stream: &Stream, until: u64) -> Result<Option<Found>, LogError> {
        while self.offset < until {
            if let Some(piece) = piece_at(stream, self.offset) {
                self.offset = piece.end();
                self.reader = None;
                return Ok(Some(Found::Piece(piece)));
            }
            if let Some(found) = self.read_log().await? {
                return Ok(Some(found));
            }
            // The ring has dropped what the log's writer still holds in its hands.
            tokio::time::sleep(LOG_LAG).await;
        }
        Ok(None)
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
        if record.offset > self.offset {
            self.offset = record.offset;
            self.reader = None;
            return Ok(Some(Found::Pruned { to: record.offset }));
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
