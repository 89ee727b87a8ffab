//! Text frames: the envelope around every message, compression of large payloads, and what a bad frame is called.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::VERSION;
use crate::ids::{Channel, Timestamp, bounded_option};
use crate::limits::{COMPRESS_ABOVE, MAX_MESSAGE};
use crate::message::{Direction, ErrorCode, ErrorPayload};

/// Everything in the envelope but type and payload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The sender's clock; filled in by [`encode`] when zero.
    pub timestamp: Timestamp,
    /// Chosen by a sender that wants an answer.
    pub id: Option<String>,
    /// The `id` that this answers.
    pub re: Option<String>,
    /// The concrete channel of a push.
    pub channel: Option<Channel>,
    /// Which run of the daemon numbers the channel.
    pub epoch: Option<String>,
    /// The push's number in its channel, from 1, without holes.
    pub seq: Option<u64>,
}

impl Header {
    /// A message that wants an answer.
    pub fn asking(id: impl Into<String>) -> Self {
        Self {
            id: Some(id.into()),
            ..Self::default()
        }
    }

    /// The answer to `id`.
    pub fn answering(id: Option<String>) -> Self {
        Self {
            re: id,
            ..Self::default()
        }
    }
}

/// A message with its envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded<M> {
    /// The envelope.
    pub header: Header,
    /// What was said.
    pub message: M,
}

/// The envelope as it is written, without what its payload needs; see [`encode`].
#[derive(Serialize)]
struct Outgoing<'a> {
    version: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    re: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a Channel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

/// The name of the payload, as it stands behind the other fields of an envelope.
const PAYLOAD: &[u8] = b",\"payload\":";

/// What says before it that it is compressed.
const GZIP: &[u8] = b",\"encoding\":\"gzip\"";

/// Room for most frames while they are written, in bytes: a few lines of output with their envelope.
const USUAL_FRAME: usize = 1024;

/// The envelope as it is read; unknown fields are ignored.
#[derive(Deserialize)]
struct Incoming<'a> {
    version: String,
    #[serde(rename = "type")]
    kind: String,
    timestamp: Timestamp,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    re: Option<String>,
    #[serde(default)]
    channel: Option<Channel>,
    #[serde(default)]
    epoch: Option<String>,
    #[serde(default, deserialize_with = "bounded_option")]
    seq: Option<u64>,
    #[serde(default)]
    encoding: Option<String>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Why a message could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The message passes [`MAX_MESSAGE`].
    #[error("the message has {0} bytes, at most {MAX_MESSAGE} are possible")]
    TooBig(usize),
    /// A value that JSON cannot hold.
    #[error("the message cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// Why a frame could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The frame passes [`MAX_MESSAGE`], before or after decompression.
    #[error("a message has at most {MAX_MESSAGE} bytes, before and after decompression")]
    TooBig,
    /// The frame is not an envelope.
    #[error("not an envelope: {0}")]
    Envelope(String),
    /// The major version is unknown.
    #[error("version {found:?} is not spoken here, {VERSION} is")]
    Version {
        /// What the frame said.
        found: String,
        /// The frame's id.
        id: Option<String>,
    },
    /// No such type in this direction.
    #[error("unknown type {kind:?}")]
    UnknownType {
        /// What the frame said.
        kind: String,
        /// The frame's id.
        id: Option<String>,
    },
    /// The payload does not fit the type.
    #[error("the payload does not fit {kind}: {why}")]
    Payload {
        /// The frame's type.
        kind: String,
        /// The frame's id.
        id: Option<String>,
        /// What does not fit.
        why: String,
    },
}

impl DecodeError {
    /// The `error` message that answers the frame, and the id that it answers.
    pub fn answer(&self) -> (Option<String>, ErrorPayload) {
        let (code, id) = match self {
            Self::TooBig | Self::Envelope(_) => (ErrorCode::BadMessage, None),
            Self::Version { id, .. } => (ErrorCode::UnsupportedVersion, id.clone()),
            Self::UnknownType { id, .. } => (ErrorCode::UnknownType, id.clone()),
            Self::Payload { id, .. } => (ErrorCode::BadMessage, id.clone()),
        };
        (id, ErrorPayload::new(code, self.to_string()))
    }
}

