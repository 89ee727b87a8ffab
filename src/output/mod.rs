//! The forms in which the commands show things.
//!
//! - [`printer`]: bytes to stdout and stderr, from a thread of their own.
//! - [`color`]: whether and how to colour.
//! - [`table`]: columns that fit the terminal.
//! - [`nodeset`]: names folded, `web-[1-3]`.
//! - [`size`]: bytes for people.
//! - [`time`]: ages and RFC 3339.

pub mod color;
pub mod nodeset;
pub mod printer;
pub mod size;
pub mod table;
pub mod time;
