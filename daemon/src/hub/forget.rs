//! An agent that will not come back leaves the list, with all that waits for it and all that it was known to run.

use opsctl_protocol::message::{AgentForget, ErrorCode, Role, State};
use opsctl_protocol::{AgentId, Channel, CommandId, ToDashboard};

use super::settle::Version;
use super::withdraw::end_of;
use super::{Asked, ConnId, Effect, Hub, Save, Withdrawal};
use crate::store::CommandRow;

impl Hub {
    /// Somebody says that an agent will not come back.
    pub(super) fn handle_forget(&mut self, conn: ConnId, id: Option<String>, agent_id: &AgentId) {
        let role = self.dashboards.get(&conn).map(|one| one.rights.role);
        if role != Some(Role::Admin) {
            let why = "only the role admin may forget agents";
            return self.refuse(conn, id, ErrorCode::Forbidden, why);
        }
        match self.agents.get(agent_id).map(|agent| agent.link.is_some()) {
            Some(false) => {}
            Some(true) => {
                let why = format!("{agent_id} is connected; stop it first");
                return self.refuse(conn, id, ErrorCode::BadRequest, why);
            }
            None => {
                let why = format!("no agent is named {agent_id}; `opsctl agents` lists them");
                return self.refuse(conn, id, ErrorCode::UnknownAgent, why);
            }
        }
        let commands = self.living_of(agent_id);
        let asked = Asked {
            conn,
            id,
            reached: Vec::new(),
            interrupt: None,
        };
        self.begin_forgetting(agent_id.clone(), commands, asked);
    }

    /// An agent's commands that have not ended.
    fn living_of(&self, agent_id: &AgentId) -> Vec<CommandId> {
        let summaries = self.commands.values().map(|command| &command.row.summary);
        summaries
            .filter(|summary| summary.agent_id == *agent_id && !summary.state.is_final())
            .map(|summary| summary.command_id)
            .collect()
    }

    /// Begins to end an agent's commands and to drop its row.
    fn begin_forgetting(&mut self, agent_id: AgentId, commands: Vec<CommandId>, asked: Asked) {
        let end = |command_id| {
            let state = if self.is_held_back(command_id) {
                State::Cancelled
            } else {
                State::Lost
            };
            self.withdraw_one(command_id, state, "its agent was forgotten")
        };
        let rows = commands.into_iter().filter_map(end).collect();
        self.effects.push(Effect::Withdraw(Box::new(Withdrawal {
            rows,
            forgotten: Some(agent_id),
            asked: Some(asked),
        })));
    }

    /// An agent's row is gone from the store. It may have come back meanwhile: then everything is as it says.
    pub(super) fn finish_forgetting(
        &mut self,
        agent_id: AgentId,
        rows: &[(CommandRow, Version)],
        asked: Asked,
    ) {
        if let Some(agent) = self.agents.get(&agent_id)
            && agent.link.is_some()
        {
            let row = Save::Agent(agent.row.clone());
            self.effects.push(Effect::Save(vec![row]));
            for (row, _) in rows {
                self.hold_again(row.summary.command_id);
            }
            let why = format!("{agent_id} has come back; stop it first");
            return self.refuse(asked.conn, asked.id, ErrorCode::BadRequest, why);
        }
        for (row, _) in rows {
            self.count_answer(row.summary.command_id);
            self.apply_status(row.summary.command_id, &end_of(row));
        }
        // What was asked for meanwhile, or what it brought when it was back for a moment, goes with it too.
        let rest = self.living_of(&agent_id);
        if !rest.is_empty() {
            return self.begin_forgetting(agent_id, rest, asked);
        }
        tracing::info!(agent = %agent_id, "an agent was forgotten");
        self.agents.remove(&agent_id);
        let forgotten = ToDashboard::AgentForgotten(AgentForget {
            agent_id: agent_id.clone(),
        });
        let channel = Channel::Agent(agent_id);
        self.push(&channel, forgotten.clone());
        // Those who watch the name still do, should it come back.
        self.note_topic(&channel);
        self.answer(asked.conn, asked.id, forgotten);
    }
}
