//! What a restart of the daemon means for a message that it was about to send or had sent, and for what somebody had begun to
//! type. Pure.

use crate::store::{DraftRow, MessageRow, Sent};

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

/// What stands in a terminal's input behind the last Enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// So many characters, about.
    Known(u32),
    /// Keys came, or were lost, that nobody has followed.
    InDoubt,
}

/// What stands in a terminal's input of which this was known before, when so many bytes have arrived. A message that was under
/// way has found no draft, and nothing else was typed until its end; what it typed itself is not counted here.
pub(super) fn stands(before: DraftRow, under_way: Option<&MessageRow>, arrived: u64) -> Stands {
    let is_message = under_way.is_some_and(|row| {
        let followed_by_enter = row.asked.submit && row.asked.answer.is_none();
        let end = |sent: &Sent| sent.end() + u64::from(followed_by_enter);
        let covers = |sent: &Sent| (sent.from..=end(sent)).contains(&arrived);
        !row.asked.over_draft && row.sent.as_ref().is_some_and(covers)
    });
    if is_message {
        Stands::Known(0)
    } else if arrived == before.to {
        Stands::Known(before.count)
    } else {
        Stands::InDoubt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opsctl_protocol::message::{TerminalType, TerminalTyped, TypedState};
    use opsctl_protocol::{AgentId, CommandId, Timestamp};

    /// A message whose text of three bytes was sent behind ten others.
    fn message(submit: bool, over_draft: bool) -> MessageRow {
        MessageRow {
            asked: TerminalType {
                key: "k".to_owned(),
                command_id: None,
                agent_id: None,
                text: Some("abc".to_owned()),
                answer: None,
                submit,
                lines: false,
                when_idle: false,
                ttl_ms: None,
                at_approval: false,
                while_working: false,
                over_draft,
            },
            typed: TerminalTyped {
                key: "k".to_owned(),
                agent_id: AgentId::new("a").unwrap(),
                command_id: CommandId([1; 16]),
                state: TypedState::Queued,
                queue_position: None,
                obstacle: None,
                reason: None,
                evidence: None,
                text: String::new(),
                requested_by: String::new(),
                created_at: Timestamp(0),
                expires_at: None,
            },
            sent: Some(Sent {
                from: 10,
                data: b"abc".to_vec(),
            }),
        }
    }

    #[test]
    fn a_draft_is_known_only_while_every_key_was_followed() {
        let open = DraftRow { count: 4, to: 9 };
        let closed = DraftRow { count: 0, to: 9 };
        assert_eq!(stands(open, None, 9), Stands::Known(4));
        assert_eq!(stands(closed, None, 9), Stands::Known(0));
        for before in [open, closed] {
            // More than was followed, or an Enter that was lost.
            assert_eq!(stands(before, None, 10), Stands::InDoubt);
            assert_eq!(stands(before, None, 8), Stands::InDoubt);
        }
    }

    #[test]
    fn what_a_message_typed_is_nobodys_draft() {
        let before = DraftRow { count: 0, to: 7 };
        for (submit, over_draft, arrived, stands_there) in [
            (true, false, 10, Stands::Known(0)),
            (true, false, 14, Stands::Known(0)),
            (true, false, 15, Stands::InDoubt),
            (true, false, 9, Stands::InDoubt),
            (false, false, 13, Stands::Known(0)),
            (false, false, 14, Stands::InDoubt),
            (true, true, 12, Stands::InDoubt),
        ] {
            let row = message(submit, over_draft);
            assert_eq!(
                stands(before, Some(&row), arrived),
                stands_there,
                "{arrived}"
            );
        }
    }

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
