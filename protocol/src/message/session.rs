//! Who is there, what is subscribed, what went wrong.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, Channel, CommandId, Pattern, Timestamp, bounded, bounded_option};

/// A payload without fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}

/// `dashboard:connect`: the first message of a dashboard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DashboardConnect {
    /// What kind of program this is (`opsctl tui`), for logs and for other people's screens.
    pub client: String,
    /// The program's own version.
    pub client_version: String,
}

/// What a connection may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs commands on its host; may connect as an agent and nothing else.
    Agent,
    /// Sees everything, changes nothing.
    Viewer,
    /// Also runs and steers commands.
    Operator,
    /// Also administers the daemon.
    Admin,
}

impl Role {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Whether the role may connect as a dashboard.
    pub fn may_watch(self) -> bool {
        self >= Self::Viewer
    }

    /// Whether the role may run and steer commands.
    pub fn may_operate(self) -> bool {
        self >= Self::Operator
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whom the daemon takes a connection for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rights {
    /// What it may do.
    pub role: Role,
    /// Whose token it is, or `uid:1000` on the local socket.
    pub subject: String,
    /// The only agent name that the token may connect as; any, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
}

/// The bounds that the daemon enforces; sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitsInfo {
    /// The largest message, before and after decompression.
    pub max_message_bytes: u64,
    /// Payloads above this must travel compressed.
    pub compress_above_bytes: u64,
    /// The largest piece of output or input in one message.
    pub max_piece_bytes: u64,
    /// How much input may be under way beyond the last `inputOffset`.
    pub input_window_bytes: u64,
    /// Channel patterns that one connection may hold.
    pub max_subscriptions: u64,
    /// By message type, how often this connection may send it. A type that isn't here has no such limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<String, RateInfo>,
}

/// How often a message may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateInfo {
    /// So many each second, for ever.
    pub per_second: u32,
    /// So many at once, after a rest.
    pub burst: u32,
}

impl Default for LimitsInfo {
    fn default() -> Self {
        use crate::limits;
        Self {
            max_message_bytes: limits::MAX_MESSAGE as u64,
            compress_above_bytes: limits::COMPRESS_ABOVE as u64,
            max_piece_bytes: limits::MAX_OUTPUT_PIECE as u64,
            input_window_bytes: limits::INPUT_WINDOW,
            max_subscriptions: limits::MAX_SUBSCRIPTIONS as u64,
            rates: BTreeMap::new(),
        }
    }
}

/// `connected`: the daemon's answer to `agent:connect` and `dashboard:connect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connected {
    /// This connection's name in logs.
    pub client_id: String,
    /// The daemon's program version.
    pub server_version: String,
    /// Which run of the daemon numbers the channels' `seq`.
    pub epoch: String,
    /// When the daemon started, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// How often each side must be heard, in milliseconds; silence for a little over twice as long closes with 4012.
    pub heartbeat_ms: u64,
    /// The daemon's bounds.
    pub limits: LimitsInfo,
    /// Whom the daemon takes this connection for.
    pub rights: Rights,
    /// To an agent: for each command that it reported, the offset from which the daemon wants its output. A command that
    /// the agent reported and that is missing here is settled: the agent may forget it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: BTreeMap<CommandId, u64>,
}

/// Where a client stands in a channel's numbering.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Position {
    /// Which run of the daemon numbered it.
    pub epoch: String,
    /// The last `seq` seen; 0 for none.
    #[serde(deserialize_with = "bounded")]
    pub seq: u64,
}

/// What a client already has of what it subscribes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Since {
    /// For `command:ID`: the next output byte that the client wants. Older output comes from the log.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub offset: Option<u64>,
    /// For `command:ID`: start so that about this many lines come before the live end.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub tail_lines: Option<u64>,
    /// For other channels: the position in each, by the channel's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub streams: BTreeMap<String, Position>,
}

/// `subscribe`: start to get what is pushed on the channels that a pattern covers, those to come included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscribe {
    /// A channel, or a pattern with `*`.
    pub channel: Pattern,
    /// What the client has. Absent: `command:ID` starts with the screen as it is (everything that the ring holds, after
    /// a snapshot of what it no longer holds), other channels with what comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// Only for `command:ID`: never skip. A reader that the ring has lapped is served from the log instead of getting a
    /// `gap` and a snapshot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lossless: bool,
    /// Leave `terminal:output` out; only statuses and events come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_output: bool,
}

/// `unsubscribe` and its answer `unsubscribed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unsubscribe {
    /// The pattern as it was subscribed.
    pub channel: Pattern,
}

/// `subscribed`: the answer to `subscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscribed {
    /// The pattern as it was subscribed.
    pub channel: Pattern,
    /// Each stream that the pattern covers now.
    pub streams: Vec<SubscribedStream>,
}

