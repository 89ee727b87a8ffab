//! A connection below its messages, as the hub may know it.

use std::sync::Arc;

use opsctl_link::Pulse;
use opsctl_protocol::message::Traffic;

use super::listen::Peer;
use crate::hub::Wire;

/// Where a connection comes from, and what goes over it.
pub(super) struct Line {
    peer: Peer,
    pulse: Arc<Pulse>,
}

impl Line {
    /// That of a connection from `peer` with this pulse.
    pub(super) fn new(peer: Peer, pulse: &Arc<Pulse>) -> Arc<Self> {
        Arc::new(Self {
            peer,
            pulse: Arc::clone(pulse),
        })
    }
}

impl Wire for Line {
    fn address(&self) -> String {
        match self.peer {
            Peer::Local { .. } => "unix".to_owned(),
            Peer::Remote(address) => address.to_string(),
        }
    }

    fn received(&self) -> Traffic {
        self.pulse.received()
    }

    fn sent(&self) -> Traffic {
        self.pulse.sent()
    }
}
