//! The task that owns everything: dials, speaks, waits, comes back.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opsctl_link::{DialError, Socket, Target, Transport, appears, dial, poll};
use opsctl_protocol::message::{ErrorCode, Subscribe};
use opsctl_protocol::reconnect::{Backoff, noise};
use tokio::sync::mpsc;

use crate::event::{ConnState, Event, Outbox};
use crate::handle::{Ask, Options, Order, RequestError, Shared};
use crate::pending::{About, Pending, Waiting};
use crate::resume::Resume;

/// Where dashboards connect.
const ROUTE: &str = "/ws/dashboard";

/// Attempts in a row after which the network is said to let no WebSocket through: one may have met a daemon that was just
/// being restarted.
const NO_WEBSOCKET: u32 = 2;

/// Why a connection, or an attempt at one, ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It may come back, after `wait` where the daemon gave a hint.
    Lost {
        /// Why, for people.
        reason: String,
        /// At least so long.
        wait: Option<Duration>,
    },
    /// Another attempt would fail the same way.
    Refused {
        /// Why, for programs.
        code: Option<ErrorCode>,
        /// Why, for people.
        message: String,
    },
    /// It went over long-polling, and here is a WebSocket that got through.
    Better(Box<Socket>),
    /// The program closed it.
    Closed,
}

impl From<DialError> for Ended {
    fn from(error: DialError) -> Self {
        if error.retryable() {
            Self::Lost {
                reason: error.to_string(),
                wait: error.retry_after(),
            }
        } else {
            Self::Refused {
                code: error.code(),
                message: error.to_string(),
            }
        }
    }
}

/// Everything about the connection that outlives a single WebSocket.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) options: Options,
    pub(crate) shared: Arc<Shared>,
    /// Requests from the program.
    pub(crate) orders: mpsc::Receiver<Order>,
    /// Events to the program.
    pub(crate) outbox: Outbox,
    /// What is subscribed and how far it was seen.
    pub(crate) resume: Resume,
    /// What was asked and not answered.
    pub(crate) pending: Pending,
    /// How messages travelled last, as the program knows it.
    pub(crate) transport: Transport,
    /// A socket that was opened while another was used.
    better: Option<Box<Socket>>,
    backoff: Backoff,
}

impl Connection {
    pub(crate) fn new(
        options: Options,
        shared: Arc<Shared>,
        orders: mpsc::Receiver<Order>,
        outbox: Outbox,
    ) -> Self {
        Self {
            options,
            shared,
            orders,
            outbox,
            resume: Resume::default(),
            pending: Pending::default(),
            transport: Transport::WebSocket,
            better: None,
            backoff: Backoff::default(),
        }
    }

    /// Runs until the program closes the client.
    pub(crate) async fn run(mut self) {
        loop {
            let ended = match self.better.take() {
                Some(socket) => self.live(*socket).await,
                None => self.attempt().await,
            };
            self.shared.set_link(None);
            self.pending.lost();
            let came_back = match ended {
                Ended::Closed => None,
                Ended::Better(socket) => {
                    self.better = Some(socket);
                    Some(())
                }
                Ended::Lost { reason, wait } => self.wait(reason, wait).await,
                Ended::Refused { code, message } => self.refused(code, message).await,
            };
            if came_back.is_none() {
                break;
            }
        }
        self.pending.fail(&RequestError::Closed);
        self.announce(ConnState::Closed);
        self.outbox.flush().await;
    }

    /// One attempt, and the connection that it opens, up to its end.
    async fn attempt(&mut self) -> Ended {
        self.announce(ConnState::Connecting {
            attempt: self.backoff.attempt() + 1,
        });
        let target = self.options.target.clone();
        match self.meanwhile(Box::pin(reach(&target))).await {
            Some(Ok(socket)) => self.live(socket).await,
            Some(Err(error)) => error.into(),
            None => Ended::Closed,
        }
    }

    /// An open connection, up to its end.
    async fn live(&mut self, socket: Socket) -> Ended {
        let since = Instant::now();
        let ended = self.session(socket).await;
        self.backoff.lived(since.elapsed());
        ended
    }

    /// Waits before the next attempt; `None` when the program closed the client.
    async fn wait(&mut self, reason: String, at_least: Option<Duration>) -> Option<()> {
        let wait = self.backoff.next_hinted(at_least, noise());
        let attempt = self.backoff.attempt();
        let until = Instant::now() + wait;
        self.announce(ConnState::Waiting {
            attempt,
            until,
            reason,
        });
        let shared = self.shared.clone();
        let endpoint = self.options.target.endpoint.clone();
        let kicked = self
            .meanwhile(async {
                // Whoever waits for trouble is to see this state, also when the wait is none.
                tokio::task::yield_now().await;
                tokio::select! {
                    biased;
                    () = shared.kick.notified() => true,
                    () = tokio::time::sleep_until(until.into()) => false,
                    // Where the daemon has not said itself how long to wait.
                    () = appears(&endpoint), if at_least.is_none() => false,
                }
            })
            .await?;
        if kicked {
            self.backoff.reset();
        }
        Some(())
    }

