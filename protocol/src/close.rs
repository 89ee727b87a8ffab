//! WebSocket close codes. The range says whether to come back: 4000–4499 yes, 4500–4999 no.

/// Why a connection was closed, as the number in the WebSocket close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// The daemon stops or restarts; the reason may hold `retry-after-ms=N`.
    GoingAway = 4001,
    /// No `agent:connect` or `dashboard:connect` in time.
    HelloTimeout = 4002,
    /// The token ran out while the connection was open.
    TokenExpired = 4005,
    /// The peer did not read what was sent to it in time.
    TooSlow = 4008,
    /// A newer connection of the same agent took over.
    Replaced = 4009,
    /// Nothing was heard for longer than the heartbeat's deadline.
    HeartbeatMissed = 4012,
    /// More messages than the rate limit permits.
    RateLimited = 4013,
    /// The token is wrong or revoked.
    TokenInvalid = 4500,
    /// Too many messages that could not be parsed.
    BadMessages = 4501,
    /// The major protocol version is unknown.
    UnsupportedVersion = 4506,
    /// The role does not permit this connection.
    Forbidden = 4507,
    /// A message above the limit (RFC 6455).
    TooBig = 1009,
    /// A frame that breaks WebSocket's own rules (RFC 6455).
    ProtocolError = 1002,
    /// A text frame that is not UTF-8 (RFC 6455).
    NotUtf8 = 1007,
}

impl CloseCode {
    /// Every code, in the order of the reference.
    pub const ALL: [Self; 14] = [
        Self::GoingAway,
        Self::HelloTimeout,
        Self::TokenExpired,
        Self::TooSlow,
        Self::Replaced,
        Self::HeartbeatMissed,
        Self::RateLimited,
        Self::TokenInvalid,
        Self::BadMessages,
        Self::UnsupportedVersion,
        Self::Forbidden,
        Self::TooBig,
        Self::ProtocolError,
        Self::NotUtf8,
    ];

    /// The number in the close frame.
    pub fn number(self) -> u16 {
        self as u16
    }
}

/// What a close code tells the side that was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Come back, with the usual back-off.
    Yes,
    /// Somebody else has this agent's place; an agent does not come back by itself.
    Replaced,
    /// Coming back the same way would fail the same way.
    No,
}

/// Whether to come back after a close with this number. Unknown numbers outside 4500–4999 are treated as an accident.
pub fn retry(number: u16) -> Retry {
    match number {
        4009 => Retry::Replaced,
        4500..=4999 | 1002 | 1007 | 1009 => Retry::No,
        _ => Retry::Yes,
    }
}

/// The longest close reason in bytes (RFC 6455: a control frame has at most 125, two of them for the code).
const MAX_REASON: usize = 123;

/// A close reason, cut to what a close frame can carry.
pub fn fit_reason(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

/// Reads the hint `retry-after-ms=N` out of a close reason, in milliseconds.
pub fn retry_after_ms(reason: &str) -> Option<u64> {
    let (_, rest) = reason.split_once("retry-after-ms=")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_say_whether_to_come_back() {
        assert_eq!(retry(CloseCode::GoingAway.number()), Retry::Yes);
        assert_eq!(retry(CloseCode::Replaced.number()), Retry::Replaced);
        assert_eq!(retry(CloseCode::BadMessages.number()), Retry::No);
        assert_eq!(retry(CloseCode::TooBig.number()), Retry::No);
        assert_eq!(retry(1006), Retry::Yes);
    }

    #[test]
    fn reasons_fit_a_close_frame() {
        assert_eq!(fit_reason("bye"), "bye");
        assert_eq!(fit_reason(&"é".repeat(100)), "é".repeat(61));
    }

    #[test]
    fn hint_is_read_from_anywhere_in_the_reason() {
        assert_eq!(
            retry_after_ms("restarting; retry-after-ms=1500"),
            Some(1500)
        );
        assert_eq!(retry_after_ms("retry-after-ms=20; bye"), Some(20));
        assert_eq!(retry_after_ms("bye"), None);
        assert_eq!(
            retry_after_ms("retry-after-ms=99999999999999999999999"),
            None
        );
    }
}
