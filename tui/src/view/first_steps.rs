//! What to do first where nothing is shown yet: commands for this very daemon, whole, so that they can be copied.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr;

use super::theme::Theme;
use super::{fit, put_line};
use crate::state::{Link, State};

/// What begins a line that is to be typed in a shell.
const COMMAND: &str = "  opsctl";

/// What is said where not all has room.
const MORE: &str = "more of this in a larger window";

/// Columns that the rest of a long command is moved to the right by.
const REST: &str = "    ";

/// Tells what to type next while no pane is open.
pub(super) fn draw(state: &State, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let inside = Rect {
        x: area.x + 2.min(area.width),
        width: area.width.saturating_sub(2),
        ..area
    };
    let width = usize::from(inside.width);
    let lines = fitting(&steps(state), width, area.height.into());
    let lines: Vec<_> = lines
        .into_iter()
        .map(|(line, is_typed)| (line, if is_typed { theme.key() } else { theme.dim() }))
        .collect();
    let top = area.y + (area.height.saturating_sub(lines.len() as u16)) / 3;
    for ((line, style), y) in lines.iter().zip(top..area.bottom()) {
        let row = Rect {
            y,
            height: 1,
            ..inside
        };
        put_line(buffer, row, &Line::styled(fit(line, width), *style));
    }
}

/// A line, and whether it is to be typed.
type Told = (String, bool);

/// The steps in lines of this width, not more than `height`: where there is little room, what is to be typed matters more
/// than why, and what has no room is left out as a whole, which is said.
fn fitting(steps: &[String], width: usize, height: usize) -> Vec<Told> {
    let block = |steps: &[String]| -> Vec<Told> {
        let lines = steps.iter().flat_map(|step| {
            let is_typed = step.starts_with(COMMAND);
            wrap(step, width)
                .into_iter()
                .map(move |line| (line, is_typed))
        });
        lines.collect()
    };
    let blocks: Vec<Vec<Told>> = steps.split(String::is_empty).map(block).collect();
    let needed = blocks.iter().map(|block| block.len() + 1).sum::<usize>();
    if needed <= height + 1 {
        return blocks.join(&[blank()][..]);
    }
    let has_typed = |block: &&Vec<Told>| block.iter().any(|(_, is_typed)| *is_typed);
    let mut typed: Vec<_> = blocks.iter().filter(has_typed).collect();
    if typed.is_empty() {
        typed = blocks.iter().collect();
    }
    let mut lines: Vec<Told> = Vec::new();
    for block in &typed {
        // With a blank line before it, and the line that says that there is more.
        if !lines.is_empty() && lines.len() + block.len() + 3 > height {
            lines.extend([blank(), (MORE.to_owned(), false)]);
            break;
        }
        if !lines.is_empty() {
            lines.push(blank());
        }
        lines.extend(block.iter().cloned());
    }
    lines.truncate(height);
    lines
}

fn blank() -> Told {
    (String::new(), false)
}

/// A text in lines of this width. A command is continued as shells read it.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let command = text.starts_with(COMMAND);
    let (end, rest) = if command { (" \\", REST) } else { ("", "") };
    if text.width() <= width {
        return vec![text.to_owned()];
    }
    let indent = &text[..text.len() - text.trim_start().len()];
    let mut lines = Vec::new();
    let mut line = indent.to_owned();
    let mut blank = true;
    for word in text.split_whitespace() {
        if !blank && line.width() + 1 + word.width() + end.len() > width {
            lines.push(std::mem::replace(&mut line, rest.to_owned()) + end);
            blank = true;
        }
        if !blank {
            line.push(' ');
        }
        line.push_str(word);
        blank = false;
    }
    lines.push(line);
    lines
}

fn steps(state: &State) -> Vec<String> {
    let (agents, _) = state.fleet.counts();
    let endpoint = &state.endpoint;
    let local = endpoint.starts_with("unix:");
    let own = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    match &state.connection.link {
        _ if agents > 0 => own(&[
            "r      run a command on the selected agent",
            "Enter  its commands, and their terminals",
            "?      all keys",
        ]),
        _ if state.fleet.known => no_agents(endpoint, local),
        Link::Refused { message } => vec![
            format!("The daemon at {endpoint} refuses this console:"),
            message.clone(),
            String::new(),
            "R      try again".to_owned(),
        ],
        Link::Waiting { reason, .. } if local => {
            let mut lines = vec![reason.clone(), String::new()];
            lines.extend([
                "to start a daemon and an agent on this host, in another shell".to_owned(),
                format!("{COMMAND} up"),
            ]);
            lines
        }
        _ => vec![format!("Waiting for the daemon at {endpoint}")],
    }
}

fn no_agents(endpoint: &str, local: bool) -> Vec<String> {
    let mut lines = vec![
        "No agent is connected yet. To see one here:".to_owned(),
        String::new(),
    ];
    if local {
        lines.extend([
            "on this host, in another shell".to_owned(),
            format!("{COMMAND} agent --url {endpoint}"),
            String::new(),
        ]);
    }
    // What the local socket doesn't say: where the daemon is for others.
    let url = if local { "ws://HOST:PORT" } else { endpoint };
    lines.extend([
        "for an agent named web-1 on another host, with a token from the daemon's".to_owned(),
        format!("{COMMAND} token issue --role agent --agent web-1 > web-1.token"),
        format!("{COMMAND} agent --name web-1 --url {url} --token-file web-1.token"),
    ]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_still_one_command() {
        let text = "  opsctl agent --name web-1 --url ws://HOST:PORT --token-file web-1.token";
        for width in [30, 40, 60, 200] {
            let lines = wrap(text, width);
            assert!(lines.iter().all(|line| line.width() <= width), "{lines:?}");
            let joined = lines.join("\n").replace("\\\n", "");
            let words: Vec<&str> = joined.split_whitespace().collect();
            let expected: Vec<&str> = text.split_whitespace().collect();
            assert_eq!(words, expected);
        }
    }

    #[test]
    fn what_has_no_room_is_left_out_whole_and_said() {
        let steps = no_agents("unix:/run/opsctl.sock", true);
        for (width, height) in [(38, 6), (38, 5), (78, 8), (78, 19), (118, 37)] {
            let lines = fitting(&steps, width, height);
            assert!(lines.len() <= height);
            let text: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
            let text = text.join("\n");
            assert!(text.contains("unix:/run/opsctl.sock"), "{text}");
            let is_whole = text.contains("--token-file web-1.token");
            assert_eq!(is_whole, !text.contains(MORE) && height > 5, "{text}");
            assert_eq!(is_whole, height > 7, "{text}");
        }
    }
}
