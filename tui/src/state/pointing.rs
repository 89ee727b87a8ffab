//! What the mouse does beside the panes: a click selects a row, a second one does what Enter would, the wheel goes through
//! rows, and the names of the views at the top are to be clicked.

use crossterm::event::MouseEventKind;
use opsctl_protocol::Timestamp;
use ratatui::layout::{Position, Rect};

use super::mouse::{DOUBLE_CLICK_MS, is_press, wheel};
use super::{Effect, Focus, Overlay, State, View};
use crate::keys::{Action, Mode};
use crate::layout::list_body;
use crate::view;

/// A click that may be the first of two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Click {
    view: View,
    row: u16,
    at: Timestamp,
}

impl State {
    /// Whether a click on a row is the second on it. Where the first has moved what is listed, both mean what that one
    /// has selected.
    fn is_second_click(&mut self, row: u16) -> bool {
        let (view, now) = (self.view, self.now);
        let first = self.click.take();
        let is_second = first.is_some_and(|click| {
            let lately = now.0.saturating_sub(click.at.0) < DOUBLE_CLICK_MS;
            (click.view, click.row) == (view, row) && lately
        });
        if !is_second {
            self.click = Some(Click { view, row, at: now });
        }
        is_second
    }

    /// Shows the view whose name at the top was clicked.
    pub(super) fn point_at_header(&mut self, kind: MouseEventKind, position: Position) {
        if let Some(view) = view::tab_at(self, position.x).filter(|_| is_press(kind)) {
            self.show(view);
        }
    }

    /// In the list at the side.
    pub(super) fn point_at_list(
        &mut self,
        kind: MouseEventKind,
        position: Position,
        list: Rect,
    ) -> Vec<Effect> {
        if let Some(lines) = wheel(kind) {
            self.step_list(lines.signum());
        }
        if !is_press(kind) {
            return Vec::new();
        }
        self.attached = false;
        self.focus = Focus::List;
        let body = list_body(list);
        if !body.contains(position) {
            return Vec::new();
        }
        if self.is_second_click(position.y) {
            return self.act(self.mode(), Action::Open);
        }
        if !self.list.commands {
            self.press_row(body, position.y);
        } else if let Some(command) = view::listed_at(self, body, position.y) {
            self.list.command = Some(command);
        }
        Vec::new()
    }

    /// In a view other than the fleet.
    pub(super) fn point_at_room(
        &mut self,
        kind: MouseEventKind,
        position: Position,
        room: Rect,
    ) -> Vec<Effect> {
        if let Some(lines) = wheel(kind) {
            self.step(lines.signum());
        }
        if !is_press(kind) {
            return Vec::new();
        }
        let rows_away = match self.view {
            View::Inbox => self.item_at_place(room, position),
            _ => view::row_at(self, room, position),
        };
        let Some(rows_away) = rows_away else {
            return Vec::new();
        };
        if self.is_second_click(position.y) {
            return self.act(self.mode(), Action::Open);
        }
        self.step(rows_away);
        Vec::new()
    }

    /// In what lies over everything, or beside it.
    pub(super) fn point_at_overlay(
        &mut self,
        kind: MouseEventKind,
        position: Position,
    ) -> Vec<Effect> {
        match self.overlay {
            Some(Overlay::Palette(_)) => return self.point_at_palette(kind, position),
            Some(Overlay::Help(_)) if is_press(kind) => self.overlay = None,
            Some(Overlay::Help(_)) => {
                let lines = wheel(kind).unwrap_or_default();
                let action = if lines < 0 { Action::Up } else { Action::Down };
                for _ in 0..lines.unsigned_abs() {
                    self.act(Mode::Help, action);
                }
            }
            // A question is answered by keys, so that no stray click does what destroys; a line is typed.
            _ => {}
        }
        Vec::new()
    }

    fn point_at_palette(&mut self, kind: MouseEventKind, position: Position) -> Vec<Effect> {
        if let Some(lines) = wheel(kind) {
            self.step_palette(lines.signum());
        }
        if !is_press(kind) {
            return Vec::new();
        }
        let (over, list) = view::palette_places(Rect::new(0, 0, self.size.0, self.size.1));
        if !over.contains(position) {
            self.overlay = None;
        } else if list.contains(position) {
            if self.is_second_click(position.y) {
                return self.choose();
            }
            if let Some(Overlay::Palette(palette)) = &mut self.overlay {
                let row = usize::from(position.y - list.y);
                let found = view::first_row(list, palette.found.len(), palette.selected) + row;
                if found < palette.found.len() {
                    palette.selected = found;
                }
            }
        }
        Vec::new()
    }
}
