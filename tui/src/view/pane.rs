//! A pane: its title line, when its lines arrived, and the cells of its terminal.

use std::fmt::Write;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::cells::{self, Kept};
use super::theme::Theme;
use super::{ending, fit, put_line};
use crate::layout::inner;
use crate::state::copy::Kind;
use crate::state::{Focus, Pane, State};

/// Draws the pane with this index into `area`. The result is where the terminal's cursor is, if seen.
pub(super) fn draw(
    state: &State,
    index: usize,
    area: Rect,
    theme: &Theme,
    kept: &mut Kept,
    buffer: &mut Buffer,
) -> Option<Position> {
    let pane = state.panes.get(index)?;
    title(state, index, pane, area, theme, buffer);
    let view = inner(area);
    let lines = pane.beside_times(view);
    times(state, pane, view, lines, theme, buffer);
    cells::draw(pane, lines, theme, kept, buffer)
}

/// Draws when each line arrived, where that is known, to the left of the lines.
fn times(state: &State, pane: &Pane, view: Rect, lines: Rect, theme: &Theme, buffer: &mut Buffer) {
    let width = lines.x - view.x;
    if width == 0 {
        return;
    }
    let window = pane.window((lines.width, lines.height));
    for y in 0..view.height {
        let Some(time) = pane.arrived(window.line + i32::from(y)) else {
            continue;
        };
        let row = Rect::new(view.x, view.y + y, width, 1);
        let text = state.zone.time_of_day(time);
        put_line(buffer, row, &Line::styled(text, theme.dim()));
    }
}

fn title(state: &State, index: usize, pane: &Pane, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let focused = state.focus == Focus::Pane && state.panes.focused == index;
    let attached = focused && state.attached;
    let mirrored = state.mirrored.contains(&pane.command);
    let style = if attached || mirrored {
        theme.attached_bar()
    } else if focused {
        theme.focused_bar()
    } else {
        theme.bar()
    };
    let (cols, rows) = pane.screen.size();
    let mut right = String::new();
    let lines = pane.beside_times(area);
    if lines != area {
        right.push_str(times_badge(state, attached && cols > lines.width));
    }
    right.push_str(&badges(pane, attached, state.still));
    if mirrored {
        right.push_str(" MIRRORED");
    }
    let agent = format!(" {} ", pane.agent);
    if area.width > 60 {
        let size = if pane.pty {
            format!(" {cols}x{rows}")
        } else {
            String::new()
        };
        right = format!("{right}{size}");
    }
    right = format!("{right}{agent}");
    let state_text = state
        .summary(&pane.command)
        .map_or_else(|| "? unknown".to_owned(), ending);
    let program = pane
        .screen
        .title()
        .filter(|title| !title.is_empty())
        .unwrap_or(&pane.program);
    let number = if state.panes.len() > 1 {
        format!("{} ", index + 1)
    } else {
        String::new()
    };
    let left = format!(" {number}{state_text}  {program}");
    let bar = Rect {
        height: area.height.min(1),
        ..area
    };
    buffer.set_style(bar, style);
    let width = usize::from(area.width);
    let right = fit(&right, width * 2 / 3);
    let left = fit(&left, width.saturating_sub(right.width()));
    let gap = width.saturating_sub(left.width() + right.width());
    let line = Line::from(vec![
        Span::raw(left),
        Span::raw(" ".repeat(gap)),
        Span::raw(right),
    ]);
    put_line(buffer, bar, &line);
}

/// What the person should know about the times: in which zone they are, and that they hide some of the terminal, whose
/// size stays.
fn times_badge(state: &State, hides: bool) -> &'static str {
    match (state.zone.is_unknown(), hides) {
        (false, false) => " TIMES",
        (true, false) => " TIMES in UTC",
        (false, true) => " TIMES, cropped",
        (true, true) => " TIMES in UTC, cropped",
    }
}

/// What the person should know about what is looked at.
fn badges(pane: &Pane, attached: bool, still: bool) -> String {
    let mut badges = String::new();
    if pane.gap {
        badges.push_str(" GAP");
    }
    if let Some(copy) = pane.copy {
        badges.push_str(match (copy.anchor, copy.kind) {
            (None, _) => " COPY",
            (_, Kind::Char) => " COPY chars",
            (_, Kind::Word) => " COPY words",
            (_, Kind::Line) => " COPY lines",
            (_, Kind::Block) => " COPY block",
        });
    }
    if let Some(search) = &pane.search {
        badges.push_str(" match ");
        badges.push_str(&search.count());
    }
    if let Some(loading) = pane.past.loading {
        badges.push_str(" LOADING older");
        if !still {
            // Writing to a String can't fail.
            let _ = write!(badges, " {}%", loading.progress.percent());
        }
    }
    if !pane.follows() {
        // Writing to a String can't fail.
        let _ = match pane.lines_since() {
            0 if pane.copy.is_some() => Ok(()),
            0 => write!(badges, " PAUSED, G follows"),
            1 => write!(badges, " PAUSED, 1 new line"),
            lines => write!(badges, " PAUSED, {lines} new lines"),
        };
    } else if attached {
        badges.push_str(" ATTACHED, Ctrl-] leaves");
    }
    badges
}
