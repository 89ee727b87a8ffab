//! `opsctl status`: is there a daemon, and how is it?

use std::io::Write;

use anyhow::Result;
use clap::Args;
use opsctl_client::{Client, RequestError};
use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{
    Activity, AgentInfo, DaemonQuery, DaemonStatus, ErrorCode, Role, State, ToDashboard, Traffic,
};
use serde::Serialize;

use crate::agents::word;
use crate::connect::{Connection, connect, request_failure};
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::output::size::Size;

/// Say whether the daemon can be reached, and what it has
///
/// With --json, `daemon` in the document is what the daemon says of itself: version, agents by state, dashboards, what goes
/// over all connections in a second, the queue, and what log, database and disk have. docs/operations.md lists it.
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
    /// Absent where the daemon is older than the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<DaemonStatus>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentLine {
    name: String,
    connected: bool,
    /// What it is doing, or `offline`.
    doing: &'static str,
    /// Running or waiting on it.
    commands: usize,
}

/// How many commands are under way.
#[derive(Debug, Default, Serialize)]
struct Commands {
    queued: u64,
    running: u64,
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
    // From here on only the answer is wanted; whoever holds events unread would hold the answer back.
    drop(events);
    let daemon = ask_daemon(&client, context).await?;
    client.close().await;
    let commands = match &daemon {
        Some(daemon) => Commands {
            queued: daemon.queue.queued + daemon.queue.delivered,
            running: daemon.queue.running,
        },
        None => Commands::of(&agents),
    };
    Ok(Status {
        endpoint: context.settings.endpoint().to_string(),
        version: connected.server_version,
        uptime_ms: connected
            .started_at
            .map(|since| Timestamp::now().0.saturating_sub(since.0)),
        role: connected.rights.role,
        subject: connected.rights.subject,
        agents: agents.iter().map(AgentLine::new).collect(),
        commands,
        daemon,
    })
}

/// What the daemon says of itself; none from one that doesn't know the question.
async fn ask_daemon(client: &Client, context: &Context) -> Result<Option<DaemonStatus>> {
    match client.request(DaemonQuery {}).await {
        Ok(ToDashboard::DaemonStatus(status)) => Ok(Some(status)),
        Ok(_) => anyhow::bail!("the daemon answered the question how it is with something else"),
        Err(RequestError::Refused(error)) if error.code == ErrorCode::UnknownType => Ok(None),
        Err(error) => Err(request_failure(context, error).into()),
    }
}

impl Commands {
    /// As far as the list of agents shows them.
    fn of(agents: &[AgentInfo]) -> Self {
        let mut commands = Self::default();
        for command in agents.iter().flat_map(|agent| &agent.commands) {
            match command.state {
                State::Running => commands.running += 1,
                _ => commands.queued += 1,
            }
        }
        commands
    }
}

impl AgentLine {
    fn new(agent: &AgentInfo) -> Self {
        Self {
            name: agent.agent_id.to_string(),
            connected: agent.is_connected(),
            doing: word(agent),
            commands: agent.commands.len(),
        }
    }
}

fn print(out: &mut impl Write, status: &Status, context: &Context) -> Result<()> {
    let uptime = status
        .uptime_ms
        .map_or(String::new(), |ms| format!(", up {}", coarse(ms)));
    let mut row = |name: &str, text: &str| writeln!(out, "{name:<11} {text}");
    let at = format!("{} at {}{uptime}", status.version, status.endpoint);
    row("daemon", &at)?;
    row("you", &format!("{} ({})", status.role, status.subject))?;
    let connected = status.agents.iter().filter(|agent| agent.connected).count();
    let offline = status.agents.len() - connected;
    let doing = activities(&status.agents);
    let counts = format!("{connected} connected, {offline} offline{doing}");
    row("agents", &counts)?;
    for agent in &status.agents {
        let commands = match agent.commands {
            1 => "1 command".to_owned(),
            several => format!("{several} commands"),
        };
        let line = format!("  {:<24} {}, {commands}", agent.name, agent.doing);
        row("", &line)?;
    }
    let Commands { queued, running } = status.commands;
    row("commands", &format!("{running} running, {queued} waiting"))?;
    if let Some(daemon) = &status.daemon {
        row("dashboards", &daemon.dashboards.to_string())?;
        let (received, sent) = (rate(&daemon.received), rate(&daemon.sent));
        row("traffic", &format!("in {received}; out {sent}"))?;
        let log = &daemon.log;
        let (bytes, max) = (Size(log.bytes), Size(log.max_bytes));
        row("output log", &format!("{bytes} of at most {max}"))?;
        if let Some(trouble) = &log.trouble {
            row("", trouble)?;
        }
        if let Some(bytes) = daemon.store_bytes {
            row("database", &Size(bytes).to_string())?;
        }
        if let Some(disk) = daemon.disk {
            let (free, total) = (Size(disk.free_bytes), Size(disk.total_bytes));
            row("disk", &format!("{free} free of {total}"))?;
        }
        if let Some(state_dir) = &daemon.state_dir {
            row("state", &format!("{state_dir} (the daemon's)"))?;
        }
    }
    let settings = context
        .settings
        .file()
        .map_or("defaults".into(), |file| file.display().to_string());
    row("settings", &format!("{settings} (this command's)"))?;
    Ok(())
}

/// How many agents do what, those first that need a person most.
fn activities(agents: &[AgentLine]) -> String {
    let count = |word: &str| agents.iter().filter(|agent| agent.doing == word).count();
    let counts = Activity::ALL.map(|activity| (activity, count(activity.as_str())));
    let some = counts.iter().filter(|(_, count)| *count > 0);
    let words: Vec<String> = some
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    if words.is_empty() {
        return String::new();
    }
    format!(" ({})", words.join(", "))
}

fn rate(traffic: &Traffic) -> String {
    let bytes = Size(traffic.bytes_per_second);
    format!("{} messages/s, {bytes}/s", traffic.messages_per_second)
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
