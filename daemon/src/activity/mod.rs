//! What programs are doing, as far as it can be known, for the hub to tell.
//!
//! - [`standing`]: what several sources say about one command, and which of them counts.
//!
//! All of it lives in the daemon, not with the agent: what is found out here survives that an agent goes and comes, works
//! for agents in any language, and needs no newer holder for a newer rule.

pub mod standing;

pub use standing::{Standing, Word};
