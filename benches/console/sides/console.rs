//! `opsctl tui`, with a daemon and agents of its own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use opsctl_tui::state::MAX_PANES;
use rustix::process::Pid;

use super::Side;
use crate::support::fleet::Fleet;
use crate::support::stop;
use crate::viewer::Viewer;

/// How long commands may take to start.
const DEADLINE: Duration = Duration::from_mins(1);

/// The console with panes open.
pub struct Console {
    // Dropped first: nobody shall see a daemon go.
    viewer: Viewer,
    fleet: Fleet,
}

impl Console {
    /// Runs each of these lines for /bin/sh in a pane, on an agent of its own. With several they are shown as a grid,
    /// beside the list; one alone has the whole screen.
    pub fn with(lines: &[String]) -> Result<Self> {
        let fleet = Fleet::start(lines.len().max(1))?;
        let mut console = Self::on(fleet)?;
        for (at, line) in lines.iter().enumerate() {
            console.run(at + 1, line)?;
        }
        Ok(console)
    }

    /// Runs `seen` in a pane that has the whole screen, the first of the others in panes behind it and the rest in none,
    /// spread over the agents of those that have panes.
    pub fn before(seen: &str, others: &[String]) -> Result<Self> {
        let panes = others.len().min(MAX_PANES - 1);
        let mut lines = others[..panes].to_vec();
        lines.push(seen.to_owned());
        let mut console = Self::with(&lines)?;
        console.unseen(&others[panes..])?;
        console.viewer.keys("z")?;
        Ok(console)
    }

    /// Runs each of these lines in a terminal that has no pane.
    pub fn unseen(&mut self, lines: &[String]) -> Result<()> {
        let running = self.fleet.running()?;
        let agents = self.fleet.agents().len();
        for (at, line) in lines.iter().enumerate() {
            let agent = format!("a{}", at % agents + 1);
            let send = ["send", &agent, "--pty", "--detach", "--shell", line];
            let output = self.fleet.opsctl(send).output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{line}: {said}");
        }
        stop::wait_until("terminals without a pane", DEADLINE, || {
            self.viewer.watch(Duration::from_millis(20))?;
            Ok(self.fleet.running()? >= running + lines.len())
        })
    }

    /// A console on a fleet, without a pane.
    pub fn on(fleet: Fleet) -> Result<Self> {
        let mut viewer = Viewer::start(&fleet.opsctl(["tui"]))?;
        viewer.wait_text("connected")?;
        Ok(Self { viewer, fleet })
    }

    /// Runs a line on the agent with this number, in a pane beside those that are open.
    fn run(&mut self, agent: usize, line: &str) -> Result<()> {
        let running = self.fleet.running()?;
        self.viewer.keys(":grid\r")?;
        self.viewer.keys(format!(":send a{agent} -- {line}\r"))?;
        let fleet = &self.fleet;
        let viewer = &mut self.viewer;
        let waited = stop::wait_until("a command", DEADLINE, || {
            viewer.watch(Duration::from_millis(20))?;
            Ok(fleet.running()? > running)
        });
        waited.with_context(|| viewer.screen.text())
    }

    /// Gives the whole screen to the pane that was opened last, and every key to its program.
    pub fn attach(&mut self, zoomed: bool) -> Result<()> {
        if zoomed {
            self.viewer.keys("z")?;
        } else {
            self.viewer.keys("\t")?;
        }
        self.viewer.watch(Duration::from_millis(100))?;
        self.viewer.keys("a")?;
        self.viewer.wait_text("ATTACHED")
    }
}

impl Side for Console {
    fn name(&self) -> &'static str {
        "`opsctl tui`"
    }

    fn viewer(&mut self) -> &mut Viewer {
        &mut self.viewer
    }

    fn processes(&self) -> Vec<Pid> {
        vec![self.viewer.pid()]
    }
}
