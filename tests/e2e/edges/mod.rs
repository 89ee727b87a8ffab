//! The edges of connections: how they are kept alive, how they are bounded, how they end, how they come back.
//!
//! - [`heartbeats`]: a connection that only looks alive is found, on each side.
//! - [`limits`]: how often a connection may say what, and how many there may be.
//! - [`patience`]: peers that take their time.
//! - [`hostile`]: peers that try to fill the daemon's memory.
//! - [`drain`]: the daemon stops.
//! - [`polling`]: a network that lets no WebSocket through.
//! - [`returning`]: a fleet comes back.

mod drain;
mod heartbeats;
mod hostile;
mod limits;
mod patience;
mod polling;
mod returning;

use crate::harness::{Sandbox, TestDaemon};

/// A daemon with these settings.
#[track_caller]
fn daemon_with(settings: &str) -> TestDaemon {
    let sandbox = Sandbox::new();
    sandbox.file("config.toml", settings);
    TestDaemon::start_in(sandbox, [])
}
