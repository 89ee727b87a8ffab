//! What the person is asked before something is done. The last line asks; where something is said to a program, all of it
//! stands above that line, so that nobody confirms what he hasn't seen.

use opsctl_protocol::message::ApprovalAnswer;
use opsctl_protocol::{AgentId, CommandId};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Clear, Widget};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::theme::{Glyph, Role, Theme};
use super::{fit, put_line};
use crate::state::saying::{Listener, Question, Words, verb};
use crate::state::{Overlay, State};

/// Columns left free at both sides of what is said.
const MARGIN: u16 = 1;

/// Columns from which on an agent's name that is cut still tells something.
const NAME_COLS: usize = 4;

/// Columns that stay free in the last line beside what is asked: the space before it, the keys that answer, and some air.
const BESIDE: u16 = 11;

/// Columns for what is asked in the last line of a screen of this width.
pub(super) fn width(cols: u16) -> usize {
    cols.saturating_sub(BESIDE).into()
}

/// What an overlay asks, where it is a question, for so many columns.
pub(super) fn text(state: &State, overlay: &Overlay, room: usize) -> Option<String> {
    match overlay {
        Overlay::ConfirmKill { commands, .. } => Some(match commands.as_slice() {
            [command] => format!("kill {}?", state.in_words(command)),
            several => format!("kill {} commands?", several.len()),
        }),
        Overlay::ConfirmRun(many) => {
            let count = many.agents.len();
            Some(format!("run `{}` on {count} agents?", many.command))
        }
        Overlay::ConfirmMirror(commands) => Some(format!(
            "type into {} terminals at once: {}?",
            commands.len(),
            agents(state, commands)
        )),
        Overlay::ConfirmCancel(command) => {
            let summary = state.summary(command)?;
            let (program, agent) = (&summary.program, &summary.agent_id);
            Some(format!("take `{program}` out of {agent}'s queue?"))
        }
        Overlay::ConfirmSay(question) => Some(match (&question.words, question.to.as_slice()) {
            (Words::Answer(answer), to) => answer_text(answer, &names(to), room),
            (Words::Text { when_idle, .. }, to) => {
                let when = if *when_idle { ", each when idle" } else { "" };
                format!("say this to {} agents{when}?", to.len())
            }
        }),
        Overlay::ConfirmAgain(again) => Some(format!("run {again} again?")),
        Overlay::Help(_) | Overlay::Prompt(_) | Overlay::Palette(_) => None,
    }
}

/// Whether to answer, in as many words as there is room for. What is typed is never cut: the agent and the words are. Where
/// it has no room at all, it stands [above].
fn answer_text(answer: &ApprovalAnswer, names: &str, room: usize) -> String {
    let (verb, keys) = (verb(answer.verdict), keys(answer.keys()));
    let said = |name: &str| format!("{verb} on {name} by typing {keys}?");
    let for_name = room.saturating_sub(said("").width());
    if names.width() <= for_name || for_name >= NAME_COLS {
        return said(&fit(names, for_name.min(names.width())));
    }
    let shorter = [
        format!("{verb} by typing {keys}?"),
        format!("{verb}: {keys}?"),
        format!("{keys}?"),
    ];
    let fitting = shorter.into_iter().find(|text| text.width() <= room);
    fitting.unwrap_or_else(|| format!("{verb}?"))
}

/// The agents of commands, by name.
pub(super) fn agents(state: &State, commands: &[CommandId]) -> String {
    let names = commands.iter().map(|command| {
        let summary = state.summary(command);
        summary.map_or_else(|| command.short(), |summary| summary.agent_id.to_string())
    });
    names.collect::<Vec<_>>().join(", ")
}

fn names(to: &[Listener]) -> String {
    let names: Vec<&str> = to.iter().map(|to| to.agent.as_str()).collect();
    names.join(", ")
}

/// Keys by their names, as they are written on keyboards.
pub fn keys(typed: &str) -> String {
    let names = typed.chars().map(|c| match c {
        '\r' | '\n' => "Enter".to_owned(),
        '\u{1b}' => "Esc".to_owned(),
        '\t' => "Tab".to_owned(),
        ' ' => "Space".to_owned(),
        '\u{1}'..='\u{1a}' => format!("Ctrl-{}", char::from(c as u8 + b'@')),
        c => c.to_string(),
    });
    names.collect::<Vec<_>>().join(" ")
}

/// What stands above the last line.
pub(super) struct Above {
    title: String,
    /// No longer than the screen is wide.
    lines: Vec<String>,
    /// The first that is shown, where there are more than fit.
    first: u16,
}

