//! `opsctl agents`: the fleet, once or as it changes.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use clap::Args;
use opsctl_client::{Client, ConnState, Event, Events, Options};
use opsctl_protocol::message::{Activity, AgentInfo, State, Subscribe, ToDashboard};
use opsctl_protocol::selector::Selector;
use opsctl_protocol::{AgentId, Pattern, Timestamp};
use serde::Serialize;

use crate::ask::no_connection;
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use crate::output::color::{ColorChoice, Style};
use crate::output::table::{Cell, Column, render, terminal_width};
use crate::output::time::age;

/// List the agents
///
/// With -w it stays and shows every change: on a terminal in place, elsewhere a line each.
#[derive(Debug, Args)]
pub struct AgentsArgs {
    /// Only these: names and globs (web-*), labels (env=prod), not, and, or, parentheses
    #[arg(value_name = "SELECT")]
    select: Vec<String>,
    /// Print one JSON document; with -w a JSON line for each change
    #[arg(long)]
    json: bool,
    /// Stay and show every change
    #[arg(short, long)]
    watch: bool,
    /// Colour states
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorChoice,
}

const COLUMNS: [Column; 7] = [
    Column::fixed("NAME"),
    Column::fixed("STATE"),
    Column::fixed("SINCE"),
    Column::flexible("LABELS"),
    Column::flexible("HOST"),
    Column::flexible("COMMAND"),
    Column::fixed("LAST SEEN"),
];

/// A connection, and the fleet as the daemon listed it at its start.
pub struct Fleet {
    /// For asking.
    pub client: Client,
    /// What came after the list.
    pub events: Events,
    /// Ordered by name.
    pub agents: Vec<AgentInfo>,
    /// When the list was told, by the daemon's clock: what it says of times is to be reckoned from that.
    pub at: Timestamp,
}

/// Connects and takes the list that the daemon gives to every newcomer.
///
/// # Errors
/// There is no connection.
pub async fn fleet(context: &Context, options: Options) -> Result<Fleet, Failure> {
    fleet_of(context, opsctl_client::start(options)).await
}

/// The same over a client that was started.
///
/// # Errors
/// There is no connection.
pub async fn fleet_of(
    context: &Context,
    (client, mut events): (Client, Events),
) -> Result<Fleet, Failure> {
    let mut list = Listing::default();
    let mut was_connected = false;
    loop {
        let event = events.next().await;
        if let Some((agents, at)) = event.as_ref().and_then(|event| list.hear(event)) {
            return Ok(Fleet {
                client,
                events,
                agents,
                at,
            });
        }
        match event {
            Some(Event::Connected(_)) => was_connected = true,
            Some(Event::State(ConnState::Waiting { .. })) if was_connected => {}
            Some(Event::State(state @ (ConnState::Waiting { .. } | ConnState::Refused { .. }))) => {
                return Err(no_connection(context, state));
            }
            Some(_) => {}
            None => return Err(no_connection(context, ConnState::Closed)),
        }
    }
}

/// A list of agents that comes in parts; with every connection it begins anew.
#[derive(Debug, Default)]
struct Listing(Vec<AgentInfo>);

impl Listing {
    /// Returns the whole list with its last part, and when that was told.
    fn hear(&mut self, event: &Event) -> Option<(Vec<AgentInfo>, Timestamp)> {
        match event {
            Event::Connected(_) => self.0.clear(),
            Event::Message(decoded) => {
                let ToDashboard::AgentList(part) = &decoded.message else {
                    return None;
                };
                self.0.extend(part.agents.iter().cloned());
                if !part.more {
                    return Some((std::mem::take(&mut self.0), decoded.header.timestamp));
                }
            }
            _ => {}
        }
        None
    }
}

/// Reads what selects agents, if anything does.
///
/// # Errors
/// It cannot be read.
pub fn selected(text: Option<&str>) -> Result<Option<Selector>, Failure> {
    let read = |text: &str| {
        let selector = text.parse::<Selector>();
        selector.map_err(|error| Failure::new(ExitCode::Usage, format!("{text:?}: {error}")))
    };
    text.map(read).transpose()
}

/// Says that what selects agents covers none, and returns the code to exit with.
pub fn no_match(select: &[String]) -> u8 {
    eprintln!("opsctl: no agent matches {:?}", select.join(" "));
    ExitCode::NoMatch.into()
}

/// Lists, and watches where asked to.
pub async fn run(args: AgentsArgs, context: &Context) -> Result<u8> {
    let text = (!args.select.is_empty()).then(|| args.select.join(" "));
    let selector = selected(text.as_deref())?;
    let Fleet {
        client,
        events,
        agents,
        ..
    } = fleet(context, context.client("agents")?).await?;
    let mut view = View::new(&args, selector);
    view.replace(agents);
    if args.watch {
        return watch(view, client, events, context).await;
    }
    view.print_all()?;
    Ok(if view.agents.is_empty() && view.selector.is_some() {
        no_match(&args.select)
    } else {
        ExitCode::Ok.into()
    })
}

