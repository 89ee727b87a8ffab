//! Which queued command goes to its agent next: in order for each agent, as many as the agent takes at once, and of one
//! request as many as its fan-out permits.

use opsctl_protocol::message::{CommandExecute, State};
use opsctl_protocol::{AgentId, CommandId, Timestamp, ToAgent};

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
        if self
            .requests
            .get(key)
            .and_then(|request| request.row.fanout)
            .is_none()
        {
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

    /// The command that the agent should get now, if any.
    fn next_for(&self, agent_id: &AgentId) -> Option<CommandId> {
        let agent = self.agents.get(agent_id)?;
        agent.link.as_ref()?;
        if agent.waiting.is_empty() {
            return None;
        }
        let running = self.under_way(|command| {
            command.row.summary.agent_id == *agent_id && !command.row.summary.main
        });
        if agent
            .row
            .max_commands
            .is_some_and(|max| running >= max as usize)
        {
            return None;
        }
        agent
            .waiting
            .iter()
            .copied()
            .find(|command_id| self.fanout_permits(*command_id))
    }

    fn fanout_permits(&self, command_id: CommandId) -> bool {
        let Some(command) = self.commands.get(&command_id) else {
            return false;
        };
        let key = &command.row.key;
        let Some(fanout) = self
            .requests
            .get(key)
            .and_then(|request| request.row.fanout)
        else {
            return true;
        };
        self.under_way(|other| other.row.key == *key) < fanout as usize
    }

    /// How many commands under way fit.
    fn under_way(&self, fits: impl Fn(&Command) -> bool) -> usize {
        self.commands
            .values()
            .filter(|command| command.is_under_way() && fits(command))
            .count()
    }

    fn deliver(&mut self, agent_id: &AgentId, command_id: CommandId) {
        let Some(agent) = self.agents.get_mut(agent_id) else {
            return;
        };
        agent.waiting.retain(|waiting| *waiting != command_id);
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        let execute = CommandExecute {
            command_id,
            spec: command.row.spec.clone(),
        };
        if !agent.send(ToAgent::Execute(execute)) {
            // The connection is about to end; the command goes out again when the agent is back.
            tracing::warn!(agent = %agent_id, command = %command_id, "the agent takes no commands");
        }
        command.row.summary.state = State::Delivered;
        self.mark_unsaved(command_id);
        self.push_status(command_id);
    }

    /// Ends commands that have waited longer than they may.
    pub(super) fn expire(&mut self) {
        let now = self.now;
        let expired: Vec<CommandId> = self
            .waiting_deadlines()
            .filter(|(_, at)| *at <= now)
            .map(|(command_id, _)| command_id)
            .collect();
        for command_id in expired {
            let reason = Some("it waited longer than its time to live".to_owned());
            self.end_queued(command_id, State::Expired, reason);
        }
    }

    /// When which queued command will have waited too long.
    pub(super) fn waiting_deadlines(&self) -> impl Iterator<Item = (CommandId, Timestamp)> {
        self.with_ttl.iter().filter_map(|command_id| {
            let expires_at = self.commands.get(command_id)?.expires_at()?;
            Some((*command_id, expires_at))
        })
    }
}
