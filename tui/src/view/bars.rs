//! The line at the top and the line at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::peers::size;
use super::theme::{Glyph, Role, Theme};
use super::{fit, put_line, question};
use crate::age;
use crate::keys::{Action, Binding, Key, Mode};
use crate::state::command_line::offered;
use crate::state::work::{Progress, Work, cancels};
use crate::state::{Overlay, Prompt, Purpose, State, View};

/// From this many columns on all views are named, not only the one that is shown.
const WIDE: usize = 120;

/// Columns that keys need beside something else in the line at the bottom.
const HINTS: usize = 12;

/// Views and counts at the left, the connection at the right; where there is room for one, the connection.
pub(super) fn header(state: &State, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let (grade_of_link, label) = state.connection.label(state.now);
    let offer = if state.connection.offers_reconnect() {
        ", R connects now"
    } else {
        ""
    };
    let rights = [
        format!("{label}{offer} "),
        format!("{label} "),
        format!("{} ", state.connection.brief(state.now)),
    ];
    let width = usize::from(area.width);
    let endpoint = format!("{}  ", state.endpoint);
    let banner = banner(state);
    let tabs = tabs(state, width, theme);
    let tabs_width = tabs.iter().map(Span::width).sum::<usize>() + banner.width();
    let (left, right) = counts_and_link(&counts(state), &rights, width.saturating_sub(tabs_width));
    let room = width.saturating_sub(tabs_width + left.width() + right.width());
    let endpoint = if room > endpoint.width() + 2 {
        endpoint
    } else {
        String::new()
    };
    let gap = room.saturating_sub(endpoint.width());
    let mut spans = tabs;
    if let Some((toast, others)) = state.activity.told() {
        // In the place of what is the same all the time: news cover nothing that is read.
        let more = if others > 0 {
            format!(" (+{others})")
        } else {
            String::new()
        };
        let free = width.saturating_sub(tabs_width + right.width() + 2);
        let text = format!(
            "{}{more}",
            fit(&toast.text, free.saturating_sub(more.width()))
        );
        let gap = free.saturating_sub(text.width()) + 1;
        let grade = toast.level.grade();
        spans.extend([
            Span::raw(" "),
            Span::styled(
                text,
                grade.map_or(theme.strong(), |grade| theme.grade(grade)),
            ),
            Span::raw(" ".repeat(gap)),
            Span::styled(right, theme.grade(grade_of_link)),
        ]);
        return put_line(buffer, area, &Line::from(spans));
    }
    spans.extend([
        Span::styled(banner, theme.style(Role::Banner)),
        Span::styled(left, theme.strong()),
        Span::raw(" ".repeat(gap)),
        Span::styled(endpoint, theme.dim()),
        Span::styled(right, theme.grade(grade_of_link)),
    ]);
    put_line(buffer, area, &Line::from(spans));
}

/// How many agents there are, in ever fewer words. Without a connection that is what was known when it was lost.
fn counts(state: &State) -> [String; 3] {
    let (all, connected) = state.fleet.counts();
    let agents = match all {
        0 => return Default::default(),
        1 => "  1 agent".to_owned(),
        _ => format!("  {all} agents"),
    };
    if state.connection.is_connected() {
        let whole = format!("{agents}, {connected} connected");
        return [whole.clone(), whole, agents];
    }
    let Some(lost) = state.connection.lost().filter(|_| !state.still) else {
        let known = format!("{agents}, as last known");
        return [known.clone(), known, agents];
    };
    let ago = match state.now.0.saturating_sub(lost.0) / 1000 {
        seconds @ ..60 => format!("{seconds} s"),
        _ => age::text(lost, state.now),
    };
    [
        format!("{agents}, as of {ago} ago"),
        format!("{agents}, {ago} ago"),
        agents,
    ]
}

/// The longest texts of both that have room together. The line at the bottom offers to connect too, so that goes first;
/// how the connection stands matters more than counts.
fn counts_and_link(lefts: &[String; 3], rights: &[String; 3], room: usize) -> (String, String) {
    let fits = |left: &str, right: &str| left.width() + right.width() < room;
    let [_, known, _] = lefts;
    let both = rights.iter().take(2).find(|right| fits(known, right));
    let right = both.or_else(|| rights.iter().find(|right| fits("", right)));
    let right = right.map_or_else(|| fit(&rights[2], room), Clone::clone);
    let left = lefts.iter().find(|left| fits(left, &right));
    (left.cloned().unwrap_or_default(), right)
}

