//! The processes that faults happen to: a daemon, agents, and a proxy before the daemon for each side.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{Finished, Opsctl, Process, Sandbox, Signal, skip, wait_until};
use crate::plan::{Kind, Part, Plan, Side};
use crate::proxy::Proxy;
use crate::tmpfs::Tmpfs;

/// How long a part may take to end after SIGTERM, and anything else to happen once no fault hinders it. A silent connection
/// is found out after 35 s, and after the nth that was lost its end waits up to 36 s before it comes back (R1): an agent
/// whose six fated connections all go silent is whole again after 250 s, and then its reader's connection may go silent.
pub const PATIENCE: Duration = Duration::from_mins(6);

/// The code of what was killed, as a shell gives it.
pub const KILLED: i32 = 128 + 9;

/// Room on a small disk: more than the work needs, little enough to be filled at once.
const DISK: usize = 96 * 1024 * 1024;

/// Where the library is that fakes clocks, on Debian.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// A running system.
pub struct World {
    daemon: Mutex<Option<Process>>,
    agents: Vec<Mutex<Option<Process>>>,
    /// Processes that read jobs, by the job's number.
    readers: Mutex<Vec<Option<i32>>>,
    /// How often the reader of each job was killed.
    killed: Mutex<Vec<u32>>,
    pub agent_side: Proxy,
    pub client_side: Proxy,
    address: SocketAddr,
    clocks: bool,
    disks: Vec<(Part, Tmpfs)>,
    // After what lives in it.
    _runtime: tokio::runtime::Runtime,
    sandbox: Sandbox,
}

