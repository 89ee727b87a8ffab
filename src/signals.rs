//! What the long-running subcommands are told by signals.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// SIGTERM and SIGINT: the first asks to stop, the second ends the process at once.
#[derive(Debug)]
pub struct Stops {
    term: Signal,
    interrupt: Signal,
}

impl Stops {
    /// Takes the signals over from their default, which would end the process.
    ///
    /// # Errors
    /// The system refuses to hand them over.
    pub fn listen() -> Result<Self> {
        let take = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            term: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
        })
    }

    /// Cancels the token at the first signal and exits at the second; runs until then.
    pub async fn run(mut self, stop: CancellationToken) {
        let name = self.next().await.0;
        tracing::info!("{name}: stopping; a second signal stops at once");
        stop.cancel();
        let (name, number) = self.next().await;
        tracing::warn!("{name} again: stopping at once");
        std::process::exit(128 + number);
    }

    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.term.recv() => ("SIGTERM", 15),
            _ = self.interrupt.recv() => ("SIGINT", 2),
        }
    }
}
