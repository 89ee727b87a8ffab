//! What goes over the connections of the load program, byte for byte. Written by hand rather than with the libraries that
//! opsctl uses: the program shares two cores with what it measures, so every delivery must cost it next to nothing.
//!
//! - [`websocket`]: the client's side of RFC 6455.
//! - [`nats`]: the few words of NATS' protocol that publishing and subscribing take.
//! - [`record`]: what is sent: who, which, when.

pub mod nats;
pub mod record;
pub mod websocket;
