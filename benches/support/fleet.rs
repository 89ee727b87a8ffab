//! A daemon with agents.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;

use super::background::Background;
use super::daemon::Daemon;
use super::processes::first_argument;
use super::stop::wait_until;

/// How long agents may take to get ready. Far longer than needed: only a failure waits so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// A daemon on a fresh state directory, and agents `a1`, `a2`, … on its local socket, all with default settings.
pub struct Fleet {
    // Dropped in this order: no agent shall try to reach a daemon that is gone.
    agents: Vec<Background>,
    daemon: Daemon,
}

impl Fleet {
    /// Starts it, with a daemon only on its local socket; returns when all agents are connected.
    pub fn start(agents: usize) -> Result<Self> {
        Self::around(Daemon::start("none", "")?, agents)
    }

    /// Starts agents for a daemon; returns when all are connected.
    pub fn around(daemon: Daemon, agents: usize) -> Result<Self> {
        let start = |number| {
            let name = format!("a{number}");
            let mut command = daemon.opsctl(["agent", "--name", &name]);
            Background::start(daemon.place(), &name, &mut command)
        };
        let agents = (1..=agents).map(start).collect::<Result<Vec<_>>>()?;
        let mut fleet = Self { agents, daemon };
        wait_until("the agents", DEADLINE, || {
            fleet.agents.iter_mut().try_for_each(Background::check)?;
            Ok(fleet.daemon.connected()? == Some(fleet.agents.len()))
        })?;
        Ok(fleet)
    }

    /// `opsctl` with these arguments, as an operator on this host runs it.
    pub fn opsctl<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        self.daemon.opsctl(args)
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

    /// The daemon.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// The agents' processes.
    pub fn agents(&self) -> Vec<Pid> {
        self.agents.iter().map(Background::pid).collect()
    }

    /// The holders' processes: one for each command, and those that agents keep ready.
    pub fn holders(&self) -> Vec<Pid> {
        let mut processes = self.daemon.place().processes();
        processes.retain(|pid| first_argument(*pid).as_deref() == Some(b"holder"));
        processes
    }
}
