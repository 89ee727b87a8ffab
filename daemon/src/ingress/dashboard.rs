//! A dashboard's connection.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use opsctl_link::{Pulse, Reader};
use opsctl_protocol::close::{CloseCode, fit_reason};
use opsctl_protocol::message::ErrorPayload;
use opsctl_protocol::{BinaryFrame, CommandId, DashboardMessage, DecodeError, Header};

use super::Context;
use super::hello::{Ear, Ended, Said, Surroundings};
use super::line::Line;
use super::upgrade::Admitted;
use crate::fanout::delivery::Gathered;
use crate::fanout::{Delivery, Outbox};
use crate::hub::{ConnId, Event};

/// How long the last frames of a connection may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long the close frame of a socket that takes nothing may take.
const LAST_WORD: Duration = Duration::from_millis(100);

/// The writing half of a dashboard's connection.
type Sink<S> = SplitSink<WebSocketStream<S>, Message>;

/// Serves a dashboard until either side has had enough.
pub(super) async fn serve<S>(context: Context, socket: WebSocketStream<S>, admitted: Admitted)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let conn = context.next_conn();
    let outbox = Arc::new(Outbox::default());
    let (sink, stream) = socket.split();
    let delivery = Delivery::new(
        Arc::clone(&outbox),
        admitted.binary,
        context.sources.clone(),
        context.departures.clone(),
    );
    let mut writer = tokio::spawn(deliver(delivery, sink, Arc::clone(&admitted.pulse)));
    let errors = Arc::clone(&outbox);
    let answer =
        move |id: Option<String>, error: ErrorPayload| errors.control(Header::answering(id), error);
    let around = Surroundings {
        rates: &context.dashboard_rates,
        group: &context.edges.dashboards,
        lobby: &context.edges.lobby,
    };
    let reader = Reader::new(stream, Arc::clone(&admitted.pulse));
    let mut ear = Ear::new(reader, answer, &around);
    let ended = tokio::select! {
        ended = converse(&context, conn, &mut ear, &outbox, admitted) => ended,
        // The socket takes nothing more.
        _ = &mut writer => Ended::Gone("the connection broke".to_owned()),
    };
    match ended {
        Ended::Close(goodbye) => {
            tracing::debug!(%conn, code = goodbye.code.number(), reason = goodbye.reason, "closing a dashboard");
            outbox.close(goodbye.code, goodbye.reason);
        }
        Ended::Gone(reason) => {
            tracing::debug!(%conn, reason, "a dashboard disconnected");
            outbox.close(CloseCode::GoingAway, reason);
        }
    }
    let _ = context.events.send(Event::DashboardLeft(conn)).await;
    if !writer.is_finished() && timeout(GOODBYE, &mut writer).await.is_err() {
        writer.abort();
    }
    ear.linger().await;
}

async fn converse<S, A>(
    context: &Context,
    conn: ConnId,
    ear: &mut Ear<S, A>,
    outbox: &Arc<Outbox>,
    admitted: Admitted,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Option<String>, ErrorPayload),
{
    let pick = |message| {
        if let DashboardMessage::Connect(hello) = message {
            Some(hello)
        } else {
            None
        }
    };
    let (id, hello) = match ear.hello(context.hello_timeout, pick).await {
        Ok(hello) => hello,
        Err(ended) => return ended,
    };
    let wire = Line::new(admitted.peer, &admitted.pulse);
    let name = format!("{} ({}, {conn})", hello.client, admitted.rights.subject);
    admitted.seat.rename(name);
    let joined = Event::DashboardJoined {
        conn,
        rights: admitted.rights,
        hello,
        id,
        outbox: Arc::clone(outbox),
        wire,
    };
    let stopped = || Ended::Gone("the daemon stops".to_owned());
    if context.events.send(joined).await.is_err() {
        return stopped();
    }
    let every = context.patience.heartbeat;
    let mut heartbeat = interval_at(Instant::now() + every, every);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let said = tokio::select! {
            said = ear.next() => said,
            _ = heartbeat.tick() => {
                outbox.ping();
                continue;
            }
        };
        let event = match said {
            Ok(Said::Message(decoded)) => match with_offset(context, decoded.message).await {
                Ok(message) => Event::DashboardSaid(conn, decoded.header, message),
                Err(error) => {
                    outbox.control(Header::answering(decoded.header.id), error);
                    continue;
                }
            },
            Ok(Said::Bulk(BinaryFrame::Input(input))) => {
                Event::DashboardSaid(conn, Header::default(), DashboardMessage::Input(input))
            }
            Ok(Said::Bulk(_)) => {
                let error =
                    DecodeError::Envelope("dashboards send binary frames of input only".to_owned());
                match ear.complain(&error) {
                    Ok(()) => continue,
                    Err(ended) => return ended,
                }
            }
            Ok(Said::Latency(_)) => continue,
            Err(ended) => return ended,
        };
        if context.events.send(event).await.is_err() {
            return stopped();
        }
    }
}

/// A subscription to the last lines of a command becomes one from an offset: the log knows where lines begin.
async fn with_offset(
    context: &Context,
    message: DashboardMessage,
) -> Result<DashboardMessage, ErrorPayload> {
    use opsctl_protocol::message::ErrorCode;
    let DashboardMessage::Subscribe(mut subscribe) = message else {
        return Ok(message);
    };
    let lines = subscribe
        .since
        .as_ref()
        .filter(|since| since.offset.is_none())
        .and_then(|since| since.tail_lines);
    if let (Some(lines), Some(since)) = (lines, &mut subscribe.since)
        && let Some(command_id) = command(subscribe.channel.as_str())
    {
        let offset = context.sources.log.tail_offset(command_id, lines).await;
        let offset = offset
            .map_err(|error| ErrorPayload::new(ErrorCode::StorageFailed, error.to_string()))?;
        since.offset = Some(offset.unwrap_or_default());
    }
    Ok(DashboardMessage::Subscribe(subscribe))
}

fn command(channel: &str) -> Option<CommandId> {
    channel.strip_prefix("command:")?.parse().ok()
}

/// Writes what the delivery gathers, until the connection ends. The only one to touch the sink.
async fn deliver<S>(mut delivery: Delivery, mut sink: Sink<S>, pulse: Arc<Pulse>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match delivery.gather().await {
            Gathered::Frames(frames) => {
                match pulse.unless_stalled(write(&mut sink, frames, &pulse)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(stalled) => {
                        let goodbye = say_goodbye(sink, CloseCode::TooSlow, stalled.to_string());
                        // It will hardly arrive, but a peer that reads again just now gets to know why.
                        let _ = timeout(LAST_WORD, goodbye).await;
                        return;
                    }
                }
            }
            Gathered::Close(code, reason) => return say_goodbye(sink, code, reason).await,
        }
    }
}

/// Writes frames with one flush.
async fn write<S>(
    sink: &mut Sink<S>,
    frames: Vec<Message>,
    pulse: &Pulse,
) -> Result<(), Box<WsError>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for frame in frames {
        pulse.note_sent_message(&frame);
        sink.feed(frame).await.map_err(Box::new)?;
    }
    sink.flush().await.map_err(Box::new)
}

async fn say_goodbye<S>(mut sink: Sink<S>, code: CloseCode, reason: String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame {
        code: code.number().into(),
        reason: fit_reason(&reason).into(),
    };
    // Whatever fails here, the connection ends with the socket.
    let _ = sink.send(Message::Close(Some(frame))).await;
    let _ = sink.close().await;
}
