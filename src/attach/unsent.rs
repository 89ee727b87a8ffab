//! What was typed and did not surely arrive, for a screen that is drawn anew: that wipes the notice which stood there. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::words::{SHOWN_KEYS, of_keys};

/// For how long keys are of interest: who has typed on since knows.
const FRESH: Duration = Duration::from_mins(1);

/// The keys that were lost lately, one by one as people type.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    keys: String,
    /// What became of the last of them.
    what: String,
    /// When that was.
    at: Option<Instant>,
}

impl Unsent {
    /// Notes keys, behind those that were lost just before.
    pub(super) fn note(&mut self, keys: &str, what: &str, now: Instant) {
        if !self.is_fresh(now) {
            self.keys.clear();
        }
        self.keys.push_str(keys);
        // No more than a notice shows.
        if let Some((at, _)) = self.keys.char_indices().rev().nth(SHOWN_KEYS - 1) {
            self.keys.drain(..at);
        }
        what.clone_into(&mut self.what);
        self.at = Some(now);
    }

    /// What is to be said of all of them; nothing when the last were lost long ago.
    pub(super) fn words(&self, now: Instant) -> Option<String> {
        self.is_fresh(now).then(|| of_keys(&self.what, &self.keys))
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.at
            .is_some_and(|at| now.saturating_duration_since(at) < FRESH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_were_lost_one_by_one_are_named_together_for_a_while() {
        let mut unsent = Unsent::default();
        let begin = Instant::now();
        assert_eq!(unsent.words(begin), None);
        unsent.note("l", "was not sent", begin);
        unsent.note("s\r", "may not have arrived", begin);
        let said = unsent.words(begin).unwrap();
        assert_eq!(said, "\"ls\\r\": may not have arrived");
        let later = begin + FRESH;
        assert_eq!(unsent.words(later), None);
        unsent.note("x", "was not sent", later);
        assert_eq!(unsent.words(later).unwrap(), "\"x\": was not sent");
    }

    #[test]
    fn of_many_keys_the_last_ones_are_named() {
        let mut unsent = Unsent::default();
        let keys: String = ('a'..='z').cycle().take(100).collect();
        for key in keys.chars() {
            unsent.note(&key.to_string(), "was not sent", Instant::now());
        }
        let said = unsent.words(Instant::now()).unwrap();
        assert_eq!(said, format!("{:?}: was not sent", &keys[60..]));
    }
}
