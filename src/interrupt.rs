//! `opsctl interrupt`: a signal to commands.

use anyhow::Result;
use clap::{ArgGroup, Args};
use opsctl_client::Client;
use opsctl_protocol::AgentId;
use opsctl_protocol::message::{CommandInterrupt, CommandSummary, Signal, State, ToDashboard};

use crate::ask::{ask, by_prefix};
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};

/// Interrupt commands
///
/// Sends INT, as Ctrl-C does; a command that ignores it gets TERM after its grace time, then KILL. One that has not
/// started is cancelled.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["ids", "all_of"]).required(true)))]
pub struct InterruptArgs {
    /// The commands' ids, or what they start with
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Send just this signal: INT, TERM, KILL, HUP, QUIT, USR1, USR2, STOP, CONT
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<Signal>,
    /// All commands of this agent
    #[arg(long, value_name = "AGENT")]
    all_of: Option<AgentId>,
}

/// Interrupts, and says whom it reached.
pub async fn run(args: InterruptArgs, context: &Context) -> Result<u8> {
    let (client, events) = opsctl_client::start(context.client("interrupt")?);
    // Only answers are wanted.
    drop(events);
    let steer = CommandInterrupt {
        command_id: None,
        agent_id: None,
        signal: args.signal.unwrap_or_default(),
        escalate: args.signal.is_none(),
    };
    if let Some(agent) = args.all_of {
        let all = CommandInterrupt {
            agent_id: Some(agent.clone()),
            ..steer
        };
        let reached = send(context, &client, all).await?;
        if reached.is_empty() {
            eprintln!("opsctl: {agent} runs nothing");
        }
        reached.iter().for_each(tell);
        return Ok(ExitCode::Ok.into());
    }
    let mut worst = ExitCode::Ok;
    for given in &args.ids {
        match interrupt(context, &client, given, &steer).await {
            Ok(reached) => reached.iter().for_each(tell),
            Err(failure) if args.ids.len() > 1 => {
                eprintln!("opsctl: {failure}");
                worst = failure.code;
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(worst.into())
}

async fn interrupt(
    context: &Context,
    client: &Client,
    given: &str,
    steer: &CommandInterrupt,
) -> Result<Vec<CommandSummary>, Failure> {
    let command = by_prefix(context, client, given).await?;
    if command.state.is_final() {
        let id = command.command_id.short();
        return Err(Failure::new(
            ExitCode::General,
            format!("{id} has ended ({})", command.state),
        ));
    }
    let one = CommandInterrupt {
        command_id: Some(command.command_id),
        ..steer.clone()
    };
    send(context, client, one).await
}

async fn send(
    context: &Context,
    client: &Client,
    interrupt: CommandInterrupt,
) -> Result<Vec<CommandSummary>, Failure> {
    match ask(context, client, interrupt).await? {
        ToDashboard::CommandList(list) => Ok(list.commands),
        _ => Ok(Vec::new()),
    }
}

fn tell(command: &CommandSummary) {
    let what = if command.state == State::Cancelled {
        "cancelled"
    } else {
        "interrupted"
    };
    eprintln!(
        "{what} {} on {}: {}",
        command.command_id.short(),
        command.agent_id,
        command.program
    );
}
