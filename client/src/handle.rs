//! What the program holds to speak to the daemon.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opsctl_link::{Sender, Target, Transport};
use opsctl_protocol::codec::{EncodeError, Header};
use opsctl_protocol::message::{
    CommandInput, DashboardMessage, ErrorCode, ErrorPayload, Payload, Subscribe, Subscribed,
    ToDashboard, Unsubscribe,
};
use opsctl_protocol::{CommandId, Pattern, encode, frame};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::event::{ConnState, Events, Outbox, WAITING_EVENTS};

/// Requests that may wait for their answer at once; further ones wait for one of these.
const IN_FLIGHT: usize = 256;

/// Keys that may wait for their receipt at once. While an agent's connection hangs there is none, and whoever types on must
/// be able to leave; further ones are not sent.
const RECEIPTS: usize = 1024;

/// Requests on their way to the connection's task.
const WAITING_ORDERS: usize = 64;

/// How often a WebSocket is tried while there is none: a network that changes is one to which somebody has moved.
pub const WEBSOCKET_RETRY: Duration = Duration::from_mins(1);

/// Whom to connect to, and as what.
#[derive(Debug, Clone)]
pub struct Options {
    /// The daemon.
    pub target: Target,
    /// What kind of program this is (`opsctl tui`), for the daemon's log.
    pub client: String,
    /// How often a WebSocket is tried while long-polling stands for one.
    pub websocket_retry: Duration,
    /// Called when messages travel in another way than before, ahead of the event that tells it; at first they are taken to
    /// go over a WebSocket.
    pub tell: Option<fn(&Transport)>,
}

impl Options {
    /// The usual, for a program of this kind.
    pub fn new(target: Target, client: impl Into<String>) -> Self {
        Self {
            target,
            client: client.into(),
            websocket_retry: WEBSOCKET_RETRY,
            tell: None,
        }
    }
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The daemon answered with an `error`.
    #[error("{}", .0.message)]
    Refused(ErrorPayload),
    /// There is no connection and there won't be one by itself; [`Client::state`] says more.
    #[error("{message}")]
    Connection {
        /// Why, for people.
        message: String,
    },
    /// The client was closed.
    #[error("the connection was closed")]
    Closed,
}

/// There is no connection right now, so that something that cannot wait was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not connected to the daemon")]
pub struct NotConnected;

/// Keys were not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTyped {
    /// There is no connection right now.
    #[error(transparent)]
    NotConnected(#[from] NotConnected),
    /// Too many were sent that have not arrived.
    #[error("what was typed before has not arrived yet")]
    TooMany,
}

/// What handles and the task share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: watch::Sender<ConnState>,
    /// The lanes of the open connection, once the daemon has said `connected`.
    pub(crate) link: Mutex<Option<Sender>>,
    /// Ends a wait before the next attempt.
    pub(crate) kick: Notify,
    /// Set when the program closes the client.
    pub(crate) closing: CancellationToken,
    /// The daemon has introduced itself at least once.
    pub(crate) was_connected: AtomicBool,
    next_id: AtomicU64,
}

impl Shared {
    /// What is shared before the first attempt.
    pub(crate) fn new() -> Self {
        Self {
            state: watch::Sender::new(ConnState::Connecting { attempt: 1 }),
            link: Mutex::new(None),
            kick: Notify::new(),
            closing: CancellationToken::new(),
            was_connected: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
        }
    }

    /// An id that no other message of this client has.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn set_link(&self, link: Option<Sender>) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }

