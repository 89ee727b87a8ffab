//! A running agent.

use std::ffi::OsString;

use super::process::{Finished, Process, Signal};
use super::sandbox::{Opsctl, Sandbox};
use super::{Proxy, TestDaemon, wait_until};

/// An agent in a daemon's sandbox, over the local socket unless its arguments say otherwise.
pub struct TestAgent {
    name: String,
    args: Vec<OsString>,
    process: Option<Process>,
}

impl TestAgent {
    /// An agent with this name; returns when the daemon has it.
    #[track_caller]
    pub fn start(sandbox: &Sandbox, name: &str) -> Self {
        Self::start_with(sandbox, name, [])
    }

    /// The same with further arguments.
    #[track_caller]
    pub fn start_with<const N: usize>(sandbox: &Sandbox, name: &str, args: [&str; N]) -> Self {
        let mut agent = Self {
            name: name.to_owned(),
            args: args.map(OsString::from).to_vec(),
            process: None,
        };
        agent.start_again(sandbox);
        agent
    }

    /// Starts one that reaches the daemon through a proxy, with a shell line as its main program.
    #[track_caller]
    pub fn start_through(daemon: &TestDaemon, proxy: &Proxy, name: &str, line: &str) -> Self {
        let token = daemon.token(["--role", "agent", "--agent", name]);
        let file = daemon.file(&format!("{name}.token"), &token);
        let (url, token) = (proxy.url(), file.to_str().unwrap());
        let args = ["--url", &url, "--token-file", token, "--", "sh", "-c", line];
        Self::start_with(daemon, name, args)
    }

    /// Starts it again, under the same name and with the same journal; returns when the daemon has it.
    #[track_caller]
    pub fn start_again(&mut self, sandbox: &Sandbox) {
        assert!(self.process.is_none(), "the agent still runs");
        let process = self.command(sandbox).spawn();
        wait_connected(sandbox, &self.name, &process);
        self.process = Some(process);
    }

    fn command(&self, sandbox: &Sandbox) -> Opsctl {
        sandbox
            .opsctl(["agent", "--name", &self.name])
            .args(&self.args)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process, for signals and its log.
    ///
    /// # Panics
    /// When it was stopped.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the agent runs")
    }

    /// Waits until the daemon has it, as after a restart of the daemon.
    #[track_caller]
    pub fn wait_connected(&self, sandbox: &Sandbox) {
        wait_connected(sandbox, &self.name, self.process());
    }

    /// Kills it at once, as a crash would. Its commands live on in their holders.
    #[track_caller]
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Stops it gracefully and returns how it ended.
    #[track_caller]
    pub fn stop(&mut self) -> Finished {
        let process = self.process.take().expect("the agent runs");
        process.signal(Signal::TERM);
        process.wait()
    }
}

/// Waits until the daemon shows the agent as connected.
#[track_caller]
fn wait_connected(sandbox: &Sandbox, name: &str, process: &Process) {
    wait_until(&format!("the agent {name} to connect"), || {
        assert!(
            process.is_running(),
            "the agent ended: {}",
            process.stderr()
        );
        let status = sandbox.opsctl(["status", "--json"]).run();
        let agents = (status.code == 0).then(|| status.json()["agents"].clone())?;
        let connected =
            |agent: &serde_json::Value| agent["name"] == name && agent["connected"] == true;
        agents.as_array()?.iter().any(connected).then_some(())
    });
}
