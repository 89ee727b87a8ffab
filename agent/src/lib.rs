//! The far end: dials out to the daemon, runs what it is asked to run, and streams what comes out of it.
//!
//! [`run`] is an agent's life; [`holder_main`] is the small process that each program runs under, and that outlives the
//! agent. In the order in which data flows, from a program to the daemon:
//!
//! - [`holder`]: owns one program, and its terminal or pipes.
//! - [`spool`]: output that the daemon hasn't acknowledged, on disk.
//! - [`report`]: what a program tells of itself, and how it does.
//! - [`lines`]: the form of what is written down of commands.
//! - [`wire`], [`socket`]: how agent and holder talk.
//! - [`attach`]: the agent's end of that connection; puts output into the link's bulk lane.
//! - [`command`], [`queue`], [`journal`], [`pool`]: which commands there are, which may run, which were started, and
//!   which holder takes the next.
//! - [`agent`]: the one owner of all of these.
//! - [`uplink`]: the connection to the daemon.
//! - [`facts`], [`state_dir`]: what is told of the host, and where things lie on it.

mod holder;
mod lines;
mod report;
mod socket;
mod spool;
mod wire;

mod attach;
mod command;
mod journal;
mod pool;
mod queue;

mod agent;
mod uplink;

mod facts;
mod state_dir;

#[cfg(any(test, fuzzing))]
pub mod fuzz;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use opsctl_link::{DialError, Target};
use opsctl_protocol::AgentId;
use opsctl_protocol::message::CommandSpec;
use opsctl_protocol::message::command::DEFAULT_KILL_GRACE_MS;
use tokio_util::sync::CancellationToken;

pub use holder::holder_main;
pub use report::{REPORT_VARIABLE, Said, TellError, tell};
pub use spool::WhenFull;

/// How many commands run at once when nothing else is said.
pub const DEFAULT_MAX_COMMANDS: u32 = 8;

/// How much output may wait for the daemon when nothing else is said: all commands of an agent together, on disk.
pub const DEFAULT_SPOOL_BYTES: u64 = 64 * 1024 * 1024;

/// How long programs that don't outlive their agent go on without one: it may just be restarting.
pub const ALONE: Duration = Duration::from_secs(10);

/// What an agent is to be.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// Its name, unique in the fleet and on this host.
    pub name: AgentId,
    /// Labels that selectors match.
    pub labels: BTreeMap<String, String>,
    /// Whom to dial.
    pub target: Target,
    /// Its own directory (`STATE_DIR/agents/NAME`); made when missing, readable by its owner only.
    pub state_dir: PathBuf,
    /// How many commands run at once; the main program doesn't count.
    pub max_commands: u32,
    /// The binary that runs [`holder_main`] when started with `holder DIR`.
    pub holder_program: PathBuf,
    /// The program that is the agent's main terminal; runs in a terminal whatever the spec says.
    pub main: Option<CommandSpec>,
    /// How long each step of an escalation waits when a request doesn't say.
    pub kill_grace: Duration,
    /// How many bytes of output may wait for the daemon, of all commands together; whole chunks of 256 KiB count. For
    /// commands that start from now on.
    pub spool_bytes: u64,
    /// What happens to commands whose output finds no room there.
    pub when_full: WhenFull,
    /// How long programs go on while there is no agent, because it has stopped, crashed, or was killed; then they are
    /// ended, and their commands are lost. `None`: for ever. For commands that start from now on.
    pub alone: Option<Duration>,
}

impl AgentOptions {
    /// An agent with the defaults: eight commands at once, no main program, holders from this very binary.
    pub fn new(name: AgentId, target: Target, state_dir: PathBuf) -> Self {
        Self {
            name,
            labels: BTreeMap::new(),
            target,
            state_dir,
            max_commands: DEFAULT_MAX_COMMANDS,
            // The binary that runs now, also after an upgrade has put another one in its place.
            holder_program: PathBuf::from("/proc/self/exe"),
            main: None,
            kill_grace: Duration::from_millis(DEFAULT_KILL_GRACE_MS),
            spool_bytes: DEFAULT_SPOOL_BYTES,
            when_full: WhenFull::default(),
            alone: None,
        }
    }
}

/// How an agent's life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop. What it had started goes on.
    Shutdown,
    /// Its main program ended with this exit code (shell convention: 128 + signal, 124 for a timeout).
    MainExited(i32),
}

/// Why an agent cannot live on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Another agent has this name on this host.
    #[error("an agent called {name} is running here already{}", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    AlreadyRunning {
        /// The name.
        name: String,
        /// The other one's process id, where it says it.
        pid: Option<u32>,
    },
    /// The state directory cannot be used.
    #[error("the agent's directory {} cannot be used", path.display())]
    State {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The daemon refused the connection, and would again.
    #[error(transparent)]
    Refused(DialError),
    /// A newer connection with this name took over.
    #[error("another agent with this name has connected and taken this one's place")]
    Replaced,
    /// The daemon closed the connection for good.
    #[error("the daemon closed the connection for good ({code}{}{reason})", if reason.is_empty() { "" } else { ": " })]
    Closed {
        /// The close code.
        code: u16,
        /// The reason as it was given.
        reason: String,
    },
    /// The main program could not be started, or was lost.
    #[error("{reason}")]
    MainFailed {
        /// Why.
        reason: String,
    },
}

/// Lives until `shutdown`, until the main program has ended and the daemon knows it, or until the daemon refuses this
/// agent for good. Programs other than an ended main program go on under their holders in any case, and the next agent
/// with this name and directory takes them over.
pub async fn run(options: AgentOptions, shutdown: CancellationToken) -> Result<Ended, AgentError> {
    agent::Agent::open(options).await?.run(shutdown).await
}
