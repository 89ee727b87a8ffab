//! Messages that are typed into terminals: whole, once, one at a time, and what is said of them is so.
//!
//! - [`draft`]: what somebody has begun to type.
//! - [`text`]: what of a message is typed.
//! - [`obstacle`]: what stands in the way of a message.
//! - [`stage`]: the stages of a message, from one event to the next.
//!
//! A message is on disk before anything of it is sent, and with it where it will stand in the terminal's input. After a
//! crash the agent says how much of the input has arrived, and so whether the message was typed.

mod draft;
mod obstacle;
mod stage;
mod text;

use std::collections::VecDeque;
use std::time::Duration;

use opsctl_protocol::message::{
    Activity, CommandInput, ErrorCode, Obstacle, TerminalCancel, TerminalMessages, TerminalQueue,
    TerminalType, TerminalTyped, TypedState,
};
use opsctl_protocol::selector::Selector;
use opsctl_protocol::{AgentId, Channel, CommandId, Timestamp, limits};

use super::clock::earlier;
use super::request::key_reused;
use super::{ConnId, Effect, Hub, Written};
use crate::store::MessageRow;
use draft::Draft;
use stage::Stage;

/// Bytes of a message as they are typed: with the marks of a paste they are one piece of input.
const MAX_TEXT: usize = 32_000;

/// Messages that may wait for one terminal; further ones are put off.
const MAX_WAITING: usize = 64;

/// Messages that may wait in all; further ones are put off.
const MAX_MESSAGES: usize = 4096;

/// Connections that may wait for a word on the same message; further ones are put off.
const MAX_ASKING: usize = 64;

/// Pieces of input that may wait until a message has been typed; further ones are refused.
const MAX_HELD: usize = 1024;

/// What is typed into one terminal.
#[derive(Debug, Default)]
pub(super) struct Typing {
    /// What people have begun to type.
    draft: Draft,
    /// Who typed last, and when.
    typist: Option<(String, Timestamp)>,
    /// The messages that wait, by their keys, in the order in which they go; at most [`MAX_WAITING`].
    queue: VecDeque<String>,
    /// The message that is being typed.
    active: Option<String>,
    /// Input that waits until that one has been typed; at most [`MAX_HELD`] pieces.
    held: VecDeque<(ConnId, Option<String>, CommandInput)>,
    /// When the program last put something out.
    put_out: Timestamp,
    /// Since Enter was typed, the program has put out something other than the end of a line.
    reacted: bool,
    /// Since Enter was typed, somebody has typed something else.
    disturbed: bool,
    /// When the last message was done with.
    ended: Timestamp,
}

/// A message that waits or is being typed.
pub(super) struct Message {
    /// As it is, or will be, on disk.
    row: MessageRow,
    stage: Stage,
    /// Who waits for a word, with the `id` to answer; at most [`MAX_ASKING`].
    asked_by: Vec<(ConnId, Option<String>)>,
    /// The last run of the daemon has taken it: its agent gets the time to come back.
    is_restored: bool,
}

impl Typing {
    /// The host's clock was set back: what is waited for is as far ahead as before.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.put_out = earlier(self.put_out, by);
        self.ended = earlier(self.ended, by);
        if let Some((_, at)) = &mut self.typist {
            *at = earlier(*at, by);
        }
    }
}

impl Message {
    /// As [`Typing::set_back`].
    pub(super) fn set_back(&mut self, by: Duration) {
        match &mut self.stage {
            Stage::Text(at) | Stage::Settling(at) | Stage::Watching(_, at) => {
                *at = earlier(*at, by);
            }
            _ => {}
        }
    }
}

/// Why a message cannot be.
type Refusal = (ErrorCode, String);

