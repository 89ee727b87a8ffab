//! tmux: a server with panes, and a client in a terminal.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;

use super::Side;
use crate::support::place::Place;
use crate::viewer::{SIZE, Viewer};

/// tmux with its defaults but for the status line, which neither a pane nor the others have.
const CONFIG: &str = "set -g status off\nset -g history-limit 10000\nset -sg escape-time 0\n";

/// A session with panes.
pub struct Tmux {
    viewer: Viewer,
    server: Pid,
    socket: PathBuf,
    place: Place,
}

impl Tmux {
    /// Runs each of these lines for /bin/sh in a pane, tiled.
    pub fn with(lines: &[String]) -> Result<Self> {
        let place = Place::new()?;
        place.write("tmux.conf", CONFIG)?;
        let socket = place.path("tmux.sock");
        let (cols, rows) = (SIZE.0.to_string(), SIZE.1.to_string());
        for (at, line) in lines.iter().enumerate() {
            if at == 0 {
                let new = ["new-session", "-d", "-x", &cols, "-y", &rows, line];
                tell(&place, &new)?;
            } else {
                tell(&place, &["split-window", line])?;
                tell(&place, &["select-layout", "tiled"])?;
            }
        }
        let server = tell(&place, &["display-message", "-p", "#{pid}"])?;
        let server = server.parse().ok().and_then(Pid::from_raw);
        let mut viewer = Viewer::start(client(&place).arg("attach"))?;
        viewer.wait("tmux", |screen| !screen.text().is_empty())?;
        Ok(Self {
            viewer,
            server: server.context("tmux's server")?,
            socket,
            place,
        })
    }

    /// Runs one line in the window that is seen, and each of the others in a window behind it.
    pub fn before(seen: &str, others: &[String]) -> Result<Self> {
        let tmux = Self::with(&[seen.to_owned()])?;
        for line in others {
            tell(&tmux.place, &["new-window", "-d", line])?;
        }
        Ok(tmux)
    }

    /// A client that attaches, in this place.
    pub fn attach(&self) -> Command {
        let mut command = client(&self.place);
        command.arg("attach");
        command
    }

    /// The server's process.
    pub fn server(&self) -> Pid {
        self.server
    }
}

impl Side for Tmux {
    fn name(&self) -> &'static str {
        "tmux"
    }

    fn viewer(&mut self) -> &mut Viewer {
        &mut self.viewer
    }

    fn processes(&self) -> Vec<Pid> {
        vec![self.viewer.pid(), self.server]
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let mut kill = self.place.command("tmux");
        kill.arg("-S").arg(&self.socket).arg("kill-server");
        let _ = kill.output();
    }
}

/// What `tmux -V` says, when there is a tmux.
pub fn version() -> Option<String> {
    let output = Command::new("tmux").arg("-V").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn client(place: &Place) -> Command {
    let mut command = place.command("tmux");
    command.arg("-S").arg(place.path("tmux.sock"));
    command.arg("-f").arg(place.path("tmux.conf"));
    command
}

/// Gives a command; its output.
fn tell(place: &Place, args: &[&str]) -> Result<String> {
    let output = client(place).args(args).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tmux {args:?}: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
