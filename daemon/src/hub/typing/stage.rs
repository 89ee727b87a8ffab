//! The stages of a message, from one event to the next. [`Hub::type_on`] looks at how things stand and does what is due; it
//! may be called at any time.

use opsctl_protocol::message::{Obstacle, TypedState};
use opsctl_protocol::{CommandId, Timestamp};

use super::super::Hub;
use super::reaction::Before;

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is refused, unless the store knows that it is the repetition of another.
    Recalling,
    /// It is being written down for the first time.
    Journaling,
    /// It is in its terminal's queue.
    Waiting,
    /// It is being found out whether its program takes a paste.
    Looking,
    /// It is being written down where it will stand.
    Placing,
    /// The store still has a place for it, and is told that it waits again.
    Returning,
    /// The last run of the daemon may have sent it.
    Resuming,
    /// Its text was sent at this time.
    Text(Timestamp),
    /// Its text was sent at this time, and is there.
    Settling(Timestamp),
    /// Enter was sent.
    Enter(Before),
    /// All of it is there. Its reaction is waited for until this time.
    Watching(Before, Timestamp),
    /// Nothing more will become of it, which is being written down.
    Ending,
}

impl Stage {
    /// Whether nothing else may be typed.
    pub(super) fn excludes(&self) -> bool {
        matches!(
            self,
            Self::Placing
                | Self::Returning
                | Self::Resuming
                | Self::Text(_)
                | Self::Settling(_)
                | Self::Ending
        )
    }
}

impl Hub {
    /// Does what is due for a terminal's messages.
    pub(in super::super) fn type_on(&mut self, command_id: CommandId) {
        if self.messages.is_empty() {
            return;
        }
        // Each step takes a message to its next stage, of which there are few.
        while self.type_step(command_id) {}
    }

    /// The same for all terminals, at a time.
    pub(in super::super) fn type_everywhere(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        while self
            .typing_due
            .first()
            .is_some_and(|(at, _)| *at <= self.now)
        {
            self.typing_due.pop_first();
        }
        let mut terminals: Vec<CommandId> = self
            .messages
            .values()
            .map(|message| message.row.typed.command_id)
            .collect();
        terminals.sort_unstable();
        terminals.dedup();
        for command_id in terminals {
            self.type_on(command_id);
        }
    }

    /// A program has put something out.
    pub(in super::super) fn note_echo(&mut self, command_id: CommandId, data: &[u8]) {
        let now = self.now;
        if let Some(command) = self.commands.get_mut(&command_id) {
            command.typing.put_out = now;
            // A terminal echoes the end of a line by itself, whether anybody reads or not.
            command.typing.reacted |= data.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
        }
        self.type_on(command_id);
    }

    /// One step; returns whether there may be another.
    fn type_step(&mut self, command_id: CommandId) -> bool {
        let Some(command) = self.commands.get(&command_id) else {
            return self.end_orphans(command_id);
        };
        let Some(key) = command.typing.active.clone() else {
            return self.begin_next(command_id);
        };
        let Some(stage) = self.messages.get(&key).map(|message| message.stage.clone()) else {
            return false;
        };
        if command.row.summary.state.is_final() {
            return self.end_with_program(&key, &stage);
        }
        match stage {
            Stage::Resuming => self.resume(command_id, &key),
            Stage::Text(at) => self.text_arrives(command_id, &key, at),
            Stage::Settling(at) => self.enter(command_id, &key, at),
            Stage::Enter(before) => self.enter_arrives(command_id, &key, before),
            Stage::Watching(before, until) => self.reaction_comes(command_id, &key, before, until),
            Stage::Recalling
            | Stage::Journaling
            | Stage::Waiting
            | Stage::Looking
            | Stage::Placing
            | Stage::Returning
            | Stage::Ending => false,
        }
    }

    /// Messages for a command that ended while the daemon was away.
    fn end_orphans(&mut self, command_id: CommandId) -> bool {
        let open = self.messages.iter().filter(|(_, message)| {
            message.row.typed.command_id == command_id
                && !matches!(message.stage, Stage::Ending | Stage::Recalling)
        });
        let keys: Vec<(String, bool)> = open
            .map(|(key, message)| (key.clone(), message.row.sent.is_some()))
            .collect();
        for (key, was_sent) in keys {
            let why = if was_sent {
                "the program has ended; whether it was typed isn't known"
            } else {
                "the program has ended"
            };
            self.end_message(&key, TypedState::Refused, Some(Obstacle::Ended), why);
        }
        false
    }

    /// The program has ended, with a message on its way to it.
    fn end_with_program(&mut self, key: &str, stage: &Stage) -> bool {
        let (outcome, why) = match stage {
            Stage::Looking => (TypedState::Refused, "the program has ended"),
            Stage::Resuming | Stage::Text(_) => (
                TypedState::Refused,
                "the program has ended; the text may have been typed before",
            ),
            Stage::Settling(_) => (TypedState::Typed, "the program ended before Enter"),
            Stage::Enter(_) | Stage::Watching(..) => {
                (TypedState::Typed, "the program has ended since")
            }
            _ => return false,
        };
        let refused = (outcome == TypedState::Refused).then_some(Obstacle::Ended);
        self.end_message(key, outcome, refused, why);
        false
    }
}