/// What must be known whatever else is shown.
fn banner(state: &State) -> String {
    if !state.mirrored.is_empty() {
        format!(" MIRRORED TO {} ", state.mirrored.len())
    } else if state.only_watches() {
        " watching only ".to_owned()
    } else {
        String::new()
    }
}

/// The views with their keys; where there is little room, the one that is shown.
fn tabs(state: &State, width: usize, theme: &Theme) -> Vec<Span<'static>> {
    if width < WIDE {
        let view = state.view;
        let text = format!(" {}{} ", view.title(), waiting(state, view));
        return vec![Span::styled(text, theme.focused_bar())];
    }
    let mut spans = Vec::new();
    for view in View::ALL {
        let key = state.keys.shown(Mode::Agents, view.action());
        let key = key.map_or_else(String::new, |key| format!("{key} "));
        let text = format!(" {key}{}{} ", view.title(), waiting(state, view));
        let style = if view == state.view {
            theme.focused_bar()
        } else {
            theme.dim()
        };
        spans.push(Span::styled(text, style));
    }
    spans
}

/// How much waits for a person in a view.
fn waiting(state: &State, view: View) -> String {
    match (
        view,
        state.activity.unseen,
        state.fleet.roster().inbox_len(),
    ) {
        (View::Activity, new @ 1.., _) => format!(" {new} new"),
        (View::Inbox, _, waiting @ 1..) => format!(" ({waiting})"),
        _ => String::new(),
    }
}

/// The view whose name is in a column of the line at the top.
pub fn tab_at(state: &State, column: u16) -> Option<View> {
    let width = usize::from(state.size.0);
    if width < WIDE {
        return None;
    }
    let mut end = 0;
    let tabs = tabs(state, width, &Theme::plain());
    let mut named = View::ALL.into_iter().zip(tabs);
    let found = named.find(|(_, tab)| {
        end += tab.width();
        usize::from(column) < end
    });
    found.map(|(view, _)| view)
}

/// What is asked or new, else the keys that help here. The result is where typing goes, if a line is
/// being typed.
pub(super) fn footer(
    state: &State,
    area: Rect,
    theme: &Theme,
    buffer: &mut Buffer,
) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let width = usize::from(area.width);
    let line = match &state.overlay {
        Some(Overlay::Prompt(prompt)) => {
            return Some(typed_line(prompt, area, theme, buffer));
        }
        Some(overlay) if state.mode() == Mode::Confirm => {
            let room = question::width(area.width);
            let question = question::text(state, overlay, room).unwrap_or_default();
            let question = fit(&format!(" {question}"), room + 1);
            Line::from(vec![
                Span::styled(question, theme.error()),
                Span::raw(" [y/N]"),
            ])
        }
        _ if state.away => Line::styled(
            fit(" paused: this window has no focus", width),
            theme.strong(),
        ),
        _ => match &state.notice {
            Some(notice) => {
                let style = if notice.is_error {
                    theme.error()
                } else {
                    theme.strong()
                };
                let text = fit(&format!(" {} ", notice.text), width);
                // The keys that have room beside it stay.
                let left = width.saturating_sub(text.width());
                let mut line = Line::styled(text, style);
                if left > HINTS {
                    line.extend(hints(state, left, theme));
                }
                line
            }
            None if !state.mirrored.is_empty() => mirror_banner(state, width, theme),
            None => match state.connection.trouble() {
                Some(trouble) => {
                    // By hand, once trying by itself has failed for a while; also where the top bar has no room for it.
                    let key = state.keys.shown(state.mode(), Action::Reconnect);
                    let key = key.filter(|_| state.connection.offers_reconnect());
                    let offer = key.map_or_else(String::new, |key| format!("{key} connects now: "));
                    Line::styled(fit(&format!(" {offer}{trouble}"), width), theme.error())
                }
                None => state.work().map_or_else(
                    || hints(state, width, theme),
                    |work| progress(state, &work, width, theme),
                ),
            },
        },
    };
    put_line(buffer, area, &line);
    None
}

