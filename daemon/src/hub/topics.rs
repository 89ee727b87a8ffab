//! Which channels that belong to no known agent or command are kept. Anybody can name one and fill it, so all of them
//! together are bounded: what was published to longest ago goes first. Pure.

use std::collections::{BTreeMap, HashMap};

use opsctl_protocol::Channel;

/// Channels that are kept. Each costs every dashboard that covers it a subscription, too.
pub(super) const MAX_TOPICS: usize = 4096;

/// Bytes of pushes that all of them hold together, as the rings weigh them.
pub(super) const MAX_TOPIC_BYTES: usize = 16 * 1024 * 1024;

/// The channels, in the order in which they were published to.
#[derive(Debug, Default)]
pub(super) struct Topics {
    /// Counts what was published; gives the order.
    clock: u64,
    oldest_first: BTreeMap<u64, Channel>,
    held: HashMap<Channel, Held>,
    /// What `held` weighs together.
    bytes: usize,
}

/// What is known of one channel.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// When it was last published to.
    at: u64,
    /// What its ring holds.
    bytes: usize,
}

impl Topics {
    /// Whether a channel is one of these.
    pub(super) fn contains(&self, channel: &Channel) -> bool {
        self.held.contains_key(channel)
    }

    /// Notes that a channel was made or published to and what its ring holds now, in bytes.
    pub(super) fn touch(&mut self, channel: &Channel, bytes: usize) {
        self.remove(channel);
        self.clock += 1;
        let at = self.clock;
        self.oldest_first.insert(at, channel.clone());
        self.held.insert(channel.clone(), Held { at, bytes });
        self.bytes += bytes;
    }

    /// A channel is gone, or has come to belong to somebody.
    pub(super) fn remove(&mut self, channel: &Channel) {
        if let Some(Held { at, bytes }) = self.held.remove(channel) {
            self.oldest_first.remove(&at);
            self.bytes -= bytes;
        }
    }

    /// The channel that has to go next, while there is too much. The newest always stays.
    pub(super) fn pop_excess(&mut self) -> Option<Channel> {
        let too_much = self.held.len() > MAX_TOPICS || self.bytes > MAX_TOPIC_BYTES;
        if !too_much || self.held.len() == 1 {
            return None;
        }
        let (_, channel) = self.oldest_first.pop_first()?;
        self.remove(&channel);
        Some(channel)
    }
}

#[cfg(test)]
mod tests {
    use opsctl_protocol::ids::Topic;
    use proptest::prelude::*;

    use super::*;

    fn topic(number: usize) -> Channel {
        Channel::Topic(Topic::Task, number.to_string())
    }

    #[test]
    fn the_one_published_to_longest_ago_goes_first() {
        let mut topics = Topics::default();
        let third = MAX_TOPIC_BYTES / 3;
        for number in [1, 2, 3, 1] {
            topics.touch(&topic(number), third);
        }
        assert_eq!(topics.pop_excess(), None);
        topics.touch(&topic(4), third);
        assert_eq!(topics.pop_excess(), Some(topic(2)));
        assert_eq!(topics.pop_excess(), None);
        assert!(topics.contains(&topic(1)));
    }

    #[test]
    fn empty_ones_are_counted() {
        let mut topics = Topics::default();
        (0..=MAX_TOPICS).for_each(|number| topics.touch(&topic(number), 0));
        assert_eq!(topics.pop_excess(), Some(topic(0)));
        assert_eq!(topics.pop_excess(), None);
    }

    proptest! {
        #[test]
        fn bytes_are_bounded(pushes in prop::collection::vec((0..20_usize, 0..MAX_TOPIC_BYTES / 2), 0..100)) {
            let mut topics = Topics::default();
            let mut model = HashMap::new();
            for (number, bytes) in pushes {
                topics.touch(&topic(number), bytes);
                model.insert(topic(number), bytes);
                while let Some(gone) = topics.pop_excess() {
                    prop_assert!(gone != topic(number));
                    prop_assert!(model.remove(&gone).is_some());
                }
                let held: usize = model.values().sum();
                prop_assert_eq!(held, topics.bytes);
                prop_assert!(held <= MAX_TOPIC_BYTES);
                prop_assert_eq!(topics.held.len(), topics.oldest_first.len());
            }
        }
    }
}
