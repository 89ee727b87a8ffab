//! A session: a dashboard's connection like any other, over a pipe within the daemon, with a peer in here that keeps what
//! comes down until a poll takes it, and puts in what is posted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::DuplexStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use opsctl_protocol::close::CloseCode;
use opsctl_protocol::poll::{Closed, IDLE, SessionId};

use super::held::{Held, Misplaced};

/// Posts that may wait behind the one that is being put in; further ones wait for room.
const WAITING_POSTS: usize = 2;

/// The session's end of its pipe.
type Pipe = WebSocketStream<DuplexStream>;

/// Messages on their way up.
#[derive(Debug)]
pub(super) struct Posted {
    /// Which post it is, from 1, where the sender counts: one that comes again is not put in again.
    pub number: Option<u64>,
    /// Envelopes, in order.
    pub messages: Vec<Utf8Bytes>,
    /// The sender leaves with this close code.
    pub close: Option<u16>,
}

/// Why a post was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotPosted {
    /// One before it is missing.
    #[error("posts are numbered without holes, and the next one has number {next}")]
    Hole {
        /// The number that is expected.
        next: u64,
    },
    /// There is nobody to take it.
    #[error("the session has ended; open another with GET /poll")]
    Ended,
}

/// A post, and where to say what became of it.
type Post = (Posted, oneshot::Sender<Result<(), NotPosted>>);

/// What polls and posts share with the session's task.
#[derive(Debug)]
pub(super) struct Session {
    /// What its cursors begin with.
    pub(super) id: SessionId,
    /// Whose token opened it.
    pub(super) owner: String,
    /// What comes down, and how long it is waited for somebody to take it.
    state: Mutex<State>,
    /// Wakes polls that wait.
    news: Notify,
    /// Wakes the task that waits for an acknowledgement.
    room: Notify,
    /// What goes up; who posts waits for room.
    posts: mpsc::Sender<Post>,
}

#[derive(Debug)]
struct State {
    /// What was not acknowledged yet.
    held: Held,
    /// When the session is over, unless somebody polls.
    due: Instant,
}

impl Session {
    /// A session that begins now, and what is posted to it.
    pub(super) fn new(id: SessionId, owner: String) -> (Arc<Self>, Posts) {
        let (posts, waiting) = mpsc::channel(WAITING_POSTS);
        let state = State {
            held: Held::new(),
            due: Instant::now() + IDLE,
        };
        let session = Self {
            id,
            owner,
            state: Mutex::new(state),
            news: Notify::new(),
            room: Notify::new(),
            posts,
        };
        (Arc::new(session), Posts(waiting))
    }

    /// The reader has everything up to this number.
    pub(super) fn acknowledge(&self, number: u64) -> Result<(), Misplaced> {
        self.state().held.acknowledge(number)?;
        self.room.notify_one();
        Ok(())
    }

    /// Waits until there is something to answer a poll with, for so long at most.
    pub(super) async fn news(&self, wait: Duration) {
        let until = Instant::now() + wait;
        self.live_until(until + IDLE);
        // Without news the answer is empty.
        let _ = timeout_at(until, self.until(Held::is_news)).await;
    }

    /// The body of a poll's answer.
    pub(super) fn answer(&self) -> String {
        let mut state = self.state();
        state.due = Instant::now() + IDLE;
        state.held.answer(self.id)
    }

    /// Puts messages in.
    pub(super) async fn post(&self, posted: Posted) -> Result<(), NotPosted> {
        let (done, verdict) = oneshot::channel();
        let sent = self.posts.send((posted, done)).await;
        sent.map_err(|_| NotPosted::Ended)?;
        verdict.await.unwrap_or(Err(NotPosted::Ended))
    }

    /// The reader has gone. What it has posted is still heard.
    pub(super) fn leave(&self) {
        self.state().held.leave();
        self.room.notify_one();
        self.news.notify_waiters();
    }

    /// Serves the session's end of the pipe until the connection has ended and nobody wants to know how, or until nobody
    /// polls any more.
    pub(super) async fn run(self: Arc<Self>, pipe: Pipe, posts: Posts, stop: CancellationToken) {
        let (sink, stream) = pipe.split();
        let served = async {
            tokio::join!(self.down(stream), async {
                tokio::select! {
                    () = put_in(sink, posts) => {}
                    // The connection has ended, and nothing that is posted now is heard.
                    () = self.until(Held::is_closed) => {}
                }
            });
            tokio::select! {
                () = self.until(Held::is_left) => {}
                () = stop.cancelled() => {}
            }
        };
        tokio::select! {
            () = served => {}
            () = self.forsaken() => {}
        }
        self.close(Closed {
            code: CloseCode::HeartbeatMissed.number(),
            reason: "nobody polled for too long".to_owned(),
        });
    }

    /// Holds what comes, as long as there is room, until the connection ends.
    async fn down(&self, mut stream: SplitStream<Pipe>) {
        let mut closed = Closed {
            code: CloseCode::GoingAway.number(),
            reason: "the connection broke".to_owned(),
        };
        loop {
            while self.state().held.is_full() {
                self.room.notified().await;
            }
            match stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    self.state().held.push(text);
                    self.news.notify_waiters();
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    closed = Closed {
                        code: frame.code.into(),
                        reason: frame.reason.to_string(),
                    };
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
        }
        self.close(closed);
    }

