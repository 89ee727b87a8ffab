//! A fresh connection says who it is, in time. Also how frames become messages, for the whole of a connection's life.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{Instant as Deadline, timeout_at};
use tokio_util::sync::CancellationToken;

use opsctl_link::{Frame, LinkError, Reader};
use opsctl_protocol::close::CloseCode;
use opsctl_protocol::message::{Direction, ErrorCode, ErrorPayload};
use opsctl_protocol::{BinaryFrame, DecodeError, Decoded, decode};

use super::conduct::Conduct;
use super::limits::UNKNOWN_TYPE;
use super::rate::{Limiter, Rates, Refused};
use crate::drain::{Group, stay_away};
use crate::ingress::Lobby;

/// Frames that a peer gets in when the daemon stops. More would let a flood hold the daemon up.
const LAST_WORDS: u32 = 256;

/// How long a peer that never kept to its limits is to stay away.
const ABUSE_PAUSE: Duration = Duration::from_secs(5);

/// Why a connection is to be closed from this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Goodbye {
    /// The close code.
    pub code: CloseCode,
    /// Why, for people.
    pub reason: String,
}

impl Goodbye {
    /// A goodbye with its reason.
    pub(super) fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }
}

/// How a connection's reading ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// This side ends it.
    Close(Goodbye),
    /// The other side, or the network, has ended it.
    Gone(String),
}

impl From<LinkError> for Ended {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Silent { .. } => {
                Self::Close(Goodbye::new(CloseCode::HeartbeatMissed, error.to_string()))
            }
            LinkError::TooBig => Self::Close(Goodbye::new(CloseCode::TooBig, error.to_string())),
            LinkError::NotUtf8 => Self::Close(Goodbye::new(CloseCode::NotUtf8, error.to_string())),
            LinkError::Protocol(_) => {
                Self::Close(Goodbye::new(CloseCode::ProtocolError, error.to_string()))
            }
            LinkError::Unfinished { .. } | LinkError::Stalled => {
                Self::Close(Goodbye::new(CloseCode::TooSlow, error.to_string()))
            }
            LinkError::Closed { .. } | LinkError::Left { .. } | LinkError::Broken(_) => {
                Self::Gone(error.to_string())
            }
        }
    }
}

/// Something that a peer said.
#[derive(Debug)]
pub(super) enum Said<M> {
    /// A message.
    Message(Decoded<M>),
    /// A binary frame with bulk.
    Bulk(BinaryFrame),
    /// The answer to a ping, after so many milliseconds.
    Latency(u64),
}

/// A peer's frames as messages. What cannot be read is answered through `answer`.
pub(super) struct Ear<S, A> {
    reader: Reader<S>,
    conduct: Conduct,
    limiter: Limiter,
    answer: A,
    stop: CancellationToken,
    /// Frames that are still taken when the end has come, if they are there already.
    last_words: u32,
    lobby: Arc<Lobby>,
}

/// What an ear needs to know beyond its own connection.
pub(super) struct Surroundings<'a> {
    /// How often the peer may say what.
    pub rates: &'a Rates,
    /// With whom the connection ends.
    pub group: &'a Group,
    /// Who else is there.
    pub lobby: &'a Arc<Lobby>,
}

impl<S, A> Ear<S, A>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    A: Fn(Option<String>, ErrorPayload),
{
    /// Listens to a connection until its group is to end.
    pub(super) fn new(reader: Reader<S>, answer: A, around: &Surroundings<'_>) -> Self {
        Self {
            reader,
            conduct: Conduct::default(),
            limiter: Limiter::new(around.rates, Instant::now()),
            answer,
            stop: around.group.stop.clone(),
            last_words: LAST_WORDS,
            lobby: Arc::clone(around.lobby),
        }
    }

    /// The next thing said. Cancel-safe.
    pub(super) async fn next<M: Direction>(&mut self) -> Result<Said<M>, Ended> {
        loop {
            if self.stop.is_cancelled() {
                self.last_words = self.last_words.saturating_sub(1);
            }
            let frame = tokio::select! {
                biased;
                // What was said before the end is still heard.
                frame = self.reader.next(), if self.last_words > 0 => frame?,
                () = self.stop.cancelled() => {
                    return Err(Ended::Close(going_away(self.lobby.len())));
                }
            };
            if let Some(ms) = frame.round_trip_ms() {
                return Ok(Said::Latency(ms));
            }
            match read::<M>(&frame) {
                Ok(Some(Said::Message(decoded))) => {
                    let kind = decoded.message.kind();
                    if self.admit(kind, decoded.header.id.as_deref())? {
                        return Ok(Said::Message(decoded));
                    }
                }
                Ok(Some(said)) => return Ok(said),
                Ok(None) => {}
                Err(error) => self.complain(&error)?,
            }
        }
    }

