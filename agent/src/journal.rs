//! Which commands this agent has started: on disk before they are, so that no later agent starts one again.
//!
//! A file of JSON lines. A thread of its own writes, since a disk may take its time, and several starts share one sync.
//! What a crash cut off at the end is ignored: its start was not confirmed.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use opsctl_protocol::CommandId;
use opsctl_protocol::message::{CommandSpec, CommandStatus};
use serde::{Deserialize, Serialize};

/// Records that may wait for the disk; a sender waits when there are more.
const QUEUE: usize = 1024;

/// The file is rewritten when it is larger than this, in bytes, and consists mostly of settled commands.
const REWRITE_ABOVE: u64 = 1024 * 1024;

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "record",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub(crate) enum Record {
    /// A command is about to start.
    Start {
        /// Which.
        command_id: CommandId,
        /// What it runs.
        spec: CommandSpec,
        /// The agent's main terminal.
        #[serde(default)]
        main: bool,
    },
    /// A command has ended without a holder that would remember it.
    Ended {
        /// How.
        status: Box<CommandStatus>,
    },
    /// The daemon has all of a command.
    Settled {
        /// Which.
        command_id: CommandId,
    },
}

/// What the journal knows of a command that isn't settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// What it runs, and whether it is the main terminal; absent for one that was never about to start.
    pub(crate) start: Option<(CommandSpec, bool)>,
    /// How it ended, where no holder remembers it.
    pub(crate) ended: Option<CommandStatus>,
}

/// Every command that isn't settled.
pub(crate) type Commands = BTreeMap<CommandId, Known>;

/// What is called once a record is on disk, or couldn't be.
type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// The way to the writing thread, which ends with it.
pub(crate) struct Journal {
    queue: SyncSender<(Record, Option<Done>)>,
}

impl Journal {
    /// Opens the journal in `dir`, and tells what it knows.
    pub(crate) fn open(dir: &Path) -> io::Result<(Self, Commands)> {
        let path = dir.join("journal");
        let commands = match std::fs::read_to_string(&path) {
            Ok(text) => replay(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Commands::new(),
            Err(error) => return Err(error),
        };
        let (queue, records) = sync_channel(QUEUE);
        let mut writer = Writer::create(path, commands.clone())?;
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&records))?;
        Ok((Self { queue }, commands))
    }

    /// Writes a record and syncs it; `done` is called on another thread.
    pub(crate) fn sync(&self, record: Record, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        self.send(record, Some(Box::new(done)));
    }

    /// Writes a record whose loss would only cost work: a crash of this process doesn't lose it, one of the host may.
    pub(crate) fn note(&self, record: Record) {
        self.send(record, None);
    }

    fn send(&self, record: Record, done: Option<Done>) {
        if let Err(unsent) = self.queue.send((record, done))
            && let (_, Some(done)) = unsent.0
        {
            done(Err(io::Error::other("the journal's thread has ended")));
        }
    }
}

/// Applies the journal's lines in order. Lines that can't be read are a crash's remains, or a newer version's.
pub(crate) fn replay(text: &str) -> Commands {
    let mut commands = Commands::new();
    for line in text.lines() {
        match serde_json::from_str(line) {
            Ok(record) => apply(&mut commands, record),
            Err(error) => {
                tracing::warn!(%error, "a line of the journal cannot be read and is left out");
            }
        }
    }
    commands
}

fn apply(commands: &mut Commands, record: Record) {
    match record {
        Record::Start {
            command_id,
            spec,
            main,
        } => {
            commands.entry(command_id).or_default().start = Some((spec, main));
        }
        Record::Ended { status } => {
            let command = commands.entry(status.command_id).or_default();
            command.ended = Some(*status);
        }
        Record::Settled { command_id } => {
            commands.remove(&command_id);
        }
    }
}

/// What the thread owns.
struct Writer {
    path: PathBuf,
    file: File,
    /// Bytes in the file.
    size: u64,
    /// Bytes in the file right after it was rewritten.
    base: u64,
    /// What a rewrite writes.
    commands: Commands,
}

impl Writer {
    fn create(path: PathBuf, commands: Commands) -> io::Result<Self> {
        let (file, size) = rewrite(&path, &commands)?;
        Ok(Self {
            path,
            file,
            size,
            base: size,
            commands,
        })
    }

