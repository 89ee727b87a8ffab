//! `opsctl down`: stops what `opsctl up` started, and says what goes on without it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use opsctl_client::{Event, Events};
use opsctl_protocol::message::{
    CommandInterrupt, CommandList, CommandQuery, CommandSummary, Signal, State, Subscribe,
    ToDashboard,
};
use opsctl_protocol::{AgentId, Channel, Pattern};
use tokio::time::timeout;

use crate::background::{Background, Running};
use crate::connect::{Connection, connect, request_failure};
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::up::Started;

/// How long a part may take to stop before it is killed: twice what the daemon gives its connections.
const GRACE: Duration = Duration::from_secs(10);

/// How long commands may take to end after `--kill`: three steps of an escalation and some travel.
const KILL_DEADLINE: Duration = Duration::from_secs(20);

/// Stop what `opsctl up` started
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Also end the commands that still run on this host's agent; without this they go on
    #[arg(long)]
    kill: bool,
}

/// Stops what `up` started.
pub async fn run(args: DownArgs, context: &Context) -> Result<u8> {
    stop(
        context,
        &Started {
            daemon: true,
            agent: true,
        },
        args.kill,
    )
    .await?;
    Ok(ExitCode::Ok.into())
}

/// Stops those of `parts` that `up` started and that still run.
pub async fn stop(context: &Context, parts: &Started, kill: bool) -> Result<()> {
    let background = Background::open(&context.settings)?;
    if parts.agent {
        stop_agent(&background, context, kill).await?;
    }
    if parts.daemon {
        match background.running("daemon") {
            Some(daemon) => {
                background.stop("daemon", &daemon, GRACE).await?;
                println!("daemon  stopped");
            }
            None => println!("daemon  none that `opsctl up` started"),
        }
    }
    Ok(())
}

async fn stop_agent(background: &Background, context: &Context, kill: bool) -> Result<()> {
    let Some(agent) = background.running("agent") else {
        println!("agent   none that `opsctl up` started");
        return Ok(());
    };
    let left = match commands(context, &agent, kill).await {
        Ok(left) => left,
        Err(error) => {
            eprintln!(
                "opsctl: cannot ask the daemon what runs on {}: {error:#}",
                agent.record.name
            );
            Vec::new()
        }
    };
    background.stop("agent", &agent, GRACE).await?;
    println!("agent   {} stopped", agent.record.name);
    for command in &left {
        println!(
            "  goes on: {} {}",
            command.command_id.short(),
            command.program
        );
    }
    if !left.is_empty() {
        println!("  `opsctl up` takes them up again; `opsctl down --kill` ends them");
    }
    Ok(())
}

/// The commands that run on an agent; with `kill`, those that were told to end and didn't.
async fn commands(context: &Context, agent: &Running, kill: bool) -> Result<Vec<CommandSummary>> {
    let Connection {
        client, mut events, ..
    } = connect(context, "down").await?;
    let name: AgentId = agent
        .record
        .name
        .parse()
        .context("the pid file names no agent")?;
    let channel = Pattern::exactly(&Channel::Agent(name.clone()));
    let subscribe = Subscribe {
        channel,
        since: None,
        lossless: false,
        no_output: true,
    };
    client
        .subscribe(subscribe)
        .await
        .map_err(|error| request_failure(context, error))?;
    let query = CommandQuery {
        selector: Some(name.to_string()),
        states: vec![State::Delivered, State::Running],
        limit: Some(1000),
        ..CommandQuery::default()
    };
    let answer = listen_while(client.request(query), &mut events).await;
    let answer = answer.map_err(|error| request_failure(context, error))?;
    let ToDashboard::CommandList(CommandList {
        commands: mut left, ..
    }) = answer
    else {
        anyhow::bail!("the daemon answered a query for commands with something else");
    };
    if kill && !left.is_empty() {
        let (signal, escalate) = (Signal::Term, true);
        client.post(CommandInterrupt {
            command_id: None,
            agent_id: Some(name),
            signal,
            escalate,
        })?;
        // Those that outlast the deadline are named by the caller.
        let _ = timeout(KILL_DEADLINE, until_ended(&mut events, &mut left)).await;
    }
    client.close().await;
    Ok(left)
}

/// Waits for an answer and takes events meanwhile: unread ones would hold the answer back.
async fn listen_while<T>(answer: impl Future<Output = T>, events: &mut Events) -> T {
    tokio::pin!(answer);
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            Some(_) = events.next() => {}
        }
    }
}

/// Takes commands off the list as they end.
async fn until_ended(events: &mut Events, left: &mut Vec<CommandSummary>) {
    while !left.is_empty() {
        let Some(event) = events.next().await else {
            return;
        };
        if let Event::Message(message) = event
            && let ToDashboard::Status(status) = message.message
            && status.state.is_final()
        {
            left.retain(|command| command.command_id != status.command_id);
        }
    }
}
