//! What programs are doing, as far as it can be known, for the hub to tell.
//!
//! - [`front`]: what is in front in a terminal, and what that means.
//! - [`rules`]: what stands on a screen, and what that means.
//! - [`screens`]: the screens that rules are held against.
//! - [`standing`]: what several sources say about one command, and which of them counts.
//!
//! All of it lives in the daemon, not with the agent: what is found out here survives that an agent goes and comes, works
//! for agents in any language, and needs no newer holder for a newer rule.

pub mod front;
pub mod rules;
pub mod screens;
pub mod standing;

pub use rules::{Finding, RuleError, Rules};
pub use screens::{Look, Screens};
pub use standing::{Standing, Word};
