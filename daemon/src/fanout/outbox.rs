//! What waits for one dashboard. The hub fills it without ever waiting; the dashboard's delivery empties it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use opsctl_protocol::close::CloseCode;
use opsctl_protocol::{CommandId, Header, Pattern, ToDashboard};

use super::behind::Bridge;
use super::channel::Stream;
use super::replay::Replay;
use super::weight::answer_weight;

/// Answers and state copies that may wait for a dashboard that doesn't read; one more closes it as too slow.
const CONTROL_LANE: usize = 4096;

/// JSON of answers and state copies that may wait for a dashboard that doesn't read, in bytes: room for the state of a fleet
/// of 20,000, twice. It is looked at before something comes, so that a larger fleet's state can be sent too.
const CONTROL_BYTES: usize = 32 * 1024 * 1024;

/// Output that is worth a write of its own, in bytes: what has gathered so far goes out without waiting longer.
const WRITE_BYTES: usize = 32 * 1024;

/// A dashboard's mailbox.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    /// Bytes of output that came since the delivery last looked.
    gathered: AtomicUsize,
    /// There is something to do.
    news: Notify,
    /// There is something that doesn't wait for more to come.
    urgent: Notify,
}

/// What waits; see [`Outbox`].
#[derive(Debug, Default)]
struct Waiting {
    /// Answers and state copies, ahead of everything else and never lost.
    control: VecDeque<Answer>,
    /// What they weigh together.
    control_bytes: usize,
    /// Subscriptions whose channel has news, each at most once.
    ready: VecDeque<Arc<Subscription>>,
    /// Whether a ping is due.
    ping: bool,
    /// Why the connection is to end.
    close: Option<(CloseCode, String)>,
}

/// An answer or a state copy.
#[derive(Debug)]
struct Answer {
    header: Header,
    message: ToDashboard,
    /// Bytes; see [`answer_weight`].
    weight: usize,
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

impl Waiting {
    /// The first reason to end the connection is the one that counts; subscriptions have nothing more to come.
    fn end(&mut self, why: (CloseCode, String)) {
        self.close.get_or_insert(why);
        self.ready.clear();
    }
}

impl Answer {
    fn new((header, message): (Header, ToDashboard)) -> Self {
        let weight = answer_weight(&message);
        Self {
            header,
            message,
            weight,
        }
    }
}

impl Outbox {
    /// Leaves an answer or a state copy.
    pub fn control(&self, header: Header, message: impl Into<ToDashboard>) {
        self.control_all(vec![(header, message.into())]);
    }

    /// Leaves state copies that belong together: all of them, where there is any room.
    pub fn control_all(&self, messages: Vec<(Header, ToDashboard)>) {
        let weighed: Vec<Answer> = messages.into_iter().map(Answer::new).collect();
        let mut waiting = self.waiting();
        if waiting.control.len() < CONTROL_LANE && waiting.control_bytes < CONTROL_BYTES {
            waiting.control_bytes += weighed.iter().map(|answer| answer.weight).sum::<usize>();
            waiting.control.extend(weighed);
        } else {
            let why = "answers are not being read".to_owned();
            waiting.end((CloseCode::TooSlow, why));
        }
        drop(waiting);
        self.tell_urgent();
    }

    /// Asks for a sign of life.
    pub fn ping(&self) {
        self.waiting().ping = true;
        self.tell_urgent();
    }

    /// Ends the connection once what waits in the control lane has been sent.
    pub fn close(&self, code: CloseCode, reason: impl Into<String>) {
        self.waiting().end((code, reason.into()));
        self.tell_urgent();
    }

    /// Leaves word that a subscription has something to deliver at once.
    pub fn wake(&self, subscription: &Arc<Subscription>) {
        self.line_up(subscription);
        self.tell_urgent();
    }

    /// Leaves word that a subscription has so many more bytes of output, which may wait a little for others.
    pub fn wake_for_output(&self, subscription: &Arc<Subscription>, bytes: usize) {
        let is_new = self.line_up(subscription);
        let before = self.gathered.fetch_add(bytes, Ordering::AcqRel);
        if before < WRITE_BYTES && before + bytes >= WRITE_BYTES {
            self.tell_urgent();
        } else if is_new {
            self.news.notify_one();
        }
    }

