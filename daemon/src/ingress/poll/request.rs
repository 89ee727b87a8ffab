//! What polls and posts ask for, read from their queries and bodies.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use futures_util::StreamExt;
use opsctl_protocol::limits::MAX_MESSAGE;
use opsctl_protocol::message::{DashboardConnect, DashboardMessage, ErrorCode, Subscribe};
use opsctl_protocol::poll::{Cursor, MAX_WAIT, WAIT};
use opsctl_protocol::{Header, Pattern, encode};
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::super::upgrade::{Refused, refuse};

/// Channels that the opening of a session may name: as many as its address has room for.
const MAX_CHANNELS: usize = 64;

/// What a session is called that doesn't say.
const NAME: &str = "long-polling";

/// What `GET /poll` asks for.
#[derive(Debug)]
pub(super) struct Asked {
    /// Where to go on; none opens a session.
    pub cursor: Option<Cursor>,
    /// How long to wait for something new.
    pub wait: Duration,
    /// What to subscribe.
    channels: Vec<Pattern>,
    /// What kind of program asks.
    client: String,
}

/// What `POST /messages` asks for, beside its body.
#[derive(Debug)]
pub(super) struct Posting {
    /// The session; how far it was read is no matter.
    pub cursor: Cursor,
    /// Which post it is.
    pub number: Option<u64>,
    /// The session ends behind these messages, with this close code.
    pub close: Option<u16>,
}

impl Asked {
    /// Reads a query.
    pub(super) fn read(uri: &Uri) -> Result<Self, Refused> {
        let pairs = pairs(uri)?;
        let channels = pairs.iter().filter(|(name, _)| name == "channel");
        let asked = Self {
            cursor: one(&pairs, "cursor")?,
            wait: one(&pairs, "wait")?.map_or(WAIT, Duration::from_secs),
            channels: channels
                .map(|(name, text)| value(name, text))
                .collect::<Result<_, _>>()?,
            client: one(&pairs, "client")?.unwrap_or_else(|| NAME.to_owned()),
        };
        if asked.wait > MAX_WAIT {
            return bad(format!("wait is at most {} seconds", MAX_WAIT.as_secs()));
        }
        if asked.channels.len() > MAX_CHANNELS {
            return bad(format!(
                "at most {MAX_CHANNELS} channels can be named here; subscribe to others with POST /messages"
            ));
        }
        if asked.cursor.is_some() && !asked.channels.is_empty() {
            return bad(
                "channels are named when a session is opened, without a cursor; subscribe to others with POST /messages",
            );
        }
        Ok(asked)
    }

    /// What is said for a session that names channels: who it is, and its subscriptions. One that names none says all itself.
    pub(super) fn first_messages(&self) -> Option<Vec<Utf8Bytes>> {
        if self.channels.is_empty() {
            return None;
        }
        let hello = DashboardConnect {
            client: self.client.clone(),
            client_version: String::new(),
        };
        let subscriptions = self.channels.iter().map(|channel| {
            let subscribe = Subscribe {
                channel: channel.clone(),
                since: None,
                lossless: false,
                no_output: false,
            };
            (channel.to_string(), subscribe.into())
        });
        let messages: Vec<(String, DashboardMessage)> =
            std::iter::once(("connect".to_owned(), hello.into()))
                .chain(subscriptions)
                .collect();
        let texts = messages.iter().filter_map(|(id, message)| {
            // A query is far smaller than what a message may be.
            encode(&Header::asking(id.clone()), message).ok()
        });
        Some(texts.map(Utf8Bytes::from).collect())
    }
}

impl Posting {
    /// Reads a query.
    pub(super) fn read(uri: &Uri) -> Result<Self, Refused> {
        let pairs = pairs(uri)?;
        let Some(cursor) = one(&pairs, "cursor")? else {
            return bad(
                "POST /messages needs ?cursor=, the one of any answer of the session's polls",
            );
        };
        let number = one(&pairs, "number")?;
        if number == Some(0) {
            return bad("posts are numbered from 1");
        }
        Ok(Self {
            cursor,
            number,
            close: one(&pairs, "close")?,
        })
    }
}

/// The envelopes of a post's body: one, or a list. None is read here, but what is no JSON at all is refused.
pub(super) async fn body(body: Body) -> Result<Vec<Utf8Bytes>, Refused> {
    let mut bytes = Vec::new();
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else {
            return bad("the body ended early");
        };
        if bytes.len() + piece.len() > MAX_MESSAGE {
            let why =
                format!("a body has at most {MAX_MESSAGE} bytes; post the messages one by one");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BadRequest, why);
        }
        bytes.extend_from_slice(&piece);
    }
    if bytes.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let is_list = bytes.trim_ascii_start().starts_with(b"[");
    let messages = if is_list {
        serde_json::from_slice::<Vec<Box<RawValue>>>(&bytes)
    } else {
        serde_json::from_slice::<Box<RawValue>>(&bytes).map(|one| vec![one])
    };
    match messages {
        Ok(messages) => Ok(messages
            .iter()
            .map(|message| message.get().into())
            .collect()),
        Err(error) => bad(format!(
            "the body must be an envelope in JSON, or a list of such: {error}"
        )),
    }
}

type Pairs = Vec<(String, String)>;

fn pairs(uri: &Uri) -> Result<Pairs, Refused> {
    match Query::<Pairs>::try_from_uri(uri) {
        Ok(Query(pairs)) => Ok(pairs),
        Err(error) => bad(format!("the query cannot be read: {error}")),
    }
}

fn one<T>(pairs: &Pairs, name: &str) -> Result<Option<T>, Refused>
where
    T: FromStr,
    T::Err: Display,
{
    let mut found = pairs.iter().filter(|(other, _)| other == name);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some((_, text)), None) => value(name, text).map(Some),
        (Some(_), Some(_)) => bad(format!("{name} stands there twice")),
    }
}

fn value<T>(name: &str, text: &str) -> Result<T, Refused>
where
    T: FromStr,
    T::Err: Display,
{
    match text.parse() {
        Ok(value) => Ok(value),
        Err(error) => bad(format!("{name}={text}: {error}")),
    }
}

fn bad<T>(why: impl Into<String>) -> Result<T, Refused> {
    refuse(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, why)
}
