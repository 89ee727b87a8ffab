//! Keys that did not arrive, gathered for whoever typed them: one line for what was typed together. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// Characters that a line repeats, the first ones: from there on a person types again.
const SHOWN: usize = 40;

/// Bytes of them that are kept, which are enough for that. What is beyond is counted.
const KEPT: usize = SHOWN * 4;

/// Reasons that are told apart at once: there is an agent that is away, a command that has ended, a connection that is lost.
const REASONS: usize = 4;

/// What is said of keys once there are more reasons than that.
const SEVERAL: &str = "may not have arrived, for several reasons";

/// Keys that were lost for the same reason, in the order in which they were typed. Its `Display` is the line about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What became of them, for people.
    why: String,
    /// The first of them, by their place among all that was typed.
    first: BTreeMap<u64, Bytes>,
    /// How many characters they are in all.
    count: usize,
}

impl Lost {
    /// Keys that stand at this place among all that was typed.
    pub fn new(place: u64, keys: &Bytes, why: impl Into<String>) -> Self {
        let mut lost = Self {
            why: why.into(),
            first: BTreeMap::new(),
            count: characters(keys),
        };
        lost.keep(place, keys.slice(..keys.len().min(KEPT)));
        lost
    }

    /// Takes others in.
    fn join(&mut self, other: Self) {
        self.count += other.count;
        for (place, keys) in other.first {
            self.keep(place, keys);
        }
    }

    /// Keeps keys, and of all of them only the first ones.
    fn keep(&mut self, place: u64, keys: Bytes) {
        self.first.insert(place, keys);
        let mut kept: usize = self.first.values().map(Bytes::len).sum();
        while let Some(last) = self.first.last_entry()
            && kept - last.get().len() >= KEPT
        {
            kept -= last.remove().len();
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> = self.first.values().flatten().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let mut shown: String = text.chars().take(SHOWN).collect();
        let more = self.count.saturating_sub(shown.chars().count());
        if more == 0 {
            return write!(f, "{shown:?}: {}", self.why);
        }
        shown.push('…');
        write!(f, "{shown:?} and {} more: {}", grouped(more), self.why)
    }
}

/// Characters in what may end within one: the bytes that begin one.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Lost keys by reason. At most [`REASONS`]; the keys of further ones go with the last, whose reason is then a vague one.
#[derive(Debug, Default)]
pub struct Gathered(Vec<Lost>);

impl Gathered {
    /// Takes keys in.
    pub fn add(&mut self, lost: Lost) {
        if let Some(known) = self.0.iter_mut().find(|known| known.why == lost.why) {
            return known.join(lost);
        }
        let is_full = self.0.len() >= REASONS;
        match self.0.last_mut() {
            Some(vague) if is_full => {
                SEVERAL.clone_into(&mut vague.why);
                vague.join(lost);
            }
            _ => self.0.push(lost),
        }
    }

    /// What there is, one line each.
    pub fn lines(&self) -> &[Lost] {
        &self.0
    }

    /// Takes all out.
    pub fn take(&mut self) -> Vec<Lost> {
        std::mem::take(&mut self.0)
    }
}

/// For how long lost keys are of interest: who has typed on since knows.
const FRESH: Duration = Duration::from_mins(1);

/// The keys that were lost lately, in all: for where a line about them does not stay.
#[derive(Debug, Default)]
pub struct Lately {
    lost: Gathered,
    /// When the last of them were.
    at: Option<Instant>,
}

impl Lately {
    /// Notes keys, behind those that were lost just before.
    pub fn note(&mut self, lost: Lost, now: Instant) {
        if !self.is_fresh(now) {
            self.lost.take();
        }
        self.lost.add(lost);
        self.at = Some(now);
    }

    /// What is to be said of all of them, one line each; nothing when the last were lost long ago.
    pub fn lines(&self, now: Instant) -> &[Lost] {
        if self.is_fresh(now) {
            self.lost.lines()
        } else {
            &[]
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.at
            .is_some_and(|at| now.saturating_duration_since(at) < FRESH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(place: u64, keys: &str, why: &str) -> Lost {
        Lost::new(place, &Bytes::copy_from_slice(keys.as_bytes()), why)
    }

    fn lines(gathered: &Gathered) -> Vec<String> {
        gathered.lines().iter().map(Lost::to_string).collect()
    }

    #[test]
    fn keys_are_named_by_reason_in_the_order_of_typing() {
        let mut gathered = Gathered::default();
        for (place, key, why) in [(2, "s", "away"), (1, "l", "away"), (3, "\r", "ended")] {
            gathered.add(lost(place, key, why));
        }
        assert_eq!(lines(&gathered), [r#""ls": away"#, r#""\r": ended"#]);
    }

    #[test]
    fn of_many_keys_the_first_are_named_and_the_others_counted() {
        let mut gathered = Gathered::default();
        // Backwards, as answers may come.
        for place in (0..1500_u64).rev() {
            gathered.add(lost(place, &format!("{place:04}"), "away"));
        }
        let shown = "0000000100020003000400050006000700080009";
        assert_eq!(
            lines(&gathered),
            [format!("\"{shown}…\" and 5,960 more: away")]
        );
        assert!(gathered.lines()[0].first.len() <= KEPT / 4 + 1);
    }

    #[test]
    fn a_paste_is_counted_in_characters_wherever_it_was_cut() {
        let paste = "ä".repeat(1041);
        let (one, two) = paste.as_bytes().split_at(999);
        let mut gathered = Gathered::default();
        gathered.add(Lost::new(0, &Bytes::copy_from_slice(one), "away"));
        gathered.add(Lost::new(1, &Bytes::copy_from_slice(two), "away"));
        let shown = "ä".repeat(SHOWN);
        assert_eq!(
            lines(&gathered),
            [format!("\"{shown}…\" and 1,001 more: away")]
        );
    }

    #[test]
    fn reasons_without_end_stay_few() {
        let mut gathered = Gathered::default();
        for place in 0..9 {
            gathered.add(lost(place, "x", &place.to_string()));
        }
        let told = lines(&gathered);
        assert_eq!(told.len(), REASONS);
        assert_eq!(told[REASONS - 1], format!("\"xxxxxx\": {SEVERAL}"));
    }

    #[test]
    fn keys_that_were_lost_one_by_one_are_named_together_for_a_while() {
        let mut lately = Lately::default();
        let begin = Instant::now();
        let said = |lately: &Lately, now| -> Vec<String> {
            lately.lines(now).iter().map(Lost::to_string).collect()
        };
        assert!(said(&lately, begin).is_empty());
        lately.note(lost(0, "l", "away"), begin);
        lately.note(lost(1, "s\r", "away"), begin);
        assert_eq!(said(&lately, begin), [r#""ls\r": away"#]);
        let later = begin + FRESH;
        assert!(said(&lately, later).is_empty());
        lately.note(lost(2, "x", "away"), later);
        assert_eq!(said(&lately, later), [r#""x": away"#]);
    }
}
