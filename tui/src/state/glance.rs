//! A terminal that is looked at without a pane: the selected item's in the Inbox, and in the fleet the selected agent's
//! or command's while no pane is open. It is heard only while it is looked at, answers nothing, and is never resized.

use opsctl_protocol::message::{CommandQuery, Subscribe, TerminalSnapshot};
use opsctl_protocol::{AgentId, CommandId, OutputFrame, Timestamp};

use super::{Effect, Focus, Pane, State, View, channel};
use crate::layout::inner;

/// How long a selection must rest before its terminal is heard where it had moved just before, in milliseconds: who runs
/// through a list of a thousand agents asks for the last one's screen only.
const REST_MS: u64 = 120;

/// Columns of the screen on which the output of pipes is glanced at: its lines are cut rather than folded.
const PIPE_COLS: u16 = 400;

/// Commands that are asked for where the one that is to be seen isn't known: an agent's newest.
const ASKED: u32 = 20;

/// What is looked at without a pane.
#[derive(Debug, Default)]
pub struct Glance {
    /// The terminal that is heard.
    pane: Option<Pane>,
    /// What is to be seen, since the selection moved there.
    wanted: Option<CommandId>,
    /// When it moved last, and in which view.
    moved: (Timestamp, View),
    /// When what is wanted is heard, where it still has to rest.
    due: Option<Timestamp>,
    /// The command that its agent was asked about last, so that nobody asks twice.
    asked: Option<CommandId>,
}

impl State {
    /// The command whose terminal is looked at without a pane of its own being shown.
    pub fn glanced_command(&self) -> Option<CommandId> {
        match self.view {
            View::Inbox => self.item_command(),
            // While panes are opened again, nothing is heard that one of them is about to show.
            View::Fleet if self.reopens() => None,
            View::Fleet => {
                self.layout.blank?;
                if self.list.commands {
                    return self.list.command;
                }
                super::fleet::concerned(self.fleet.get(self.list.agent.as_ref()?)?)
            }
            View::Commands | View::Activity | View::Connections => None,
        }
    }

    /// Its terminal, as far as it is known.
    pub fn glanced_screen(&self) -> Option<&Pane> {
        let command = self.glanced_command()?;
        let heard = self.glance.pane.as_ref();
        self.panes
            .find(command)
            .or(heard.filter(|pane| pane.command == command))
    }

    /// Hears the terminal that is looked at, and no longer the one before.
    pub(super) fn glance(&mut self) -> Vec<Effect> {
        if self.view == View::Inbox {
            self.keep_item();
        }
        let shown = |command: &CommandId| self.panes.find(*command).is_some();
        let wanted = self.glanced_command().filter(|command| !shown(command));
        let (at, view) = self.glance.moved;
        if self.glance.wanted != wanted || view != self.view {
            let lately = self.now.0 < at.0 + REST_MS && view == self.view;
            let runs = self.glance.wanted.is_some() && wanted.is_some() && lately;
            self.glance.due = runs.then_some(Timestamp(self.now.0 + REST_MS));
            self.glance.moved = (self.now, self.view);
            self.glance.wanted = wanted;
        }
        self.glance.due.take_if(|due| *due <= self.now);
        let mut effects = Vec::new();
        if self.glance.pane.as_ref().map(|pane| pane.command) != wanted {
            effects = self.stop_glancing();
            effects.extend(wanted.and_then(|command| self.start_glancing(command)));
        }
        self.fit_glance();
        effects
    }

    fn start_glancing(&mut self, command: CommandId) -> Option<Effect> {
        if self.glance.due.is_some() {
            return None;
        }
        let Some(summary) = self.summary(&command) else {
            let agent = self.target_agent()?;
            if !self.connection.is_connected() || self.glance.asked == Some(command) {
                return None;
            }
            self.glance.asked = Some(command);
            return Some(newest_of(&agent));
        };
        let pane = Pane::new(summary);
        self.glance.pane = Some(pane);
        Some(Effect::Subscribe(Subscribe {
            channel: channel(command),
            since: None,
            lossless: false,
            no_output: false,
        }))
    }

    /// Gives the output of pipes, which has no size of its own, as many rows as there is room for.
    fn fit_glance(&mut self) {
        let room = self.layout.blank.or(self.layout.room).unwrap_or_default();
        let rows = inner(room).height.max(1);
        if let Some(pane) = &mut self.glance.pane {
            pane.fit(PIPE_COLS, rows);
        }
    }

    /// Gives the terminal that is looked at to a pane, if it is this one; it stays subscribed.
    pub(super) fn take_glanced(&mut self, command: CommandId) -> Option<Pane> {
        self.glance.pane.take_if(|pane| pane.command == command)
    }

    /// No longer hears the terminal that was looked at.
    pub(super) fn stop_glancing(&mut self) -> Vec<Effect> {
        let pane = self.glance.pane.take();
        let stop = |pane: Pane| Effect::Unsubscribe(channel(pane.command));
        pane.into_iter().map(stop).collect()
    }

    /// Opens what is looked at in a pane.
    pub(super) fn open_glanced(&mut self) -> Vec<Effect> {
        let Some(command) = self.glanced_command() else {
            return Vec::new();
        };
        self.focus = Focus::Pane;
        let effects = self.open(command, false);
        if self.panes.is_empty() {
            self.focus = Focus::List;
        }
        effects
    }

    /// When the terminal that the selection came to rest on is heard.
    pub(super) fn glances_at(&self) -> Option<Timestamp> {
        self.glance.due
    }

    /// Takes output for what is looked at. False if it is for a pane.
    pub(super) fn glance_output(&mut self, frame: &OutputFrame) -> bool {
        let heard = self.glance.pane.as_mut();
        let Some(pane) = heard.filter(|pane| pane.command == frame.command_id) else {
            return false;
        };
        pane.output(frame);
        // Nobody is attached here: what the program asks is for others to answer.
        pane.screen.take_replies();
        true
    }

    /// The same with a whole screen.
    pub(super) fn glance_snapshot(&mut self, snapshot: &TerminalSnapshot) {
        let now = self.now;
        let heard = self.glance.pane.as_mut();
        if let Some(pane) = heard.filter(|pane| pane.command == snapshot.command_id) {
            pane.snapshot(snapshot, now);
            self.fit_glance();
        }
    }
}

/// Asks for an agent's newest commands.
fn newest_of(agent: &AgentId) -> Effect {
    Effect::Query(CommandQuery {
        selector: Some(agent.to_string()),
        limit: Some(ASKED),
        ..CommandQuery::default()
    })
}
