//! What the console knows and shows: a pure reducer. Input and messages go in, [`Effect`]s come out;
//! there is no IO here, and the time is told.
//!
//! - [`effect`]: what goes in and comes out.
//! - [`link`]: the connection to the daemon.
//! - [`fleet`]: agents and commands; [`doing`]: what an agent does; [`roster`]: agents in the order of the list.
//! - [`panes`]: the list at the side and the panes; [`pane`], [`older`]: a command's terminal, and what it no longer holds.
//! - [`hidden`]: what a pane is while it isn't shown.
//! - [`lines`], [`search`], [`copy`]: a pane's lines by number, searched and selected.
//! - [`work`]: what takes its time, how far it is, and its end.
//! - [`commands`], [`listing`], [`filter`]: the commands of the whole fleet, their order, and what narrows them.
//! - [`activity`]: what happened, and what is told of it at once.
//! - [`connections`]: who else watches, and how much comes here.
//! - [`palette`]: everything by a few letters; [`look`]: which theme is shown.
//! - `mouse`, `pointing`: what the mouse does in panes, and everywhere else.
//! - [`room`]: the views, and the way from one to another.
//! - [`prompt`], [`command_line`]: what the person types in a line.
//! - [`memory`]: what lasts from one start to the next.
//! - [`inbox`]: what needs a person; [`glance`]: a terminal that is looked at without a pane.
//! - [`saying`]: what is said to programs, and what has become of it.
//! - `choosing`: which agents are meant; `offers`: what would do something; `rights`: what may be done.
//! - `messages`, `input`, `mouse`, `actions`: the reducer itself, by where things come from.
//! - `moving`, `opening`, `running`, `reading`, `help`, `typed_lines`: what actions and lines do.

pub mod activity;
pub mod command_line;
pub mod commands;
pub mod connections;
pub mod copy;
pub mod doing;
pub mod effect;
pub mod filter;
pub mod fleet;
pub mod glance;
pub mod hidden;
pub mod inbox;
pub mod lines;
pub mod link;
pub mod listing;
pub mod look;
pub mod memory;
pub mod older;
pub mod palette;
pub mod pane;
pub mod panes;
pub mod prompt;
pub mod room;
pub mod roster;
pub mod saying;
pub mod search;
pub mod times;
pub mod work;

mod actions;
mod choosing;
mod help;
mod input;
mod messages;
mod mirror;
mod mouse;
mod moving;
pub mod notice;
mod offers;
mod opening;
mod pointing;
mod reading;
mod rights;
mod running;
mod typed_lines;

use std::collections::VecDeque;

use opsctl_protocol::message::{
    CommandSummary, Connected, Role, State as CommandState, Subscribe, Target,
};
use opsctl_protocol::{AgentId, Channel, CommandId, Pattern, Timestamp};

use crate::clock::Zone;
use crate::keys::{Keymap, Mode};
use crate::layout::Layout;
pub use effect::{Answer, Effect, Input, Message, Outcome, Redraw};
pub use link::{Connection, Link};
pub use notice::Notice;
pub use pane::Pane;
pub use panes::{Focus, List, MAX_PANES, Panes};
pub use prompt::{Prompt, Purpose};
pub use room::View;

