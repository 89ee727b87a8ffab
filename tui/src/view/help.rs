//! The help, from the key table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};

use super::put_line;
use super::theme::Theme;
use crate::keys::{self, Mode};
use crate::state::State;
use crate::state::command_line::COMMANDS;

/// Columns for keys, and for commands with their arguments.
const KEYS: usize = 22;

/// How far the help can be scrolled on a terminal of so many rows.
pub fn scroll(state: &State) -> u16 {
    let lines = text(state, &Theme::plain()).len() as u16;
    lines.saturating_sub(state.size.1.saturating_sub(2))
}

fn text(state: &State, theme: &Theme) -> Vec<Line<'static>> {
    let row = |left: String, right: &'static str| {
        let pad = KEYS.max(left.chars().count() + 1);
        Line::from(vec![
            Span::styled(format!("  {left:<pad$}"), theme.key()),
            Span::raw(right),
        ])
    };
    let words: Vec<String> = state
        .help_filter
        .split_whitespace()
        .map(str::to_lowercase)
        .collect();
    let fits = |left: &str, right: &str| {
        let line = format!("{left} {right}").to_lowercase();
        words.iter().all(|word| line.contains(word))
    };
    let mut lines = Vec::new();
    let mut section = |heading, rows: Vec<(String, &'static str)>| {
        let rows: Vec<_> = rows
            .into_iter()
            .filter(|(left, right)| fits(left, right))
            .collect();
        if !rows.is_empty() {
            lines.push(Line::styled(heading, theme.strong()));
            lines.extend(rows.into_iter().map(|(left, right)| row(left, right)));
            lines.push(Line::default());
        }
    };
    for mode in Mode::ALL {
        // A row that holds in several modes is told once, in the first of them.
        let here = state.keys.rows().filter(|(binding, _)| {
            Mode::ALL.iter().find(|mode| binding.modes.contains(mode)) == Some(&mode)
        });
        let rows = here.map(|(binding, keys)| (keys::text(keys), binding.help));
        section(mode.heading(), rows.collect());
    }
    let commands = COMMANDS
        .iter()
        .map(|(name, args, help)| (format!(":{name} {args}"), *help));
    section("Command line", commands.collect());
    lines.pop();
    lines
}

/// Draws the help over everything, from its line `first`.
pub(super) fn draw(state: &State, first: u16, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let width = area.width.min(84);
    let text = text(state, theme);
    let height = area.height.min(text.len() as u16 + 2);
    let over = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(over, buffer);
    let block = Block::bordered().title(" keys, / searches, Esc closes ");
    let inside = block.inner(over);
    block.render(over, buffer);
    let most = (text.len() as u16).saturating_sub(inside.height);
    for (at, line) in text
        .iter()
        .skip(first.min(most).into())
        .take(inside.height.into())
        .enumerate()
    {
        put_line(
            buffer,
            Rect {
                y: inside.y + at as u16,
                height: 1,
                ..inside
            },
            line,
        );
    }
}
