//! The list at the side: agents, or the commands of one.

use opsctl_protocol::CommandId;
use opsctl_protocol::message::CommandSummary;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::theme::Theme;
use super::{fit, put_line};
use crate::age;
use crate::layout::list_body;
use crate::state::{Focus, State};

/// Lists at least this high show two lines for each command.
const ROOMY: u16 = 8;

/// Draws the list into `area`.
pub(super) fn draw(state: &State, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let focused = state.focus == Focus::List;
    let bar = Rect { height: 1, ..area };
    let bar_style = if focused {
        theme.focused_bar()
    } else {
        theme.bar()
    };
    let body = list_body(area);
    if body != area {
        let title = if state.list.commands {
            commands_title(state)
        } else {
            super::fleet::title(state, theme)
        };
        buffer.set_style(bar, bar_style);
        put_line(buffer, bar, &Line::raw(fit(&title, area.width.into())));
    }
    let is_empty = if state.list.commands {
        commands(state, body, theme, buffer)
    } else {
        super::fleet::rows(state, body, theme, buffer);
        state.fleet.roster().listed() == 0
    };
    if is_empty {
        let text = empty(state);
        put_line(
            buffer,
            Rect { height: 1, ..body },
            &Line::styled(fit(text, body.width.into()), theme.dim()),
        );
    }
}

fn empty(state: &State) -> &'static str {
    let filter = if state.list.commands {
        &state.list.command_filter
    } else {
        &state.list.filter
    };
    let (agents, _) = state.fleet.counts();
    let hides = !filter.is_empty() && (state.list.commands || agents > 0);
    if hides {
        " nothing fits the filter; Esc takes it away"
    } else if state.list.commands {
        " no commands yet; r runs one"
    } else if state.fleet.known {
        " no agents yet"
    } else {
        " waiting for the daemon"
    }
}

fn commands_title(state: &State) -> String {
    let count = state.listed_commands().len();
    let agent = state.list.agent.as_ref();
    let agent = agent.map_or("?", |agent| agent.as_str());
    match state.list.command_filter.as_str() {
        "" => format!(" {agent} › commands ({count})"),
        filter => format!(" {agent} › commands ({count}) /{filter}"),
    }
}

/// Draws the commands of an agent. True if there is none.
fn commands(state: &State, body: Rect, theme: &Theme, buffer: &mut Buffer) -> bool {
    let focused = state.focus == Focus::List;
    let rows = state.listed_commands();
    let (first, each) = first_command(state, &rows, body);
    let fitting = usize::from(body.height / each).max(1);
    let is_selected = |command: &CommandSummary| state.list.command == Some(command.command_id);
    for (at, command) in rows.iter().skip(first).take(fitting).enumerate() {
        let y = body.y + at as u16 * each;
        let row = |y| Rect {
            y,
            height: 1.min(body.bottom().saturating_sub(y)),
            ..body
        };
        put_line(buffer, row(y), &first_line(command, body.width, theme));
        if each > 1 {
            let line = second_line(command, state, body.width, theme);
            put_line(buffer, row(y + 1), &line);
        }
        if is_selected(command) {
            buffer.set_style(row(y), theme.selected(focused));
        }
    }
    rows.is_empty()
}

/// The first of the commands that is seen, and the rows of each.
fn first_command(state: &State, rows: &[&CommandSummary], body: Rect) -> (usize, u16) {
    let each = if body.height >= ROOMY && body.width >= 16 {
        2
    } else {
        1
    };
    let fitting = usize::from(body.height / each).max(1);
    let selected = rows
        .iter()
        .position(|command| state.list.command == Some(command.command_id));
    // The selection stays in the middle where the list is longer than the screen.
    let first = selected
        .unwrap_or(0)
        .saturating_sub(fitting / 2)
        .min(rows.len().saturating_sub(fitting));
    (first, each)
}

/// The command in a row of the screen.
pub fn listed_at(state: &State, body: Rect, y: u16) -> Option<CommandId> {
    let rows = state.listed_commands();
    let (first, each) = first_command(state, &rows, body);
    let at = first + usize::from(y.checked_sub(body.y)? / each);
    rows.get(at).map(|command| command.command_id)
}

fn first_line(command: &CommandSummary, width: u16, theme: &Theme) -> Line<'static> {
    let (word, style) = theme.command(command);
    let sign = format!(" {word:<11}");
    let room = usize::from(width).saturating_sub(sign.width() + 1);
    let program = fit(&command.program.to_string(), room);
    Line::from(vec![
        Span::styled(sign, style),
        Span::raw(" "),
        Span::styled(program, theme.strong()),
    ])
}

fn second_line(
    command: &CommandSummary,
    state: &State,
    width: u16,
    theme: &Theme,
) -> Line<'static> {
    let mut parts = vec![command.command_id.short()];
    if let (Some(started), Some(ended)) = (command.started_at, command.finished_at) {
        parts.push(age::duration(ended.0.saturating_sub(started.0)));
    }
    parts.push(format!("{} ago", age::span(command.created_at, state.now)));
    parts.push(format!("by {}", command.requested_by));
    parts.extend(command.reason.clone());
    let text = format!("   {}", parts.join("  "));
    Line::styled(fit(&text, width.into()), theme.dim())
}