/// Everything that the console shows.
#[derive(Debug)]
pub struct State {
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The time, as last told.
    pub now: Timestamp,
    /// Where the daemon is, for the title.
    pub endpoint: String,
    /// Whether this console only watches, by its own wish.
    pub read_only: bool,
    /// What the daemon lets this connection do, once it has said so.
    pub role: Option<Role>,
    /// The daemon's introduction, the last one.
    pub daemon: Option<Connected>,
    /// Which keys do what.
    pub keys: Keymap,
    /// What is shown.
    pub view: View,
    /// The view that a pane was opened from, to which Esc leads back.
    came_from: Option<View>,
    /// The view Commands.
    pub commands: commands::Commands,
    /// What happened.
    pub activity: activity::Activity,
    /// Which theme is shown.
    pub look: look::Look,
    /// Only the help's lines that have these words are shown.
    pub help_filter: String,
    /// The view Connections.
    pub connections: connections::Connections,
    /// What was chosen in the palette, the newest last.
    recent: Vec<palette::What>,
    /// The connection to the daemon.
    pub connection: Connection,
    /// Agents and commands.
    pub fleet: Fleet,
    /// The list at the side.
    pub list: List,
    /// What needs a person.
    pub inbox: inbox::Inbox,
    /// The terminal that is looked at without a pane.
    glance: glance::Glance,
    /// The terminals that are open.
    pub panes: Panes,
    /// What has the keyboard, below any overlay.
    pub focus: Focus,
    /// Whether the focused pane gets all keys.
    pub attached: bool,
    /// Terminals that get what is typed as well as the attached one; none where typing is not mirrored.
    pub mirrored: Vec<CommandId>,
    /// Files that are being written, the one asked for last at the end.
    pub exports: Vec<work::Export>,
    /// What lies over everything.
    pub overlay: Option<Overlay>,
    /// News in the last line.
    pub notice: Option<Notice>,
    /// What is to be told after it.
    notices: VecDeque<Notice>,
    /// Whether the terminal's window has no focus, and nothing is drawn.
    pub away: bool,
    /// Whether everything is drawn also then.
    pub always_drawn: bool,
    /// Whether nothing moves by itself: no countdowns, no percentages, no blinking.
    pub still: bool,
    /// Lines typed before: commands run, and the command line's.
    pub run_history: Vec<String>,
    /// Lines of the command line.
    pub line_history: Vec<String>,
    /// Messages said to programs.
    pub say_history: Vec<String>,
    /// Those of which something more may become.
    sayings: saying::Sayings,
    /// Whether the attached terminal answers what its application asks. Not while old output is
    /// replayed into a pane that was just opened: those questions were asked of others.
    answers: bool,
    /// Whether the mouse is the console's, not the terminal's.
    pub mouse: bool,
    /// Where the mouse was pressed last.
    press: Option<mouse::Press>,
    /// The last click on a row, while a second one would open it.
    click: Option<pointing::Click>,
    /// Where the person's clock is.
    pub zone: Zone,
    /// Where things are, as last drawn or to be drawn next.
    pub layout: Layout,
    /// The size last told to the daemon for the attached pane.
    told_size: Option<(CommandId, u16, u16)>,
    /// What is remembered.
    memory: memory::Memory,
}

pub use choosing::Shown;
pub use fleet::Fleet;

/// What lies over everything.
#[derive(Debug, Clone)]
pub enum Overlay {
    /// The help, scrolled by so many lines.
    Help(u16),
    /// A line being typed.
    Prompt(Prompt),
    /// Whether to kill these commands.
    ConfirmKill {
        /// Which.
        commands: Vec<CommandId>,
        /// The first line of what is asked that is shown.
        line: u16,
    },
    /// Everything by a few letters.
    Palette(Box<palette::Palette>),
    /// Whether to take this command out of its queue.
    ConfirmCancel(CommandId),
    /// Whether to run this once more.
    ConfirmAgain(Box<commands::Again>),
    /// Whether to run a line on all of these.
    ConfirmRun(Many),
    /// Whether to type into all of these terminals.
    ConfirmMirror(Vec<CommandId>),
    /// Whether to type this into a program's terminal.
    ConfirmSay(Box<saying::Question>),
}

/// Something to be run in several places at once.
#[derive(Debug, Clone)]
pub struct Many {
    /// Where.
    pub(super) targets: Vec<Target>,
    /// Which agents that are.
    pub agents: Vec<AgentId>,
    /// What, for a shell.
    pub command: String,
    /// The first line of what is asked that is shown.
    pub line: u16,
}