impl Hub {
    pub(super) fn handle_type(&mut self, conn: ConnId, id: Option<String>, asked: TerminalType) {
        if let Err(why) = check(&asked) {
            return self.refuse(conn, id, ErrorCode::BadRequest, why);
        }
        if self.messages.contains_key(&asked.key) {
            return self.ask_again(conn, id, &asked);
        }
        let (command_id, agent_id) = match self.terminal_of(&asked) {
            Ok(found) => found,
            Err((code, why)) => return self.refuse(conn, id, code, why),
        };
        let Some(dashboard) = self.dashboards.get(&conn) else {
            return;
        };
        let shown = match (&asked.text, &asked.answer) {
            (Some(text), _) => text::glimpse(text),
            (None, Some(answer)) => text::glimpse_keys(answer.keys()),
            (None, None) => String::new(),
        };
        let expires_at = asked.ttl_ms.filter(|_| asked.when_idle);
        let typed = TerminalTyped {
            key: asked.key.clone(),
            agent_id,
            command_id,
            state: TypedState::Queued,
            queue_position: None,
            obstacle: None,
            reason: None,
            evidence: None,
            text: shown,
            requested_by: dashboard.rights.subject.clone(),
            created_at: self.now,
            expires_at: expires_at.map(|ttl| Timestamp(self.now.0.saturating_add(ttl))),
        };
        let is_next = self
            .commands
            .get(&command_id)
            .is_some_and(|command| command.typing.active.is_none());
        let to_same = |message: &&Message| message.row.typed.command_id == command_id;
        if self.messages.len() >= MAX_MESSAGES
            || self.messages.values().filter(to_same).count() >= MAX_WAITING
        {
            let why = format!("{MAX_WAITING} messages for one terminal, {MAX_MESSAGES} in all");
            return self.postpone(conn, id, &format!("as many wait as may: {why}"));
        }
        let obstacle = if is_next && !asked.when_idle {
            self.obstacle(command_id, &asked)
        } else {
            None
        };
        let row = MessageRow {
            asked,
            typed,
            sent: None,
        };
        self.take_in(conn, id, row, obstacle);
    }

    /// Writes a new message down, or refuses it for what is in its way.
    fn take_in(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        mut row: MessageRow,
        obstacle: Option<(Obstacle, String)>,
    ) {
        let key = row.asked.key.clone();
        let stage = if let Some((obstacle, why)) = obstacle {
            // What is refused at once leaves no trace: a repetition is looked at anew. But it may itself be one, of
            // a message that was typed.
            row.typed.state = TypedState::Refused;
            row.typed.obstacle = Some(obstacle);
            row.typed.reason = Some(why);
            self.effects.push(Effect::Recall(key.clone()));
            Stage::Recalling
        } else {
            let row = Box::new(row.clone());
            self.effects.push(Effect::Message(row, true));
            Stage::Journaling
        };
        let message = Message {
            row,
            stage,
            asked_by: vec![(conn, id)],
            is_restored: false,
        };
        self.messages.insert(key, message);
    }

    /// The same key once more.
    fn ask_again(&mut self, conn: ConnId, id: Option<String>, asked: &TerminalType) {
        let Some(message) = self.messages.get_mut(&asked.key) else {
            return;
        };
        if message.row.asked != *asked {
            return self.refuse(conn, id, ErrorCode::KeyReused, key_reused(&asked.key));
        }
        if message.asked_by.len() >= MAX_ASKING {
            let why = format!("{MAX_ASKING} connections ask for this message");
            return self.postpone(conn, id, &why);
        }
        message.asked_by.push((conn, id));
        self.tell_queued(&asked.key);
    }

    /// The terminal that a message means.
    fn terminal_of(&self, asked: &TerminalType) -> Result<(CommandId, AgentId), Refusal> {
        let bad = |why: String| Err((ErrorCode::BadRequest, why));
        match (asked.command_id, &asked.agent_id) {
            (Some(command_id), None) => {
                let summary = self.live(command_id)?;
                if !summary.pty {
                    return bad(format!("{} has no terminal", command_id.short()));
                }
                Ok((command_id, summary.agent_id.clone()))
            }
            (None, Some(agent_id)) => {
                let Some(agent) = self.agents.get(agent_id) else {
                    let why = format!("no agent is named {agent_id}; `opsctl agents` lists them");
                    return Err((ErrorCode::UnknownAgent, why));
                };
                let runs = |command: &&super::command::Command| {
                    let summary = &command.row.summary;
                    summary.agent_id == *agent_id && summary.pty && command.is_under_way()
                };
                let mut found = self.commands.values().filter(runs);
                match (found.next(), found.next()) {
                    (None, _) if agent.link.is_none() => {
                        let why = format!("{agent_id} is not connected");
                        Err((ErrorCode::AgentOffline, why))
                    }
                    (None, _) => bad(format!("no terminal runs on {agent_id}")),
                    (Some(one), None) => Ok((one.row.summary.command_id, agent_id.clone())),
                    (Some(_), Some(_)) => bad(format!(
                        "several terminals run on {agent_id}; name one by its id (`opsctl ps {agent_id}` lists them)"
                    )),
                }
            }
            _ => bad("name either a commandId or an agentId".to_owned()),
        }
    }

