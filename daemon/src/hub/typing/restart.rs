//! What a restart of the daemon means for a message that it was about to send, or had sent. Pure.

use crate::store::Sent;

/// What became of a message's text, as far as the agent's count of input tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate<'a> {
    /// All of it and the Enter behind it are there: nothing else is typed before that.
    Submitted,
    /// The agent has less than was there before it: whether it was typed isn't known.
    Uncounted,
    /// Nothing of it is there.
    NotTyped,
    /// These bytes are missing, or none, and then Enter.
    Missing(&'a [u8]),
}

/// What has become of a text whose place is known, when so many bytes of input have arrived.
pub(super) fn fate(sent: &Sent, arrived: u64) -> Fate<'_> {
    if arrived > sent.end() {
        return Fate::Submitted;
    }
    let Some(typed) = arrived.checked_sub(sent.from) else {
        return Fate::Uncounted;
    };
    if typed == 0 && !sent.data.is_empty() {
        return Fate::NotTyped;
    }
    Fate::Missing(&sent.data[typed as usize..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_count_tells_how_far_a_text_came() {
        let sent = Sent {
            from: 10,
            data: b"abc".to_vec(),
        };
        for (arrived, expected) in [
            (9, Fate::Uncounted),
            (10, Fate::NotTyped),
            (11, Fate::Missing(b"bc")),
            (12, Fate::Missing(b"c")),
            (13, Fate::Missing(b"")),
            (14, Fate::Submitted),
            (99, Fate::Submitted),
        ] {
            assert_eq!(fate(&sent, arrived), expected, "{arrived}");
        }
    }

    #[test]
    fn a_message_that_is_only_enter_lacks_nothing_but_that() {
        let sent = Sent {
            from: 10,
            data: Vec::new(),
        };
        assert_eq!(fate(&sent, 9), Fate::Uncounted);
        assert_eq!(fate(&sent, 10), Fate::Missing(b""));
        assert_eq!(fate(&sent, 11), Fate::Submitted);
    }
}
