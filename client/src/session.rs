//! One open WebSocket: the handshake, everything that waits sent at once, then frames in and requests out.

use std::sync::atomic::Ordering;
use std::time::Duration;

use opsctl_link::{Frame, LinkError, Reader, SendError, Sender, Socket, Stream, Transport, split};
use opsctl_protocol::codec::Header;
use opsctl_protocol::frame::Via;
use opsctl_protocol::message::{
    Connected, DashboardConnect, DashboardMessage, Direction, ErrorCode, ErrorPayload,
    TerminalOutput, ToDashboard,
};
use opsctl_protocol::{BinaryFrame, Channel, Decoded, OutputFrame, close, decode, encode};
use tokio::time::{Instant, sleep_until};

use crate::connection::{Connection, Ended, websocket};
use crate::event::{ConnState, Event};
use crate::handle::{RequestError, unsubscribe_message};
use crate::pending::About;
use crate::unread::Unread;

/// The id of `dashboard:connect`; requests have ids of another form.
const HELLO: &str = "hello";

/// How long the daemon may take to answer `dashboard:connect`.
const HELLO_ANSWER: Duration = Duration::from_secs(10);

/// What a frame leads to.
enum Outcome {
    Stay,
    /// The daemon has introduced itself.
    Greeted(Box<Connected>),
    End(Ended),
}

impl Connection {
    /// Speaks over an open WebSocket until it ends.
    pub(crate) async fn session(&mut self, socket: Socket) -> Ended {
        let transport = socket.transport().clone();
        let is_polling = transport != Transport::WebSocket;
        let (mut reader, sender) = split(socket);
        if let Err(error) = self.greet(&sender) {
            return lost(error);
        }
        let deadline = Instant::now() + HELLO_ANSWER;
        let mut greeted = false;
        let mut unread = Unread::new(Instant::now());
        let shared = self.shared.clone();
        let target = self.options.target.clone();
        let mut better = Box::pin(websocket(&target, self.options.websocket_retry));
        let ended = loop {
            let busy = !self.outbox.is_empty();
            unread.note(busy, Instant::now());
            let due = self.pending.next_due();
            tokio::select! {
                biased;
                () = shared.closing.cancelled() => break Ended::Closed,
                order = self.orders.recv() => {
                    let Some(order) = order else { break Ended::Closed };
                    let id = self.take(order);
                    if let Err(error) = self.send(&sender, id) {
                        break lost(error);
                    }
                }
                () = self.outbox.flush(), if busy => {}
                // The socket is read only when the program has taken what came before: that is the backpressure.
                frame = reader.next(), if !busy => {
                    let hung_up = frame.as_ref().is_err_and(has_hung_up);
                    match self.receive(frame) {
                        Outcome::Stay => {}
                        Outcome::Greeted(connected) => {
                            greeted = true;
                            self.travels(&transport);
                            self.greeted(*connected, &sender);
                        }
                        Outcome::End(ended) if hung_up => break because(ended, unread),
                        Outcome::End(ended) => break ended,
                    }
                }
                socket = &mut better, if is_polling => break Ended::Better(Box::new(socket)),
                () = until(due), if due.is_some() => {
                    if let Err(error) = self.send_again(&sender) {
                        break lost(error);
                    }
                }
                () = sleep_until(deadline), if !greeted => {
                    break Ended::Lost { reason: format!("the daemon did not introduce itself within {HELLO_ANSWER:?}"), wait: None };
                }
            }
        };
        self.leave(ended, sender, reader, is_polling).await
    }

    /// Leaves a connection that this side has ended, once all has gone out that was sent over it.
    async fn leave(
        &mut self,
        ended: Ended,
        sender: Sender,
        reader: Reader<Stream>,
        is_polling: bool,
    ) -> Ended {
        match ended {
            Ended::Closed => {
                sender.close(1000, "");
                sender.closed().await;
                // A goodbye that is posted takes a request, which would end with this program.
                if is_polling {
                    reader.linger().await;
                }
            }
            Ended::Better(_) => {
                // What is sent from here on goes over the new one, and must not be ahead of what went before.
                self.shared.set_link(None);
                drop(sender);
                reader.linger().await;
            }
            Ended::Lost { .. } | Ended::Refused { .. } => {}
        }
        ended
    }

