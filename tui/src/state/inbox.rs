//! The view Inbox: what needs a person, most urgent first, with the screen of the selected one.

use opsctl_protocol::{AgentId, CommandId};
use ratatui::layout::{Position, Rect};

use super::fleet::concerned;
use super::{Effect, Focus, State, View};
use crate::layout::list_body;

/// From this many columns on the list stands beside the screen.
const WIDE: u16 = 100;

/// From this many rows on the screen has room below the list.
const HIGH: u16 = 6;

/// Below this many rows the view has no title: the bar at the top tells as much.
const TITLED: u16 = 12;

/// What the view shows.
#[derive(Debug, Default)]
pub struct Inbox {
    /// The selected agent.
    pub selected: Option<AgentId>,
    /// Where it stood in the list, so that another takes its place when it is dealt with.
    at: usize,
}

impl State {
    /// Keeps the selection on something that still needs a person: what is dealt with gives way to the next.
    pub(super) fn keep_item(&mut self) {
        let inbox = self.fleet.roster().inbox();
        let selected = self.inbox.selected.as_ref();
        let found = inbox
            .enumerate()
            .find(|(_, agent)| Some(*agent) == selected);
        if let Some((at, _)) = found {
            self.inbox.at = at;
            return;
        }
        let waiting = self.fleet.roster().inbox_len();
        self.inbox.at = self.inbox.at.min(waiting.saturating_sub(1));
        self.inbox.selected = self.fleet.roster().inbox().nth(self.inbox.at).cloned();
    }

    /// Moves the selection by so many items.
    pub(super) fn step_item(&mut self, by: i64) {
        let last = self.fleet.roster().inbox_len().saturating_sub(1);
        let at = (self.inbox.at as i64).saturating_add(by);
        self.inbox.at = at.clamp(0, last as i64) as usize;
        self.inbox.selected = self.fleet.roster().inbox().nth(self.inbox.at).cloned();
    }

    /// Where the selected item stands in the list, from 0.
    pub fn item_at(&self) -> usize {
        self.inbox.at
    }

    /// The command that the selected item is about.
    pub fn item_command(&self) -> Option<CommandId> {
        concerned(self.fleet.get(self.inbox.selected.as_ref()?)?)
    }

    /// Opens the item's terminal in a pane, from which Esc leads back here.
    pub(super) fn open_item(&mut self) -> Vec<Effect> {
        let Some(command) = self.item_command() else {
            self.notify("it has no terminal to open", false);
            return Vec::new();
        };
        self.view = View::Fleet;
        self.came_from = Some(View::Inbox);
        self.focus = Focus::Pane;
        let effects = self.open(command, self.panes.grid);
        if self.panes.is_empty() {
            self.focus = Focus::List;
        }
        effects
    }

    /// Takes the item off: the person knows.
    pub(super) fn see_item(&mut self) {
        if let Err(why) = self.may_see() {
            return self.notify(why, true);
        }
        if let Some(agent) = self.inbox.selected.clone() {
            self.fleet.see(&agent);
            self.keep_item();
        }
    }

    /// The view's room without its title, which it has where there is room.
    pub fn inbox_body(room: Rect) -> Rect {
        if room.height < TITLED {
            room
        } else {
            list_body(room)
        }
    }

    /// Where the view's list is, and where the selected item, in `body` below the title.
    pub fn inbox_places(&self, body: Rect) -> (Rect, Rect) {
        divide(body, self.fleet.roster().inbox_len())
    }

    /// The item in the first row of the list: the selected one stands in the middle where there are more than rows.
    pub fn first_item(&self, list: Rect) -> usize {
        let (waiting, rows) = (self.fleet.roster().inbox_len(), usize::from(list.height));
        let middle = self.inbox.at.saturating_sub(rows / 2);
        middle.min(waiting.saturating_sub(rows))
    }

    /// How many rows the item at a place is from the selected one.
    pub(super) fn item_at_place(&self, room: Rect, position: Position) -> Option<i64> {
        let (list, _) = self.inbox_places(Self::inbox_body(room));
        let row = usize::from(position.y.checked_sub(list.y)?);
        let at = self.first_item(list) + row;
        let is_item = list.contains(position) && at < self.fleet.roster().inbox_len();
        is_item.then(|| at as i64 - self.inbox.at as i64)
    }
}

/// The list, and the rest for the selected item.
fn divide(body: Rect, waiting: usize) -> (Rect, Rect) {
    if body.width >= WIDE {
        let width = (body.width / 3).clamp(36, 60);
        let list = Rect { width, ..body };
        let rest = Rect {
            x: body.x + width + 1,
            width: body.width - width - 1,
            ..body
        };
        return (list, rest);
    }
    if body.height < HIGH {
        let none = Rect { height: 0, ..body };
        return (body, none);
    }
    // Two lines say what it is; the rest is for the screen.
    let height = (body.height / 3)
        .max(2)
        .min(u16::try_from(waiting).unwrap_or(u16::MAX));
    let list = Rect { height, ..body };
    let rest = Rect {
        y: body.y + height,
        height: body.height - height,
        ..body
    };
    (list, rest)
}
