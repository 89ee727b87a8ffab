//! What an earlier agent left: holders that live on, and holders that don't. One that died while this agent lives is
//! looked for in the same way.
//!
//! A dead holder's directory goes to an heir, which ends what is left of the program, gives out the output that was kept,
//! and then says that the command is lost. Only a directory in which no job was ever written down shows that a command
//! wasn't started, so that it still may be.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use opsctl_protocol::CommandId;
use opsctl_protocol::message::State;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Agent, Event, Silent};
use crate::command::{Command, Phase};
use crate::holder::record;
use crate::journal::Commands;
use crate::pool::Fresh;
use crate::wire::SOCKET;
use crate::{socket, spool};

/// How long holders are waited for before the daemon is dialed. They answer at once, unless something has stopped them.
const ANSWER: Duration = Duration::from_secs(3);

/// How long until a holder is looked for again that was there and said nothing.
const SEEK_AGAIN: Duration = Duration::from_millis(500);

/// What stands behind the name of a directory that is about to go.
const RETIRED: &str = "gone";

impl Agent {
    /// Finds out what became of every command that isn't settled.
    pub(super) async fn recover(&mut self, known: Commands) {
        for (id, known) in known {
            let ended = known.ended.map(|status| Phase::Ended(Box::new(status)));
            let (spec, main, holder) = known.start.map_or((None, false, None), |start| {
                (Some(start.spec), start.main, start.holder)
            });
            let command = Command {
                spec,
                main,
                phase: ended.unwrap_or(Phase::Sought { holder }),
                acked: 0,
                streamed: 0,
                input_refused: false,
                attempts: 0,
            };
            self.commands.insert(id, command);
        }
        let dirs = self.holder_directories();
        self.sweep_spool(&dirs);
        // All of them first: nothing is without a trace before each was looked at.
        self.sought.extend(dirs.iter().cloned());
        for dir in dirs {
            self.seek(dir);
        }
        self.nobody_left_to_seek();
        let deadline = Instant::now() + ANSWER;
        while !self.sought.is_empty() {
            tokio::select! {
                Some((key, news)) = self.holder_inbox.recv() => self.holder_news(key, news),
                Some(event) = self.inbox.recv() => self.event(event),
                () = sleep_until(deadline) => {
                    tracing::warn!(
                        holders = self.sought.len(),
                        "some holders do not answer; going on without them"
                    );
                    return;
                }
            }
        }
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

    /// Removes output that belongs to no command: what a holder left that died while it cleared up.
    fn sweep_spool(&self, dirs: &[PathBuf]) {
        let owners: BTreeSet<CommandId> = dirs
            .iter()
            .filter_map(|dir| record::read(dir).ok().flatten())
            .map(|past| past.job.command_id)
            .chain(self.commands.keys().copied())
            .collect();
        match spool::sweep(&self.spool, |header| owners.contains(&header.command_id)) {
            Ok(0) => {}
            Ok(chunks) => tracing::warn!(
                chunks,
                "output of no known command was removed from the spool"
            ),
            Err(error) => {
                tracing::error!(%error, dir = %self.spool.display(), "the spool cannot be read");
            }
        }
    }

    /// Connects to the holder in a directory, or to its heir, or finds that there is nothing to hold.
    pub(super) fn seek(&mut self, dir: PathBuf) {
        self.sought.insert(dir.clone());
        match socket::connect(&dir, SOCKET).and_then(UnixStream::from_std) {
            Ok(socket) => {
                let (key, holder) = self.attach(socket);
                self.silent.insert(key, Silent { holder, dir });
            }
            Err(_) => match retire(&dir) {
                Ok(Retired::WithJob) => self.start_heir(dir),
                Ok(Retired::WithoutJob) => {
                    self.sought.remove(&dir);
                    self.never_started(&dir);
                    self.nobody_left_to_seek();
                }
                Err(error) => {
                    tracing::error!(%error, dir = %dir.display(), "a holder's directory cannot be read");
                    self.seek_later(dir);
                }
            },
        }
    }

    pub(super) fn seek_later(&mut self, dir: PathBuf) {
        self.sought.insert(dir.clone());
        let events = self.events.clone();
        tokio::spawn(async move {
            sleep(SEEK_AGAIN).await;
            // The agent has ended when nobody listens.
            let _ = events.send(Event::Seek(dir)).await;
        });
    }

    /// Starts a holder in the place of one that has died.
    fn start_heir(&mut self, dir: PathBuf) {
        self.sought.insert(dir.clone());
        let (launcher, events) = (self.launcher.clone(), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let started = launcher.start_in(&dir);
            // The agent has ended when nobody listens.
            let _ = events.blocking_send(Event::Heir(dir, started));
        });
    }

