//! What the program hears from its connection.

use std::collections::VecDeque;
use std::time::Instant;

use opsctl_link::Transport;
use opsctl_protocol::message::{Connected, ErrorCode, ErrorPayload, ToDashboard};
use opsctl_protocol::{Decoded, OutputFrame, Pattern};
use tokio::sync::mpsc;

/// Events that may wait for a slow consumer before the socket is no longer read. With pieces of 32 KiB these are 1 MiB.
pub(crate) const WAITING_EVENTS: usize = 32;

/// How the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnState {
    /// Dialing, or shaking hands.
    Connecting {
        /// Attempts since the last stable connection, this one included.
        attempt: u32,
    },
    /// The daemon knows who this is.
    Connected,
    /// The last attempt failed or the connection was lost; the next attempt comes by itself.
    Waiting {
        /// Attempts that have failed since the last stable connection.
        attempt: u32,
        /// When the next attempt starts.
        until: Instant,
        /// Why, for people.
        reason: String,
    },
    /// The daemon refused in a way that another attempt would not change. Only [`crate::Client::reconnect_now`] tries
    /// again.
    Refused {
        /// Why, for programs, where the daemon said it.
        code: Option<ErrorCode>,
        /// Why, for people.
        message: String,
    },
    /// Closed by this program.
    Closed,
}

/// Something that came, or happened to the connection.
#[derive(Debug, Clone)]
pub enum Event {
    /// The connection's state changed.
    State(ConnState),
    /// Messages travel in another way than before: no WebSocket gets through this network, or one does again.
    Transport(Transport),
    /// The daemon introduced itself; comes with every new connection, before anything that the daemon sends on it.
    Connected(Connected),
    /// A push (with channel, epoch and seq), a copy of a state (without), or an `error` about a message that was posted.
    Message(Box<Decoded<ToDashboard>>),
    /// A piece of output. Bytes that were delivered before are cut off.
    Output(OutputFrame),
    /// After a reconnect the daemon refused to resume this subscription; nothing more will come on it.
    Dropped {
        /// What was subscribed.
        pattern: Pattern,
        /// Why the daemon refused.
        error: ErrorPayload,
    },
}

/// Where events come out. A consumer that is slow slows the reading of the socket; nothing is dropped. Dropping this
/// says that nobody wants events: they are then thrown away and only answers are read.
#[derive(Debug)]
pub struct Events {
    pub(crate) receiver: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; `None` once the connection is closed for good. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// The next event if one is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }
}

/// Events on their way to the consumer. The owner reads its socket only while this is empty, which bounds it to what a
/// single frame and a change of state bring.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// What did not fit yet.
    waiting: VecDeque<Event>,
    events: mpsc::Sender<Event>,
}

impl Outbox {
    pub(crate) fn new(events: mpsc::Sender<Event>) -> Self {
        Self {
            waiting: VecDeque::new(),
            events,
        }
    }

    /// Hands an event over at once where there is room.
    pub(crate) fn push(&mut self, event: Event) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(event);
        } else if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            self.waiting.push_back(event);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Waits until everything is handed over, or until nobody listens any more. Cancel-safe.
    pub(crate) async fn flush(&mut self) {
        while !self.waiting.is_empty() {
            let Ok(room) = self.events.reserve().await else {
                self.waiting.clear();
                return;
            };
            if let Some(event) = self.waiting.pop_front() {
                room.send(event);
            }
        }
    }
}
