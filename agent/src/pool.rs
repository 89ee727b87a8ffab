//! Holders that are started before they are needed: starting a process takes longer than all else that a short command
//! costs.

use std::collections::VecDeque;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use opsctl_protocol::CommandId;
use tokio::process::{Child, Command};

/// Holders that wait for a job, once nothing else is to be done.
const WARM: usize = 1;

/// A holder that was just started. One without a job ends when this is dropped.
pub(crate) struct Fresh {
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// The way to it.
    socket: UnixStream,
    /// The process, to be reaped.
    child: Child,
}

/// How holders are started.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    /// The binary that knows `holder DIR`.
    pub(crate) program: PathBuf,
    /// Where their directories lie.
    pub(crate) holders: PathBuf,
    /// Where they complain.
    pub(crate) log: PathBuf,
}

impl Launcher {
    /// Starts a holder; blocks while the system makes the process.
    pub(crate) fn start(&self) -> io::Result<Fresh> {
        let name = CommandId::random().to_string();
        let dir = self.holders.join(name);
        DirBuilder::new().mode(0o700).create(&dir)?;
        let started = self.start_in(&dir);
        if started.is_err() {
            // Nothing lives in it.
            let _ = std::fs::remove_dir_all(&dir);
        }
        started
    }

    /// Starts a holder in a directory that there is, as the heir of one that has died there; blocks as [`Self::start`].
    pub(crate) fn start_in(&self, dir: &Path) -> io::Result<Fresh> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.log)?;
        let mut command = std::process::Command::new(&self.program);
        command
            .arg0("opsctl")
            .arg("holder")
            .arg(dir)
            .stdin(OwnedFd::from(theirs))
            .stdout(std::process::Stdio::null());
        command.stderr(log);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_private))
        {
            command.env_remove(name);
        }
        let child = Command::from(command).spawn()?;
        Ok(Fresh {
            dir: dir.to_owned(),
            socket,
            child,
        })
    }
}

/// Variables that are between systemd, or the operator, and the agent.
fn is_private(name: &str) -> bool {
    matches!(name, "NOTIFY_SOCKET" | "WATCHDOG_PID" | "WATCHDOG_USEC")
        || name.starts_with("LISTEN_")
        || name.starts_with("OPSCTL_TOKEN")
}

impl Fresh {
    /// Whether the process still lives.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The name of its directory among those of all holders.
    pub(crate) fn name(&self) -> Option<String> {
        self.dir.file_name()?.to_str().map(str::to_owned)
    }

    /// The connection; the process is reaped by a task of its own.
    pub(crate) fn into_socket(mut self) -> io::Result<tokio::net::UnixStream> {
        tokio::spawn(async move { self.child.wait().await });
        tokio::net::UnixStream::from_std(self.socket)
    }
}

/// Who waits for a holder, and which holder waits for a job. No IO.
#[derive(Debug)]
pub(crate) struct Pool<H> {
    /// Holders without a job.
    warm: Vec<H>,
    /// Commands without a holder, oldest first.
    waiting: VecDeque<CommandId>,
    /// Holders that are being started.
    starting: usize,
}

impl<H> Default for Pool<H> {
    fn default() -> Self {
        Self {
            warm: Vec::new(),
            waiting: VecDeque::new(),
            starting: 0,
        }
    }
}

impl<H> Pool<H> {
    /// A holder for a command that is still `good`; without one, the command waits for [`Self::started`].
    pub(crate) fn take(&mut self, id: CommandId, good: impl Fn(&mut H) -> bool) -> Option<H> {
        let holder = std::iter::from_fn(|| self.warm.pop())
            .find_map(|mut holder| good(&mut holder).then_some(holder));
        if holder.is_none() {
            self.waiting.push_back(id);
        }
        holder
    }

    /// The command no longer needs one.
    pub(crate) fn forget(&mut self, id: CommandId) {
        self.waiting.retain(|other| *other != id);
    }

    /// How many holders must be started now; counts them as being started.
    pub(crate) fn missing(&mut self) -> usize {
        let wanted = (self.waiting.len() + WARM).saturating_sub(self.warm.len() + self.starting);
        self.starting += wanted;
        wanted
    }

    /// A holder was started: it goes to the command that waits longest.
    pub(crate) fn started(&mut self, holder: H) -> Option<(CommandId, H)> {
        self.starting = self.starting.saturating_sub(1);
        self.give(holder)
    }

    /// Takes the holders that wait for a job out.
    pub(crate) fn drain(&mut self) -> Vec<H> {
        std::mem::take(&mut self.warm)
    }

    /// A holder is free: it goes to the command that waits longest.
    pub(crate) fn give(&mut self, holder: H) -> Option<(CommandId, H)> {
        if let Some(id) = self.waiting.pop_front() {
            return Some((id, holder));
        }
        self.warm.push(holder);
        None
    }

    /// A holder couldn't be started: the command that waits longest learns of it.
    pub(crate) fn failed(&mut self) -> Option<CommandId> {
        self.starting = self.starting.saturating_sub(1);
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_kept_warm_and_each_command_gets_one() {
        let mut pool = Pool::default();
        assert_eq!(pool.missing(), 1);
        assert_eq!(pool.missing(), 0);
        assert_eq!(pool.started('a'), None);
        let ids = [1, 2, 3].map(|n| CommandId([n; 16]));
        assert_eq!(pool.take(ids[0], |_| true), Some('a'));
        assert_eq!(pool.take(ids[1], |_| true), None);
        assert_eq!(pool.take(ids[2], |_| true), None);
        assert_eq!(pool.missing(), 3);
        assert_eq!(pool.started('b'), Some((ids[1], 'b')));
        pool.forget(ids[2]);
        assert_eq!(pool.started('c'), None);
        assert_eq!(pool.failed(), None);
        assert_eq!(pool.missing(), 0);
        assert_eq!(
            pool.take(ids[2], |_| false),
            None,
            "what has died meanwhile is of no use"
        );
        assert_eq!(pool.missing(), 2);
    }

    #[test]
    fn secrets_stay_with_the_agent() {
        assert!(
            is_private("OPSCTL_TOKEN")
                && is_private("OPSCTL_TOKEN_FILE")
                && is_private("LISTEN_FDS")
        );
        assert!(!is_private("PATH") && !is_private("OPSCTL_LOG"));
    }
}