    /// The first message, which must come by the deadline. Others are answered and waited through.
    pub(super) async fn hello<M, T>(
        &mut self,
        wait: Duration,
        pick: impl Fn(M) -> Option<T>,
    ) -> Result<(Option<String>, T), Ended>
    where
        M: Direction,
    {
        let deadline = Deadline::now() + wait;
        loop {
            let said = timeout_at(deadline, self.next::<M>()).await.map_err(|_| {
                Ended::Close(Goodbye::new(
                    CloseCode::HelloTimeout,
                    "the connection did not say who it is in time",
                ))
            })??;
            let id = match said {
                Said::Message(decoded) => {
                    let id = decoded.header.id;
                    if let Some(hello) = pick(decoded.message) {
                        return Ok((id, hello));
                    }
                    id
                }
                Said::Bulk(_) => None,
                Said::Latency(_) => continue,
            };
            let why = "the first message must be agent:connect or dashboard:connect";
            (self.answer)(id, ErrorPayload::new(ErrorCode::NotConnected, why));
        }
    }

    /// Listens on, to nobody's use, until the peer has taken the goodbye; see [`Reader::linger`].
    pub(super) async fn linger(self) {
        self.reader.linger().await;
    }

    /// Whether a message of this type may be served now; answers one that may not.
    fn admit(&mut self, kind: &str, id: Option<&str>) -> Result<bool, Ended> {
        match self.limiter.admit(kind, Instant::now()) {
            Ok(()) => Ok(true),
            Err(Refused::Later(wait)) => {
                // Rounded up: a message that comes a little too soon would be refused again.
                let ms = wait.as_millis() as u64 + 1;
                let why = format!("too many messages of this type ({kind}); try again in {ms} ms");
                let error = ErrorPayload {
                    retry_after_ms: Some(ms),
                    ..ErrorPayload::new(ErrorCode::RateLimited, why)
                };
                (self.answer)(id.map(str::to_owned), error);
                Ok(false)
            }
            Err(Refused::Abuse) => {
                let ms = ABUSE_PAUSE.as_millis();
                let why = format!(
                    "{kind} comes faster than the limit, again and again; retry-after-ms={ms}"
                );
                Err(Ended::Close(Goodbye::new(CloseCode::RateLimited, why)))
            }
        }
    }

    /// Answers a frame that cannot be read.
    pub(super) fn complain(&mut self, error: &DecodeError) -> Result<(), Ended> {
        let (id, payload) = error.answer();
        if matches!(error, DecodeError::UnknownType { .. })
            && !self.admit(UNKNOWN_TYPE, id.as_deref())?
        {
            return Ok(());
        }
        (self.answer)(id, payload);
        match error {
            DecodeError::Version { .. } => Err(Ended::Close(Goodbye::new(
                CloseCode::UnsupportedVersion,
                error.to_string(),
            ))),
            DecodeError::UnknownType { .. } => Ok(()),
            DecodeError::TooBig | DecodeError::Envelope(_) | DecodeError::Payload { .. } => {
                if self.conduct.is_too_bad(Instant::now()) {
                    let why = "too many messages that cannot be read";
                    return Err(Ended::Close(Goodbye::new(CloseCode::BadMessages, why)));
                }
                Ok(())
            }
        }
    }
}

fn read<M: Direction>(frame: &Frame) -> Result<Option<Said<M>>, DecodeError> {
    match frame {
        Frame::Text(text) => decode(text).map(|decoded| Some(Said::Message(decoded))),
        Frame::Binary(bytes) => match BinaryFrame::decode(bytes)? {
            BinaryFrame::Envelope(text) => {
                decode(&text).map(|decoded| Some(Said::Message(decoded)))
            }
            bulk => Ok(Some(Said::Bulk(bulk))),
        },
        Frame::Pong(_) => Ok(None),
    }
}

/// The goodbye when the daemon stops, with a time to come back at.
pub(super) fn going_away(connections: usize) -> Goodbye {
    let wait = stay_away(connections, opsctl_protocol::reconnect::noise()).as_millis();
    let why = format!("the daemon stops; retry-after-ms={wait}");
    Goodbye::new(CloseCode::GoingAway, why)
}