impl World {
    /// Starts everything that the plan needs; returns when all agents are there.
    pub fn start(plan: &Plan) -> Self {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("marks")).unwrap();
        let needs = |kind| plan.kind == kind || plan.kind == Kind::Everything;
        let disks = if needs(Kind::Disk) {
            small_disks(&sandbox, plan.agents)
        } else {
            Vec::new()
        };
        let clocks = needs(Kind::Clock) && has_faketime();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let daemon = daemon_command(&sandbox, "127.0.0.1:0", clocks).spawn();
        let address = wait_ready(&sandbox, &daemon);
        let (kind, seed) = (plan.kind, plan.seed);
        let proxy = |side| {
            let fate = move |number| Plan::fate(kind, seed, side, number);
            Proxy::start(&runtime, address, fate)
        };
        let world = Self {
            daemon: Mutex::new(Some(daemon)),
            agents: (0..plan.agents).map(|_| Mutex::new(None)).collect(),
            readers: Mutex::new(vec![None; plan.jobs.len()]),
            killed: Mutex::new(vec![0; plan.jobs.len()]),
            agent_side: proxy(Side::Agents),
            client_side: proxy(Side::Clients),
            address,
            clocks,
            disks,
            _runtime: runtime,
            sandbox,
        };
        for role in ["agent", "operator"] {
            let token = world.local(["token", "issue", "--role", role]);
            // Good from before any clock's jump on.
            let token = if clocks {
                token.env("LD_PRELOAD", FAKETIME).env("FAKETIME", "-10d")
            } else {
                token
            };
            let token = token.run();
            world.sandbox.file(role, &token.expect_code(0).out());
        }
        for agent in 0..plan.agents {
            world.start_part(Part::Agent(agent));
        }
        wait_until("the daemon to know all agents", || {
            let known = world.local(["agents", "--json"]).run().out();
            let named = |agent| known.contains(&agent_name(agent));
            (0..plan.agents).all(named).then_some(())
        });
        world
    }

    /// `opsctl` beside the daemon, which no fault of the network reaches.
    pub fn local<const N: usize>(&self, args: [&str; N]) -> Opsctl {
        self.sandbox.opsctl(args)
    }

    /// `opsctl` at the far end of the clients' proxy.
    pub fn client<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Opsctl {
        self.sandbox
            .opsctl(args)
            .env("OPSCTL_URL", format!("ws://{}", self.client_side.address()))
            .env("OPSCTL_TOKEN_FILE", self.sandbox.path("operator"))
    }

    /// What a dashboard says to be let in.
    pub fn token(&self) -> String {
        let token = std::fs::read_to_string(self.sandbox.path("operator")).unwrap();
        token.trim().to_owned()
    }

    /// Where programs leave their marks.
    pub fn marks(&self) -> PathBuf {
        self.sandbox.path("marks")
    }

    /// The daemon itself, behind the proxies.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether clocks can be made to jump here.
    pub fn has_clocks(&self) -> bool {
        self.clocks
    }

    /// The part's small disk, where it has one.
    pub fn disk(&self, part: Part) -> Option<&Tmpfs> {
        self.disks
            .iter()
            .find_map(|(of, disk)| (*of == part).then_some(disk))
    }

    /// Makes the part's clock differ from now on by so many seconds.
    pub fn set_clock(&self, part: Part, seconds: i64) {
        let file = clock_file(&self.sandbox, part);
        // Whole at once: the library reads it at any moment.
        let new = file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    fn process(&self, part: Part) -> &Mutex<Option<Process>> {
        match part {
            Part::Daemon => &self.daemon,
            Part::Agent(agent) => &self.agents[agent],
        }
    }

    /// Starts a part that was killed or stopped, and waits until it serves.
    pub fn start_part(&self, part: Part) {
        let process = match part {
            Part::Daemon => {
                let _ = std::fs::remove_file(state_dir(&self.sandbox, part).join("listen"));
                let process =
                    daemon_command(&self.sandbox, &self.address.to_string(), self.clocks).spawn();
                wait_ready(&self.sandbox, &process);
                process
            }
            Part::Agent(agent) => self.agent_command(agent).spawn(),
        };
        *self.process(part).lock().unwrap() = Some(process);
    }

    fn agent_command(&self, agent: usize) -> Opsctl {
        let (part, name) = (Part::Agent(agent), agent_name(agent));
        let command = self
            .sandbox
            .opsctl(["agent", "--name", &name])
            .env("OPSCTL_URL", format!("ws://{}", self.agent_side.address()))
            .env("OPSCTL_TOKEN_FILE", self.sandbox.path("agent"))
            .env("OPSCTL_STATE_DIR", state_dir(&self.sandbox, part))
            .env("OPSCTL_LOG", "debug");
        with_clock(command, &self.sandbox, part, self.clocks)
    }

    /// `kill -9`.
    pub fn kill(&self, part: Part) {
        if let Some(process) = self.process(part).lock().unwrap().take() {
            self.keep_log(part, &process.stderr());
            process.kill();
        }
    }

    /// SIGTERM; waits for the end.
    pub fn stop(&self, part: Part) -> Option<Finished> {
        let process = self.process(part).lock().unwrap().take()?;
        process.signal(Signal::TERM);
        let finished = process.wait();
        self.keep_log(part, &finished.err());
        Some(finished)
    }

    /// A signal to a part.
    pub fn signal(&self, part: Part, signal: Signal) {
        if let Some(process) = self.process(part).lock().unwrap().as_ref() {
            process.signal(signal);
        }
    }

    /// Whether the part lives although nobody killed it; its last words where not.
    pub fn check_alive(&self, part: Part) -> Result<(), String> {
        match self.process(part).lock().unwrap().as_ref() {
            Some(process) if !process.is_running() => Err(format!(
                "{part:?} ended by itself: {}",
                tail(&process.stderr())
            )),
            _ => Ok(()),
        }
    }

    /// The part's resident memory in bytes.
    pub fn memory(&self, part: Part) -> Option<u64> {
        let process = self.process(part).lock().unwrap();
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", process.as_ref()?.pid())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    }

    /// What a part has written so far, over all its lives.
    pub fn log(&self, part: Part) -> String {
        let before = std::fs::read_to_string(self.log_file(part)).unwrap_or_default();
        let now = self.process(part).lock().unwrap();
        before + &now.as_ref().map(Process::stderr).unwrap_or_default()
    }

    fn log_file(&self, part: Part) -> PathBuf {
        self.sandbox.path(format!("{part:?}.log"))
    }

    fn keep_log(&self, part: Part, text: &str) {
        let before = std::fs::read_to_string(self.log_file(part)).unwrap_or_default();
        let _ = std::fs::write(self.log_file(part), before + text + "--- next life\n");
    }

    /// Starts a second daemon on the same directory; it must refuse.
    pub fn second_daemon(&self) -> Result<(), String> {
        let running = self.daemon.lock().unwrap().is_some();
        let second = daemon_command(&self.sandbox, "127.0.0.1:0", false);
        let socket = self.sandbox.path("second.sock");
        let ended = second.env("OPSCTL_SOCKET", socket).run();
        if running && ended.code != 246 {
            return Err(format!(
                "a second daemon ended with {}: {}",
                ended.code,
                ended.err()
            ));
        }
        Ok(())
    }

    /// Runs something that reads a job; it may be killed meanwhile. `None` when it was.
    pub fn read(&self, job: usize, opsctl: Opsctl) -> Result<Option<Finished>, String> {
        let killed_before = self.killed.lock().unwrap()[job];
        let process = opsctl.spawn();
        self.set_reader(job, Some(process.pid()));
        let ended = process.wait_within(PATIENCE);
        self.set_reader(job, None);
        match ended {
            Ok(finished)
                if finished.code == KILLED && self.killed.lock().unwrap()[job] > killed_before =>
            {
                Ok(None)
            }
            Ok(finished) => Ok(Some(finished)),
            Err(process) => {
                let said = words(&process.stderr());
                process.kill();
                Err(format!("did not end; said: {said}"))
            }
        }
    }

    /// Says who reads the job from now on.
    pub fn set_reader(&self, job: usize, pid: Option<i32>) {
        self.readers.lock().unwrap()[job] = pid;
    }

    /// `kill -9` of whoever reads the job.
    pub fn kill_reader(&self, job: usize) {
        let readers = self.readers.lock().unwrap();
        if let Some(pid) = readers[job].and_then(rustix::process::Pid::from_raw) {
            self.killed.lock().unwrap()[job] += 1;
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }

    /// Stops whoever reads the job, for so many ms.
    pub fn freeze_reader(&self, job: usize, ms: u64) {
        let reader = self.readers.lock().unwrap()[job];
        if let Some(pid) = reader.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::STOP);
            pause(ms);
            let _ = rustix::process::kill_process(pid, Signal::CONT);
        }
    }

    /// `kill -9` of the holder over the program with this word in its command line. Whether there was one.
    pub fn kill_holder(&self, word: &str) -> bool {
        let programs = self.sandbox.processes();
        let is_it = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut args = line.split(|byte| *byte == 0).skip(1);
            args.next() == Some(crate::program::WORD.as_bytes())
                && args.next() == Some(word.as_bytes())
        };
        let Some(holder) = programs.into_iter().find(is_it).and_then(parent) else {
            return false;
        };
        let line = std::fs::read(format!("/proc/{holder}/cmdline")).unwrap_or_default();
        if line.split(|byte| *byte == 0).nth(1) != Some(b"holder") {
            return false;
        }
        let pid = rustix::process::Pid::from_raw(holder).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).is_ok()
    }

    /// Processes that are left, with their command lines.
    pub fn processes(&self) -> Vec<String> {
        let name = |pid: i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let waits = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
            format!(
                "{pid} in {waits}: {}",
                line.chars().take(120).collect::<String>()
            )
        };
        self.sandbox.processes().into_iter().map(name).collect()
    }
}

