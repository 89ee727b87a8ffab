//! A command's output: bytes with offsets, the screen where bytes are gone, and what says that they are.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, CommandId, Timestamp, bounded};
use crate::limits::MAX_TERMINAL_SIDE;

/// Which of a command's outputs a piece belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The terminal, or stdout.
    #[default]
    Output,
    /// stderr.
    Error,
    /// What opsctl itself has to say about the command.
    Info,
}

impl Kind {
    /// The number in binary frames and in the output log.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Output, Self::Error, Self::Info]
            .get(usize::from(number))
            .copied()
    }
}

/// Bytes in JSON: `data` where they are UTF-8, else `dataB64`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload(pub Bytes);

/// [`Payload`] as it stands in JSON.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PayloadJson<'a> {
    /// The bytes, where they are UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, str>>,
    /// The bytes in base64 (RFC 4648 §4, padded), where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_b64: Option<String>,
}

impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = match std::str::from_utf8(&self.0) {
            Ok(text) => PayloadJson {
                data: Some(Cow::Borrowed(text)),
                data_b64: None,
            },
            Err(_) => PayloadJson {
                data: None,
                data_b64: Some(STANDARD.encode(&self.0)),
            },
        };
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let json = PayloadJson::deserialize(deserializer)?;
        match (json.data, json.data_b64) {
            (Some(text), None) => Ok(Self(text.into_owned().into())),
            (None, Some(base64)) => STANDARD
                .decode(base64)
                .map(|bytes| Self(bytes.into()))
                .map_err(D::Error::custom),
            (None, None) => Ok(Self(Bytes::new())),
            (Some(_), Some(_)) => Err(D::Error::custom("data and dataB64 cannot stand together")),
        }
    }
}

impl JsonSchema for Payload {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Payload".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        PayloadJson::json_schema(generator)
    }
}

/// `terminal:output`: a piece of a command's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminalOutput {
    /// On which agent; an agent may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Whose output.
    pub command_id: CommandId,
    /// Bytes of this command's output before this piece, all kinds together.
    #[serde(deserialize_with = "bounded")]
    pub offset: u64,
    /// Which output.
    #[serde(default)]
    pub kind: Kind,
    /// The bytes.
    #[serde(flatten)]
    pub data: Payload,
    /// When the agent read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// The terminal's columns from this piece on, 1 to 1000, where they changed. A piece without bytes may say only this.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "side"
    )]
    pub cols: Option<u16>,
    /// The terminal's rows from this piece on, 1 to 1000; stands where `cols` does.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "side"
    )]
    pub rows: Option<u16>,
}

/// Reads columns or rows. An emulator allocates all that an agent names, so the bound is held where it is read.
fn side<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    match Option::<u16>::deserialize(deserializer)? {
        Some(side) if !(1..=MAX_TERMINAL_SIDE).contains(&side) => {
            let why =
                format!("a terminal has 1 to {MAX_TERMINAL_SIDE} columns and rows, not {side}");
            Err(serde::de::Error::custom(why))
        }
        side => Ok(side),
    }
}

/// `terminal:snapshot`: the screen at an offset; what came before is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminalSnapshot {
    /// On which agent.
    pub agent_id: AgentId,
    /// Whose screen.
    pub command_id: CommandId,
    /// The offset of the next output byte after this screen.
    #[serde(deserialize_with = "bounded")]
    pub offset: u64,
    /// The terminal's columns.
    pub cols: u16,
    /// The terminal's rows.
    pub rows: u16,
    /// Bytes that draw the screen, with its modes, on a fresh terminal of that size.
    #[serde(flatten)]
    pub data: Payload,
}

/// `gap`: output that will not come. The gap's `seq` is that of the last push that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// Whose output.
    pub command_id: CommandId,
    /// The first missing byte's offset.
    #[serde(deserialize_with = "bounded")]
    pub from: u64,
    /// The offset after the last missing byte.
    #[serde(deserialize_with = "bounded")]
    pub to: u64,
    /// Why, for people.
    pub reason: String,
}

/// `terminal:ack`: the daemon holds the output durably.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminalAck {
    /// Whose output.
    pub command_id: CommandId,
    /// Everything before this offset is durable.
    #[serde(deserialize_with = "bounded")]
    pub offset: u64,
    /// The command's end is durable too: the agent may forget the command.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
}
