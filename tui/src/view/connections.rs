//! The view Connections: the daemon and the link to it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::theme::Theme;
use super::{fit, put_line};
use crate::age;
use crate::keys::{Action, Mode};
use crate::state::State;

/// Agents whose latency is told.
const FAR: usize = 50;

/// Columns for what a line is about.
const NAMES: usize = 12;

/// How many lines the view can be scrolled.
pub fn scroll(state: &State) -> usize {
    let lines = lines(state, state.size.0.into(), &Theme::plain()).len();
    lines.saturating_sub(usize::from(state.size.1.saturating_sub(2)))
}

/// Draws the view into `area`.
pub(super) fn draw(state: &State, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let lines = lines(state, area.width.into(), theme);
    let first = state
        .connections
        .line
        .min(lines.len().saturating_sub(area.height.into()));
    for (line, y) in lines.iter().skip(first).zip(area.top()..area.bottom()) {
        put_line(
            buffer,
            Rect {
                y,
                height: 1,
                ..area
            },
            line,
        );
    }
}

fn lines(state: &State, width: usize, theme: &Theme) -> Vec<Line<'static>> {
    let row = |name: &str, text: &str| {
        let name = format!(" {name:<NAMES$}");
        let room = width.saturating_sub(NAMES + 2);
        Line::from(vec![
            Span::styled(name, theme.dim()),
            Span::raw(fit(text, room)),
        ])
    };
    let heading = |text: &'static str| Line::styled(text, theme.strong());
    let (grade, label) = state.connection.label(state.now);
    let mut lines = vec![heading(" Link")];
    lines.push(Line::from(vec![
        Span::styled(format!(" {:<NAMES$}", "state"), theme.dim()),
        Span::styled(label, theme.grade(grade)),
    ]));
    if let Some(trouble) = state.connection.trouble() {
        lines.push(row("because", trouble));
    }
    if let Some(key) = state
        .keys
        .shown(Mode::Connections, Action::Reconnect)
        .filter(|_| state.connection.offers_reconnect())
    {
        lines.push(row("", &format!("{key} connects again now")));
    }
    lines.push(Line::default());
    lines.push(heading(" Daemon"));
    lines.push(row("endpoint", &state.endpoint));
    if let Some(daemon) = &state.daemon {
        let own = env!("CARGO_PKG_VERSION");
        let version = if daemon.server_version == own {
            own.to_owned()
        } else {
            format!("{} (this console: {own})", daemon.server_version)
        };
        lines.push(row("version", &version));
        if let Some(started) = daemon.started_at {
            lines.push(row("up for", &age::text(started, state.now)));
        }
        lines.push(row("epoch", &daemon.epoch));
        let rights = &daemon.rights;
        let role = rights.role.as_str();
        lines.push(row(
            "you are",
            &format!(
                "{}, {role}, connection {}",
                rights.subject, daemon.client_id
            ),
        ));
    }
    let now = state.connections.before;
    let rate = format!(
        "{} messages/s, {}/s of output",
        now.messages,
        size(now.bytes)
    );
    lines.push(row("comes here", &rate));
    others(state, width, theme, &mut lines);
    latencies(state, width, theme, &mut lines);
    lines
}

/// Who else is connected, and what they watch.
fn others(state: &State, width: usize, theme: &Theme, lines: &mut Vec<Line<'static>>) {
    let known = state.connections.others.as_ref();
    let Some(list) = known.filter(|_| state.connection.is_connected()) else {
        return;
    };
    let more = if list.more { " and more" } else { "" };
    let count = list.connections.len();
    lines.push(Line::default());
    lines.push(Line::styled(
        format!(" Watching now: {count}{more}"),
        theme.strong(),
    ));
    for other in &list.connections {
        let own = state
            .daemon
            .as_ref()
            .is_some_and(|daemon| daemon.client_id == other.client_id);
        let you = if own { " (you)" } else { "" };
        let hidden = (other.subscriptions as usize).saturating_sub(other.channels.len());
        let more = if hidden > 0 {
            format!(" and {hidden} more")
        } else {
            String::new()
        };
        let text = format!(
            " {:<6} {:<10} {:<20} {:>4}  {}{more}",
            other.client_id,
            other.client,
            format!("{} {}{you}", other.subject, other.role.as_str()),
            age::text(other.since, state.now),
            other.channels.join(" "),
        );
        lines.push(Line::raw(fit(&text, width)));
    }
}

/// How far the agents are, the farthest first.
fn latencies(state: &State, width: usize, theme: &Theme, lines: &mut Vec<Line<'static>>) {
    let agents = state.fleet.agents().filter(|agent| agent.is_connected());
    let mut far: Vec<(u64, &str)> = agents
        .filter_map(|agent| Some((agent.latency_ms?, agent.agent_id.as_str())))
        .collect();
    if far.is_empty() {
        return;
    }
    far.sort_unstable_by_key(|(ms, name)| (std::cmp::Reverse(*ms), *name));
    lines.push(Line::default());
    lines.push(Line::styled(
        " Agents, the slowest to answer first",
        theme.strong(),
    ));
    let text = |(ms, name): &(u64, &str)| Line::raw(fit(&format!(" {ms:>6} ms  {name}"), width));
    lines.extend(far.iter().take(FAR).map(text));
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
