//! `opsctl cancel`: takes back commands that have not started.

use anyhow::Result;
use clap::{ArgGroup, Args};
use opsctl_client::Client;
use opsctl_protocol::AgentId;
use opsctl_protocol::message::{
    CommandCancel, CommandQuery, CommandSummary, State, TerminalCancel, TerminalQueue, ToDashboard,
};

use crate::agents::{Fleet, fleet};
use crate::ask::{ask, by_prefix, query};
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};

/// The daemon's bound for one answer to a query.
const MOST: u32 = 1000;

/// Take back commands that wait
///
/// Never touches one that has started: `opsctl interrupt` does. What this says is cancelled will not run, whatever
/// crashes.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["ids", "all_of"]).required(true)))]
pub struct CancelArgs {
    /// The ids of commands, or the keys of messages that wait for a terminal, or what they start with
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All that wait for this agent
    #[arg(long, value_name = "AGENT")]
    all_of: Option<AgentId>,
}

/// Cancels, and says what.
pub async fn run(args: CancelArgs, context: &Context) -> Result<u8> {
    let Fleet {
        client,
        events,
        agents,
        ..
    } = fleet(context, context.client("cancel")?).await?;
    // From here on only answers are wanted.
    drop(events);
    let mut worst = ExitCode::Ok;
    if let Some(agent) = args.all_of {
        if !agents.iter().any(|known| known.agent_id == agent) {
            let failure = Failure::new(ExitCode::NoMatch, format!("no agent is named {agent}"));
            return Err(failure.hint("`opsctl agents` lists the agents").into());
        }
        let queued = waiting_for(context, &client, &agent).await?;
        if queued.is_empty() {
            eprintln!("opsctl: nothing waits for {agent}");
        }
        for command in queued {
            if let Err(failure) = cancel(context, &client, &command).await {
                eprintln!("opsctl: {failure}");
                worst = failure.code;
            }
        }
        return Ok(worst.into());
    }
    for given in &args.ids {
        let cancelled = async {
            match by_prefix(context, &client, given).await {
                Ok(command) => cancel(context, &client, &command).await,
                Err(unknown) if unknown.code == ExitCode::UnknownCommand => {
                    cancel_message(context, &client, given, unknown).await
                }
                Err(failure) => Err(failure),
            }
        };
        match cancelled.await {
            Ok(()) => {}
            Err(failure) if args.ids.len() > 1 => {
                eprintln!("opsctl: {failure}");
                worst = failure.code;
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(worst.into())
}

/// Takes back the only message whose key starts so; without one `unknown` says what there isn't.
async fn cancel_message(
    context: &Context,
    client: &Client,
    given: &str,
    unknown: Failure,
) -> Result<(), Failure> {
    let all = ask(context, client, TerminalQueue::default()).await?;
    let messages = match all {
        ToDashboard::TypingQueue(list) => list.messages,
        _ => Vec::new(),
    };
    let mut found = messages.iter().filter(|message| {
        message.key == given || !given.is_empty() && message.key.starts_with(given)
    });
    let (Some(message), None) = (found.next(), found.next()) else {
        return Err(unknown);
    };
    let key = message.key.clone();
    ask(context, client, TerminalCancel { key }).await?;
    eprintln!(
        "cancelled a message for {}: {}",
        message.agent_id, message.text
    );
    Ok(())
}

async fn waiting_for(
    context: &Context,
    client: &Client,
    agent: &AgentId,
) -> Result<Vec<CommandSummary>, Failure> {
    let queued = CommandQuery {
        selector: Some(agent.to_string()),
        states: vec![State::Queued],
        limit: Some(MOST),
        ..CommandQuery::default()
    };
    Ok(query(context, client, queued).await?.commands)
}

async fn cancel(
    context: &Context,
    client: &Client,
    command: &CommandSummary,
) -> Result<(), Failure> {
    let id = command.command_id;
    if command.state == State::Cancelled {
        eprintln!("{} is cancelled already", id.short());
        return Ok(());
    }
    if command.state.is_final() {
        let message = format!("{} has ended ({})", id.short(), command.state);
        return Err(Failure::new(ExitCode::General, message));
    }
    let now = match ask(context, client, CommandCancel { command_id: id }).await {
        Ok(ToDashboard::CommandList(list)) => list.commands.into_iter().next(),
        Ok(_) => None,
        // Somebody else was first; or this one was, and lost its answer with the connection.
        Err(refused) => match by_prefix(context, client, &id.to_string()).await {
            Ok(now) if now.state == State::Cancelled => Some(now),
            _ => return Err(refused),
        },
    };
    let now = now.unwrap_or_else(|| command.clone());
    if now.state != State::Cancelled {
        let message = format!("{} is {} and was not cancelled", id.short(), now.state);
        return Err(Failure::new(ExitCode::General, message));
    }
    eprintln!(
        "cancelled {} on {}: {}",
        id.short(),
        now.agent_id,
        now.program
    );
    Ok(())
}
