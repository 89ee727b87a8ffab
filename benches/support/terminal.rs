//! A program in a terminal, with this program at the keys.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pty_process::Size;
use pty_process::blocking::{Pty, open};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;

/// Columns and rows where a part asks for no others; the same on all sides of a comparison.
pub const SIZE: (u16, u16) = (80, 24);

/// How long anything may take to show up. Far longer than needed: only a failure waits so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running program in a terminal. Killed when dropped.
///
/// One thread writes and reads, so that no handing over between threads is in what it measures.
pub struct Terminal {
    name: String,
    pty: Pty,
    child: Child,
    buffer: Vec<u8>,
}

impl Terminal {
    /// Starts a program. Of `command`, the program, its arguments, its directory and the variables set explicitly count.
    pub fn start(command: &Command) -> Result<Self> {
        Self::sized(command, SIZE)
    }

    /// The same in a terminal of other columns and rows.
    pub fn sized(command: &Command, (cols, rows): (u16, u16)) -> Result<Self> {
        let (pty, pts) = open()?;
        pty.resize(Size::new(rows, cols))?;
        let set = command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        let mut in_terminal = pty_process::blocking::Command::new(command.get_program())
            .args(command.get_args())
            .env_clear()
            .envs(set);
        if let Some(dir) = command.get_current_dir() {
            in_terminal = in_terminal.current_dir(dir);
        }
        let name = format!("{command:?}");
        let child = in_terminal
            .spawn(pts)
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name,
            pty,
            child,
            buffer: vec![0; 64 * 1024],
        })
    }

    /// Types keys, as the bytes that a terminal sends for them.
    pub fn keys(&mut self, keys: &[u8]) -> Result<()> {
        self.pty
            .write_all(keys)
            .with_context(|| format!("cannot type into {}", self.name))
    }

    /// Types a key and measures how long its echo takes.
    pub fn echo(&mut self, key: u8) -> Result<Duration> {
        self.discard(Duration::ZERO)?;
        let start = Instant::now();
        self.keys(&[key])?;
        self.wait_for(&[key])?;
        Ok(start.elapsed())
    }

    /// Waits until the program has written this, unbroken.
    pub fn wait_for(&mut self, wanted: &[u8]) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        // What the reads before ended with: `wanted` may be split between two.
        let mut seen = Vec::new();
        loop {
            let read = self.read(end)?;
            if read == 0 {
                let wanted = String::from_utf8_lossy(wanted);
                bail!("{} did not show {wanted:?} in {DEADLINE:?}", self.name);
            }
            seen.extend_from_slice(&self.buffer[..read]);
            if seen.windows(wanted.len()).any(|window| window == wanted) {
                return Ok(());
            }
            seen.drain(..seen.len().saturating_sub(wanted.len() - 1));
        }
    }

    /// Reads all that comes within `time`; returns how many bytes that were.
    pub fn discard(&mut self, time: Duration) -> Result<usize> {
        let end = Instant::now() + time;
        let mut sum = 0;
        loop {
            match self.read(end)? {
                0 => return Ok(sum),
                read => sum += read,
            }
            if !time.is_zero() && Instant::now() >= end {
                return Ok(sum);
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What comes next; nothing when nothing came until `end`.
    pub fn next(&mut self, end: Instant) -> Result<&[u8]> {
        let read = self.read(end)?;
        Ok(&self.buffer[..read])
    }

    /// One read; 0 when nothing came until `end`.
    fn read(&mut self, end: Instant) -> Result<usize> {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).context("a deadline too far away")?;
        let mut wanted = [PollFd::new(&self.pty, PollFlags::IN)];
        match poll(&mut wanted, Some(&left)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(0),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match self.pty.read(&mut self.buffer) {
            Ok(read) if read > 0 => Ok(read),
            // EIO, once nobody has the terminal open any more.
            Ok(_) => bail!("{} ended", self.name),
            Err(error) => Err(error).with_context(|| format!("{} ended", self.name)),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
