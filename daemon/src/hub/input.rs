//! What people type, on its way to a command: each key once, or whoever typed it hears that it did not arrive.

use opsctl_protocol::message::{CommandInput, CommandReport, CommandStatus, ErrorCode, State};
use opsctl_protocol::{AgentId, CommandId, Header, limits};

use super::keys::{Added, Keys, Typist};
use super::steer::Refusal;
use super::{ConnId, Hub};

/// What an agent that is back says of its commands' input.
pub(super) fn counted(reports: &[CommandReport]) -> Vec<CommandStatus> {
    let statuses = reports.iter().map(|report| &report.status);
    let counted = statuses.filter(|status| status.input_received.is_some());
    counted.cloned().collect()
}

/// Whether the daemon keeps these and numbers them. Bulk comes again from whoever sends it, by its offsets.
fn are_keys(input: &CommandInput) -> bool {
    input.offset.is_none() && !input.eof
}

impl Hub {
    pub(super) fn handle_input(&mut self, conn: ConnId, id: Option<String>, input: &CommandInput) {
        let command_id = input.command_id;
        if self.reachable(command_id).is_ok() && self.holds(conn, id.as_ref(), input) {
            return;
        }
        if id.is_some() && input.data.0.is_empty() && !input.eof {
            return self.ask_for_keys(command_id, Typist { conn, id });
        }
        let agent_id = match self.reachable(command_id) {
            Ok(summary) if summary.state == State::Queued => {
                let why = format!("{} has not started; nothing was sent", command_id.short());
                return self.refuse_input(conn, id, input, (ErrorCode::InputRejected, why));
            }
            Ok(summary) => summary.agent_id.clone(),
            Err(refusal) => return self.refuse_input(conn, id, input, refusal),
        };
        if let Some(why) = self.keeps_out(conn, input) {
            return self.refuse(conn, id, ErrorCode::InputRejected, why);
        }
        if input.data.0.len() > limits::MAX_INPUT_PIECE {
            let why = format!(
                "a piece of input has at most {} bytes",
                limits::MAX_INPUT_PIECE
            );
            return self.refuse_input(conn, id, input, (ErrorCode::BadRequest, why));
        }
        // The writer that was used last decides the terminal's size.
        let size = self
            .commands
            .get(&command_id)
            .and_then(|command| command.writers.get(&conn).copied());
        if let Some(size) = size {
            self.tell_size(command_id, size);
        }
        let typist = Typist {
            conn,
            id: id.clone(),
        };
        if self.pass_on(&agent_id, input, typist) {
            self.note_keys(conn, input);
        } else {
            let why = format!("{agent_id} takes no more input now; nothing was sent");
            self.refuse_input(conn, id, input, (ErrorCode::InputRejected, why));
        }
    }

    /// Answers that input was not taken. Keys without an `id` are asked for behind them, and the question may come when it
    /// is about others that are still under way: so the refusal waits for it.
    pub(super) fn refuse_input(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        input: &CommandInput,
        refusal: Refusal,
    ) {
        if id.is_none() && are_keys(input) {
            self.note_refused(conn, input.command_id, refusal.clone());
        }
        let (code, why) = refusal;
        self.refuse(conn, id, code, why);
    }

    /// Keeps a refusal for the question that will come.
    fn note_refused(&mut self, conn: ConnId, command_id: CommandId, refusal: Refusal) {
        if self.dashboards.contains_key(&conn)
            && let Some(command) = self.commands.get_mut(&command_id)
        {
            command.refused_keys.insert(conn, refusal);
        }
    }

    /// Why bulk is not passed on now, to be sent again by who has it. Notes who that is.
    fn keeps_out(&mut self, conn: ConnId, input: &CommandInput) -> Option<String> {
        let command = self.commands.get_mut(&input.command_id)?;
        if are_keys(input) {
            return None;
        }
        command.bulk_from = Some(conn);
        let why = command.keys.keeps_out(input)?;
        let short = input.command_id.short();
        Some(format!(
            "{short} takes no such input now: {why}; nothing was sent"
        ))
    }

    /// Sends input to its agent; keys are kept until they are there. `false` when it was not taken.
    fn pass_on(&mut self, agent_id: &AgentId, input: &CommandInput, typist: Typist) -> bool {
        let link = self
            .agents
            .get(agent_id)
            .and_then(|agent| agent.link.as_ref());
        let (Some(link), Some(command)) = (link, self.commands.get_mut(&input.command_id)) else {
            return false;
        };
        let added = if are_keys(input) {
            command.keys.add(input.clone(), typist.clone())
        } else {
            Added::Unknown
        };
        match added {
            Added::Full => false,
            Added::Numbered(numbered) => {
                let sent = link.port.input(&numbered);
                if !sent {
                    command.keys.take_back();
                }
                sent
            }
            Added::Unknown => {
                command.keys.passed(input);
                let sent = link.port.input(input);
                if sent {
                    self.tell_arrived(input.command_id, vec![typist]);
                }
                sent
            }
        }
    }

