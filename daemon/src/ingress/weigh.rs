//! What a message takes in the hub's queue, as far as its sender decides that.

use opsctl_protocol::{AgentMessage, DashboardMessage};

use crate::fanout::weight::{map, tree};

/// The bytes of a message whose text has so many: of arbitrary values, as they are in memory, where each takes many times
/// what it takes in the text.
pub(super) trait Weigh {
    /// See the trait.
    fn weigh(&self, text: usize) -> usize;
}

impl Weigh for AgentMessage {
    fn weigh(&self, text: usize) -> usize {
        let values = match self {
            Self::Publish(publish) => tree(&publish.data),
            Self::ActivityLog(line) => map(line.metadata.iter()),
            _ => 0,
        };
        text.max(values)
    }
}

impl Weigh for DashboardMessage {
    fn weigh(&self, text: usize) -> usize {
        match self {
            Self::Publish(publish) => text.max(tree(&publish.data)),
            _ => text,
        }
    }
}
