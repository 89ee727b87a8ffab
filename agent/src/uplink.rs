//! The connection to the daemon: dials, notices the end, comes back by requirement R1, and knows when not to.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use opsctl_link::{
    DialError, Frame, LinkError, Reader, Sender, Socket, Stream, Target, appears, dial, split,
};
use opsctl_protocol::close::{Retry, retry, retry_after_ms};
use opsctl_protocol::limits::HELLO_TIMEOUT;
use opsctl_protocol::reconnect::{Backoff, noise};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::AgentError;

/// The daemon's route for agents.
const ROUTE: &str = "/ws/agent";

type Dialing = Pin<Box<dyn Future<Output = Result<Socket, DialError>> + Send>>;

/// What happened to the connection.
pub(crate) enum Happened {
    /// It is open; `agent:connect` is due.
    Opened(Sender),
    /// The daemon said something.
    Frame(Frame),
    /// It is gone; another attempt follows by itself.
    Lost,
    /// It is gone for good.
    Refused(AgentError),
}

/// A connection that comes back.
pub(crate) struct Uplink {
    target: Target,
    backoff: Backoff,
    state: State,
}

enum State {
    Dialing(Dialing),
    Open(Box<Open>),
}

struct Open {
    reader: Reader<Stream>,
    sender: Sender,
    since: Instant,
    /// Until when the daemon must have answered `agent:connect`.
    greeting: Option<Instant>,
}

impl Uplink {
    /// Starts to dial.
    pub(crate) fn new(target: Target) -> Self {
        let first = dialing(target.clone(), Duration::ZERO, false);
        Self {
            target,
            backoff: Backoff::default(),
            state: State::Dialing(first),
        }
    }

    /// What happens next. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Happened {
        match &mut self.state {
            State::Dialing(dialing) => match dialing.as_mut().await {
                Ok(socket) => self.open(socket),
                Err(error) => self.not_reached(error),
            },
            State::Open(open) => match open.next().await {
                Ok(frame) => Happened::Frame(frame),
                Err(error) => self.ended(&error),
            },
        }
    }

    /// The daemon has answered `agent:connect`, and announced its heartbeat.
    pub(crate) fn greeted(&mut self, heartbeat: Duration) {
        if let State::Open(open) = &mut self.state {
            open.greeting = None;
            open.sender.set_heartbeat(heartbeat);
        }
    }

    /// Ends the connection and waits, briefly, until it is ended.
    pub(crate) async fn close(self, reason: &str) {
        const NORMAL: u16 = 1000;
        if let State::Open(open) = self.state {
            open.sender.close(NORMAL, reason);
            // A daemon that doesn't read is left behind.
            let _ = timeout(Duration::from_secs(1), open.sender.closed()).await;
        }
    }

    fn open(&mut self, socket: Socket) -> Happened {
        let (reader, sender) = split(socket);
        tracing::info!(daemon = %self.target.endpoint, "connected");
        let since = Instant::now();
        let greeting = Some(since + HELLO_TIMEOUT);
        self.state = State::Open(Box::new(Open {
            reader,
            sender: sender.clone(),
            since,
            greeting,
        }));
        Happened::Opened(sender)
    }

    fn not_reached(&mut self, error: DialError) -> Happened {
        if !error.retryable() {
            return Happened::Refused(AgentError::Refused(error));
        }
        let hint = error.retry_after();
        let wait = self.backoff.next_hinted(hint, noise());
        let attempt = self.backoff.attempt();
        tracing::warn!(%error, attempt, ?wait, "the daemon cannot be reached; trying again");
        self.state = State::Dialing(dialing(self.target.clone(), wait, hint.is_none()));
        Happened::Lost
    }

    fn ended(&mut self, error: &LinkError) -> Happened {
        let State::Open(open) = &self.state else {
            return Happened::Lost;
        };
        self.backoff.lived(open.since.elapsed());
        let mut hint = None;
        if let LinkError::Closed { code, reason } = error {
            match retry(*code) {
                Retry::Yes => hint = retry_after_ms(reason).map(Duration::from_millis),
                Retry::Replaced => return Happened::Refused(AgentError::Replaced),
                Retry::No => {
                    return Happened::Refused(AgentError::Closed {
                        code: *code,
                        reason: reason.clone(),
                    });
                }
            }
        }
        let wait = self.backoff.next_hinted(hint, noise());
        tracing::warn!(%error, ?wait, "the connection to the daemon is lost; coming back");
        self.state = State::Dialing(dialing(self.target.clone(), wait, hint.is_none()));
        Happened::Lost
    }
}

impl Open {
    async fn next(&mut self) -> Result<Frame, LinkError> {
        match self.greeting {
            None => self.reader.next().await,
            Some(until) => {
                timeout_at(until, self.reader.next())
                    .await
                    .unwrap_or(Err(LinkError::Silent {
                        after: HELLO_TIMEOUT,
                    }))
            }
        }
    }
}

/// Dials after a wait, or as soon as the daemon's socket is there again, where it has not said itself how long to wait.
fn dialing(target: Target, wait: Duration, watches: bool) -> Dialing {
    Box::pin(async move {
        if !wait.is_zero() {
            tokio::select! {
                () = sleep(wait) => {}
                () = appears(&target.endpoint), if watches => {}
            }
        }
        dial(&target, ROUTE).await
    })
}
