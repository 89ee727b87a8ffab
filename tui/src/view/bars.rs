//! The line at the top and the line at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::theme::Theme;
use super::{fit, put_line};
use crate::keys::{self, Action, Mode};
use crate::state::{Overlay, State};

/// Counts at the left, the connection at the right; where there is room for one, the connection.
pub(super) fn header(state: &State, area: Rect, theme: Theme, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let (grade, label) = state.connection.label(state.now);
    let offer = if state.connection.offers_reconnect() {
        ", R connects now"
    } else {
        ""
    };
    let mut right = format!("{label}{offer} ");
    let width = usize::from(area.width);
    let endpoint = format!("{}  ", state.endpoint);
    let (all, connected) = state.fleet.counts();
    let only_watching = state.read_only || state.role.is_some_and(|role| !role.may_operate());
    let watch = if only_watching { "  watching only" } else { "" };
    let left = match all {
        0 => format!(" opsctl{watch}"),
        1 => format!(" opsctl  1 agent, {connected} connected{watch}"),
        _ => format!(" opsctl  {all} agents, {connected} connected{watch}"),
    };
    right = fit(&right, width);
    let left = fit(&left, width.saturating_sub(right.width() + 1));
    let room = width.saturating_sub(left.width() + right.width());
    let endpoint = if room > endpoint.width() + 2 {
        endpoint
    } else {
        String::new()
    };
    let gap = room.saturating_sub(endpoint.width());
    let line = Line::from(vec![
        Span::styled(left, theme.strong()),
        Span::raw(" ".repeat(gap)),
        Span::styled(endpoint, theme.dim()),
        Span::styled(right, theme.grade(grade)),
    ]);
    put_line(buffer, area, &line);
}

/// What is asked or new, else the keys that help here. The result is where typing goes, if a line is
/// being typed.
pub(super) fn footer(
    state: &State,
    area: Rect,
    theme: Theme,
    buffer: &mut Buffer,
) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let width = usize::from(area.width);
    let line = match &state.overlay {
        Some(Overlay::Prompt(prompt)) => {
            let label = fit(&prompt.label(), width / 2);
            let before = prompt.text[..prompt.cursor].width();
            // A text longer than the line is shown from where the cursor is still seen.
            let room = width.saturating_sub(label.width() + 1);
            let skip = before.saturating_sub(room);
            let (shown, skipped) = skip_columns(&prompt.text, skip);
            let x = label.width() + before - skipped;
            let line = Line::from(vec![
                Span::styled(label, theme.key()),
                Span::raw(shown.to_owned()),
            ]);
            put_line(buffer, area, &line);
            return Some(Position::new(area.x + (x.min(width - 1)) as u16, area.y));
        }
        Some(Overlay::ConfirmKill(command)) => {
            let program = state
                .summary(command)
                .map(|summary| summary.program.to_string());
            let question = format!(" kill `{}`?", program.unwrap_or_else(|| command.short()));
            let question = fit(&question, width.saturating_sub(10));
            Line::from(vec![
                Span::styled(question, theme.error()),
                Span::raw(" [y/N]"),
            ])
        }
        _ => match &state.notice {
            Some(notice) => {
                let style = if notice.is_error {
                    theme.error()
                } else {
                    theme.strong()
                };
                Line::styled(fit(&format!(" {}", notice.text), width), style)
            }
            None => match state.connection.trouble() {
                Some(trouble) => Line::styled(fit(&format!(" {trouble}"), width), theme.error()),
                None => hints(state, width, theme),
            },
        },
    };
    put_line(buffer, area, &line);
    None
}

/// A text without its first columns, and how many those are.
fn skip_columns(text: &str, columns: usize) -> (&str, usize) {
    let mut skipped = 0;
    for (at, c) in text.char_indices() {
        if skipped >= columns {
            return (&text[at..], skipped);
        }
        skipped += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
    }
    (
        if skipped >= columns && columns > 0 {
            ""
        } else {
            text
        },
        if columns > 0 { skipped } else { 0 },
    )
}

/// The keys that matter most in each mode, as many as fit.
fn hints(state: &State, width: usize, theme: Theme) -> Line<'static> {
    let mode = state.mode();
    let wanted: &[(Action, &str)] = match mode {
        Mode::Attached => &[(Action::Detach, "leaves; all other keys go to the terminal")],
        Mode::Help => &[(Action::Back, "close")],
        Mode::Pane => &[
            (Action::Attach, "attach"),
            (Action::Interrupt, "interrupt"),
            (Action::NextPane, "next"),
            (Action::Zoom, "zoom"),
            (Action::Up, "scroll"),
            (Action::Search, "search"),
            (Action::CopyMode, "copy"),
            (Action::Last, "follow"),
            (Action::Back, "list"),
            (Action::Help, "help"),
            (Action::Quit, "quit"),
        ],
        Mode::Copying => &[
            (Action::SelectChar, "select"),
            (Action::SelectLine, "lines"),
            (Action::SelectBlock, "block"),
            (Action::Yank, "copy"),
            (Action::Search, "search"),
            (Action::Back, "leave"),
        ],
        Mode::Commands => &[
            (Action::Open, "show"),
            (Action::OpenBeside, "show beside"),
            (Action::Run, "run"),
            (Action::Interrupt, "interrupt"),
            (Action::Filter, "filter"),
            (Action::Back, "agents"),
            (Action::Help, "help"),
            (Action::Quit, "quit"),
        ],
        _ => &[
            (Action::Open, "commands"),
            (Action::Run, "run"),
            (Action::Interrupt, "interrupt"),
            (Action::NextPane, "pane"),
            (Action::CommandLine, "command line"),
            (Action::Filter, "filter"),
            (Action::Help, "help"),
            (Action::Quit, "quit"),
        ],
    };
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    for (action, word) in wanted {
        let Some(key) = keys::shown(mode, *action) else {
            continue;
        };
        let (key, word) = (key.to_string(), format!(" {word}  "));
        used += key.width() + word.width();
        if used > width + 2 {
            break;
        }
        spans.push(Span::styled(key, theme.key()));
        spans.push(Span::styled(word, theme.dim()));
    }
    Line::from(spans)
}
