//! Two lanes to the peer: control, which never waits, and bulk, which waits for room. One task owns the sink.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use opsctl_protocol::Timestamp;
use opsctl_protocol::close::{CloseCode, fit_reason};

use crate::reader::code_and_reason;
use crate::{LinkError, Pulse, Stalled};

/// Control messages that may wait; a peer that leaves this many unread is gone or broken.
const CONTROL_LANE: usize = 1024;

/// Bytes that are gathered into one flush.
const FLUSH_AT: usize = 64 * 1024;

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long saying goodbye may take over a socket that takes nothing: it will hardly arrive, but a peer that reads again
/// just now gets to know why.
const LAST_WORD: Duration = Duration::from_millis(100);

/// A message in a lane. Boxed, since a channel has room for 32 from its beginning: each of ten thousand idle connections would
/// pay for that, twice.
type Waiting = Box<Message>;

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The connection is over.
    #[error("the connection is over")]
    Closed,
    /// The control lane is full: the peer has stopped reading.
    #[error("the other side has stopped reading")]
    Full,
}

impl From<mpsc::error::TrySendError<Waiting>> for SendError {
    fn from(error: mpsc::error::TrySendError<Waiting>) -> Self {
        match error {
            mpsc::error::TrySendError::Full(_) => Self::Full,
            mpsc::error::TrySendError::Closed(_) => Self::Closed,
        }
    }
}

/// The sending half; clones share the lanes. Dropping the last one closes the connection.
#[derive(Debug, Clone)]
pub struct Sender {
    control: mpsc::Sender<Waiting>,
    bulk: mpsc::Sender<Waiting>,
    goodbye: Arc<watch::Sender<Option<CloseFrame>>>,
    pulse: Arc<Pulse>,
}

impl Sender {
    /// Starts the writing task. How it ended is told to the reader, unless the last sender was dropped.
    pub(crate) fn spawn<S>(
        sink: SplitSink<WebSocketStream<S>, Message>,
        pulse: Arc<Pulse>,
        bulk_lane: usize,
    ) -> (Self, oneshot::Receiver<LinkError>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (control, control_lane) = mpsc::channel(CONTROL_LANE);
        let (bulk, bulk_receiver) = mpsc::channel(bulk_lane);
        let (goodbye, said) = watch::channel(None);
        let lanes = Lanes {
            sink,
            control: control_lane,
            bulk: bulk_receiver,
            goodbye: said,
            pulse: Arc::clone(&pulse),
        };
        let (ended, told) = oneshot::channel();
        tokio::spawn(lanes.run(ended));
        let sender = Self {
            control,
            bulk,
            goodbye: Arc::new(goodbye),
            pulse,
        };
        (sender, told)
    }

    /// Sends an envelope ahead of everything in the bulk lane. Never waits: a lane that is full closes the connection,
    /// since nothing in it may be lost.
    pub fn control(&self, text: String) -> Result<(), SendError> {
        let sent = self
            .control
            .try_send(Message::text(text).into())
            .map_err(SendError::from);
        if sent == Err(SendError::Full) {
            let code = CloseCode::TooSlow.number();
            self.close(code, "control messages are not being read");
        }
        sent
    }

    /// Takes the heartbeat that the daemon has announced.
    pub fn set_heartbeat(&self, heartbeat: Duration) {
        self.pulse.set_heartbeat(heartbeat);
    }

    /// Sends a binary frame in order with the bulk lane, if there is room.
    pub fn try_bulk(&self, frame: Bytes) -> Result<(), SendError> {
        self.bulk
            .try_send(Message::Binary(frame).into())
            .map_err(SendError::from)
    }

    /// Sends a binary frame in order with the bulk lane; waits for room.
    pub async fn bulk(&self, frame: Bytes) -> Result<(), SendError> {
        self.bulk
            .send(Message::Binary(frame).into())
            .await
            .map_err(|_| SendError::Closed)
    }

    /// Sends an envelope in order with the bulk lane, if there is room.
    pub fn try_bulk_text(&self, text: String) -> Result<(), SendError> {
        self.bulk
            .try_send(Message::text(text).into())
            .map_err(SendError::from)
    }

    /// Sends an envelope in order with the bulk lane (a status that must not overtake its output); waits for room.
    pub async fn bulk_text(&self, text: String) -> Result<(), SendError> {
        self.bulk
            .send(Message::text(text).into())
            .await
            .map_err(|_| SendError::Closed)
    }

