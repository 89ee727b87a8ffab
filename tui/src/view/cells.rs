//! The cells of a pane's terminal. What was worked out for a row is kept as long as the row is the same.

use std::collections::HashMap;

use opsctl_protocol::CommandId;
use opsctl_terminal::{Attributes, Cell, Color as CellColor, Row, Underline, Width};
use ratatui::buffer::{Buffer, Cell as Drawn};
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use super::theme::{Depth, Theme};
use crate::canvas::Frame;
use crate::state::Pane;
use crate::state::copy::Copy;
use crate::state::lines::Place;
use crate::state::pane::Window;
use crate::state::search::{Match, Search};

/// The rows of terminals as they were drawn last; those of the last frame only, which bounds it by the size of the screen.
#[derive(Debug, Default)]
pub struct Kept {
    terminals: HashMap<CommandId, Terminal>,
    /// Counts frames.
    frame: u64,
}

/// The part of a terminal that was looked at, as it was drawn.
#[derive(Debug)]
struct Terminal {
    look: Look,
    /// The generation of the screen that was drawn.
    generation: u64,
    /// Of each row, which one it is and when it had changed last.
    rows: Vec<Option<(i32, u64)>>,
    cells: Vec<Drawn>,
    /// The frame that it was part of last.
    frame: u64,
}

/// What all rows of a terminal are drawn by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    /// The first column.
    col: u16,
    cols: u16,
    rows: u16,
    depth: Depth,
}

impl Look {
    /// That of the part of a pane's terminal at `window`.
    fn of(pane: &Pane, window: Window, area: Rect, theme: &Theme) -> Self {
        let (cols, rows) = pane.screen.size();
        let below = i32::from(rows).saturating_sub(window.line);
        Self {
            col: window.col,
            cols: area.width.min(cols.saturating_sub(window.col)),
            rows: u16::try_from(below).unwrap_or(0).min(area.height),
            depth: theme.depth(),
        }
    }
}

impl Kept {
    /// A frame begins.
    pub(super) fn begin(&mut self) {
        self.frame += 1;
    }

    /// A frame is drawn: what it didn't show is given up.
    pub(super) fn end(&mut self) {
        let frame = self.frame;
        self.terminals.retain(|_, terminal| terminal.frame == frame);
    }

    /// Whether the last frame shows a pane's terminal as it is now.
    pub(super) fn has_all_of(&self, pane: &Pane) -> bool {
        let terminal = self.terminals.get(&pane.command);
        terminal.is_some_and(|terminal| {
            terminal.frame == self.frame && terminal.generation == pane.screen.generation()
        })
    }

    fn terminal(&mut self, pane: &Pane, look: Look) -> &mut Terminal {
        let frame = self.frame;
        let terminal = self.terminals.entry(pane.command);
        let terminal = terminal.or_insert_with(|| Terminal::new(look));
        if terminal.look != look {
            *terminal = Terminal::new(look);
        }
        terminal.frame = frame;
        terminal.generation = pane.screen.generation();
        terminal
    }
}

impl Terminal {
    fn new(look: Look) -> Self {
        let cells = usize::from(look.cols) * usize::from(look.rows);
        Self {
            look,
            generation: 0,
            rows: vec![None; look.rows.into()],
            cells: vec![Drawn::EMPTY; cells],
            frame: 0,
        }
    }

    /// Whether row `y` was drawn as the line `line` of the pane's screen is now.
    fn has_row(&self, pane: &Pane, y: u16, line: i32) -> bool {
        let known = self.rows.get(usize::from(y)).copied().flatten();
        known == Some((line, changed(pane, line)))
    }

    /// The cells of row `y`, which is the line `line` of the pane's screen; none where there is no such line.
    fn row(&mut self, pane: &Pane, y: u16, line: i32, theme: &Theme) -> Option<&[Drawn]> {
        let changed = changed(pane, line);
        let cols = usize::from(self.look.cols);
        let start = usize::from(y) * cols;
        let cells = self.cells.get_mut(start..start + cols)?;
        let known = self.rows.get_mut(usize::from(y))?;
        if *known != Some((line, changed)) {
            *known = None;
            draw_row(&pane.screen.row(line)?, self.look.col, theme, cells);
            *known = Some((line, changed));
        }
        Some(cells)
    }
}

/// When a line of a pane's screen changed last.
fn changed(pane: &Pane, line: i32) -> u64 {
    u16::try_from(line).map_or_else(
        // Lines move up into the scrollback, and more come before it.
        |_| pane.screen.generation(),
        |row| pane.screen.changed(row),
    )
}

