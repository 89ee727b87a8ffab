//! When something is typed: while a terminal is still, and never only after it has kept others waiting for long. Pure.

use opsctl_protocol::Timestamp;

/// How long a terminal must be still before anything is typed: programs take an Enter that comes with the text for a part of
/// it, and what a screen asks is known only once it has been looked at.
const STILL_MS: u64 = 300;

/// How long a message that doesn't wait for an idle program waits for a still terminal at most.
const BEGIN_AFTER_MS: u64 = 1000;

/// How long the first echo of a text is waited for; many a program shows none.
const ECHO_MS: u64 = 500;

/// How long after a text Enter is typed at the latest, where the terminal is never still.
const ENTER_AFTER_MS: u64 = 2000;

/// How long a program must have put out nothing to count as idle: what it draws last may be what shows that it isn't.
const QUIET_MS: u64 = 400;

/// How long after one message the next that waits for an idle program goes at the earliest: as long as a program takes to
/// show that it works on the first.
const BETWEEN_MS: u64 = 1000;

/// When a message that was taken `since` then, and doesn't wait for an idle program, goes into a terminal that last put
/// something out at `put_out`.
pub(super) fn begins_at(since: Timestamp, put_out: Timestamp) -> Timestamp {
    Timestamp((put_out.0 + STILL_MS).min(since.0 + BEGIN_AFTER_MS))
}

/// When a program that is known to be idle takes the next message: it last put something out at `put_out`, and the message
/// before this one was done with when it `ended`.
pub(super) fn is_idle_at(put_out: Timestamp, ended: Timestamp) -> Timestamp {
    Timestamp((put_out.0 + QUIET_MS).max(ended.0 + BETWEEN_MS))
}

/// Whether Enter is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enter {
    /// Not before this time, as far as can be seen.
    NotBefore(Timestamp),
    /// Now.
    Now {
        /// The terminal is still.
        was_still: bool,
    },
}

/// Whether Enter is due `now` behind a text that was sent `at` this time, to a terminal that last put something out at
/// `put_out`.
pub(super) fn enter(at: Timestamp, put_out: Timestamp, now: Timestamp) -> Enter {
    let still_at = if put_out > at {
        put_out.0 + STILL_MS
    } else {
        at.0 + ECHO_MS
    };
    let due = still_at.min(at.0 + ENTER_AFTER_MS);
    if now.0 < due {
        Enter::NotBefore(Timestamp(due))
    } else {
        Enter::Now {
            was_still: now.0 >= still_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(10_000);

    fn after(ms: u64) -> Timestamp {
        Timestamp(AT.0 + ms)
    }

    #[test]
    fn enter_follows_the_echo_once_that_has_rested() {
        let cases = [
            // The last output (none since the text is 0), now, and what is due.
            (0, 0, Enter::NotBefore(after(ECHO_MS))),
            (0, ECHO_MS - 1, Enter::NotBefore(after(ECHO_MS))),
            (0, ECHO_MS, Enter::Now { was_still: true }),
            (20, 20, Enter::NotBefore(after(20 + STILL_MS))),
            (20, 20 + STILL_MS, Enter::Now { was_still: true }),
            (450, ECHO_MS, Enter::NotBefore(after(450 + STILL_MS))),
        ];
        for (put_out, now, due) in cases {
            assert_eq!(
                enter(AT, after(put_out), after(now)),
                due,
                "{put_out} {now}"
            );
        }
    }

    #[test]
    fn a_terminal_that_is_never_still_gets_its_enter_all_the_same() {
        for now in (0..ENTER_AFTER_MS).step_by(50) {
            let due = enter(AT, after(now), after(now));
            assert!(matches!(due, Enter::NotBefore(at) if at <= after(ENTER_AFTER_MS)));
        }
        let late = enter(AT, after(ENTER_AFTER_MS), after(ENTER_AFTER_MS));
        assert_eq!(late, Enter::Now { was_still: false });
    }

    #[test]
    fn a_message_waits_for_a_still_terminal_but_not_for_ever() {
        assert_eq!(begins_at(AT, Timestamp(0)), Timestamp(STILL_MS));
        assert_eq!(begins_at(AT, after(0)), after(STILL_MS));
        assert_eq!(begins_at(AT, after(5000)), after(BEGIN_AFTER_MS));
    }

    #[test]
    fn who_waits_for_an_idle_program_waits_for_what_comes_last() {
        assert_eq!(is_idle_at(after(0), Timestamp(0)), after(QUIET_MS));
        assert_eq!(is_idle_at(Timestamp(0), after(0)), after(BETWEEN_MS));
        assert_eq!(is_idle_at(after(900), after(0)), after(900 + QUIET_MS));
    }
}
