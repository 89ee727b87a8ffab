//! What the daemon says.

use std::time::Duration;

use bytes::Bytes;
use opsctl_link::Sender;
use opsctl_protocol::frame::encode_input;
use opsctl_protocol::limits::MAX_TERMINAL_SIDE;
use opsctl_protocol::message::{
    AgentConnect, AgentMessage, CommandInput, CommandReport, CommandResize, CommandStatus,
    Connected, ErrorCode, TerminalAck, ToAgent,
};
use opsctl_protocol::{BinaryFrame, CommandId, DecodeError, Header, decode, encode};

use super::Agent;
use crate::command::Phase;
use crate::facts::{self, CAPABILITIES};
use crate::uplink::Uplink;
use crate::wire::ToHolder;

impl Agent {
    /// Says who this is and which commands it knows.
    pub(super) fn introduce(&mut self, sender: Sender) {
        let reports: Vec<CommandReport> = self
            .commands
            .iter()
            .map(|(id, command)| command.report(*id))
            .collect();
        self.reported = self.commands.keys().copied().collect();
        let connect = AgentConnect {
            agent_id: self.options.name.clone(),
            labels: self.options.labels.clone(),
            facts: facts::collect(),
            capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
            max_commands: Some(self.options.max_commands.max(1)),
            commands: reports,
        };
        match introduction(connect) {
            // A lane that takes nothing belongs to a link that is about to end.
            Some(text) => drop(sender.control(text)),
            None => return,
        }
        self.greeting = Some(sender);
    }

    pub(super) fn daemon_text(&mut self, text: &str, uplink: &mut Uplink) {
        match decode::<ToAgent>(text) {
            Ok(decoded) => match (decoded.message, decoded.header) {
                (ToAgent::Pong(_), Header { re: Some(re), .. }) => self.passed_on(&re),
                (ToAgent::Interrupt(interrupt), header) => self.interrupt(&interrupt, header.id),
                (message, _) => self.daemon_said(message, uplink),
            },
            Err(error) => self.not_understood(&error),
        }
    }

    pub(super) fn daemon_binary(&mut self, frame: &Bytes, uplink: &mut Uplink) {
        match BinaryFrame::decode(frame) {
            Ok(BinaryFrame::Input(input)) => self.input(input.command_id, frame.clone()),
            Ok(BinaryFrame::Envelope(text)) => self.daemon_text(&text, uplink),
            Ok(BinaryFrame::Output(_)) => tracing::warn!("the daemon sent output"),
            Err(error) => self.not_understood(&error),
        }
    }

    fn not_understood(&self, error: &DecodeError) {
        tracing::warn!(%error, "a message of the daemon was not understood");
        let (re, payload) = error.answer();
        let link = self.link.as_ref().or(self.greeting.as_ref());
        if let (Some(link), Ok(text)) = (
            link,
            encode(&Header::answering(re), &AgentMessage::Error(payload)),
        ) {
            // A link that takes nothing is about to end.
            let _ = link.control(text);
        }
    }

    fn daemon_said(&mut self, message: ToAgent, uplink: &mut Uplink) {
        match message {
            ToAgent::Connected(connected) => {
                uplink.greeted(Duration::from_millis(connected.heartbeat_ms));
                self.connected(&connected);
            }
            ToAgent::Execute(execute) => self.execute(execute.command_id, execute.spec),
            ToAgent::Interrupt(interrupt) => self.interrupt(&interrupt, None),
            ToAgent::Input(input) => self.text_input(&input),
            ToAgent::Resize(resize) => self.resize(&resize),
            ToAgent::Ack(ack) => self.ack(&ack),
            ToAgent::Error(error) => {
                tracing::warn!(
                    code = error.code.as_str(),
                    message = error.message,
                    "the daemon reports an error"
                );
            }
            ToAgent::Pong(_) => {}
        }
    }

