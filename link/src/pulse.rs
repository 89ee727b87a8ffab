//! Signs of life, byte by byte: what tells a slow peer from one that has stopped.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use opsctl_protocol::limits::{FLUSH_STALL, HEARTBEAT, MESSAGE_DEADLINE, silence};
use opsctl_protocol::message::Traffic;

use super::meter::Meter;
use super::read_ahead::ReadAhead;

/// How long a peer may take over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often each side must be heard; see [`silence`] for what this means for the other's deadline.
    pub heartbeat: Duration,
    /// How long the socket may take nothing of what is written to it.
    pub stall: Duration,
    /// How long a message may take from its first byte to its last.
    pub message: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            heartbeat: HEARTBEAT,
            stall: FLUSH_STALL,
            message: MESSAGE_DEADLINE,
        }
    }
}

/// The socket took nothing for longer than [`Patience::stall`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side takes nothing")]
pub struct Stalled;

/// What is known of the life on one connection; shared by the socket, its reader and its writer.
#[derive(Debug)]
pub struct Pulse {
    /// What the times below count from.
    start: Instant,
    /// What has come in.
    received: Meter,
    /// When the last bytes came, in ms.
    received_at: AtomicU64,
    /// When the first byte came that belongs to no whole message yet, in ms; [`NEVER`] when there is none.
    begun_at: AtomicU64,
    /// When this side last stopped to listen, in ms.
    left_at: AtomicU64,
    /// What the socket has taken.
    sent: Meter,
    /// When it last took bytes, in ms.
    sent_at: AtomicU64,
    /// [`Patience::heartbeat`] in ms: the daemon announces its own after the connection has been opened.
    heartbeat_ms: AtomicU64,
    /// Wakes the writer, which sleeps for a heartbeat, when there is another one.
    changed: Notify,
    stall: Duration,
    message: Duration,
}

/// No time at all.
const NEVER: u64 = u64::MAX;

impl Pulse {
    /// The pulse of a connection that begins now.
    pub fn new(patience: Patience) -> Self {
        Self {
            start: Instant::now(),
            received: Meter::default(),
            received_at: AtomicU64::new(0),
            begun_at: AtomicU64::new(NEVER),
            left_at: AtomicU64::new(0),
            sent: Meter::default(),
            sent_at: AtomicU64::new(0),
            heartbeat_ms: AtomicU64::new(patience.heartbeat.as_millis() as u64),
            changed: Notify::new(),
            stall: patience.stall,
            message: patience.message,
        }
    }

