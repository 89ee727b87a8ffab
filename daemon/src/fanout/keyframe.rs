//! Screens of commands that stand for output: at the front of a command's ring, for those who come late, in place of
//! what the ring has dropped; at the end, for those who are too slow, in place of what they skip. They are made when
//! somebody asks for them, from log and ring, and remembered, so that the next one costs only what came since.

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

/// Bytes of output that are emulated at once: of a flood of lines only the last ones are parsed, and these are few against
/// so many.
const SKIMMED: usize = 512 * 1024;

/// Which screen of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// That at the front of its ring: what came before those who begin now.
    Front,
    /// That at the end of its output: for those who are too slow to see all of it.
    End,
}

/// A keyframe and those who wait for it.
type Shared = Arc<tokio::sync::Mutex<Keyframe>>;

/// The keyframes of all commands that somebody came late to.
pub struct Keyframes {
    log: Log,
    frames: Mutex<HashMap<(CommandId, Place), Shared>>,
}

/// The screen of one command at an offset; see [`Keyframes`].
struct Keyframe {
    screen: Screen,
    /// What comes next; `None` while the screen is still to be begun.
    replay: Option<Replay>,
}

impl Keyframes {
    /// No keyframes yet.
    pub fn new(log: Log) -> Self {
        Self {
            log,
            frames: Mutex::default(),
        }
    }

    /// The screen at a place of the command's output, or a little behind it when output comes quickly. The offset in the
    /// answer counts.
    pub async fn at(
        &self,
        place: Place,
        agent_id: &AgentId,
        command_id: CommandId,
        stream: &Stream,
        end: u64,
    ) -> Result<TerminalSnapshot, LogError> {
        let frame = self.frame(command_id, place);
        let mut frame = frame.lock().await;
        let mut replay = if let Some(replay) = frame.replay.take() {
            replay
        } else {
            frame.screen = Screen::new(DEFAULT_SIZE.0, DEFAULT_SIZE.1, 0);
            self.begin(place, agent_id, command_id, stream, end, &mut frame.screen)
                .await?
        };
        let until = match place {
            Place::Front => stream.first_offset(end),
            Place::End => stream.end_offset().unwrap_or(end),
        };
        // Where the log cannot be read, the replay is gone with this, and the next one begins anew.
        advance(&mut frame.screen, &mut replay, stream, until).await?;
        let (cols, rows) = frame.screen.size();
        let offset = replay.offset();
        frame.replay = Some(replay);
        Ok(TerminalSnapshot {
            agent_id: agent_id.clone(),
            command_id,
            offset,
            cols,
            rows,
            data: Payload(frame.screen.snapshot().into()),
        })
    }

    /// Whether the program has bracketed paste on, by all that it has put out. Errors as [`Self::at`].
    pub async fn takes_paste(
        &self,
        agent_id: &AgentId,
        command_id: CommandId,
        stream: &Stream,
        end: u64,
    ) -> Result<bool, LogError> {
        self.at(Place::End, agent_id, command_id, stream, end)
            .await?;
        let frame = self.frame(command_id, Place::End);
        let frame = frame.lock().await;
        Ok(frame.screen.modes().bracketed_paste)
    }

    fn frame(&self, command_id: CommandId, place: Place) -> Shared {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = frames.entry((command_id, place)).or_insert_with(|| {
            let screen = Screen::new(DEFAULT_SIZE.0, DEFAULT_SIZE.1, 0);
            Arc::new(tokio::sync::Mutex::new(Keyframe {
                screen,
                replay: None,
            }))
        });
        Arc::clone(frame)
    }

    /// What a new screen goes on with: all output, or for the screen at the end what follows the one at the front.
    async fn begin(
        &self,
        place: Place,
        agent_id: &AgentId,
        command_id: CommandId,
        stream: &Stream,
        end: u64,
        screen: &mut Screen,
    ) -> Result<Replay, LogError> {
        let mut offset = 0;
        if place == Place::End {
            let front = Box::pin(self.at(Place::Front, agent_id, command_id, stream, end)).await?;
            screen.resize(front.cols, front.rows);
            screen.feed(&front.data.0);
            offset = front.offset;
        }
        let (log, agent_id) = (self.log.clone(), agent_id.clone());
        Ok(Replay::new(log, agent_id, command_id, offset, end))
    }

    /// Drops a command's keyframes.
    pub fn forget(&self, command_id: CommandId) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.remove(&(command_id, Place::Front));
        frames.remove(&(command_id, Place::End));
    }
}

/// Feeds a screen up to `until`.
async fn advance(
    screen: &mut Screen,
    replay: &mut Replay,
    stream: &Stream,
    until: u64,
) -> Result<(), LogError> {
    let mut gathered = Vec::new();
    while let Some(found) = replay.next(stream, until).await? {
        // What retention has removed cannot be drawn; the screen goes on with what is left.
        let Found::Piece(piece) = found else { continue };
        if let Some((cols, rows)) = piece.size {
            screen.feed_skimming(&std::mem::take(&mut gathered));
            screen.resize(cols, rows);
        }
        gathered.extend_from_slice(&piece.data);
        if gathered.len() >= SKIMMED {
            screen.feed_skimming(&gathered);
            gathered.clear();
            // Emulation is work for the processor; others get their turn between pieces.
            tokio::task::yield_now().await;
        }
    }
    screen.feed_skimming(&gathered);
    Ok(())
}