async fn watch(
    mut view: View,
    client: Client,
    mut events: Events,
    context: &Context,
) -> Result<u8> {
    let subscribe = Subscribe {
        channel: Pattern::new("agent:*")?,
        since: None,
        lossless: false,
        no_output: true,
    };
    // Asked beside the events, which the answer may be behind.
    tokio::spawn(async move {
        if client.subscribe(subscribe).await.is_ok() {
            // The connection ends with its last handle.
            std::future::pending::<()>().await;
        }
    });
    view.redraw()?;
    let mut list = Listing::default();
    while let Some(event) = events.next().await {
        if let Some((agents, _)) = list.hear(&event) {
            view.merge(&agents)?;
        }
        match event {
            Event::Message(decoded) => match decoded.message {
                ToDashboard::AgentStatus(agent) => view.update(&agent)?,
                ToDashboard::AgentConnected(connected) => view.update(&connected.agent)?,
                ToDashboard::AgentDisconnected(disconnected) => view.update(&disconnected.agent)?,
                ToDashboard::AgentForgotten(forgotten) => view.remove(&forgotten.agent_id)?,
                ToDashboard::Status(status) => {
                    if let Some(agent) = view.apply(&status) {
                        view.update(&agent)?;
                    }
                }
                _ => {}
            },
            Event::State(state @ ConnState::Refused { .. }) => {
                return Err(no_connection(context, state).into());
            }
            Event::State(ConnState::Waiting {
                reason, attempt: 1, ..
            }) => {
                eprintln!("opsctl: the connection to the daemon was lost ({reason}); reconnecting");
            }
            _ => {}
        }
    }
    Ok(ExitCode::Ok.into())
}

/// What is shown, and how.
struct View {
    selector: Option<Selector>,
    agents: BTreeMap<AgentId, AgentInfo>,
    json: bool,
    color: bool,
    /// Redrawn in place rather than line by line.
    in_place: bool,
    /// Lines of the last drawing.
    drawn: usize,
}

/// An agent in `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    agents: Vec<&'a AgentInfo>,
}

impl View {
    fn new(args: &AgentsArgs, selector: Option<Selector>) -> Self {
        let stdout = io::stdout();
        Self {
            selector,
            agents: BTreeMap::new(),
            json: args.json,
            color: args.color.on(&stdout),
            in_place: args.watch && !args.json && stdout.is_terminal(),
            drawn: 0,
        }
    }

    fn covers(&self, agent: &AgentInfo) -> bool {
        self.selector
            .as_ref()
            .is_none_or(|selector| selector.matches(&agent.agent_id, &agent.labels))
    }

    fn replace(&mut self, agents: Vec<AgentInfo>) {
        let covered = agents.into_iter().filter(|agent| self.covers(agent));
        self.agents = covered
            .map(|agent| (agent.agent_id.clone(), agent))
            .collect();
    }

    /// A copy of the state: only what it changes is a change.
    fn merge(&mut self, agents: &[AgentInfo]) -> io::Result<()> {
        agents.iter().try_for_each(|agent| self.update(agent))
    }

    fn update(&mut self, agent: &AgentInfo) -> io::Result<()> {
        if !self.covers(agent) {
            return Ok(());
        }
        let before = self.agents.insert(agent.agent_id.clone(), agent.clone());
        if before
            .as_ref()
            .is_some_and(|before| looks_same(before, agent))
        {
            return Ok(());
        }
        if self.in_place {
            self.redraw()
        } else {
            self.print_change(agent)
        }
    }

    /// An agent is no longer there; line by line, its last line stands.
    fn remove(&mut self, agent_id: &AgentId) -> io::Result<()> {
        self.agents.remove(agent_id);
        if self.in_place { self.redraw() } else { Ok(()) }
    }

    /// A command's state changes what its agent is seen to do.
    fn apply(&self, status: &opsctl_protocol::message::CommandStatus) -> Option<AgentInfo> {
        let summary = status.command.as_ref()?;
        let mut agent = self.agents.get(&summary.agent_id)?.clone();
        agent
            .commands
            .retain(|command| command.command_id != status.command_id);
        if !status.state.is_final() {
            agent.commands.push(summary.as_ref().clone());
            agent.commands.sort_by_key(|command| command.created_at);
        }
        agent.last_seen = agent.last_seen.max(Timestamp::now());
        Some(agent)
    }

