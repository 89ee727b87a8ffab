//! What the daemon's messages change.

use opsctl_protocol::message::{CommandAccepted, CommandQuery, Gap, Subscribe};
use opsctl_protocol::{AgentId, CommandId, Timestamp};

use super::commands::History;
use super::{Answer, Effect, Link, Message, Outcome, Pane, Redraw, State, channel};

/// Commands of an agent that are asked for at once.
const LISTED: u32 = 200;

impl State {
    /// Takes a message from the daemon or about the connection.
    pub fn message(&mut self, message: Message, now: Timestamp) -> Outcome {
        self.now = now;
        let bytes = match &message {
            Message::Output(frame) => frame.data.len(),
            _ => 0,
        };
        self.connections.count(bytes, now);
        // Output changes no layout, and there is far more of it than of anything else.
        let is_output = matches!(message, Message::Output(_));
        let mut outcome = self.take(message);
        if outcome.redraw == Redraw::Everything && !is_output {
            outcome.effects.extend(self.fit());
            outcome.effects.extend(self.more_history());
        }
        outcome.effects = self.permitted(outcome.effects);
        outcome
    }

    fn take(&mut self, message: Message) -> Outcome {
        match message {
            Message::Output(frame) => return self.output(&frame),
            Message::Link(link) => self.link(link),
            Message::Travels(how, is_slow) => {
                self.log_travel(&how, is_slow);
                self.connection.slow = is_slow.then_some(how);
            }
            Message::Connected(connected) => {
                self.role = Some(connected.rights.role);
                self.daemon = Some(connected);
                self.fleet.expect_all();
                self.commands.history = History::Unasked;
                return Outcome::doing(self.ask_sayings());
            }
            Message::Agents(list) => {
                let more = list.more;
                let missed = self.fleet.list(list);
                self.keep_selection();
                let mut effects: Vec<Effect> = missed.iter().map(commands_of).collect();
                if !more && self.fleet.known {
                    effects.extend(self.resume_remembered());
                }
                return Outcome::doing(effects);
            }
            Message::Agent(agent) => {
                let missed = self.fleet.agent(agent);
                self.keep_selection();
                return Outcome::doing(missed.iter().map(commands_of).collect());
            }
            Message::Forgotten(agent_id) => {
                self.fleet.forget(&agent_id);
                self.list.marks.remove(&agent_id);
                self.keep_selection();
            }
            Message::Status(status) => {
                let command = status.command_id;
                self.fleet.status(&status);
                self.keep_selection();
                return self.ended(command);
            }
            Message::Snapshot(snapshot) => {
                self.glance_snapshot(&snapshot);
                let now = self.now;
                let pane = self.panes.of(snapshot.command_id);
                if let Some((_, pane)) = pane.filter(|(_, pane)| !pane.is_away()) {
                    pane.snapshot(&snapshot, now);
                }
            }
            Message::Gap(gap) => self.missing(&gap),
            Message::Dropped { pattern, error } => {
                self.notify(format!("{pattern}: {}", error.message), true);
            }
            Message::Told(from, at, told) => {
                let effects = self.told(from, at, told);
                self.see_activity();
                return Outcome::doing(effects);
            }
            Message::Typed(typed) => self.heard_typed(typed),
            Message::Answer(answer) => return self.answer(answer),
            Message::Themed(name) => self.themed(name),
            Message::Error(text) => self.notify(text, true),
            Message::News(text) => self.notify(text, false),
        }
        Outcome::redraw()
    }

    /// Says that output will not come, unless the gap stands for statuses alone.
    fn missing(&mut self, gap: &Gap) {
        let pane = self.panes.of(gap.command_id);
        let Some((_, pane)) = pane.filter(|(_, pane)| gap.from < gap.to && !pane.is_away()) else {
            return;
        };
        let known = pane.gap;
        pane.missing(gap.to);
        let text = format!("output of {} is missing: {}", pane.program, gap.reason);
        if !known {
            self.notify(text, true);
        }
    }

    fn output(&mut self, frame: &opsctl_protocol::OutputFrame) -> Outcome {
        if self.glance_output(frame) {
            return Outcome::redraw();
        }
        let hidden = self.panes.of(frame.command_id);
        if hidden.is_some_and(|(_, pane)| pane.is_hidden()) {
            let effects = self.keep_hidden(frame);
            return Outcome {
                effects,
                redraw: Redraw::Nothing,
            };
        }
        let attached = self.attached && self.answers;
        let focused = self.panes.focused;
        let Some((index, pane)) = self.panes.of(frame.command_id) else {
            return Outcome::default();
        };
        pane.output(frame);
        let replies = pane.screen.take_replies();
        let is_shown = self.layout.panes.iter().any(|(shown, _)| *shown == index);
        let mut outcome = Outcome {
            effects: Vec::new(),
            redraw: if is_shown {
                Redraw::Terminals
            } else {
                Redraw::Nothing
            },
        };
        // Whoever is attached is the application's terminal, and answers what it asks. A watcher's
        // emulator has the same answers and keeps them to itself.
        if attached && index == focused && !replies.is_empty() {
            outcome
                .effects
                .push(Effect::Input(frame.command_id, replies.into()));
        }
        outcome
    }

    fn link(&mut self, link: Link) {
        let was = self.connection.is_connected();
        let before = self.connection.link.clone();
        self.connection.change(link, self.now);
        self.log_link(&before);
        if self.connection.is_connected() && !was {
            self.calm_down();
        }
    }

