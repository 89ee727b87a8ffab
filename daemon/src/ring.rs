//! A bounded history of numbered entries: the oldest go first. Pure; the numbers never repeat and have no holes.

use std::collections::VecDeque;

/// What an entry costs against a ring's bounds.
pub trait Weigh {
    /// Bytes of payload.
    fn bytes(&self) -> usize;
    /// Ends of lines in the payload.
    fn lines(&self) -> usize;
}

/// How much a ring keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Entries.
    pub entries: usize,
    /// Bytes of payload.
    pub bytes: usize,
    /// Lines of payload.
    pub lines: usize,
}

/// Entries numbered from 1; [`Ring::push`] drops from the front what passes the bounds. The newest entry always stays,
/// however heavy it is.
#[derive(Debug)]
pub struct Ring<T> {
    bounds: Bounds,
    entries: VecDeque<T>,
    /// The number of the entry at the front; when empty, of the next to come.
    first: u64,
    bytes: usize,
    lines: usize,
}

impl<T: Weigh> Ring<T> {
    /// An empty ring.
    pub fn new(bounds: Bounds) -> Self {
        Self::starting_at(1, bounds)
    }

    /// An empty ring whose first entry gets this number.
    pub fn starting_at(first: u64, bounds: Bounds) -> Self {
        Self {
            bounds,
            entries: VecDeque::new(),
            first,
            bytes: 0,
            lines: 0,
        }
    }

    /// Adds an entry and returns how many old ones it pushed out.
    pub fn push(&mut self, entry: T) -> usize {
        self.bytes += entry.bytes();
        self.lines += entry.lines();
        self.entries.push_back(entry);
        let before = self.entries.len();
        while self.entries.len() > 1 && self.is_over() {
            if let Some(old) = self.entries.pop_front() {
                self.bytes -= old.bytes();
                self.lines -= old.lines();
                self.first += 1;
            }
        }
        before - self.entries.len()
    }

    fn is_over(&self) -> bool {
        self.entries.len() > self.bounds.entries
            || self.bytes > self.bounds.bytes
            || self.lines > self.bounds.lines
    }

    /// The number of the oldest entry, or of the next to come when the ring is empty.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next entry will get.
    pub fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The entry with this number, while the ring holds it.
    pub fn get(&self, number: u64) -> Option<&T> {
        let at = number.checked_sub(self.first)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// The entries, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.iter()
    }

    /// Bytes of payload held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Line(usize);

    impl Weigh for Line {
        fn bytes(&self) -> usize {
            self.0
        }

        fn lines(&self) -> usize {
            self.0 / 10
        }
    }

    proptest! {
        #[test]
        fn keeps_the_newest_within_its_bounds(
            weights in prop::collection::vec(0_usize..40, 0..200),
            entries in 1_usize..20,
            bytes in 1_usize..200,
            lines in 1_usize..20,
        ) {
            let bounds = Bounds { entries, bytes, lines };
            let mut ring = Ring::new(bounds);
            let mut dropped = 0;
            for (at, weight) in weights.iter().enumerate() {
                dropped += ring.push(Line(*weight));
                let kept = &weights[dropped..=at];
                // A model: the longest tail that fits, and at least one.
                let fits = |tail: &[usize]| {
                    tail.len() <= entries
                        && tail.iter().sum::<usize>() <= bytes
                        && tail.iter().map(|weight| weight / 10).sum::<usize>() <= lines
                };
                prop_assert!(kept.len() == 1 || fits(kept));
                prop_assert!(dropped == 0 || !fits(&weights[dropped - 1..=at]));
                prop_assert_eq!(ring.first(), dropped as u64 + 1);
                prop_assert_eq!(ring.next(), at as u64 + 2);
                prop_assert_eq!(ring.bytes(), kept.iter().sum::<usize>());
                prop_assert_eq!(ring.get(ring.first()), Some(&Line(kept[0])));
                prop_assert_eq!(ring.get(ring.first() - 1), None);
                prop_assert_eq!(ring.get(ring.next()), None);
            }
        }
    }
}
