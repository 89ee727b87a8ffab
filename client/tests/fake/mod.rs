//! A daemon that does what each test tells it, on a unix socket of its own.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use opsctl_client::{Event, Events, Options};
use opsctl_link::{Endpoint, Target, websocket_config};
use opsctl_protocol::codec::Header;
use opsctl_protocol::frame::Via;
use opsctl_protocol::message::{
    Connected, DashboardMessage, Kind, LimitsInfo, Rights, Role, ToDashboard,
};
use opsctl_protocol::{
    BinaryFrame, CommandId, Decoded, OutputFrame, SUBPROTOCOL_BINARY, Timestamp, decode, encode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

/// How long anything may take before a test fails; only a failure waits so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for something that must happen.
pub async fn deadline<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("the deadline passed")
}

/// The first event that `pick` wants.
pub async fn next_event<T>(events: &mut Events, pick: impl Fn(Event) -> Option<T>) -> T {
    loop {
        let event = deadline(events.next()).await.expect("the client lives");
        if let Some(picked) = pick(event) {
            return picked;
        }
    }
}

/// The next output: its offset and bytes.
pub async fn next_output(events: &mut Events) -> (u64, Bytes) {
    next_event(events, |event| match event {
        Event::Output(frame) => Some((frame.offset, frame.data)),
        _ => None,
    })
    .await
}

/// A daemon that listens and does nothing by itself.
pub struct Fake {
    listener: UnixListener,
    dir: tempfile::TempDir,
}

impl Fake {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        Self { listener, dir }
    }

    /// What a client needs to find it.
    pub fn options(&self) -> Options {
        let target = Target {
            endpoint: Endpoint::Unix(self.dir.path().join("s")),
            token: None,
            connect_timeout: DEADLINE,
        };
        Options::new(target, "test")
    }

    async fn accept(&self) -> UnixStream {
        deadline(self.listener.accept()).await.unwrap().0
    }

    /// The next connection, after it has introduced itself and was welcomed.
    pub async fn greeted(&self) -> Connection {
        #[expect(clippy::result_large_err, reason = "the library's own signature")]
        let choose = |_: &Request, mut response: Response| {
            let chosen = SUBPROTOCOL_BINARY.parse().unwrap();
            response
                .headers_mut()
                .insert("sec-websocket-protocol", chosen);
            Ok(response)
        };
        let stream = self.accept().await;
        let accepted = accept_hdr_async_with_config(stream, choose, Some(websocket_config()));
        let mut connection = Connection {
            socket: deadline(accepted).await.unwrap(),
        };
        let hello = connection.message().await;
        assert!(
            matches!(hello.message, DashboardMessage::Connect(_)),
            "{hello:?}"
        );
        let connected = Connected {
            client_id: "c".to_owned(),
            server_version: "0".to_owned(),
            epoch: "e".to_owned(),
            heartbeat_ms: 15_000,
            limits: LimitsInfo::default(),
            rights: Rights {
                role: Role::Admin,
                subject: "me".to_owned(),
                agent: None,
            },
            commands: std::collections::BTreeMap::default(),
            started_at: None,
        };
        connection
            .send(Header::answering(hello.header.id), connected)
            .await;
        connection
    }

    /// Refuses the next connection before the upgrade.
    pub async fn refuse(&self, status: u16, code: &str, message: &str) {
        let mut stream = self.accept().await;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(deadline(stream.read_u8()).await.unwrap());
        }
        let body = format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#);
        let length = body.len();
        let response = format!("HTTP/1.1 {status} No\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(response.as_bytes()).await.unwrap();
    }
}

/// A welcomed connection. Dropping it drops it without a word.
pub struct Connection {
    socket: WebSocketStream<UnixStream>,
}

impl Connection {
    async fn frame(&mut self) -> Message {
        loop {
            let frame = deadline(self.socket.next())
                .await
                .expect("the client stays")
                .unwrap();
            if matches!(frame, Message::Text(_) | Message::Binary(_)) {
                return frame;
            }
        }
    }

    /// The next message of the client.
    pub async fn message(&mut self) -> Decoded<DashboardMessage> {
        match self.frame().await {
            Message::Text(text) => decode(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The next input of the client: its offset, its bytes, whether it is the last.
    pub async fn input(&mut self) -> (u64, Bytes, bool) {
        match self.frame().await {
            Message::Binary(bytes) => match BinaryFrame::decode(&bytes).unwrap() {
                BinaryFrame::Input(input) => (input.offset.unwrap(), input.data.0, input.eof),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// The next keys of the client, which have no offset.
    pub async fn keys(&mut self) -> String {
        match self.frame().await {
            Message::Binary(bytes) => match BinaryFrame::decode(&bytes).unwrap() {
                BinaryFrame::Input(input) => {
                    assert_eq!(input.offset, None);
                    String::from_utf8(input.data.0.to_vec()).unwrap()
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    pub async fn send(&mut self, header: Header, message: impl Into<ToDashboard>) {
        let text = encode(&header, &message.into()).unwrap();
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Pushes output on the command's channel.
    pub async fn output(&mut self, command_id: CommandId, offset: u64, data: &[u8]) {
        let frame = OutputFrame {
            command_id,
            kind: Kind::Output,
            via: Via::Command,
            seq: 1,
            offset,
            time: Timestamp(1),
            size: None,
            data: Bytes::copy_from_slice(data),
        };
        self.socket
            .send(Message::Binary(frame.encode()))
            .await
            .unwrap();
    }
}
