//! A directory and an environment of the program's own.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::processes;

/// A temporary directory, and the home of the programs that run in it. By their `HOME` all of them, also those that
/// detached themselves, are found and killed at its end.
pub struct Place {
    dir: TempDir,
}

impl Place {
    /// Others may look into it: the user whom ssh logs in reads files there.
    pub fn new() -> Result<Self> {
        // Not $TMPDIR: its path might leave no room for a socket's.
        let dir = tempfile::Builder::new()
            .prefix("opsctl-bench-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in("/tmp")
            .context("cannot make a directory in /tmp")?;
        Ok(Self { dir })
    }

    /// A path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, with its directory, and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path(name);
        let dir = path.parent().context("the path of a file in a place")?;
        fs::create_dir_all(dir)
            .and_then(|()| fs::write(&path, content))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A program in this place, with nothing of this program's environment but `PATH`.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// The processes of this place that live.
    pub fn processes(&self) -> Vec<Pid> {
        processes::with_variable("HOME", self.dir.path().as_os_str())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A process can start another between the look and the kill, so look again until there is none.
        for _ in 0..100 {
            let living = self.processes();
            if living.is_empty() {
                return;
            }
            for pid in living {
                let _ = kill_process(pid, Signal::KILL);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The directory for what is installed once, in the user's cache.
pub fn cache(name: &str) -> Result<PathBuf> {
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    Ok(Path::new(&home).join(".cache/opsctl-bench").join(name))
}

/// A port that nobody listens on now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
