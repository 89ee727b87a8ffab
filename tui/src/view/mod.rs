//! Drawing: the state goes in, cells come out. Nothing here changes anything.

mod activity;
mod bars;
mod cells;
mod commands;
mod connections;
mod first_steps;
mod fleet;
mod help;
mod inbox;
mod list;
mod palette;
mod pane;
mod peers;
mod preview;
mod question;
mod table;
pub mod theme;

use opsctl_protocol::message::CommandSummary;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::age;
use crate::canvas::Frame;
use crate::keys::Mode;
use crate::layout::Layout;
use crate::state::{Overlay, Purpose, Redraw, State, View};
pub use bars::tab_at;
pub use cells::Kept;
pub use connections::scroll as connections_scroll;
pub use help::scroll as help_scroll;
pub use list::listed_at;
pub use palette::places as palette_places;
pub use question::{keys as key_names, scroll as question_scroll};
pub(crate) use table::first as first_row;
pub use theme::Theme;
use theme::{Glyph, Role};

/// Draws a frame, and puts the cursor where typing goes. `changed` is what may differ from the frame before, of which `kept`
/// was left: whatever they are, the frame is the same.
pub fn draw(state: &State, theme: &Theme, kept: &mut Kept, changed: Redraw, frame: &mut Frame<'_>) {
    let terminals_only = changed < Redraw::Everything && frame.goes_on();
    if !(terminals_only && terminals(state, theme, kept, frame)) {
        everything(state, theme, kept, frame);
    }
}

/// A cell with nothing in it.
fn blank(theme: &Theme) -> Cell {
    let mut blank = Cell::EMPTY;
    blank.set_style(theme.style(Role::Text));
    blank
}

/// Draws what has changed in the terminals that are seen, over the last frame. False where that doesn't do, or the frame is
/// drawn as fast as a whole.
fn terminals(state: &State, theme: &Theme, kept: &mut Kept, frame: &mut Frame<'_>) -> bool {
    let area = frame.area();
    let is_plain = state.overlay.is_none()
        && !state.away
        && state.layout.room.is_none()
        && state.layout.blank.is_none()
        && (area.width, area.height) == state.size;
    if !is_plain || theme.changes_frames() {
        return false;
    }
    let blank = blank(theme);
    for (index, rect) in &state.layout.panes {
        if !pane::draw_changes(state, *index, *rect, theme, &blank, kept, frame) {
            return false;
        }
    }
    let shown = state.layout.panes.iter();
    let typed = shown.filter(|(index, _)| has_cursor(state, *index));
    let mut cursors = typed.filter_map(|(index, rect)| pane::cursor(state, *index, *rect));
    if let Some(position) = cursors.next() {
        frame.set_cursor(position);
    }
    true
}

/// Whether the cursor is where the pane with this index has it.
fn has_cursor(state: &State, index: usize) -> bool {
    index == state.panes.focused && (state.attached || state.mode() == Mode::Copying)
}

/// Draws the whole frame.
fn everything(state: &State, theme: &Theme, kept: &mut Kept, frame: &mut Frame<'_>) {
    kept.begin();
    // The frame may be of another size for a moment, until the state has heard of it.
    let area = frame.area();
    let layout = &state.layout;
    let within = |rect: Rect| rect.intersection(area);
    let buffer = frame.whole(&blank(theme));
    let mut cursor = None;
    if let Some(list) = layout.list {
        list::draw(state, within(list), theme, buffer);
    }
    for (index, rect) in &layout.panes {
        let shown = pane::draw(state, *index, within(*rect), theme, kept, buffer);
        if has_cursor(state, *index) {
            cursor = shown;
        }
    }
    if let Some(room) = layout.room.map(within) {
        match state.view {
            View::Fleet => {}
            View::Inbox => inbox::draw(state, room, theme, kept, buffer),
            View::Commands => commands::draw(state, room, theme, buffer),
            View::Activity => activity::draw(state, room, theme, buffer),
            View::Connections => connections::draw(state, room, theme, buffer),
        }
    }
    separators(layout, theme, area, buffer);
    if let Some(blank) = layout.blank {
        preview::draw(state, within(blank), theme, kept, buffer);
    }
    bars::header(state, within(layout.header), theme, buffer);
    let mut typed = bars::footer(state, within(layout.footer), theme, buffer);
    // While it is searched, it is seen behind the line.
    let help = match &state.overlay {
        Some(Overlay::Help(line)) => Some(*line),
        Some(Overlay::Prompt(prompt)) if prompt.purpose == Purpose::Help => Some(0),
        _ => None,
    };
    if let Some(line) = help {
        // The line that is typed stays free.
        let typing = u16::from(typed.is_some());
        let over = Rect {
            height: area.height.saturating_sub(typing),
            ..area
        };
        help::draw(state, line, over, theme, buffer);
        cursor = None;
    }
    if let Some(Overlay::Palette(palette)) = &state.overlay {
        typed = Some(palette::draw(palette, area, theme, buffer));
    }
    if let Some(list) = question::above(state, area.width, theme) {
        question::draw(list, area, theme, buffer);
        cursor = None;
    }
    if state.away {
        buffer.set_style(area, Style::new().add_modifier(Modifier::DIM));
    }
    theme.finish(buffer);
    kept.end();
    if let Some(position) = typed.or(cursor) {
        frame.set_cursor(position);
    }
}

/// How many rows the one at a place is from the selected one, in a view that is a table.
pub fn row_at(state: &State, room: Rect, position: Position) -> Option<i64> {
    let (rows, count, selected) = match state.view {
        View::Commands => commands::rows(state, room),
        View::Activity => activity::rows(state, room),
        View::Fleet | View::Inbox | View::Connections => return None,
    };
    let row = usize::from(position.y.checked_sub(rows.y)?);
    let at = table::first(rows, count, selected) + row;
    (rows.contains(position) && at < count).then(|| at as i64 - selected as i64)
}

/// The lines between list and panes, and between panes side by side.
fn separators(layout: &Layout, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let places = layout
        .panes
        .iter()
        .map(|(_, rect)| *rect)
        .chain(layout.blank);
    for rect in places.filter(|rect| rect.x > 0) {
        for y in rect.top()..rect.bottom().min(area.bottom()) {
            if rect.x - 1 < area.right() {
                buffer[(rect.x - 1, y)]
                    .set_symbol(theme.glyph(Glyph::Line))
                    .set_style(theme.style(Role::Border));
            }
        }
    }
}

/// How a command stands, with how long it took: `✗ exit 7 (2.3s)`.
pub fn ending(summary: &CommandSummary) -> String {
    let (word, _) = Theme::plain().command(summary);
    match (summary.started_at, summary.finished_at) {
        (Some(started), Some(ended)) => {
            format!(
                "{word} ({})",
                age::duration(ended.0.saturating_sub(started.0))
            )
        }
        _ => word,
    }
}

/// Cuts a text to a width in columns, with `…` where something was cut. Control characters are shown
/// as `·`, so that no name or command can write to the terminal.
fn fit(text: &str, width: usize) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .collect();
    if clean.width() <= width {
        return clean;
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in clean.chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns + 1 > width {
            break;
        }
        used += columns;
        cut.push(c);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}

/// Writes a line into a row of the buffer, over the style that is there.
fn put_line(buffer: &mut Buffer, row: Rect, line: &Line<'_>) {
    if !row.is_empty() {
        buffer.set_line(row.x, row.y, line, row.width);
    }
}