    /// A command that has ended can't be attached to any more.
    fn ended(&mut self, command: CommandId) -> Outcome {
        let here = self
            .panes
            .current()
            .is_some_and(|pane| pane.command == command);
        if self.lives(&command) || self.goes_on_without(command) {
            return Outcome::redraw();
        }
        if here && self.attached {
            self.attached = false;
            let text = self
                .summary(&command)
                .map(crate::view::ending)
                .unwrap_or_default();
            self.notify(format!("{text}: no longer attached"), false);
        }
        Outcome::redraw()
    }

    fn answer(&mut self, answer: Answer) -> Outcome {
        match answer {
            Answer::Accepted(accepted) => return Outcome::doing(self.accepted(&accepted)),
            Answer::Commands(commands) => {
                for command in commands {
                    self.fleet.command(command);
                }
                self.keep_selection();
            }
            Answer::Connections(list) => self.connections.others = Some(list),
            Answer::History(list) => self.history(list),
            Answer::Cancelled(0) => self.notify("it didn't wait any more", false),
            Answer::Cancelled(_) => self.notify("cancelled", false),
            Answer::Found { id, commands } => {
                for command in &commands {
                    self.fleet.command(command.clone());
                }
                let opened = self.reopened(&id, !commands.is_empty());
                if let Some(effects) = opened {
                    return Outcome::doing(effects);
                }
                match commands.as_slice() {
                    [] => self.notify(format!("no command's id starts with {id}"), true),
                    [command] => {
                        let effects = self.open(command.command_id, false);
                        return Outcome::doing(effects);
                    }
                    several => {
                        let text = format!("{} commands start with {id}", several.len());
                        self.notify(text, true);
                    }
                }
            }
            Answer::Loading(command, read) => {
                let pane = self.panes.of(command);
                let loading = pane.and_then(|(_, pane)| pane.past.loading.as_mut());
                if let Some(loading) = loading {
                    loading.progress.done = read;
                }
            }
            Answer::Exporting(path, done) => self.exporting(&path, done),
            Answer::Exported(path, came) => self.exported(&path, came),
            Answer::Resuming(command, from) => self.resuming(command, from),
            Answer::Older(pane, older) => self.older(&pane, &older),
            Answer::NotLoaded(command, why) => {
                if let Some((_, pane)) = self.panes.of(command) {
                    pane.past.loading = None;
                }
                self.notify(format!("older output could not be loaded: {why}"), true);
            }
            Answer::Signalled {
                signal,
                command,
                reached,
            } => self.signalled(signal, command, reached),
            Answer::Said(key, word) => self.said(&key, word),
            Answer::Refused { what, why } => {
                if what == "commands" {
                    self.give_up_reopening();
                }
                self.notify(format!("{what}: {why}"), true);
            }
        }
        Outcome::redraw()
    }

    /// Opens the terminals of what this console has asked for.
    fn accepted(&mut self, accepted: &CommandAccepted) -> Vec<Effect> {
        let count = accepted.commands.len();
        if !accepted.offline.is_empty() {
            let names: Vec<&str> = accepted.offline.iter().map(AgentId::as_str).collect();
            self.notify(
                format!("offline, nothing runs there: {}", names.join(", ")),
                true,
            );
        }
        let mut effects = Vec::new();
        for (at, command) in accepted.commands.iter().take(super::MAX_PANES).enumerate() {
            effects.extend(self.open(command.command_id, self.panes.grid || at > 0));
        }
        if count > 1 {
            self.panes.grid = true;
        }
        effects
    }

    /// Shows a command in a pane: in the focused one's place, or beside. Its output is subscribed.
    pub(super) fn open(&mut self, command: CommandId, beside: bool) -> Vec<Effect> {
        if let Some((index, _)) = self.panes.of(command) {
            self.panes.focused = index;
            return Vec::new();
        }
        let Some(summary) = self.summary(&command) else {
            return vec![Effect::Query(CommandQuery {
                id_prefix: Some(command.to_string()),
                ..Default::default()
            })];
        };
        let fresh = Pane::new(summary);
        // What is looked at already goes on in the pane: asked for anew, what is still on its way would be taken for the
        // answer.
        let glanced = self.take_glanced(command);
        let is_heard = glanced.is_some();
        let pane = glanced.unwrap_or(fresh);
        let mut effects = self.stop_glancing();
        let room = self.panes.len() < super::MAX_PANES;
        if self.panes.is_empty() || (beside && room) {
            self.panes.list.push(pane);
            self.panes.focused = self.panes.len() - 1;
        } else {
            let focused = self.panes.focused;
            let old = std::mem::replace(&mut self.panes.list[focused], pane);
            effects.push(Effect::Unsubscribe(channel(old.command)));
        }
        self.attached = false;
        let subscribe = Subscribe {
            channel: channel(command),
            since: None,
            lossless: false,
            no_output: false,
        };
        effects.extend((!is_heard).then_some(Effect::Subscribe(subscribe)));
        effects
    }

    /// Keeps the selection on something that is listed.
    pub(super) fn keep_selection(&mut self) {
        if self.list.commands {
            let listed: Vec<CommandId> = self
                .listed_commands()
                .iter()
                .map(|command| command.command_id)
                .collect();
            if !self
                .list
                .command
                .is_some_and(|command| listed.contains(&command))
            {
                self.list.command = listed.first().copied();
            }
        } else {
            self.keep_agent();
        }
    }
}

/// Asks for an agent's commands.
pub(super) fn commands_of(agent: &AgentId) -> Effect {
    Effect::Query(CommandQuery {
        selector: Some(agent.to_string()),
        limit: Some(LISTED),
        ..CommandQuery::default()
    })
}
