//! What fans out: opsctl's daemon, and what it is compared with. Each takes the same records from the same sources and
//! gives them to the same watchers.
//!
//! - [`opsctl`]: the daemon, with agents and dashboards as the contract has them.
//! - [`node`]: a bare hub on Node and `ws`.
//! - [`mod@nats`]: the server of that name.

pub mod nats;
pub mod node;
pub mod opsctl;

use anyhow::Result;
use rustix::process::Pid;

use crate::net::{Heard, Id, Net};
use crate::wire::record::BYTES;

/// Something that fans out.
pub trait Hub {
    /// For tables.
    fn name(&self) -> String;

    /// Its process.
    fn pid(&self) -> Pid;

    /// Connects a source; they are numbered from 0.
    fn source(&self, net: &mut Net, number: usize) -> Result<(Id, Box<dyn Source>)>;

    /// Connects a watcher of all sources.
    fn watcher(&self, net: &mut Net) -> Result<(Id, Box<dyn Peer>)>;
}

/// One end of a connection to a hub.
pub trait Peer {
    /// Handles what comes; watchers' records don't come here.
    fn heard(&mut self, net: &mut Net, id: Id, heard: Heard<'_>);

    /// Whether all has been said and answered that must come first.
    fn is_ready(&self) -> bool;

    /// How often the hub has said that something was left out.
    fn gaps(&self) -> u64 {
        0
    }
}

/// A peer that records come from.
pub trait Source: Peer {
    /// Queues a record.
    fn publish(&mut self, net: &mut Net, id: Id, record: &[u8; BYTES]);
}
