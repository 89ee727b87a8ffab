//! Size, interrupts: what people do to a command that is there.

use opsctl_protocol::message::{
    CommandCancel, CommandInterrupt, CommandList, CommandResize, CommandSummary, ErrorCode, State,
};
use opsctl_protocol::{AgentId, CommandId, Header, ToAgent, limits};

use super::interrupts::{Asker, Outcome};
use super::{Asked, ConnId, Hub};

/// Why something cannot be done to a command.
pub(super) type Refusal = (ErrorCode, String);

impl Hub {
    /// The command, if it is there and has not ended.
    pub(super) fn live(&self, command_id: CommandId) -> Result<&CommandSummary, Refusal> {
        let Some(command) = self.commands.get(&command_id) else {
            return Err((
                ErrorCode::UnknownCommand,
                format!("no command {command_id} is running; `opsctl ps` lists them"),
            ));
        };
        let summary = &command.row.summary;
        if summary.state.is_final() {
            return Err((
                ErrorCode::Finished,
                format!(
                    "{} has ended ({})",
                    summary.command_id.short(),
                    summary.state
                ),
            ));
        }
        Ok(summary)
    }

    /// The command, if its agent can be told something about it now.
    pub(super) fn reachable(&self, command_id: CommandId) -> Result<&CommandSummary, Refusal> {
        let summary = self.live(command_id)?;
        let connected = self
            .agents
            .get(&summary.agent_id)
            .is_some_and(|agent| agent.link.is_some());
        if connected {
            Ok(summary)
        } else {
            Err((
                ErrorCode::AgentOffline,
                format!("{} is not connected; nothing was sent", summary.agent_id),
            ))
        }
    }

    pub(super) fn handle_resize(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        resize: &CommandResize,
    ) {
        let side = 1..=limits::MAX_TERMINAL_SIDE;
        if !side.contains(&resize.cols) || !side.contains(&resize.rows) {
            let why = format!(
                "a terminal has 1 to {} columns and rows",
                limits::MAX_TERMINAL_SIDE
            );
            return self.refuse(conn, id, ErrorCode::BadRequest, why);
        }
        if let Err((code, why)) = self.reachable(resize.command_id) {
            return self.refuse(conn, id, code, why);
        }
        if let Some(command) = self.commands.get_mut(&resize.command_id)
            && command.is_terminal()
        {
            command.writers.insert(conn, (resize.cols, resize.rows));
            self.tell_size(resize.command_id, (resize.cols, resize.rows));
        }
    }

    /// Gives a terminal this size, unless it has it.
    pub(super) fn tell_size(&mut self, command_id: CommandId, (cols, rows): (u16, u16)) {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        let summary = &command.row.summary;
        let has = command.told_size.unwrap_or((summary.cols, summary.rows));
        if has != (cols, rows) {
            let agent_id = summary.agent_id.clone();
            command.told_size = Some((cols, rows));
            self.to_agent(
                &agent_id,
                &Header::default(),
                ToAgent::Resize(CommandResize {
                    command_id,
                    cols,
                    rows,
                }),
            );
        }
    }

    pub(super) fn handle_interrupt(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        interrupt: &CommandInterrupt,
    ) {
        let asker = Asker { conn, id };
        match self.meant_by(interrupt) {
            Ok((agent_id, commands)) => self.interrupt(asker, &agent_id, commands, interrupt),
            Err((code, why)) => self.refuse(asker.conn, asker.id, code, why),
        }
    }

    /// The agent, and the commands on it that an interrupt means.
    fn meant_by(&self, interrupt: &CommandInterrupt) -> Result<(AgentId, Vec<CommandId>), Refusal> {
        match (interrupt.command_id, &interrupt.agent_id) {
            (Some(command_id), None) => {
                let summary = self.live(command_id)?;
                Ok((summary.agent_id.clone(), vec![command_id]))
            }
            (None, Some(agent_id)) => {
                if !self.agents.contains_key(agent_id) {
                    let why = format!("no agent is named {agent_id}; `opsctl agents` lists them");
                    return Err((ErrorCode::UnknownAgent, why));
                }
                let own = |summary: &&CommandSummary| {
                    summary.agent_id == *agent_id && !summary.state.is_final()
                };
                let summaries = self.commands.values().map(|command| &command.row.summary);
                let commands = summaries.filter(own).map(|summary| summary.command_id);
                Ok((agent_id.clone(), commands.collect()))
            }
            _ => {
                let why = "name either a commandId or an agentId".to_owned();
                Err((ErrorCode::BadRequest, why))
            }
        }
    }