    /// The connection that there is, once the daemon has said who it is.
    pub(crate) fn link(&self) -> Option<Sender> {
        self.link
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What a request is about, as far as the connection's task must know.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Any request, as the text that is sent, also again after a reconnect.
    Plain(String),
    /// To be remembered and resumed.
    Subscribe(Subscribe),
    /// A command's screen, to be asked for anew with each connection.
    Screen(CommandId),
    /// To be forgotten.
    Unsubscribe(Pattern),
    /// The question was sent in another way; only its answer on this very connection counts.
    Receipt,
}

/// A request on its way to the connection's task.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) ask: Ask,
    pub(crate) reply: oneshot::Sender<Result<ToDashboard, RequestError>>,
    /// Held until the request is answered.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Starts the task that connects and stays connected. Must be called within a tokio runtime.
pub fn start(options: Options) -> (Client, Events) {
    start_with_room(options, WAITING_EVENTS)
}

/// The same with room for so many events, at least one: what waits here is out of date when it is shown.
pub fn start_with_room(options: Options, events: usize) -> (Client, Events) {
    let (orders, orders_in) = mpsc::channel(WAITING_ORDERS);
    let (events_out, receiver) = mpsc::channel(events.max(1));
    let shared = Arc::new(Shared::new());
    let connection = Connection::new(options, shared.clone(), orders_in, Outbox::new(events_out));
    tokio::spawn(connection.run());
    let client = Client {
        shared,
        orders,
        in_flight: Arc::new(Semaphore::new(IN_FLIGHT)),
        receipts: Arc::new(Semaphore::new(RECEIPTS)),
    };
    (client, Events { receiver })
}

/// Where an answer comes.
type Answer = oneshot::Receiver<Result<ToDashboard, RequestError>>;

/// What became of keys that were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// They have come to the process that holds the program.
    Arrived,
    /// They have not, or nobody knows; the daemon says why.
    Lost(String),
    /// The connection to the daemon was lost before it said.
    Unknown,
}

/// What will be known of keys that were sent.
#[derive(Debug)]
#[must_use = "keys that did not arrive are to be told of"]
pub struct Receipt(Answer);

impl Receipt {
    /// Waits until they have come to the program's holder.
    pub async fn outcome(self) -> Outcome {
        match self.0.await {
            Ok(Ok(_)) => Outcome::Arrived,
            Ok(Err(RequestError::Refused(error))) => Outcome::Lost(error.message),
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        }
    }
}

/// Speaks to the daemon; clones share the connection, which ends with the last of them.
///
/// Answers come over the same socket as events: whoever waits for an answer while nobody takes events out of
/// [`Events`] may wait for ever. Do both at once, or drop `Events`.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    in_flight: Arc<Semaphore>,
    /// Places for keys that wait for their receipt.
    receipts: Arc<Semaphore>,
}

impl Client {
    /// Sends a request and waits for its answer, over reconnects too: it is sent again until it is answered, so it must
    /// be safe to repeat (a `command:request` is, by its key). May be called before the connection is there.
    ///
    /// # Errors
    /// What the daemon refuses, or that there will be no connection.
    pub async fn request(
        &self,
        message: impl Into<DashboardMessage>,
    ) -> Result<ToDashboard, RequestError> {
        let id = self.shared.next_id();
        let text = encode(&Header::asking(format!("c{id}")), &message.into())
            .map_err(|error| unsendable(&error))?;
        self.order(id, Ask::Plain(text)).await
    }

    /// Subscribes, and stays subscribed over reconnects: the stream goes on where it stood.
    ///
    /// # Errors
    /// What the daemon refuses, or that there will be no connection.
    pub async fn subscribe(&self, subscribe: Subscribe) -> Result<Subscribed, RequestError> {
        self.subscription(Ask::Subscribe(subscribe)).await
    }

    /// Watches a command's screen: the screen, or all output that there was, and then what follows. So once more with each
    /// new connection, for who draws anew then: all that comes after [`crate::Event::Connected`] is of the new one.
    ///
    /// # Errors
    /// What the daemon refuses, or that there will be no connection.
    pub async fn screen(&self, command: CommandId) -> Result<Subscribed, RequestError> {
        self.subscription(Ask::Screen(command)).await
    }

