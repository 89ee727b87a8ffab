//! The list at the side: agents, or the commands of one.

use opsctl_protocol::message::{AgentInfo, CommandSummary};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::theme::Theme;
use super::{fit, put_line};
use crate::age;
use crate::state::fleet::{Doing, current, host};
use crate::state::{Focus, State};

/// Lists at least this high show two lines for each agent.
const ROOMY: u16 = 8;

/// Draws the list into `area`.
pub(super) fn draw(state: &State, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let (title, rows) = if state.list.commands {
        commands(state)
    } else {
        agents(state)
    };
    let focused = state.focus == Focus::List;
    let bar = Rect { height: 1, ..area };
    let bar_style = if focused {
        theme.focused_bar()
    } else {
        theme.bar()
    };
    let body = if area.height > 2 {
        buffer.set_style(bar, bar_style);
        put_line(buffer, bar, &Line::raw(fit(&title, area.width.into())));
        Rect {
            y: area.y + 1,
            height: area.height - 1,
            ..area
        }
    } else {
        area
    };
    let each = if body.height >= ROOMY && body.width >= 16 {
        2
    } else {
        1
    };
    let fitting = usize::from(body.height / each).max(1);
    let selected = rows.iter().position(|row| row.selected).unwrap_or(0);
    // The selection stays in the middle where the list is longer than the screen.
    let first = selected
        .saturating_sub(fitting / 2)
        .min(rows.len().saturating_sub(fitting));
    for (at, row) in rows.iter().skip(first).take(fitting).enumerate() {
        let y = body.y + at as u16 * each;
        let height = each.min(body.bottom().saturating_sub(y));
        let item = Rect { y, height, ..body };
        put_line(
            buffer,
            Rect { height: 1, ..item },
            &row.first(state, item.width, theme, each == 1),
        );
        if height > 1 {
            put_line(
                buffer,
                Rect {
                    y: y + 1,
                    height: 1,
                    ..item
                },
                &row.second(state, item.width, theme),
            );
        }
        if row.selected {
            buffer.set_style(Rect { height: 1, ..item }, theme.selected(focused));
        }
    }
    if rows.is_empty() {
        let text = empty(state);
        put_line(
            buffer,
            Rect { height: 1, ..body },
            &Line::styled(fit(text, body.width.into()), theme.dim()),
        );
    }
}

fn empty(state: &State) -> &'static str {
    if !state.list.filter.is_empty() {
        " nothing has these words"
    } else if state.list.commands {
        " no commands yet; r runs one"
    } else if state.fleet.known {
        " no agents yet"
    } else {
        " waiting for the daemon"
    }
}

struct Row<'a> {
    item: Item<'a>,
    selected: bool,
}

enum Item<'a> {
    Agent(&'a AgentInfo),
    Command(&'a CommandSummary),
}

fn agents(state: &State) -> (String, Vec<Row<'_>>) {
    let rows: Vec<Row<'_>> = state
        .fleet
        .agents(&state.list.filter)
        .map(|agent| Row {
            item: Item::Agent(agent),
            selected: state.list.agent.as_ref() == Some(&agent.agent_id),
        })
        .collect();
    (title(state, "agents", rows.len()), rows)
}

fn commands(state: &State) -> (String, Vec<Row<'_>>) {
    let rows: Vec<Row<'_>> = state
        .listed_commands()
        .into_iter()
        .map(|command| Row {
            item: Item::Command(command),
            selected: state.list.command == Some(command.command_id),
        })
        .collect();
    let agent = state
        .list
        .agent
        .as_ref()
        .map_or("?", |agent| agent.as_str());
    (
        title(state, &format!("{agent} › commands"), rows.len()),
        rows,
    )
}

fn title(state: &State, what: &str, count: usize) -> String {
    if state.list.filter.is_empty() {
        format!(" {what} ({count})")
    } else {
        format!(" {what} ({count}) /{}", state.list.filter)
    }
}

impl Row<'_> {
    fn first(&self, state: &State, width: u16, theme: &Theme, alone: bool) -> Line<'static> {
        let width = usize::from(width);
        match self.item {
            Item::Agent(agent) => {
                let doing = Doing::of(agent);
                let sign = format!(" {} {:<8}", doing.glyph(), doing.word());
                let seen = if agent.is_connected() {
                    agent
                        .latency_ms
                        .map_or_else(String::new, |ms| format!("{ms} ms "))
                } else {
                    format!("{} ago ", age::text(agent.last_seen, state.now))
                };
                let mut name = agent.agent_id.to_string();
                if let Some(command) = current(agent).filter(|_| alone) {
                    name = format!("{name}  {}", command.program);
                }
                let room = width.saturating_sub(sign.width() + seen.width() + 1);
                let name = fit(&name, room);
                let gap = width.saturating_sub(sign.width() + name.width() + seen.width());
                Line::from(vec![
                    Span::styled(sign, theme.doing(doing)),
                    Span::styled(name, theme.strong()),
                    Span::raw(" ".repeat(gap)),
                    Span::styled(seen, theme.dim()),
                ])
            }
            Item::Command(command) => {
                let (word, style) = theme.command(command);
                let sign = format!(" {word:<11}");
                let program = fit(
                    &command.program.to_string(),
                    width.saturating_sub(sign.width() + 1),
                );
                Line::from(vec![
                    Span::styled(sign, style),
                    Span::raw(" "),
                    Span::styled(program, theme.strong()),
                ])
            }
        }
    }

    fn second(&self, state: &State, width: u16, theme: &Theme) -> Line<'static> {
        let text = match self.item {
            Item::Agent(agent) => {
                let mut parts = Vec::new();
                if let Some(command) = current(agent) {
                    parts.push(format!("$ {}", command.program));
                }
                let host = host(agent);
                if !host.is_empty() && host != agent.agent_id.as_str() {
                    parts.push(host.to_owned());
                }
                parts.extend(
                    agent
                        .labels
                        .iter()
                        .map(|(key, value)| format!("{key}={value}")),
                );
                parts.join("  ")
            }
            Item::Command(command) => {
                let mut parts = vec![command.command_id.short()];
                if let (Some(started), Some(ended)) = (command.started_at, command.finished_at) {
                    parts.push(age::duration(ended.0.saturating_sub(started.0)));
                }
                parts.push(format!("{} ago", age::text(command.created_at, state.now)));
                parts.push(format!("by {}", command.requested_by));
                parts.extend(command.reason.clone());
                parts.join("  ")
            }
        };
        Line::styled(fit(&format!("   {text}"), width.into()), theme.dim())
    }
}
