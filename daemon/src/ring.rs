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
    /// Bytes of payload that are kept in any case, for readers on their way: ten thousand short lines are less than what
    /// comes while a reader's socket takes one write.
    pub reserve: usize,
}

impl Bounds {
    /// For a command's output, and the statuses in between. A quarter of the bytes is kept in any case.
    pub fn of_command(lines: usize, bytes: usize) -> Self {
        Self {
            entries: lines * 2,
            bytes,
            lines,
            reserve: bytes / 4,
        }
    }
}

/// Entries numbered from 1; [`Ring::push`] drops from the front what passes the bounds and the reserve. The newest entry
/// always stays, however heavy it is.
#[derive(Debug)]
pub struct Ring<T> {
    bounds: Bounds,
    entries: VecDeque<T>,
    /// The number of the entry at the front; when empty, of the next to come.
    first: u64,
    /// Whether an entry has gone.
    has_dropped: bool,
    /// How many entries at the front are there only for the reserve.
    reserved: usize,
    /// Bytes of payload in those.
    reserved_bytes: usize,
    /// Bytes of payload in the others.
    bytes: usize,
    /// Lines of payload in the others.
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
            has_dropped: false,
            reserved: 0,
            reserved_bytes: 0,
            bytes: 0,
            lines: 0,
        }
    }

    /// Adds an entry and returns how many old ones it pushed out.
    pub fn push(&mut self, entry: T) -> usize {
        self.bytes += entry.bytes();
        self.lines += entry.lines();
        self.entries.push_back(entry);
        while self.reserved + 1 < self.entries.len() && self.is_over() {
            let old = &self.entries[self.reserved];
            self.bytes -= old.bytes();
            self.lines -= old.lines();
            self.reserved_bytes += old.bytes();
            self.reserved += 1;
        }
        let before = self.entries.len();
        while self.reserved > 0 && self.is_over_reserve() {
            if let Some(old) = self.entries.pop_front() {
                self.reserved_bytes -= old.bytes();
                self.reserved -= 1;
                self.first += 1;
                self.has_dropped = true;
            }
        }
        before - self.entries.len()
    }

    fn is_over(&self) -> bool {
        self.entries.len() - self.reserved > self.bounds.entries
            || self.bytes > self.bounds.bytes
            || self.lines > self.bounds.lines
    }

    fn is_over_reserve(&self) -> bool {
        self.entries.len() > self.bounds.entries
            || self.reserved_bytes + self.bytes > self.bounds.reserve
    }

    /// Whether an entry is among those that go next: in the older quarter of a ring that has let others go.
    pub fn is_about_to_drop(&self, number: u64) -> bool {
        self.has_dropped && number < self.first + self.entries.len() as u64 / 4
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

    /// The entries within the bounds, oldest first: without those that are only there for the reserve.
    pub fn recent(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.range(self.reserved..)
    }

    /// Bytes of payload held.
    pub fn bytes(&self) -> usize {
        self.reserved_bytes + self.bytes
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
            reserve in 0_usize..200,
        ) {
            let bounds = Bounds { entries, bytes, lines, reserve };
            let mut ring = Ring::new(bounds);
            let mut dropped = 0;
            for (at, weight) in weights.iter().enumerate() {
                dropped += ring.push(Line(*weight));
                let kept = &weights[dropped..=at];
                // A model: the longest tail that fits, and at least one; more of it, where that fits into the reserve.
                let sum = |tail: &[usize]| tail.iter().sum::<usize>();
                let fits = |tail: &[usize]| {
                    tail.len() <= entries
                        && sum(tail) <= bytes
                        && tail.iter().map(|weight| weight / 10).sum::<usize>() <= lines
                };
                let recent: Vec<usize> = ring.recent().map(|line| line.0).collect();
                prop_assert!(kept.ends_with(&recent));
                prop_assert!(recent.len() == 1 || fits(&recent));
                let older = kept.len() - recent.len();
                prop_assert!(older == 0 || !fits(&kept[older - 1..]));
                prop_assert!(older == 0 || kept.len() <= entries && sum(kept) <= reserve);
                if dropped > 0 {
                    let longer = &weights[dropped - 1..=at];
                    prop_assert!(!fits(longer) && (longer.len() > entries || sum(longer) > reserve));
                }
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
