//! An agent is back and says which commands it knows; the hub has its own view. What becomes of each command:
//!
//! | hub \ agent | doesn't know it | has it, not started | runs it | had it, it has ended |
//! |---|---|---|---|---|
//! | queued | goes out in its turn, or expires | delivered | running | delivered, then the end after the output |
//! | delivered | queued again, first in line | delivered | running | the same |
//! | running | **lost** | running | running | the same |
//! | ended | ended; nothing to do | stays ended | stays ended | ended; it may forget it |
//! | unknown | — | taken up | taken up | taken up, then the end |
//!
//! - An agent journals a command before it starts it. What it doesn't know has never started there, or it was told to
//!   forget it, which it is only once the end is in the store. So "queued again" starts nothing twice; and a command
//!   that was said to run and that the agent doesn't know is gone: that is the only way to `lost` from here.
//! - The store says `delivered` before the agent gets a command ([`super::dispatch`]), so that `queued` with an agent that
//!   has it happens only to a daemon that works on an older copy of its state. So does `unknown`.
//! - An end is told after the output that comes before it, and so never taken from the report itself.
//! - A command that is ended here and runs there (again only with an older copy, in which it expired) stays ended, and
//!   nothing is killed: the agent says so in its log.
//! - A command that another agent is known to have is not this one's: it is told to forget it.

use std::collections::{BTreeMap, HashMap, HashSet};

use opsctl_protocol::message::{
    CommandReport, CommandSpec, CommandStatus, CommandSummary, Program, State,
};
use opsctl_protocol::{AgentId, CommandId, Timestamp};

use super::command::Command;
use super::{Hub, Recalled};
use crate::store::{CommandRow, DraftRow};

impl Hub {
    /// Brings together what the agent and the hub know of its commands; returns from which offset each is wanted.
    pub(super) fn reconcile(
        &mut self,
        agent_id: &AgentId,
        reports: Vec<CommandReport>,
        recalled: &HashMap<CommandId, Recalled>,
    ) -> BTreeMap<CommandId, u64> {
        let mut wanted = BTreeMap::new();
        let mut reported = HashSet::new();
        for report in reports {
            let command_id = report.status.command_id;
            reported.insert(command_id);
            if !self.commands.contains_key(&command_id) {
                match recalled.get(&command_id) {
                    Some(Recalled::Settled) => continue,
                    Some(Recalled::Logged(end)) => self.adopt(agent_id, &report, *end),
                    None => self.adopt(agent_id, &report, 0),
                }
            }
            let Some(command) = self.commands.get(&command_id) else {
                continue;
            };
            if command.row.summary.agent_id != *agent_id || command.is_settled() {
                continue;
            }
            wanted.insert(command_id, command.end);
            self.take_up(agent_id, command_id, &report.status);
        }
        self.settle_missing(agent_id, &reported);
        wanted
    }

    /// The agent has a command: it waits in no queue.
    fn take_up(&mut self, agent_id: &AgentId, command_id: CommandId, told: &CommandStatus) {
        if let Some(agent) = self.agents.get_mut(agent_id) {
            agent.waiting.retain(|waiting| *waiting != command_id);
        }
        self.forget_deadline(command_id);
        if let Some(command) = self.commands.get_mut(&command_id) {
            command.is_sent = true;
            command.keys.lose_track();
        }
        let ended = told.state.is_final();
        let status = if ended {
            // The end itself comes after the output.
            &CommandStatus::new(command_id, State::Delivered)
        } else {
            told
        };
        self.apply_status(command_id, status);
    }

    /// Commands that the agent should know and does not: those that ran are lost, the others go out again.
    fn settle_missing(&mut self, agent_id: &AgentId, reported: &HashSet<CommandId>) {
        let mut missing: Vec<(Timestamp, CommandId, State)> = self
            .commands
            .values()
            .map(|command| &command.row.summary)
            .filter(|summary| {
                summary.agent_id == *agent_id && !reported.contains(&summary.command_id)
            })
            .map(|summary| (summary.created_at, summary.command_id, summary.state))
            .collect();
        missing.sort_unstable_by_key(|(created_at, command_id, _)| (*created_at, *command_id));
        let mut again = Vec::new();
        for (_, command_id, state) in missing {
            match state {
                State::Running => {
                    let reason = Some("the agent came back without it".to_owned());
                    let lost = CommandStatus {
                        reason,
                        ..CommandStatus::new(command_id, State::Lost)
                    };
                    self.apply_status(command_id, &lost);
                }
                State::Delivered => again.push(command_id),
                _ => {}
            }
        }
        self.queue_again(agent_id, again);
    }

    /// Takes up a command that only the agent knows: its main terminal, or one whose journal was lost here. The log may
    /// have its output up to `end`.
    fn adopt(&mut self, agent_id: &AgentId, report: &CommandReport, end: u64) {
        let command_id = report.status.command_id;
        let told = report.spec.clone().filter(|spec| spec.check().is_ok());
        let spec = told.unwrap_or_else(|| {
            tracing::warn!(agent = %agent_id, command = %command_id, "a command is reported without a usable spec");
            CommandSpec::new(Program::Shell("(unknown)".to_owned()))
        });
        let summary = CommandSummary {
            requested_by: agent_id.to_string(),
            created_at: report.status.started_at.unwrap_or(self.now),
            main: report.main,
            state: State::Delivered,
            output_bytes: end,
            ..CommandSummary::queued(command_id, agent_id.clone(), &spec)
        };
        // What was typed before, another daemon knew; a program that only starts was given nothing.
        let to = report.status.input_received.unwrap_or_default();
        let draft = spec.pty.then_some(DraftRow { count: 0, to });
        let row = CommandRow {
            summary,
            spec,
            key: String::new(),
            ttl_ms: None,
            draft,
        };
        self.insert_command(Command::new(row, end));
        self.mark_unsaved(command_id);
        self.save_now(command_id);
    }
}
