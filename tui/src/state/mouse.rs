//! What the mouse does: it points, scrolls and selects; an attached program that asks for it gets it.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use opsctl_protocol::Timestamp;
use opsctl_terminal::Mouse;
use ratatui::layout::{Position, Rect};

use super::copy::{Copy, Kind};
use super::lines::Place;
use super::{Effect, Focus, State};
use crate::encode;
use crate::layout::inner;

/// Lines that a step of the wheel scrolls.
const WHEEL: i64 = 3;

/// Clicks that come faster are one double click, in milliseconds.
pub(super) const DOUBLE_CLICK_MS: u64 = 400;

/// Where a button was pressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Press {
    place: Place,
    at: Timestamp,
    /// 1 selects characters, 2 words, 3 lines.
    clicks: u8,
}

impl State {
    /// Takes what the mouse did.
    pub(super) fn mouse(&mut self, event: MouseEvent) -> Vec<Effect> {
        let position = Position::new(event.column, event.row);
        if self.overlay.is_some() {
            return self.point_at_overlay(event.kind, position);
        }
        if self.layout.header.contains(position) {
            self.point_at_header(event.kind, position);
            return Vec::new();
        }
        let under = |part: &Rect| part.contains(position);
        if let Some(list) = self.layout.list.filter(under) {
            return self.point_at_list(event.kind, position, list);
        }
        if let Some(room) = self.layout.room.filter(under) {
            return self.point_at_room(event.kind, position, room);
        }
        let blank = self.layout.blank.filter(|blank| blank.contains(position));
        if blank.is_some() && matches!(event.kind, MouseEventKind::Down(MouseButton::Left)) {
            return self.open_glanced();
        }
        let panes = &self.layout.panes;
        let Some((index, rect)) = panes
            .iter()
            .find(|(_, rect)| rect.contains(position))
            .copied()
        else {
            return Vec::new();
        };
        let view = self.panes.list[index].beside_times(inner(rect));
        if self.attached && index == self.panes.focused {
            let modes = self.panes.list[index].screen.modes();
            if modes.mouse != Mouse::Off && view.contains(position) {
                return self.forward(event, view);
            }
        }
        self.point(event, index, view);
        match event.kind {
            MouseEventKind::Up(MouseButton::Left) => self.release(),
            _ => Vec::new(),
        }
    }

    /// Gives the event to the attached program.
    fn forward(&mut self, event: MouseEvent, view: Rect) -> Vec<Effect> {
        let Some(pane) = self.panes.current() else {
            return Vec::new();
        };
        let window = pane.window((view.width, view.height));
        let row = window.line + i32::from(event.row - view.y);
        let col = window.col + (event.column - view.x);
        let bytes =
            u16::try_from(row).map(|row| encode::mouse(event, col, row, &pane.screen.modes()));
        self.type_bytes(&bytes.unwrap_or_default())
    }

    fn point(&mut self, event: MouseEvent, index: usize, view: Rect) {
        let size = (view.width, view.height);
        let (now, press) = (self.now, self.press);
        let Some(pane) = self.panes.list.get_mut(index) else {
            return;
        };
        let window = pane.window(size);
        let top = pane.top_line(size);
        let place = Place {
            line: top + u64::from(event.row.saturating_sub(view.y)),
            col: window.col + event.column.saturating_sub(view.x),
        };
        match event.kind {
            MouseEventKind::Down(MouseButton::Left) => {
                let again = press.filter(|press| {
                    press.place == place && now.0.saturating_sub(press.at.0) < DOUBLE_CLICK_MS
                });
                let clicks = again.map_or(1, |press| press.clicks % 3 + 1);
                pane.copy = None;
                if clicks > 1 {
                    pane.start_copy(selection(place, place, kind(clicks, event.modifiers)), size);
                }
                let link = pane.link(place);
                self.press = Some(Press {
                    place,
                    at: now,
                    clicks,
                });
                if index != self.panes.focused {
                    self.attached = false;
                }
                self.panes.focused = index;
                self.focus = Focus::Pane;
                if let Some(link) = link {
                    self.notify(link, false);
                }
            }
            MouseEventKind::Drag(MouseButton::Left) if index == self.panes.focused => {
                if let Some(press) =
                    press.filter(|press| pane.copy.is_some() || press.place != place)
                {
                    let kind = kind(press.clicks, event.modifiers);
                    pane.start_copy(selection(press.place, place, kind), size);
                }
            }
            kind => {
                if let Some(lines) = wheel(kind) {
                    pane.scroll(lines, size);
                }
            }
        }
    }

    /// Copies what the mouse has selected.
    fn release(&mut self) -> Vec<Effect> {
        let selected = self.panes.current().and_then(|pane| pane.copy);
        if selected.is_none_or(|copy| copy.anchor.is_none()) {
            return Vec::new();
        }
        self.yank()
    }
}

/// What so many clicks select. With either key held it is a block: some terminals keep Alt to themselves, others Ctrl.
fn kind(clicks: u8, held: KeyModifiers) -> Kind {
    match clicks {
        1 if held.intersects(KeyModifiers::ALT | KeyModifiers::CONTROL) => Kind::Block,
        1 => Kind::Char,
        2 => Kind::Word,
        _ => Kind::Line,
    }
}

fn selection(anchor: Place, cursor: Place, kind: Kind) -> Copy {
    Copy {
        cursor,
        anchor: Some(anchor),
        kind,
    }
}

/// Whether something is clicked.
pub(super) fn is_press(kind: MouseEventKind) -> bool {
    matches!(kind, MouseEventKind::Down(MouseButton::Left))
}

/// Lines that the wheel scrolls, up if negative.
pub(super) fn wheel(kind: MouseEventKind) -> Option<i64> {
    match kind {
        MouseEventKind::ScrollUp => Some(-WHEEL),
        MouseEventKind::ScrollDown => Some(WHEEL),
        _ => None,
    }
}
