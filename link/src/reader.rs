//! Frames from the peer, with the heartbeat's deadline.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use opsctl_protocol::Timestamp;
use opsctl_protocol::limits::HEARTBEAT_DEADLINE;

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
    /// The peer was silent for longer than the heartbeat's deadline.
    #[error("nothing was heard for {HEARTBEAT_DEADLINE:?}")]
    Silent,
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
    /// When the peer was last heard. Kept across calls: a caller that drops the future of [`Self::next`] for something
    /// else, again and again, must still notice a silent peer.
    heard: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<S> {
    /// Reads from the stream half of a socket.
    pub fn new(stream: SplitStream<WebSocketStream<S>>) -> Self {
        Self {
            stream,
            heard: Instant::now(),
        }
    }

    /// The next frame. Cancel-safe. Answers pings; anything from the peer counts as a sign of life.
    pub async fn next(&mut self) -> Result<Frame, LinkError> {
        loop {
            let next = timeout_at(self.heard + HEARTBEAT_DEADLINE, self.stream.next())
                .await
                .map_err(|_| LinkError::Silent)?;
            self.heard = Instant::now();
            match next {
                Some(Ok(Message::Text(text))) => return Ok(Frame::Text(text)),
                Some(Ok(Message::Binary(bytes))) => return Ok(Frame::Binary(bytes)),
                Some(Ok(Message::Pong(bytes))) => return Ok(Frame::Pong(bytes)),
                // tungstenite has queued the pong and sends it with the next read or write.
                Some(Ok(Message::Ping(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame.map_or((1005, String::new()), |frame| {
                        (frame.code.into(), frame.reason.to_string())
                    });
                    return Err(LinkError::Closed { code, reason });
                }
                Some(Err(WsError::Capacity(_))) => return Err(LinkError::TooBig),
                Some(Err(WsError::Utf8(_))) => return Err(LinkError::NotUtf8),
                // Ending without a goodbye breaks the rules too, but there is nobody left to tell.
                Some(Err(WsError::Protocol(error)))
                    if error != ProtocolError::ResetWithoutClosingHandshake =>
                {
                    return Err(LinkError::Protocol(error));
                }
                Some(Err(error)) => return Err(LinkError::Broken(Box::new(error))),
                None => {
                    return Err(LinkError::Closed {
                        code: 1006,
                        reason: String::new(),
                    });
                }
            }
        }
    }
}
