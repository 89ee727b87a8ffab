//! A pane: its title line, when its lines arrived, and the cells of its terminal.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::cells::{self, Kept};
use super::theme::Theme;
use super::{ending, fit, put_line};
use crate::canvas::Frame;
use crate::layout::inner;
use crate::state::copy::Kind;
use crate::state::pane::Window;
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

/// Draws what has changed of the pane since the last frame, which is in `frame`. False where it must be drawn as a whole.
pub(super) fn draw_changes(
    state: &State,
    index: usize,
    area: Rect,
    theme: &Theme,
    blank: &Cell,
    kept: &mut Kept,
    frame: &mut Frame<'_>,
) -> bool {
    let Some(pane) = state.panes.get(index) else {
        return false;
    };
    if kept.has_all_of(pane) {
        return true;
    }
    let view = inner(area);
    if pane.beside_times(view) != view || !cells::draw_changes(pane, view, theme, kept, frame) {
        return false;
    }
    if area.height == 0 {
        return true;
    }
    let Some(buffer) = frame.row(area.y) else {
        return false;
    };
    let start = buffer.index_of(area.x, area.y);
    buffer.content[start..start + usize::from(area.width)].fill(blank.clone());
    title(state, index, pane, area, theme, buffer);
    true
}

/// Where the cursor of the pane's terminal is, if seen.
pub(super) fn cursor(state: &State, index: usize, area: Rect) -> Option<Position> {
    cells::cursor(state.panes.get(index)?, inner(area))
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
    let signs = signs(state, pane, area, attached, mirrored);
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
    let bar = Rect {
        height: area.height.min(1),
        ..area
    };
    buffer.set_style(bar, style);
    let width = usize::from(area.width);
    let head = format!(" {number}{state_text}  ");
    let right = fitting(signs, width, head.width());
    let right = fit(&right, width);
    let left = fit(
        &format!("{head}{program}"),
        width.saturating_sub(right.width()),
    );
    let gap = width.saturating_sub(left.width() + right.width());
    let line = Line::from(vec![
        Span::raw(left),
        Span::raw(" ".repeat(gap)),
        Span::raw(right),
    ]);
    put_line(buffer, bar, &line);
}

/// How soon a sign goes where there is too little room: the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// What can be seen otherwise.
    Least,
    /// What is nice to know of what is looked at.
    Lesser,
    /// What is needed to understand what is looked at.
    Reading,
    /// Where keys go, and whose pane it is: never left out.
    Loud,
}

type Sign = (Weight, String);

/// What stands at the right of a title, in its order.
fn signs(state: &State, pane: &Pane, area: Rect, attached: bool, mirrored: bool) -> Vec<Sign> {
    let cols = pane.screen.size().0;
    let mut signs = Vec::new();
    let lines = pane.beside_times(area);
    if lines != area {
        let hides = attached && cols > lines.width;
        let weight = if hides {
            Weight::Reading
        } else {
            Weight::Lesser
        };
        signs.push((weight, times_badge(state, hides).to_owned()));
    }
    signs.extend(badges(pane, state.still));
    if attached && pane.follows() {
        signs.push((Weight::Loud, " ATTACHED".to_owned()));
        signs.push((Weight::Reading, ", Ctrl-] leaves".to_owned()));
    }
    if mirrored {
        signs.push((Weight::Loud, " MIRRORED".to_owned()));
    }
    if pane.pty {
        let body = pane.beside_times(inner(area));
        let window = pane.window((body.width, body.height));
        let shown = size(pane, window, body);
        let is_cut = !shown.is_ascii();
        if is_cut {
            signs.push((Weight::Lesser, format!(" {shown}")));
        } else if area.width > ROOMY {
            signs.push((Weight::Least, format!(" {shown}")));
        }
    }
    signs.push((Weight::Loud, format!(" {} ", pane.agent)));
    signs
}

/// From more columns on a terminal's size is told also where all of it is seen.
const ROOMY: u16 = 60;

/// A terminal's size, with arrows to where there is more on it than is seen: `‹120x40›`.
pub(super) fn size(pane: &Pane, window: Window, area: Rect) -> String {
    let (cols, rows) = pane.screen.size();
    let hidden = pane.hides(window, (area.width, area.height));
    let sign = |is_more, sign: &'static str| if is_more { sign } else { "" };
    let (left, right) = (sign(hidden.left, "‹"), sign(hidden.right, "›"));
    let (up, down) = (sign(hidden.above, "↑"), sign(hidden.below, "↓"));
    format!("{left}{cols}x{rows}{right}{up}{down}")
}

/// Columns for a pane's number and the sign of its state.
const STATE: usize = 5;

/// The signs that have room, the last of the least left out first. What is needed for reading takes some of the `head`
/// columns too, but not the sign of the state.
fn fitting(mut signs: Vec<Sign>, width: usize, head: usize) -> String {
    let needed = |signs: &[Sign]| signs.iter().map(|(_, text)| text.width()).sum::<usize>();
    loop {
        let lesser = signs.iter().enumerate().rev();
        let lesser = lesser.filter(|(_, (weight, _))| *weight < Weight::Loud);
        let Some((at, (weight, _))) = lesser.min_by_key(|(_, (weight, _))| *weight) else {
            break;
        };
        let taken = match weight {
            Weight::Reading => head.min(STATE),
            _ => head,
        };
        if needed(&signs) + taken <= width {
            break;
        }
        signs.remove(at);
    }
    signs.into_iter().map(|(_, text)| text).collect()
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
fn badges(pane: &Pane, still: bool) -> Vec<Sign> {
    let mut badges = Vec::new();
    if pane.gap {
        badges.push((Weight::Reading, " GAP".to_owned()));
    }
    if let Some(copy) = pane.copy {
        let text = match (copy.anchor, copy.kind) {
            (None, _) => " COPY",
            (_, Kind::Char) => " COPY chars",
            (_, Kind::Word) => " COPY words",
            (_, Kind::Line) => " COPY lines",
            (_, Kind::Block) => " COPY block",
        };
        badges.push((Weight::Reading, text.to_owned()));
    }
    // That there is none is told once, in a notice.
    if let Some(search) = pane.search.as_ref().filter(|search| search.found_any()) {
        badges.push((Weight::Lesser, format!(" match {}", search.count())));
    }
    if let Some(loading) = pane.past.loading {
        let mut text = " LOADING older".to_owned();
        if !still {
            // Writing to a String can't fail.
            let _ = write!(text, " {}%", loading.progress.percent());
        }
        badges.push((Weight::Reading, text));
    }
    if !pane.follows() {
        let text = match pane.lines_since() {
            0 if pane.copy.is_some() => return badges,
            0 => " PAUSED, G follows".to_owned(),
            1 => " PAUSED, 1 new line".to_owned(),
            lines => format!(" PAUSED, {lines} new lines"),
        };
        badges.push((Weight::Reading, text));
    }
    badges
}