impl State {
    /// A console that knows nothing yet.
    pub fn new(size: (u16, u16), now: Timestamp, endpoint: String, read_only: bool) -> Self {
        let mut state = Self {
            size,
            now,
            endpoint,
            read_only,
            role: None,
            daemon: None,
            keys: Keymap::default(),
            view: View::default(),
            came_from: None,
            commands: commands::Commands::default(),
            activity: activity::Activity::default(),
            look: look::Look::default(),
            help_filter: String::new(),
            connections: connections::Connections::default(),
            recent: Vec::new(),
            connection: Connection::default(),
            fleet: Fleet::default(),
            list: List::default(),
            inbox: inbox::Inbox::default(),
            glance: glance::Glance::default(),
            panes: Panes::default(),
            focus: Focus::List,
            attached: false,
            mirrored: Vec::new(),
            exports: Vec::new(),
            overlay: None,
            notice: None,
            notices: VecDeque::new(),
            away: false,
            always_drawn: false,
            still: false,
            run_history: Vec::new(),
            line_history: Vec::new(),
            say_history: Vec::new(),
            sayings: saying::Sayings::default(),
            answers: false,
            mouse: true,
            press: None,
            click: None,
            zone: Zone::default(),
            layout: Layout::default(),
            told_size: None,
            memory: memory::Memory::default(),
        };
        state.layout = Layout::of(&state);
        state
    }

    /// Shows whatever moves by itself in a form that doesn't.
    pub fn keep_still(&mut self, still: bool) {
        self.still = still;
        self.connection.still = still;
    }

    /// What is to be done first of all.
    ///
    /// # Panics
    /// Never: the channel is a valid one.
    pub fn start(&self) -> Vec<Effect> {
        // `system` and `task:*` have what is told by no agent, and how tasks stand.
        let heard = ["agent:*", "system", "task:*"].into_iter();
        let subscribe = |channel| {
            Effect::Subscribe(Subscribe {
                channel: Pattern::new(channel).expect("a pattern of the contract"),
                since: None,
                lossless: false,
                no_output: true,
            })
        };
        heard.map(subscribe).collect()
    }

    /// What has the keyboard.
    pub fn mode(&self) -> Mode {
        match &self.overlay {
            Some(Overlay::Help(_)) => Mode::Help,
            Some(Overlay::Prompt(_)) => Mode::Prompt,
            Some(Overlay::Palette(_)) => Mode::Palette,
            Some(
                Overlay::ConfirmKill { .. }
                | Overlay::ConfirmCancel(_)
                | Overlay::ConfirmAgain(_)
                | Overlay::ConfirmRun(_)
                | Overlay::ConfirmMirror(_)
                | Overlay::ConfirmSay(_),
            ) => Mode::Confirm,
            None => self.mode_below(),
        }
    }

    /// What would have the keyboard if nothing lay over it.
    fn mode_below(&self) -> Mode {
        match self.view {
            View::Inbox => Mode::Inbox,
            View::Commands => Mode::AllCommands,
            View::Activity => Mode::Activity,
            View::Connections => Mode::Connections,
            View::Fleet if self.focus == Focus::Pane && self.attached => Mode::Attached,
            View::Fleet if self.focus == Focus::Pane && self.copies() => Mode::Copying,
            View::Fleet if self.focus == Focus::Pane => Mode::Pane,
            View::Fleet if self.list.commands => Mode::Commands,
            View::Fleet => Mode::Agents,
        }
    }

    fn copies(&self) -> bool {
        self.panes.current().is_some_and(|pane| pane.copy.is_some())
    }

    /// A pane's command as last told; it may have been forgotten.
    pub fn summary(&self, command: &CommandId) -> Option<&CommandSummary> {
        self.fleet.get_command(command)
    }

    /// Whether a command still lives, or may.
    fn lives(&self, command: &CommandId) -> bool {
        self.summary(command)
            .is_none_or(|summary| !summary.state.is_final())
    }

    fn runs(&self, command: &CommandId) -> bool {
        self.summary(command)
            .is_some_and(|summary| summary.state == CommandState::Running)
    }

    /// Whether keys go to this command's program.
    pub fn types_into(&self, command: CommandId) -> bool {
        let pane = self.panes.current().filter(|_| self.attached);
        pane.is_some_and(|pane| pane.command == command) || self.mirrored.contains(&command)
    }

