//! `opsctl status`: is there a daemon, and what does it have?

use std::io::Write;

use anyhow::Result;
use clap::Args;
use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{AgentInfo, CommandList, CommandQuery, Role, State, ToDashboard};
use serde::Serialize;

use crate::connect::{Connection, connect, request_failure};
use crate::context::Context;
use crate::exit_code::ExitCode;

/// Say whether the daemon can be reached, and what it has
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Everything that is shown; its field names are the JSON's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    endpoint: String,
    version: String,
    /// Milliseconds; absent when the daemon doesn't say since when it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_ms: Option<u64>,
    role: Role,
    subject: String,
    agents: Vec<AgentLine>,
    commands: Commands,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentLine {
    name: String,
    connected: bool,
    /// Running or waiting on it.
    commands: usize,
}

/// How many commands are under way.
#[derive(Debug, Default, Serialize)]
struct Commands {
    queued: usize,
    running: usize,
}

/// Asks the daemon and prints what it says.
pub async fn run(args: StatusArgs, context: &Context) -> Result<u8> {
    let status = ask(context).await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
    } else {
        print(&mut out, &status, context)?;
    }
    Ok(ExitCode::Ok.into())
}

async fn ask(context: &Context) -> Result<Status> {
    let mut connection = connect(context, "status").await?;
    let agents = connection.agents().await?;
    let Connection {
        client,
        events,
        connected,
    } = connection;
    let under_way = vec![State::Queued, State::Delivered, State::Running];
    let query = CommandQuery {
        states: under_way,
        limit: Some(1000),
        ..CommandQuery::default()
    };
    // From here on only the answer is wanted; whoever holds events unread would hold the answer back.
    drop(events);
    let answer = client
        .request(query)
        .await
        .map_err(|error| request_failure(context, error))?;
    let ToDashboard::CommandList(CommandList { commands, .. }) = answer else {
        anyhow::bail!("the daemon answered a query for commands with something else");
    };
    let running = commands
        .iter()
        .filter(|command| command.state == State::Running)
        .count();
    let status = Status {
        endpoint: context.settings.endpoint().to_string(),
        version: connected.server_version,
        uptime_ms: connected
            .started_at
            .map(|since| Timestamp::now().0.saturating_sub(since.0)),
        role: connected.rights.role,
        subject: connected.rights.subject,
        agents: agents.iter().map(AgentLine::new).collect(),
        commands: Commands {
            queued: commands.len() - running,
            running,
        },
    };
    client.close().await;
    Ok(status)
}

impl AgentLine {
    fn new(agent: &AgentInfo) -> Self {
        Self {
            name: agent.agent_id.to_string(),
            connected: agent.is_connected(),
            commands: agent.commands.len(),
        }
    }
}

fn print(out: &mut impl Write, status: &Status, context: &Context) -> Result<()> {
    let uptime = status
        .uptime_ms
        .map_or(String::new(), |ms| format!(", up {}", coarse(ms)));
    writeln!(
        out,
        "daemon    {} at {}{uptime}",
        status.version, status.endpoint
    )?;
    writeln!(out, "you       {} ({})", status.role, status.subject)?;
    let connected = status.agents.iter().filter(|agent| agent.connected).count();
    writeln!(
        out,
        "agents    {connected} connected, {} offline",
        status.agents.len() - connected
    )?;
    for agent in &status.agents {
        let state = if agent.connected {
            "connected"
        } else {
            "offline"
        };
        writeln!(
            out,
            "            {:<24} {state}, {} commands",
            agent.name, agent.commands
        )?;
    }
    let Commands { queued, running } = status.commands;
    writeln!(out, "commands  {running} running, {queued} waiting")?;
    writeln!(out, "state     {}", context.settings.state_dir().display())?;
    writeln!(
        out,
        "settings  {}",
        context
            .settings
            .file()
            .map_or("defaults".into(), |file| file.display().to_string())
    )?;
    Ok(())
}

/// A time as a person says it: the two largest units.
fn coarse(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::coarse;

    #[test]
    fn times_read_as_people_say_them() {
        assert_eq!(coarse(4_200), "4s");
        assert_eq!(coarse(64_000), "1m 4s");
        assert_eq!(coarse(3_600_000), "1h 0m");
        assert_eq!(coarse(90_000_000), "1d 1h");
    }
}
