//! A message's Enter, and what follows: whether it is there, and whether the program has taken it.

use opsctl_protocol::message::{Obstacle, TypedState};
use opsctl_protocol::{CommandId, Timestamp};

use super::super::Hub;
use super::obstacle::asks;
use super::pace::{self, Enter};
use super::reaction::{Before, Since};
use super::stage::Stage;
use crate::store::Sent;

/// How long after Enter the program's reaction is waited for.
const REACT_MS: u64 = 2000;

impl Hub {
    /// Whether all of the text is there.
    pub(super) fn text_arrives(&mut self, command_id: CommandId, key: &str, at: Timestamp) -> bool {
        let (Some(command), Some(message)) =
            (self.commands.get(&command_id), self.messages.get_mut(key))
        else {
            return false;
        };
        let until = message.row.sent.as_ref().map_or(0, Sent::end);
        if command.keys.next() < until {
            let why = "its terminal took no more input; a part may have been typed";
            self.end_message(key, TypedState::Refused, Some(Obstacle::Offline), why);
            return false;
        }
        if command.keys.arrived() < until {
            return false;
        }
        if message.row.asked.answer.is_some() {
            let before = Before::of(&command.row.summary, true);
            message.stage = Stage::Watching(before, Timestamp(self.now.0 + REACT_MS));
        } else if message.row.asked.submit {
            message.stage = Stage::Settling(at);
        } else {
            self.end_message(key, TypedState::Typed, None, "");
            return false;
        }
        true
    }

    /// Types Enter, once the terminal is still.
    pub(super) fn enter(&mut self, command_id: CommandId, key: &str, at: Timestamp) -> bool {
        let Some(command) = self.commands.get(&command_id) else {
            return false;
        };
        let was_still = match pace::enter(at, command.typing.put_out, self.now) {
            Enter::Now { was_still } => was_still,
            Enter::NotBefore(due) => {
                self.typing_due.insert((due, command_id));
                return false;
            }
        };
        let asked = self.messages.get(key).map(|message| &message.row.asked);
        if asked.is_some_and(|asked| !asked.at_approval)
            && let Some(why) = asks(&command.row.summary)
        {
            let why = format!("Enter was withheld: {why}");
            self.end_message(key, TypedState::Typed, None, why);
            return false;
        }
        let before = Before::of(&command.row.summary, was_still);
        self.forget_reactions(command_id);
        if !self.send_keys(command_id, b"\r") {
            // Its agent is away, and will be back.
            return false;
        }
        if let Some(message) = self.messages.get_mut(key) {
            message.stage = Stage::Enter(before);
        }
        if let Some(command) = self.commands.get_mut(&command_id) {
            command.typing.draft.clear();
        }
        self.note_draft_now(command_id);
        self.let_go(command_id);
        true
    }

    pub(super) fn forget_reactions(&mut self, command_id: CommandId) {
        if let Some(command) = self.commands.get_mut(&command_id) {
            command.typing.reacted = false;
            command.typing.disturbed = false;
        }
    }

    /// Whether Enter is there.
    pub(super) fn enter_arrives(
        &mut self,
        command_id: CommandId,
        key: &str,
        before: Before,
    ) -> bool {
        let (Some(command), Some(message)) =
            (self.commands.get(&command_id), self.messages.get_mut(key))
        else {
            return false;
        };
        let until = message.row.sent.as_ref().map_or(0, Sent::end) + 1;
        if command.keys.next() < until {
            let why = "its terminal took no more input: Enter was not typed";
            self.end_message(key, TypedState::Typed, None, why);
            return false;
        }
        if command.keys.arrived() < until {
            return false;
        }
        message.stage = Stage::Watching(before, Timestamp(self.now.0 + REACT_MS));
        true
    }

    /// Whether the program has reacted.
    pub(super) fn reaction_comes(
        &mut self,
        command_id: CommandId,
        key: &str,
        before: Before,
        until: Timestamp,
    ) -> bool {
        let (Some(command), Some(message)) =
            (self.commands.get(&command_id), self.messages.get_mut(key))
        else {
            return false;
        };
        let since = Since {
            reacted: command.typing.reacted,
            disturbed: command.typing.disturbed,
        };
        let answer = message.row.asked.answer.as_ref();
        let evidence = before.evidence(answer, &command.row.summary, since);
        if evidence.is_some() {
            message.row.typed.evidence = evidence;
            self.end_message(key, TypedState::Submitted, None, "");
        } else if self.now >= until {
            let why = "the program has shown no reaction";
            self.end_message(key, TypedState::Typed, None, why);
        } else {
            self.typing_due.insert((until, command_id));
        }
        false
    }
}