/// All that is acted on by the answer, in lines for a screen of this width. None where the question itself names it.
pub(super) fn above(state: &State, width: u16, theme: &Theme) -> Option<Above> {
    let (title, items, first): (_, Vec<String>, _) = match state.overlay.as_ref()? {
        Overlay::ConfirmSay(question) => {
            let text = match &question.words {
                Words::Text { text, .. } => text,
                Words::Answer(answer) => &answer.seen.asked,
            };
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if let Words::Answer(answer) = &question.words {
                let typed = keys(answer.keys());
                if typed.width() >= self::width(width) {
                    lines.insert(0, format!("types {typed}"));
                }
            }
            (title(state, question), lines, question.line)
        }
        Overlay::ConfirmKill { commands, line } if commands.len() > 1 => {
            let named = commands.iter().map(|command| state.in_words(command));
            ("what is killed".to_owned(), named.collect(), *line)
        }
        Overlay::ConfirmRun(many) => {
            let named = many.agents.iter().map(AgentId::to_string);
            ("where it runs".to_owned(), named.collect(), many.line)
        }
        _ => return None,
    };
    let width = width.saturating_sub(2 * MARGIN);
    let lines = items.iter().flat_map(|item| broken(item, width, theme));
    Some(Above {
        title,
        lines: lines.collect(),
        first,
    })
}

/// A line in pieces of this width: what is cut off could be what matters.
fn broken(line: &str, width: u16, theme: &Theme) -> Vec<String> {
    let hidden = theme.glyph(Glyph::Hidden);
    let mut pieces = Vec::new();
    let (mut piece, mut used) = (String::new(), 0);
    for c in line.chars() {
        let columns = if c.is_control() {
            1
        } else {
            c.width().unwrap_or(0)
        };
        if used + columns > usize::from(width.max(2)) {
            pieces.push(std::mem::take(&mut piece));
            used = 0;
        }
        used += columns;
        if c.is_control() {
            piece.push_str(hidden);
        } else {
            piece.push(c);
        }
    }
    pieces.push(piece);
    pieces
}

/// Rows for the lines, below a title and above the last line; the first line stays free where it can.
fn room(height: u16) -> u16 {
    height
        .saturating_sub(3)
        .max(height.saturating_sub(2).min(1))
}

/// How far what is asked can be scrolled on this terminal.
pub fn scroll(state: &State) -> u16 {
    let (cols, rows) = state.size;
    let Some(above) = above(state, cols, &Theme::plain()) else {
        return 0;
    };
    let lines = u16::try_from(above.lines.len()).unwrap_or(u16::MAX);
    lines.saturating_sub(room(rows))
}

/// Draws it above the last line.
pub(super) fn draw(above: Above, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let Above {
        mut title,
        lines,
        first,
    } = above;
    let room = usize::from(room(area.height));
    let shown = lines.len().min(room);
    let first = usize::from(first).min(lines.len() - shown);
    let height = (shown + 1).min(usize::from(area.height.saturating_sub(1))) as u16;
    let over = Rect {
        y: area.bottom().saturating_sub(height + 1),
        height,
        ..area
    };
    Clear.render(over, buffer);
    buffer.set_style(over, theme.style(Role::Text));
    let mut rows = (over.top()..over.bottom()).map(|y| Rect {
        y,
        height: 1,
        ..over
    });
    if let Some(row) = rows.next() {
        if shown < lines.len() {
            let last = first + shown;
            title = format!("{title}, lines {}-{last} of {}", first + 1, lines.len());
        }
        buffer.set_style(row, theme.focused_bar());
        let title = fit(&format!(" {title}"), row.width.into());
        put_line(buffer, row, &Line::styled(title, theme.focused_bar()));
    }
    for (line, row) in lines.into_iter().skip(first).zip(rows) {
        let inside = Rect {
            x: row.x + MARGIN.min(row.width),
            width: row.width.saturating_sub(MARGIN),
            ..row
        };
        put_line(buffer, inside, &Line::styled(line, theme.strong()));
    }
}

fn title(state: &State, question: &Question) -> String {
    let names = names(&question.to);
    match &question.words {
        Words::Answer(_) if state.has_changed(question) => {
            format!("{names} asked this, and no longer does")
        }
        Words::Answer(_) => format!("{names} asks"),
        Words::Text { .. } => format!("to {names}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_names() {
        assert_eq!(keys("1"), "1");
        assert_eq!(keys("y\r"), "y Enter");
        assert_eq!(keys("\u{1b}"), "Esc");
        assert_eq!(keys("\u{3} \t"), "Ctrl-C Space Tab");
    }
}
