//! A program in a tmux session, seen by a tmux client in a terminal.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::support::place::Place;
use crate::support::terminal::Terminal;

/// A session with one window. The server and the program end with it.
pub struct Tmux {
    /// The client's terminal.
    pub terminal: Terminal,
    socket: PathBuf,
    place: Place,
}

impl Tmux {
    /// Starts a line for /bin/sh in a session of its own, with tmux's defaults but for the status line: without it the
    /// program's terminal has the size of the client's.
    pub fn start(line: &str) -> Result<Self> {
        let place = Place::new()?;
        let config = place.write("tmux.conf", "set -g status off\n")?;
        let socket = place.path("tmux.sock");
        let mut command = place.command("tmux");
        command.arg("-S").arg(&socket).arg("-f").arg(config);
        command.args(["new-session", line]);
        Ok(Self {
            terminal: Terminal::start(&command)?,
            socket,
            place,
        })
    }

    /// What `tmux -V` says.
    pub fn version() -> Result<String> {
        let output = Command::new("tmux").arg("-V").output().context("tmux")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let mut kill = self.place.command("tmux");
        kill.arg("-S").arg(&self.socket).arg("kill-server");
        let _ = kill.output();
    }
}