/// Where one stream of a subscription stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscribedStream {
    /// The concrete channel.
    #[schemars(with = "String")]
    pub channel: Channel,
    /// Which run of the daemon numbers it.
    pub epoch: String,
    /// The last `seq` before what follows; the next push carries one more.
    #[serde(deserialize_with = "bounded")]
    pub seq: u64,
    /// For `command:ID`: the offset of the first output byte that follows.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub offset: Option<u64>,
    /// Whether all that the client missed follows. When not, a snapshot or the current status does.
    pub recovered: bool,
}

/// `error`: a message could not be served; the connection goes on unless a close follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorPayload {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// What went wrong and what to do, for people.
    pub message: String,
    /// When it makes sense to try again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ErrorPayload {
    /// An error without a hint when to try again.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: None,
        }
    }
}

/// What went wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The message is not an envelope, or its payload does not fit its type.
    BadMessage,
    /// No such `type` in this direction.
    UnknownType,
    /// The major version of the protocol is not spoken here.
    UnsupportedVersion,
    /// The first message must say who is connecting.
    NotConnected,
    /// The connection has said who it is already.
    AlreadyConnected,
    /// No token was given where one is needed.
    TokenMissing,
    /// The token cannot be read or its signature is wrong.
    TokenInvalid,
    /// The token has run out, or is not valid yet.
    TokenExpired,
    /// The role or the token does not permit this.
    Forbidden,
    /// None of the offered subprotocols is spoken here.
    UnknownSubprotocol,
    /// The selector cannot be read.
    BadSelector,
    /// The request contradicts itself or passes a bound.
    BadRequest,
    /// The selector covers no agent.
    NoMatch,
    /// No such agent.
    UnknownAgent,
    /// The agent is not connected.
    AgentOffline,
    /// No such command.
    UnknownCommand,
    /// Several commands start with this id.
    AmbiguousCommand,
    /// Nothing can be typed there: it has no terminal.
    NoTerminal,
    /// The key belongs to another request.
    KeyReused,
    /// The command has ended.
    Finished,
    /// More input than the window permits, or at the wrong offset.
    InputRejected,
    /// The daemon cannot write to its store.
    StorageFailed,
    /// Too many messages; see `retryAfterMs`.
    RateLimited,
    /// Too many connections; see `retryAfterMs`.
    TooManyConnections,
    /// No such session of long-polling, or none any more: open another.
    UnknownSession,
    /// A defect in the daemon or agent; its log says more.
    Internal,
    /// A code of a newer version.
    #[serde(other)]
    Other,
}

impl ErrorCode {
    /// Every code, in the order of the reference.
    pub const ALL: [Self; 27] = [
        Self::BadMessage,
        Self::UnknownType,
        Self::UnsupportedVersion,
        Self::NotConnected,
        Self::AlreadyConnected,
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::TokenExpired,
        Self::Forbidden,
        Self::UnknownSubprotocol,
        Self::BadSelector,
        Self::BadRequest,
        Self::NoMatch,
        Self::UnknownAgent,
        Self::AgentOffline,
        Self::UnknownCommand,
        Self::AmbiguousCommand,
        Self::NoTerminal,
        Self::KeyReused,
        Self::Finished,
        Self::InputRejected,
        Self::StorageFailed,
        Self::RateLimited,
        Self::TooManyConnections,
        Self::UnknownSession,
        Self::Internal,
        Self::Other,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadMessage => "bad_message",
            Self::UnknownType => "unknown_type",
            Self::UnsupportedVersion => "unsupported_version",
            Self::NotConnected => "not_connected",
            Self::AlreadyConnected => "already_connected",
            Self::TokenMissing => "token_missing",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::Forbidden => "forbidden",
            Self::UnknownSubprotocol => "unknown_subprotocol",
            Self::BadSelector => "bad_selector",
            Self::BadRequest => "bad_request",
            Self::NoMatch => "no_match",
            Self::UnknownAgent => "unknown_agent",
            Self::AgentOffline => "agent_offline",
            Self::UnknownCommand => "unknown_command",
            Self::AmbiguousCommand => "ambiguous_command",
            Self::NoTerminal => "no_terminal",
            Self::KeyReused => "key_reused",
            Self::Finished => "finished",
            Self::InputRejected => "input_rejected",
            Self::StorageFailed => "storage_failed",
            Self::RateLimited => "rate_limited",
            Self::TooManyConnections => "too_many_connections",
            Self::UnknownSession => "unknown_session",
            Self::Internal => "internal",
            Self::Other => "other",
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_by_what_they_may() {
        assert!(!Role::Agent.may_watch());
        assert!(Role::Viewer.may_watch() && !Role::Viewer.may_operate());
        assert!(Role::Operator.may_operate() && Role::Admin.may_operate());
    }

    #[test]
    fn codes_read_as_they_are_written() {
        for code in [
            ErrorCode::BadMessage,
            ErrorCode::KeyReused,
            ErrorCode::UnknownSubprotocol,
        ] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
        assert_eq!(
            serde_json::from_str::<ErrorCode>("\"from_the_future\"").unwrap(),
            ErrorCode::Other
        );
    }
}
