//! Who sits before a terminal: reads what is drawn, emulates it, types.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use memchr::memmem;
use opsctl_terminal::Screen;
use rustix::process::Pid;

use crate::support::stop;
use crate::support::terminal::Terminal;

/// Columns and rows of every terminal here.
pub const SIZE: (u16, u16) = (200, 60);

/// How long anything may take to show up. Far longer than needed: only a failure waits so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// How a frame begins, of who tells the terminal where one begins.
const FRAME: &[u8] = b"\x1b[?2026h";

/// What came out of a terminal so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drawn {
    /// Bytes.
    pub bytes: u64,
    /// Frames, of who tells where one begins.
    pub frames: u64,
}

/// A program in a terminal, and the emulator that a person would look at.
pub struct Viewer {
    terminal: Terminal,
    /// What is seen.
    pub screen: Screen,
    /// What came so far.
    pub drawn: Drawn,
    /// The last bytes, in which a frame may begin.
    tail: Vec<u8>,
}

impl Viewer {
    /// Starts a program, as [`Terminal::start`] does.
    pub fn start(command: &Command) -> Result<Self> {
        Ok(Self {
            terminal: Terminal::sized(command, SIZE)?,
            screen: Screen::new(SIZE.0, SIZE.1, 0),
            drawn: Drawn::default(),
            tail: Vec::new(),
        })
    }

    /// The program's process.
    pub fn pid(&self) -> Pid {
        self.terminal.pid()
    }

    /// Types keys, as the bytes that a terminal sends for them.
    pub fn keys(&mut self, keys: impl AsRef<[u8]>) -> Result<()> {
        self.terminal.keys(keys.as_ref())
    }

    /// Types a key and measures how long its echo takes, without an emulator between.
    pub fn echo(&mut self, key: u8) -> Result<Duration> {
        self.terminal.echo(key)
    }

    /// Takes the next piece of what is drawn; false when nothing came until `end`.
    pub fn look(&mut self, end: Instant) -> Result<bool> {
        let piece = self.terminal.next(end)?;
        if piece.is_empty() {
            return Ok(false);
        }
        self.screen.feed(piece);
        self.drawn.bytes += piece.len() as u64;
        self.tail.extend_from_slice(piece);
        self.drawn.frames += memmem::find_iter(&self.tail, FRAME).count() as u64;
        let keep = self.tail.len().min(FRAME.len() - 1);
        self.tail.drain(..self.tail.len() - keep);
        // As a terminal does: some programs wait for it.
        let replies = self.screen.take_replies();
        if !replies.is_empty() {
            self.terminal.keys(&replies)?;
        }
        Ok(true)
    }

    /// Looks on for so long.
    pub fn watch(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            stop::check()?;
            self.look(end)?;
        }
        Ok(())
    }

    /// Looks on until the screen is as wanted.
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&Screen) -> bool) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        while !wanted(&self.screen) {
            stop::check()?;
            if !self.look(end)? {
                bail!("waited in vain for {what}:\n{}", self.screen.text());
            }
        }
        Ok(())
    }

    /// Looks on until the screen shows a text.
    pub fn wait_text(&mut self, text: &str) -> Result<()> {
        self.wait(text, |screen| screen.text().contains(text))
    }
}
