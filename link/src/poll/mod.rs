//! A socket over plain HTTP: a WebSocket over a pipe within this process, whose other end takes what goes up to the daemon
//! in POSTs, and puts in what polls bring down. Who holds the socket need not know.
//!
//! - [`http`]: requests, made again until they are answered.
//! - [`up`]: what goes to the daemon.

mod http;
mod up;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use opsctl_protocol::poll::{Cursor, IDLE, Polled, WAIT};

use crate::dial::{Io, refused};
use crate::{DialError, Metered, Patience, Pulse, Socket, Target, Transport, websocket_config};
use http::{Ask, Http};

/// Bytes that may be under way in the pipe, each way: what is behind a Ctrl-C waits there.
const PIPE: usize = 16 * 1024;

/// How long an answer may take beyond what its poll was to wait: the largest one at 100 KB/s.
const ANSWER: Duration = Duration::from_secs(20);

/// How long the holder of a socket may take to hear that it was closed.
const GOODBYE: Duration = Duration::from_secs(1);

/// The end of the pipe that polls and posts.
type Pipe = WebSocketStream<DuplexStream>;

/// Opens a socket on the dashboards' route that needs no WebSocket. `why` none can be had is told by
/// [`Socket::transport`].
///
/// # Errors
/// The daemon cannot be reached this way either, or it refuses.
pub async fn open(target: &Target, why: String) -> Result<Socket, DialError> {
    let mut http = Http::new(target)?;
    let first = Ask::poll("wait=0", target.connect_timeout);
    let body = http.ask(&first).await?;
    let Some((_, cursor)) = read(&body) else {
        // A page for people, of a network that asks them to log in, say.
        return Err(refused(target.endpoint.clone(), StatusCode::OK, &[]));
    };
    let patience = Patience {
        // What takes its time is found by the requests themselves.
        stall: IDLE,
        ..Patience::default()
    };
    let pulse = Arc::new(Pulse::new(patience));
    let (near, far) = duplex(PIPE);
    let near: Box<dyn Io> = Box::new(near);
    let near = MaybeTlsStream::Plain(Metered::new(near, Arc::clone(&pulse)));
    let config = Some(websocket_config());
    let websocket = WebSocketStream::from_raw_socket(near, Role::Client, config).await;
    let far = WebSocketStream::from_raw_socket(far, Role::Server, config).await;
    tokio::spawn(serve(far, http, Http::new(target)?, cursor));
    let transport = Transport::Polling { why };
    Ok(Socket {
        websocket,
        pulse,
        transport,
    })
}

/// Serves the pipe until either side ends.
async fn serve(pipe: Pipe, polls: Http, posts: Http, cursor: Cursor) {
    let (sink, stream) = pipe.split();
    let mut up = pin!(up::run(stream, posts, cursor));
    let down = pin!(down(sink, polls, cursor));
    let is_closed = tokio::select! {
        () = &mut up => false,
        is_closed = down => is_closed,
    };
    if is_closed {
        // The holder answers the goodbye; without that it could take this for a broken connection.
        let _ = timeout(GOODBYE, up).await;
    }
}

/// Polls until the session ends, which is true, or cannot be polled any more.
async fn down(mut sink: SplitSink<Pipe, Message>, mut polls: Http, mut cursor: Cursor) -> bool {
    loop {
        let query = format!("cursor={cursor}&wait={}", WAIT.as_secs());
        let ask = Ask::poll(&query, WAIT + ANSWER);
        let Some((polled, next)) = polls.insist(&ask, read).await else {
            return false;
        };
        // The next poll acknowledges these.
        cursor = next;
        if put_in(&mut sink, &polled).await.is_err() {
            return false;
        }
        if polled.closed.is_some() {
            return true;
        }
    }
}

async fn put_in(sink: &mut SplitSink<Pipe, Message>, polled: &Polled) -> Result<(), Box<WsError>> {
    for message in &polled.messages {
        let message = Message::text(message.get());
        sink.feed(message).await.map_err(Box::new)?;
    }
    if let Some(closed) = &polled.closed {
        let frame = CloseFrame {
            code: closed.code.into(),
            reason: closed.reason.as_str().into(),
        };
        let goodbye = Message::Close(Some(frame));
        sink.feed(goodbye).await.map_err(Box::new)?;
    }
    sink.flush().await.map_err(Box::new)
}

/// A poll's answer, with its cursor; none for what the daemon did not write.
fn read(body: &[u8]) -> Option<(Polled, Cursor)> {
    let polled: Polled = serde_json::from_slice(body).ok()?;
    let cursor = polled.cursor.parse().ok()?;
    Some((polled, cursor))
}