    /// The store has a message, or has it not.
    pub(super) fn handle_message_written(&mut self, key: &str, written: Written) {
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

    /// Answers those who wait for a word on a message, where the word is that it waits until its program is idle.
    fn tell_queued(&mut self, key: &str) {
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

    pub(super) fn handle_typing_queue(
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

    pub(super) fn handle_cancel_typing(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        cancel: &TerminalCancel,
    ) {
        match self.messages.get_mut(&cancel.key) {
            Some(message) if message.stage == Stage::Waiting => {
                message.asked_by.push((conn, id));
                self.end_message(&cancel.key, TypedState::Cancelled, None, "taken back");
            }
            Some(_) => {
                let why = "the message is being typed; it can't be taken back any more";
                self.refuse(conn, id, ErrorCode::BadRequest, why);
            }
            None => {
                let why = format!("no message with the key {:?} waits", cancel.key);
                self.refuse(conn, id, ErrorCode::BadRequest, why);
            }
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
    fn end_message(
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

    /// Whether input has to wait until a message has been typed; then it does, or is refused.
    pub(super) fn holds(
        &mut self,
        conn: ConnId,
        id: Option<&String>,
        input: &CommandInput,
    ) -> bool {
        let command_id = input.command_id;
        let Some(command) = self.commands.get_mut(&command_id) else {
            return false;
        };
        let typing = &mut command.typing;
        let stage = typing
            .active
            .as_ref()
            .and_then(|key| self.messages.get(key))
            .map(|message| &message.stage);
        if !stage.is_some_and(Stage::excludes) {
            typing.disturbed |= !input.data.0.is_empty();
            return false;
        }
        if typing.held.len() < MAX_HELD {
            typing.held.push_back((conn, id.cloned(), input.clone()));
        } else {
            let why = "a message is being typed; what came last was not sent";
            self.refuse(conn, id.cloned(), ErrorCode::InputRejected, why);
        }
        true
    }

    /// Passes on what has waited for a message.
    fn let_go(&mut self, command_id: CommandId) {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        for (conn, id, input) in std::mem::take(&mut command.typing.held) {
            self.handle_input(conn, id, &input);
        }
    }

    /// Somebody has typed something, and it is on its way.
    pub(super) fn note_keys(&mut self, conn: ConnId, input: &CommandInput) {
        let subject = self
            .dashboards
            .get(&conn)
            .map(|dashboard| dashboard.rights.subject.clone());
        let now = self.now;
        if let Some(command) = self.commands.get_mut(&input.command_id)
            && command.is_terminal()
            && !input.data.0.is_empty()
        {
            let summary = &command.row.summary;
            // What answers a question is no draft.
            if summary.approval.is_none() && summary.activity != Activity::Blocked {
                command.typing.draft.typed(&input.data.0);
            }
            command.typing.typist = subject.map(|subject| (subject, now));
        }
    }
}

fn check(asked: &TerminalType) -> Result<(), String> {
    if asked.key.is_empty() || asked.key.len() > limits::MAX_NAME {
        return Err(format!("a key has 1 to {} bytes", limits::MAX_NAME));
    }
    match (&asked.text, &asked.answer) {
        (Some(text), None) => {
            let clean = text::clean(text);
            if clean.len() > MAX_TEXT {
                return Err(format!("a message has at most {MAX_TEXT} bytes"));
            }
            if clean.is_empty() && !asked.submit {
                return Err("there is nothing to type".to_owned());
            }
            Ok(())
        }
        (None, Some(_)) if asked.when_idle => {
            Err("an answer to a prompt can't wait until the program is idle".to_owned())
        }
        (None, Some(_)) => Ok(()),
        _ => Err("give either a text or an answer".to_owned()),
    }
}
