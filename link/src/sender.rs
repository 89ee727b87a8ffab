//! Two lanes to the peer: control, which never waits, and bulk, which waits for room. One task owns the sink.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use opsctl_protocol::Timestamp;
use opsctl_protocol::close::fit_reason;
use opsctl_protocol::limits::HEARTBEAT;

/// Control messages that may wait; a peer that leaves this many unread is gone or broken.
const CONTROL_LANE: usize = 1024;

/// Bytes that are gathered into one flush.
const FLUSH_AT: usize = 64 * 1024;

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

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

impl From<mpsc::error::TrySendError<Message>> for SendError {
    fn from(error: mpsc::error::TrySendError<Message>) -> Self {
        match error {
            mpsc::error::TrySendError::Full(_) => Self::Full,
            mpsc::error::TrySendError::Closed(_) => Self::Closed,
        }
    }
}

/// The sending half; clones share the lanes. Dropping the last one closes the connection.
#[derive(Debug, Clone)]
pub struct Sender {
    control: mpsc::Sender<Message>,
    bulk: mpsc::Sender<Message>,
    goodbye: Arc<watch::Sender<Option<CloseFrame>>>,
}

impl Sender {
    pub(crate) fn spawn<S>(sink: SplitSink<WebSocketStream<S>, Message>, bulk_lane: usize) -> Self
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
        };
        tokio::spawn(lanes.run());
        Self {
            control,
            bulk,
            goodbye: Arc::new(goodbye),
        }
    }

    /// Sends an envelope ahead of everything in the bulk lane. Never waits.
    pub fn control(&self, text: String) -> Result<(), SendError> {
        self.control
            .try_send(Message::text(text))
            .map_err(SendError::from)
    }

    /// Sends a binary frame in order with the bulk lane, if there is room.
    pub fn try_bulk(&self, frame: Bytes) -> Result<(), SendError> {
        self.bulk
            .try_send(Message::Binary(frame))
            .map_err(SendError::from)
    }

    /// Sends a binary frame in order with the bulk lane; waits for room.
    pub async fn bulk(&self, frame: Bytes) -> Result<(), SendError> {
        self.bulk
            .send(Message::Binary(frame))
            .await
            .map_err(|_| SendError::Closed)
    }

    /// Sends an envelope in order with the bulk lane, if there is room.
    pub fn try_bulk_text(&self, text: String) -> Result<(), SendError> {
        self.bulk
            .try_send(Message::text(text))
            .map_err(SendError::from)
    }

    /// Sends an envelope in order with the bulk lane (a status that must not overtake its output); waits for room.
    pub async fn bulk_text(&self, text: String) -> Result<(), SendError> {
        self.bulk
            .send(Message::text(text))
            .await
            .map_err(|_| SendError::Closed)
    }

    /// Closes the connection with a code after what waits in the control lane; what waits in the bulk lane is dropped.
    /// (Dropping the last sender closes it too, after both lanes.)
    pub fn close(&self, code: u16, reason: &str) {
        self.goodbye.send_replace(Some(CloseFrame {
            code: code.into(),
            reason: fit_reason(reason).into(),
        }));
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
    control: mpsc::Receiver<Message>,
    bulk: mpsc::Receiver<Message>,
    goodbye: watch::Receiver<Option<CloseFrame>>,
}

/// What the writing task is to do next.
enum Next {
    Send(Message),
    Close(Option<CloseFrame>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lanes<S> {
    async fn run(mut self) {
        loop {
            let sent = match self.next().await {
                // A send is never raced against anything: it isn't cancel-safe.
                Next::Send(first) => self.send_ready(first).await,
                Next::Close(frame) => return self.say_goodbye(frame).await,
            };
            if sent.is_err() {
                return;
            }
        }
    }

    async fn next(&mut self) -> Next {
        let idle_until = Instant::now() + HEARTBEAT;
        tokio::select! {
            biased;
            changed = self.goodbye.changed() => match changed {
                Ok(()) => Next::Close(self.goodbye.borrow().clone()),
                Err(_) => Next::Close(None),
            },
            Some(message) = self.control.recv() => Next::Send(message),
            Some(message) = self.bulk.recv() => Next::Send(message),
            () = tokio::time::sleep_until(idle_until) => Next::Send(Message::Ping(ping_payload())),
        }
    }

    /// Sends `first` and what else is ready, control before bulk, with one flush.
    async fn send_ready(
        &mut self,
        first: Message,
    ) -> Result<(), Box<tokio_tungstenite::tungstenite::Error>> {
        let mut bytes = first.len();
        self.sink.feed(first).await.map_err(Box::new)?;
        while bytes < FLUSH_AT {
            let Ok(message) = self.control.try_recv().or_else(|_| self.bulk.try_recv()) else {
                break;
            };
            bytes += message.len();
            self.sink.feed(message).await.map_err(Box::new)?;
        }
        self.sink.flush().await.map_err(Box::new)
    }

    async fn say_goodbye(mut self, frame: Option<CloseFrame>) {
        // Whatever fails here, the connection ends with the socket.
        let _ = timeout(GOODBYE, async {
            while let Ok(message) = self.control.try_recv() {
                self.sink.feed(message).await?;
            }
            while frame.is_none()
                && let Ok(message) = self.bulk.try_recv()
            {
                self.sink.feed(message).await?;
            }
            self.sink.send(Message::Close(frame)).await?;
            self.sink.close().await
        })
        .await;
    }
}
