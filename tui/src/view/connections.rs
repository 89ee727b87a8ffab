//! The view Connections: the daemon, the link to it, and below them [`peers`], who else is connected.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::theme::Theme;
use super::{fit, peers, put_line};
use crate::age;
use crate::keys::{Action, Mode};
use crate::state::State;

/// Columns for what a line is about.
const NAMES: usize = 12;

/// How many lines the view can be scrolled.
pub fn scroll(state: &State) -> usize {
    let lines = lines(state, state.size.0.into(), &Theme::plain()).len();
    lines.saturating_sub(usize::from(state.size.1.saturating_sub(2)))
}

/// Draws the view into `area`.
pub(super) fn draw(state: &State, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let lines = lines(state, area.width.into(), theme);
    let first = state
        .connections
        .line
        .min(lines.len().saturating_sub(area.height.into()));
    for (line, y) in lines.iter().skip(first).zip(area.top()..area.bottom()) {
        put_line(
            buffer,
            Rect {
                y,
                height: 1,
                ..area
            },
            line,
        );
    }
}

fn lines(state: &State, width: usize, theme: &Theme) -> Vec<Line<'static>> {
    let row = |name: &str, text: &str| {
        let name = format!(" {name:<NAMES$}");
        let room = width.saturating_sub(NAMES + 2);
        Line::from(vec![
            Span::styled(name, theme.dim()),
            Span::raw(fit(text, room)),
        ])
    };
    let heading = |text: &'static str| Line::styled(text, theme.strong());
    let (grade, label) = state.connection.label(state.now);
    let mut lines = vec![heading(" Link")];
    lines.push(Line::from(vec![
        Span::styled(format!(" {:<NAMES$}", "state"), theme.dim()),
        Span::styled(label, theme.grade(grade)),
    ]));
    let because = state.connection.trouble();
    if let Some(because) = because.or(state.connection.slow.as_deref()) {
        lines.push(row("because", because));
    }
    if let Some(key) = state
        .keys
        .shown(Mode::Connections, Action::Reconnect)
        .filter(|_| state.connection.offers_reconnect())
    {
        lines.push(row("", &format!("{key} connects again now")));
    }
    lines.push(Line::default());
    lines.push(heading(" Daemon"));
    lines.push(row("endpoint", &state.endpoint));
    if let Some(daemon) = &state.daemon {
        let own = env!("CARGO_PKG_VERSION");
        let version = if daemon.server_version == own {
            own.to_owned()
        } else {
            format!("{} (this console: {own})", daemon.server_version)
        };
        lines.push(row("version", &version));
        if let Some(started) = daemon.started_at {
            lines.push(row("up for", &age::span(started, state.now)));
        }
        lines.push(row("epoch", &daemon.epoch));
        let rights = &daemon.rights;
        let role = rights.role.as_str();
        lines.push(row(
            "you are",
            &format!(
                "{}, {role}, connection {}",
                rights.subject, daemon.client_id
            ),
        ));
    }
    let now = state.connections.before;
    let rate = format!(
        "{} messages/s, {}/s of output",
        now.messages,
        peers::size(now.bytes)
    );
    lines.push(row("comes here", &rate));
    lines.extend(peers::lines(state, width as u16, theme));
    lines
}
