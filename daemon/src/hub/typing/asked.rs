//! What people ask for: a message, the same once more, or to take one back.

use opsctl_protocol::message::{
    ErrorCode, Obstacle, TerminalCancel, TerminalType, TerminalTyped, TypedState,
};
use opsctl_protocol::{AgentId, CommandId, Timestamp, limits};

use super::super::command::Command;
use super::super::request::key_reused;
use super::super::steer::Refusal;
use super::super::{ConnId, Effect, Hub};
use super::stage::Stage;
use super::{MAX_ASKING, MAX_MESSAGES, MAX_WAITING, Message, text};
use crate::store::MessageRow;

/// Bytes of a message as they are typed: with the marks of a paste they are one piece of input.
const MAX_TEXT: usize = 32_000;

impl Hub {
    pub(in super::super) fn handle_type(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        asked: TerminalType,
    ) {
        if let Err(why) = check(&asked) {
            return self.refuse(conn, id, ErrorCode::BadRequest, why);
        }
        if self.messages.contains_key(&asked.key) {
            return self.ask_again(conn, id, &asked);
        }
        if self.recalls.contains_key(&asked.key) {
            return self.recall_again(conn, id, &asked);
        }
        let (command_id, agent_id) = match self.terminal_of(&asked) {
            Ok(found) => found,
            Err(refusal) => return self.recall(conn, id, asked, refusal),
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
        let none = |why: String| Err((ErrorCode::NoTerminal, why));
        match (asked.command_id, &asked.agent_id) {
            (Some(command_id), None) => {
                let summary = self.live(command_id)?;
                if !summary.pty {
                    return none(format!("{} has no terminal", command_id.short()));
                }
                Ok((command_id, summary.agent_id.clone()))
            }
            (None, Some(agent_id)) => {
                let Some(agent) = self.agents.get(agent_id) else {
                    let why = format!("no agent is named {agent_id}; `opsctl agents` lists them");
                    return Err((ErrorCode::UnknownAgent, why));
                };
                let runs = |command: &&Command| {
                    let summary = &command.row.summary;
                    summary.agent_id == *agent_id && summary.pty && command.is_under_way()
                };
                let mut found = self.commands.values().filter(runs);
                match (found.next(), found.next()) {
                    (None, _) if agent.link.is_none() => {
                        let why = format!("{agent_id} is not connected");
                        Err((ErrorCode::AgentOffline, why))
                    }
                    (None, _) => none(format!("no terminal runs on {agent_id}")),
                    (Some(one), None) => Ok((one.row.summary.command_id, agent_id.clone())),
                    (Some(_), Some(_)) => bad(format!(
                        "several terminals run on {agent_id}; name one by its id (`opsctl ps {agent_id}` lists them)"
                    )),
                }
            }
            _ => bad("name either a commandId or an agentId".to_owned()),
        }
    }

    pub(in super::super) fn handle_cancel_typing(
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
