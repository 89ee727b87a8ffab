//! The view Commands.

use opsctl_protocol::message::{CommandSummary, State as CommandState};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::table::{self, Column};
use super::theme::Theme;
use super::{fit, put_line};
use crate::age;
use crate::state::State;
use crate::state::commands::History;
use crate::state::listing::Stage;

/// From these columns and rows on the selected command is told whole below the list.
const DETAIL: (u16, u16) = (60, 12);

/// Draws the view into `area`.
pub(super) fn draw(state: &State, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let listing = state.fleet.listing();
    let body = table::title(&heading(state), area, theme, buffer);
    let (mut list, detail) = divide(body);
    let columns = columns(area.width);
    list = table::headings(columns, list, theme, buffer);
    let selected = state.command_at().unwrap_or(0);
    // Only those that are seen are looked at.
    let first = table::first(list, listing.len(), selected);
    let mut commands = state.all_commands().skip(first);
    table::rows(list, listing.len(), selected, |at, row| {
        let Some(command) = commands.next() else {
            return;
        };
        let cells = columns
            .iter()
            .map(|(name, _)| cell(state, command, name, theme));
        put_line(buffer, row, &table::cells_line(columns, cells, row.width));
        if at == selected {
            buffer.set_style(row, theme.selected(true));
        }
    });
    if listing.is_empty() && list.height > 0 {
        let text = match state.commands.history {
            History::Unasked | History::Loading => " loading …",
            _ if !state.commands.filter.is_empty() => {
                " no command fits the filter; Esc takes it away"
            }
            _ => " no commands yet; r in the fleet runs one",
        };
        put_line(
            buffer,
            Rect { height: 1, ..list },
            &Line::styled(fit(text, list.width.into()), theme.dim()),
        );
    }
    if let (Some(area), Some(command)) = (detail, state.selected_command()) {
        draw_detail(state, command, area, theme, buffer);
    }
}

/// The list with its headings, and what is told of the selected command.
fn divide(body: Rect) -> (Rect, Option<Rect>) {
    if body.width < DETAIL.0 || body.height < DETAIL.1 {
        return (body, None);
    }
    let (list, detail) = (body.height - 3, 3);
    let below = Rect {
        y: body.y + list,
        height: detail,
        ..body
    };
    (
        Rect {
            height: list,
            ..body
        },
        Some(below),
    )
}

/// Where the rows are, how many there are, and which is selected.
pub(super) fn rows(state: &State, area: Rect) -> (Rect, usize, usize) {
    let (list, _) = divide(table::below_title(area));
    let count = state.fleet.listing().len();
    let selected = state.command_at().unwrap_or(0);
    (table::below_headings(list), count, selected)
}

fn heading(state: &State) -> String {
    let count = |stage| state.fleet.listing().count(stage);
    let (running, waiting, ended) = (count(Stage::Runs), count(Stage::Waits), count(Stage::Ended));
    let more = match state.commands.history {
        History::Loading => ", loading …",
        History::Until(..) => " and older",
        History::Unasked | History::Whole => "",
    };
    let filter = match state.commands.filter.as_str() {
        "" => String::new(),
        filter => format!("  /{filter}"),
    };
    format!(" {running} running, {waiting} waiting, {ended} ended{more}{filter}")
}

/// What there is room for.
fn columns(width: u16) -> &'static [Column] {
    match width {
        ..60 => &[("STATE", 12), ("AGENT", 9), ("COMMAND", 0)],
        60..110 => &[
            ("STATE", 13),
            ("AGENT", 14),
            ("AGE", 4),
            ("TIME", 7),
            ("COMMAND", 0),
        ],
        _ => &[
            ("STATE", 13),
            ("ID", 8),
            ("AGENT", 20),
            ("AGE", 4),
            ("TIME", 16),
            ("BY", 12),
            ("COMMAND", 0),
        ],
    }
}

fn cell(state: &State, command: &CommandSummary, column: &str, theme: &Theme) -> (String, Style) {
    let plain = Style::new();
    match column {
        "STATE" => {
            let (word, style) = theme.command(command);
            let place = command
                .queue_position
                .filter(|_| command.state == CommandState::Queued);
            (
                place.map_or(word.clone(), |place| format!("{word} {place}")),
                style,
            )
        }
        "ID" => (command.command_id.short(), theme.dim()),
        "AGENT" => (command.agent_id.to_string(), theme.strong()),
        "AGE" => (age::text(command.created_at, state.now), theme.dim()),
        "TIME" => (time(state, command), plain),
        "BY" => (command.requested_by.clone(), theme.dim()),
        _ => (command.program.to_string(), plain),
    }
}

/// How long it took, or how long it may still wait.
fn time(state: &State, command: &CommandSummary) -> String {
    match (command.started_at, command.finished_at, command.expires_at) {
        (Some(started), Some(ended), _) => age::duration(ended.0.saturating_sub(started.0)),
        (None, None, Some(expires)) => {
            format!("{} left", age::span(state.now, expires))
        }
        _ => String::new(),
    }
}

fn draw_detail(
    state: &State,
    command: &CommandSummary,
    area: Rect,
    theme: &Theme,
    buffer: &mut Buffer,
) {
    let bar = Rect { height: 1, ..area };
    buffer.set_style(bar, theme.bar());
    let title = format!(" {}  {}", command.command_id, super::ending(command));
    put_line(buffer, bar, &Line::raw(fit(&title, area.width.into())));
    let mut parts = vec![
        format!("on {}", command.agent_id),
        format!("by {}", command.requested_by),
    ];
    parts.extend(command.cwd.as_ref().map(|cwd| format!("in {cwd}")));
    parts.extend(
        command
            .queue_position
            .map(|place| format!("place {place} in its queue")),
    );
    if let (None, Some(expires)) = (command.started_at, command.expires_at) {
        parts.push(format!("expires in {}", age::span(state.now, expires)));
    }
    parts.extend(command.reason.clone());
    let lines = [
        (command.program.to_string(), theme.strong()),
        (parts.join(", "), theme.dim()),
    ];
    for (at, (text, style)) in lines.into_iter().enumerate() {
        let row = Rect {
            y: area.y + 1 + at as u16,
            height: 1,
            ..area
        };
        put_line(
            buffer,
            row,
            &Line::styled(fit(&format!(" {text}"), area.width.into()), style),
        );
    }
}