/// Writes a message as a text frame. A payload over [`COMPRESS_ABOVE`] is gzipped.
///
/// # Errors
/// When the payload can't be written as JSON, or the frame would be longer than [`MAX_MESSAGE`].
///
/// # Panics
/// Never: all that is written here is UTF-8.
pub fn encode<M: Direction>(header: &Header, message: &M) -> Result<String, EncodeError> {
    let timestamp = if header.timestamp.0 == 0 {
        Timestamp::now()
    } else {
        header.timestamp
    };
    let envelope = Outgoing {
        version: VERSION,
        kind: message.kind(),
        timestamp,
        id: header.id.as_deref(),
        re: header.re.as_deref(),
        channel: header.channel.as_ref(),
        epoch: header.epoch.as_deref(),
        seq: header.seq,
    };
    let mut frame = Vec::with_capacity(USUAL_FRAME);
    serde_json::to_writer(&mut frame, &envelope)?;
    // The payload is its last field: it is written here, once, and not copied from a text of its own.
    frame.pop();
    let head = frame.len();
    frame.extend_from_slice(PAYLOAD);
    let payload = frame.len();
    message.write_payload(&mut frame)?;
    let plain = frame.len() - payload;
    if plain > MAX_MESSAGE {
        return Err(EncodeError::TooBig(plain));
    }
    if plain > COMPRESS_ABOVE {
        let packed = STANDARD.encode(gzip(&frame[payload..]));
        frame.truncate(head);
        frame.extend_from_slice(GZIP);
        frame.extend_from_slice(PAYLOAD);
        // Nothing in base64 has to be escaped.
        frame.push(b'"');
        frame.extend_from_slice(packed.as_bytes());
        frame.push(b'"');
    }
    frame.push(b'}');
    if frame.len() > MAX_MESSAGE {
        Err(EncodeError::TooBig(frame.len()))
    } else {
        // Rings keep frames for long.
        frame.shrink_to_fit();
        Ok(String::from_utf8(frame).expect("JSON and base64 are UTF-8"))
    }
}

/// Reads a text frame.
pub fn decode<M: Direction>(text: &str) -> Result<Decoded<M>, DecodeError> {
    if text.len() > MAX_MESSAGE {
        return Err(DecodeError::TooBig);
    }
    let incoming: Incoming<'_> =
        serde_json::from_str(text).map_err(|error| DecodeError::Envelope(error.to_string()))?;
    let (kind, id) = (incoming.kind, incoming.id);
    if !same_major(&incoming.version) {
        return Err(DecodeError::Version {
            found: incoming.version,
            id,
        });
    }
    let unpacked;
    let payload = match incoming.encoding.as_deref() {
        None => incoming.payload.get(),
        Some("gzip") => {
            unpacked = unpack(incoming.payload).map_err(|why| match why {
                Unpack::TooBig => DecodeError::TooBig,
                Unpack::Bad(why) => DecodeError::Payload {
                    kind: kind.clone(),
                    id: id.clone(),
                    why,
                },
            })?;
            &unpacked
        }
        Some(other) => {
            let why = format!("unknown encoding {other:?}");
            return Err(DecodeError::Payload { kind, id, why });
        }
    };
    match M::read(&kind, payload) {
        None => Err(DecodeError::UnknownType { kind, id }),
        Some(Err(error)) => Err(DecodeError::Payload {
            kind,
            id,
            why: error.to_string(),
        }),
        Some(Ok(message)) => Ok(Decoded {
            header: Header {
                timestamp: incoming.timestamp,
                id,
                re: incoming.re,
                channel: incoming.channel,
                epoch: incoming.epoch,
                seq: incoming.seq,
            },
            message,
        }),
    }
}

fn same_major(version: &str) -> bool {
    let major = |text: &str| {
        text.split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok())
    };
    major(version).is_some_and(|theirs| Some(theirs) == major(VERSION))
}

enum Unpack {
    TooBig,
    Bad(String),
}

fn unpack(payload: &RawValue) -> Result<String, Unpack> {
    let base64: String = serde_json::from_str(payload.get())
        .map_err(|_| Unpack::Bad("a gzipped payload is a string".to_owned()))?;
    let packed = STANDARD
        .decode(base64)
        .map_err(|error| Unpack::Bad(error.to_string()))?;
    let json = gunzip(&packed)?;
    String::from_utf8(json).map_err(|_| Unpack::Bad("the gzipped payload is not UTF-8".to_owned()))
}