    /// Introduces this program and sends all that waits, without waiting for an answer: what is refused is answered so,
    /// and a command saves a round trip.
    fn greet(&mut self, sender: &Sender) -> Result<(), SendError> {
        let hello = DashboardConnect {
            client: self.options.client.clone(),
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        say(sender, HELLO.to_owned(), &hello.into())?;
        for (id, subscribe) in self.resumptions() {
            say(sender, format!("c{id}"), &subscribe.into())?;
        }
        self.pending
            .texts()
            .try_for_each(|text| sender.control(text.to_owned()))
    }

    /// Sends a request that was just entered.
    fn send(&mut self, sender: &Sender, id: u64) -> Result<(), SendError> {
        match self.pending.about(id) {
            Some(About::Plain(text)) => sender.control(text.clone()),
            Some(About::Subscribe(pattern)) => match self.resume.asked(pattern) {
                Some(subscribe) => say(sender, format!("c{id}"), &subscribe.clone().into()),
                None => Ok(()),
            },
            Some(About::Unsubscribe(pattern)) => say(
                sender,
                format!("c{id}"),
                &unsubscribe_message(pattern.clone()),
            ),
            Some(About::Resume(_) | About::Receipt) | None => Ok(()),
        }
    }

    /// Sends what the daemon had no time for, and has now.
    fn send_again(&mut self, sender: &Sender) -> Result<(), SendError> {
        let now = Instant::now();
        while let Some(id) = self.pending.take_due(now) {
            match self.pending.about(id) {
                Some(About::Subscribe(pattern) | About::Resume(pattern)) => {
                    if let Some(subscribe) = self.resume.again(pattern) {
                        say(sender, format!("c{id}"), &subscribe.into())?;
                    }
                }
                _ => self.send(sender, id)?,
            }
        }
        Ok(())
    }

    fn receive(&mut self, frame: Result<Frame, LinkError>) -> Outcome {
        let text = match frame {
            Ok(Frame::Binary(bytes)) => match BinaryFrame::decode(&bytes) {
                Ok(BinaryFrame::Output(frame)) => return self.output(frame),
                Ok(BinaryFrame::Envelope(text)) => decode(&text),
                Ok(BinaryFrame::Input(_)) => return Outcome::Stay,
                Err(error) => Err(error),
            },
            Ok(Frame::Text(text)) => decode(&text),
            Ok(Frame::Pong(_)) => return Outcome::Stay,
            Err(error) => return Outcome::End(ended(error)),
        };
        match text {
            Ok(decoded) => self.heard(decoded),
            Err(error) => {
                // A newer daemon may say things that this build does not know; they are not for it.
                tracing::debug!(%error, "a frame from the daemon was not understood");
                Outcome::Stay
            }
        }
    }

    fn output(&mut self, frame: OutputFrame) -> Outcome {
        if let Some(frame) = self.resume.output(frame) {
            self.outbox.push(Event::Output(frame));
        }
        Outcome::Stay
    }

    fn heard(&mut self, decoded: Decoded<ToDashboard>) -> Outcome {
        match (decoded.header.re.as_deref(), &decoded.message) {
            (Some(HELLO), ToDashboard::Connected(connected)) => {
                return Outcome::Greeted(Box::new(connected.clone()));
            }
            (Some(HELLO), ToDashboard::Error(error)) => {
                return Outcome::End(Ended::Refused {
                    code: Some(error.code),
                    message: error.message.clone(),
                });
            }
            (Some(re), _) => {
                let re = re.to_owned();
                self.answered(&re, decoded.message);
            }
            (None, ToDashboard::Output(_)) => return self.text_output(decoded),
            (None, _) => {
                if self.resume.message(&decoded) {
                    self.outbox.push(Event::Message(Box::new(decoded)));
                }
            }
        }
        Outcome::Stay
    }

    fn greeted(&mut self, connected: Connected, sender: &Sender) {
        sender.set_heartbeat(Duration::from_millis(connected.heartbeat_ms));
        self.shared.set_link(Some(sender.clone()));
        self.shared.was_connected.store(true, Ordering::Relaxed);
        self.announce(ConnState::Connected);
        self.outbox.push(Event::Connected(connected));
    }

    /// An answer came; that its asker has gone, or that it was given twice, is no matter.
    fn answered(&mut self, re: &str, message: ToDashboard) {
        if let ToDashboard::Error(error) = &message
            && error.code == ErrorCode::RateLimited
            && let Some(ms) = error.retry_after_ms
        {
            let due = Instant::now() + Duration::from_millis(ms);
            return self.pending.put_off(re, due);
        }
        let Some(request) = self.pending.take(re) else {
            return;
        };
        let result = match message {
            ToDashboard::Error(error) => {
                self.not_subscribed(&request.about, &error);
                Err(RequestError::Refused(error))
            }
            message => {
                if let ToDashboard::Subscribed(subscribed) = &message {
                    self.resume.subscribed(subscribed);
                }
                Ok(message)
            }
        };
        request.answer(result);
    }

    fn not_subscribed(&mut self, about: &About, error: &ErrorPayload) {
        match about {
            About::Subscribe(pattern) => self.resume.remove(pattern),
            About::Resume(pattern) => {
                self.resume.remove(pattern);
                let (pattern, error) = (pattern.clone(), error.clone());
                self.outbox.push(Event::Dropped { pattern, error });
            }
            About::Plain(_) | About::Unsubscribe(_) | About::Receipt => {}
        }
    }

    /// Output in a text frame, which a daemon may send; the program sees one form only.
    fn text_output(&mut self, decoded: Decoded<ToDashboard>) -> Outcome {
        let ToDashboard::Output(output) = decoded.message else {
            return Outcome::Stay;
        };
        let via = match decoded.header.channel {
            Some(Channel::Command(_)) => Via::Command,
            Some(Channel::Agent(_)) => Via::Agent,
            _ => Via::Direct,
        };
        let seq = decoded.header.seq.unwrap_or_default();
        let frame = OutputFrame {
            via,
            seq,
            ..from_text(output)
        };
        self.output(frame)
    }
}

/// Ends at that time; never without one.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn from_text(output: TerminalOutput) -> OutputFrame {
    output.into()
}