    /// Kitty's flags for what is typed: those of the attached program that this console can pass on. Which keys are
    /// pressed and released is passed on; that all keys come as escape codes needs no help from the terminal.
    pub fn keyboard(&self) -> u8 {
        let pane = self.panes.current().filter(|_| self.attached);
        let wanted = pane.map_or(0, |pane| pane.screen.modes().keyboard);
        crate::tty::KEYBOARD | wanted & crate::encode::EVENT_TYPES
    }

    /// When something visible changes by itself, if it does.
    pub fn next_change(&self) -> Option<Timestamp> {
        let toast = self.activity.next_change();
        let notice = self.notice_change();
        let link = self.connection.next_change(self.now);
        // In the other views something's age is always shown.
        let aged = self.view != View::Fleet;
        let minute = aged.then(|| Timestamp((self.now.0 / 60_000 + 1) * 60_000));
        let due = [
            self.next_rest(),
            self.remembers_at(),
            self.rates_change(),
            self.glances_at(),
            self.work_change(),
        ];
        let shown = [notice, toast, link, minute, self.ages_change()];
        shown.into_iter().chain(due).flatten().min()
    }

    /// When one of the ages that are shown will read differently.
    fn ages_change(&self) -> Option<Timestamp> {
        let list = self.layout.list.filter(|_| !self.list.commands);
        let rows = list.map(|list| self.shown_rows(crate::layout::list_body(list)));
        let listed = rows.iter().flatten().filter_map(|shown| match shown.row {
            roster::Row::Agent(agent) => fleet::age(self.fleet.get(agent)?),
            roster::Row::Heading(_) => None,
        });
        // Beside a preview it is told since when its agent is connected.
        let agent = self
            .list
            .agent
            .as_ref()
            .filter(|_| self.layout.blank.is_some());
        let agent = agent.and_then(|agent| self.fleet.get(agent));
        let told = agent.map(|agent| agent.since);
        let known = agent.and_then(fleet::age);
        listed
            .chain(told)
            .chain(known)
            .filter_map(|since| crate::age::next_change(since, self.now))
            .min()
    }

    /// Whether an application is in the middle of a frame that it wants shown as a whole.
    pub fn is_mid_frame(&self) -> bool {
        let panes = self.layout.panes.iter();
        let shown = panes.filter_map(|(index, _)| self.panes.get(*index));
        let mut shown = shown.chain(self.glanced_screen());
        shown.any(|pane| pane.screen.modes().synchronized)
    }

    /// Fits what depends on the layout: panes of commands without terminals, and the terminal that
    /// the person is attached to.
    fn fit(&mut self) -> Vec<Effect> {
        self.leave_hidden_list();
        self.layout = Layout::of(self);
        self.see_shown();
        let mut effects = self.glance();
        effects.extend(self.look_at_shown());
        let layout = &self.layout;
        for (index, _) in &layout.panes {
            let (cols, rows) = layout.inner(*index);
            let pane = &mut self.panes.list[*index];
            let (cols, rows) = pane.size_beside_times((cols, rows));
            pane.fit(cols, rows);
        }
        if !self.attached {
            self.mirrored.clear();
        }
        let Some(pane) = self.panes.current().filter(|_| self.attached) else {
            self.told_size = None;
            return effects;
        };
        let (cols, rows) = layout.inner(self.panes.focused);
        let told = (pane.command, cols.max(1), rows.max(1));
        if self.told_size != Some(told) {
            self.told_size = Some(told);
            effects.push(Effect::Resize(told.0, told.1, told.2));
        }
        effects
    }
}

/// The channel of a command, as a pattern.
fn channel(command: CommandId) -> Pattern {
    Pattern::exactly(&Channel::Command(command))
}

/// What is `by` further down the list, not beyond its ends.
fn moved<T: PartialEq + Clone>(items: &[T], selected: Option<&T>, by: i64) -> Option<T> {
    let now = selected.and_then(|selected| items.iter().position(|item| item == selected));
    let last = items.len().checked_sub(1)? as i64;
    let next = now.map_or(0, |now| (now as i64).saturating_add(by).clamp(0, last));
    items.get(next as usize).cloned()
}
