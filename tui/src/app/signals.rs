//! What the system asks of the console by signals.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// What a signal wants.
pub(super) enum Heeded {
    /// The program to end.
    End,
    /// The terminal to be taken again: the program was stopped and goes on.
    Continued,
    /// The program to stop for a while, as somebody else wants it; the person has a key.
    Stop,
}

/// The signals that are heeded.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
    continued: tokio::signal::unix::Signal,
    stop: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        // These have no names in tokio; their numbers differ between systems.
        let continued = rustix::process::Signal::CONT.as_raw();
        let stop = rustix::process::Signal::TSTP.as_raw();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            continued: signal(SignalKind::from_raw(continued))?,
            stop: signal(SignalKind::from_raw(stop))?,
        })
    }

    pub(super) async fn next(&mut self) -> Heeded {
        tokio::select! {
            _ = self.terminate.recv() => Heeded::End,
            _ = self.hang_up.recv() => Heeded::End,
            _ = self.interrupt.recv() => Heeded::End,
            _ = self.quit.recv() => Heeded::End,
            _ = self.continued.recv() => Heeded::Continued,
            _ = self.stop.recv() => Heeded::Stop,
        }
    }
}
