//! `opsctl agent`: this host's end of the fleet.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use opsctl_agent::{ALONE, AgentError, AgentOptions, Ended};
use opsctl_protocol::AgentId;
use opsctl_protocol::message::{CommandSpec, Program};
use tokio_util::sync::CancellationToken;

use crate::background;
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use crate::logging;
use crate::settings::values::{Place, label};
use crate::signals::Stops;

/// Connect this host to the daemon and run what it is sent
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// The agent's name, unique within the fleet [default: this host's name]
    #[arg(long)]
    name: Option<AgentId>,
    /// A label that selectors match; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// How many commands run at once; further ones wait
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_commands: Option<u32>,
    /// Write the log to a file a day in this directory instead of stderr
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// Leave the caller's session
    #[arg(long, hide = true)]
    detached: bool,
    /// A program to run as the agent's main terminal; the agent ends with it
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

/// Runs the agent until its main program ends or it is told to stop.
pub async fn run(args: AgentArgs, context: &Context) -> Result<u8> {
    let settings = &context.settings;
    if args.detached {
        background::detach();
    }
    let name = match args.name {
        Some(name) => name,
        None => settings.agent_name()?,
    };
    let mut log = settings.log.clone();
    log.dir = args.log_dir.map_or(log.dir, |dir| Place(Some(dir)));
    let _logging = logging::start(&log, "agent")?;
    let state_dir = settings.state_dir().join("agents").join(name.as_str());
    let mut options = AgentOptions::new(name, context.target()?, state_dir);
    let given: BTreeMap<String, String> = args.labels.into_iter().collect();
    options.labels = settings
        .agent
        .labels
        .clone()
        .into_iter()
        .chain(given)
        .collect();
    options.max_commands = args.max_commands.unwrap_or(settings.agent.max_commands);
    options.kill_grace = settings.agent.kill_grace.0;
    options.spool_bytes = settings.agent.spool_bytes.0;
    options.when_full = settings.agent.spool;
    options.alone = (!settings.agent.live_restore).then_some(ALONE);
    if !args.program.is_empty() {
        options.main = Some(CommandSpec {
            pty: true,
            ..CommandSpec::new(Program::Argv(args.program))
        });
    }
    let stop = CancellationToken::new();
    tokio::spawn(Stops::listen()?.run(stop.clone()));
    match opsctl_agent::run(options, stop).await {
        Ok(Ended::Shutdown) => Ok(ExitCode::Ok.into()),
        Ok(Ended::MainExited(code)) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => Err(failure(error).into()),
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// An agent's failure with its exit code, and what to do about it.
fn failure(error: AgentError) -> Failure {
    let (code, hint) = match &error {
        AgentError::AlreadyRunning { .. } => (
            ExitCode::InUse,
            Some(
                "stop it, or give this one another name with --name; `opsctl down` stops one that `opsctl up` started",
            ),
        ),
        // What runs is known there only: an agent elsewhere would know of nothing, and its programs would be lost.
        AgentError::State { source, .. } if is_full(source) => {
            (ExitCode::General, Some("free some and start it again"))
        }
        AgentError::State { .. } => (
            ExitCode::General,
            Some("--state-dir or OPSCTL_STATE_DIR names another place"),
        ),
        AgentError::Refused(refused) => (
            refused
                .code()
                .map_or(ExitCode::NotAllowed, ExitCode::of_refusal),
            Some(
                "`opsctl token issue --role agent` on the daemon's host prints a token; see --token-file",
            ),
        ),
        AgentError::Replaced => (
            ExitCode::InUse,
            Some("every agent in a fleet needs a name of its own; see --name"),
        ),
        // The token is wrong, or good for another agent only.
        AgentError::Closed {
            code: 4500 | 4507, ..
        } => (ExitCode::NotAllowed, None),
        AgentError::Closed { .. } => (ExitCode::General, None),
        AgentError::MainFailed { .. } => (ExitCode::NoStatus, None),
    };
    let failure = Failure::new(code, format!("{:#}", anyhow::Error::from(error)));
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
