//! The agent's end of the connection to one holder. Two tasks: one passes on what the agent says, the other reads, and
//! puts output straight into the link's bulk lane.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use opsctl_link::{SendError, Sender};
use opsctl_protocol::close::CloseCode;
use opsctl_protocol::frame::HEADER_BYTES;
use opsctl_protocol::message::{AgentMessage, CommandStatus, Gap, State};
use opsctl_protocol::{CommandId, Header, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::command::status_of;
use crate::wire::{self, FromHolder, Incoming, ToHolder};

/// Messages that may wait for a holder. It reads at all times, so that more means that it is stopped.
const QUEUE: usize = 1024;

/// Bytes that are read from a holder at once. Large against a piece of 32 KiB, since the last one of each read is moved.
const READ: usize = 128 * 1024;

/// Names a holder within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HolderKey(pub(crate) u64);

/// What is new of a holder.
#[derive(Debug)]
pub(crate) enum News {
    /// It said something. What concerns the daemon was passed on.
    Said(FromHolder),
    /// The connection is over.
    Gone,
}

/// A connected holder. Dropping it leaves the holder to the next agent.
pub(crate) struct Attachment {
    queue: mpsc::Sender<(Bytes, Bytes)>,
    /// Where output goes now.
    route: watch::Sender<Option<Route>>,
    passed: Arc<Mutex<Passed>>,
    reading: JoinHandle<()>,
}

/// How much output was passed on to the daemon.
#[derive(Debug, Clone, Copy, Default)]
struct Passed {
    /// In which run of the stream.
    generation: u64,
    /// The offset after the newest byte.
    to: u64,
}

/// One run of a command's output stream.
#[derive(Clone)]
struct Route {
    command_id: CommandId,
    generation: u64,
    /// The byte that the daemon wants next.
    from: u64,
    link: Sender,
}

impl Attachment {
    /// Takes a connection into use. `news` is told everything until the connection ends.
    pub(crate) fn new(
        key: HolderKey,
        socket: UnixStream,
        news: mpsc::Sender<(HolderKey, News)>,
    ) -> Self {
        let (reader, writer) = socket.into_split();
        let (queue, messages) = mpsc::channel(QUEUE);
        let (route, routes) = watch::channel(None);
        let passed = Arc::default();
        let reading = Reading {
            key,
            socket: reader,
            routes,
            passed: Arc::clone(&passed),
            news,
            stream: None,
        };
        tokio::spawn(write(writer, messages));
        let reading = tokio::spawn(reading.run());
        Self {
            queue,
            route,
            passed,
            reading,
        }
    }

    /// Tells the holder something. `false` when it has stopped reading.
    pub(crate) fn tell(&self, message: &ToHolder) -> bool {
        self.queue
            .try_send((wire::control(message), Bytes::new()))
            .is_ok()
    }

    /// Passes an input frame on. `false` when the holder has stopped reading.
    pub(crate) fn input(&self, frame: Bytes) -> bool {
        self.queue.try_send((wire::prefix(&frame), frame)).is_ok()
    }

    /// Streams output to the daemon from `from` on; statuses go there too.
    pub(crate) fn stream(
        &self,
        command_id: CommandId,
        generation: u64,
        from: u64,
        link: Sender,
    ) -> bool {
        self.route.send_replace(Some(Route {
            command_id,
            generation,
            from,
            link,
        }));
        self.tell(&ToHolder::Stream { generation, from })
    }

    /// Stops streaming: the link is down.
    pub(crate) fn pause(&self) -> bool {
        self.route.send_replace(None);
        self.tell(&ToHolder::Pause)
    }

    /// The offset after the newest output byte that was passed on in the present run of the stream; 0 without one.
    pub(crate) fn to(&self) -> u64 {
        let route = self.route.borrow();
        let passed = *self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        route.as_ref().map_or(0, |route| {
            if passed.generation == route.generation {
                passed.to
            } else {
                route.from
            }
        })
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // The writer ends with its queue, after what still waits in it (a `Settle`, say).
        self.reading.abort();
    }
}

/// Passes messages on until the queue's other end is dropped or the holder is gone.
async fn write(mut socket: OwnedWriteHalf, mut messages: mpsc::Receiver<(Bytes, Bytes)>) {
    while let Some((head, body)) = messages.recv().await {
        if socket.write_all_buf(&mut head.chain(body)).await.is_err() {
            return;
        }
    }
}

/// What the reading task owns.
struct Reading {
    key: HolderKey,
    socket: OwnedReadHalf,
    /// Where output is to go.
    routes: watch::Receiver<Option<Route>>,
    /// Shared with the attachment.
    passed: Arc<Mutex<Passed>>,
    news: mpsc::Sender<(HolderKey, News)>,
    /// Where output goes, once the holder has confirmed that what comes belongs there.
    stream: Option<Route>,
}

impl Reading {
    async fn run(mut self) {
        let mut buffer = BytesMut::new();
        loop {
            match wire::take(&mut buffer) {
                Ok(Some(Incoming::Output(frame))) => self.output(frame).await,
                Ok(Some(Incoming::Control(message))) => self.said(message).await,
                Ok(Some(Incoming::Input(_))) => {}
                Ok(None) => {
                    if buffer.capacity() - buffer.len() < READ / 8 {
                        buffer.reserve(READ);
                    }
                    if !matches!(self.socket.read_buf(&mut buffer).await, Ok(length) if length > 0)
                    {
                        break;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a holder says what cannot be read");
                    break;
                }
            }
        }
        // Nobody listens any more when the agent is ending.
        let _ = self.news.send((self.key, News::Gone)).await;
    }

    async fn output(&mut self, frame: Bytes) {
        let Some(offset) = frame.get(16..24).and_then(|bytes| bytes.first_chunk()) else {
            return;
        };
        let end = u64::from_be_bytes(*offset) + frame.len().saturating_sub(HEADER_BYTES) as u64;
        let Some(Route {
            link, generation, ..
        }) = &self.stream
        else {
            return;
        };
        let generation = *generation;
        let sent = tokio::select! {
            biased;
            sent = link.bulk(frame) => sent.is_ok(),
            // The lane of a half-open connection may stay full for minutes after the connection was given up.
            _ = self.routes.wait_for(|route| route.as_ref().is_none_or(|route| route.generation != generation)) => false,
        };
        if sent {
            self.note(generation, end);
        } else {
            // What follows is void; it will be asked for again.
            self.stream = None;
        }
    }

    async fn said(&mut self, message: FromHolder) {
        let passed = match &message {
            FromHolder::Resumed { generation, from } => self.resumed(*generation, *from).await,
            FromHolder::Gap { from, to, reason } => self.gap(*from, *to, reason.clone()).await,
            FromHolder::Progress(progress) if progress.end.is_some() => match &self.stream {
                Some(route) => send_last(&route.link, status_of(route.command_id, progress)).await,
                None => Ok(()),
            },
            FromHolder::Progress(progress) => self.status(|id| status_of(id, progress)),
            FromHolder::Consumed { offset, received } => self.status(|id| CommandStatus {
                input_offset: Some(*offset),
                input_received: *received,
                ..CommandStatus::new(id, State::Running)
            }),
            FromHolder::InputRefused { received, .. } => self.status(|id| CommandStatus {
                input_received: *received,
                input_refused: true,
                ..CommandStatus::new(id, State::Running)
            }),
            FromHolder::Ready
            | FromHolder::Hello { .. }
            | FromHolder::Report(_)
            | FromHolder::Foreground(_)
            | FromHolder::Notice { .. } => Ok(()),
        };
        if passed.is_err() {
            self.stream = None;
        }
        let _ = self.news.send((self.key, News::Said(message))).await;
    }

    async fn resumed(&mut self, generation: u64, from: u64) -> Result<(), SendError> {
        self.stream = self.route().filter(|route| route.generation == generation);
        let wanted = self.stream.as_ref().map_or(from, |route| route.from);
        if from <= wanted {
            return Ok(());
        }
        let reason = "the agent no longer holds this output".to_owned();
        self.gap(wanted, from, reason).await
    }

    /// Passes on that output is gone, in its place.
    async fn gap(&mut self, from: u64, to: u64, reason: String) -> Result<(), SendError> {
        let Some(route) = &self.stream else {
            return Ok(());
        };
        let generation = route.generation;
        let gap = Gap {
            command_id: route.command_id,
            from,
            to,
            reason,
        };
        send_last(&route.link, gap).await?;
        self.note(generation, to);
        Ok(())
    }

    /// Notes how much was passed on.
    fn note(&self, generation: u64, to: u64) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        *passed = Passed { generation, to };
    }

    fn route(&self) -> Option<Route> {
        self.routes.borrow().clone()
    }

    /// Sends a status ahead of output. No final one: that would overtake output.
    fn status(&self, status: impl FnOnce(CommandId) -> CommandStatus) -> Result<(), SendError> {
        match self.route() {
            Some(route) => send_now(&route.link, &Header::default(), status(route.command_id)),
            None => Ok(()),
        }
    }
}

/// Sends a message ahead of output. A connection that takes none is ended: what it was to be told is told to the next.
pub(crate) fn send_now(
    link: &Sender,
    header: &Header,
    message: impl Into<AgentMessage>,
) -> Result<(), SendError> {
    let sent = text(header, message).map_or(Ok(()), |text| link.control(text));
    if sent == Err(SendError::Full) {
        tracing::warn!("the daemon has stopped reading");
        link.close(CloseCode::TooSlow.number(), "control messages are not read");
    }
    sent
}

/// Sends a message behind all output so far.
pub(crate) async fn send_last(
    link: &Sender,
    message: impl Into<AgentMessage>,
) -> Result<(), SendError> {
    match text(&Header::default(), message) {
        Some(text) => link.bulk_text(text).await,
        None => Ok(()),
    }
}

fn text(header: &Header, message: impl Into<AgentMessage>) -> Option<String> {
    encode(header, &message.into())
        .inspect_err(|error| tracing::error!(%error, "a message cannot be written"))
        .ok()
}
