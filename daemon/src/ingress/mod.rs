//! The way in: listeners, the HTTP router, the upgrade to a WebSocket, and one task for each connection that turns
//! frames into hub events.
//!
//! - [`listen`]: the unix socket and TCP.
//! - [`census`]: who is connected, and how many may be.
//! - [`serve`]: connections on the listeners; [`turn_away`]: those for which there is no place.
//! - [`mod@router`]: which route does what.
//! - [`upgrade`]: who may open a WebSocket, in which subprotocol.
//! - [`mod@line`]: a connection below its messages.
//! - [`hello`]: a fresh connection says who it is, in time.
//! - [`agent`], [`dashboard`]: a connection's life.
//! - [`poll`]: dashboards without a WebSocket, whose messages travel in HTTP answers.
//! - [`intake`]: an agent's output on its way into the log.
//! - [`conduct`]: how often a peer may send what cannot be read.
//! - [`limits`], [`rate`]: how often it may send what can.

mod agent;
mod census;
mod conduct;
mod dashboard;
mod hello;
mod intake;
pub mod limits;
mod line;
pub mod listen;
mod poll;
mod rate;
mod router;
mod serve;
mod turn_away;
mod upgrade;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opsctl_link::Patience;
use tokio::sync::mpsc;

use crate::auth::Secret;
use crate::drain::Edges;
use crate::fanout::delivery::Sources;
use crate::fanout::departures::Departures;
use crate::hub::{ConnId, Event};
use crate::store::Store;

pub use census::{Caps, LOCAL_RESERVE, Lobby};
pub use poll::Polls;
pub use rate::Rates;
pub use router::router;
pub use serve::Serving;

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
    /// When output goes out to dashboards that was held back.
    pub departures: Departures,
    /// How long any connection may take over what.
    pub patience: Patience,
    /// How often agents may say what.
    pub agent_rates: Arc<Rates>,
    /// How often dashboards may say what.
    pub dashboard_rates: Arc<Rates>,
    /// Who is connected, and how all of them are told to go.
    pub edges: Edges,
    /// Numbers connections.
    pub conns: Arc<AtomicU64>,
    /// The dashboards that come by long-polling.
    pub polls: Arc<Polls>,
    /// The daemon's program version.
    pub version: &'static str,
}

impl Context {
    /// A number for a new connection.
    fn next_conn(&self) -> ConnId {
        ConnId(self.conns.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
