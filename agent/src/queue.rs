//! Which commands run now and which wait for a free place. No IO.

use std::collections::{BTreeSet, VecDeque};

use opsctl_protocol::CommandId;

/// Commands that run, at most so many, and those that wait, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Queue {
    /// How many run at once.
    places: usize,
    /// Those that have a place. After a restart there may be more of them than places.
    running: BTreeSet<CommandId>,
    /// Those that wait. The daemon holds back what passes the bound that it was told, so few ever do.
    waiting: VecDeque<CommandId>,
}

impl Queue {
    /// At least one place there is.
    pub(crate) fn new(places: u32) -> Self {
        Self {
            places: (places as usize).max(1),
            running: BTreeSet::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Takes a command in. Returns whether it has a place; else it waits.
    pub(crate) fn push(&mut self, id: CommandId) -> bool {
        let free = self.waiting.is_empty() && self.running.len() < self.places;
        if free {
            self.running.insert(id);
        } else {
            self.waiting.push_back(id);
        }
        free
    }

    /// Gives a place to a command that runs already.
    pub(crate) fn occupy(&mut self, id: CommandId) {
        self.running.insert(id);
    }

    /// Takes a command out, whether it runs or waits. Returns those that have a place now.
    pub(crate) fn remove(&mut self, id: CommandId) -> Vec<CommandId> {
        self.running.remove(&id);
        self.waiting.retain(|other| *other != id);
        let free = self
            .places
            .saturating_sub(self.running.len())
            .min(self.waiting.len());
        let next: Vec<CommandId> = self.waiting.drain(..free).collect();
        self.running.extend(&next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(n: u8) -> CommandId {
        CommandId([n; 16])
    }

    #[test]
    fn first_come_first_served() {
        let mut queue = Queue::new(2);
        assert!(queue.push(id(1)) && queue.push(id(2)));
        assert!(!queue.push(id(3)) && !queue.push(id(4)) && !queue.push(id(5)));
        assert_eq!(queue.remove(id(4)), []);
        assert_eq!(queue.remove(id(1)), [id(3)]);
        assert_eq!(queue.remove(id(1)), []);
        assert_eq!(queue.remove(id(3)), [id(5)]);
    }

    #[test]
    fn what_a_restart_found_running_counts() {
        let mut queue = Queue::new(1);
        queue.occupy(id(1));
        queue.occupy(id(2));
        assert!(!queue.push(id(3)));
        assert_eq!(queue.remove(id(1)), []);
        assert_eq!(queue.remove(id(2)), [id(3)]);
    }

    proptest! {
        #[test]
        fn never_more_than_places_and_nobody_is_forgotten(
            places in 1_u32..5,
            steps in prop::collection::vec((any::<bool>(), 0_u8..30), 0..100),
        ) {
            let mut queue = Queue::new(places);
            let (mut running, mut pushed) = (BTreeSet::new(), BTreeSet::new());
            for (push, n) in steps {
                if push && pushed.insert(n) {
                    if queue.push(id(n)) {
                        running.insert(id(n));
                    }
                } else if !push {
                    running.remove(&id(n));
                    running.extend(queue.remove(id(n)));
                }
                prop_assert!(running.len() <= places as usize);
                prop_assert!(queue.waiting.is_empty() || running.len() == places as usize);
            }
        }
    }
}
