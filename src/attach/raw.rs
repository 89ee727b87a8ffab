//! This terminal raw, and back, whatever happens in between.

use std::io::{self, Write};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::modes;

/// A raw terminal. Dropping it restores the terminal, also while a panic unwinds.
#[derive(Debug)]
pub(super) struct Raw {
    before: Termios,
    /// The remote program's modes have been taken back.
    left: bool,
}

impl Raw {
    /// Makes stdin's terminal raw; `None` when stdin is no terminal.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn enter() -> io::Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        if !rustix::termios::isatty(stdin) {
            return Ok(None);
        }
        let before = tcgetattr(stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Flush, &raw)?;
        Ok(Some(Self {
            before,
            left: false,
        }))
    }

    /// Takes back what the remote program has set, by `leave`, and restores the terminal.
    pub(super) fn leave(mut self, leave: &str) {
        self.left = true;
        write(leave);
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if !self.left {
            write(modes::EVERYTHING);
        }
        // Nothing better can be done about a terminal that has gone.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.before);
    }
}

fn write(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}
