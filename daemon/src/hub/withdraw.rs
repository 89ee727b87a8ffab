//! Commands that end before they have started: taken back by somebody, or out of time.
//!
//! Such an end is durable before anybody is told of it: a crash right after must not bring a command back to life of
//! which somebody heard that it will never run. Until then the command stays in its queue and is not given out.
//!
//! Several may take the same command back while the disk is busy. All write the same end, and the command waits again only
//! when the last of their writes has failed: no other row of it is written while one of them is under way, so that an end
//! that the store took is the last that the store heard.

use opsctl_protocol::message::{CommandList, CommandStatus, CommandSummary, ErrorCode, State};
use opsctl_protocol::{AgentId, CommandId, Timestamp};

use super::command::Command;
use super::settle::Version;
use super::{ConnId, Effect, Hub};
use crate::store::CommandRow;

/// Commands that are to end without having started; they share one transaction.
#[derive(Debug)]
pub struct Withdrawal {
    /// As they will be.
    pub rows: Vec<(CommandRow, Version)>,
    /// The agent that is forgotten with them; all that it had ends, sent or not.
    pub forgotten: Option<AgentId>,
    /// Who asked for it; nobody where their time ran out.
    pub asked: Option<Asked>,
}

/// Who waits for the answer.
#[derive(Debug)]
pub struct Asked {
    /// The connection.
    pub conn: ConnId,
    /// The `id` to answer.
    pub id: Option<String>,
    /// Commands that the same message reached otherwise.
    pub reached: Vec<CommandSummary>,
    /// The agent's interrupt, by its number, that this is a part of and that is answered as a whole.
    pub interrupt: Option<(AgentId, u64)>,
}

/// A command's end on its way to the store.
#[derive(Debug)]
pub(super) struct Ending {
    /// The command as it will be.
    row: CommandRow,
    version: Version,
    /// Withdrawals that carry it and that the store has not answered; never 0.
    writes: usize,
}

impl Hub {
    /// Whether a command can be taken back: nobody has sent it to its agent.
    pub(super) fn is_held_back(&self, command_id: CommandId) -> bool {
        self.commands
            .get(&command_id)
            .is_some_and(Command::is_held_back)
    }

    /// Begins to end commands that are held back.
    pub(super) fn withdraw(
        &mut self,
        commands: Vec<CommandId>,
        state: State,
        reason: &str,
        asked: Option<Asked>,
    ) {
        let end = |command_id| self.withdraw_one(command_id, state, reason);
        let rows = commands.into_iter().filter_map(end).collect();
        self.effects.push(Effect::Withdraw(Box::new(Withdrawal {
            rows,
            forgotten: None,
            asked,
        })));
    }

    /// How a command's row will be; until that is durable the command is not given out.
    pub(super) fn withdraw_one(
        &mut self,
        command_id: CommandId,
        state: State,
        reason: &str,
    ) -> Option<(CommandRow, Version)> {
        let command = self.commands.get_mut(&command_id)?;
        if let Some(ending) = &mut command.ending {
            ending.writes += 1;
            return Some((ending.row.clone(), ending.version));
        }
        command.version.advance();
        let mut row = command.row.clone();
        row.summary.state = state;
        row.summary.reason = Some(reason.to_owned());
        row.summary.finished_at = Some(self.now);
        let version = command.version;
        command.ending = Some(Ending {
            row: row.clone(),
            version,
            writes: 1,
        });
        self.forget_deadline(command_id);
        self.unsaved.remove(&command_id);
        Some((row, version))
    }

