//! What is durable, and what may be forgotten: agents keep output until it is acked, and a command until its end is.

use opsctl_protocol::message::{State, TerminalAck};
use opsctl_protocol::{Channel, CommandId, ToAgent};
use std::sync::PoisonError;

use super::{Effect, Hub};
use crate::store::{AgentRow, CommandRow};

/// How long a command's row may be behind in the store. What is lost with a crash meanwhile comes back from the agents,
/// which keep everything that isn't acked; gathering saves a sync for each status.
pub(super) const SAVE_AFTER_MS: u64 = 50;

/// How far behind the store may be with when connected agents were last heard: so much too old is what is known of them
/// after the daemon was killed. Signs of life come far more often, and are no reason to write each time.
const SEEN_AFTER_MS: u64 = 15 * 1000;

/// Ended commands kept in memory, so that those who ask for one right after need not wait for the disk.
pub const RECENT_COMMANDS: usize = 64;

/// Output of ended commands kept in memory, in bytes.
const RECENT_BYTES: usize = 4 * 1024 * 1024;

/// Counts the changes of a command's row in memory, from 0. Not kept over a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u64);

impl Version {
    /// One more change.
    pub(super) fn advance(&mut self) {
        self.0 += 1;
    }
}

/// A row for the store. A newer one of the same agent or command may take the place of one that still waits.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every row is the large one"
)]
pub enum Save {
    /// What is known about an agent.
    Agent(AgentRow),
    /// A command; [`super::Event::Saved`] tells when it is durable.
    Command(CommandRow, Version),
}

impl Hub {
    /// Notes that a command's row in the store is behind.
    pub(super) fn mark_unsaved(&mut self, command_id: CommandId) {
        if let Some(command) = self.commands.get_mut(&command_id) {
            command.version.advance();
        }
        self.unsaved.insert(command_id);
        self.unsaved_since.get_or_insert(self.now);
    }

    /// Writes what has been behind for long enough.
    pub(super) fn save_when_due(&mut self) {
        let due = self
            .unsaved_since
            .is_some_and(|since| self.now.0 >= since.0 + SAVE_AFTER_MS);
        if due {
            let effects = self.save_all();
            self.effects.extend(effects);
        }
    }

    /// Writes from time to time that connected agents are alive.
    pub(super) fn save_seen(&mut self) {
        let now = self.now;
        if now.0 < self.seen_saved.0 + SEEN_AFTER_MS {
            return;
        }
        self.seen_saved = now;
        let alive = self.agents.values().filter(|agent| agent.link.is_some());
        let row = |agent: &super::Agent| {
            Save::Agent(AgentRow {
                last_seen: now,
                ..agent.row.clone()
            })
        };
        let rows: Vec<Save> = alive.map(row).collect();
        if !rows.is_empty() {
            self.effects.push(Effect::Save(rows));
        }
    }

    /// Everything that is behind at the end, to be written.
    pub fn save_at_end(&mut self) -> Option<Effect> {
        self.keep_all_drafts();
        self.save_all()
    }

    /// Everything that is behind, to be written.
    fn save_all(&mut self) -> Option<Effect> {
        self.unsaved_since = None;
        let behind = std::mem::take(&mut self.unsaved);
        let mut rows = Vec::new();
        for command_id in behind {
            let Some(command) = self.commands.get(&command_id) else {
                continue;
            };
            // After a crash, a command that the store knows as ended is not asked for again: its output must be there.
            // The row of one that is withdrawn is on its way already.
            let ended = command.row.summary.state.is_final();
            if command.ending.is_some() || ended && !command.is_output_durable() {
                self.unsaved.insert(command_id);
            } else {
                rows.push(Save::Command(command.row.clone(), command.version));
            }
        }
        if rows.is_empty() {
            None
        } else {
            Some(Effect::Save(rows))
        }
    }

    /// Writes a command's row without waiting for others.
    pub(super) fn save_now(&mut self, command_id: CommandId) {
        if let Some(command) = self.commands.get(&command_id) {
            self.unsaved.remove(&command_id);
            let row = Save::Command(command.row.clone(), command.version);
            self.effects.push(Effect::Save(vec![row]));
        }
    }

    pub(super) fn handle_saved(&mut self, commands: &[(CommandId, Version)]) {
        for (command_id, version) in commands {
            let Some(command) = self.commands.get_mut(command_id) else {
                continue;
            };
            if *version < command.version {
                // A newer row is on its way.
                continue;
            }
            let state = command.row.summary.state;
            command.end_saved |= state.is_final();
            let waits = state == State::Delivered && !command.is_sent && command.ending.is_none();
            if waits {
                self.send_out(*command_id);
            }
            self.settle(*command_id);
        }
    }

    pub(super) fn handle_durable(&mut self, offsets: &[(CommandId, u64)]) {
        for (command_id, offset) in offsets {
            let Some(command) = self.commands.get_mut(command_id) else {
                continue;
            };
            command.durable = command.durable.max(*offset);
            let agent_id = command.row.summary.agent_id.clone();
            let ack = TerminalAck {
                command_id: *command_id,
                offset: command.durable,
                settled: command.is_settled(),
            };
            command.settled |= ack.settled;
            let end_waits = command.row.summary.state.is_final() && command.is_output_durable();
            self.to_agent(
                &agent_id,
                &opsctl_protocol::Header::default(),
                ToAgent::Ack(ack),
            );
            if end_waits && self.unsaved.contains(command_id) {
                self.unsaved_since.get_or_insert(self.now);
            }
            self.forget_old(*command_id);
        }
    }

    /// Tells the agent that it may forget a command, once that is so.
    pub(super) fn settle(&mut self, command_id: CommandId) {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        if !command.is_settled() {
            return;
        }
        command.settled = true;
        let ack = TerminalAck {
            command_id,
            offset: command.end,
            settled: true,
        };
        let agent_id = command.row.summary.agent_id.clone();
        self.to_agent(
            &agent_id,
            &opsctl_protocol::Header::default(),
            ToAgent::Ack(ack),
        );
        self.forget_old(command_id);
    }

    /// Drops ended commands from memory when there are more than a few; what they were is in the store and the log.
    pub(super) fn forget_old(&mut self, ended: CommandId) {
        let Some(command) = self.commands.get(&ended) else {
            return;
        };
        if command.row.summary.state.is_final()
            && command.is_settled()
            && !self.recent.contains(&ended)
        {
            self.recent.push_back(ended);
        }
        let bytes = |hub: &Self, id: &CommandId| {
            hub.channels
                .get(&Channel::Command(*id))
                .map_or(0, |state| state.stream.ring().bytes())
        };
        let mut held: usize = self.recent.iter().map(|id| bytes(self, id)).sum();
        while self.recent.len() > RECENT_COMMANDS || (held > RECENT_BYTES && self.recent.len() > 1)
        {
            let Some(old) = self.recent.pop_front() else {
                break;
            };
            held -= bytes(self, &old);
            self.forget(old);
        }
    }

    fn forget(&mut self, command_id: CommandId) {
        let Some(command) = self.commands.remove(&command_id) else {
            return;
        };
        self.channels.remove(&Channel::Command(command_id));
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&command_id);
        self.effects.push(Effect::Forget(command_id));
        let key = &command.row.key;
        // Who asks with this key just now waits for the store's word.
        let is_settled = self
            .requests
            .get(key)
            .is_some_and(|request| request.durable);
        if is_settled && !self.commands.values().any(|other| other.row.key == *key) {
            self.requests.remove(key);
        }
    }
}
