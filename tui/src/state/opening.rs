//! Panes are opened for what is selected, attached to, and closed.

use opsctl_protocol::message::CommandQuery;

use super::messages::commands_of;
use super::{Effect, Focus, State, View, channel};

impl State {
    /// Lists the selected agent's commands, and shows the current one where there is room anyway.
    pub(super) fn open_agent(&mut self) -> Vec<Effect> {
        let Some(agent) = self.list.agent.clone() else {
            return Vec::new();
        };
        let current = self.target_command();
        self.list.commands = true;
        self.list.command_filter.clear();
        self.list.command = current;
        self.keep_selection();
        let mut effects = vec![commands_of(&agent)];
        if let Some(command) = current.filter(|_| self.panes.is_empty()) {
            effects.extend(self.open(command, false));
        }
        effects
    }

    pub(super) fn open_selected(&mut self, beside: bool) -> Vec<Effect> {
        let Some(command) = self.list.command else {
            return Vec::new();
        };
        if beside && self.panes.len() == super::MAX_PANES {
            self.notify(format!("{} panes are open already", super::MAX_PANES), true);
            return Vec::new();
        }
        if beside {
            (self.panes.grid, self.panes.fresh) = (true, true);
        } else {
            self.focus = Focus::Pane;
        }
        self.open(command, beside)
    }

    pub(super) fn close_pane(&mut self) -> Vec<Effect> {
        if self.panes.is_empty() {
            return Vec::new();
        }
        let pane = self.panes.list.remove(self.panes.focused);
        self.attached = false;
        self.panes.focused = self.panes.focused.min(self.panes.len().saturating_sub(1));
        if self.panes.is_empty() {
            self.panes.zoomed = false;
            self.focus = Focus::List;
        }
        vec![Effect::Unsubscribe(channel(pane.command))]
    }

    /// Attaches to the pane's command; from a list, to the selected one, which is shown first.
    pub(super) fn attach(&mut self) -> Vec<Effect> {
        if let Err(why) = self.may_operate() {
            self.notify(why, true);
            return Vec::new();
        }
        let Some(command) = self.target_command().filter(|command| self.runs(command)) else {
            self.notify("nothing runs there to attach to", false);
            return Vec::new();
        };
        self.answers = self.panes.of(command).is_some();
        if self.view != View::Fleet {
            self.came_from = Some(self.view);
            self.view = View::Fleet;
        }
        let effects = self.open(command, false);
        let Some((_, pane)) = self.panes.of(command) else {
            return effects;
        };
        if !pane.pty {
            self.notify("this command has no terminal to attach to", true);
            return effects;
        }
        pane.follow();
        // Questions in output that came before are not asked of this terminal.
        pane.screen.take_replies();
        self.focus = Focus::Pane;
        self.attached = true;
        effects
    }

    pub(super) fn logs(&mut self, id: String) -> Vec<Effect> {
        if let [command] = self.fleet.find_commands(&id)[..] {
            self.show(View::Fleet);
            self.focus = Focus::Pane;
            return self.open(command, false);
        }
        let query = CommandQuery {
            id_prefix: Some(id),
            ..CommandQuery::default()
        };
        vec![Effect::Query(query)]
    }
}