    /// How often each side must be heard.
    pub fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms.load(Ordering::Relaxed))
    }

    /// Takes the heartbeat that the daemon has announced.
    pub(crate) fn set_heartbeat(&self, heartbeat: Duration) {
        let ms = (heartbeat.as_millis() as u64).max(1);
        self.heartbeat_ms.store(ms, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Ends when there is another heartbeat. For one waiter, the writer.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// When a peer from which nothing more comes counts as gone.
    pub(crate) fn silent_at(&self) -> Instant {
        self.at(&self.received_at) + silence(self.heartbeat())
    }

    /// How long a message may take.
    pub(crate) fn message(&self) -> Duration {
        self.message
    }

    /// When the message began that is not whole yet.
    pub(crate) fn begun(&self) -> Option<Instant> {
        (self.begun_at.load(Ordering::Relaxed) != NEVER).then(|| self.at(&self.begun_at))
    }

    /// What has come in belongs to whole messages.
    pub(crate) fn whole(&self) {
        self.begun_at.store(NEVER, Ordering::Relaxed);
    }

    /// Begins to listen: says how long nobody did, and notes when the guard goes.
    pub(crate) fn listen(self: &Arc<Self>) -> (Duration, Listening) {
        let away = self
            .now()
            .saturating_sub(self.left_at.load(Ordering::Relaxed));
        (Duration::from_millis(away), Listening(Arc::clone(self)))
    }

    /// Bytes that have come in.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received.bytes()
    }

    /// What has come in, and lately.
    pub fn received(&self) -> Traffic {
        self.received.traffic(self.now())
    }

    /// What has gone out, and lately.
    pub fn sent(&self) -> Traffic {
        self.sent.traffic(self.now())
    }

    /// A message has come in, no ping or pong.
    pub(crate) fn note_received_message(&self) {
        self.received.note_message();
    }

    /// This is handed to the socket; it counts where it is no ping or pong.
    pub fn note_sent_message(&self, message: &Message) {
        if message.is_text() || message.is_binary() {
            self.sent.note_message();
        }
    }

    /// Waits for something to be written, as long as the socket takes some of it now and then: a slow peer is no stalled
    /// one. The write is dropped where it stands; nothing but a goodbye may follow.
    ///
    /// # Errors
    /// The socket took nothing for too long.
    pub async fn unless_stalled<F: Future>(&self, write: F) -> Result<F::Output, Stalled> {
        let began = Instant::now();
        let mut write = pin!(write);
        loop {
            let deadline = self.at(&self.sent_at).max(began) + self.stall;
            match timeout_at(deadline, write.as_mut()).await {
                Ok(written) => return Ok(written),
                Err(_) if self.at(&self.sent_at) + self.stall > deadline => {}
                Err(_) => return Err(Stalled),
            }
        }
    }

    fn note_received(&self, bytes: usize) {
        let now = self.now();
        self.received.note_bytes(bytes, now);
        self.received_at.store(now, Ordering::Relaxed);
        if self.begun_at.load(Ordering::Relaxed) == NEVER {
            self.begun_at.store(now, Ordering::Relaxed);
        }
    }

    fn note_sent(&self, bytes: usize) {
        let now = self.now();
        self.sent.note_bytes(bytes, now);
        self.sent_at.store(now, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn at(&self, ms: &AtomicU64) -> Instant {
        self.start + Duration::from_millis(ms.load(Ordering::Relaxed))
    }
}

/// Somebody listens. Going away is noted also by a future that is dropped.
pub(crate) struct Listening(Arc<Pulse>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.left_at.store(self.0.now(), Ordering::Relaxed);
    }
}

/// A stream that keeps its pulse, and is read ahead of a reader with a small buffer.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    ahead: ReadAhead,
    pulse: Arc<Pulse>,
}

impl<S> Metered<S> {
    /// A stream whose reads and writes are noted in `pulse`.
    pub fn new(stream: S, pulse: Arc<Pulse>) -> Self {
        Self {
            stream,
            ahead: ReadAhead::default(),
            pulse,
        }
    }

    fn sent(&self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        if let Ok(bytes @ 1..) = written {
            self.pulse.note_sent(bytes);
        }
        Poll::Ready(written)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = ready!(this.ahead.poll_read(&mut this.stream, context, buffer));
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            this.pulse.note_received(bytes);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, pieces));
        self.sent(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Long, so that a busy machine doesn't look like a stalled peer.
    const STALL: Duration = Duration::from_millis(500);

    fn metered(room: usize) -> (Metered<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let patience = Patience {
            stall: STALL,
            ..Patience::default()
        };
        let (near, far) = duplex(room);
        (Metered::new(near, Arc::new(Pulse::new(patience))), far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_is_stalled() {
        let (mut near, _far) = metered(16);
        let pulse = Arc::clone(&near.pulse);
        let written = pulse.unless_stalled(near.write_all(&[0; 64])).await;
        assert!(matches!(written, Err(Stalled)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_not_stalled() {
        let (mut near, mut far) = metered(16);
        let pulse = Arc::clone(&near.pulse);
        let began = Instant::now();
        let reader = tokio::spawn(async move {
            let mut read = [0; 16];
            for _ in 0..16 {
                tokio::time::sleep(STALL / 8).await;
                far.read_exact(&mut read).await.unwrap();
            }
        });
        let written = pulse.unless_stalled(near.write_all(&[0; 256])).await;
        assert!(matches!(written, Ok(Ok(()))));
        assert!(began.elapsed() > STALL, "it took longer than one stall");
        reader.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_a_sign_of_life_and_the_beginning_of_a_message() {
        let (mut near, mut far) = metered(16);
        let pulse = Arc::clone(&near.pulse);
        assert_eq!(pulse.begun(), None);
        far.write_all(b"abc").await.unwrap();
        near.read_exact(&mut [0; 3]).await.unwrap();
        assert!(pulse.begun().is_some());
        assert_eq!(pulse.received_bytes(), 3);
        pulse.whole();
        assert_eq!(pulse.begun(), None);
    }
}