    /// Sends an interrupt to those of an agent's commands that it has, and takes the others back.
    fn interrupt(
        &mut self,
        asker: Asker,
        agent_id: &AgentId,
        commands: Vec<CommandId>,
        interrupt: &CommandInterrupt,
    ) {
        let (held_back, sent): (Vec<_>, Vec<_>) = commands
            .into_iter()
            .partition(|command_id| self.is_held_back(*command_id));
        let reachable = |command_id: &CommandId| self.reachable(*command_id).map(drop);
        if let Err((code, why)) = sent.iter().try_for_each(reachable) {
            return self.refuse(asker.conn, asker.id, code, why);
        }
        let mut number = None;
        if let Some(agent) = self.agents.get_mut(agent_id)
            && agent.tells_receipts()
            && !sent.is_empty()
        {
            if agent.interrupts.is_full() {
                let why = format!("{agent_id} has not answered the last interrupts");
                return self.postpone(asker.conn, asker.id, &why);
            }
            let (first, ids) = agent
                .interrupts
                .add(asker.clone(), &sent, !held_back.is_empty());
            number = Some(first);
            for (command_id, id) in sent.iter().zip(ids) {
                self.send_interrupt(agent_id, *command_id, Some(id), interrupt);
            }
        } else {
            for command_id in &sent {
                self.send_interrupt(agent_id, *command_id, None, interrupt);
            }
        }
        // Where the agent answers, so do its answers.
        let reached = if number.is_some() { Vec::new() } else { sent };
        if !held_back.is_empty() {
            let part = Asked {
                conn: asker.conn,
                id: asker.id,
                reached: self.summaries(&reached),
                interrupt: number.map(|number| (agent_id.clone(), number)),
            };
            let reason = "interrupted before it started";
            self.withdraw(held_back, State::Cancelled, reason, Some(part));
        } else if number.is_none() {
            let heard = Outcome {
                heard: reached,
                ..Outcome::default()
            };
            self.tell_interrupted(asker, heard);
        }
    }

    fn send_interrupt(
        &self,
        agent_id: &AgentId,
        command_id: CommandId,
        id: Option<String>,
        interrupt: &CommandInterrupt,
    ) {
        let interrupt = CommandInterrupt {
            command_id: Some(command_id),
            agent_id: None,
            ..interrupt.clone()
        };
        let header = Header {
            id,
            ..Header::default()
        };
        self.to_agent(agent_id, &header, ToAgent::Interrupt(interrupt));
    }

    /// An agent has answered an interrupt.
    pub(super) fn interrupt_answered(
        &mut self,
        agent_id: &AgentId,
        re: &str,
        answer: Result<(), Refusal>,
    ) {
        let agent = self.agents.get_mut(agent_id);
        let known = agent.and_then(|agent| agent.interrupts.answered(re, answer));
        if let Some((asker, outcome)) = known {
            self.tell_interrupted(asker, outcome);
        }
    }

    /// Tells somebody what has become of his interrupt.
    pub(super) fn tell_interrupted(&self, Asker { conn, id }: Asker, outcome: Outcome) {
        if let Some((code, why)) = outcome.refusal() {
            return self.refuse(conn, id, *code, why.clone());
        }
        if id.is_some() {
            let mut commands = self.summaries(&outcome.heard);
            commands.extend(outcome.ended);
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

    /// An agent's connection has ended, and nobody knows of interrupts whether they had arrived.
    pub(super) fn lose_interrupts(&mut self, agent_id: &AgentId) {
        let Some(agent) = self.agents.get_mut(agent_id) else {
            return;
        };
        for Asker { conn, id } in agent.interrupts.give_up() {
            let why =
                format!("the connection of {agent_id} ended: the interrupt may not have arrived");
            self.refuse(conn, id, ErrorCode::AgentOffline, why);
        }
    }

    fn summaries(&self, commands: &[CommandId]) -> Vec<CommandSummary> {
        let known = commands.iter().filter_map(|id| self.commands.get(id));
        known.map(|command| command.row.summary.clone()).collect()
    }

    pub(super) fn handle_cancel(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        cancel: &CommandCancel,
    ) {
        match self.live(cancel.command_id) {
            Ok(_) if self.is_held_back(cancel.command_id) => {
                let asked = Asked {
                    conn,
                    id,
                    reached: Vec::new(),
                    interrupt: None,
                };
                let one = vec![cancel.command_id];
                self.withdraw(one, State::Cancelled, "cancelled", Some(asked));
            }
            Ok(summary) => {
                let why = format!(
                    "{} is {}; interrupt it instead",
                    cancel.command_id.short(),
                    summary.state
                );
                self.refuse(conn, id, ErrorCode::BadRequest, why);
            }
            Err((code, why)) => self.refuse(conn, id, code, why),
        }
    }
}