/// Draws the part of the terminal that the pane looks at. The result is where its cursor is, if seen.
pub(super) fn draw(
    pane: &Pane,
    area: Rect,
    theme: &Theme,
    kept: &mut Kept,
    buffer: &mut Buffer,
) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let window = pane.window((area.width, area.height));
    let marked = Marked::of(pane, (area.width, area.height));
    rows(pane, window, area, theme, kept, buffer);
    if marked.is_any() {
        marked.draw(pane, area, theme, buffer);
    }
    cursor_in(pane, area, window, &marked)
}

/// Draws the rows of that part which have changed since the last frame, which is in `frame`. False where it must be drawn as
/// a whole: another part is looked at, or something in it is marked.
pub(super) fn draw_changes(
    pane: &Pane,
    area: Rect,
    theme: &Theme,
    kept: &mut Kept,
    frame: &mut Frame<'_>,
) -> bool {
    if area.is_empty() {
        return true;
    }
    let window = pane.window((area.width, area.height));
    let look = Look::of(pane, window, area, theme);
    let number = kept.frame;
    let last = kept.terminals.get(&pane.command);
    let goes_on = last.is_some_and(|last| last.frame == number && last.look == look);
    if !goes_on || pane.search.is_some() || pane.copy.is_some() {
        return false;
    }
    let terminal = kept.terminal(pane, look);
    for y in 0..look.rows {
        let line = window.line + i32::from(y);
        if terminal.has_row(pane, y, line) {
            continue;
        }
        let (Some(cells), Some(buffer)) =
            (terminal.row(pane, y, line, theme), frame.row(area.y + y))
        else {
            return false;
        };
        let start = buffer.index_of(area.x, area.y + y);
        buffer.content[start..start + cells.len()].clone_from_slice(cells);
    }
    true
}

/// Where the cursor of the terminal is, if seen.
pub(super) fn cursor(pane: &Pane, area: Rect) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let size = (area.width, area.height);
    cursor_in(pane, area, pane.window(size), &Marked::of(pane, size))
}

/// Draws the last lines of a terminal, cut at the right: what it looks like to somebody who passes by.
pub(super) fn tail(pane: &Pane, area: Rect, theme: &Theme, kept: &mut Kept, buffer: &mut Buffer) {
    rows(pane, pane.tail(area.height), area, theme, kept, buffer);
}

/// Draws the part of the terminal at `window`.
fn rows(
    pane: &Pane,
    window: Window,
    area: Rect,
    theme: &Theme,
    kept: &mut Kept,
    buffer: &mut Buffer,
) {
    if area.is_empty() {
        return;
    }
    let look = Look::of(pane, window, area, theme);
    let terminal = kept.terminal(pane, look);
    for y in 0..look.rows {
        let line = window.line + i32::from(y);
        let Some(cells) = terminal.row(pane, y, line, theme) else {
            continue;
        };
        let start = buffer.index_of(area.x, area.y + y);
        buffer.content[start..start + cells.len()].clone_from_slice(cells);
    }
}

fn draw_row(row: &Row<'_>, first: u16, theme: &Theme, cells: &mut [Drawn]) {
    let last = cells.len().saturating_sub(1);
    // Neighbours mostly look alike.
    let mut like: Option<(Cell<'_>, Drawn)> = None;
    for (x, target) in cells.iter_mut().enumerate() {
        let Some(cell) = row.cell(first + x as u16) else {
            break;
        };
        *target = match &like {
            Some((other, drawn)) if other.looks_like(cell) => drawn.clone(),
            _ => {
                let mut drawn = Drawn::EMPTY;
                drawn.set_style(style(cell, theme));
                like = Some((cell, drawn.clone()));
                drawn
            }
        };
        let cut = x == last && cell.width() == Width::Wide;
        if !cut {
            draw_text(cell, target);
        }
    }
}

/// Where copy mode's cursor is seen, else the program's.
fn cursor_in(pane: &Pane, area: Rect, window: Window, marked: &Marked) -> Option<Position> {
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

    fn is_any(&self) -> bool {
        self.selected.is_some() || self.current.is_some() || !self.found.is_empty()
    }

    /// Lays the looks of selection and matches over the cells that are drawn.
    fn draw(&self, pane: &Pane, area: Rect, theme: &Theme, buffer: &mut Buffer) {
        let (cols, rows) = pane.screen.size();
        let window = pane.window((area.width, area.height));
        let below = i32::from(rows).saturating_sub(window.line);
        for y in 0..u16::try_from(below).unwrap_or(0).min(area.height) {
            for x in 0..area.width.min(cols.saturating_sub(window.col)) {
                buffer[(area.x + x, area.y + y)].set_style(self.style(x, y, theme));
            }
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

/// Sets an empty cell's character with its marks. Where the two together would take another width than the
/// emulator gave them (some emoji), the marks are left out: columns must stay in line.
fn draw_text(cell: Cell<'_>, target: &mut Drawn) {
    if cell.marks().is_empty() {
        if cell.ch() != ' ' {
            target.set_char(cell.ch());
        }
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
