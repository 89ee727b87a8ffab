//! Processes that `opsctl up` leaves running: started detached, remembered in `STATE_DIR/up`, found again by `opsctl down`.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;

use crate::settings::Settings;

/// Lines of a failed process's output that are worth a person's screen.
const LAST_LINES: usize = 10;

/// How long a killed process may take to be gone; the kernel needs as long as its last write.
const KILL_TIME: Duration = Duration::from_secs(5);

/// `STATE_DIR/up`, held alone so that two `up` or `down` at once take turns.
#[derive(Debug)]
pub struct Background {
    dir: PathBuf,
    _lock: File,
}

/// A process of ours, or one that `up` started before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its process id.
    pub pid: u32,
    /// When it started, in the kernel's ticks: a process id alone may belong to somebody else by now.
    started: u64,
    /// The agent's name; empty for the daemon.
    pub name: String,
}

/// A process that is known to live; the descriptor stays with it even when its id is used anew.
#[derive(Debug)]
pub struct Running {
    /// What is remembered of it.
    pub record: Record,
    pidfd: OwnedFd,
}

impl Background {
    /// Opens the directory; waits while another `up` or `down` has it.
    pub fn open(settings: &Settings) -> Result<Self> {
        let dir = settings.state_dir().join("up");
        let cannot = || format!("cannot use {}", dir.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(cannot)?;
        let lock = File::create(dir.join("lock")).with_context(cannot)?;
        if lock.try_lock().is_err() {
            eprintln!("waiting for another `opsctl up` or `opsctl down`");
            lock.lock().with_context(cannot)?;
        }
        Ok(Self { dir, _lock: lock })
    }

    /// Where the process's own log files are.
    pub fn log_dir(&self) -> &Path {
        &self.dir
    }

    /// What a part wrote to stdout and stderr: why it did not start, or why it died.
    fn output(&self, part: &str) -> PathBuf {
        self.dir.join(format!("{part}.out"))
    }

    fn pid_file(&self, part: &str) -> PathBuf {
        self.dir.join(format!("{part}.pid"))
    }

    /// Starts `opsctl PART …` detached: no terminal, a session of its own, its output in a file.
    pub fn start(
        &self,
        part: &str,
        args: &[&str],
        settings: &Settings,
        name: &str,
    ) -> Result<Child> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let output = self.output(part);
        let out =
            File::create(&output).with_context(|| format!("cannot write {}", output.display()))?;
        let home = std::env::var_os("HOME")
            .map(PathBuf::from)
            .filter(|home| home.is_dir());
        let mut command = Command::new(program);
        command
            .arg(part)
            .arg("--detached")
            .arg("--log-dir")
            .arg(settings.log.dir.0.as_deref().unwrap_or(&self.dir))
            .args(args)
            .current_dir(home.unwrap_or_else(|| "/".into()))
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        pass_settings(&mut command, settings, part == "agent");
        let child = command
            .spawn()
            .with_context(|| format!("cannot start the {part}"))?;
        let pid = child.id().context("a process without an id")?;
        let record = Record {
            pid,
            started: start_time(pid).unwrap_or(0),
            name: name.to_owned(),
        };
        fs::write(self.pid_file(part), record.to_text()).context("cannot write a pid file")?;
        Ok(child)
    }

    /// The part that `up` started and that still lives.
    pub fn running(&self, part: &str) -> Option<Running> {
        let record = Record::from_text(&fs::read_to_string(self.pid_file(part)).ok()?)?;
        // First the descriptor, then the look at what it stands for: the other way round the id could change hands.
        let pidfd = pidfd_open(
            Pid::from_raw(record.pid.cast_signed())?,
            PidfdFlags::empty(),
        )
        .ok()?;
        let same = start_time(record.pid) == Some(record.started);
        let running = Running { record, pidfd };
        let ended = ends_within(&running.pidfd, Duration::ZERO).unwrap_or(true);
        (same && !ended).then_some(running)
    }

    /// Asks a part to end, and kills it when it hasn't after `grace`.
    pub async fn stop(&self, part: &str, running: &Running, grace: Duration) -> Result<()> {
        running.signal(Signal::TERM)?;
        if !running.end(grace).await? {
            running.signal(Signal::KILL)?;
            running.end(KILL_TIME).await?;
        }
        self.forget(part);
        Ok(())
    }