    /// Stays refused until a person asks for another attempt; `None` when the program closed the client.
    async fn refused(&mut self, code: Option<ErrorCode>, message: String) -> Option<()> {
        self.announce(ConnState::Refused {
            code,
            message: message.clone(),
        });
        let error = RequestError::Connection { message };
        let shared = self.shared.clone();
        let mut kicked = pin!(shared.kick.notified());
        loop {
            self.pending.fail(&error);
            tokio::select! {
                biased;
                () = shared.closing.cancelled() => return None,
                () = &mut kicked => break,
                order = self.orders.recv() => {
                    self.take(order?);
                }
                () = self.outbox.flush(), if !self.outbox.is_empty() => {}
            }
        }
        self.backoff.reset();
        Some(())
    }

    /// Waits for something while there is no connection, and takes requests meanwhile; `None` when the program closed
    /// the client.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let shared = self.shared.clone();
        loop {
            tokio::select! {
                biased;
                () = shared.closing.cancelled() => return None,
                done = &mut future => return Some(done),
                order = self.orders.recv() => {
                    self.take(order?);
                }
                () = self.outbox.flush(), if !self.outbox.is_empty() => {}
            }
        }
    }

    /// Enters a request, to be answered later. Returns its id.
    pub(crate) fn take(&mut self, order: Order) -> u64 {
        let about = match order.ask {
            Ask::Plain(text) => About::Plain(text),
            // The connection that the question went over is gone; who waits is told so by the drop. Kept, it would wait for
            // an answer that the next connection doesn't bring.
            Ask::Receipt if self.shared.link().is_none() => return order.id,
            Ask::Receipt => About::Receipt,
            Ask::Subscribe(subscribe) => {
                self.resume.subscribe(&subscribe);
                About::Subscribe(subscribe.channel)
            }
            Ask::Screen(command) => About::Subscribe(self.resume.screen(command)),
            Ask::Unsubscribe(pattern) => {
                self.resume.remove(&pattern);
                About::Unsubscribe(pattern)
            }
        };
        let waiting = Waiting {
            about,
            reply: Some(order.reply),
            _permit: Some(order.permit),
        };
        self.pending.insert(order.id, waiting);
        order.id
    }

    /// What to subscribe on a new connection, with the ids under which the answers come.
    pub(crate) fn resumptions(&mut self) -> Vec<(u64, Subscribe)> {
        let mut asks = Vec::new();
        for subscribe in self.resume.resume() {
            let mut ids = self.pending.subscribers(&subscribe.channel);
            if ids.is_empty() {
                let id = self.shared.next_id();
                let about = About::Resume(subscribe.channel.clone());
                self.pending.insert(
                    id,
                    Waiting {
                        about,
                        reply: None,
                        _permit: None,
                    },
                );
                ids.push(id);
            }
            asks.extend(ids.into_iter().map(|id| (id, subscribe.clone())));
        }
        asks
    }

    /// Tells the program how messages travel, where that is news.
    pub(crate) fn travels(&mut self, transport: &Transport) {
        if self.transport != *transport {
            self.transport = transport.clone();
            if let Some(tell) = self.options.tell {
                tell(transport);
            }
            self.outbox.push(Event::Transport(transport.clone()));
        }
    }

    /// Tells the program how the connection stands.
    pub(crate) fn announce(&mut self, state: ConnState) {
        self.shared.state.send_replace(state.clone());
        self.outbox.push(Event::State(state));
    }
}

/// Opens a WebSocket, or what stands for one where the network lets none through.
async fn reach(target: &Target) -> Result<Socket, DialError> {
    let mut attempts = 0;
    let (error, why) = loop {
        let error = match dial(target, ROUTE).await {
            Ok(socket) => return Ok(socket),
            Err(error) => error,
        };
        attempts += 1;
        match error.without_websocket() {
            Some(why) if attempts == NO_WEBSOCKET => break (error, why),
            Some(_) => {}
            None => return Err(error),
        }
    };
    match poll::open(target, why).await {
        Ok(socket) => Ok(socket),
        // The daemon's own word is worth more than that of what stands before it.
        Err(refused) if refused.code().is_some() => Err(refused),
        Err(_) => Err(error),
    }
}

/// Waits until a WebSocket gets through, with so long a pause before each attempt.
pub(crate) async fn websocket(target: &Target, every: Duration) -> Socket {
    loop {
        tokio::time::sleep(every).await;
        match dial(target, ROUTE).await {
            Ok(socket) => return socket,
            Err(error) => tracing::debug!(%error, "still no WebSocket"),
        }
    }
}

#[cfg(test)]
mod tests {
    use opsctl_link::Endpoint;
    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    #[tokio::test]
    async fn a_receipt_that_comes_behind_the_end_of_its_connection_is_not_waited_for() {
        let target = Target {
            endpoint: Endpoint::Unix("/nowhere".into()),
            token: None,
            connect_timeout: Duration::from_secs(1),
        };
        let options = Options::new(target, "test");
        let shared = Arc::new(Shared::new());
        let (_orders, orders) = mpsc::channel(1);
        let (events, _events) = mpsc::channel(1);
        let mut connection = Connection::new(options, shared, orders, Outbox::new(events));
        let (reply, answer) = oneshot::channel();
        let places = Arc::new(Semaphore::new(1));
        connection.take(Order {
            id: 7,
            ask: Ask::Receipt,
            reply,
            permit: places.acquire_owned().await.unwrap(),
        });
        assert!(answer.await.is_err());
    }
}
