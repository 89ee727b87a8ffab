//! The middle: ingress, hub, rings and cursors, store and output log.

pub mod auth;
pub mod log;
pub mod state_dir;
pub mod store;
