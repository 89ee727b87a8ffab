//! The wire contract between agents, the daemon and dashboards. Types and pure rules only: no sockets, no clock of its
//! own beyond [`Timestamp::now`], no async.
//!
//! In the order in which data flows:
//!
//! - [`ids`]: agent names, command ids, channels, offsets.
//! - [`selector`]: which agents a person means (`web-* and env=prod`).
//! - [`message`]: every payload, and the four directions that messages travel in.
//! - [`codec`]: envelope and text frames; compression; what a bad frame is called.
//! - [`frame`]: binary frames for bulk.
//! - [`poll`]: messages in HTTP answers, where no WebSocket gets through.
//! - [`close`]: WebSocket close codes, and whether to come back after each.
//! - [`reconnect`]: when to come back.
//! - [`limits`]: every bound that both sides must know.

pub mod ids;
pub mod selector;

pub mod message;

pub mod codec;
pub mod frame;
pub mod poll;

pub mod close;
pub mod limits;
pub mod reconnect;

pub use codec::{DecodeError, Decoded, Header, decode, encode};
pub use frame::{BinaryFrame, OutputFrame};
pub use ids::{AgentId, Channel, CommandId, Pattern, Timestamp};
pub use message::{AgentMessage, DashboardMessage, ToAgent, ToDashboard};

/// The protocol version that this build speaks; the major part decides whether two programs understand each other.
pub const VERSION: &str = "1.0.0";

/// The WebSocket subprotocol with text frames only, also what a client that names none gets.
pub const SUBPROTOCOL_TEXT: &str = "opsctl.v1";

/// The WebSocket subprotocol with binary frames for bulk.
pub const SUBPROTOCOL_BINARY: &str = "opsctl.v1.bin";
