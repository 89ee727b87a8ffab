//! What comes from the terminal, as events: keys, pasted text, the mouse, the focus, new sizes.
//!
//! Not crossterm's reader: that one blocks on an escape sequence of which only a part has come, takes a
//! sequence that comes in pieces for keys, and never ends when the terminal is gone.
//!
//! - [`parser`]: bytes become events; `sequence`: what one whole sequence means.

pub mod parser;
mod sequence;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use crossterm::event::Event;
use futures_util::{Stream, stream};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use parser::Parser;

/// Bytes that are read in one go.
const PIECE: usize = 16 * 1024;

/// The terminal's events, until it is gone.
pub fn events() -> impl Stream<Item = io::Result<Event>> + Unpin {
    let input = Input::open();
    Box::pin(stream::unfold(Some(input), async |input| {
        let mut input = match input? {
            Ok(input) => input,
            Err(error) => return Some((Err(error), None)),
        };
        let event = input.next().await?;
        Some((event, Some(Ok(input))))
    }))
}

struct Input {
    terminal: Receiver,
    resized: Signal,
    parser: Parser,
    /// What was read at once: at most what [`PIECE`] bytes can say.
    ready: VecDeque<Event>,
}

impl Input {
    fn open() -> io::Result<Self> {
        // A description of its own: what doesn't block here must still block for the shell, which shares
        // standard input.
        let name = rustix::termios::ttyname(io::stdin(), Vec::new());
        let path = name
            .as_ref()
            .map_or(&b"/dev/tty"[..], |name| name.to_bytes());
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let terminal = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(OsStr::from_bytes(path))?;
        Ok(Self {
            // Of tokio's types the one that reads from any file that can be waited for.
            terminal: Receiver::from_file_unchecked(terminal)?,
            resized: signal(SignalKind::window_change())?,
            parser: Parser::default(),
            ready: VecDeque::new(),
        })
    }

    /// The next event; none when the terminal is gone.
    async fn next(&mut self) -> Option<io::Result<Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            let patience = self.parser.patience();
            let mut bytes = vec![0; PIECE];
            tokio::select! {
                read = self.terminal.read(&mut bytes) => match read {
                    Ok(0) => return None,
                    Ok(read) => self.ready.extend(self.parser.feed(&bytes[..read])),
                    // That is how a terminal's end shows itself on Linux.
                    Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => return None,
                    Err(error) => return Some(Err(error)),
                },
                _ = self.resized.recv() => {
                    let size = crossterm::terminal::size();
                    return Some(size.map(|(cols, rows)| Event::Resize(cols, rows)));
                }
                () = sleep(patience.unwrap_or(Duration::ZERO)), if patience.is_some() => {
                    self.ready.extend(self.parser.give_up());
                }
            }
        }
    }
}