    /// Somebody wants to know whether what he typed has arrived.
    fn ask_for_keys(&mut self, command_id: CommandId, typist: Typist) {
        if let Some(command) = self.commands.get_mut(&command_id) {
            if let Some((code, why)) = command.refused_keys.remove(&typist.conn) {
                let why = if command.keys.has_unasked(typist.conn) {
                    format!("not all of what was typed last arrives: {why}")
                } else {
                    why
                };
                return self.refuse(typist.conn, typist.id, code, why);
            }
            if command.keys.is_full() {
                let why = format!(
                    "too much input for {} is under way: what was typed last may not have arrived",
                    command_id.short()
                );
                return self.refuse(typist.conn, typist.id, ErrorCode::InputRejected, why);
            }
            if command.keys.ask(typist.clone()) {
                return;
            }
            if command.keys.are_counted() {
                // None of his is under way, and none was refused.
                return self.tell_arrived(command_id, vec![typist]);
            }
        }
        match self.reachable(command_id) {
            Ok(_) => self.tell_arrived(command_id, vec![typist]),
            // What it asks of may have been sent before the agent went.
            Err((code @ ErrorCode::AgentOffline, _)) => {
                let why = "the agent is not connected: what was typed last may not have arrived";
                self.refuse(typist.conn, typist.id, code, why);
            }
            Err((code, why)) => self.refuse(typist.conn, typist.id, code, why),
        }
    }

    /// An agent is back and has told how much input it has.
    pub(super) fn note_inputs(&mut self, agent_id: &AgentId, statuses: &[CommandStatus]) {
        for status in statuses {
            let command = self.commands.get(&status.command_id);
            if command.is_some_and(|command| command.row.summary.agent_id == *agent_id) {
                self.note_input(status);
            }
        }
    }

    /// An agent tells how much input it has, or that it took some not.
    pub(super) fn note_input(&mut self, status: &CommandStatus) {
        let command_id = status.command_id;
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        match (status.input_received, status.input_refused) {
            (Some(received), false) => {
                let (there, again) = command.keys.received(received);
                let agent_id = command.row.summary.agent_id.clone();
                self.recall_draft(command_id);
                self.tell_arrived(command_id, there);
                self.send_again(&agent_id, &again);
            }
            (Some(received), true) => {
                let lost = command.keys.refused(received);
                let why = format!(
                    "{} took no more input: what was typed last has not arrived",
                    command_id.short()
                );
                self.tell_lost(command_id, lost, &(ErrorCode::InputRejected, why));
            }
            (None, true) => command.keys.refused_for_now(),
            (None, false) => {}
        }
        if status.input_refused {
            self.tell_bulk_refused(command_id);
        }
    }

    /// Who sends bulk sends what was not taken again, and hears here that there is some.
    fn tell_bulk_refused(&mut self, command_id: CommandId) {
        let command = self.commands.get_mut(&command_id);
        if let Some(conn) = command.and_then(|command| command.bulk_from.take()) {
            let why = format!("{} did not take all input", command_id.short());
            self.refuse(conn, None, ErrorCode::InputRejected, why);
        }
    }

    /// Sends keys once more that were lost with a connection.
    fn send_again(&self, agent_id: &AgentId, again: &[CommandInput]) {
        let agent = self.agents.get(agent_id);
        if let Some(link) = agent.and_then(|agent| agent.link.as_ref())
            && !again.iter().all(|input| link.port.input(input))
        {
            // The holder refuses what follows a hole, and says so.
            tracing::warn!(agent = %agent_id, "keys could not be sent again");
        }
    }

    /// A command takes no more input.
    pub(super) fn give_up_keys(&mut self, command_id: CommandId) {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        let lost = std::mem::replace(&mut command.keys, Keys::new()).give_up();
        let state = command.row.summary.state;
        let why = format!(
            "{} is {state}: what was typed last may not have arrived",
            command_id.short()
        );
        self.tell_lost(command_id, lost, &(ErrorCode::Finished, why));
    }

    fn tell_arrived(&self, command_id: CommandId, typists: Vec<Typist>) {
        let Some(command) = self.commands.get(&command_id) else {
            return;
        };
        for Typist { conn, id } in typists {
            if id.is_some()
                && let Some(dashboard) = self.dashboards.get(&conn)
            {
                let status = CommandStatus::of(&self.shown(command));
                dashboard.outbox.control(Header::answering(id), status);
            }
        }
    }

    /// Everybody who asked is told once for each question; who did not ask, once, and again when he asks.
    fn tell_lost(&mut self, command_id: CommandId, mut typists: Vec<Typist>, refusal: &Refusal) {
        typists.dedup();
        for Typist { conn, id } in typists {
            if id.is_none() {
                self.note_refused(conn, command_id, refusal.clone());
            }
            self.refuse(conn, id, refusal.0, &refusal.1);
        }
    }
}
