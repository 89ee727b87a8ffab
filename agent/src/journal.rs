//! Which commands this agent has started: on disk before they are, so that no later agent starts one again.
//!
//! A file of [`lines`]. A thread of its own writes, since a disk may take its time, and several starts share one sync.
//! Starts are synced: not even a power cut makes a command start twice. Ends and settlements are not: a power cut may
//! bring back commands that were settled, and the daemon then says so once more.
//!
//! What a crash cut off at the end is left out: its start was not confirmed. The file holds what isn't settled, and is
//! rewritten when it has grown to several times that.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use opsctl_protocol::CommandId;
use opsctl_protocol::message::{CommandSpec, CommandStatus};
use serde::{Deserialize, Serialize};

use crate::lines::{self, line};

/// Records that may wait for the disk; a sender waits when there are more.
const QUEUE: usize = 1024;

/// The file is rewritten when it is larger than this, in bytes, and consists mostly of settled commands.
const REWRITE_ABOVE: u64 = 1024 * 1024;

/// How long until what the disk didn't take is tried again.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

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
        /// How.
        #[serde(flatten)]
        start: Start,
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

/// How a command is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// What it runs.
    pub(crate) spec: CommandSpec,
    /// The agent's main terminal.
    #[serde(default)]
    pub(crate) main: bool,
    /// The directory of the holder that gets the job, within that of all holders. That nothing is written down there
    /// shows that the command was not started after all. Older agents didn't say.
    #[serde(default)]
    pub(crate) holder: Option<String>,
}

/// What the journal knows of a command that isn't settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// How it was started; absent for one that was never about to be.
    pub(crate) start: Option<Start>,
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
        let commands = match std::fs::read(&path) {
            Ok(bytes) => replay(&bytes),
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

/// Applies the journal's lines in order, and says what cannot be read.
pub(crate) fn replay(bytes: &[u8]) -> Commands {
    let lines = lines::read(bytes);
    if lines.damaged > 0 {
        tracing::error!(
            lines = lines.damaged,
            "the journal is damaged; some of its lines are left out"
        );
    }
    if lines.torn > 0 {
        tracing::warn!(
            bytes = lines.torn,
            "the journal's end was cut short; going on with its last good line"
        );
    }
    let mut commands = Commands::new();
    for record in lines.values {
        apply(&mut commands, record);
    }
    commands
}

fn apply(commands: &mut Commands, record: Record) {
    match record {
        Record::Start { command_id, start } => {
            commands.entry(command_id).or_default().start = Some(start);
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
    /// The file lacks something that `commands` has.
    behind: bool,
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
            behind: false,
        })
    }

    fn run(&mut self, records: &Receiver<(Record, Option<Done>)>) {
        while let Some((record, done)) = self.next(records) {
            let mut written = self.write(record);
            let mut waiting: Vec<Done> = done.into_iter().collect();
            // Whoever came meanwhile shares the sync.
            while let Ok((record, done)) = records.try_recv() {
                written = written.and(self.write(record));
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

    /// The next record; `None` once there will be none. What the disk didn't take is tried again meanwhile.
    fn next(
        &mut self,
        records: &Receiver<(Record, Option<Done>)>,
    ) -> Option<(Record, Option<Done>)> {
        loop {
            if !self.behind {
                return records.recv().ok();
            }
            match records.recv_timeout(WRITE_AGAIN) {
                Ok(record) => return Some(record),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.rewrite(),
            }
        }
    }

    fn write(&mut self, record: Record) -> io::Result<()> {
        let line = line(&record)?;
        apply(&mut self.commands, record);
        // What an earlier attempt left of its line is overwritten.
        let written = self.file.write_all_at(&line, self.size);
        if written.is_ok() {
            self.size += line.len() as u64;
        } else {
            self.behind = true;
            // What stands there would be read as a line cut short otherwise, and be said.
            let _ = self.file.set_len(self.size);
        }
        written
    }

    fn rewrite_when_due(&mut self) {
        if self.size >= REWRITE_ABOVE && self.size >= 4 * self.base {
            self.rewrite();
        }
    }

    fn rewrite(&mut self) {
        match rewrite(&self.path, &self.commands) {
            Ok((file, size)) => {
                self.file = file;
                (self.size, self.base, self.behind) = (size, size, false);
            }
            // The old file goes on being good; try again when it has grown as much again.
            Err(error) => {
                self.base = self.size;
                tracing::warn!(%error, "the journal cannot be rewritten");
            }
        }
    }
}

/// Writes all that is known into a new file and puts it in the place of the old one.
fn rewrite(path: &Path, commands: &Commands) -> io::Result<(File, u64)> {
    let new = path.with_extension("new");
    let opened = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        // Commands may hold secrets in their arguments.
        .mode(0o600)
        .open(&new)?;
    let mut file = BufWriter::new(opened);
    let mut size = 0;
    for (command_id, known) in commands {
        let start = known.start.clone().map(|start| Record::Start {
            command_id: *command_id,
            start,
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
            start: Start {
                spec,
                main: false,
                holder: Some("h".to_owned()),
            },
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
        let whole = line(&start(1)).unwrap();
        let commands = replay(&[&whole[..], &whole[..20]].concat());
        assert_eq!(commands.len(), 1);
    }

    #[test]
    fn what_older_agents_wrote_is_understood() {
        let old = r#"{"record":"start","commandId":"01010101010101010101010101010101","spec":{"shell":"x"},"main":true}
"#;
        let commands = replay(old.as_bytes());
        let start = commands[&CommandId([1; 16])].start.clone().unwrap();
        assert_eq!((start.main, start.holder), (true, None));
    }

    #[test]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(dir.path()).unwrap();
        synced(&journal, start(1));
        let file = std::fs::metadata(dir.path().join("journal")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
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
                start: Start {
                    spec: spec.clone(),
                    main: false,
                    holder: None,
                },
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