    fn print_all(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            let document = Document {
                agents: self.agents.values().collect(),
            };
            serde_json::to_writer_pretty(&mut out, &document)?;
            writeln!(out)
        } else {
            let rows: Vec<Vec<Cell>> = self.agents.values().map(row).collect();
            out.write_all(render(&COLUMNS, &rows, terminal_width(), self.color).as_bytes())
        }
    }

    fn print_change(&self, agent: &AgentInfo) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, agent)?;
            writeln!(out)?;
        } else {
            let text = render(&COLUMNS, &[row(agent)], None, self.color);
            // The heading came with the first drawing.
            out.write_all(
                text.split_inclusive('\n')
                    .skip(1)
                    .collect::<String>()
                    .as_bytes(),
            )?;
        }
        out.flush()
    }

    /// Draws everything: over the last drawing on a terminal, else once.
    fn redraw(&mut self) -> io::Result<()> {
        if self.json {
            return self
                .agents
                .values()
                .try_for_each(|agent| self.print_change(agent));
        }
        let rows: Vec<Vec<Cell>> = self.agents.values().map(row).collect();
        let mut text = render(&COLUMNS, &rows, terminal_width(), self.color);
        if self.in_place {
            // What does not fit would scroll, and the next drawing would miss its place.
            let height = rustix::termios::tcgetwinsize(rustix::stdio::stdout())
                .map_or(usize::MAX, |size| usize::from(size.ws_row.max(2)) - 1);
            text = text.split_inclusive('\n').take(height).collect();
            let up = if self.drawn > 0 {
                format!("\x1b[{}A", self.drawn)
            } else {
                String::new()
            };
            self.drawn = text.lines().count();
            text = format!("\x1b[?2026h{up}\r\x1b[J{text}\x1b[?2026l");
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// Whether a person would see no difference but the clock.
fn looks_same(a: &AgentInfo, b: &AgentInfo) -> bool {
    let commands = |agent: &AgentInfo| -> Vec<(opsctl_protocol::CommandId, State)> {
        agent
            .commands
            .iter()
            .map(|command| (command.command_id, command.state))
            .collect()
    };
    let doing = |agent: &AgentInfo| (agent.activity, agent.activity_reason.clone());
    (a.status, doing(a), &a.labels, &a.facts, commands(a))
        == (b.status, doing(b), &b.labels, &b.facts, commands(b))
}

/// What it is doing, in the words of the contract; the console tells the same.
pub fn word(agent: &AgentInfo) -> &'static str {
    agent.doing().map_or("offline", Activity::as_str)
}

fn row(agent: &AgentInfo) -> Vec<Cell> {
    let now = Timestamp::now();
    let labels: Vec<String> = agent
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let host = agent.facts.get("hostname").cloned().unwrap_or_default();
    let style = match agent.doing() {
        None | Some(Activity::Error) => Style::Bad,
        Some(Activity::Blocked) => Style::Warn,
        Some(_) => Style::Good,
    };
    let state = match agent.activity_reason.as_deref() {
        Some(reason) if agent.doing().is_some() => format!("{}: {reason}", word(agent)),
        _ => word(agent).to_owned(),
    };
    vec![
        agent.agent_id.as_str().into(),
        Cell::styled(state, style),
        age(agent.since, now).into(),
        labels.join(",").into(),
        host.into(),
        command(agent).into(),
        if agent.is_connected() {
            "now".to_owned()
        } else {
            age(agent.last_seen, now)
        }
        .into(),
    ]
}

/// What it runs: the newest, and how many more.
fn command(agent: &AgentInfo) -> String {
    let running: Vec<_> = agent
        .commands
        .iter()
        .filter(|command| command.state == State::Running)
        .collect();
    match &running[..] {
        [] => String::new(),
        [one] => one.program.to_string(),
        [more @ .., newest] => format!("{} (+{})", newest.program, more.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opsctl_protocol::codec::{Decoded, Header};
    use opsctl_protocol::message::{AgentList, Connected, LimitsInfo};
    use serde_json::json;

    fn part(name: &str, more: bool) -> Event {
        let agent = json!({"agentId": name, "status": "connected", "since": 1, "lastSeen": 1});
        let agents = vec![serde_json::from_value(agent).unwrap()];
        Event::Message(Box::new(Decoded {
            header: Header::default(),
            message: AgentList { agents, more }.into(),
        }))
    }

    fn connected() -> Event {
        let daemon: Connected = serde_json::from_value(json!({
            "clientId": "1",
            "serverVersion": "0.1.0",
            "epoch": "e",
            "heartbeatMs": 15_000,
            "limits": LimitsInfo::default(),
            "rights": {"role": "viewer", "subject": "alice"},
        }))
        .unwrap();
        Event::Connected(daemon)
    }

    #[test]
    fn a_list_that_was_cut_off_is_no_part_of_the_next() {
        let mut list = Listing::default();
        let mut hear = |event| list.hear(&event).map(|(agents, _)| agents);
        for event in [
            connected(),
            part("gone", true),
            connected(),
            part("a", true),
        ] {
            assert!(hear(event).is_none());
        }
        let agents = hear(part("b", false)).unwrap();
        let names: Vec<&str> = agents.iter().map(|agent| agent.agent_id.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
