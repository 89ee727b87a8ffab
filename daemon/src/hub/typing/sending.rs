//! A message's text on its way into its terminal: its place is written down first, so that a restart knows whether it was
//! typed.

use bytes::Bytes;
use opsctl_protocol::CommandId;
use opsctl_protocol::message::{CommandInput, Obstacle, Payload, TerminalType, TypedState};

use super::super::keys::{Added, Typist};
use super::super::{ConnId, Effect, Hub};
use super::restart::{self, Fate};
use super::stage::Stage;
use crate::store::Sent;

/// No dashboard's connection: whose the keys of messages are.
const NOBODY: ConnId = ConnId(u64::MAX);

impl Hub {
    /// Writes down where a message will stand. Nothing else is typed from here on.
    pub(super) fn place(&mut self, command_id: CommandId, key: &str, data: Vec<u8>) {
        let Some(command) = self.commands.get(&command_id) else {
            return;
        };
        if !command.keys.counts() {
            let why = "its agent doesn't say what its terminals have been given";
            return self.end_message(key, TypedState::Refused, Some(Obstacle::Unconfirmed), why);
        }
        let from = command.keys.next();
        let Some(message) = self.messages.get_mut(key) else {
            return;
        };
        message.stage = Stage::Placing;
        message.row.sent = Some(Sent { from, data });
        let row = Box::new(message.row.clone());
        self.effects.push(Effect::Message(row, false));
    }

    /// A message's place is on disk: it is sent, unless something has come in its way meanwhile.
    pub(super) fn send_placed(&mut self, command_id: CommandId, key: &str) {
        let Some(message) = self.messages.get(key) else {
            return;
        };
        let asked = message.row.asked.clone();
        let Some(sent) = message.row.sent.clone() else {
            return;
        };
        if asked.when_idle {
            if self.not_ready(command_id, &asked).is_some() {
                return self.give_back(key);
            }
        } else if let Some((obstacle, why)) = self.obstacle(command_id, &asked) {
            return self.end_message(key, TypedState::Refused, Some(obstacle), why);
        }
        let place = self
            .commands
            .get(&command_id)
            .map(|command| command.keys.next());
        if place != Some(sent.from) {
            return self.place(command_id, key, sent.data);
        }
        if !sent.data.is_empty() && !self.send_keys(command_id, &sent.data) {
            if asked.when_idle {
                return self.give_back(key);
            }
            let why = "its agent takes no more input now";
            return self.end_message(key, TypedState::Refused, Some(Obstacle::Offline), why);
        }
        self.text_sent(command_id, key, &asked, &sent.data);
    }

    /// A message's text is on its way.
    fn text_sent(&mut self, command_id: CommandId, key: &str, asked: &TerminalType, data: &[u8]) {
        let now = self.now;
        if let Some(command) = self.commands.get_mut(&command_id)
            && asked.answer.is_none()
        {
            let who = self.messages.get(key);
            command.typing.typist = who.map(|who| (who.row.typed.requested_by.clone(), now));
            command.typing.draft.typed(data);
        }
        if asked.answer.is_some() {
            self.forget_reactions(command_id);
        }
        self.note_draft(command_id);
        if let Some(message) = self.messages.get_mut(key) {
            message.stage = Stage::Text(now);
        }
        self.type_on(command_id);
    }

    /// A message that was about to be typed waits again.
    fn give_back(&mut self, key: &str) {
        if let Some(message) = self.messages.get_mut(key) {
            message.stage = Stage::Returning;
            message.row.sent = None;
            let row = Box::new(message.row.clone());
            self.effects.push(Effect::Message(row, false));
        }
    }

    /// Sends keys of a message; `false` when they were not taken.
    pub(super) fn send_keys(&mut self, command_id: CommandId, data: &[u8]) -> bool {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return false;
        };
        let link = self
            .agents
            .get(&command.row.summary.agent_id)
            .and_then(|agent| agent.link.as_ref());
        let Some(link) = link.filter(|_| command.keys.counts()) else {
            return false;
        };
        let input = CommandInput {
            command_id,
            data: Payload(Bytes::copy_from_slice(data)),
            offset: None,
            eof: false,
        };
        let typist = Typist {
            conn: NOBODY,
            id: None,
        };
        let Added::Numbered(numbered) = command.keys.add(input, typist) else {
            return false;
        };
        let sent = link.port.input(&numbered);
        if !sent {
            command.keys.take_back();
        }
        sent
    }

    /// After a restart: the agent has said how much of the input it has.
    pub(super) fn resume(&mut self, command_id: CommandId, key: &str) -> bool {
        let (Some(command), Some(message)) =
            (self.commands.get(&command_id), self.messages.get(key))
        else {
            return false;
        };
        let Some(sent) = message.row.sent.clone().filter(|_| command.keys.counts()) else {
            return false;
        };
        let (arrived, asked) = (command.keys.arrived(), message.row.asked.clone());
        match restart::fate(&sent, arrived) {
            Fate::Submitted => {
                let why = "the daemon was restarted meanwhile";
                self.end_message(key, TypedState::Typed, None, why);
            }
            Fate::Uncounted => {
                let why = "its agent has lost count; whether it was typed isn't known";
                self.end_message(key, TypedState::Refused, Some(Obstacle::Unconfirmed), why);
            }
            Fate::NotTyped => {
                // It goes the same way once more.
                if let Some(message) = self.messages.get_mut(key) {
                    message.stage = Stage::Placing;
                }
                self.send_placed(command_id, key);
            }
            Fate::Missing(rest) => {
                if rest.is_empty() || self.send_keys(command_id, rest) {
                    self.text_sent(command_id, key, &asked, &sent.data);
                }
            }
        }
        false
    }
}
