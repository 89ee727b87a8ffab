//! A running daemon.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::Deref;
use std::os::unix::net::UnixStream;

use super::process::{Finished, Process, Signal};
use super::sandbox::Sandbox;
use super::wait_until;

/// A daemon in a sandbox of its own; derefs to it.
pub struct TestDaemon {
    // Before the sandbox: dropped first, so that the daemon is killed before the sandbox looks for survivors.
    process: Option<Process>,
    args: Vec<OsString>,
    address: SocketAddr,
    sandbox: Sandbox,
}

impl Deref for TestDaemon {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl TestDaemon {
    /// A daemon with default settings on a free port; returns when it answers.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_in(Sandbox::new(), [])
    }

    /// The same in a sandbox that was prepared, with further arguments.
    #[track_caller]
    pub fn start_in<const N: usize>(sandbox: Sandbox, args: [&str; N]) -> Self {
        let args = args.map(OsString::from).to_vec();
        let process = spawn(&sandbox, "127.0.0.1:0", &args);
        let address = wait_ready(&sandbox, &process);
        Self {
            process: Some(process),
            args,
            address,
            sandbox,
        }
    }

    /// The TCP address; the same over restarts.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The TCP address as a URL.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// The daemon's process, for signals and its log.
    ///
    /// # Panics
    /// When it was stopped.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the daemon runs")
    }

    /// Kills it at once, as a crash would.
    #[track_caller]
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Stops it gracefully and returns how it ended.
    #[track_caller]
    pub fn stop(&mut self) -> Finished {
        let process = self.process.take().expect("the daemon runs");
        process.signal(Signal::TERM);
        process.wait()
    }

    /// Waits for its end, after it was told to stop, and returns how it ended.
    #[track_caller]
    pub fn wait_end(&mut self) -> Finished {
        self.process.take().expect("the daemon runs").wait()
    }

    /// Starts it again on the same state, socket and port; returns when it answers.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the daemon still runs");
        let _ = std::fs::remove_file(self.sandbox.state_dir().join("listen"));
        let process = spawn(&self.sandbox, &self.address.to_string(), &self.args);
        wait_ready(&self.sandbox, &process);
        self.process = Some(process);
    }

    /// A token for this daemon.
    #[track_caller]
    pub fn token<const N: usize>(&self, args: [&str; N]) -> String {
        let issued = self
            .opsctl(["token", "issue"])
            .args(args)
            .run()
            .expect_code(0);
        issued.out().trim().to_owned()
    }
}

fn spawn(sandbox: &Sandbox, listen: &str, args: &[OsString]) -> Process {
    let daemon = sandbox.opsctl(["daemon"]).args(args);
    if args.iter().any(|arg| arg == "--listen") {
        return daemon.spawn();
    }
    daemon.args(["--listen", listen]).spawn()
}

/// Waits until both ways in are open; the daemon writes its address when they are.
#[track_caller]
fn wait_ready(sandbox: &Sandbox, process: &Process) -> SocketAddr {
    let file = sandbox.state_dir().join("listen");
    wait_until("the daemon's address", || {
        assert!(
            process.is_running(),
            "the daemon ended: {}",
            process.stderr()
        );
        let address = std::fs::read_to_string(&file).ok()?.trim().parse().ok()?;
        UnixStream::connect(sandbox.socket())
            .is_ok()
            .then_some(address)
    })
}
