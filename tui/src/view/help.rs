//! The help, from the key table: its sections side by side as far as there is room.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};
use unicode_width::UnicodeWidthStr;

use super::put_line;
use super::theme::Theme;
use crate::keys::{self, Mode, doc};
use crate::state::State;
use crate::state::command_line::COMMANDS;

/// Columns for keys, and for commands with their arguments, at most.
const KEYS: usize = 24;

/// Columns that a section needs for its lines to be folded seldom.
const COLUMN: u16 = 84;

/// Columns of a section at most: longer lines are hard to follow.
const WIDEST: u16 = 108;

/// Columns between two sections side by side.
const GAP: u16 = 3;

/// A heading with its lines.
type Section = Vec<Line<'static>>;

/// How far the help can be scrolled on a terminal of this size.
pub fn scroll(state: &State) -> u16 {
    let (width, height) = state.size;
    let page = Page::of(state, width, &Theme::plain());
    page.height().saturating_sub(height.saturating_sub(2))
}

/// The help in columns of one width.
struct Page {
    columns: Vec<Section>,
    /// Columns of the terminal that each takes.
    width: u16,
}

impl Page {
    /// The help for a terminal of so many columns: as many columns of sections as fit, and none higher than it must be.
    fn of(state: &State, width: u16, theme: &Theme) -> Self {
        let inside = width.saturating_sub(2);
        let count = ((inside + GAP) / (COLUMN + GAP)).max(1);
        let width = ((inside + GAP) / count).saturating_sub(GAP).min(WIDEST);
        let width = if count == 1 {
            inside.min(WIDEST)
        } else {
            width
        };
        let sections = sections(state, width.into(), theme);
        let highest = sections.iter().map(Vec::len).max().unwrap_or(0);
        // All in one column, with the blank lines between sections.
        let total = sections.iter().map(|section| section.len() + 1).sum();
        let fits = |height: &usize| pack(&sections, *height).len() <= usize::from(count);
        let height = (highest..=total).find(fits).unwrap_or(total);
        let columns = pack(&sections, height);
        Self { columns, width }
    }

    fn height(&self) -> u16 {
        let highest = self.columns.iter().map(Vec::len).max();
        u16::try_from(highest.unwrap_or(0)).unwrap_or(u16::MAX)
    }

    /// Columns of the terminal that all take.
    fn whole_width(&self) -> u16 {
        let count = self.columns.len().max(1) as u16;
        count * (self.width + GAP) - GAP
    }
}

/// Whole sections in columns that are no higher than this, in their order; each ends with a blank line but the last.
fn pack(sections: &[Section], height: usize) -> Vec<Section> {
    let mut columns: Vec<Section> = Vec::new();
    for section in sections {
        match columns.last_mut() {
            Some(column) if column.len() + 1 + section.len() <= height => {
                column.push(Line::default());
                column.extend(section.iter().cloned());
            }
            _ => columns.push(section.clone()),
        }
    }
    columns
}

fn sections(state: &State, width: usize, theme: &Theme) -> Vec<Section> {
    let words = state.help_filter.split_whitespace();
    let words: Vec<String> = words.map(str::to_lowercase).collect();
    let fits = |(left, right): &(String, &str)| {
        let line = format!("{left} {right}").to_lowercase();
        words.iter().all(|word| line.contains(word))
    };
    let modes = Mode::ALL.into_iter().map(|mode| {
        // A row that holds in several modes is told once, in the first of them.
        let here = state
            .keys
            .rows()
            .filter(move |(binding, _)| binding.modes.each().next() == Some(mode));
        let rows = here.map(|(binding, keys)| (keys::text(keys), binding.help));
        (mode.heading(), rows.collect::<Vec<_>>())
    });
    let commands = COMMANDS
        .iter()
        .map(|(name, args, help)| (format!(":{name} {args}"), *help));
    let mouse = doc::MOUSE.map(|(gesture, help)| (gesture.to_owned(), help));
    let all = modes.chain([
        (doc::MOUSE_HEADING, mouse.to_vec()),
        ("Command line", commands.collect()),
    ]);
    let told = all.map(|(heading, mut rows)| {
        rows.retain(fits);
        (heading, rows)
    });
    told.filter(|(_, rows)| !rows.is_empty())
        .map(|(heading, rows)| {
            let mut lines = vec![Line::styled(heading, theme.strong())];
            let keys = rows.iter().map(|(left, _)| left.width() + 3);
            let keys = keys.max().unwrap_or(0).min(KEYS).min(width / 3);
            for (left, right) in rows {
                lines.extend(row(&left, right, keys, width, theme));
            }
            lines
        })
        .collect()
}

/// What a key does, folded to the width; the keys have a line of their own where they need more than their columns.
fn row(left: &str, right: &str, keys: usize, width: usize, theme: &Theme) -> Vec<Line<'static>> {
    let mut texts = fold(right, width.saturating_sub(keys)).into_iter();
    let key = |text: &str| Span::styled(format!("{text:<keys$}"), theme.key());
    let left = format!("  {left}");
    let mut lines = Vec::new();
    if left.width() < keys {
        let first = texts.next().unwrap_or_default();
        lines.push(Line::from(vec![key(&left), Span::raw(first)]));
    } else {
        lines.push(Line::from(key(&left)));
    }
    lines.extend(texts.map(|text| Line::from(vec![key(""), Span::raw(text)])));
    lines
}

/// A text in lines of this width, broken between words where they fit.
fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.width() + 1 + word.width() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// What the border says of lines that aren't seen, above and below.
fn more(above: bool, below: bool) -> Option<&'static str> {
    match (above, below) {
        (false, false) => None,
        (true, false) => Some(" ↑ more "),
        (false, true) => Some(" ↓ more "),
        (true, true) => Some(" ↑↓ more "),
    }
}

/// Draws the help over everything, from its line `first`.
pub(super) fn draw(state: &State, first: u16, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let page = Page::of(state, area.width, theme);
    let width = area.width.min(page.whole_width() + 2);
    let height = area.height.min(page.height() + 2);
    let over = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(over, buffer);
    let mut block = Block::bordered().title(" keys, / searches, Esc closes ");
    let inside = block.inner(over);
    let last = page.height().saturating_sub(inside.height);
    let first = first.min(last);
    if let Some(more) = more(first > 0, first < last) {
        block = block.title_bottom(Line::from(more).right_aligned());
    }
    block.render(over, buffer);
    for (column, at) in page.columns.iter().zip(0..) {
        let x = inside.x + at * (page.width + GAP);
        let lines = column.iter().skip(first.into());
        for (line, y) in lines.zip(inside.top()..inside.bottom()) {
            let width = page.width.min(inside.right().saturating_sub(x));
            put_line(buffer, Rect::new(x, y, width, 1), line);
        }
    }
}