    /// A withdrawal is durable, or could not be made so.
    pub(super) fn handle_withdrawn(&mut self, withdrawal: Withdrawal, outcome: Result<(), String>) {
        let Withdrawal {
            rows,
            forgotten,
            asked,
        } = withdrawal;
        let (forgotten, asked) = match (forgotten, asked, &outcome) {
            (Some(agent_id), Some(asked), Ok(())) => {
                return self.finish_forgetting(agent_id, &rows, asked);
            }
            (forgotten, asked, _) => (forgotten, asked),
        };
        let all = rows.len();
        let mut ended = Vec::new();
        for (row, _) in rows {
            ended.extend(match &outcome {
                Ok(()) => self.end_withdrawn(&row),
                Err(_) => self.hold_again(row.summary.command_id),
            });
        }
        let Some(Asked {
            conn,
            id,
            mut reached,
            interrupt,
        }) = asked
        else {
            return;
        };
        let outcome = match outcome {
            // Another's withdrawal of the same commands may have come through.
            Err(why) if forgotten.is_some() || ended.len() < all => {
                let what = if forgotten.is_some() {
                    "forgotten"
                } else {
                    "taken back"
                };
                let why = format!("nothing was {what}: {why}");
                Err((ErrorCode::StorageFailed, why))
            }
            _ => Ok(ended),
        };
        if let Some((agent_id, number)) = interrupt
            && let Some(agent) = self.agents.get_mut(&agent_id)
        {
            if let Some((asker, outcome)) = agent.interrupts.withdrawn(number, outcome) {
                self.tell_interrupted(asker, outcome);
            }
            return;
        }
        match outcome {
            Err((code, why)) => self.refuse(conn, id, code, why),
            Ok(_) if id.is_none() => {}
            Ok(ended) => {
                reached.extend(ended);
                let commands = reached;
                self.answer(
                    conn,
                    id,
                    CommandList {
                        commands,
                        more: false,
                    },
                );
            }
        }
    }

    /// Tells a withdrawn command's end, unless its agent turned out to have it (of which only a daemon that works on an
    /// older copy of its state did not know).
    fn end_withdrawn(&mut self, row: &CommandRow) -> Option<CommandSummary> {
        let command_id = row.summary.command_id;
        self.count_answer(command_id);
        let command = self.commands.get(&command_id)?;
        if command.is_held_back() {
            self.apply_status(command_id, &end_of(row));
        } else {
            self.mark_unsaved(command_id);
        }
        self.commands
            .get(&command_id)
            .map(|command| command.row.summary.clone())
    }

    /// The store did not take the end, or it does not hold any more: the command waits as before, unless somebody else
    /// takes it back too. Returns the command if it has ended all the same.
    pub(super) fn hold_again(&mut self, command_id: CommandId) -> Option<CommandSummary> {
        self.count_answer(command_id);
        let command = self.commands.get(&command_id)?;
        let summary = command.row.summary.clone();
        if command.ending.is_some() {
            return summary.state.is_final().then_some(summary);
        }
        let is_held_back = command.is_held_back();
        self.mark_unsaved(command_id);
        if is_held_back {
            self.note_deadline(command_id);
            self.dispatch(&summary.agent_id);
        }
        summary.state.is_final().then_some(summary)
    }

    /// The store has answered one of the writes that carry a command's end.
    pub(super) fn count_answer(&mut self, command_id: CommandId) {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        command.ending = command.ending.take().and_then(|ending| {
            let writes = ending.writes.checked_sub(1).filter(|left| *left > 0)?;
            Some(Ending { writes, ..ending })
        });
    }

    /// Ends commands that have waited longer than they may.
    pub(super) fn expire(&mut self) {
        let mut due = Vec::new();
        while let Some((at, command_id)) = self.deadlines.first().copied()
            && at <= self.now
        {
            self.deadlines.pop_first();
            let ends = |command: &Command| command.ending.is_some();
            if self.is_held_back(command_id) && !self.commands.get(&command_id).is_some_and(ends) {
                due.push(command_id);
            }
        }
        if !due.is_empty() {
            let reason = "it waited longer than its time to live";
            self.withdraw(due, State::Expired, reason, None);
        }
    }

    /// Remembers when a command that has come into a queue has waited too long.
    pub(super) fn note_deadline(&mut self, command_id: CommandId) {
        if let Some(at) = self.deadline(command_id) {
            self.deadlines.insert((at, command_id));
        }
    }

    /// A command has left its queue.
    pub(super) fn forget_deadline(&mut self, command_id: CommandId) {
        if let Some(at) = self.deadline(command_id) {
            self.deadlines.remove(&(at, command_id));
        }
    }

    fn deadline(&self, command_id: CommandId) -> Option<Timestamp> {
        self.commands.get(&command_id)?.row.summary.expires_at
    }
}

/// The end that a row tells of.
pub(super) fn end_of(row: &CommandRow) -> CommandStatus {
    let summary = &row.summary;
    CommandStatus {
        reason: summary.reason.clone(),
        finished_at: summary.finished_at,
        ..CommandStatus::new(summary.command_id, summary.state)
    }
}
