//! The daemon's directory: who may use it, and where in it everything lies.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// A state directory that this process holds alone, for as long as the value lives.
#[derive(Debug)]
pub struct StateDir {
    /// The directory itself.
    path: PathBuf,
    /// Carries the lock; the kernel lets go of it when the process ends, however it ends.
    _lock: File,
}

/// Why a state directory cannot be used; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// The directory is missing and cannot be made.
    #[error(
        "cannot create the state directory {path}; create it for this user, or choose another with OPSCTL_STATE_DIR"
    )]
    Create {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else has the directory's name.
    #[error(
        "{path} is not a directory; move it away, or choose another state directory with OPSCTL_STATE_DIR"
    )]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Nothing can be written into the directory.
    #[error(
        "cannot write to the state directory {path}; give this user the right to, or choose another with OPSCTL_STATE_DIR"
    )]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory is on a full disk.
    #[error("no room on the disk for the state directory {path}; free some and start again")]
    Full {
        /// The directory.
        path: PathBuf,
    },
    /// Another daemon works on the directory.
    #[error(
        "another daemon{} is running on the state directory {path}; stop it, or choose another with OPSCTL_STATE_DIR",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Held {
        /// The directory.
        path: PathBuf,
        /// The other daemon's process id, where it could be read.
        pid: Option<u32>,
    },
}

impl StateDir {
    /// Creates the directory where it is missing (mode 0700, parents included), checks that it can be written, and
    /// takes its lock.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StateDirError> {
        let path = path.into();
        if let Err(source) = DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            return Err(match source.kind() {
                io::ErrorKind::AlreadyExists => StateDirError::NotADirectory { path },
                _ => StateDirError::Create { path, source },
            });
        }
        let unwritable = |source: io::Error| {
            let path = path.clone();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    StateDirError::Full { path }
                }
                _ => StateDirError::Unwritable { path, source },
            }
        };
        check_writable(&path).map_err(unwritable)?;
        // Not truncated here: until the lock is ours, the file holds the other daemon's id.
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(unwritable)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let pid = lock
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(StateDirError::Held { path, pid });
            }
            Err(errno) => return Err(unwritable(errno.into())),
        }
        write_pid(&mut lock).map_err(unwritable)?;
        Ok(Self { path, _lock: lock })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that signs tokens.
    pub fn secret_path(&self) -> PathBuf {
        self.path.join("secret")
    }

    /// The database.
    pub fn db_path(&self) -> PathBuf {
        self.path.join("opsctl.db")
    }

    /// The output log's directory.
    pub fn log_dir(&self) -> PathBuf {
        self.path.join("log")
    }
}

/// Writes a file and removes it: a mode or an owner alone does not tell about read-only mounts and quotas.
fn check_writable(path: &Path) -> io::Result<()> {
    let probe = path.join(format!(".probe-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&probe)?;
    let written = file.write_all(b"opsctl\n");
    std::fs::remove_file(&probe)?;
    written
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_missing_directory_is_made_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let state = StateDir::open(&path).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("lock")), 0o600);
        assert_eq!(state.secret_path(), path.join("secret"));
        let names: Vec<_> = path
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["lock"], "the probe is gone");
    }

    #[test]
    fn a_second_daemon_learns_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("lock"),
            "4194304 or so, from an earlier run\n",
        )
        .unwrap();
        let first = StateDir::open(dir.path()).unwrap();
        let error = StateDir::open(dir.path()).unwrap_err();
        assert!(
            matches!(error, StateDirError::Held { pid: Some(pid), .. } if pid == std::process::id())
        );
        let said = error.to_string();
        assert!(
            said.contains(&std::process::id().to_string())
                && said.contains(dir.path().to_str().unwrap())
        );
        drop(first);
        StateDir::open(dir.path()).unwrap();
    }

    #[test]
    fn an_impossible_place_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = StateDir::open(&file).unwrap_err();
        assert!(
            matches!(error, StateDirError::NotADirectory { .. }),
            "{error}"
        );
        let error = StateDir::open(file.join("below")).unwrap_err();
        assert!(matches!(error, StateDirError::Create { .. }), "{error}");
        assert!(error.to_string().contains("file/below"));
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        // Mode bits don't stop root, /proc does.
        let error = StateDir::open("/proc/self").unwrap_err();
        assert!(matches!(error, StateDirError::Unwritable { .. }), "{error}");
        assert!(error.to_string().contains("/proc/self"));
    }
}