    /// Puts a subscription among those that are ready; false when it is there already.
    fn line_up(&self, subscription: &Arc<Subscription>) -> bool {
        let is_new = !subscription.ready.swap(true, Ordering::AcqRel);
        if is_new {
            let mut waiting = self.waiting();
            // What is ready is not looked at any more once the connection is to end.
            if waiting.close.is_none() {
                waiting.ready.push_back(Arc::clone(subscription));
            }
        }
        is_new
    }

    fn tell_urgent(&self) {
        self.urgent.notify_one();
        self.news.notify_one();
    }

    /// The next thing to do, if there is one.
    pub fn try_next(&self) -> Option<Next> {
        let mut waiting = self.waiting();
        if let Some(answer) = waiting.control.pop_front() {
            waiting.control_bytes -= answer.weight;
            return Some(Next::Control(answer.header, Box::new(answer.message)));
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

    /// Whether [`Outbox::try_next`] has something.
    pub fn has_news(&self) -> bool {
        let waiting = self.waiting();
        waiting.ping
            || waiting.close.is_some()
            || !waiting.control.is_empty()
            || !waiting.ready.is_empty()
    }

    /// Waits until [`Outbox::try_next`] may have something. Cancel-safe.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Waits until there may be something that doesn't wait for more to come. Cancel-safe.
    pub async fn urgent(&self) {
        self.urgent.notified().await;
    }

    /// The delivery looks at all that is there now.
    pub fn look(&self) {
        self.gathered.store(0, Ordering::Release);
    }

    /// Whether a subscription has something to deliver.
    #[cfg(test)]
    pub fn has_ready(&self) -> bool {
        !self.waiting().ready.is_empty()
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
    /// Whether the outbox knows that there is news.
    ready: AtomicBool,
    /// Whether the dashboard has taken the subscription back.
    ended: AtomicBool,
    /// Where the delivery stands. Only the delivery touches it, and has it out while it looks.
    cursor: Mutex<Option<Box<Cursor>>>,
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
            ready: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            cursor: Mutex::new(Some(Box::new(cursor))),
        })
    }

    /// Takes the delivery's place out.
    pub fn take_cursor(&self) -> Box<Cursor> {
        self.place().take().unwrap_or_default()
    }

    /// Puts the delivery's place back.
    pub fn put_cursor(&self, cursor: Box<Cursor>) {
        *self.place() = Some(cursor);
    }

    /// The delivery's place. It is whole also after a panic elsewhere: it is only ever exchanged.
    fn place(&self) -> MutexGuard<'_, Option<Box<Cursor>>> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the delivery.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether there are pushes that the delivery has not looked at.
    pub fn is_behind(&self) -> bool {
        self.ready.load(Ordering::Acquire)
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
}

/// Where a delivery stands in a channel.
#[derive(Debug, Default)]
pub struct Cursor {
    /// The number of the next push to read.
    pub seq: u64,
    /// Whether it has been at the end of the channel. Who has may skip ahead before the ring drops what it wants next; who
    /// has not begins with all that the ring holds.
    pub was_live: bool,
    /// The next output byte of each command that this subscription has followed. Looked up for every push: of the few that
    /// an agent runs, a tree finds one sooner than hashing does.
    pub offsets: BTreeMap<CommandId, u64>,
    /// For a command's own channel that has not been read yet: how to begin.
    pub begin: Option<Begin>,
    /// For a command's own channel: output that is being read from the log until the ring is reached.
    pub replay: Option<Box<Replay>>,
    /// Output that was missed on the way and is being read back before anything else goes on, in order.
    pub bridges: VecDeque<Bridge>,
}

impl Cursor {
    /// Whether it goes on with a screen where it is too slow, rather than with the output that it has missed.
    pub fn skips(&self, subscription: &Subscription) -> bool {
        self.was_live && subscription.stream.terminal && !subscription.lossless
    }
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
