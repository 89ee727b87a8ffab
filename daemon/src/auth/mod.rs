//! Who somebody is: the key that signs tokens, and the tokens themselves (JWT, HS256).
//!
//! - [`secret`]: the key, in a file that only its owner can read.
//! - [`token`]: issuing and checking.

pub mod secret;
pub mod token;

pub use secret::{Secret, SecretError};
pub use token::{Grant, TokenError, issue, verify};
