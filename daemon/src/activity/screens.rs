//! The screens of programs that rules exist for, and what the rules make of them. A screen is emulated when it is to be
//! looked at, up to then, and kept, so that the next look costs only what came since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opsctl_protocol::message::{Foreground, Program};
use opsctl_protocol::{AgentId, CommandId};
use opsctl_terminal::Screen;

use super::{Finding, Rules};
use crate::fanout::Stream;
use crate::fanout::replay::{Found, Replay};
use crate::log::{Log, LogError};

/// Screens that are kept; beyond that any other one goes, and is made anew from [`REACH`] when it is looked at again.
const KEPT: usize = 256;

/// How much output before a look is emulated, where more has come since the last one. Programs that draw whole screens have
/// drawn them within it; one that floods is not worth more.
const REACH: u64 = 1024 * 1024;

/// What is to be looked at.
pub struct Look {
    /// On which agent.
    pub agent_id: AgentId,
    /// Whose screen.
    pub command_id: CommandId,
    /// What was started there.
    pub program: Program,
    /// What is in front there, where that is known.
    pub front: Option<Foreground>,
    /// Its terminal's title.
    pub title: String,
    /// Its size now, for output that doesn't say it.
    pub size: (u16, u16),
    /// Its output.
    pub stream: Arc<Stream>,
    /// Where its output ends now.
    pub end: u64,
}

/// The screens that were looked at last.
pub struct Screens {
    log: Log,
    rules: Arc<Rules>,
    kept: Mutex<HashMap<CommandId, Arc<tokio::sync::Mutex<Watched>>>>,
}

/// One command's screen.
struct Watched {
    screen: Screen,
    replay: Replay,
}

impl Screens {
    /// None yet.
    pub fn new(log: Log, rules: Arc<Rules>) -> Self {
        Self {
            log,
            rules,
            kept: Mutex::default(),
        }
    }

    /// Looks at a screen; returns what the rules make of it.
    ///
    /// # Errors
    /// The output cannot be read.
    pub async fn look(&self, look: &Look) -> Result<Option<Finding>, LogError> {
        let watched = self.kept(look);
        let mut watched = watched.lock().await;
        if look.end.saturating_sub(watched.replay.offset()) > REACH {
            *watched = self.watch(look);
        }
        watched.advance(look).await?;
        let text = watched.screen.text();
        let front = look.front.as_ref();
        Ok(self.rules.judge(&look.program, front, &look.title, &text))
    }

    /// Drops a command's screen.
    pub fn forget(&self, command_id: CommandId) {
        self.lock().remove(&command_id);
    }

    fn kept(&self, look: &Look) -> Arc<tokio::sync::Mutex<Watched>> {
        let mut kept = self.lock();
        if kept.len() >= KEPT
            && !kept.contains_key(&look.command_id)
            && let Some(other) = kept.keys().next().copied()
        {
            kept.remove(&other);
        }
        let watched = kept
            .entry(look.command_id)
            .or_insert_with(|| Arc::new(tokio::sync::Mutex::new(self.watch(look))));
        Arc::clone(watched)
    }

    fn watch(&self, look: &Look) -> Watched {
        let from = look.end.saturating_sub(REACH);
        let (log, agent_id) = (self.log.clone(), look.agent_id.clone());
        Watched {
            screen: Screen::new(look.size.0, look.size.1, 0),
            replay: Replay::new(log, agent_id, look.command_id, from, look.end),
        }
    }

    fn lock(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<CommandId, Arc<tokio::sync::Mutex<Watched>>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    async fn advance(&mut self, look: &Look) -> Result<(), LogError> {
        while let Some(found) = self.replay.next(&look.stream, look.end).await? {
            // What is gone cannot be drawn; the screen goes on with what is left.
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