/// A small disk for each part; none where this process may not mount any.
fn small_disks(sandbox: &Sandbox, agents: usize) -> Vec<(Part, Tmpfs)> {
    let parts = (0..agents).map(Part::Agent).chain([Part::Daemon]);
    let mount = |part| Some((part, Tmpfs::mount(&state_dir(sandbox, part), DISK)?));
    let disks: Option<Vec<_>> = parts.map(mount).collect();
    disks.unwrap_or_else(|| {
        skip("no disk is filled: mounting a tmpfs needs root");
        Vec::new()
    })
}

/// Whether clocks can be faked here.
fn has_faketime() -> bool {
    let found = std::path::Path::new(FAKETIME).is_file();
    if !found {
        skip("no clock jumps: libfaketime is not installed (Debian: faketime)");
    }
    found
}

/// The agent's name.
pub fn agent_name(agent: usize) -> String {
    format!("agent-{agent}")
}

/// What opsctl itself said, without the program's lines.
pub fn words(stderr: &str) -> String {
    let said = stderr
        .match_indices("opsctl: ")
        .map(|(at, _)| stderr[at..].lines().next());
    said.flatten().collect::<Vec<_>>().join("\n")
}

/// The end of a text, for a failure's message.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

fn state_dir(sandbox: &Sandbox, part: Part) -> PathBuf {
    match part {
        Part::Daemon => sandbox.state_dir(),
        Part::Agent(agent) => sandbox.path(format!("state-{agent}")),
    }
}

fn clock_file(sandbox: &Sandbox, part: Part) -> PathBuf {
    match part {
        Part::Daemon => sandbox.path("clock"),
        Part::Agent(agent) => sandbox.path(format!("clock-{agent}")),
    }
}

/// Under a clock that can be made to jump; the one that measures spans goes on as it is.
fn with_clock(command: Opsctl, sandbox: &Sandbox, part: Part, clocks: bool) -> Opsctl {
    if !clocks {
        return command;
    }
    let file = clock_file(sandbox, part);
    if !file.exists() {
        std::fs::write(&file, "+0\n").unwrap();
    }
    command
        .env("LD_PRELOAD", FAKETIME)
        .env("FAKETIME_TIMESTAMP_FILE", file)
        .env("FAKETIME_NO_CACHE", "1")
        // What it shares between processes a kill may leave locked.
        .env("FAKETIME_DISABLE_SHM", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

fn daemon_command(sandbox: &Sandbox, listen: &str, clocks: bool) -> Opsctl {
    let command = sandbox
        .opsctl(["daemon", "--listen", listen])
        .env("OPSCTL_LOG", "debug");
    with_clock(command, sandbox, Part::Daemon, clocks)
}

fn wait_ready(sandbox: &Sandbox, process: &Process) -> SocketAddr {
    let start = Instant::now();
    let file = sandbox.state_dir().join("listen");
    wait_until("the daemon's address", || {
        assert!(
            process.is_running(),
            "the daemon ended: {}",
            tail(&process.stderr())
        );
        assert!(start.elapsed() < PATIENCE);
        let address = std::fs::read_to_string(&file).ok()?.trim().parse().ok()?;
        UnixStream::connect(sandbox.socket()).ok().map(|_| address)
    })
}

fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Waits for so long: a step of a plan, during which the world goes on.
pub fn pause(ms: u64) {
    sleep(Duration::from_millis(ms));
}
