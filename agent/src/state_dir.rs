//! The agent's directory, and the lock that keeps a second agent of the same name out.
//!
//! ```text
//! lock       held while an agent lives; says its process id
//! journal    which commands were started
//! holders/   a directory for each holder, with its socket
//! holder.log what holders had to complain about
//! ```

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::AgentError;

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
        let holders = path.join("holders");
        // Terminals' sockets lie here: nobody else has any business in it.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&holders)
            .map_err(state)?;
        let lock = path.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(lock)
            .map_err(state)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let pid = io::read_to_string(&lock)
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                return Err(AgentError::AlreadyRunning {
                    name: name.to_owned(),
                    pid,
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

    /// Where holders' directories lie.
    pub(crate) fn holders(&self) -> PathBuf {
        self.path.join("holders")
    }
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
