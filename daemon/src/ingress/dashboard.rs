//! A dashboard's connection.

use std::sync::Arc;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use opsctl_link::Reader;
use opsctl_protocol::close::{CloseCode, fit_reason};
use opsctl_protocol::message::ErrorPayload;
use opsctl_protocol::{BinaryFrame, CommandId, DashboardMessage, DecodeError, Header, limits};

use super::Context;
use super::hello::{Ear, Ended, Said};
use super::upgrade::{Admitted, Socket};
use crate::fanout::delivery::Gathered;
use crate::fanout::pace::Pace;
use crate::fanout::{Delivery, Outbox};
use crate::hub::{ConnId, Event};

/// How long the last frames of a connection may take.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(1);

/// Serves a dashboard until either side has had enough.
pub(super) async fn serve(context: Context, socket: Socket, admitted: Admitted) {
    let conn = context.next_conn();
    let outbox = Arc::new(Outbox::default());
    let (sink, stream) = socket.split();
    let delivery = Delivery::new(
        Arc::clone(&outbox),
        admitted.binary,
        context.sources.clone(),
        Pace::new(context.batch_limit),
    );
    let mut writer = tokio::spawn(deliver(delivery, sink));
    let errors = Arc::clone(&outbox);
    let answer =
        move |id: Option<String>, error: ErrorPayload| errors.control(Header::answering(id), error);
    let mut ear = Ear::new(Reader::new(stream), answer, context.stop.clone());
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
}

async fn converse<S, A>(
    context: &Context,
    conn: ConnId,
    ear: &mut Ear<S, A>,
    outbox: &Arc<Outbox>,
    admitted: Admitted,
) -> Ended
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
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
    let joined = Event::DashboardJoined {
        conn,
        rights: admitted.rights,
        hello,
        id,
        outbox: Arc::clone(outbox),
    };
    let stopped = || Ended::Gone("the daemon stops".to_owned());
    if context.events.send(joined).await.is_err() {
        return stopped();
    }
    let mut heartbeat = interval_at(Instant::now() + limits::HEARTBEAT, limits::HEARTBEAT);
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
async fn deliver(mut delivery: Delivery, mut sink: SplitSink<Socket, Message>) {
    loop {
        match delivery.gather().await {
            Gathered::Frames(frames) => {
                for frame in frames {
                    if sink.feed(frame).await.is_err() {
                        return;
                    }
                }
                if sink.flush().await.is_err() {
                    return;
                }
            }
            Gathered::Close(code, reason) => {
                let frame = CloseFrame {
                    code: code.number().into(),
                    reason: fit_reason(&reason).into(),
                };
                // Whatever fails here, the connection ends with the socket.
                let _ = sink.send(Message::Close(Some(frame))).await;
                let _ = sink.close().await;
                return;
            }
        }
    }
}
