//! A pane: its title line, and the cells of its terminal.

use std::fmt::Write;

use opsctl_terminal::{Attributes, Cell, Color as CellColor, Underline, Width};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::theme::{Depth, Theme};
use super::{ending, fit, put_line};
use crate::layout::inner;
use crate::state::copy::{Copy, Kind};
use crate::state::lines::Place;
use crate::state::pane::Window;
use crate::state::search::{Match, Search};
use crate::state::{Focus, Pane, State};

/// Draws the pane with this index into `area`. The result is where the terminal's cursor is, if seen.
pub(super) fn draw(
    state: &State,
    index: usize,
    area: Rect,
    theme: &Theme,
    buffer: &mut Buffer,
) -> Option<Position> {
    let pane = state.panes.get(index)?;
    title(state, index, pane, area, theme, buffer);
    let view = inner(area);
    let lines = pane.beside_times(view);
    times(state, pane, view, lines, theme, buffer);
    cells(pane, lines, theme, buffer)
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
    if let Some((done, all)) = pane.past.loading {
        badges.push_str(" LOADING older");
        if !still {
            // Writing to a String can't fail.
            let _ = write!(badges, " {}%", done * 100 / all.max(1));
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

/// Draws the part of the terminal that the pane looks at.
pub(super) fn cells(
    pane: &Pane,
    area: Rect,
    theme: &Theme,
    buffer: &mut Buffer,
) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let window = pane.window((area.width, area.height));
    let marked = Marked::of(pane, (area.width, area.height));
    lines(pane, window, area, theme, buffer, |x, y| {
        marked.style(x, y, theme)
    });
    if let Some(copy) = pane.copy {
        let y = copy.cursor.line.checked_sub(marked.top)?;
        let x = copy.cursor.col.checked_sub(marked.left)?;
        let seen = y < u64::from(area.height) && x < area.width;
        return seen.then(|| Position::new(area.x + x, area.y + y as u16));
    }
    let cursor = pane.screen.cursor();
    let y = i32::from(cursor.row) - window.line;
    let x = i32::from(cursor.col) - i32::from(window.col);
    let seen = cursor.visible
        && (0..i32::from(area.height)).contains(&y)
        && (0..i32::from(area.width)).contains(&x);
    seen.then(|| Position::new(area.x + x as u16, area.y + y as u16))
}

/// Draws the last lines of a terminal, cut at the right: what it looks like to somebody who passes by.
pub(super) fn tail(pane: &Pane, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let window = pane.tail(area.height);
    lines(pane, window, area, theme, buffer, |_, _| Style::new());
}

/// Draws the part of the terminal at `window`, each cell with what `mark` lays over it.
fn lines(
    pane: &Pane,
    window: Window,
    area: Rect,
    theme: &Theme,
    buffer: &mut Buffer,
    mark: impl Fn(u16, u16) -> Style,
) {
    let (cols, rows) = pane.screen.size();
    for y in 0..area.height {
        let line = window.line + i32::from(y);
        if line >= i32::from(rows) {
            break;
        }
        let Some(row) = pane.screen.row(line) else {
            continue;
        };
        for x in 0..area.width.min(cols.saturating_sub(window.col)) {
            let Some(cell) = row.cell(window.col + x) else {
                break;
            };
            let target = &mut buffer[(area.x + x, area.y + y)];
            let cut = x + 1 == area.width && cell.width() == Width::Wide;
            if cut {
                target.set_char(' ');
            } else {
                draw_text(cell, target);
            }
            target.set_style(style(cell, theme).patch(mark(x, y)));
        }
    }
}

/// What is selected and what a search found, in the part of a pane that is looked at.
struct Marked {
    top: u64,
    left: u16,
    selected: Option<(Copy, (Place, Place))>,
    current: Option<Match>,
    found: Vec<Match>,
}

impl Marked {
    fn of(pane: &Pane, size: (u16, u16)) -> Self {
        let top = pane.top_line(size);
        let search = pane.search.as_ref();
        let selected = pane
            .copy
            .and_then(|copy| Some((copy, copy.range(&pane.screen)?)));
        Self {
            top,
            left: pane.window(size).col,
            selected,
            current: search.and_then(Search::current),
            found: search.map_or_else(Vec::new, |search| search.shown(&pane.screen, top, size.1)),
        }
    }

    fn style(&self, x: u16, y: u16, theme: &Theme) -> Style {
        let place = Place {
            line: self.top + u64::from(y),
            col: self.left + x,
        };
        let selected = self
            .selected
            .is_some_and(|(copy, range)| copy.covers(range, place));
        if selected {
            Style::new().add_modifier(Modifier::REVERSED)
        } else if self.current.is_some_and(|found| found.covers(place)) {
            theme.current_match()
        } else if self.found.iter().any(|found| found.covers(place)) {
            theme.found()
        } else {
            Style::new()
        }
    }
}

/// Sets a cell's character with its marks. Where the two together would take another width than the
/// emulator gave them (some emoji), the marks are left out: columns must stay in line.
fn draw_text(cell: Cell<'_>, target: &mut ratatui::buffer::Cell) {
    if cell.marks().is_empty() {
        target.set_char(cell.ch());
        return;
    }
    let mut text = String::from(cell.ch());
    text.extend(cell.marks());
    let columns = if cell.width() == Width::Wide { 2 } else { 1 };
    if text.width() == columns {
        target.set_symbol(&text);
    } else {
        target.set_char(cell.ch());
    }
}

fn style(cell: Cell<'_>, theme: &Theme) -> Style {
    let attributes = cell.attributes();
    let mut style = Style::reset().add_modifier(modifiers(attributes));
    if cell.has_link() {
        style = style.add_modifier(Modifier::UNDERLINED);
    }
    let (fg, bg) = theme.program(color(cell.fg()), color(cell.bg()));
    style = style.fg(fg).bg(bg);
    if attributes.underline != Underline::None && theme.depth() > Depth::Sixteen {
        let line = cell.underline_color().map_or(Color::Reset, color);
        style = style.underline_color(theme.depth().color(line));
    }
    style
}

fn modifiers(attributes: Attributes) -> Modifier {
    let mut modifiers = Modifier::empty();
    modifiers.set(Modifier::BOLD, attributes.bold);
    modifiers.set(Modifier::DIM, attributes.dim);
    modifiers.set(Modifier::ITALIC, attributes.italic);
    modifiers.set(
        Modifier::UNDERLINED,
        attributes.underline != Underline::None,
    );
    modifiers.set(Modifier::REVERSED, attributes.inverse);
    modifiers.set(Modifier::HIDDEN, attributes.hidden);
    modifiers.set(Modifier::CROSSED_OUT, attributes.strikeout);
    modifiers
}

fn color(color: CellColor) -> Color {
    match color {
        CellColor::Default => Color::Reset,
        CellColor::Indexed(index) => Color::Indexed(index),
        CellColor::Rgb(r, g, b) => Color::Rgb(r, g, b),
    }
}
