//! The view Inbox: what needs a person, and the screen of the selected one.

use opsctl_protocol::message::{ActivitySource, AgentInfo};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::cells::{self, Kept};
use super::theme::{Glyph, Role, Theme};
use super::{fit, put_line, table};
use crate::age;
use crate::state::State;
use crate::state::fleet::age as since;

/// Below so many rows a screen has only its headline above it.
const LOW: u16 = 8;

/// Draws the view into `area`.
pub(super) fn draw(state: &State, area: Rect, theme: &Theme, kept: &mut Kept, buffer: &mut Buffer) {
    let waiting = state.fleet.roster().inbox_len();
    let title = match waiting {
        0 => " nothing needs you".to_owned(),
        1 => " 1 needs you".to_owned(),
        several => format!(" {several} need you"),
    };
    let body = State::inbox_body(area);
    if body != area || waiting == 0 {
        table::title(&title, area, theme, buffer);
    }
    if waiting == 0 {
        let body = table::below_title(area);
        let text = " blocked, failed and finished agents appear here";
        let row = Rect {
            height: 1.min(body.height),
            ..body
        };
        put_line(
            buffer,
            row,
            &Line::styled(fit(text, body.width.into()), theme.dim()),
        );
        return;
    }
    let (list, detail) = state.inbox_places(body);
    for y in detail.top()..detail.bottom() {
        if detail.x > list.x {
            buffer[(detail.x - 1, y)]
                .set_symbol(theme.glyph(Glyph::Line))
                .set_style(theme.style(Role::Border));
        }
    }
    let items = state.fleet.roster().inbox();
    // Only those that are seen are looked at.
    let first = state.first_item(list);
    for (agent, y) in items.skip(first).zip(list.top()..list.bottom()) {
        let Some(agent) = state.fleet.get(agent) else {
            continue;
        };
        let row = Rect {
            y,
            height: 1,
            ..list
        };
        put_line(buffer, row, &item(state, agent, row.width, theme));
        if state.inbox.selected.as_ref() == Some(&agent.agent_id) {
            buffer.set_style(row, theme.selected(true));
        }
    }
    let selected = state.inbox.selected.as_ref();
    if let Some(agent) = selected.and_then(|agent| state.fleet.get(agent)) {
        draw_detail(state, agent, detail, theme, kept, buffer);
    }
}

/// State, name, why, and since when.
fn item(state: &State, agent: &AgentInfo, width: u16, theme: &Theme) -> Line<'static> {
    let width = usize::from(width);
    let doing = state.fleet.doing(&agent.agent_id);
    let sign = format!(" {} {:<8}", theme.sign(doing), doing.word());
    let ago = since(agent).map(|since| format!(" {} ", age::text(since, state.now)));
    let ago = ago.unwrap_or_default();
    let room = width.saturating_sub(sign.width() + ago.width());
    let name = fit(agent.agent_id.as_str(), room);
    let reason = agent.activity_reason.as_deref().unwrap_or_default();
    let why = match room.saturating_sub(name.width()) {
        left if left > 6 && !reason.is_empty() => fit(&format!("  {reason}"), left),
        _ => String::new(),
    };
    let gap = room.saturating_sub(name.width() + why.width());
    Line::from(vec![
        Span::styled(sign, theme.doing(doing)),
        Span::styled(name, theme.strong()),
        Span::styled(why, theme.dim()),
        Span::raw(" ".repeat(gap)),
        Span::styled(ago, theme.dim()),
    ])
}

fn draw_detail(
    state: &State,
    agent: &AgentInfo,
    area: Rect,
    theme: &Theme,
    kept: &mut Kept,
    buffer: &mut Buffer,
) {
    let mut lines = vec![(headline(state, agent), theme.bar())];
    lines.push((why(agent), theme.strong()));
    let command = state.item_command();
    let summary = command.and_then(|command| state.summary(&command));
    let approval = summary.and_then(|summary| summary.approval.as_ref());
    // A screen that is known shows it itself, with what stands around it.
    if let Some(approval) = approval.filter(|_| state.glanced_screen().is_none()) {
        lines.extend(
            approval
                .asked
                .lines()
                .map(|line| (format!("  {line}"), theme.strong())),
        );
    }
    // The screen matters most: what is told above it takes at most half, and where it is low, nothing that the list tells.
    let most = if area.height < LOW && state.glanced_screen().is_some() {
        1.min(area.height.into())
    } else {
        usize::from(area.height).div_ceil(2)
    };
    let told = lines.len().min(most) as u16;
    for ((text, style), y) in lines.into_iter().zip(area.top()..area.top() + told) {
        let row = Rect {
            y,
            height: 1,
            ..area
        };
        buffer.set_style(row, style);
        put_line(
            buffer,
            row,
            &Line::styled(fit(&text, area.width.into()), style),
        );
    }
    let rest = Rect {
        y: area.y + told,
        height: area.height - told,
        ..area
    };
    match state.glanced_screen() {
        Some(pane) => {
            cells::tail(pane, rest, theme, kept, buffer);
        }
        None if rest.height > 0 => {
            let row = Rect { height: 1, ..rest };
            let text = " it has no terminal";
            put_line(
                buffer,
                row,
                &Line::styled(fit(text, row.width.into()), theme.dim()),
            );
        }
        None => {}
    }
}

fn headline(state: &State, agent: &AgentInfo) -> String {
    let program = state
        .item_command()
        .and_then(|command| state.summary(&command))
        .map(|summary| format!("  $ {}", summary.program));
    format!(" {}{}", agent.agent_id, program.unwrap_or_default())
}

/// What is said about the state, and by whom.
fn why(agent: &AgentInfo) -> String {
    let word = agent.activity.as_str();
    let source = agent.activity_source.map(ActivitySource::as_str);
    let source = source.map_or_else(String::new, |source| format!(" (known by {source})"));
    match &agent.activity_reason {
        Some(reason) => format!(" {word}: {reason}{source}"),
        None => format!(" {word}{source}"),
    }
}