    pub(super) fn heir_started(&mut self, dir: PathBuf, started: io::Result<Fresh>) {
        match started.and_then(Fresh::into_socket) {
            Ok(socket) => {
                let (key, holder) = self.attach(socket);
                self.silent.insert(key, Silent { holder, dir });
            }
            Err(error) => {
                tracing::error!(%error, "no heir of a dead holder can be started; trying again");
                self.seek_later(dir);
            }
        }
    }

    /// The holder in this directory never wrote a job down: the command that it was meant for may be started.
    fn never_started(&mut self, dir: &Path) {
        let name = dir.file_name().and_then(|name| name.to_str());
        let meant = |command: &Command| matches!(&command.phase, Phase::Sought { holder: Some(holder) } if Some(&**holder) == name);
        let Some((id, command)) = self.commands.iter_mut().find(|(_, command)| meant(command))
        else {
            return;
        };
        let (id, main) = (*id, command.main);
        tracing::info!(command = %id, "an earlier agent ended just before it started a command; starting it now");
        command.phase = Phase::Queued;
        if main || self.queue.push(id) {
            self.begin(id);
        }
    }

    /// Once every directory has been looked at, a command of which no trace was found gets an heir all the same: its
    /// program may run.
    pub(super) fn nobody_left_to_seek(&mut self) {
        if !self.sought.is_empty() {
            return;
        }
        let lost: Vec<_> = self
            .commands
            .iter()
            .filter(|(_, command)| matches!(command.phase, Phase::Sought { .. }))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.sought_without_trace(id);
        }
    }

    /// Has an heir look for a program of whose holder nothing is left.
    pub(super) fn sought_without_trace(&mut self, id: CommandId) {
        tracing::warn!(command = %id, "nothing is left of the holder of a command; looking for its program");
        let Some((job, _)) = self.job(id) else {
            // It was never about to start.
            let reason = "the agent has lost track of it".to_owned();
            return self.end_without_holder(id, State::Lost, Some(reason));
        };
        let dir = self.launcher.holders.join(CommandId::random().to_string());
        let prepared =
            std::fs::create_dir(&dir).and_then(|()| record::write_for_the_dead(&dir, &job));
        self.put_back(id, Phase::Sought { holder: None });
        match prepared {
            Ok(()) => self.start_heir(dir),
            Err(error) => {
                // It isn't said to be lost as long as nobody has looked: the next agent does.
                tracing::error!(%error, command = %id, "nobody can look for a command's program");
            }
        }
    }
}

/// What was in a directory that nobody answers from.
enum Retired {
    /// A holder had a job there.
    WithJob,
    /// No holder had, and none can get one any more: the directory is gone.
    WithoutJob,
}

/// Removes the directory of a holder that had no job. It is renamed first, so that a holder that is only slow to come up
/// cannot write a job down while it is looked at; and without that it starts nothing.
fn retire(dir: &Path) -> io::Result<Retired> {
    if record::read(dir)?.is_some() {
        return Ok(Retired::WithJob);
    }
    let gone = dir.with_extension(RETIRED);
    std::fs::rename(dir, &gone)?;
    if record::read(&gone)?.is_some() {
        std::fs::rename(&gone, dir)?;
        return Ok(Retired::WithJob);
    }
    std::fs::remove_dir_all(&gone)?;
    Ok(Retired::WithoutJob)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_without_a_job_goes() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("h");
        std::fs::create_dir(&dir).unwrap();
        assert!(matches!(retire(&dir).unwrap(), Retired::WithoutJob));
        assert!(!dir.exists() && std::fs::read_dir(base.path()).unwrap().next().is_none());
    }
}
