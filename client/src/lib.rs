//! A dashboard's connection to the daemon, as the console and every command use it: it reconnects by requirement R1 and
//! resumes every subscription where it stood (R4), so that a consumer sees each push and each byte once and in order.
//!
//! In the order in which data flows:
//!
//! - [`handle`]: what the program holds to speak: [`Client`], [`start`].
//! - `connection`: the task that owns everything: dials, waits, comes back.
//! - `session`: one open WebSocket within it.
//! - `unread`: whether the program was too slow for it. Pure.
//! - `pending`: requests whose answer is still to come; they survive a reconnect.
//! - `resume`: what is subscribed and how far each stream was seen. Pure.
//! - [`event`]: what the program hears: [`Events`].
//! - [`typist`]: keys that a person types, and what is said of those that are lost.
//! - [`lost`]: how that is gathered and put. Pure.
//! - [`input`]: bulk input for a command, over a window, surviving a reconnect.

pub mod handle;

mod connection;
mod pending;
mod resume;
mod session;
mod unread;

pub mod event;
pub mod input;
pub mod lost;
pub mod typist;

pub use event::{ConnState, Event, Events};
pub use handle::{
    Client, NotConnected, NotTyped, Options, Outcome, Receipt, RequestError, WEBSOCKET_RETRY,
    start, start_with_room,
};
pub use input::{InputEnded, InputPump};
pub use lost::{Lately, Lost};
pub use opsctl_link::Transport;
pub use typist::Typist;
