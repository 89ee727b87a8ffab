//! The far end.
mod holder;
mod socket;
mod wire;
pub use holder::holder_main;