    /// Forgets a part that has ended.
    pub fn forget(&self, part: &str) {
        // A leftover is recognised as such by its start time.
        let _ = fs::remove_file(self.pid_file(part));
    }

    /// The last lines that a part wrote before it ended.
    pub fn last_lines(&self, part: &str) -> String {
        let text = fs::read(self.output(part)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl Running {
    fn signal(&self, signal: Signal) -> Result<()> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => {
                Err(errno).with_context(|| format!("cannot signal process {}", self.record.pid))
            }
        }
    }

    /// Waits for its end; says whether it came in time. Other tasks go on meanwhile, such as one that ends a connection
    /// to it.
    async fn end(&self, at_most: Duration) -> Result<bool> {
        let pidfd = self.pidfd.try_clone()?;
        Ok(spawn_blocking(move || ends_within(&pidfd, at_most)).await??)
    }
}

/// Waits for the end of a process; says whether it came in time. One that has ended keeps its id, though not its life,
/// until its parent has looked.
fn ends_within(pidfd: &OwnedFd, at_most: Duration) -> io::Result<bool> {
    let timeout = Timespec {
        tv_sec: at_most.as_secs().cast_signed(),
        tv_nsec: i64::from(at_most.subsec_nanos()),
    };
    let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
    Ok(retry_on_intr(|| poll(&mut ended, Some(&timeout)))? > 0)
}

impl Record {
    /// The process id alone on the first line, so that `kill $(head -1 …)` works.
    fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.pid, self.started, self.name)
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        Some(Self {
            pid: lines.next()?.parse().ok()?,
            started: lines.next()?.parse().ok()?,
            name: lines.next()?.to_owned(),
        })
    }
}

/// When a process started (proc(5), `/proc/PID/stat`, field 22), in ticks since the machine did.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Hands down the settings as they are here, flags included, so that both mean the same daemon.
fn pass_settings(command: &mut Command, settings: &Settings, with_token: bool) {
    if let Some(file) = settings.file() {
        command.env(
            "OPSCTL_CONFIG",
            std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
        );
    }
    command
        .env("OPSCTL_SOCKET", settings.socket())
        .env("OPSCTL_STATE_DIR", settings.state_dir())
        .env("OPSCTL_URL", settings.client.url.to_string())
        .env("OPSCTL_TOKEN_FILE", settings.client.token_file.to_string())
        .env_remove("OPSCTL_TOKEN");
    if let Some(token) = settings.token.as_ref().filter(|_| with_token) {
        command.env("OPSCTL_TOKEN", token.reveal());
    }
}

/// Leaves the session of whoever started this process, so that closing their terminal doesn't end it.
pub fn detach() {
    // Fails only in a process that leads a group already, and then there is no need.
    let _ = rustix::process::setsid();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn background() -> (tempfile::TempDir, Background) {
        let dir = tempfile::tempdir().unwrap();
        let lock = File::create(dir.path().join("lock")).unwrap();
        let background = Background {
            dir: dir.path().to_owned(),
            _lock: lock,
        };
        (dir, background)
    }

    #[tokio::test]
    async fn a_process_is_found_again_and_stopped() {
        let (_dir, background) = background();
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let pid = child.id();
        let record = Record {
            pid,
            started: start_time(pid).unwrap(),
            name: "web".to_owned(),
        };
        fs::write(background.pid_file("agent"), record.to_text()).unwrap();
        let running = background.running("agent").unwrap();
        assert_eq!(running.record, record);
        background
            .stop("agent", &running, Duration::from_mins(1))
            .await
            .unwrap();
        assert!(background.running("agent").is_none());
        child.wait().unwrap();
    }

    #[test]
    fn somebody_else_with_the_same_id_is_left_alone() {
        let (_dir, background) = background();
        let pid = std::process::id();
        let record = Record {
            pid,
            started: start_time(pid).unwrap() + 1,
            name: String::new(),
        };
        fs::write(background.pid_file("daemon"), record.to_text()).unwrap();
        assert!(background.running("daemon").is_none());
        fs::write(background.pid_file("daemon"), "nonsense").unwrap();
        assert!(background.running("daemon").is_none());
    }
}
