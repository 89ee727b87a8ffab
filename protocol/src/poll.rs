//! Long-polling, for networks that let no WebSocket through: where a poll goes on, and what it answers with.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How long a poll waits for something new when it doesn't say: shorter than the 30 s after which many proxies give up.
pub const WAIT: Duration = Duration::from_secs(25);

/// The longest that a poll may ask to wait.
pub const MAX_WAIT: Duration = Duration::from_mins(1);

/// A session that nobody polls for so long is over.
pub const IDLE: Duration = Duration::from_mins(1);

/// Which session: 128 bits that nobody can guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub u128);

/// The hexadecimal digits of a [`SessionId`].
const DIGITS: usize = 32;

/// Where a poll goes on: `SESSION.N`, after message N of the session, which are numbered from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The session.
    pub session: SessionId,
    /// The last message that has come; 0 for none.
    pub number: u64,
}

/// What is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is no cursor: give the one of the last answer, as it stood there")]
pub struct BadCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}.{}", self.session.0, self.number)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (session, number) = text.split_once('.').ok_or(BadCursor)?;
        let plain = session.len() == DIGITS
            && session.bytes().all(|digit| digit.is_ascii_hexdigit())
            && number.bytes().all(|digit| digit.is_ascii_digit());
        if !plain {
            return Err(BadCursor);
        }
        let session = u128::from_str_radix(session, 16).map_err(|_| BadCursor)?;
        Ok(Self {
            session: SessionId(session),
            number: number.parse().map_err(|_| BadCursor)?,
        })
    }
}

/// What `GET /poll` answers.
#[derive(Debug, Deserialize)]
pub struct Polled {
    /// Where the next poll goes on.
    pub cursor: String,
    /// Envelopes behind the cursor that was asked with, in order.
    pub messages: Vec<Box<RawValue>>,
    /// How the session ended, once it has.
    #[serde(default)]
    pub closed: Option<Closed>,
}

/// How a session ended: what a WebSocket's close frame says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The close code.
    pub code: u16,
    /// Why, for people.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written(session: u128, number: u64) {
            let cursor = Cursor { session: SessionId(session), number };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn anything_else_is_no_cursor(text in "[0-9a-f.+ -]{0,40}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(text.split('.').next().map(str::len), Some(DIGITS));
                prop_assert!(cursor.to_string().len() <= text.len().max(DIGITS + 2));
            }
        }
    }

    #[test]
    fn cursors_that_are_none() {
        let zeros = "0".repeat(DIGITS);
        for bad in [
            "",
            ".",
            "1.1",
            "x",
            &zeros,
            &format!("{zeros}."),
            &format!("{zeros}.+1"),
            &format!("+{}.1", &zeros[1..]),
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(BadCursor), "{bad}");
        }
    }
}
