//! What waits for one dashboard. The hub fills it without ever waiting; the dashboard's delivery empties it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use opsctl_protocol::close::CloseCode;
use opsctl_protocol::{CommandId, Header, Pattern, ToDashboard};

use super::channel::Stream;
use super::replay::Replay;

/// Answers and state copies that may wait for a dashboard that doesn't read; one more closes it as too slow.
const CONTROL_LANE: usize = 4096;

/// A dashboard's mailbox.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    news: Notify,
}

/// What waits; see [`Outbox`].
#[derive(Debug, Default)]
struct Waiting {
    /// Answers and state copies, ahead of everything else and never lost.
    control: VecDeque<(Header, ToDashboard)>,
    /// Subscriptions whose channel has news, each at most once.
    ready: VecDeque<Arc<Subscription>>,
    /// Whether a ping is due.
    ping: bool,
    /// Why the connection is to end.
    close: Option<(CloseCode, String)>,
}

/// What a delivery does next.
#[derive(Debug)]
pub enum Next {
    /// Send this.
    Control(Header, Box<ToDashboard>),
    /// Send a ping.
    Ping,
    /// Look what this subscription has.
    Ready(Arc<Subscription>),
    /// End the connection.
    Close(CloseCode, String),
}

impl Outbox {
    /// Leaves an answer or a state copy.
    pub fn control(&self, header: Header, message: impl Into<ToDashboard>) {
        let mut waiting = self.waiting();
        if waiting.control.len() < CONTROL_LANE {
            waiting.control.push_back((header, message.into()));
        } else {
            waiting.close = Some((CloseCode::TooSlow, "answers are not being read".to_owned()));
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// Asks for a sign of life.
    pub fn ping(&self) {
        self.waiting().ping = true;
        self.news.notify_one();
    }

    /// Ends the connection once what waits in the control lane has been sent.
    pub fn close(&self, code: CloseCode, reason: impl Into<String>) {
        self.waiting().close.get_or_insert((code, reason.into()));
        self.news.notify_one();
    }

    /// Leaves word that a subscription has something to deliver.
    pub fn wake(&self, subscription: &Arc<Subscription>) {
        if !subscription.ready.swap(true, Ordering::AcqRel) {
            self.waiting().ready.push_back(Arc::clone(subscription));
            self.news.notify_one();
        }
    }

    /// The next thing to do, if there is one.
    pub fn try_next(&self) -> Option<Next> {
        let mut waiting = self.waiting();
        if let Some((header, message)) = waiting.control.pop_front() {
            return Some(Next::Control(header, Box::new(message)));
        }
        if std::mem::take(&mut waiting.ping) {
            return Some(Next::Ping);
        }
        if let Some((code, reason)) = waiting.close.clone() {
            return Some(Next::Close(code, reason));
        }
        let subscription = waiting.ready.pop_front()?;
        // Cleared before the ring is looked at: a push from now on wakes again.
        subscription.ready.store(false, Ordering::Release);
        Some(Next::Ready(subscription))
    }

    /// Waits until [`Outbox::try_next`] may have something. Cancel-safe.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic elsewhere leaves the queues whole: every change to them is a single call.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One dashboard's interest in one channel.
#[derive(Debug)]
pub struct Subscription {
    /// The pattern that it came from.
    pub pattern: Pattern,
    /// What is read.
    pub stream: Arc<Stream>,
    /// Only statuses and events, no output.
    pub no_output: bool,
    /// Never skip output: what the ring has lost comes from the log.
    pub lossless: bool,
    /// The channel's command has a terminal, so that a snapshot can stand for what is skipped.
    pub terminal: bool,
    /// Whether the outbox knows that there is news.
    ready: AtomicBool,
    /// Whether the dashboard has taken the subscription back.
    ended: AtomicBool,
    /// Where the delivery stands; only it locks this.
    pub cursor: tokio::sync::Mutex<Cursor>,
}

impl Subscription {
    /// A subscription whose delivery starts at `cursor`.
    pub fn new(
        pattern: Pattern,
        stream: Arc<Stream>,
        options: Options,
        cursor: Cursor,
    ) -> Arc<Self> {
        Arc::new(Self {
            pattern,
            stream,
            no_output: options.no_output,
            lossless: options.lossless,
            terminal: options.terminal,
            ready: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            cursor: tokio::sync::Mutex::new(cursor),
        })
    }

    /// Stops the delivery.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether the delivery has been stopped.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// How a subscription reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// See [`Subscription::no_output`].
    pub no_output: bool,
    /// See [`Subscription::lossless`].
    pub lossless: bool,
    /// See [`Subscription::terminal`].
    pub terminal: bool,
}

/// Where a delivery stands in a channel.
#[derive(Debug, Default)]
pub struct Cursor {
    /// The number of the next push to read.
    pub seq: u64,
    /// The next output byte of each command that this subscription has followed.
    pub offsets: HashMap<CommandId, u64>,
    /// For a command's own channel that has not been read yet: how to begin.
    pub begin: Option<Begin>,
    /// For a command's own channel: output that is being read from the log until the ring is reached.
    pub replay: Option<Box<Replay>>,
}

/// How the delivery of a command's own channel begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// From a byte, out of the log where needed.
    Offset {
        /// The next byte that is wanted.
        offset: u64,
        /// The output's length when the subscription was made.
        end: u64,
    },
    /// With the screen as it is: what the ring holds, behind a snapshot of what it no longer holds.
    Screen {
        /// The output's length when the subscription was made.
        end: u64,
    },
}

impl Begin {
    /// The output's length when the subscription was made.
    pub fn end(self) -> u64 {
        match self {
            Self::Offset { end, .. } | Self::Screen { end } => end,
        }
    }
}
