//! The fleet: agents in groups, what needs a person first. Only rows that are seen are made.

use opsctl_protocol::message::{ActivitySource, AgentInfo};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::theme::{Glyph, Role, Theme};
use super::{fit, put_line};
use crate::age;
use crate::state::doing::Doing;
use crate::state::fleet::{age as since, current, host};
use crate::state::roster::{Counts, Group, GroupName, Grouping, Row};
use crate::state::{Focus, Shown, State};

/// States that titles count; how many have nothing to do is no news.
const COUNTED: [Doing; 5] = [
    Doing::Blocked,
    Doing::Error,
    Doing::Done,
    Doing::Working,
    Doing::Disconnected,
];

/// What is counted of a fleet or a group: a state, and how many are in it.
fn counted(counts: &Counts) -> impl Iterator<Item = (Doing, usize)> {
    let all = COUNTED.map(|doing| (doing, counts.of(doing)));
    all.into_iter().filter(|(_, count)| *count > 0)
}

/// The title: how many agents, what those listed do, and how they are listed.
pub(super) fn title(state: &State, theme: &Theme) -> String {
    let roster = state.fleet.roster();
    let (listed, all) = (roster.listed(), roster.totals().all());
    let mut parts = vec![match state.list.filter.as_str() {
        "" => format!(" agents ({all})"),
        filter => format!(" agents ({listed} of {all}) /{filter}"),
    }];
    let counts = roster.listed_counts();
    let counted = counted(&counts);
    parts.extend(counted.map(|(doing, count)| format!(" {}{count}", theme.sign(doing))));
    let marked = state.list.marks.len();
    if marked > 0 {
        parts.push(format!("  {marked} marked"));
    }
    if roster.has_headings() {
        parts.push(format!("  by {}", roster.grouping()));
    }
    parts.concat()
}

/// Draws the rows into `area`.
pub(super) fn rows(state: &State, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let focused = state.focus == Focus::List;
    for shown in state.shown_rows(area) {
        let first = Rect {
            height: 1,
            ..shown.area
        };
        match shown.row {
            Row::Heading(group) => {
                let line = heading(group, state, first.width, theme);
                put_line(buffer, first, &line);
            }
            Row::Agent(name) => {
                if let Some(agent) = state.fleet.get(name) {
                    draw_agent(state, agent, &shown, theme, buffer);
                }
            }
        }
        if shown.selected {
            buffer.set_style(first, theme.selected(focused));
        }
    }
}

fn heading(group: &Group, state: &State, width: u16, theme: &Theme) -> Line<'static> {
    let by = state.fleet.roster().grouping();
    let name = match (&group.name, by) {
        (GroupName::Of(value), _) => value.clone(),
        (GroupName::Without, by) => format!("no {by}"),
    };
    let all = group.counts.all();
    let fold = if group.folded {
        Glyph::Folded
    } else {
        Glyph::Unfolded
    };
    let text = format!("{} {name} ", theme.glyph(fold));
    // By state all of a group do the same, which is its name already.
    let counted = counted(&group.counts).filter(|_| *by != Grouping::State);
    let mut signs = vec![Span::styled(format!("({all})"), theme.dim())];
    signs.extend(counted.map(|(doing, count)| {
        Span::styled(format!(" {}{count}", theme.sign(doing)), theme.doing(doing))
    }));
    let used: usize = signs.iter().map(Span::width).sum();
    let name = fit(&text, usize::from(width).saturating_sub(used));
    let mut spans = vec![Span::styled(name, theme.strong())];
    spans.extend(signs);
    Line::from(spans)
}

fn draw_agent(
    state: &State,
    agent: &AgentInfo,
    shown: &Shown<'_>,
    theme: &Theme,
    buffer: &mut Buffer,
) {
    let Rect {
        width, height, y, ..
    } = shown.area;
    let row = |y| Rect {
        y,
        height: 1,
        ..shown.area
    };
    let line = first(state, agent, width, theme, height == 1);
    put_line(buffer, row(y), &line);
    if height > 1 {
        let text = fit(&format!("   {}", details(agent, true)), width.into());
        put_line(buffer, row(y + 1), &Line::styled(text, theme.dim()));
    }
}

/// State, name and age; alone, with as many details as there is room for.
fn first(
    state: &State,
    agent: &AgentInfo,
    width: u16,
    theme: &Theme,
    alone: bool,
) -> Line<'static> {
    let width = usize::from(width);
    let doing = state.fleet.doing(&agent.agent_id);
    let marked = state.list.marks.contains(&agent.agent_id);
    let mark = if marked {
        theme.glyph(Glyph::Marked)
    } else {
        " "
    };
    let sign = format!("{} {:<9}", theme.sign(doing), doing.word());
    let age = match since(agent) {
        Some(since) => format!(" {} ", age::text(since, state.now)),
        None => String::new(),
    };
    let used = mark.width() + sign.width() + age.width();
    let name = fit(agent.agent_id.as_str(), width.saturating_sub(used));
    let room = width.saturating_sub(used + name.width());
    let more = if alone && room > 6 {
        fit(&format!("  {}", details(agent, false)), room)
    } else {
        String::new()
    };
    let gap = room.saturating_sub(more.width());
    Line::from(vec![
        Span::styled(mark, theme.style(Role::Marked)),
        Span::styled(sign, theme.doing(doing)),
        Span::styled(name, theme.strong()),
        Span::styled(more, theme.dim()),
        Span::raw(" ".repeat(gap)),
        Span::styled(age, theme.dim()),
    ])
}

/// Why it is so and how that is known, what runs, and where.
fn details(agent: &AgentInfo, long: bool) -> String {
    let mut parts = Vec::new();
    let source = agent.activity_source.map(ActivitySource::as_str);
    match (&agent.activity_reason, source) {
        (Some(reason), Some(source)) => parts.push(format!("{reason} ({source})")),
        (Some(reason), None) => parts.push(reason.clone()),
        (None, Some(source)) if long => parts.push(format!("({source})")),
        (None, _) => {}
    }
    if let Some(command) = current(agent) {
        parts.push(format!("$ {}", command.program));
    }
    let host = host(agent);
    if long && !host.is_empty() && host != agent.agent_id.as_str() {
        parts.push(host.to_owned());
    }
    if long {
        let labels = agent.labels.iter();
        parts.extend(labels.map(|(key, value)| format!("{key}={value}")));
    }
    parts.join("  ")
}
