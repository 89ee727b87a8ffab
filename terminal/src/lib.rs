//! Terminal emulation: bytes of a pseudo-terminal become cells, and a screen becomes bytes again.
//!
//! The emulator is `alacritty_terminal`, kept behind [`Screen`] so that nobody else names it. In the
//! order in which data flows:
//!
//! - `tail`: the escape sequence or character that the bytes so far leave unfinished.
//! - `emulator`: alacritty's terminal behind a handler that remembers what it doesn't tell, and mends
//!   where it differs from xterm and tmux.
//! - `history`: lines that have scrolled out, packed.
//! - `prompts`: where the shell's prompts stand.
//! - [`Signals`]: what a program tells its terminal besides what is to be drawn, without emulation.
//! - [`Screen`]: what the daemon and the console hold: feed, resize, look.
//! - [`Lines`]: a copy of all its lines, for who takes longer to read them.
//! - `skim`: the short cut through floods of plain text.
//! - `cell`, `modes`: what drawing reads.
//! - `snapshot`: the screen as escape sequences, for those who join late.
//!
//! There is no IO and no clock here. Replies of the terminal (device attributes, cursor position)
//! are kept for [`Screen::take_replies`]; a watcher must not send them.

#![allow(
    clippy::cast_possible_wrap,
    reason = "rows and columns are 16 bits wide, and the scrollback is far from 2^31 lines"
)]

mod cell;
mod emulator;
mod history;
mod lines;
mod modes;
mod prompts;
mod screen;
mod signals;
mod skim;
mod snapshot;
mod tail;

pub use cell::{Attributes, Cell, Color, Row, Underline, Width};
pub use history::Limit;
pub use lines::Lines;
pub use modes::{Cursor, CursorShape, Modes, Mouse, MouseEncoding};
pub use screen::{Screen, Texts};
pub use signals::{Progress, Signal, Signals};
