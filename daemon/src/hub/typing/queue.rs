//! What is said of messages that wait.

use opsctl_protocol::message::{ErrorCode, TerminalMessages, TerminalQueue, TerminalTyped};
use opsctl_protocol::selector::Selector;

use super::super::{ConnId, Hub};
use super::Message;
use super::stage::Stage;

impl Hub {
    pub(in super::super) fn handle_typing_queue(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        query: &TerminalQueue,
    ) {
        let selector = match query.selector.as_deref().map(str::parse::<Selector>) {
            None => None,
            Some(Ok(selector)) => Some(selector),
            Some(Err(error)) => {
                return self.refuse(conn, id, ErrorCode::BadSelector, error.to_string());
            }
        };
        let fits = |message: &&Message| {
            let agent = self.agents.get(&message.row.typed.agent_id);
            !matches!(message.stage, Stage::Journaling | Stage::Recalling)
                && selector.as_ref().is_none_or(|selector| {
                    agent.is_some_and(|agent| {
                        selector.matches(&agent.row.agent_id, &agent.row.labels)
                    })
                })
        };
        let mut messages: Vec<TerminalTyped> = self
            .messages
            .values()
            .filter(fits)
            .map(|message| self.shown_message(message))
            .collect();
        messages.sort_by_cached_key(|typed| {
            let place = (typed.queue_position, typed.created_at, typed.key.clone());
            (typed.agent_id.clone(), typed.command_id, place)
        });
        self.answer(conn, id, TerminalMessages { messages });
    }

    /// A message that waits, with its place and what it waits for.
    fn shown_message(&self, message: &Message) -> TerminalTyped {
        let command_id = message.row.typed.command_id;
        let typing = self
            .commands
            .get(&command_id)
            .map(|command| &command.typing);
        let place = typing.and_then(|typing| {
            let at = typing
                .queue
                .iter()
                .position(|key| *key == message.row.asked.key)?;
            u32::try_from(at + 1 + usize::from(typing.active.is_some())).ok()
        });
        let reason = if typing.is_some_and(|typing| typing.active.is_some()) {
            Some("a message is being typed".to_owned())
        } else {
            let waits_for = self.not_ready(command_id, &message.row.asked);
            waits_for.map(|(why, _)| why)
        };
        TerminalTyped {
            queue_position: Some(place.unwrap_or(1)),
            reason,
            ..message.row.typed.clone()
        }
    }

    /// Answers those who wait for a word on a message, where the word is that it waits until its program is idle.
    pub(super) fn tell_queued(&mut self, key: &str) {
        let Some(message) = self.messages.get(key) else {
            return;
        };
        if message.stage != Stage::Waiting || !message.row.asked.when_idle {
            return;
        }
        let queued = self.shown_message(message);
        let Some(message) = self.messages.get_mut(key) else {
            return;
        };
        for (conn, id) in std::mem::take(&mut message.asked_by) {
            self.answer(conn, id, queued.clone());
        }
    }
}
