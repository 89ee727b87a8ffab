//! What would do something now: hints name nothing else.

use opsctl_protocol::message::State as CommandState;

use super::{State, View};
use crate::keys::Action;

impl State {
    /// Whether an action would do something here and now, as far as that can be said beforehand.
    pub fn offers(&self, action: Action) -> bool {
        match action {
            Action::NextNeed | Action::PreviousNeed => self.fleet.roster().needy().next().is_some(),
            Action::Zoom | Action::ClosePane | Action::NextPane => !self.panes.is_empty(),
            Action::Mark => self.fleet.roster().listed() > 0,
            Action::Run => !self.only_watches() && (self.means_marked() || self.has_agent()),
            Action::Approve | Action::Deny => {
                let command = self.item_command();
                let summary = command.and_then(|command| self.summary(&command));
                !self.only_watches() && summary.is_some_and(|summary| summary.approval.is_some())
            }
            Action::Say
            | Action::SayWhenIdle
            | Action::Attach
            | Action::Interrupt
            | Action::Kill => {
                let target = || self.target_command().filter(|command| self.runs(command));
                !self.only_watches() && (self.means_marked() || target().is_some())
            }
            Action::Again => !self.only_watches() && self.selected_command().is_some(),
            Action::Cancel => {
                let waits = |state| matches!(state, CommandState::Queued | CommandState::Delivered);
                let selected = self.selected_command();
                !self.only_watches() && selected.is_some_and(|command| waits(command.state))
            }
            Action::Open => self.has_something_to_open(),
            Action::See => {
                let is_one = self.view != View::Inbox || self.inbox.selected.is_some();
                is_one && self.may_see().is_ok()
            }
            _ => true,
        }
    }

    fn has_agent(&self) -> bool {
        self.target_agent().is_some()
    }

    fn has_something_to_open(&self) -> bool {
        match self.view {
            View::Fleet if self.list.commands => self.list.command.is_some(),
            View::Fleet => self.list.agent.is_some() || self.list.group.is_some(),
            View::Inbox => self.inbox.selected.is_some(),
            View::Commands => self.commands.selected.is_some(),
            View::Activity => !self.activity.is_empty(),
            View::Connections => false,
        }
    }
}