    async fn subscription(&self, ask: Ask) -> Result<Subscribed, RequestError> {
        match self.order(self.shared.next_id(), ask).await? {
            ToDashboard::Subscribed(subscribed) => Ok(subscribed),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// What the daemon refuses, or that there will be no connection.
    pub async fn unsubscribe(&self, pattern: Pattern) -> Result<(), RequestError> {
        self.order(self.shared.next_id(), Ask::Unsubscribe(pattern))
            .await
            .map(|_| ())
    }

    async fn order(&self, id: u64, ask: Ask) -> Result<ToDashboard, RequestError> {
        let permit = Arc::clone(&self.in_flight);
        let permit = permit.acquire_owned().await;
        let permit = permit.map_err(|_| RequestError::Closed)?;
        let answer = self.enter(id, ask, permit).await?;
        answer.await.map_err(|_| RequestError::Closed)?
    }

    /// Enters a request; its answer comes later.
    async fn enter(
        &self,
        id: u64,
        ask: Ask,
        permit: OwnedSemaphorePermit,
    ) -> Result<Answer, RequestError> {
        let (reply, answer) = oneshot::channel();
        let order = Order {
            id,
            ask,
            reply,
            permit,
        };
        self.orders
            .send(order)
            .await
            .map_err(|_| RequestError::Closed)?;
        Ok(answer)
    }

    /// Sends a message that wants no answer, ahead of all bulk. Never waits. An `error` about it comes as an event.
    ///
    /// # Errors
    /// When there is no connection: it is not kept for later.
    pub fn post(&self, message: impl Into<DashboardMessage>) -> Result<(), NotConnected> {
        let text = encode(&Header::default(), &message.into()).map_err(|_| NotConnected)?;
        let link = self.shared.link().ok_or(NotConnected)?;
        link.control(text).map_err(|_| NotConnected)
    }

    /// Sends keys as [`Self::input`] does, and tells what became of them: the receipt comes once they have come to the
    /// process that holds the program, over reconnects of its agent too. They are never typed twice.
    ///
    /// # Errors
    /// When they were not sent: there is no connection, or too many have no receipt yet.
    pub async fn keys(&self, input: CommandInput) -> Result<Receipt, NotTyped> {
        let link = self.shared.link().ok_or(NotConnected)?;
        let id = self.shared.next_id();
        let question = DashboardMessage::Input(CommandInput {
            command_id: input.command_id,
            data: Payload::default(),
            offset: None,
            eof: false,
        });
        let text =
            encode(&Header::asking(format!("c{id}")), &question).map_err(|_| NotConnected)?;
        let permit = Arc::clone(&self.receipts).try_acquire_owned();
        let permit = permit.map_err(|_| NotTyped::TooMany)?;
        // Entered first, so that the answer finds it; in the lane of the keys, so that it is not ahead of them.
        let answer = self
            .enter(id, Ask::Receipt, permit)
            .await
            .map_err(|_| NotConnected)?;
        let sent = link.bulk(frame::encode_input(&input)).await;
        sent.map_err(|_| NotConnected)?;
        // A lane that has ended meanwhile takes the receipt with it.
        let _ = link.bulk_text(text).await;
        Ok(Receipt(answer))
    }

    /// Sends input in the bulk lane; waits for room there.
    ///
    /// # Errors
    /// When there is no connection: it is not kept for later. [`crate::InputPump`] keeps it.
    pub async fn input(&self, input: CommandInput) -> Result<(), NotConnected> {
        let link = self.shared.link().ok_or(NotConnected)?;
        link.bulk(frame::encode_input(&input))
            .await
            .map_err(|_| NotConnected)
    }

    /// How the connection stands.
    pub fn state(&self) -> ConnState {
        self.shared.state.borrow().clone()
    }

    /// Follows how the connection stands; a reader that is late sees the latest state only.
    pub fn states(&self) -> watch::Receiver<ConnState> {
        self.shared.state.subscribe()
    }

    /// Waits until there is no daemon: the first attempt failed, or one was refused for good. What a command that must not
    /// wait for a daemon races its request against. A connection that was there and was lost comes back by itself.
    pub async fn trouble(&self) -> ConnState {
        let mut states = self.states();
        let found = states
            .wait_for(|state| match state {
                ConnState::Connecting { .. } | ConnState::Connected => false,
                ConnState::Waiting { .. } => !self.shared.was_connected.load(Ordering::Relaxed),
                ConnState::Refused { .. } | ConnState::Closed => true,
            })
            .await;
        found.map_or(ConnState::Closed, |state| state.clone())
    }

    /// Ends the wait before the next attempt, also after a refusal, and starts the counter of attempts anew.
    pub fn reconnect_now(&self) {
        self.shared.kick.notify_one();
    }

    /// Closes the connection for all handles, tells the daemon so, and waits until that is said.
    pub async fn close(self) {
        let mut states = self.states();
        self.shared.closing.cancel();
        // An error means that the task has ended, which is what is waited for.
        let _ = states.wait_for(|state| *state == ConnState::Closed).await;
    }
}

fn unsendable(error: &EncodeError) -> RequestError {
    RequestError::Refused(ErrorPayload::new(ErrorCode::BadRequest, error.to_string()))
}

fn unexpected(answer: &ToDashboard) -> RequestError {
    use opsctl_protocol::message::Direction;
    RequestError::Refused(ErrorPayload::new(
        ErrorCode::Internal,
        format!("the daemon answered with {}", answer.kind()),
    ))
}

/// The message that ends a subscription.
pub(crate) fn unsubscribe_message(pattern: Pattern) -> DashboardMessage {
    Unsubscribe { channel: pattern }.into()
}
