//! `opsctl attach`: this terminal becomes a remote one.
//!
//! - [`session`]: the loop between keys, output and sizes.
//! - [`escape`]: `~.`, `Ctrl-]` and their like.
//! - [`sequences`]: finding control sequences in a stream of bytes.
//! - [`modes`]: what the remote program has set in this terminal, to take it back on leaving.
//! - [`replay`]: output of the past, without the questions that it once asked its terminal.
//! - [`words`]: what attach itself says.
//! - [`raw`]: this terminal raw, and back.

mod escape;
mod modes;
mod raw;
mod replay;
mod sequences;
mod session;
mod words;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use opsctl_client::{Client, Events};
use opsctl_protocol::CommandId;
use opsctl_protocol::message::{AgentInfo, CommandQuery, CommandSummary, State};
use tokio::time::{Instant, sleep};

use crate::agents::{Fleet, fleet_of};
use crate::ask::{beside, by_prefix, query};
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use session::{Session, View};

/// Pieces of output that may wait for the screen before the daemon is no longer listened to; when that lasts, it skips
/// to the screen as it is.
pub const WAITING_EVENTS: usize = 4;

/// Attach this terminal to a running one
///
/// Every key goes there. `~.` at the start of a line, or Ctrl-], leaves; `~?` shows all escapes. Ends with the command,
/// and with its exit code.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// A command's id, or what it starts with; or an agent: its main terminal, else its newest one
    #[arg(value_name = "ID|AGENT")]
    what: String,
    /// Only watch: no key goes there, and the terminal keeps its size
    #[arg(long)]
    read_only: bool,
}

/// How long a terminal may take to start that its agent has been asked for, and how long an agent that has come just now may
/// take to tell of one.
const STARTS_WITHIN: Duration = Duration::from_secs(5);

/// How often it is looked for meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Finds the terminal and attaches to it.
pub async fn run(args: AttachArgs, context: &Context) -> Result<u8> {
    if !args.read_only && !std::io::stdin().is_terminal() {
        let failure = Failure::new(ExitCode::Usage, "attach needs a terminal for its keys");
        return Err(failure
            .hint("--read-only only watches; opsctl send takes input from a pipe")
            .into());
    }
    let started = opsctl_client::start_with_room(context.client("attach")?, WAITING_EVENTS);
    let Fleet {
        client,
        mut events,
        agents,
        ..
    } = fleet_of(context, started).await?;
    let named = agents
        .iter()
        .find(|agent| agent.agent_id.as_str() == args.what);
    let command = match named {
        Some(agent) => {
            let terminal = terminal_of(context, &client, agent);
            beside(&mut events, terminal).await?
        }
        None => beside(&mut events, by_prefix(context, &client, &args.what))
            .await
            .map_err(|failure| match failure.code {
                ExitCode::UnknownCommand
                    if failure
                        .hint
                        .as_deref()
                        .is_none_or(|hint| hint.starts_with('`')) =>
                {
                    let message = format!("no agent and no command is named {:?}", args.what);
                    Failure::new(ExitCode::UnknownCommand, message)
                        .hint("`opsctl agents` lists the agents, `opsctl ps` the commands")
                }
                _ => failure,
            })?,
    };
    if !command.pty {
        let id = command.command_id.short();
        let failure = Failure::new(ExitCode::Usage, format!("{id} has no terminal"));
        return Err(failure
            .hint(format!("opsctl logs -f {id} shows its output"))
            .into());
    }
    let view = View {
        command: command.command_id,
        read_only: args.read_only || command.state.is_final(),
        owned: false,
        past: command.output_bytes,
    };
    Session::new(client, view).run(events).await
}

/// An agent's main terminal, else its newest one. One that is about to start is waited for, a while; so is one of an agent that
/// has come just now, and may be about to start one.
async fn terminal_of(
    context: &Context,
    client: &Client,
    agent: &AgentInfo,
) -> Result<CommandSummary, Failure> {
    let agent_id = &agent.agent_id;
    // Both by the daemon's clock, at the moment in which it listed the agent.
    let there_for = Duration::from_millis(agent.last_seen.0.saturating_sub(agent.since.0));
    let just_came = agent.is_connected() && there_for < STARTS_WITHIN;
    let asked = CommandQuery {
        selector: Some(agent_id.to_string()),
        states: vec![State::Running, State::Delivered],
        limit: Some(1000),
        ..CommandQuery::default()
    };
    let deadline = Instant::now() + STARTS_WITHIN;
    let mut told = false;
    loop {
        let commands = query(context, client, asked.clone()).await?.commands;
        let terminals = || commands.iter().filter(|command| command.pty);
        let running = || terminals().filter(|command| command.state == State::Running);
        let main = running().find(|command| command.main);
        let found = main.or_else(|| running().max_by_key(|command| command.created_at));
        if let Some(found) = found {
            return Ok(found.clone());
        }
        let starts = terminals().next().is_some();
        if !(starts || just_came) || Instant::now() >= deadline {
            let why = format!("{agent_id} has no terminal running");
            let hint = format!("opsctl send {agent_id} --pty -- sh     starts one");
            return Err(Failure::new(ExitCode::General, why).hint(hint));
        }
        if !std::mem::replace(&mut told, true) {
            let why = if starts {
                format!("the terminal of {agent_id} is about to start")
            } else {
                format!("{agent_id} has connected just now, and no terminal of it runs yet")
            };
            eprintln!("opsctl: {why}; waiting");
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Attaches to a command that this process has just started.
pub async fn to_started(client: Client, events: Events, command: CommandId) -> Result<u8> {
    let view = View {
        command,
        read_only: false,
        owned: true,
        past: 0,
    };
    Session::new(client, view).run(events).await
}