    /// Closes the connection with a code after what waits in the control lane; what waits in the bulk lane is dropped.
    /// The first reason stands. (Dropping the last sender closes it too, after both lanes.)
    pub fn close(&self, code: u16, reason: &str) {
        self.goodbye.send_if_modified(|goodbye| {
            let first = goodbye.is_none();
            goodbye.get_or_insert_with(|| CloseFrame {
                code: code.into(),
                reason: fit_reason(reason).to_owned().into(),
            });
            first
        });
    }

    /// Waits until the writer has ended: after a close, or because the connection broke.
    pub async fn closed(&self) {
        self.control.closed().await;
    }
}

/// A ping carries the time it was sent, so that its pong tells the round trip.
fn ping_payload() -> Bytes {
    Bytes::copy_from_slice(&Timestamp::now().0.to_be_bytes())
}

/// What the writing task owns.
struct Lanes<S> {
    sink: SplitSink<WebSocketStream<S>, Message>,
    control: mpsc::Receiver<Waiting>,
    bulk: mpsc::Receiver<Waiting>,
    goodbye: watch::Receiver<Option<CloseFrame>>,
    pulse: Arc<Pulse>,
}

/// What the writing task is to do next.
enum Next {
    Send(Message),
    Close(Option<CloseFrame>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lanes<S> {
    async fn run(mut self, ended: oneshot::Sender<LinkError>) {
        let pulse = Arc::clone(&self.pulse);
        let error = loop {
            let first = match self.next().await {
                Next::Send(first) => first,
                Next::Close(frame) => {
                    let (code, reason) = code_and_reason(frame.as_ref());
                    self.say_goodbye(frame, GOODBYE).await;
                    break LinkError::Left { code, reason };
                }
            };
            // A send isn't cancel-safe: one that has stalled is followed by a goodbye and nothing else.
            match pulse.unless_stalled(self.send_ready(first)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => break LinkError::Broken(error),
                Err(Stalled) => {
                    self.leave_stalled().await;
                    break LinkError::Stalled;
                }
            }
        };
        // A reader that has gone needs no word.
        let _ = ended.send(error);
    }

    async fn next(&mut self) -> Next {
        loop {
            let idle_until = Instant::now() + self.pulse.heartbeat();
            return tokio::select! {
                biased;
                changed = self.goodbye.changed() => match changed {
                    Ok(()) => Next::Close(self.goodbye.borrow().clone()),
                    Err(_) => Next::Close(None),
                },
                Some(message) = self.control.recv() => Next::Send(*message),
                Some(message) = self.bulk.recv() => Next::Send(*message),
                () = self.pulse.changed() => continue,
                () = tokio::time::sleep_until(idle_until) => Next::Send(Message::Ping(ping_payload())),
            };
        }
    }

    /// Sends `first` and what else is ready, control before bulk, with one flush.
    async fn send_ready(
        &mut self,
        first: Message,
    ) -> Result<(), Box<tokio_tungstenite::tungstenite::Error>> {
        let mut bytes = first.len();
        self.pulse.note_sent_message(&first);
        self.sink.feed(first).await.map_err(Box::new)?;
        while bytes < FLUSH_AT {
            let Ok(message) = self.control.try_recv().or_else(|_| self.bulk.try_recv()) else {
                break;
            };
            bytes += message.len();
            self.pulse.note_sent_message(&message);
            self.sink.feed(*message).await.map_err(Box::new)?;
        }
        self.sink.flush().await.map_err(Box::new)
    }

    /// Ends a connection whose socket takes nothing, with the reason that was given before, if any.
    async fn leave_stalled(mut self) {
        let said = self.goodbye.borrow_and_update().clone();
        let frame = said.unwrap_or_else(|| CloseFrame {
            code: CloseCode::TooSlow.number().into(),
            reason: Stalled.to_string().into(),
        });
        // What waits would stand before the goodbye.
        self.control.close();
        while self.control.try_recv().is_ok() {}
        self.say_goodbye(Some(frame), LAST_WORD).await;
    }

    async fn say_goodbye(mut self, frame: Option<CloseFrame>, within: Duration) {
        // Whatever fails here, the connection ends with the socket.
        let _ = timeout(within, async {
            while let Ok(message) = self.control.try_recv() {
                self.sink.feed(*message).await?;
            }
            while frame.is_none()
                && let Ok(message) = self.bulk.try_recv()
            {
                self.sink.feed(*message).await?;
            }
            self.sink.send(Message::Close(frame)).await?;
            self.sink.close().await
        })
        .await;
    }
}
