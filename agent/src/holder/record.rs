//! What a holder writes down of its program, so that whoever comes after it knows what there was to hold.
//!
//! A file of [`lines`] in the holder's directory. The job stands there before the program starts. The file's lock is the
//! holder's as long as it lives, however it ends. Its end is padded, so that the program's end finds room on a full disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use opsctl_protocol::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::processes::{self, Name};
use crate::lines::{self, Lines};
use crate::wire::{End, Job};

/// The file's name in the holder's directory.
const RECORD: &str = "record";

/// Its name while it is made.
const FRESH_RECORD: &str = "record.new";

/// Room for what is written after the start.
const PADDING: usize = 4096;

/// A line of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "camelCase")]
enum Entry {
    /// The program is about to start.
    Job {
        /// What.
        job: Box<Job>,
        /// Which process does; none where an agent writes this for a holder of which nothing was found.
        holder: Option<Name>,
        /// During which run of the system.
        boot_id: String,
    },
    /// It runs.
    Started(Started),
    /// It has ended, and no more of its output comes.
    Ended(Ended),
}

/// A program that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Started {
    /// Its process.
    pub(crate) program: Name,
    /// When, by the clock on the wall.
    pub(crate) at: Timestamp,
}

/// A program that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ended {
    /// How.
    pub(crate) end: End,
    /// The length of its output.
    pub(crate) to: u64,
    /// Bytes of input that it was given.
    pub(crate) input: u64,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Past {
    /// What was to run.
    pub(crate) job: Job,
    /// The process that held it.
    pub(crate) holder: Option<Name>,
    /// During which run of the system.
    pub(crate) boot_id: String,
    /// Set when it ran.
    pub(crate) started: Option<Started>,
    /// Set when it had ended.
    pub(crate) ended: Option<Ended>,
}

/// A record that is written.
#[derive(Debug)]
pub(super) struct Record {
    file: File,
    /// Where the next line goes.
    at: u64,
}

impl Record {
    /// Starts the record of a job that is about to start here, and takes its lock.
    pub(super) fn create(dir: &Path, job: &Job) -> io::Result<Self> {
        let holder = processes::of(rustix::process::getpid()).map(|process| process.name());
        begin(dir, job, holder)
    }

    /// Takes the record of a holder that is dead over. `None` where it never had a job.
    pub(super) fn inherit(dir: &Path) -> io::Result<Option<(Self, Past)>> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .open(dir.join(RECORD));
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| io::Error::other("another holder lives here"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let lines = lines::read(&bytes);
        let at = lines.good as u64;
        Ok(past(lines).map(|past| (Self { file, at }, past)))
    }

    /// Notes that the program runs.
    pub(super) fn started(&mut self, started: Started) -> io::Result<()> {
        self.write(&Entry::Started(started))
    }

    /// Notes that the program has ended.
    pub(super) fn ended(&mut self, ended: Ended) -> io::Result<()> {
        self.write(&Entry::Ended(ended))
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let line = lines::line(entry)?;
        self.file.write_all_at(&line, self.at)?;
        self.at += line.len() as u64;
        Ok(())
    }
}

/// Writes a record in the name of a holder of which nothing was found, for one that looks after what it may have left.
pub(crate) fn write_for_the_dead(dir: &Path, job: &Job) -> io::Result<()> {
    begin(dir, job, None).map(drop)
}

/// The record has its name only once the job stands in it, and gets none in a directory that is no longer there: who finds
/// no record knows that nothing was started, and nothing will be.
fn begin(dir: &Path, job: &Job, holder: Option<Name>) -> io::Result<Record> {
    let fresh = dir.join(FRESH_RECORD);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    let line = lines::line(&Entry::Job {
        job: Box::new(job.clone()),
        holder,
        boot_id: processes::boot_id(),
    })?;
    let mut bytes = line.clone();
    bytes.resize(line.len() + PADDING, b'\n');
    file.write_all_at(&bytes, 0)?;
    std::fs::rename(fresh, dir.join(RECORD))?;
    Ok(Record {
        file,
        at: line.len() as u64,
    })
}

/// What the record in a holder's directory says; `None` where the holder had no job yet.
pub(crate) fn read(dir: &Path) -> io::Result<Option<Past>> {
    match std::fs::read(dir.join(RECORD)) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the bytes of a record say.
pub(crate) fn parse(bytes: &[u8]) -> Option<Past> {
    past(lines::read(bytes))
}

fn past(lines: Lines<Entry>) -> Option<Past> {
    let mut past = None;
    for entry in lines.values {
        match (entry, &mut past) {
            (
                Entry::Job {
                    job,
                    holder,
                    boot_id,
                },
                None,
            ) => {
                past = Some(Past {
                    job: *job,
                    holder,
                    boot_id,
                    started: None,
                    ended: None,
                });
            }
            (Entry::Started(started), Some(past)) => past.started = Some(started),
            (Entry::Ended(ended), Some(past)) => past.ended = Some(ended),
            // Nothing is known before the job is.
            _ => {}
        }
    }
    past
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::SpoolLimits;
    use opsctl_protocol::CommandId;
    use opsctl_protocol::message::{CommandSpec, Program};

    fn job() -> Job {
        Job {
            command_id: CommandId([1; 16]),
            agent: "a".to_owned(),
            spec: CommandSpec::new(Program::Shell("x".to_owned())),
            kill_grace_ms: 1,
            main: false,
            spool: SpoolLimits::default(),
            alone_ms: None,
        }
    }

    #[test]
    fn a_heir_knows_what_was_written_and_goes_on_writing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Record::inherit(dir.path()).unwrap().is_none());
        let mut record = Record::create(dir.path(), &job()).unwrap();
        assert!(Record::inherit(dir.path()).is_err(), "its holder lives");
        let program = Name { pid: 5, start: 6 };
        let started = Started {
            program,
            at: Timestamp(7),
        };
        record.started(started).unwrap();
        drop(record);
        let (mut record, past) = Record::inherit(dir.path()).unwrap().unwrap();
        assert_eq!((past.started, past.ended), (Some(started), None));
        assert_eq!(past.boot_id, processes::boot_id());
        let ended = Ended {
            end: End::default(),
            to: 9,
            input: 2,
        };
        record.ended(ended.clone()).unwrap();
        let past = read(dir.path()).unwrap().unwrap();
        assert_eq!((past.job, past.ended), (job(), Some(ended)));
    }

    #[test]
    fn an_end_needs_no_more_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = Record::create(dir.path(), &job()).unwrap();
        let size = || std::fs::metadata(dir.path().join(RECORD)).unwrap().len();
        let before = size();
        let ended = Ended {
            end: End {
                failure: Some("x".repeat(500)),
                ..End::default()
            },
            to: u64::MAX >> 11,
            input: 0,
        };
        record.ended(ended).unwrap();
        assert_eq!(size(), before);
    }
}
