//! What an earlier agent left: holders that live on, and commands whose holders don't.

use std::path::PathBuf;
use std::time::Duration;

use opsctl_protocol::message::State;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use super::Agent;
use crate::command::{Command, Phase};
use crate::journal::Commands;
use crate::socket;

/// How long holders are waited for before the daemon is dialed. They answer at once, unless something has stopped them.
const ANSWER: Duration = Duration::from_secs(3);

impl Agent {
    /// Connects to every holder that there is, and hears what each has.
    pub(super) async fn recover(&mut self, known: Commands) {
        for (id, known) in known {
            let (spec, main) = known
                .start
                .map_or((None, false), |(spec, main)| (Some(spec), main));
            let phase = known
                .ended
                .map_or(Phase::Sought, |status| Phase::Ended(Box::new(status)));
            self.commands.insert(
                id,
                Command {
                    spec,
                    main,
                    phase,
                    acked: 0,
                },
            );
        }
        for dir in self.holder_directories() {
            match socket::connect(&dir).and_then(UnixStream::from_std) {
                Ok(socket) => {
                    let (key, holder) = self.attach(socket);
                    self.silent.insert(key, holder);
                }
                // Nobody lives there any more.
                Err(_) => drop(std::fs::remove_dir_all(&dir)),
            }
        }
        let deadline = Instant::now() + ANSWER;
        while !self.silent.is_empty() {
            match timeout_at(deadline, self.holder_inbox.recv()).await {
                Ok(Some((key, news))) => self.holder_news(key, news),
                Ok(None) => break,
                Err(_) => {
                    tracing::warn!(
                        holders = self.silent.len(),
                        "some holders do not answer; going on without them"
                    );
                    return;
                }
            }
        }
        self.nobody_left_to_seek();
    }

    fn holder_directories(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.launcher.holders);
        entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect()
    }

    /// Once every holder has answered or gone, a command that none has is lost.
    pub(super) fn nobody_left_to_seek(&mut self) {
        if !self.silent.is_empty() {
            return;
        }
        let lost: Vec<_> = self
            .commands
            .iter()
            .filter(|(_, command)| matches!(command.phase, Phase::Sought))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            tracing::warn!(command = %id, "a command of an earlier agent is lost");
            let reason = "the agent's host or the process that held the program died".to_owned();
            self.end_without_holder(id, State::Lost, Some(reason));
        }
    }
}
