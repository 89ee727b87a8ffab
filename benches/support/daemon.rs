//! A daemon of the program's own.

use std::ffi::OsStr;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::background::Background;
use super::place::Place;
use super::stop::{sleep, wait_until};

/// How long a daemon may take to get ready or to end. Far longer than needed: only a failure waits so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// A daemon on a state directory of its own. Killed when dropped.
pub struct Daemon {
    process: Background,
    place: Place,
}

impl Daemon {
    /// Starts one on a fresh state directory with these settings; returns when it answers. `listen` is a TCP address, or
    /// `none` for the local socket alone.
    pub fn start(listen: &str, settings: &str) -> Result<Self> {
        let place = Place::new()?;
        place.write("config.toml", settings)?;
        place.write("listen", listen)?;
        let process = start(&place)?;
        let mut daemon = Self { process, place };
        daemon.wait()?;
        Ok(daemon)
    }

    /// Ends the process with a signal and starts another on the same state directory and address; returns when that one
    /// listened there.
    pub fn restart(&mut self, signal: Signal) -> Result<Instant> {
        let address = self.address()?;
        self.place.write("listen", address.to_string())?;
        kill_process(self.pid(), signal)?;
        wait_until("the daemon's end", DEADLINE, || {
            Ok(self.process.check().is_err())
        })?;
        self.process = start(&self.place)?;
        while TcpStream::connect(address).is_err() {
            self.process.check()?;
            sleep(Duration::from_millis(1))?;
        }
        let listening = Instant::now();
        self.wait()?;
        Ok(listening)
    }

    fn wait(&mut self) -> Result<()> {
        wait_until("the daemon", DEADLINE, || {
            self.process.check()?;
            Ok(self.connected()?.is_some())
        })
    }

    /// An error, with the end of its log, when it no longer runs.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    /// The daemon's process.
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Where it lives.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The TCP address that it listens on.
    pub fn address(&self) -> Result<SocketAddr> {
        let text = fs::read_to_string(self.place.path("state/listen"))
            .context("the daemon tells no TCP address")?;
        text.trim().parse().context("the daemon's TCP address")
    }

    /// A token for a role.
    pub fn token(&self, role: &str) -> Result<String> {
        let output = self.opsctl(["token", "issue", "--role", role]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "no token for {role}: {said}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// `opsctl` with these arguments, as an operator on this host runs it.
    pub fn opsctl<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        opsctl(&self.place, args)
    }

    /// How many agents are connected; `None` while no daemon answers.
    pub fn connected(&self) -> Result<Option<usize>> {
        let output = self.opsctl(["status", "--json"]).output()?;
        if !output.status.success() {
            return Ok(None);
        }
        let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let agents = status["agents"].as_array().context("status lists agents")?;
        let connected = agents.iter().filter(|agent| agent["connected"] == true);
        Ok(Some(connected.count()))
    }
}

fn start(place: &Place) -> Result<Background> {
    let listen = fs::read_to_string(place.path("listen"))?;
    let mut command = opsctl(place, ["daemon", "--listen", &listen]);
    Background::start(place, "daemon", &mut command)
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
