//! What a session holds for its reader until it is acknowledged: a lost answer loses nothing. Pure.

use std::collections::VecDeque;

use opsctl_protocol::limits::MAX_MESSAGE;
use opsctl_protocol::poll::{Closed, Cursor, SessionId};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Bytes of messages in one answer, and bytes held before no more are taken. One message may pass it, so that twice as much
/// is the most.
const MAX_HELD: usize = MAX_MESSAGE;

/// Messages of a session, numbered from 1.
#[derive(Debug)]
pub(super) struct Held {
    /// Those that were not acknowledged, given or not.
    messages: VecDeque<Utf8Bytes>,
    /// The number of the first of them.
    first: u64,
    /// Bytes in them.
    bytes: usize,
    /// The last that was given to the reader.
    given: u64,
    /// Nobody reads any more; what comes is dropped.
    left: bool,
    /// How the connection ended, once it has.
    closed: Option<Closed>,
}

/// A cursor that the session cannot go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misplaced {
    /// It names messages that were never given.
    #[error(
        "the cursor is ahead of what was given, {given} messages; go on with the one of the last answer"
    )]
    Ahead {
        /// The last message that was given.
        given: u64,
    },
    /// It names messages behind which others have been acknowledged.
    #[error(
        "the cursor is behind what was acknowledged, {acknowledged} messages; go on with the one of the last answer"
    )]
    Behind {
        /// The last message that was acknowledged.
        acknowledged: u64,
    },
}

impl Held {
    /// Of a session that begins.
    pub(super) fn new() -> Self {
        Self {
            messages: VecDeque::new(),
            first: 1,
            bytes: 0,
            given: 0,
            left: false,
            closed: None,
        }
    }

    /// Whether the reader must acknowledge something before more is taken.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_HELD
    }

    /// Takes a message. The caller has seen that there is room.
    pub(super) fn push(&mut self, message: Utf8Bytes) {
        if !self.left {
            self.bytes += message.len();
            self.messages.push_back(message);
        }
    }

    /// The reader has everything up to this number.
    pub(super) fn acknowledge(&mut self, number: u64) -> Result<(), Misplaced> {
        let acknowledged = self.first - 1;
        if number > self.given {
            return Err(Misplaced::Ahead { given: self.given });
        }
        if number < acknowledged {
            return Err(Misplaced::Behind { acknowledged });
        }
        for message in self.messages.drain(..(number - acknowledged) as usize) {
            self.bytes -= message.len();
        }
        self.first = number + 1;
        Ok(())
    }

    /// Nobody will read what is held, or what comes.
    pub(super) fn leave(&mut self) {
        self.left = true;
        self.messages.clear();
        self.bytes = 0;
    }

    /// Nothing more comes. The first reason stands.
    pub(super) fn close(&mut self, closed: Closed) {
        self.closed.get_or_insert(closed);
    }

    /// Whether nobody reads any more.
    pub(super) fn is_left(&self) -> bool {
        self.left
    }

    /// Whether nothing more comes.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Whether a poll has something to answer with.
    pub(super) fn is_news(&self) -> bool {
        !self.messages.is_empty() || self.closed.is_some()
    }

    /// The body of an answer, a [`opsctl_protocol::poll::Polled`]: what wasn't acknowledged, as much as fits. Messages are JSON
    /// already, so that they stand in it as they are.
    pub(super) fn answer(&mut self, session: SessionId) -> String {
        let mut body = String::new();
        let mut count = 0;
        for message in &self.messages {
            if count > 0 && body.len() + message.len() > MAX_HELD {
                break;
            }
            if count > 0 {
                body.push(',');
            }
            body.push_str(message);
            count += 1;
        }
        let number = self.first - 1 + count as u64;
        self.given = self.given.max(number);
        let cursor = Cursor { session, number };
        // The end is told behind the last message.
        let closed = self
            .closed
            .as_ref()
            .filter(|_| count == self.messages.len());
        let closed = closed.map_or_else(String::new, |closed| {
            let closed = serde_json::json!(closed);
            format!(r#","closed":{closed}"#)
        });
        format!(r#"{{"cursor":"{cursor}","messages":[{body}]{closed}}}"#)
    }
}

#[cfg(test)]
mod tests {
    use opsctl_protocol::poll::Polled;
    use proptest::prelude::*;

    use super::*;

    const SESSION: SessionId = SessionId(7);

    fn answer(held: &mut Held) -> (Cursor, Vec<String>, Option<Closed>) {
        let polled: Polled = serde_json::from_str(&held.answer(SESSION)).unwrap();
        let messages = polled
            .messages
            .iter()
            .map(|message| message.get().to_owned());
        (
            polled.cursor.parse().unwrap(),
            messages.collect(),
            polled.closed,
        )
    }

    proptest! {
        /// A reader that loses answers at random, and asks again, sees each message once and in order.
        #[test]
        fn nothing_is_lost_and_repeats_are_known(
            steps in prop::collection::vec((0_usize..4, 1_usize..600_000, prop::bool::weighted(0.4)), 1..30),
        ) {
            let mut held = Held::new();
            let (mut pushed, mut seen, mut at) = (0, 0, 0);
            for (count, length, lost) in steps {
                for _ in 0..count {
                    if held.is_full() {
                        break;
                    }
                    pushed += 1;
                    held.push("1".repeat(length).into());
                }
                prop_assert!(held.bytes <= 2 * MAX_HELD);
                held.acknowledge(at).unwrap();
                let (cursor, messages, _) = answer(&mut held);
                prop_assert_eq!(cursor.number, at + messages.len() as u64);
                if !lost {
                    seen += messages.len();
                    at = cursor.number;
                    prop_assert_eq!(seen as u64, at);
                }
                prop_assert!(seen <= pushed);
            }
            while seen < pushed {
                held.acknowledge(at).unwrap();
                let (cursor, messages, _) = answer(&mut held);
                prop_assert!(!messages.is_empty());
                seen += messages.len();
                at = cursor.number;
            }
        }
    }

    #[test]
    fn cursors_from_elsewhere_are_refused() {
        let mut held = Held::new();
        held.push("{}".into());
        assert_eq!(held.acknowledge(1), Err(Misplaced::Ahead { given: 0 }));
        assert_eq!(answer(&mut held).0.number, 1);
        held.acknowledge(1).unwrap();
        assert_eq!(
            held.acknowledge(0),
            Err(Misplaced::Behind { acknowledged: 1 })
        );
        held.acknowledge(1).unwrap();
    }

    #[test]
    fn the_end_comes_last() {
        let mut held = Held::new();
        held.push("1".repeat(MAX_HELD).into());
        held.push("2".into());
        let closed = Closed {
            code: 4501,
            reason: "\"no\"".to_owned(),
        };
        held.close(closed.clone());
        let (cursor, messages, end) = answer(&mut held);
        assert_eq!((messages.len(), end), (1, None));
        held.acknowledge(cursor.number).unwrap();
        assert_eq!(answer(&mut held).1, ["2"]);
        assert_eq!(answer(&mut held).2, Some(closed));
    }
}
