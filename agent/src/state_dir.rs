//! The agent's directory, and the lock that keeps a second agent of the same name out.
//!
//! ```text
//! lock       held while an agent lives; says its process id
//! journal    which commands were started
//! holders/   a directory for each holder, with its socket and what it writes down
//! spool/     output that the daemon hasn't acknowledged, of all commands
//! holder.log what holders had to complain about
//! ```

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;

use crate::AgentError;
use crate::holder::processes;

/// Where the spool lies, for a holder with this directory.
pub(crate) fn spool_of(holder: &Path) -> PathBuf {
    let agent = holder.parent().and_then(Path::parent);
    agent.unwrap_or(holder).join(SPOOL)
}

/// How long a dead agent's lock may be held by what it was just starting.
const LAST_COPY: Duration = Duration::from_secs(2);

/// How often the lock is tried meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The spool's directory within the agent's.
const SPOOL: &str = "spool";

/// A locked directory; unlocked when dropped or when the process ends, however it ends.
pub(crate) struct StateDir {
    path: PathBuf,
    lock: File,
}

impl StateDir {
    /// Makes and locks the directory of the agent called `name`.
    pub(crate) fn open(path: &Path, name: &str) -> Result<Self, AgentError> {
        let state = |source| AgentError::State {
            path: path.to_owned(),
            source,
        };
        // Terminals' sockets lie here: nobody else has any business in it.
        for dir in ["holders", SPOOL] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path.join(dir))
                .map_err(state)?;
        }
        let lock = path.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(lock)
            .map_err(state)?;
        match take(&lock) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(AgentError::AlreadyRunning {
                    name: name.to_owned(),
                    pid: written_pid(&lock),
                });
            }
            Err(error) => return Err(state(error.into())),
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(state)?;
        Ok(Self {
            path: path.to_owned(),
            lock,
        })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the spool lies.
    pub(crate) fn spool(&self) -> PathBuf {
        self.path.join(SPOOL)
    }

    /// Where holders' directories lie.
    pub(crate) fn holders(&self) -> PathBuf {
        self.path.join("holders")
    }
}

/// Takes the lock. One that is held though the process that took it is dead is waited for: a process that it was just
/// starting has a copy, for a moment.
fn take(lock: &File) -> rustix::io::Result<()> {
    let deadline = Instant::now() + LAST_COPY;
    loop {
        let taken = flock(lock, FlockOperation::NonBlockingLockExclusive);
        let dead = || {
            let pid = written_pid(lock).and_then(|pid| Pid::from_raw(pid.cast_signed()));
            pid.is_some_and(|pid| !processes::is_alive(pid))
        };
        if taken != Err(rustix::io::Errno::WOULDBLOCK) || Instant::now() >= deadline || !dead() {
            return taken;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The process that took the lock last.
fn written_pid(lock: &File) -> Option<u32> {
    let mut text = [0; 16];
    let length = lock.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text[..length])
        .ok()?
        .trim()
        .parse()
        .ok()
}

impl Drop for StateDir {
    /// Closing the file is not enough: a process that is just being started holds a copy until it is.
    fn drop(&mut self) {
        if let Err(error) = flock(&self.lock, FlockOperation::Unlock) {
            tracing::warn!(%error, "the agent's lock is released only with its last copy");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_told_who_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agents").join("web-1");
        let first = StateDir::open(&path, "web-1").unwrap();
        let Err(AgentError::AlreadyRunning { name, pid }) = StateDir::open(&path, "web-1") else {
            panic!("the lock does not hold");
        };
        assert_eq!((name.as_str(), pid), ("web-1", Some(std::process::id())));
        drop(first);
        StateDir::open(&path, "web-1").unwrap();
    }
}
