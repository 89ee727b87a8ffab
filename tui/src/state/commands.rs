//! The view Commands: the queue and the history of the whole fleet.

use opsctl_protocol::message::{
    CommandList, CommandQuery, CommandSummary, Program, State as CommandState,
};
use opsctl_protocol::{AgentId, CommandId, Timestamp};

use super::{Effect, Focus, Overlay, State, View};

/// Commands of a page of the history.
const PAGE: u32 = 200;

/// Rows from the end of the list at which the next page is asked for.
const AHEAD: usize = 20;

/// What the view shows of the commands.
#[derive(Debug, Default)]
pub struct Commands {
    /// Only what fits this is listed.
    pub filter: String,
    /// The selected one.
    pub selected: Option<CommandId>,
    /// How far the history is known.
    pub history: History,
}

/// How far the history is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum History {
    /// Nothing was asked for on this connection.
    #[default]
    Unasked,
    /// A page is on its way.
    Loading,
    /// Known down to this command; there are older ones.
    Until(Timestamp, CommandId),
    /// There are no older ones, or none that are kept here.
    Whole,
}

impl State {
    /// The commands of the view, in its order.
    pub fn all_commands(&self) -> impl Iterator<Item = &CommandSummary> {
        let ids = self.fleet.listing().ids();
        ids.filter_map(|id| self.fleet.get_command(&id))
    }

    /// Asks for the next page of the history where the view is near the end of what is known.
    pub(super) fn more_history(&mut self) -> Vec<Effect> {
        if self.view != View::Commands || !self.connection.is_connected() {
            return Vec::new();
        }
        let before = match self.commands.history {
            History::Unasked => None,
            History::Until(time, command) => Some((time, command)),
            History::Loading | History::Whole => return Vec::new(),
        };
        let at = self.command_at();
        let near = at.is_none_or(|at| at + AHEAD >= self.fleet.listing().len());
        if before.is_some() && !near {
            return Vec::new();
        }
        self.commands.history = History::Loading;
        vec![Effect::History(CommandQuery {
            before: before.map(|(time, _)| time),
            before_id: before.map(|(_, command)| command),
            limit: Some(PAGE),
            ..CommandQuery::default()
        })]
    }

    /// Takes a page of the history.
    pub(super) fn history(&mut self, list: CommandList) {
        let oldest = list
            .commands
            .last()
            .map(|command| (command.created_at, command.command_id));
        for command in list.commands {
            self.fleet.command(command);
        }
        self.commands.history = match oldest {
            Some((time, command)) if list.more && self.fleet.has_room() => {
                History::Until(time, command)
            }
            _ => History::Whole,
        };
        self.keep_command();
    }

    /// Where the selected command stands in the list, from 0.
    pub fn command_at(&self) -> Option<usize> {
        let selected = self.commands.selected?;
        self.fleet.listing().ids().position(|id| id == selected)
    }

    /// Keeps the selection on something that is listed.
    pub(super) fn keep_command(&mut self) {
        if self.command_at().is_none() {
            self.commands.selected = self.fleet.listing().ids().next();
        }
    }

    /// Lists only what fits this, in the view that is shown.
    pub(super) fn narrow(&mut self, filter: &str) {
        if self.view == View::Activity {
            return filter.clone_into(&mut self.activity.filter);
        }
        filter.clone_into(&mut self.commands.filter);
        self.fleet.narrow(filter);
        self.keep_command();
    }

    pub(super) fn step_command(&mut self, by: i64) {
        let last = self.fleet.listing().len().saturating_sub(1) as i64;
        let at = match self.command_at() {
            Some(at) => (at as i64).saturating_add(by).clamp(0, last),
            None => 0,
        };
        self.commands.selected = self.fleet.listing().ids().nth(at as usize);
    }

    /// Shows the selected command's output in a pane, from which Esc leads back here.
    pub(super) fn open_from_commands(&mut self) -> Vec<Effect> {
        let Some(command) = self.commands.selected else {
            return Vec::new();
        };
        self.came_from = Some(View::Commands);
        self.view = View::Fleet;
        self.focus = Focus::Pane;
        self.open(command, false)
    }

    /// Asks whether to take the selected command out of its queue.
    pub(super) fn ask_cancel(&mut self) {
        if let Err(why) = self.may_operate() {
            return self.notify(why, true);
        }
        let state = self
            .selected_command()
            .map(|command| (command.command_id, command.state));
        match state {
            Some((command, CommandState::Queued | CommandState::Delivered)) => {
                self.overlay = Some(Overlay::ConfirmCancel(command));
            }
            Some((_, CommandState::Running)) => {
                self.notify("it runs already: interrupt or kill it", false);
            }
            _ => self.notify("nothing waits there", false),
        }
    }

    /// Asks whether to run the selected command once more.
    pub(super) fn ask_again(&mut self) {
        if let Err(why) = self.may_operate() {
            return self.notify(why, true);
        }
        match self.selected_command().map(again) {
            None => self.notify("no command is selected", false),
            Some(Err(why)) => self.notify(why, true),
            Some(Ok(again)) => self.overlay = Some(Overlay::ConfirmAgain(Box::new(again))),
        }
    }

    /// The command that is selected in the view.
    pub fn selected_command(&self) -> Option<&CommandSummary> {
        self.summary(&self.commands.selected?)
    }
}

/// A command to be run once more, as far as the daemon tells what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// Where.
    pub agent: AgentId,
    /// What.
    pub program: Program,
    /// In which directory; the agent's own when there is none.
    pub cwd: Option<String>,
    /// Whether in a terminal.
    pub pty: bool,
    /// Columns and rows.
    pub size: (u16, u16),
}

impl std::fmt::Display for Again {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` on {}", self.program, self.agent)?;
        self.cwd.iter().try_for_each(|cwd| write!(f, " in {cwd}"))
    }
}

fn again(command: &CommandSummary) -> Result<Again, &'static str> {
    // A long program is told with its end left out, and half a command isn't that command.
    if command.program.is_abridged() {
        return Err("this command is too long to be known whole here: run it with opsctl send");
    }
    if command.main {
        return Err("this is the agent's own program, which its agent starts");
    }
    Ok(Again {
        agent: command.agent_id.clone(),
        program: command.program.clone(),
        cwd: command.cwd.clone(),
        pty: command.pty,
        size: (command.cols, command.rows),
    })
}
