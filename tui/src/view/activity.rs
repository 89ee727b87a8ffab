//! The view Activity.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::table::{self, Column};
use super::theme::Theme;
use super::{fit, put_line};
use crate::age;
use crate::state::State;
use crate::state::activity::{Entry, Level};

/// From so many rows on the selected line is told whole below the list.
const DETAIL_ROWS: u16 = 12;

/// The columns where there is room for all.
const WIDE: [Column; 5] = [
    ("TIME", 8),
    ("AGE", 4),
    ("LEVEL", 6),
    ("FROM", 22),
    ("WHAT", 0),
];

/// The same where nobody knows the person's zone.
const WIDE_IN_UTC: [Column; 5] = [("UTC", 8), WIDE[1], WIDE[2], WIDE[3], WIDE[4]];

/// Draws the view into `area`.
pub(super) fn draw(state: &State, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let entries = state.activity.listed();
    let filter = match state.activity.filter.as_str() {
        "" => String::new(),
        filter => format!("  /{filter}"),
    };
    let lines = match entries.len() {
        1 => "1 line".to_owned(),
        count => format!("{count} lines, the newest first"),
    };
    let title = format!(" {lines}{filter}");
    let body = table::title(&title, area, theme, buffer);
    let detail = detail_rows(body);
    let columns: &[Column] = match area.width {
        ..60 => &[("AGE", 4), ("FROM", 9), ("WHAT", 0)],
        60..110 => &[("AGE", 4), ("LEVEL", 6), ("FROM", 14), ("WHAT", 0)],
        _ if state.zone.is_unknown() => &WIDE_IN_UTC,
        _ => &WIDE,
    };
    let list = Rect {
        height: body.height - detail,
        ..body
    };
    let list = table::headings(columns, list, theme, buffer);
    let selected = entries
        .iter()
        .position(|entry| Some(entry.number) == state.activity.selected)
        .unwrap_or(0);
    table::rows(list, entries.len(), selected, |at, row| {
        let cells = columns
            .iter()
            .map(|(name, _)| cell(state, entries[at], name, theme));
        put_line(buffer, row, &table::cells_line(columns, cells, row.width));
        if at == selected {
            buffer.set_style(row, theme.selected(true));
        }
    });
    if entries.is_empty() && list.height > 0 {
        let text = if state.activity.filter.is_empty() {
            " nothing yet: notifications, tasks and trouble are listed here as they come"
        } else {
            " no line fits the filter; Esc takes it away"
        };
        let line = Line::styled(fit(text, list.width.into()), theme.dim());
        put_line(buffer, Rect { height: 1, ..list }, &line);
    }
    if let (3, Some(entry)) = (detail, entries.get(selected)) {
        let area = Rect {
            y: body.y + body.height - detail,
            height: detail,
            ..body
        };
        draw_detail(state, entry, area, theme, buffer);
    }
}

/// Rows that tell the selected line whole.
fn detail_rows(body: Rect) -> u16 {
    if body.height >= DETAIL_ROWS { 3 } else { 0 }
}

/// Where the rows are, how many there are, and which is selected.
pub(super) fn rows(state: &State, area: Rect) -> (Rect, usize, usize) {
    let entries = state.activity.listed();
    let selected = entries
        .iter()
        .position(|entry| Some(entry.number) == state.activity.selected);
    let body = table::below_title(area);
    let list = Rect {
        height: body.height - detail_rows(body),
        ..body
    };
    (
        table::below_headings(list),
        entries.len(),
        selected.unwrap_or(0),
    )
}

fn cell(state: &State, entry: &Entry, column: &str, theme: &Theme) -> (String, Style) {
    let grave = entry
        .level
        .grade()
        .map_or(Style::new(), |grade| theme.grade(grade));
    match column {
        "TIME" | "UTC" => (state.zone.time_of_day(entry.at), theme.dim()),
        "AGE" => (age::text(entry.at, state.now), theme.dim()),
        "LEVEL" => (entry.level.word().to_owned(), grave),
        "FROM" => (entry.source.to_string(), theme.strong()),
        _ => {
            let times = match entry.times {
                1 => String::new(),
                times => format!(" ({times} times)"),
            };
            // Where there is no column for the level, the line begins with a grave one.
            let narrow = state.size.0 < 60 && entry.level >= Level::High;
            let level = if narrow {
                format!("{}: ", entry.level.word())
            } else {
                String::new()
            };
            (format!("{level}{}{times}", entry.text), grave)
        }
    }
}

fn draw_detail(state: &State, entry: &Entry, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let bar = Rect { height: 1, ..area };
    buffer.set_style(bar, theme.bar());
    let time = state.zone.time_of_day(entry.at);
    let zone = if state.zone.is_unknown() { " UTC" } else { "" };
    let title = format!(" {time}{zone}  {}  {}", entry.level.word(), entry.source);
    put_line(buffer, bar, &Line::raw(fit(&title, area.width.into())));
    let width = usize::from(area.width).saturating_sub(2).max(1);
    let characters: Vec<char> = entry.text.chars().collect();
    for (at, piece) in characters.chunks(width).take(2).enumerate() {
        let row = Rect {
            y: area.y + 1 + at as u16,
            height: 1,
            ..area
        };
        let text: String = piece.iter().collect();
        put_line(
            buffer,
            row,
            &Line::raw(fit(&format!(" {text}"), area.width.into())),
        );
    }
}
