//! What goes up to the daemon: envelopes, as many as are there in each POST, numbered so that none is handled twice.

use bytes::Bytes;
use futures_util::stream::SplitStream;
use futures_util::{FutureExt, StreamExt};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use opsctl_protocol::limits::{MAX_MESSAGE, MESSAGE_DEADLINE};
use opsctl_protocol::poll::Cursor;
use opsctl_protocol::{BinaryFrame, DashboardMessage, Header, encode};

use super::Pipe;
use super::http::{Ask, Http};

/// Bytes that are gathered into one POST, if so many are there: what is typed meanwhile waits for it.
const GATHER: usize = 128 * 1024;

/// The close code of a holder that has left without one.
const GOING_AWAY: u16 = 1001;

/// Posts what comes out of the pipe until it ends, or until the daemon takes no more.
pub(super) async fn run(mut stream: SplitStream<Pipe>, http: Http, cursor: Cursor) {
    let mut posts = Posts {
        http,
        cursor,
        number: 1,
    };
    loop {
        let mut batch = Batch::default();
        batch.take(stream.next().await);
        while batch.has_room()
            && let Some(next) = stream.next().now_or_never()
        {
            batch.take(next);
        }
        if posts.send(&batch).await.is_none() || batch.close.is_some() {
            return;
        }
    }
}

/// What is there to be posted.
#[derive(Debug, Default)]
struct Batch {
    envelopes: Vec<Utf8Bytes>,
    bytes: usize,
    /// The holder leaves with this code.
    close: Option<u16>,
}

impl Batch {
    fn has_room(&self) -> bool {
        self.close.is_none() && self.bytes < GATHER
    }

    fn take(&mut self, next: Option<Result<Message, WsError>>) {
        match next {
            Some(Ok(Message::Text(text))) => self.push(text),
            Some(Ok(Message::Binary(bytes))) => {
                if let Some(text) = as_text(&bytes) {
                    self.push(text);
                }
            }
            Some(Ok(Message::Close(frame))) => {
                self.close = Some(frame.map_or(GOING_AWAY, |frame| frame.code.into()));
            }
            // Pings are answered by the pipe itself.
            Some(Ok(_)) => {}
            Some(Err(_)) | None => self.close = Some(GOING_AWAY),
        }
    }

    fn push(&mut self, text: Utf8Bytes) {
        self.bytes += text.len();
        self.envelopes.push(text);
    }
}

/// Bulk as an envelope: this way there are no binary frames.
fn as_text(frame: &Bytes) -> Option<Utf8Bytes> {
    let text = match BinaryFrame::decode(frame).ok()? {
        BinaryFrame::Input(input) => {
            encode(&Header::default(), &DashboardMessage::Input(input)).ok()?
        }
        BinaryFrame::Envelope(text) => text,
        // The daemon sends output, nobody else.
        BinaryFrame::Output(_) => return None,
    };
    Some(text.into())
}

/// Bodies of at most [`MAX_MESSAGE`] bytes: lists, or a single envelope as it is, which may be of that size itself.
fn bodies(envelopes: &[Utf8Bytes]) -> Vec<String> {
    let mut bodies = Vec::new();
    let mut rest = envelopes;
    while let Some(first) = rest.first() {
        // Two brackets, and a comma for each but the first.
        let mut length = 2 + first.len();
        let more = rest[1..].iter().take_while(|next| {
            length += 1 + next.len();
            length <= MAX_MESSAGE
        });
        let count = 1 + more.count();
        let (these, after) = rest.split_at(count);
        bodies.push(match these {
            [one] => one.to_string(),
            many => {
                let many: Vec<&str> = many.iter().map(Utf8Bytes::as_str).collect();
                format!("[{}]", many.join(","))
            }
        });
        rest = after;
    }
    bodies
}

/// The way up of one session.
struct Posts {
    http: Http,
    /// Names the session.
    cursor: Cursor,
    /// The number of the next POST.
    number: u64,
}

impl Posts {
    /// Posts a batch; none when the daemon takes no more.
    async fn send(&mut self, batch: &Batch) -> Option<()> {
        for body in bodies(&batch.envelopes) {
            self.post(body, "").await?;
        }
        match batch.close {
            Some(code) => self.post(String::new(), &format!("&close={code}")).await,
            None => Some(()),
        }
    }

    async fn post(&mut self, body: String, close: &str) -> Option<()> {
        let (cursor, number) = (self.cursor, self.number);
        self.number += 1;
        let query = format!("cursor={cursor}&number={number}{close}");
        let ask = Ask::post(&query, body, MESSAGE_DEADLINE);
        self.http.insist(&ask, |_| Some(())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_keep_the_limit_and_the_order() {
        let envelope = |length: usize| Utf8Bytes::from("1".repeat(length));
        let envelopes = [9, MAX_MESSAGE, 3, MAX_MESSAGE - 7, 1, 1].map(envelope);
        let bodies = bodies(&envelopes);
        assert!(bodies.iter().all(|body| body.len() <= MAX_MESSAGE));
        let joined: Vec<&str> = bodies
            .iter()
            .flat_map(|body| body.trim_matches(['[', ']']).split(','))
            .collect();
        let lengths: Vec<usize> = joined.iter().map(|text| text.len()).collect();
        assert_eq!(lengths, [9, MAX_MESSAGE, 3, MAX_MESSAGE - 7, 1, 1]);
        assert_eq!(bodies.len(), 4);
    }
}
