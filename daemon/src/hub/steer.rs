//! Size, interrupts: what people do to a command that is there.

use opsctl_protocol::message::{
    CommandCancel, CommandInterrupt, CommandList, CommandResize, CommandSummary, ErrorCode, State,
};
use opsctl_protocol::{CommandId, Header, ToAgent, limits};

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
        let commands = match (interrupt.command_id, &interrupt.agent_id) {
            (Some(command_id), None) => vec![command_id],
            (None, Some(agent_id)) => {
                if !self.agents.contains_key(agent_id) {
                    let why = format!("no agent is named {agent_id}; `opsctl agents` lists them");
                    return self.refuse(conn, id, ErrorCode::UnknownAgent, why);
                }
                let own = |summary: &&CommandSummary| {
                    summary.agent_id == *agent_id && !summary.state.is_final()
                };
                self.commands
                    .values()
                    .map(|command| &command.row.summary)
                    .filter(own)
                    .map(|summary| summary.command_id)
                    .collect()
            }
            _ => {
                return self.refuse(
                    conn,
                    id,
                    ErrorCode::BadRequest,
                    "name either a commandId or an agentId",
                );
            }
        };
        let (held_back, sent): (Vec<_>, Vec<_>) = commands
            .into_iter()
            .partition(|command_id| self.is_held_back(*command_id));
        let mut reached = Vec::new();
        for command_id in sent {
            match self.interrupt_one(command_id, interrupt) {
                Ok(summary) => reached.push(summary),
                Err((code, why)) => return self.refuse(conn, id, code, why),
            }
        }
        if !held_back.is_empty() {
            let asked = Asked { conn, id, reached };
            let reason = "interrupted before it started";
            self.withdraw(held_back, State::Cancelled, reason, Some(asked));
        } else if id.is_some() {
            self.answer(
                conn,
                id,
                CommandList {
                    commands: reached,
                    more: false,
                },
            );
        }
    }

    fn interrupt_one(
        &mut self,
        command_id: CommandId,
        interrupt: &CommandInterrupt,
    ) -> Result<CommandSummary, Refusal> {
        let summary = self.live(command_id)?.clone();
        self.reachable(command_id)?;
        let interrupt = CommandInterrupt {
            command_id: Some(command_id),
            agent_id: None,
            ..interrupt.clone()
        };
        self.to_agent(
            &summary.agent_id,
            &Header::default(),
            ToAgent::Interrupt(interrupt),
        );
        Ok(summary)
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