    fn run(&mut self, records: &Receiver<(Record, Option<Done>)>) {
        while let Ok((record, done)) = records.recv() {
            let mut written = self.write(record);
            let mut waiting: Vec<Done> = done.into_iter().collect();
            // Whoever came meanwhile shares the sync.
            while let Ok((record, done)) = records.try_recv() {
                written = written.and_then(|()| self.write(record));
                waiting.extend(done);
            }
            if !waiting.is_empty() {
                written = written.and_then(|()| self.file.sync_data());
            }
            if let Err(error) = &written {
                tracing::error!(%error, path = %self.path.display(), "the journal cannot be written");
            }
            for done in waiting {
                done(
                    written
                        .as_ref()
                        .map_err(|error| io::Error::new(error.kind(), error.to_string()))
                        .copied(),
                );
            }
            self.rewrite_when_due();
        }
    }

    fn write(&mut self, record: Record) -> io::Result<()> {
        let line = line(&record)?;
        apply(&mut self.commands, record);
        self.file.write_all(&line)?;
        self.size += line.len() as u64;
        Ok(())
    }

    fn rewrite_when_due(&mut self) {
        if self.size < REWRITE_ABOVE || self.size < 4 * self.base {
            return;
        }
        match rewrite(&self.path, &self.commands) {
            Ok((file, size)) => {
                self.file = file;
                (self.size, self.base) = (size, size);
            }
            // The old file goes on being good; try again when it has grown as much again.
            Err(error) => {
                self.base = self.size;
                tracing::warn!(%error, "the journal cannot be rewritten");
            }
        }
    }
}

fn line(record: &Record) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

/// Writes all that is known into a new file and puts it in the place of the old one.
fn rewrite(path: &Path, commands: &Commands) -> io::Result<(File, u64)> {
    let new = path.with_extension("new");
    let mut file = BufWriter::new(
        OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&new)?,
    );
    let mut size = 0;
    for (command_id, known) in commands {
        let start = known.start.clone().map(|(spec, main)| Record::Start {
            command_id: *command_id,
            spec,
            main,
        });
        let ended = known.ended.clone().map(|status| Record::Ended {
            status: Box::new(status),
        });
        for record in start.into_iter().chain(ended) {
            let line = line(&record)?;
            file.write_all(&line)?;
            size += line.len() as u64;
        }
    }
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opsctl_protocol::message::{Program, State};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    fn start(n: u8) -> Record {
        let spec = CommandSpec::new(Program::Shell(format!("echo {n}")));
        Record::Start {
            command_id: CommandId([n; 16]),
            spec,
            main: false,
        }
    }

    fn synced(journal: &Journal, record: Record) {
        let (done, wait) = channel();
        journal.sync(record, move |result| done.send(result).unwrap());
        wait.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
    }

    #[test]
    fn what_was_started_is_known_to_the_next_agent() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, commands) = Journal::open(dir.path()).unwrap();
        assert!(commands.is_empty());
        let cancelled = CommandStatus::new(CommandId([3; 16]), State::Cancelled);
        journal.note(Record::Ended {
            status: Box::new(cancelled.clone()),
        });
        journal.note(start(2));
        journal.note(Record::Settled {
            command_id: CommandId([2; 16]),
        });
        synced(&journal, start(1));
        let (_, commands) = Journal::open(dir.path()).unwrap();
        assert_eq!(
            commands.keys().map(|id| id.0[0]).collect::<Vec<_>>(),
            [1, 3]
        );
        assert_eq!(commands[&CommandId([3; 16])].ended, Some(cancelled));
    }

    #[test]
    fn a_line_cut_short_is_left_out() {
        let whole = String::from_utf8(line(&start(1)).unwrap()).unwrap();
        let commands = replay(&format!("{whole}{}", &whole[..20]));
        assert_eq!(commands.len(), 1);
    }

    #[test]
    fn settled_commands_do_not_fill_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(dir.path()).unwrap();
        let mut spec = CommandSpec::new(Program::Shell("x".repeat(100_000)));
        spec.pty = true;
        for n in 0..40 {
            let command_id = CommandId([n; 16]);
            journal.note(Record::Start {
                command_id,
                spec: spec.clone(),
                main: false,
            });
            journal.note(Record::Settled { command_id });
        }
        synced(&journal, start(50));
        synced(&journal, start(51));
        let size = std::fs::metadata(dir.path().join("journal")).unwrap().len();
        assert!(size < 2 * REWRITE_ABOVE, "{size}");
        let (_, commands) = Journal::open(dir.path()).unwrap();
        assert_eq!(commands.len(), 2);
    }
}
