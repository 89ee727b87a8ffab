//! Which message goes next into a terminal, and which wait no longer. Pure.

use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{Obstacle, TypedState};

/// A message that waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting<'a> {
    /// Its key.
    pub(super) key: &'a str,
    /// It waits until its program is idle.
    pub(super) when_idle: bool,
}

/// The message that goes next, of those that wait in this order: one that is to go at once is not kept by those that wait
/// for an idle program.
pub(super) fn next<'a>(waiting: &[Waiting<'a>]) -> Option<Waiting<'a>> {
    let at_once = waiting.iter().find(|message| !message.when_idle);
    at_once.or(waiting.first()).copied()
}

/// What becomes of a message that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lot {
    /// It waits on, until this time if there is one.
    Waits(Option<Timestamp>),
    /// It is refused or has expired, and why.
    Ends(TypedState, Option<Obstacle>, &'static str),
}

/// What becomes of a message that waits, at a time, for a program that has ended or not.
pub(super) fn lot(expires_at: Option<Timestamp>, has_ended: bool, now: Timestamp) -> Lot {
    if has_ended {
        let why = "the program has ended";
        Lot::Ends(TypedState::Refused, Some(Obstacle::Ended), why)
    } else if expires_at.is_some_and(|at| at <= now) {
        let why = "it waited longer than its time to live";
        Lot::Ends(TypedState::Expired, None, why)
    } else {
        Lot::Waits(expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_at_once_goes_before_those_who_wait_for_an_idle_program() {
        let waiting = |when_idle: &[bool]| -> Vec<Waiting<'static>> {
            let keys = ["a", "b", "c"];
            let pairs = keys.iter().zip(when_idle);
            pairs
                .map(|(key, when_idle)| Waiting {
                    key,
                    when_idle: *when_idle,
                })
                .collect()
        };
        let key = |when_idle: &[bool]| next(&waiting(when_idle)).map(|message| message.key);
        assert_eq!(key(&[]), None);
        assert_eq!(key(&[true, true]), Some("a"));
        assert_eq!(key(&[true, false, false]), Some("b"));
        assert_eq!(key(&[false, true, false]), Some("a"));
    }

    #[test]
    fn a_message_waits_until_its_time_or_its_programs_end() {
        let at = |ms| Some(Timestamp(ms));
        let now = Timestamp(100);
        assert_eq!(lot(None, false, now), Lot::Waits(None));
        assert_eq!(lot(at(101), false, now), Lot::Waits(at(101)));
        let state = |lot| match lot {
            Lot::Ends(state, obstacle, _) => Some((state, obstacle)),
            Lot::Waits(_) => None,
        };
        let expired = Some((TypedState::Expired, None));
        assert_eq!(state(lot(at(100), false, now)), expired);
        let ended = Some((TypedState::Refused, Some(Obstacle::Ended)));
        assert_eq!(state(lot(at(1), true, now)), ended);
    }
}