/// The line that is being typed; the result is where the cursor is.
fn typed_line(prompt: &Prompt, area: Rect, theme: &Theme, buffer: &mut Buffer) -> Position {
    let width = usize::from(area.width);
    let label = fit(&prompt.label(), width / 2);
    // A message's further lines stand in the one that there is.
    let signs = |text: &str| {
        text.replace('\n', theme.glyph(Glyph::LineEnd))
            .replace('\t', theme.glyph(Glyph::Hidden))
    };
    let (text, before) = (signs(&prompt.text), signs(&prompt.text[..prompt.cursor]));
    let before = before.width();
    // A text longer than the line is shown from where the cursor is still seen.
    let room = width.saturating_sub(label.width() + 1);
    let (shown, skipped) = skip_columns(&text, before.saturating_sub(room));
    let x = label.width() + before - skipped;
    let offered = match prompt.purpose {
        Purpose::Command => offered(&prompt.text),
        _ => String::new(),
    };
    let left = room.saturating_sub(shown.width() + 2);
    let line = Line::from(vec![
        Span::styled(label, theme.key()),
        Span::raw(shown.to_owned()),
        Span::styled(format!("  {}", fit(&offered, left)), theme.dim()),
    ]);
    put_line(buffer, area, &line);
    Position::new(area.x + (x.min(width - 1)) as u16, area.y)
}

/// How far long work is, and how to cancel it.
fn progress(state: &State, work: &Work, width: usize, theme: &Theme) -> Line<'static> {
    let key = state.keys.shown(state.mode(), Action::Back);
    let key = key.filter(|_| cancels(state.mode()));
    let offer = key.map_or_else(String::new, |key| format!(", {key} cancels"));
    let Progress { done, all, .. } = work.progress;
    let far = match (state.still, work.in_bytes) {
        (true, _) => String::new(),
        (false, true) => format!(": {} of {}", size(done), size(all)),
        (false, false) => format!(": {done} of {all} lines"),
    };
    let percent = if state.still {
        String::new()
    } else {
        format!(" ({} %)", work.progress.percent())
    };
    let said = format!("{far}{percent}{offer}");
    let what = fit(
        &format!(" {}", work.what),
        width.saturating_sub(said.width()),
    );
    Line::styled(fit(&format!("{what}{said}"), width), theme.strong())
}

/// Says loudly who gets what is typed.
fn mirror_banner(state: &State, width: usize, theme: &Theme) -> Line<'static> {
    let leave = state.keys.shown(state.mode(), Action::Detach);
    let leave = leave.map_or_else(String::new, |key| format!(", {key} ends"));
    let count = state.mirrored.len();
    let text = format!(
        " TYPING INTO {count}{leave}: {}",
        question::agents(state, &state.mirrored)
    );
    Line::styled(
        fit(&format!("{text:<width$}"), width),
        theme.style(Role::Banner),
    )
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

/// The keys that matter most in each mode, as many as fit; the way to the help has its place in any case.
fn hints(state: &State, width: usize, theme: &Theme) -> Line<'static> {
    let mode = state.mode();
    let here = state.keys.rows().filter(|(row, keys)| {
        let here = row.modes.contains(mode) && !row.hint.is_empty() && !keys.is_empty();
        here && state.offers(row.action)
    });
    let (help, others): (Vec<_>, Vec<_>) = here.partition(|(row, _)| row.action == Action::Help);
    let texts =
        |(row, keys): &(&Binding, &[Key])| (keys[0].to_string(), format!(" {}  ", row.hint));
    let help: Vec<_> = help.iter().map(texts).collect();
    let needed = |(key, word): &(String, String)| key.width() + word.width();
    // Two columns of blanks at the end of the line may be cut off.
    let mut left = (width + 1).saturating_sub(help.iter().map(needed).sum());
    let fitting = others.iter().map(texts).take_while(|hint| {
        let fits = needed(hint) <= left;
        left = left.saturating_sub(needed(hint));
        fits
    });
    let mut spans = vec![Span::raw(" ")];
    for (key, word) in fitting.collect::<Vec<_>>().into_iter().chain(help) {
        spans.push(Span::styled(key, theme.key()));
        spans.push(Span::styled(word, theme.dim()));
    }
    Line::from(spans)
}
