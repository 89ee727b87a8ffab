//! A message's turn: whether it has come, and what is typed then.

use std::sync::Arc;

use opsctl_protocol::message::{Obstacle, TerminalType, TypedState};
use opsctl_protocol::{Channel, CommandId};

use super::super::event::Probe;
use super::super::{Effect, Hub};
use super::next::{self, Lot, Waiting};
use super::stage::Stage;
use super::{pace, text};

impl Hub {
    /// The next message of a terminal at which none is being typed. Returns whether there may be another step.
    pub(super) fn begin_next(&mut self, command_id: CommandId) -> bool {
        let Some(command) = self.commands.get(&command_id) else {
            return false;
        };
        let (typing, has_ended) = (&command.typing, command.row.summary.state.is_final());
        let put_out = typing.put_out;
        let keys: Vec<String> = typing.queue.iter().cloned().collect();
        for key in &keys {
            let Some(message) = self.messages.get(key) else {
                continue;
            };
            match next::lot(message.row.typed.expires_at, has_ended, self.now) {
                Lot::Ends(state, obstacle, why) => self.end_message(key, state, obstacle, why),
                Lot::Waits(until) => self.typing_due.extend(until.map(|at| (at, command_id))),
            }
        }
        let Some(key) = self.next_of(&keys) else {
            return false;
        };
        let Some(message) = self.messages.get(&key) else {
            return false;
        };
        let (asked, since) = (message.row.asked.clone(), message.row.typed.created_at);
        let is_restored = message.is_restored;
        let begins_at = pace::begins_at(since, put_out);
        if asked.when_idle {
            if let Some((_, at)) = self.not_ready(command_id, &asked) {
                self.typing_due.extend(at.map(|at| (at, command_id)));
                return false;
            }
        } else if self.now < begins_at {
            self.typing_due.insert((begins_at, command_id));
            return false;
        } else if let Some((obstacle, why)) = self.obstacle(command_id, &asked) {
            if !(is_restored && obstacle == Obstacle::Offline) {
                self.end_message(&key, TypedState::Refused, Some(obstacle), why);
            }
            return false;
        }
        self.begin(command_id, &key, &asked);
        true
    }

    /// Which of these messages goes next.
    fn next_of(&self, keys: &[String]) -> Option<String> {
        let waits = |key: &String| {
            let (key, message) = self.messages.get_key_value(key)?;
            (message.stage == Stage::Waiting).then_some(Waiting {
                key,
                when_idle: message.row.asked.when_idle,
            })
        };
        let waiting: Vec<Waiting<'_>> = keys.iter().filter_map(waits).collect();
        next::next(&waiting).map(|message| message.key.to_owned())
    }

    /// A message's turn has come.
    fn begin(&mut self, command_id: CommandId, key: &str, asked: &TerminalType) {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        command.typing.queue.retain(|waiting| waiting != key);
        command.typing.active = Some(key.to_owned());
        let (agent_id, end) = (command.row.summary.agent_id.clone(), command.end);
        if let Some(answer) = &asked.answer {
            let data = answer.keys().as_bytes().to_vec();
            return self.place(command_id, key, data);
        }
        let clean = text::clean(asked.text.as_deref().unwrap_or_default());
        if !text::needs_paste(&clean) {
            return self.place(command_id, key, clean.into_bytes());
        }
        let Some(channel) = self.channels.get(&Channel::Command(command_id)) else {
            return;
        };
        self.effects.push(Effect::Probe(Box::new(Probe {
            key: key.to_owned(),
            agent_id,
            command_id,
            stream: Arc::clone(&channel.stream),
            end,
        })));
        if let Some(message) = self.messages.get_mut(key) {
            message.stage = Stage::Looking;
        }
    }

    /// It is known whether the program takes a paste.
    pub(in super::super) fn handle_probed(&mut self, key: &str, takes_paste: bool) {
        let Some(message) = self.messages.get(key) else {
            return;
        };
        if message.stage != Stage::Looking {
            return;
        }
        let (asked, command_id) = (&message.row.asked, message.row.typed.command_id);
        if !takes_paste && !asked.lines {
            let why = "the program takes no paste, and each line would be a message of its own";
            return self.end_message(key, TypedState::Refused, Some(Obstacle::Lines), why);
        }
        let clean = text::clean(asked.text.as_deref().unwrap_or_default());
        self.place(command_id, key, text::bytes(&clean, takes_paste));
    }
}
