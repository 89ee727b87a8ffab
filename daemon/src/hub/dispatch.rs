//! Which queued command goes to its agent next: in order for each agent, as many as the agent takes at once, and of one
//! request as many as its fan-out permits.
//!
//! The store knows that a command may be with its agent before the agent gets it. What it calls `queued` has therefore
//! never been sent, and can be cancelled or expire also after a crash.

use std::collections::HashMap;

use opsctl_protocol::message::{CommandExecute, CommandSummary, State};
use opsctl_protocol::{AgentId, CommandId, ToAgent};

use super::Hub;
use super::command::Command;

impl Hub {
    /// Sends an agent what it can take.
    pub(super) fn dispatch(&mut self, agent_id: &AgentId) {
        while let Some(command_id) = self.next_for(agent_id) {
            self.deliver(agent_id, command_id);
        }
    }

    /// A command of a request has ended; those that its fan-out held back may go.
    pub(super) fn dispatch_group(&mut self, key: &str) {
        if self.fanout(key).is_none() {
            return;
        }
        let agents: Vec<AgentId> = self
            .commands
            .values()
            .filter(|command| command.row.key == key && command.row.summary.state == State::Queued)
            .map(|command| command.row.summary.agent_id.clone())
            .collect();
        for agent_id in agents {
            self.dispatch(&agent_id);
        }
    }

    /// Whether a command that is asked for now would go to its agent at once, as far as the agent is concerned.
    pub(super) fn is_free(&self, agent_id: &AgentId) -> bool {
        self.agents
            .get(agent_id)
            .is_some_and(|agent| agent.link.is_some() && agent.waiting.is_empty())
            && self.has_place(agent_id)
    }

    /// The command that the agent should get now, if any.
    fn next_for(&self, agent_id: &AgentId) -> Option<CommandId> {
        let agent = self.agents.get(agent_id)?;
        agent.link.as_ref()?;
        if agent.waiting.is_empty() || !self.has_place(agent_id) {
            return None;
        }
        agent
            .waiting
            .iter()
            .copied()
            .find(|command_id| self.may_go(*command_id))
    }

    /// Whether the agent takes one more command.
    fn has_place(&self, agent_id: &AgentId) -> bool {
        let Some(max) = self
            .agents
            .get(agent_id)
            .and_then(|agent| agent.row.max_commands)
        else {
            return true;
        };
        let running = self.under_way(|command| {
            command.row.summary.agent_id == *agent_id && !command.row.summary.main
        });
        running < max as usize
    }

    /// Whether a command may be given out: nobody takes it back, its time has not run out, its fan-out permits it.
    fn may_go(&self, command_id: CommandId) -> bool {
        let Some(command) = self.commands.get(&command_id) else {
            return false;
        };
        let expires_at = command.row.summary.expires_at;
        if command.ending.is_some() || expires_at.is_some_and(|at| at <= self.now) {
            return false;
        }
        let key = &command.row.key;
        let Some(fanout) = self.fanout(key) else {
            return true;
        };
        self.under_way(|other| other.row.key == *key) < fanout as usize
    }

    fn fanout(&self, key: &str) -> Option<u32> {
        self.requests.get(key)?.row.fanout
    }

    /// How many commands under way fit.
    fn under_way(&self, fits: impl Fn(&Command) -> bool) -> usize {
        self.commands
            .values()
            .filter(|command| command.is_under_way() && fits(command))
            .count()
    }

    /// Takes a command out of its queue, towards its agent.
    fn deliver(&mut self, agent_id: &AgentId, command_id: CommandId) {
        if let Some(agent) = self.agents.get_mut(agent_id) {
            agent.waiting.retain(|waiting| *waiting != command_id);
        }
        self.forget_deadline(command_id);
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        command.row.summary.state = State::Delivered;
        if command.is_stored_as_delivered {
            self.send_out(command_id);
        } else {
            self.mark_unsaved(command_id);
            self.save_now(command_id);
        }
        self.push_status(command_id);
    }

    /// The store knows that a command may be with its agent: now it may be sent there.
    pub(super) fn send_out(&mut self, command_id: CommandId) {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        let agent_id = command.row.summary.agent_id.clone();
        let Some(agent) = self
            .agents
            .get(&agent_id)
            .filter(|agent| agent.link.is_some())
        else {
            // It has left meanwhile, without the command.
            return self.queue_again(&agent_id, vec![command_id]);
        };
        command.is_sent = true;
        command.is_stored_as_delivered = false;
        let execute = CommandExecute {
            command_id,
            spec: command.row.spec.clone(),
        };
        if !agent.send(ToAgent::Execute(execute)) {
            // The connection is about to end; the command goes out again when the agent is back.
            tracing::warn!(agent = %agent_id, command = %command_id, "the agent takes no commands");
        }
    }

    /// Puts commands that their agent never got before all others in its queue, in the given order.
    pub(super) fn queue_again(&mut self, agent_id: &AgentId, commands: Vec<CommandId>) {
        for command_id in &commands {
            let Some(command) = self.commands.get_mut(command_id) else {
                continue;
            };
            command.row.summary.state = State::Queued;
            command.is_sent = false;
            command.is_stored_as_delivered = false;
            self.give_up_keys(*command_id);
            self.note_deadline(*command_id);
            self.mark_unsaved(*command_id);
        }
        if let Some(agent) = self.agents.get_mut(agent_id) {
            agent.waiting.retain(|waiting| !commands.contains(waiting));
            agent.waiting.splice(0..0, commands.iter().copied());
        }
        for command_id in commands {
            self.push_status(command_id);
        }
    }

    /// The commands that wait for an agent, oldest first, as far as the commands themselves tell.
    pub(super) fn queued_for(&self, agent_id: &AgentId) -> Vec<CommandId> {
        let summaries = self.commands.values().map(|command| &command.row.summary);
        let mut queued: Vec<_> = summaries
            .filter(|summary| summary.agent_id == *agent_id && summary.state == State::Queued)
            .map(|summary| (summary.created_at, summary.command_id))
            .collect();
        queued.sort_unstable();
        queued
            .into_iter()
            .map(|(_, command_id)| command_id)
            .collect()
    }

    /// What people see of a command now.
    pub(super) fn shown(&self, command: &Command) -> CommandSummary {
        let summary = &command.row.summary;
        let position = || {
            let agent = self.agents.get(&summary.agent_id)?;
            let place = |waiting: &CommandId| *waiting == summary.command_id;
            agent.waiting.iter().position(place)
        };
        CommandSummary {
            queue_position: (summary.state == State::Queued)
                .then(position)
                .flatten()
                .map(|at| at as u32 + 1),
            ..summary.clone()
        }
    }

    /// The place of each queued command in its agent's queue, from 1.
    pub(super) fn positions(&self) -> HashMap<CommandId, u32> {
        self.agents
            .values()
            .flat_map(|agent| agent.waiting.iter().copied().zip(1..))
            .collect()
    }
}
