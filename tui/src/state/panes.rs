//! The list at the side and the panes beside it.

use std::collections::BTreeSet;

use opsctl_protocol::{AgentId, CommandId};

use super::{Pane, roster};

/// Panes that can be open at once.
pub const MAX_PANES: usize = 9;

/// List or panes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The list.
    List,
    /// The focused pane.
    Pane,
}

/// The list at the side.
#[derive(Debug, Default)]
pub struct List {
    /// The selected agent, if the selected row is one.
    pub agent: Option<AgentId>,
    /// The group whose heading is the selected row.
    pub group: Option<roster::GroupName>,
    /// Agents that are acted on together.
    pub marks: BTreeSet<AgentId>,
    /// Whether its commands are listed rather than the agents.
    pub commands: bool,
    /// The selected command.
    pub command: Option<CommandId>,
    /// Only agents that have these words are listed.
    pub filter: String,
    /// Only commands that have these words are listed.
    pub command_filter: String,
}

/// The terminals that are open.
#[derive(Debug, Default)]
pub struct Panes {
    pub(super) list: Vec<Pane>,
    /// The one that keys go to.
    pub focused: usize,
    /// Whether it was opened from the list just now, so that the way into the panes begins there.
    pub(super) fresh: bool,
    /// Whether all are shown, where there is room.
    pub grid: bool,
    /// Whether the focused one has the whole screen.
    pub zoomed: bool,
}

impl Panes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A pane by its index.
    pub fn get(&self, index: usize) -> Option<&Pane> {
        self.list.get(index)
    }

    /// The focused one.
    pub fn current(&self) -> Option<&Pane> {
        self.list.get(self.focused)
    }

    /// The pane of a command.
    pub fn find(&self, command: CommandId) -> Option<&Pane> {
        self.list.iter().find(|pane| pane.command == command)
    }

    pub(super) fn of(&mut self, command: CommandId) -> Option<(usize, &mut Pane)> {
        self.list
            .iter_mut()
            .enumerate()
            .find(|(_, pane)| pane.command == command)
    }
}