/// Compresses at the fastest level: output is text in small pieces, where higher levels win little.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::fast());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("writing to memory succeeds")
}

fn gunzip(packed: &[u8]) -> Result<Vec<u8>, Unpack> {
    let mut plain = Vec::new();
    let mut reader = GzDecoder::new(packed).take(MAX_MESSAGE as u64 + 1);
    reader
        .read_to_end(&mut plain)
        .map_err(|error| Unpack::Bad(format!("not gzip: {error}")))?;
    if plain.len() > MAX_MESSAGE {
        Err(Unpack::TooBig)
    } else {
        Ok(plain)
    }
}

/// Unpacks a whole envelope that came as a compressed binary frame.
pub(crate) fn gunzip_envelope(packed: &[u8]) -> Result<String, DecodeError> {
    let plain = gunzip(packed).map_err(|why| match why {
        Unpack::TooBig => DecodeError::TooBig,
        Unpack::Bad(why) => DecodeError::Envelope(why),
    })?;
    String::from_utf8(plain)
        .map_err(|_| DecodeError::Envelope("the envelope is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{DashboardMessage, Event, Nothing, ToDashboard};

    #[test]
    fn the_contracts_example_is_read() {
        let text = r#"{"version":"1.0.0","type":"ping","timestamp":1763680000123,"id":"c1","payload":{},"new":1}"#;
        let decoded: Decoded<DashboardMessage> = decode(text).unwrap();
        assert_eq!(decoded.header.id.as_deref(), Some("c1"));
        assert_eq!(decoded.header.timestamp, Timestamp(1_763_680_000_123));
        assert_eq!(decoded.message, DashboardMessage::Ping(Nothing {}));
    }

    #[test]
    fn large_payloads_travel_compressed() {
        let event = |size: usize| {
            ToDashboard::Event(Event {
                event: "x".into(),
                data: "y".repeat(size).into(),
                from: "me".into(),
            })
        };
        let small = encode(&Header::default(), &event(100)).unwrap();
        assert!(!small.contains("encoding"));
        let large = encode(&Header::default(), &event(100_000)).unwrap();
        assert!(large.contains(r#""encoding":"gzip""#) && large.len() < 2_000);
        assert_eq!(
            decode::<ToDashboard>(&large).unwrap().message,
            event(100_000)
        );
        assert!(matches!(
            encode(&Header::default(), &event(MAX_MESSAGE)),
            Err(EncodeError::TooBig(_))
        ));
    }

    #[test]
    fn bad_frames_have_names() {
        let code = |text: &str| decode::<DashboardMessage>(text).unwrap_err().answer();
        assert_eq!(code("{").1.code, ErrorCode::BadMessage);
        assert_eq!(
            code(r#"{"version":"1.0.0","type":"ping","payload":{}}"#)
                .1
                .code,
            ErrorCode::BadMessage
        );
        let (id, error) =
            code(r#"{"version":"2.0.0","type":"ping","timestamp":1,"id":"a","payload":{}}"#);
        assert_eq!(
            (id.as_deref(), error.code),
            (Some("a"), ErrorCode::UnsupportedVersion)
        );
        let (id, error) =
            code(r#"{"version":"1.7","type":"dance","timestamp":1,"id":"b","payload":{}}"#);
        assert_eq!(
            (id.as_deref(), error.code),
            (Some("b"), ErrorCode::UnknownType)
        );
        let (id, error) =
            code(r#"{"version":"1.0.0","type":"subscribe","timestamp":1,"id":"c","payload":{}}"#);
        assert_eq!(
            (id.as_deref(), error.code),
            (Some("c"), ErrorCode::BadMessage)
        );
    }

    #[test]
    fn a_decompression_bomb_is_refused() {
        let bomb = STANDARD.encode(gzip(&vec![b' '; 50 * MAX_MESSAGE]));
        let text = format!(
            r#"{{"version":"1.0.0","type":"ping","timestamp":1,"encoding":"gzip","payload":"{bomb}"}}"#
        );
        assert!(matches!(
            decode::<DashboardMessage>(&text),
            Err(DecodeError::TooBig)
        ));
    }
}
