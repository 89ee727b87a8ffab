//! Looks at screens: when, by whose rules, and what comes of it.

use std::sync::Arc;

use opsctl_protocol::{Channel, CommandId, Timestamp};

use super::super::command::Command;
use super::super::{Effect, Hub};
use super::Doing;
use crate::activity::{Finding, Look, Rules, Word};

/// How long output must have rested before its screen is looked at: between two keys, or two steps of a spinner, it isn't.
const REST_MS: u64 = 200;

/// How long a screen that never rests goes without a look.
const RESTLESS_MS: u64 = 1000;

impl Hub {
    /// Has the screen of a command that the last run of the daemon knew looked at.
    pub(in super::super) fn restore_look(&mut self, command_id: CommandId) {
        let now = self.now;
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        if command.row.summary.pty && command.end > 0 {
            command.choose_rules(&self.options.rules, now);
            command.doing.put_out = now;
            self.schedule_doing(command_id);
        }
    }

    /// Has a command's screen looked at as it is now; [`Event::Looked`] tells what is there.
    ///
    /// [`Event::Looked`]: super::super::Event::Looked
    pub(super) fn look(&mut self, command_id: CommandId) {
        let stream = self.channels.get(&Channel::Command(command_id));
        if let (Some(command), Some(state)) = (self.commands.get(&command_id), stream) {
            let summary = &command.row.summary;
            self.effects.push(Effect::Look(Box::new(Look {
                agent_id: summary.agent_id.clone(),
                command_id,
                program: command.row.spec.program.clone(),
                front: command.doing.front.clone(),
                title: command.doing.title.clone(),
                size: (summary.cols, summary.rows),
                stream: Arc::clone(&state.stream),
                end: command.end,
            })));
        }
    }

    /// A screen was looked at, with all output up to `offset` on it.
    pub(in super::super) fn handle_looked(
        &mut self,
        command_id: CommandId,
        offset: u64,
        found: Option<Finding>,
    ) {
        let now = self.now;
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        let doing = &mut command.doing;
        // No rules count any more where the look was for what has left the front since.
        if command.row.summary.state.is_final() || offset < doing.seen_to || !doing.is_watched {
            return;
        }
        doing.seen_to = offset;
        let (word, approval) = match found {
            Some(found) => {
                let word = Word {
                    activity: found.activity,
                    reason: found.reason,
                    since: now,
                };
                (Some(word), found.approval)
            }
            None => (None, None),
        };
        doing.standing.seen(word, approval);
        doing.is_untold |= doing.standing.show(&mut command.row.summary);
        self.schedule_doing(command_id);
    }
}

impl Command {
    /// Chooses the rules for what runs in its terminal now, and has its screen looked at where there are any.
    pub(super) fn choose_rules(&mut self, rules: &Rules, now: Timestamp) {
        let doing = &mut self.doing;
        let program = &self.row.spec.program;
        let book = rules.book(program, doing.front.as_ref(), &doing.title);
        let was_watched = std::mem::replace(&mut doing.is_watched, book.is_some());
        doing.unseen = Some(now);
        if was_watched && !doing.is_watched {
            // What another program's screen showed is gone with it.
            doing.standing.seen(None, None);
        }
    }
}

impl Doing {
    /// When its screen is to be looked at.
    pub(super) fn look_at(&self) -> Option<Timestamp> {
        let unseen = self.unseen.filter(|_| self.is_watched)?;
        Some(Timestamp(
            (self.put_out.0 + REST_MS).min(unseen.0 + RESTLESS_MS),
        ))
    }
}