    /// The daemon has answered `agent:connect`: streams start where it wants them to.
    fn connected(&mut self, connected: &Connected) {
        let Some(sender) = self.greeting.take() else {
            return;
        };
        tracing::info!(
            daemon = connected.server_version,
            as_ = connected.rights.subject,
            "the daemon knows this agent"
        );
        self.link = Some(sender);
        for command in self.commands.values_mut() {
            command.streamed = 0;
        }
        let reported = std::mem::take(&mut self.reported);
        self.tell_reports();
        for id in &reported {
            match connected.commands.get(id) {
                Some(from) => {
                    if let Some(command) = self.commands.get_mut(id) {
                        command.acked = command.acked.max(*from);
                    }
                    self.resume(*id, *from);
                }
                None => self.settle(*id),
            }
        }
        // Holders of an earlier agent that answered since.
        let rest: Vec<(CommandId, u64)> = self
            .commands
            .iter()
            .map(|(id, command)| (*id, command.acked))
            .filter(|(id, _)| !reported.contains(id))
            .collect();
        for (id, acked) in rest {
            self.resume(id, acked);
        }
    }

    /// Tells where a command is, and streams its output from `from` on.
    pub(super) fn resume(&mut self, id: CommandId, from: u64) {
        let (Some(link), Some(command)) = (self.link.clone(), self.commands.get_mut(&id)) else {
            return;
        };
        command.input_refused = false;
        let status = command.status_before_output(id);
        self.send(status);
        self.generation += 1;
        if let Some(held) = self.held(id) {
            held.holder.stream(id, self.generation, from, link);
        }
    }

    pub(super) fn disconnected(&mut self) {
        self.greeting = None;
        if self.link.take().is_none() {
            return;
        }
        for command in self.commands.values() {
            if let Phase::Held(held) = &command.phase {
                held.holder.pause();
            }
        }
    }

    fn text_input(&mut self, input: &CommandInput) {
        self.input(input.command_id, encode_input(input));
    }

    fn input(&mut self, id: CommandId, frame: Bytes) {
        let Some(command) = self.commands.get_mut(&id) else {
            return self.refuse(
                ErrorCode::UnknownCommand,
                format!("input for {id}: no such command is known here"),
            );
        };
        let taken = match &command.phase {
            Phase::Held(held) if held.progress.end.is_some() => true,
            Phase::Held(held) => held.holder.input(frame),
            Phase::Ended(_) => true,
            Phase::Queued | Phase::Starting | Phase::Journaling(_) | Phase::Sought { .. } => false,
        };
        let was_refused = std::mem::replace(&mut command.input_refused, !taken);
        // Once: what is under way behind it is many pieces, and the daemon keeps back the rest.
        if !taken && !was_refused {
            // How much it has is told when somebody holds it again.
            let status = CommandStatus {
                input_received: None,
                input_refused: true,
                ..command.status_before_output(id)
            };
            self.send(status);
            self.refuse(
                ErrorCode::InputRejected,
                format!("input for {id}: its program takes none now"),
            );
        }
    }

    fn resize(&self, resize: &CommandResize) {
        let CommandResize {
            command_id,
            cols,
            rows,
        } = *resize;
        let side = 1..=MAX_TERMINAL_SIDE;
        if !side.contains(&cols) || !side.contains(&rows) {
            return self.refuse(
                ErrorCode::BadRequest,
                format!("no terminal has {cols} columns and {rows} rows"),
            );
        }
        if let Some(held) = self.held(command_id) {
            held.holder.tell(&ToHolder::Resize { cols, rows });
        }
    }

    fn ack(&mut self, ack: &TerminalAck) {
        let Some(command) = self.commands.get_mut(&ack.command_id) else {
            return;
        };
        command.acked = command.acked.max(ack.offset);
        if let Phase::Held(held) = &command.phase {
            held.holder.tell(&ToHolder::Ack { offset: ack.offset });
        }
        if ack.settled {
            self.settle(ack.command_id);
        }
    }
}

/// `agent:connect` as text. When all the commands' texts pass the limit, only the main program's goes along: the daemon
/// knows the others.
fn introduction(mut connect: AgentConnect) -> Option<String> {
    let write = |connect: &AgentConnect| {
        encode(&Header::default(), &AgentMessage::Connect(connect.clone()))
    };
    write(&connect)
        .or_else(|_| {
            for report in connect.commands.iter_mut().filter(|report| !report.main) {
                report.spec = None;
            }
            write(&connect)
        })
        .inspect_err(|error| tracing::error!(%error, "this agent cannot introduce itself"))
        .ok()
}
