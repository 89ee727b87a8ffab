//! What stands in the place of the panes while none is open: the selected agent's terminal as it is now, and what is
//! known of the agent.

use opsctl_protocol::message::{ActivitySource, AgentInfo, CommandSummary, State as CommandState};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::cells::{self, Kept};
use super::pane::size;
use super::theme::Theme;
use super::{ending, first_steps, fit, put_line};
use crate::age;
use crate::layout::inner;
use crate::state::State;
use crate::state::fleet::age as since;

/// Rows that what is known of the agent takes below its terminal, with a title and a blank.
const CARD: u16 = 6;

/// From so many rows on both are shown.
const ROOMY: u16 = 20;

/// Columns for what a line of the card is about.
const NAMES: usize = 8;

/// Draws the preview into `area`.
pub(super) fn draw(state: &State, area: Rect, theme: &Theme, kept: &mut Kept, buffer: &mut Buffer) {
    let command = state.glanced_command();
    let command = command.and_then(|command| state.summary(&command));
    let agent = state.list.agent.as_ref();
    let agent = agent.and_then(|agent| state.fleet.get(agent));
    match (command, agent) {
        (Some(command), Some(agent)) if area.height >= ROOMY => {
            let rows = [Constraint::Fill(1), Constraint::Length(CARD)];
            let [screen, below] = Layout::vertical(rows).areas(area);
            terminal(state, command, screen, theme, kept, buffer);
            card(state, agent, below, theme, buffer);
        }
        (Some(command), _) => terminal(state, command, area, theme, kept, buffer),
        (None, Some(agent)) if area.height >= ROOMY => {
            let rows = [Constraint::Length(CARD), Constraint::Fill(1)];
            let [above, steps] = Layout::vertical(rows).areas(area);
            card(state, agent, above, theme, buffer);
            first_steps::draw(state, steps, theme, buffer);
        }
        (None, _) => first_steps::draw(state, area, theme, buffer),
    }
}

/// The terminal of a command below its title. It is cut where it is larger, and keeps its size.
fn terminal(
    state: &State,
    command: &CommandSummary,
    area: Rect,
    theme: &Theme,
    kept: &mut Kept,
    buffer: &mut Buffer,
) {
    let screen = state.glanced_screen();
    let title = screen
        .and_then(|pane| pane.screen.title().map(str::to_owned))
        .filter(|title| !title.is_empty())
        .unwrap_or_else(|| command.program.to_string());
    let body = inner(area);
    let size = match screen {
        Some(pane) if command.pty => {
            let window = pane.tail(body.height);
            format!(" {}", size(pane, window, body))
        }
        _ => String::new(),
    };
    let right = format!(" preview{size} ");
    let width = usize::from(area.width);
    let left = format!(" {}  {title}", ending(command));
    let left = fit(&left, width.saturating_sub(right.width()));
    let gap = width.saturating_sub(left.width() + right.width());
    bar(
        &format!("{left}{}{right}", " ".repeat(gap)),
        area,
        theme,
        buffer,
    );
    if let Some(pane) = screen {
        cells::tail(pane, body, theme, kept, buffer);
    }
    if let (CommandState::Queued, Some(place)) = (command.state, command.queue_position) {
        let text = format!(" it waits for its turn: place {place} in the queue");
        let text = fit(&text, body.width.into());
        put_line(buffer, first(body), &Line::styled(text, theme.dim()));
    }
}

fn bar(text: &str, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    buffer.set_style(first(area), theme.bar());
    put_line(
        buffer,
        first(area),
        &Line::raw(fit(text, area.width.into())),
    );
}

fn first(area: Rect) -> Rect {
    Rect {
        height: area.height.min(1),
        ..area
    }
}

/// What is known of an agent.
fn card(state: &State, agent: &AgentInfo, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    bar(&headline(state, agent), area, theme, buffer);
    let body = inner(area);
    let rows = [
        ("host", host(agent)),
        ("in", fact(agent, "cwd").to_owned()),
        ("labels", labels(agent)),
        ("link", link(state, agent)),
    ];
    let known = rows.into_iter().filter(|(_, text)| !text.is_empty());
    for ((name, text), y) in known.zip(body.top()..body.bottom()) {
        let room = usize::from(body.width).saturating_sub(NAMES + 1);
        let line = Line::from(vec![
            Span::styled(format!(" {name:<NAMES$}"), theme.dim()),
            Span::raw(fit(&text, room)),
        ]);
        put_line(
            buffer,
            Rect {
                y,
                height: 1,
                ..body
            },
            &line,
        );
    }
}

/// The agent, what it does, why, since when, and how that is known.
fn headline(state: &State, agent: &AgentInfo) -> String {
    let doing = state.fleet.doing(&agent.agent_id);
    let reason = agent.activity_reason.as_deref();
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    let source = agent.activity_source.map(ActivitySource::as_str);
    let source = source.map_or_else(String::new, |source| format!(" (known by {source})"));
    let age = since(agent).map(|since| format!(", for {}", age::span(since, state.now)));
    let age = age.unwrap_or_default();
    format!(" {}  {}{reason}{source}{age}", agent.agent_id, doing.word())
}

fn fact<'a>(agent: &'a AgentInfo, name: &str) -> &'a str {
    agent.facts.get(name).map_or("", String::as_str)
}

fn host(agent: &AgentInfo) -> String {
    let facts = ["hostname", "os", "arch"].map(|name| fact(agent, name));
    let mut parts: Vec<String> = facts.iter().map(|fact| (*fact).to_owned()).collect();
    parts.retain(|part| !part.is_empty());
    let user = fact(agent, "user");
    if !user.is_empty() {
        parts.push(format!("as {user}"));
    }
    parts.join(" ")
}

fn labels(agent: &AgentInfo) -> String {
    let labels = agent.labels.iter();
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.join(" ")
}

fn link(state: &State, agent: &AgentInfo) -> String {
    let age = age::span(agent.since, state.now);
    match (agent.is_connected(), agent.latency_ms) {
        (false, _) => format!("offline for {age}"),
        (true, Some(ms)) => format!("connected for {age}, answers in {ms} ms"),
        (true, None) => format!("connected for {age}"),
    }
}
