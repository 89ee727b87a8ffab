//! The views: which one is shown, and how one gets to another.

use super::State;
use crate::keys::Action;

/// What fills the screen between the bars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum View {
    /// Agents, their commands and panes.
    #[default]
    Fleet,
    /// The link to the daemon.
    Connections,
}

impl View {
    /// Every view, in the order of their keys.
    pub const ALL: [Self; 2] = [Self::Fleet, Self::Connections];

    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Fleet => "Fleet",
            Self::Connections => "Connections",
        }
    }

    /// What shows it.
    pub fn action(self) -> Action {
        match self {
            Self::Fleet => Action::ShowFleet,
            Self::Connections => Action::ShowConnections,
        }
    }

    /// The view that an action shows.
    pub fn of(action: Action) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.action() == action)
    }
}

impl State {
    /// Shows another view. What the fleet shows stays as it is; nobody is attached while it isn't seen.
    pub(super) fn show(&mut self, view: View) {
        if self.view != view {
            self.attached = false;
        }
        self.view = view;
    }
}
