//! Moving: through lists and lines, from the list to the panes and back, and what is narrowed on the way.

use opsctl_protocol::CommandId;

use super::{Focus, Purpose, State, View, moved};
use crate::layout::Layout;

impl State {
    /// Lines of a page in what has the focus.
    pub(super) fn page(&self) -> i64 {
        let layout = Layout::of(self);
        if let Some(room) = layout.room {
            // Title and headings take some.
            return i64::from(room.height.max(6) - 5);
        }
        let rows = match self.focus {
            Focus::Pane => layout.inner(self.panes.focused).1,
            Focus::List => layout.list.map_or(1, |list| list.height / 2),
        };
        i64::from(rows.max(2) - 1)
    }

    /// Moves the selection, or scrolls the pane.
    pub(super) fn step(&mut self, by: i64) {
        match self.view {
            View::Fleet => self.step_fleet(by),
            View::Inbox => self.step_item(by),
            View::Commands => self.step_command(by),
            View::Activity => self.step_activity(by),
            View::Connections => {
                let most = crate::view::connections_scroll(self);
                let line = (self.connections.line as i64).saturating_add(by);
                self.connections.line = line.clamp(0, most as i64) as usize;
            }
        }
    }

    fn step_fleet(&mut self, by: i64) {
        if self.focus == Focus::Pane {
            let size = Layout::of(self).inner(self.panes.focused);
            if let Some(pane) = self.panes.list.get_mut(self.panes.focused) {
                let size = pane.size_beside_times(size);
                pane.scroll(by, size);
                pane.leave_match(size);
            }
        } else {
            self.step_list(by);
        }
    }

    /// Moves the selection in the list at the side.
    pub(super) fn step_list(&mut self, by: i64) {
        if self.list.commands {
            let ids: Vec<CommandId> = self
                .listed_commands()
                .iter()
                .map(|c| c.command_id)
                .collect();
            self.list.command = moved(&ids, self.list.command.as_ref(), by);
        } else {
            self.step_agents(by);
        }
    }

    pub(super) fn pan(&mut self, cols: i32) {
        let size = Layout::of(self).inner(self.panes.focused);
        if let Some(pane) = self.panes.list.get_mut(self.panes.focused) {
            pane.pan(cols, pane.size_beside_times(size));
        }
    }

    /// Moves the focus through list and panes.
    pub(super) fn cycle(&mut self, forward: bool) {
        let places = self.panes.len() + 1;
        let now = if self.focus == Focus::Pane {
            self.panes.focused + 1
        } else {
            0
        };
        let fresh = std::mem::take(&mut self.panes.fresh);
        let next = if fresh && forward && now == 0 && places > 1 {
            self.panes.focused + 1
        } else {
            (now + if forward { 1 } else { places - 1 }) % places
        };
        // A zoomed pane hides the list: the round then goes through the panes only.
        let next = match next {
            0 if self.panes.zoomed && !self.panes.is_empty() => {
                if forward {
                    1
                } else {
                    places - 1
                }
            }
            next => next,
        };
        if next == 0 {
            self.focus = Focus::List;
        } else {
            self.focus = Focus::Pane;
            self.panes.focused = next - 1;
        }
    }

    pub(super) fn zoom(&mut self) {
        if self.panes.is_empty() {
            self.notify("no pane is open: select a command and press Enter", false);
            return;
        }
        self.panes.zoomed = !self.panes.zoomed;
        if self.panes.zoomed {
            self.focus = Focus::Pane;
        }
    }

    /// Shows the list where it has the focus: nobody may mark or interrupt what he doesn't see. Every way into the list
    /// leads through here.
    pub(super) fn leave_hidden_list(&mut self) {
        self.panes.zoomed &= self.focus == Focus::Pane;
    }

    /// Goes back to where the pane was opened from.
    pub(super) fn leave_pane(&mut self) {
        match self.came_from {
            Some(view) => self.show(view),
            None => self.focus = Focus::List,
        }
    }

    /// Undoes what was last narrowed down: the filter, then the agent or the marks.
    pub(super) fn leave_list(&mut self) {
        if !self.current_filter().is_empty() {
            self.filter(String::new());
        } else if self.list.commands {
            self.list_agents();
        } else {
            self.list.marks.clear();
        }
    }

    pub(super) fn list_agents(&mut self) {
        self.focus = Focus::List;
        self.list.commands = false;
        self.keep_selection();
    }

    pub(super) fn ask_filter(&mut self) {
        let filter = self.current_filter().clone();
        self.ask(Purpose::Filter, &filter);
    }

    /// The filter of what is listed.
    fn current_filter(&mut self) -> &mut String {
        if self.list.commands {
            &mut self.list.command_filter
        } else {
            &mut self.list.filter
        }
    }

    /// Lists only what has these words.
    pub(super) fn filter(&mut self, text: String) {
        *self.current_filter() = text;
        self.keep_selection();
    }
}
