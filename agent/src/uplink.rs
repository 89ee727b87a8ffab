//! The connection to the daemon: dials, notices the end, comes back by requirement R1, and knows when not to.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use opsctl_link::{DialError, Frame, Io, LinkError, Reader, Sender, Socket, Target, dial, split};
use opsctl_protocol::close::{Retry, retry, retry_after_ms};
use opsctl_protocol::limits::HELLO_TIMEOUT;
use opsctl_protocol::reconnect::{Backoff, jittered, noise};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_tungstenite::MaybeTlsStream;

use crate::AgentError;

/// The daemon's route for agents.
const ROUTE: &str = "/ws/agent";

/// The longest wait that a daemon's hint is followed for.
const LONGEST_HINT: Duration = Duration::from_mins(5);

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
    reader: Reader<MaybeTlsStream<Box<dyn Io>>>,
    sender: Sender,
    since: Instant,
    /// Until when the daemon must have answered `agent:connect`.
    greeting: Option<Instant>,
}

impl Uplink {
    /// Starts to dial.
    pub(crate) fn new(target: Target) -> Self {
        let first = dialing(target.clone(), Duration::ZERO);
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

    /// The daemon has answered `agent:connect`.
    pub(crate) fn greeted(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.greeting = None;
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
        let wait = self.backoff.next(noise());
        let attempt = self.backoff.attempt();
        tracing::warn!(%error, attempt, ?wait, "the daemon cannot be reached; trying again");
        self.state = State::Dialing(dialing(self.target.clone(), wait));
        Happened::Lost
    }

    fn ended(&mut self, error: &LinkError) -> Happened {
        let State::Open(open) = &self.state else {
            return Happened::Lost;
        };
        self.backoff.lived(open.since.elapsed());
        let mut wait = None;
        if let LinkError::Closed { code, reason } = error {
            match retry(*code) {
                Retry::Yes => wait = hint(reason),
                Retry::Replaced => return Happened::Refused(AgentError::Replaced),
                Retry::No => {
                    return Happened::Refused(AgentError::Closed {
                        code: *code,
                        reason: reason.clone(),
                    });
                }
            }
        }
        let wait = wait.unwrap_or_else(|| self.backoff.next(noise()));
        tracing::warn!(%error, ?wait, "the connection to the daemon is lost; coming back");
        self.state = State::Dialing(dialing(self.target.clone(), wait));
        Happened::Lost
    }
}

impl Open {
    async fn next(&mut self) -> Result<Frame, LinkError> {
        match self.greeting {
            None => self.reader.next().await,
            Some(until) => timeout_at(until, self.reader.next())
                .await
                .unwrap_or(Err(LinkError::Silent)),
        }
    }
}

/// The wait that the daemon asks for, spread so that not all agents come at once.
fn hint(reason: &str) -> Option<Duration> {
    let asked = Duration::from_millis(retry_after_ms(reason)?).min(LONGEST_HINT);
    Some(jittered(asked, noise()))
}

fn dialing(target: Target, wait: Duration) -> Dialing {
    Box::pin(async move {
        if !wait.is_zero() {
            sleep(wait).await;
        }
        dial(&target, ROUTE).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_followed_within_reason() {
        assert_eq!(hint("bye"), None);
        let wait = hint("restart; retry-after-ms=1000").unwrap();
        assert!((800..=1200).contains(&wait.as_millis()));
        assert!(hint("retry-after-ms=999999999").unwrap() <= LONGEST_HINT.mul_f64(1.2));
    }
}
