//! From the hub's channels to the dashboards' sockets: a ring for each channel, a cursor for each subscriber, no queue in
//! between. What a slow subscriber missed it reads later, from the ring, from the output log, or as a `gap` and a
//! snapshot.
//!
//! - [`channel`]: a channel's ring of pushes, encoded at most once for each encoding.
//! - [`weight`]: what a push takes in memory.
//! - [`outbox`]: what waits for one dashboard: control messages, and which subscriptions have news.
//! - [`pace`]: whether output goes at once or is held back.
//! - [`departures`]: when what is held back goes, the same for all.
//! - [`keyframe`]: the screen at the front of a command's ring, for those who come late.
//! - [`delivery`]: turns an outbox into frames, cursor by cursor.
//! - [`behind`]: what it does for a subscription that the ring has left behind.
//! - [`replay`]: a command's output read back from the log.

pub mod behind;
pub mod channel;
pub mod delivery;
pub mod departures;
pub mod keyframe;
pub mod outbox;
pub mod pace;
pub mod replay;
mod weight;

pub use channel::{Entry, Piece, Stream};
pub use delivery::Delivery;
pub use outbox::{Outbox, Subscription};

#[cfg(test)]
mod tests;
