//! Who else is connected: dashboards and agents, from where, and how much goes over each connection.

use opsctl_protocol::message::{AgentConnection, ConnectionInfo, Traffic};
use ratatui::style::Style;
use ratatui::text::Line;

use super::fit;
use super::table::{Column, cells_line};
use super::theme::Theme;
use crate::age;
use crate::keys::{Action, Mode};
use crate::state::State;

/// Connections of either kind that are shown; sorting brings the others up.
const SHOWN: usize = 200;

/// Columns of the terminal from which on there is room for where connections come from, and for everything.
const ADDRESSES_FROM: u16 = 80;
const ALL_FROM: u16 = 110;

/// Columns that rates take: `12345/s 999.9 KiB/s`.
const RATE: u16 = 19;

/// Columns that an address takes: an IPv4 address with its port.
const ADDRESS: u16 = 21;

/// The lines of both tables; none where nobody has told, or may tell, who is there.
pub(super) fn lines(state: &State, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    if !state.connection.is_connected() {
        return Vec::new();
    }
    let Some(list) = &state.connections.others else {
        return latencies(state, width, theme);
    };
    let connections = &state.connections;
    let more = if list.more { " and more" } else { "" };
    let mut lines = Vec::new();
    let mut table = |what: &str, columns: &[Column], rows: Vec<Vec<String>>| {
        let key = state.keys.shown(Mode::Connections, Action::Sort);
        let key = key.map_or(String::new(), |key| format!(" ({key})"));
        let count = rows.len();
        let title = format!(" {what}: {count}{more}, {}{key}", connections.order.words());
        lines.push(Line::default());
        lines.push(Line::styled(fit(&title, width.into()), theme.strong()));
        let row = |cells: Vec<String>, style: Style| {
            cells_line(columns, cells.into_iter().map(|text| (text, style)), width)
        };
        let names = columns.iter().map(|(name, _)| (*name).to_owned());
        lines.push(row(names.collect(), theme.dim()));
        let shown = rows.into_iter().take(SHOWN);
        lines.extend(shown.map(|cells| row(cells, Style::new())));
        if count > SHOWN {
            let rest = format!(" and {} more", count - SHOWN);
            lines.push(Line::styled(rest, theme.dim()));
        }
    };
    let of_dashboard = |it: &&ConnectionInfo| dashboard(state, it, width);
    let rows = connections.dashboards().iter().map(of_dashboard).collect();
    table("Dashboards", &columns(&DASHBOARDS, width), rows);
    let of_agent = |it: &&AgentConnection| agent(state, it, width);
    let agents: Vec<_> = connections.agents().iter().map(of_agent).collect();
    if !agents.is_empty() {
        table("Agents", &columns(&AGENTS, width), agents);
    }
    lines
}

/// The columns in their order, and from which width on each of them is shown.
type Columns = [(Column, u16); 7];

const DASHBOARDS: Columns = [
    (("WHO", 24), 0),
    (("PROGRAM", 13), ALL_FROM),
    (("FROM", ADDRESS), ADDRESSES_FROM),
    (("FOR", 4), ALL_FROM),
    (("SENDS", RATE), ADDRESSES_FROM),
    (("GETS", RATE), 0),
    (("WATCHES", 0), ALL_FROM),
];

const AGENTS: Columns = [
    (("AGENT", 24), 0),
    (("LATENCY", 13), ALL_FROM),
    (("FROM", ADDRESS), ADDRESSES_FROM),
    (("FOR", 4), ALL_FROM),
    (("SENDS", RATE), 0),
    (("GETS", RATE), ADDRESSES_FROM),
    (("", 0), ALL_FROM),
];

/// What of a row is shown at this width.
fn visible<T>(all: impl IntoIterator<Item = (T, u16)>, width: u16) -> Vec<T> {
    let wide = all.into_iter().filter(|(_, from)| width >= *from);
    wide.map(|(one, _)| one).collect()
}

fn columns(all: &Columns, width: u16) -> Vec<Column> {
    let mut columns = visible(*all, width);
    // The name takes what is left, unless there is room for what is watched.
    if width < ALL_FROM
        && let Some((_, first)) = columns.first_mut()
    {
        *first = 0;
    }
    columns
}

fn cells(texts: [String; 7], like: &Columns, width: u16) -> Vec<String> {
    visible(texts.into_iter().zip(like.map(|(_, from)| from)), width)
}

fn dashboard(state: &State, it: &ConnectionInfo, width: u16) -> Vec<String> {
    let is_own = |id: &str| state.daemon.as_ref().is_some_and(|it| it.client_id == id);
    let you = if is_own(&it.client_id) { " (you)" } else { "" };
    let hidden = (it.subscriptions as usize).saturating_sub(it.channels.len());
    let more = if hidden > 0 {
        format!(" and {hidden} more")
    } else {
        String::new()
    };
    let texts = [
        format!("{} {}{you}", it.subject, it.role.as_str()),
        it.client.clone(),
        it.address.clone(),
        age::text(it.since, state.now),
        rate(&it.received),
        rate(&it.sent),
        format!("{}{more}", it.channels.join(" ")),
    ];
    cells(texts, &DASHBOARDS, width)
}

fn agent(state: &State, it: &AgentConnection, width: u16) -> Vec<String> {
    let latency = it.latency_ms;
    let texts = [
        it.agent_id.to_string(),
        latency.map_or(String::new(), |ms| format!("{ms:>6} ms")),
        it.address.clone(),
        age::text(it.since, state.now),
        rate(&it.received),
        rate(&it.sent),
        String::new(),
    ];
    cells(texts, &AGENTS, width)
}

/// How far the agents are, the farthest first, for those who may not know more of their connections.
fn latencies(state: &State, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let agents = state.fleet.agents().filter(|agent| agent.is_connected());
    let mut far: Vec<(u64, &str)> = agents
        .filter_map(|agent| Some((agent.latency_ms?, agent.agent_id.as_str())))
        .collect();
    if far.is_empty() {
        return Vec::new();
    }
    far.sort_unstable_by_key(|(ms, name)| (std::cmp::Reverse(*ms), *name));
    let title = " Agents, the slowest to answer first";
    let text =
        |(ms, name): &(u64, &str)| Line::raw(fit(&format!(" {ms:>6} ms  {name}"), width.into()));
    let mut lines = vec![Line::default(), Line::styled(title, theme.strong())];
    lines.extend(far.iter().take(SHOWN).map(text));
    lines
}

/// Messages and bytes in a second; nothing where nothing goes.
fn rate(traffic: &Traffic) -> String {
    if traffic.messages_per_second == 0 && traffic.bytes_per_second == 0 {
        return String::new();
    }
    format!(
        "{}/s {}/s",
        traffic.messages_per_second,
        size(traffic.bytes_per_second)
    )
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
