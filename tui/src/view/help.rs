//! The help, from the key table; and what to do first where nothing is shown yet.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};

use super::theme::Theme;
use super::{fit, put_line};
use crate::keys::{self, Mode};
use crate::state::command_line::COMMANDS;
use crate::state::{Link, State};

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

/// Tells what to type next while no pane is open.
pub(super) fn first_steps(state: &State, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let lines = steps(state);
    let top = area.y + (area.height.saturating_sub(lines.len() as u16)) / 3;
    for (at, line) in lines.iter().enumerate() {
        let y = top + at as u16;
        if y < area.bottom() {
            let row = Rect {
                x: area.x + 2.min(area.width),
                y,
                width: area.width.saturating_sub(2),
                height: 1,
            };
            let style = if line.starts_with("  opsctl") {
                theme.key()
            } else {
                theme.dim()
            };
            put_line(
                buffer,
                row,
                &Line::styled(fit(line, row.width.into()), style),
            );
        }
    }
}

fn steps(state: &State) -> Vec<String> {
    let (agents, _) = state.fleet.counts();
    let local = state.endpoint.starts_with("unix:");
    let lines: &[&str] = match (&state.connection.link, agents) {
        _ if agents > 0 => &[
            "r      run a command on the selected agent",
            "Enter  its commands, and their terminals",
            "?      all keys",
        ],
        _ if state.fleet.known => &[
            "No agent is connected yet. To see one here:",
            "",
            "on this host, in another shell",
            "  opsctl agent",
            "",
            "on another host, with a token from `opsctl token issue --role agent`",
            "  opsctl agent --url ws://HOST:7600 --token-file FILE",
        ],
        (Link::Refused { message }, _) => {
            return vec![
                format!("The daemon at {} refuses this console:", state.endpoint),
                message.clone(),
                String::new(),
                "R      try again".to_owned(),
            ];
        }
        (Link::Waiting { reason, .. }, _) if local => {
            return vec![
                reason.clone(),
                String::new(),
                "to start a daemon and an agent on this host, in another shell".to_owned(),
                "  opsctl up".to_owned(),
            ];
        }
        _ => return vec![format!("Waiting for the daemon at {} …", state.endpoint)],
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}
