//! An agent's connection.

use std::collections::HashMap;
use std::sync::Arc;

use opsctl_link::{SendError, Sender, split_with};
use opsctl_protocol::close::CloseCode;
use opsctl_protocol::frame::encode_input;
use opsctl_protocol::message::{AgentConnect, CommandInput, ErrorPayload};
use opsctl_protocol::{
    AgentMessage, BinaryFrame, CommandId, DecodeError, Header, ToAgent, encode, limits,
};

use super::Context;
use super::hello::{Ear, Ended, Goodbye, Said, Surroundings};
use super::intake::Intake;
use super::line::Line;
use super::upgrade::{Admitted, Socket};
use crate::hub::{AgentPort, ConnId, Event, Recalled};

/// Frames of input that may wait for an agent: eight commands with a full window each.
const INPUT_LANE: usize = 8 * (limits::INPUT_WINDOW as usize / limits::MAX_INPUT_PIECE);

/// The hub's way to an agent.
struct Port {
    sender: Sender,
    /// Whether the agent takes binary frames.
    binary: bool,
}

impl AgentPort for Port {
    fn control(&self, header: &Header, message: ToAgent) -> bool {
        match encode(header, &message) {
            Ok(text) => self.sender.control(text) != Err(SendError::Full),
            Err(error) => {
                tracing::error!(%error, "a message to an agent could not be written");
                true
            }
        }
    }

    fn input(&self, input: &CommandInput) -> bool {
        let sent = if self.binary {
            self.sender.try_bulk(encode_input(input))
        } else {
            match encode(&Header::default(), &ToAgent::Input(input.clone())) {
                Ok(text) => self.sender.try_bulk_text(text),
                Err(_) => return false,
            }
        };
        sent.is_ok()
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.sender.close(code.number(), reason);
    }
}

/// Serves an agent until either side has had enough.
pub(super) async fn serve(context: Context, socket: Socket, admitted: Admitted) {
    let conn = context.next_conn();
    let (reader, sender) = split_with(socket, Arc::clone(&admitted.pulse), INPUT_LANE);
    let errors = sender.clone();
    let answer = move |id: Option<String>, error: ErrorPayload| {
        if let Ok(text) = encode(&Header::answering(id), &ToAgent::Error(error)) {
            // A peer that doesn't read its errors is closed for its silence soon enough.
            let _ = errors.control(text);
        }
    };
    let around = Surroundings {
        rates: &context.agent_rates,
        group: &context.edges.agents,
        lobby: &context.edges.lobby,
    };
    let mut ear = Ear::new(reader, answer, &around);
    let ended = match join(&context, conn, &mut ear, &sender, admitted).await {
        Ok(()) => listen(&context, conn, &mut ear).await,
        Err(ended) => ended,
    };
    let reason = match ended {
        Ended::Close(Goodbye { code, reason }) => {
            tracing::debug!(%conn, code = code.number(), reason, "closing an agent's connection");
            sender.close(code.number(), &reason);
            reason
        }
        Ended::Gone(reason) => {
            // Nobody reads it, but the writer ends with it; it would wait for its next ping to fail.
            sender.close(CloseCode::GoingAway.number(), &reason);
            reason
        }
    };
    // The hub is gone only when the daemon stops.
    let _ = context.events.send(Event::AgentLeft(conn, reason)).await;
    sender.closed().await;
    ear.linger().await;
}

async fn join<S, A>(
    context: &Context,
    conn: ConnId,
    ear: &mut Ear<S, A>,
    sender: &Sender,
    admitted: Admitted,
) -> Result<(), Ended>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    A: Fn(Option<String>, ErrorPayload),
{
    let pick = |message| {
        if let AgentMessage::Connect(hello) = message {
            Some(hello)
        } else {
            None
        }
    };
    let (id, hello): (_, AgentConnect) = ear.hello(context.hello_timeout, pick).await?;
    if admitted
        .rights
        .agent
        .as_ref()
        .is_some_and(|only| *only != hello.agent_id)
    {
        let why = format!("this token is for another agent than {}", hello.agent_id);
        return Err(Ended::Close(Goodbye::new(CloseCode::Forbidden, why)));
    }
    admitted.seat.rename(format!("agent {}", hello.agent_id));
    let recalled = recall(context, &hello).await?;
    let wire = Line::new(admitted.peer, &admitted.pulse);
    let port = Box::new(Port {
        sender: sender.clone(),
        binary: admitted.binary,
    });
    let joined = Event::AgentJoined {
        conn,
        rights: admitted.rights,
        hello,
        id,
        port,
        wire,
        recalled,
    };
    context
        .events
        .send(joined)
        .await
        .map_err(|_| Ended::Gone("the daemon stops".to_owned()))
}

/// What store and log know of the commands that an agent reports. An agent is not let in on half an answer: a command
/// that has ended would be taken for a new one.
async fn recall(
    context: &Context,
    hello: &AgentConnect,
) -> Result<HashMap<CommandId, Recalled>, Ended> {
    let unreadable = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a reported command cannot be looked up");
        let why = "the daemon cannot read its store; come back later";
        Ended::Close(Goodbye::new(CloseCode::GoingAway, why))
    };
    let mut recalled = HashMap::new();
    for report in &hello.commands {
        let id = report.status.command_id;
        let row = context.store.command(id).await;
        match row.map_err(|error| unreadable(&error))? {
            Some(row) if row.summary.state.is_final() => {
                recalled.insert(id, Recalled::Settled);
            }
            // It is in memory.
            Some(_) => {}
            None => {
                let log = context.sources.log.clone();
                let end = tokio::task::spawn_blocking(move || log.end(id)).await;
                let end = end.map_err(|error| unreadable(&error))?;
                let end = end.map_err(|error| unreadable(&error))?;
                recalled.insert(id, Recalled::Logged(end.unwrap_or_default()));
            }
        }
    }
    Ok(recalled)
}

async fn listen<S, A>(context: &Context, conn: ConnId, ear: &mut Ear<S, A>) -> Ended
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    A: Fn(Option<String>, ErrorPayload),
{
    let mut intake = Intake::new(context.sources.log.clone(), conn);
    loop {
        let said = tokio::select! {
            said = ear.next() => said,
            () = intake.recovered() => {
                let why = "the output log can be written again";
                return Ended::Close(Goodbye::new(CloseCode::GoingAway, why));
            }
        };
        let event = match said {
            Ok(Said::Message(decoded)) => match decoded.message {
                AgentMessage::Output(output) => intake.output(output.into()).await,
                message if intake.may_pass(&message) => {
                    Some(Event::AgentSaid(conn, decoded.header, message))
                }
                _ => None,
            },
            Ok(Said::Bulk(BinaryFrame::Output(frame))) => intake.output(frame).await,
            Ok(Said::Bulk(_)) => {
                let error =
                    DecodeError::Envelope("agents send binary frames of output only".to_owned());
                match ear.complain(&error) {
                    Ok(()) => continue,
                    Err(ended) => return ended,
                }
            }
            Ok(Said::Latency(ms)) => Some(Event::AgentLatency(conn, ms)),
            Err(ended) => return ended,
        };
        let Some(event) = event else { continue };
        if context.events.send(event).await.is_err() {
            return Ended::Gone("the daemon stops".to_owned());
        }
    }
}
