//! Messages and the store: each is written down before anything becomes of it, and its end before that is told.

use opsctl_protocol::Channel;
use opsctl_protocol::message::{ErrorCode, Obstacle, TypedState};

use super::super::request::key_reused;
use super::super::{Effect, Hub, Written};
use super::Message;
use super::stage::Stage;
use crate::store::MessageRow;

impl Hub {
    /// The store has a message, or has it not.
    pub(in super::super) fn handle_message_written(&mut self, key: &str, written: Written) {
        if let Some(recall) = self.recalls.remove(key) {
            return self.recalled(recall, written);
        }
        let Some(message) = self.messages.get_mut(key) else {
            return;
        };
        let command_id = message.row.typed.command_id;
        match written {
            Written::Done if message.stage == Stage::Journaling => {
                message.stage = Stage::Waiting;
                if let Some(command) = self.commands.get_mut(&command_id) {
                    command.typing.queue.push_back(key.to_owned());
                }
                self.type_on(command_id);
                self.tell_queued(key);
            }
            Written::Done if message.stage == Stage::Recalling => {
                let Some(message) = self.messages.remove(key) else {
                    return;
                };
                for (conn, id) in message.asked_by {
                    self.answer(conn, id, message.row.typed.clone());
                }
            }
            Written::Done => self.message_saved(key),
            Written::Known(row) => {
                let same = row.asked == message.row.asked;
                let asked_by = std::mem::take(&mut message.asked_by);
                self.messages.remove(key);
                for (conn, id) in asked_by {
                    if same {
                        self.answer(conn, id, row.typed.clone());
                    } else {
                        self.refuse(conn, id, ErrorCode::KeyReused, key_reused(key));
                    }
                }
            }
            Written::Failed(why) => {
                let asked_by = std::mem::take(&mut message.asked_by);
                self.messages.remove(key);
                for (conn, id) in asked_by {
                    let why = format!("nothing was typed: {why}");
                    self.refuse(conn, id, ErrorCode::StorageFailed, why);
                }
            }
        }
    }

    /// The store has what a message has come to.
    fn message_saved(&mut self, key: &str) {
        let Some(message) = self.messages.get_mut(key) else {
            return;
        };
        let command_id = message.row.typed.command_id;
        match message.stage {
            Stage::Placing => self.send_placed(command_id, key),
            Stage::Returning => {
                message.stage = Stage::Waiting;
                if let Some(command) = self.commands.get_mut(&command_id) {
                    command.typing.active = None;
                    command.typing.queue.push_front(key.to_owned());
                }
                self.let_go(command_id);
                self.type_on(command_id);
                self.tell_queued(key);
            }
            Stage::Ending => self.tell_end(key),
            _ => {}
        }
    }

    /// Takes up a message from the store, at the start, after the commands.
    pub fn restore_message(&mut self, row: MessageRow) {
        let (key, command_id) = (row.asked.key.clone(), row.typed.command_id);
        let stage = if row.sent.is_some() {
            Stage::Resuming
        } else {
            Stage::Waiting
        };
        if let Some(command) = self.commands.get_mut(&command_id) {
            if row.sent.is_some() {
                command.typing.active = Some(key.clone());
            } else {
                command.typing.queue.push_back(key.clone());
            }
        }
        let message = Message {
            row,
            stage,
            asked_by: Vec::new(),
            is_restored: true,
        };
        self.messages.insert(key, message);
        self.typing_due.insert((self.now, command_id));
    }

    /// Nothing more will become of a message: that is written down, then told.
    pub(super) fn end_message(
        &mut self,
        key: &str,
        state: TypedState,
        obstacle: Option<Obstacle>,
        reason: impl Into<String>,
    ) {
        let Some(message) = self.messages.get_mut(key) else {
            return;
        };
        let reason = reason.into();
        message.stage = Stage::Ending;
        message.row.typed.state = state;
        message.row.typed.obstacle = obstacle;
        message.row.typed.reason = (!reason.is_empty()).then_some(reason);
        let row = message.row.clone();
        if let Some(command) = self.commands.get_mut(&row.typed.command_id) {
            command.typing.queue.retain(|waiting| waiting != key);
        }
        self.effects.push(Effect::Message(Box::new(row), false));
    }

    /// What has become of a message is durable: everybody is told.
    fn tell_end(&mut self, key: &str) {
        let Some(message) = self.messages.remove(key) else {
            return;
        };
        let typed = message.row.typed;
        let (command_id, agent_id) = (typed.command_id, typed.agent_id.clone());
        tracing::debug!(command = %command_id, agent = %agent_id, state = %typed.state, reason = typed.reason, "a message");
        let is_followed = self.live(command_id).is_ok();
        if is_followed {
            self.push(&Channel::Command(command_id), typed.clone());
        }
        if self.agents.contains_key(&agent_id) {
            self.push(&Channel::Agent(agent_id), typed.clone());
        }
        for (conn, id) in message.asked_by {
            self.answer(conn, id, typed.clone());
        }
        let now = self.now;
        if let Some(command) = self.commands.get_mut(&command_id)
            && command.typing.active.as_deref() == Some(key)
        {
            command.typing.active = None;
            command.typing.ended = now;
            self.let_go(command_id);
        }
        self.type_on(command_id);
    }
}
