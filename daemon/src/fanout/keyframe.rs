//! The screen at the front of a command's ring: what those who come late see instead of the output that the ring has
//! dropped. It is made when somebody asks for it, from the log, and remembered, so that the next one costs only what
//! came since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opsctl_protocol::message::{Payload, TerminalSnapshot};
use opsctl_protocol::{AgentId, CommandId};
use opsctl_terminal::Screen;

use super::channel::Stream;
use super::replay::{Found, Replay};
use crate::log::{Log, LogError};

/// The size that a terminal has until its output says otherwise.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// The keyframes of all commands that somebody came late to.
pub struct Keyframes {
    log: Log,
    frames: Mutex<HashMap<CommandId, Arc<tokio::sync::Mutex<Keyframe>>>>,
}

/// The screen of one command at an offset; see [`Keyframes`].
struct Keyframe {
    screen: Screen,
    replay: Replay,
}

impl Keyframes {
    /// No keyframes yet.
    pub fn new(log: Log) -> Self {
        Self {
            log,
            frames: Mutex::default(),
        }
    }

    /// The screen at the front of the command's ring, or a little behind it when the ring moves quickly. The offset in
    /// the answer counts.
    pub async fn at_front(
        &self,
        agent_id: &AgentId,
        command_id: CommandId,
        stream: &Stream,
        end: u64,
    ) -> Result<TerminalSnapshot, LogError> {
        let frame = Arc::clone(
            self.frames
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(command_id)
                .or_insert_with(|| {
                    let replay =
                        Replay::new(self.log.clone(), agent_id.clone(), command_id, 0, end);
                    let screen = Screen::new(DEFAULT_SIZE.0, DEFAULT_SIZE.1, 0);
                    Arc::new(tokio::sync::Mutex::new(Keyframe { screen, replay }))
                }),
        );
        let mut frame = frame.lock().await;
        let front = stream.first_offset(end);
        frame.advance(stream, front).await?;
        let (cols, rows) = frame.screen.size();
        Ok(TerminalSnapshot {
            agent_id: agent_id.clone(),
            command_id,
            offset: frame.replay.offset(),
            cols,
            rows,
            data: Payload(frame.screen.snapshot().into()),
        })
    }

    /// Drops a command's keyframe.
    pub fn forget(&self, command_id: CommandId) {
        self.frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&command_id);
    }
}

impl Keyframe {
    async fn advance(&mut self, stream: &Stream, front: u64) -> Result<(), LogError> {
        while let Some(found) = self.replay.next(stream, front).await? {
            // What retention has removed cannot be drawn; the screen goes on with what is left.
            let Found::Piece(piece) = found else { continue };
            if let Some((cols, rows)) = piece.size {
                self.screen.resize(cols, rows);
            }
            self.screen.feed_skimming(&piece.data);
            // Emulation is work for the processor; others get their turn between pieces.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
