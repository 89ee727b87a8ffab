//! The console: agents and their terminals on one screen.
//!
//! In the order in which data flows:
//!
//! - `conn`: the connection to the daemon; events become [`state::Message`]s, and
//!   [`state::Effect`]s are done.
//! - `log`: older output and recordings, from the daemon's log.
//! - [`input`]: what comes from the terminal.
//! - [`keys`], [`encode`]: what a key means here, and what it is to a program.
//! - [`state`]: a pure reducer; no IO, no clock.
//! - [`export`]: a terminal's lines as text.
//! - [`layout`], [`age`], [`clock`]: where things are, how long ago, at what time of day.
//! - [`view`]: draws a `&State`; [`canvas`]: the last frame, and what the next one changes of it.
//! - [`alert`]: how the operator's own terminal is called.
//! - [`themes`]: the themes that there are.
//! - `memory`: what lasts from one start to the next.
//! - `hand_over`: texts for the editor, the clipboard and files.
//! - [`tty`]: the real terminal, and that it is left as it was found.
//! - `pace`: when frames are drawn.
//! - [`app`]: the loop around all of it.

#![allow(
    clippy::cast_possible_wrap,
    reason = "rows and columns are 16 bits wide, and no terminal scrolls 2^63 lines"
)]

pub mod age;
pub mod alert;
pub mod app;
pub mod canvas;
pub mod clock;
pub mod encode;
pub mod export;
pub mod input;
pub mod keys;
pub mod layout;
pub mod state;
pub mod themes;
pub mod tty;
pub mod view;

mod conn;
mod hand_over;
mod log;
mod memory;
mod pace;

pub use app::{Error, Options, run, run_on};
