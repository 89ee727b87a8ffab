//! A daemon of the program's own, with agents.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;

use crate::background::Background;
use crate::place::Place;
use crate::processes::first_argument;
use crate::stop::wait_until;

/// How long daemon and agents may take to get ready. Far longer than needed: only a failure waits so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// A daemon on a fresh state directory, only on its local socket, and agents `a1`, `a2`, …, all with default settings.
pub struct Fleet {
    // Dropped in this order: no agent shall try to reach a daemon that is gone.
    agents: Vec<Background>,
    daemon: Background,
    place: Place,
}

impl Fleet {
    /// Starts it; returns when all agents are connected.
    pub fn start(agents: usize) -> Result<Self> {
        let place = Place::new()?;
        place.write("config.toml", "")?;
        let mut daemon = Background::start(&place, "daemon", &mut opsctl(&place, ["daemon"]))?;
        wait_until("the daemon", DEADLINE, || {
            daemon.check()?;
            Ok(connected(&place)?.is_some())
        })?;
        let start = |number| {
            let name = format!("a{number}");
            let mut command = opsctl(&place, ["agent", "--name", &name]);
            Background::start(&place, &name, &mut command)
        };
        let mut agents = (1..=agents).map(start).collect::<Result<Vec<_>>>()?;
        wait_until("the agents", DEADLINE, || {
            agents.iter_mut().try_for_each(Background::check)?;
            Ok(connected(&place)? == Some(agents.len()))
        })?;
        Ok(Self {
            agents,
            daemon,
            place,
        })
    }

    /// `opsctl` with these arguments, as an operator on this host runs it.
    pub fn opsctl<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        opsctl(&self.place, args)
    }

    /// Starts a line for /bin/sh in a terminal on agent `a1`; returns the command's id.
    pub fn start_terminal(&self, line: &str) -> Result<String> {
        let output = self
            .opsctl(["send", "a1", "--pty", "--detach", "--shell", line])
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cannot start {line:?}: {said}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// How many commands run.
    pub fn running(&self) -> Result<usize> {
        let output = self.opsctl(["ps", "--json"]).output()?;
        let listed: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let commands = listed["commands"].as_array().context("ps lists commands")?;
        let running = commands.iter().filter(|one| one["state"] == "running");
        Ok(running.count())
    }

    /// The daemon's process.
    pub fn daemon(&self) -> Pid {
        self.daemon.pid()
    }

    /// The agents' processes.
    pub fn agents(&self) -> Vec<Pid> {
        self.agents.iter().map(Background::pid).collect()
    }

    /// The holders' processes: one for each command, and those that agents keep ready.
    pub fn holders(&self) -> Vec<Pid> {
        let mut processes = self.place.processes();
        processes.retain(|pid| first_argument(*pid).as_deref() == Some(b"holder"));
        processes
    }
}

fn opsctl<I: IntoIterator<Item: AsRef<OsStr>>>(place: &Place, args: I) -> Command {
    let mut command = place.command(env!("CARGO_BIN_EXE_opsctl"));
    command
        .args(args)
        .env("OPSCTL_CONFIG", place.path("config.toml"))
        .env("OPSCTL_SOCKET", place.path("opsctl.sock"))
        .env("OPSCTL_STATE_DIR", place.path("state"))
        .env("OPSCTL_LISTEN", "none");
    command
}

/// How many agents are connected; `None` while no daemon answers.
fn connected(place: &Place) -> Result<Option<usize>> {
    let output = opsctl(place, ["status", "--json"]).output()?;
    if !output.status.success() {
        return Ok(None);
    }
    let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let agents = status["agents"].as_array().context("status lists agents")?;
    let connected = agents.iter().filter(|agent| agent["connected"] == true);
    Ok(Some(connected.count()))
}
