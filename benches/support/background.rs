//! A process that runs beside the measurement.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::place::Place;

/// How much of its log an error quotes, in lines.
const QUOTED: usize = 10;

/// A running process with a process group of its own, all of which is killed when this is dropped.
pub struct Background {
    name: String,
    child: Child,
    /// Both of its outputs.
    log: PathBuf,
}

impl Background {
    /// Starts it; `name` is also its log's.
    pub fn start(place: &Place, name: &str, command: &mut Command) -> Result<Self> {
        let log = place.path(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .process_group(0)
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// An error, with the end of its log, when it no longer runs.
    pub fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = &lines[lines.len().saturating_sub(QUOTED)..];
        bail!("{} ended with {status}:\n{}", self.name, end.join("\n"));
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
    }
}
