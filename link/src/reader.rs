//! Frames from the peer, with the deadlines for the next sign of life and for a message that has begun.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use opsctl_protocol::Timestamp;
use opsctl_protocol::limits::silence;

use crate::Pulse;

/// A frame that carries something; pings and pongs are dealt with on the way.
#[derive(Debug, Clone)]
pub enum Frame {
    /// An envelope.
    Text(Utf8Bytes),
    /// A binary frame.
    Binary(Bytes),
    /// The answer to a ping of ours, with its payload.
    Pong(Bytes),
}

impl Frame {
    /// The round trip in milliseconds, when this is the answer to a ping of [`crate::Sender`]'s.
    pub fn round_trip_ms(&self) -> Option<u64> {
        let Self::Pong(payload) = self else {
            return None;
        };
        let sent = u64::from_be_bytes(payload.as_ref().try_into().ok()?);
        Timestamp::now().0.checked_sub(sent)
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The peer closed it.
    #[error("closed by the other side ({code}{}{reason})", if reason.is_empty() { "" } else { ": " })]
    Closed {
        /// The close code; 1005 where none was given.
        code: u16,
        /// The reason as it was given.
        reason: String,
    },
    /// The peer was silent for longer than it may be.
    #[error("nothing was heard for {after:?}")]
    Silent {
        /// How long was waited.
        after: Duration,
    },
    /// The peer began a message and did not end it in time.
    #[error("a message was begun and did not end within {after:?}")]
    Unfinished {
        /// How long was waited.
        after: Duration,
    },
    /// The peer took nothing of what was written to it.
    #[error("the other side has stopped reading")]
    Stalled,
    /// This side has closed it.
    #[error("closed from this side ({code}{}{reason})", if reason.is_empty() { "" } else { ": " })]
    Left {
        /// The close code that was sent; 1005 where none was.
        code: u16,
        /// The reason that was sent.
        reason: String,
    },
    /// The peer sent a message above the limit.
    #[error("the other side sent a message above the limit")]
    TooBig,
    /// The peer sent a text frame that is not UTF-8.
    #[error("the other side sent text that is not UTF-8")]
    NotUtf8,
    /// The peer broke WebSocket's rules.
    #[error("the other side broke the WebSocket protocol: {0}")]
    Protocol(ProtocolError),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(Box<WsError>),
}

/// The receiving half.
pub struct Reader<S> {
    stream: SplitStream<WebSocketStream<S>>,
    pulse: Arc<Pulse>,
    /// How the writer ended, where a [`crate::Sender`] writes: nothing is worth reading then.
    writer: Option<oneshot::Receiver<LinkError>>,
    /// How long nobody listened since a message was begun: that is not the peer's fault.
    away: Duration,
    /// Bytes that belong to whole frames, as far as that can be told.
    framed: u64,
}

/// The header of a small frame with its mask: what a ping takes beside its payload.
const SMALL_HEADER: u64 = 6;

/// How long a peer may take to hang up after a goodbye.
const LINGER: Duration = Duration::from_secs(1);

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<S> {
    /// Reads from the stream half of a socket that keeps this pulse.
    pub fn new(stream: SplitStream<WebSocketStream<S>>, pulse: Arc<Pulse>) -> Self {
        Self {
            stream,
            pulse,
            writer: None,
            away: Duration::ZERO,
            framed: 0,
        }
    }

    /// Ends with the writer.
    pub(crate) fn with_writer(mut self, writer: oneshot::Receiver<LinkError>) -> Self {
        self.writer = Some(writer);
        self
    }

    /// The next frame. Cancel-safe. Answers pings; anything from the peer counts as a sign of life.
    pub async fn next(&mut self) -> Result<Frame, LinkError> {
        let (away, _listening) = self.pulse.listen();
        if self.pulse.begun().is_some() {
            self.away += away;
        }
        self.listen().await
    }

    /// Reads on until the peer has hung up, for a moment: a socket that is dropped with something unread takes the
    /// goodbye back.
    pub async fn linger(mut self) {
        // Whatever comes, nobody is there for it any more.
        let _ = timeout(LINGER, async {
            while let Some(Ok(_)) = self.stream.next().await {}
        })
        .await;
    }

    async fn listen(&mut self) -> Result<Frame, LinkError> {
        loop {
            let look_at = self.look_at();
            let next = tokio::select! {
                biased;
                next = self.stream.next() => next,
                ended = writer_ended(&mut self.writer) => return Err(ended),
                () = sleep_until(look_at) => {
                    self.still_there()?;
                    continue;
                }
            };
            if let Some(frame) = self.frame(next)? {
                return Ok(frame);
            }
        }
    }

    /// When to look again whether the peer is still there: what has been heard meanwhile is known only then.
    fn look_at(&self) -> Instant {
        let silent = self.pulse.silent_at();
        match self.pulse.begun() {
            Some(begun) => silent.min(begun + self.away + self.pulse.message()),
            None => silent.min(Instant::now() + self.pulse.message()),
        }
    }

    fn still_there(&self) -> Result<(), LinkError> {
        let now = Instant::now();
        if now >= self.pulse.silent_at() {
            let after = silence(self.pulse.heartbeat());
            return Err(LinkError::Silent { after });
        }
        let after = self.pulse.message();
        match self.pulse.begun() {
            Some(begun) if now >= begun + self.away + after => Err(LinkError::Unfinished { after }),
            _ => Ok(()),
        }
    }

    /// A message has come whole. What was read behind it may begin the next one; its deadline starts with the next read.
    fn message_is_whole(&mut self) {
        self.framed = self.pulse.received_bytes();
        self.away = Duration::ZERO;
        self.pulse.whole();
    }

    /// A frame without a message came, as it may in the middle of one, which it must not keep alive for ever.
    fn small_frame(&mut self, payload: usize) {
        self.framed += SMALL_HEADER + payload as u64;
        if self.framed >= self.pulse.received_bytes() {
            self.message_is_whole();
        }
    }

    fn frame(
        &mut self,
        next: Option<Result<Message, WsError>>,
    ) -> Result<Option<Frame>, LinkError> {
        match next {
            Some(Ok(Message::Text(text))) => {
                self.pulse.note_received_message();
                self.message_is_whole();
                Ok(Some(Frame::Text(text)))
            }
            Some(Ok(Message::Binary(bytes))) => {
                self.pulse.note_received_message();
                self.message_is_whole();
                Ok(Some(Frame::Binary(bytes)))
            }
            Some(Ok(Message::Pong(bytes))) => {
                self.small_frame(bytes.len());
                Ok(Some(Frame::Pong(bytes)))
            }
            // tungstenite has queued the pong and sends it with the next read or write.
            Some(Ok(Message::Ping(bytes))) => {
                self.small_frame(bytes.len());
                Ok(None)
            }
            Some(Ok(Message::Frame(_))) => Ok(None),
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) = code_and_reason(frame.as_ref());
                Err(LinkError::Closed { code, reason })
            }
            Some(Err(WsError::Capacity(_))) => Err(LinkError::TooBig),
            Some(Err(WsError::Utf8(_))) => Err(LinkError::NotUtf8),
            // Ending without a goodbye breaks the rules too, but there is nobody left to tell.
            Some(Err(WsError::Protocol(error)))
                if error != ProtocolError::ResetWithoutClosingHandshake =>
            {
                Err(LinkError::Protocol(error))
            }
            Some(Err(error)) => Err(LinkError::Broken(Box::new(error))),
            None => Err(LinkError::Closed {
                code: 1006,
                reason: String::new(),
            }),
        }
    }
}

/// Ends when the writer has; never where there is none, or when it was dropped without a word.
async fn writer_ended(writer: &mut Option<oneshot::Receiver<LinkError>>) -> LinkError {
    if let Some(ended) = writer {
        let ended = ended.await;
        *writer = None;
        if let Ok(error) = ended {
            return error;
        }
    }
    std::future::pending().await
}

/// What a close frame says; 1005 stands for one without a code.
pub(crate) fn code_and_reason(frame: Option<&CloseFrame>) -> (u16, String) {
    frame.map_or((1005, String::new()), |frame| {
        (frame.code.into(), frame.reason.to_string())
    })
}