fn say(sender: &Sender, id: String, message: &DashboardMessage) -> Result<(), SendError> {
    match encode(&Header::asking(id), message) {
        Ok(text) => sender.control(text),
        Err(error) => {
            tracing::warn!(kind = message.kind(), %error, "a message cannot be sent");
            Ok(())
        }
    }
}

fn lost(error: SendError) -> Ended {
    Ended::Lost {
        reason: error.to_string(),
        wait: None,
    }
}

/// Whether the daemon ended a connection for a reader that is too slow, or without a word: what it said last may have been
/// lost with the rest that was not read.
fn has_hung_up(error: &LinkError) -> bool {
    match error {
        LinkError::Closed { code, .. } => *code == close::CloseCode::TooSlow.number(),
        error => matches!(error, LinkError::Broken(_)),
    }
}

/// The end of a connection, with its reason where that is on this side.
fn because(ended: Ended, unread: Unread) -> Ended {
    match (ended, unread.why(Instant::now())) {
        (Ended::Lost { wait, .. }, Some(reason)) => Ended::Lost { reason, wait },
        (ended, _) => ended,
    }
}

/// What the end of a WebSocket means for the next attempt.
fn ended(error: LinkError) -> Ended {
    let reason = error.to_string();
    match error {
        LinkError::Closed { code, reason: said } => match close::retry(code) {
            close::Retry::No => {
                let message = if said.is_empty() { reason } else { said };
                Ended::Refused {
                    code: None,
                    message,
                }
            }
            close::Retry::Yes | close::Retry::Replaced => {
                let wait = close::retry_after_ms(&said).map(Duration::from_millis);
                Ended::Lost { reason, wait }
            }
        },
        _ => Ended::Lost { reason, wait: None },
    }
}
