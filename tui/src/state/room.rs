//! The views: which one is shown, and how one gets to another.

use opsctl_protocol::message::Verdict;

use super::{Effect, Purpose, State};
use crate::keys::{Action, Mode};

/// What fills the screen between the bars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum View {
    /// Agents, their commands and panes.
    #[default]
    Fleet,
    /// What needs a person.
    Inbox,
    /// The queue and the history of the whole fleet.
    Commands,
    /// What happened.
    Activity,
    /// The link to the daemon.
    Connections,
}

impl View {
    /// Every view, in the order of their keys.
    pub const ALL: [Self; 5] = [
        Self::Fleet,
        Self::Inbox,
        Self::Commands,
        Self::Activity,
        Self::Connections,
    ];

    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Fleet => "Fleet",
            Self::Inbox => "Inbox",
            Self::Commands => "Commands",
            Self::Activity => "Activity",
            Self::Connections => "Connections",
        }
    }

    /// What shows it.
    pub fn action(self) -> Action {
        match self {
            Self::Fleet => Action::ShowFleet,
            Self::Inbox => Action::ShowInbox,
            Self::Commands => Action::ShowCommands,
            Self::Activity => Action::ShowActivity,
            Self::Connections => Action::ShowConnections,
        }
    }

    /// The view that an action shows.
    pub fn of(action: Action) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.action() == action)
    }
}

impl State {
    /// Does what concerns the views and the palette; none where the key is for something else.
    pub(super) fn room_action(&mut self, mode: Mode, action: Action) -> Option<Vec<Effect>> {
        match (mode, action) {
            (Mode::Help | Mode::Confirm | Mode::Copying, _) => return None,
            (Mode::AllCommands, Action::Back) if !self.commands.filter.is_empty() => {
                self.narrow("");
            }
            (Mode::Activity, Action::Back) if !self.activity.filter.is_empty() => self.narrow(""),
            (Mode::Activity, Action::Open) => self.open_from_activity(),
            (Mode::Activity, Action::Filter) => {
                let filter = self.activity.filter.clone();
                self.ask(Purpose::Narrow, &filter);
            }
            (Mode::Inbox, Action::Open) => return Some(self.open_item()),
            (Mode::Inbox, Action::See) => self.see_item(),
            (_, Action::Approve) => self.ask_answer(Verdict::Approve),
            (_, Action::Deny) => self.ask_answer(Verdict::Deny),
            (
                Mode::Inbox | Mode::AllCommands | Mode::Activity | Mode::Connections,
                Action::Back,
            ) => {
                self.show(View::Fleet);
            }
            (Mode::AllCommands, Action::Open) => return Some(self.open_from_commands()),
            (Mode::AllCommands, Action::Filter) => {
                let filter = self.commands.filter.clone();
                self.ask(Purpose::Narrow, &filter);
            }
            (_, Action::Cancel) => self.ask_cancel(),
            (_, Action::Again) => self.ask_again(),
            (_, Action::Palette) => self.open_palette(),
            (_, action) => self.show(View::of(action)?),
        }
        Some(Vec::new())
    }

    /// Shows another view. What the fleet shows stays as it is; nobody is attached while it isn't seen.
    pub(super) fn show(&mut self, view: View) {
        if self.view != view {
            self.attached = false;
        }
        self.came_from = None;
        self.view = view;
        if view == View::Commands {
            self.keep_command();
        }
        self.see_activity();
    }
}
