//! `opsctl token`: tokens for agents and dashboards of other hosts, signed with the key in this host's state directory.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use opsctl_daemon::auth::{Grant, Secret, issue};
use opsctl_protocol::AgentId;
use opsctl_protocol::message::Role;

use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use crate::settings::values::duration;

/// Issue tokens for agents and dashboards on other hosts
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a new token, signed with the key in the state directory
    Issue(IssueArgs),
}

#[derive(Debug, Args)]
struct IssueArgs {
    /// What the bearer may do
    #[arg(long, value_enum)]
    role: RoleArg,
    /// The only name that the bearer may connect as; needs --role agent [default: any]
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentId>,
    /// How long the token is valid, such as 12h or 30d
    #[arg(long, value_parser = duration, default_value = "30d")]
    ttl: Duration,
    /// Whose token it is, as history and logs show it [default: the agent's name, else the role]
    #[arg(long)]
    subject: Option<String>,
}

/// The roles as arguments, with what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    /// Connects as an agent and runs what it is sent; nothing else
    Agent,
    /// Sees everything, changes nothing
    Viewer,
    /// Also runs and steers commands
    Operator,
    /// Also administers the daemon
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Agent => Self::Agent,
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Operator => Self::Operator,
            RoleArg::Admin => Self::Admin,
        }
    }
}

/// Does what was asked for with tokens.
pub fn run(args: TokenArgs, context: &Context) -> Result<u8> {
    let Action::Issue(args) = args.action;
    if args.agent.is_some() && args.role != RoleArg::Agent {
        let message = "--agent limits the name that an agent connects as; it needs --role agent";
        return Err(Failure::new(ExitCode::Usage, message).into());
    }
    if args.ttl < Duration::from_secs(1) {
        let message = "--ttl is counted in whole seconds; a token that is never valid is of no use";
        return Err(Failure::new(ExitCode::Usage, message).into());
    }
    let role = Role::from(args.role);
    let subject = args
        .subject
        .or(args.agent.as_ref().map(ToString::to_string));
    let grant = Grant {
        subject: subject.unwrap_or_else(|| role.to_string()),
        role,
        agent: args.agent,
        ttl: args.ttl,
    };
    let state_dir = context.settings.state_dir();
    let secret = secret(&state_dir)?;
    let token = issue(&secret, &grant).context("cannot issue a token")?;
    writeln!(std::io::stdout().lock(), "{token}")?;
    Ok(ExitCode::Ok.into())
}

/// The daemon's key; made now when the daemon has never run.
fn secret(state_dir: &std::path::Path) -> Result<Secret> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)
        .with_context(|| format!("cannot create the state directory {}", state_dir.display()))?;
    Secret::load_or_create(&state_dir.join("secret")).map_err(|error| {
        let hint =
            "tokens are issued on the daemon's host, by the user that runs it; see --state-dir";
        Failure::new(
            ExitCode::General,
            format!("{:#}", anyhow::Error::from(error)),
        )
        .hint(hint)
        .into()
    })
}