    /// Nothing more comes, which whoever polls is told. The first reason stands.
    pub(super) fn close(&self, closed: Closed) {
        self.state().held.close(closed);
        self.news.notify_waiters();
    }

    /// Ends once this is so of what is held.
    async fn until(&self, is_so: impl Fn(&Held) -> bool) {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            // From here on no news is missed, also what comes while this looks.
            news.as_mut().enable();
            if is_so(&self.state().held) {
                return;
            }
            news.await;
        }
    }

    /// Ends when nobody has polled for too long.
    async fn forsaken(&self) {
        loop {
            let due = self.state().due;
            if Instant::now() >= due {
                return;
            }
            sleep_until(due).await;
        }
    }

    fn live_until(&self, due: Instant) {
        let mut state = self.state();
        state.due = state.due.max(due);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Sections under it are short and leave it whole at every step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was posted and not put in yet.
#[derive(Debug)]
pub(super) struct Posts(mpsc::Receiver<Post>);

/// Puts what is posted into the pipe, each numbered post once.
async fn put_in(mut sink: SplitSink<Pipe, Message>, mut posts: Posts) {
    let mut next = 1;
    while let Some((posted, done)) = posts.0.recv().await {
        let verdict = match posted.number {
            Some(number) if number > next => Err(NotPosted::Hole { next }),
            Some(number) if number < next => Ok(()),
            _ => send(&mut sink, &posted).await.map_err(|_| NotPosted::Ended),
        };
        if verdict.is_ok() && posted.number == Some(next) {
            next += 1;
        }
        // Whoever doesn't wait any more asks again with the same number.
        let _ = done.send(verdict);
    }
}

async fn send(sink: &mut SplitSink<Pipe, Message>, posted: &Posted) -> Result<(), Box<WsError>> {
    for message in &posted.messages {
        let message = Message::Text(message.clone());
        sink.feed(message).await.map_err(Box::new)?;
    }
    if let Some(code) = posted.close {
        let frame = CloseFrame {
            code: code.into(),
            reason: Utf8Bytes::default(),
        };
        let goodbye = Message::Close(Some(frame));
        sink.feed(goodbye).await.map_err(Box::new)?;
    }
    sink.flush().await.map_err(Box::new)
}

#[cfg(test)]
mod tests {
    use opsctl_protocol::poll::Polled;
    use tokio::io::duplex;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// A session, and the daemon's end of its pipe.
    async fn session() -> (Arc<Session>, tokio::task::JoinHandle<()>, Pipe) {
        let (near, far) = duplex(1024);
        let daemon = WebSocketStream::from_raw_socket(near, Role::Server, None).await;
        let pipe = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        let (session, posts) = Session::new(SessionId(1), "me".to_owned());
        let running = tokio::spawn(Arc::clone(&session).run(pipe, posts, CancellationToken::new()));
        (session, running, daemon)
    }

    fn polled(session: &Session) -> Polled {
        serde_json::from_str(&session.answer()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_lives_as_long_as_it_is_polled() {
        let (session, running, mut daemon) = session().await;
        let began = Instant::now();
        for _ in 0..5 {
            session.news(IDLE.mul_f64(0.9)).await;
            assert!(polled(&session).messages.is_empty());
        }
        assert!(began.elapsed() > IDLE * 4 && !running.is_finished());
        running.await.unwrap();
        assert!(!matches!(daemon.next().await, Some(Ok(_))), "it hung up");
        assert_eq!(polled(&session).closed.unwrap().code, 4012);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_leaves_ends_it_once_all_is_heard() {
        let (session, running, mut daemon) = session().await;
        let posted = Posted {
            number: Some(1),
            messages: vec!["1".into(), "2".into()],
            close: Some(1000),
        };
        session.post(posted).await.unwrap();
        session.leave();
        for text in ["1", "2"] {
            assert_eq!(daemon.next().await.unwrap().unwrap(), Message::text(text));
        }
        assert!(matches!(daemon.next().await, Some(Ok(Message::Close(_)))));
        drop(daemon);
        let began = Instant::now();
        running.await.unwrap();
        assert!(began.elapsed() < IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn how_the_daemon_ends_it_is_told() {
        let (session, _running, mut daemon) = session().await;
        let frame = CloseFrame {
            code: 4501.into(),
            reason: "why".into(),
        };
        daemon.send(Message::text("{}")).await.unwrap();
        daemon.send(Message::Close(Some(frame))).await.unwrap();
        drop(daemon);
        session.until(Held::is_closed).await;
        let polled = polled(&session);
        assert_eq!(polled.messages.len(), 1);
        assert_eq!(polled.closed.unwrap().code, 4501);
        let late = Posted {
            number: None,
            messages: Vec::new(),
            close: None,
        };
        assert_eq!(session.post(late).await, Err(NotPosted::Ended));
    }
}
