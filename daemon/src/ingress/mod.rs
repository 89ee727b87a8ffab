//! The way in: listeners, the HTTP router, the upgrade to a WebSocket, and one task for each connection that turns
//! frames into hub events.
//!
//! - [`listen`]: the unix socket and TCP, and connections on them.
//! - [`mod@router`]: which route does what.
//! - [`upgrade`]: who may open a WebSocket, in which subprotocol.
//! - [`hello`]: a fresh connection says who it is, in time.
//! - [`agent`], [`dashboard`]: a connection's life.
//! - [`intake`]: an agent's output on its way into the log.
//! - [`conduct`]: how often a peer may send what cannot be read.

mod agent;
mod conduct;
mod dashboard;
mod hello;
mod intake;
pub mod listen;
mod router;
mod upgrade;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Secret;
use crate::fanout::delivery::Sources;
use crate::hub::{ConnId, Event};
use crate::store::Store;

pub use router::router;

/// What every connection needs.
#[derive(Clone)]
pub struct Context {
    /// To the hub.
    pub events: mpsc::Sender<Event>,
    /// Which commands have ended, for agents that come back.
    pub store: Arc<dyn Store>,
    /// What deliveries read.
    pub sources: Sources,
    /// What tokens are signed with.
    pub secret: Arc<Secret>,
    /// How long a fresh connection may take to say who it is.
    pub hello_timeout: Duration,
    /// How long output may wait for more before it goes out to a dashboard.
    pub batch_limit: Duration,
    /// The daemon stops.
    pub stop: CancellationToken,
    /// Connections under way.
    pub tasks: TaskTracker,
    /// Numbers connections.
    pub conns: Arc<AtomicU64>,
    /// The daemon's program version.
    pub version: &'static str,
}

impl Context {
    /// A number for a new connection.
    fn next_conn(&self) -> ConnId {
        ConnId(self.conns.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
