//! A program that knows nothing but the wire: a WebSocket and JSON, without any of opsctl's own client code. What it sees
//! is what a dashboard or agent in another language sees.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::harness::{DEADLINE, TestDaemon};

/// What a WebSocket runs over here.
pub trait Io: Read + Write {}

impl<T: Read + Write> Io for T {}

/// An open WebSocket, and all that came over it.
pub struct Raw {
    /// The connection itself, for those who want to do harm.
    pub socket: WebSocket<Box<dyn Io>>,
    /// Every message so far, in order.
    pub seen: Vec<Value>,
    /// Every binary frame so far, in order.
    pub binary: Vec<Bytes>,
    asked: u32,
}

/// Where the daemon is dialed, and what is said in the handshake.
pub struct Dial<'a> {
    daemon: &'a TestDaemon,
    route: String,
    headers: Vec<(&'static str, String)>,
    remote: bool,
}

impl<'a> Dial<'a> {
    /// Over the unix socket, without a token.
    pub fn local(daemon: &'a TestDaemon, route: &str) -> Self {
        Self {
            daemon,
            route: route.to_owned(),
            headers: Vec::new(),
            remote: false,
        }
    }

    /// Over TCP.
    pub fn remote(daemon: &'a TestDaemon, route: &str) -> Self {
        Self {
            remote: true,
            ..Self::local(daemon, route)
        }
    }

    /// With this token in the usual header.
    pub fn token(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// Offering these subprotocols.
    pub fn offer(self, subprotocols: &str) -> Self {
        self.header(SEC_WEBSOCKET_PROTOCOL.as_str(), subprotocols)
    }

    /// With this header.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Opens it; returns the subprotocol that the daemon chose, too.
    #[track_caller]
    pub fn open(self) -> (Raw, Option<String>) {
        let host = self.daemon.address();
        let mut request = format!("ws://{host}{}", self.route)
            .into_client_request()
            .unwrap();
        for (name, value) in &self.headers {
            request
                .headers_mut()
                .insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let io: Box<dyn Io> = if self.remote {
            let io = TcpStream::connect(host).unwrap();
            io.set_read_timeout(Some(DEADLINE)).unwrap();
            Box::new(io)
        } else {
            let io = UnixStream::connect(self.daemon.socket()).unwrap();
            io.set_read_timeout(Some(DEADLINE)).unwrap();
            Box::new(io)
        };
        let (socket, response) =
            client(request, io).unwrap_or_else(|error| panic!("the handshake failed: {error}"));
        let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
        let chosen = chosen.map(|value| value.to_str().unwrap().to_owned());
        (
            Raw {
                socket,
                seen: Vec::new(),
                binary: Vec::new(),
                asked: 0,
            },
            chosen,
        )
    }

    /// Does the handshake by hand; returns the HTTP status and the body.
    #[track_caller]
    pub fn refused(self) -> (u16, Value) {
        assert!(self.remote, "the unix socket refuses nobody here");
        let mut request = format!(
            "GET {} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
            self.route
        );
        for (name, value) in &self.headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        let (status, body) = http(self.daemon, &(request + "\r\n"));
        (
            status,
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body:?}")),
        )
    }
}

/// Sends a request as it is; returns the status and the body.
#[track_caller]
pub fn http(daemon: &TestDaemon, request: &str) -> (u16, String) {
    let mut io = TcpStream::connect(daemon.address()).unwrap();
    io.set_read_timeout(Some(DEADLINE)).unwrap();
    io.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or_default() {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return (status, body.to_owned());
            }
        }
        let mut piece = [0; 4096];
        let read = io.read(&mut piece).unwrap();
        assert!(read > 0, "the connection ended within the answer: {text:?}");
        answer.extend_from_slice(&piece[..read]);
    }
}

/// What `seq 1 N` prints.
pub fn numbers(last: u32) -> String {
    let lines: Vec<String> = (1..=last).map(|n| n.to_string()).collect();
    lines.join("\n") + "\n"
}

/// An envelope around a payload.
pub fn envelope(kind: &str, id: Option<&str>, payload: &Value) -> String {
    let mut envelope = json!({"version": "1.0.0", "type": kind, "timestamp": 1_763_680_000_123_u64, "payload": payload});
    if let Some(id) = id {
        envelope["id"] = id.into();
    }
    envelope.to_string()
}

impl Raw {
    /// A dashboard on the unix socket that has said who it is and has been told the fleet.
    #[track_caller]
    pub fn dashboard(daemon: &TestDaemon) -> Self {
        Self::greeted(Dial::local(daemon, "/ws/dashboard"))
    }

    /// A dashboard over this way in.
    #[track_caller]
    pub fn greeted(dial: Dial<'_>) -> Self {
        let mut raw = dial.open().0;
        let answer = raw.ask("dashboard:connect", &json!({"client": "test"}));
        assert_eq!(answer["type"], "connected", "{answer}");
        raw.until("the fleet", |message| {
            message["type"] == "agent:list" && message["payload"]["more"] != true
        });
        raw
    }

    /// An agent on the unix socket; returns its `connected`, too.
    #[track_caller]
    pub fn agent(daemon: &TestDaemon, name: &str, commands: &Value) -> (Self, Value) {
        let mut raw = Dial::local(daemon, "/ws/agent").offer("opsctl.v1").open().0;
        let hello = json!({"agentId": name, "labels": {"kind": "raw"}, "commands": commands});
        let answer = raw.ask("agent:connect", &hello);
        assert_eq!(answer["type"], "connected", "{answer}");
        (raw, answer["payload"].clone())
    }

    /// Sends a message without an id.
    #[track_caller]
    pub fn say(&mut self, kind: &str, payload: &Value) {
        self.text(envelope(kind, None, payload));
    }

    /// Sends a message, if the connection still takes it.
    pub fn try_say(&mut self, kind: &str, payload: &Value) -> bool {
        let text = envelope(kind, None, payload);
        self.socket.send(Message::text(text)).is_ok()
    }

    /// Sends a text frame as it is.
    #[track_caller]
    pub fn text(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).unwrap();
    }

    /// Sends a message and waits for its answer.
    #[track_caller]
    pub fn ask(&mut self, kind: &str, payload: &Value) -> Value {
        self.asked += 1;
        let id = format!("ask-{}", self.asked);
        self.text(envelope(kind, Some(&id), payload));
        self.until("the answer", |message| message["re"] == id.as_str())
    }

    /// Sends a message and returns the code of the `error` that answers it.
    #[track_caller]
    pub fn ask_error(&mut self, kind: &str, payload: &Value) -> String {
        let answer = self.ask(kind, payload);
        assert_eq!(answer["type"], "error", "{answer}");
        assert!(
            answer["payload"]["message"]
                .as_str()
                .is_some_and(|message| message.len() > 5),
            "{answer}"
        );
        answer["payload"]["code"].as_str().unwrap().to_owned()
    }

    /// Waits for a message.
    #[track_caller]
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.next() {
                Ok(message) if wanted(&message) => return message,
                Ok(_) => {}
                Err(closed) => panic!(
                    "waited for {what}; closed with {closed:?}; seen: {:#?}",
                    self.seen
                ),
            }
        }
    }

    /// Waits for the end; returns the close code (1006 without one) and the reason.
    #[track_caller]
    pub fn closed(&mut self) -> (u16, String) {
        loop {
            if let Err(closed) = self.next() {
                return closed;
            }
        }
    }

    /// The next message, or how the connection ended.
    #[track_caller]
    pub fn next(&mut self) -> Result<Value, (u16, String)> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let mut message: Value = serde_json::from_str(&text).unwrap();
                    if message["encoding"] == "gzip" {
                        message["payload"] = unpack(&text);
                    }
                    self.seen.push(message.clone());
                    return Ok(message);
                }
                Ok(Message::Binary(bytes)) => self.binary.push(bytes),
                Ok(Message::Close(frame)) => {
                    return Err(frame.map_or((1005, String::new()), |frame| {
                        (frame.code.into(), frame.reason.to_string())
                    }));
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing came within {DEADLINE:?}; seen: {:#?}", self.seen)
                }
                Err(
                    Error::Io(_)
                    | Error::ConnectionClosed
                    | Error::AlreadyClosed
                    | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
                ) => return Err((1006, String::new())),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// What was seen on a channel, state copies left out.
    pub fn pushes(&self, channel: &str) -> Vec<&Value> {
        self.seen
            .iter()
            .filter(|message| message["channel"] == channel && message["seq"].is_u64())
            .collect()
    }

    /// The output of a command as it was seen on a channel. Checks that no byte is missing or there twice.
    #[track_caller]
    pub fn output(&self, channel: &str, command: &str) -> String {
        let mut text = String::new();
        let ours = |message: &&Value| {
            message["type"] == "terminal:output" && message["payload"]["commandId"] == command
        };
        for message in self
            .seen
            .iter()
            .filter(ours)
            .filter(|message| message["channel"] == channel)
        {
            assert_eq!(message["payload"]["offset"], text.len(), "{message}");
            text += message["payload"]["data"].as_str().unwrap_or_default();
        }
        text
    }
}

/// A compressed payload. The one place where this program leans on opsctl's own code: the Python witness unpacks by itself.
fn unpack(text: &str) -> Value {
    use opsctl_protocol::message::Direction;
    fn read<M: Direction>(text: &str) -> Option<Value> {
        let decoded = opsctl_protocol::decode::<M>(text).ok()?;
        let mut payload = Vec::new();
        decoded.message.write_payload(&mut payload).ok()?;
        serde_json::from_slice(&payload).ok()
    }
    read::<opsctl_protocol::ToDashboard>(text)
        .or_else(|| read::<opsctl_protocol::ToAgent>(text))
        .unwrap()
}

/// Checks that each channel's numbers have no holes.
#[track_caller]
pub fn assert_no_holes(seen: &[Value]) {
    let mut last: BTreeMap<(String, String), u64> = BTreeMap::new();
    for message in seen {
        let (Some(channel), Some(seq)) = (message["channel"].as_str(), message["seq"].as_u64())
        else {
            continue;
        };
        let epoch = message["epoch"]
            .as_str()
            .unwrap_or_else(|| panic!("a push without an epoch: {message}"));
        let key = (channel.to_owned(), epoch.to_owned());
        if let Some(before) = last.insert(key, seq) {
            assert_eq!(seq, before + 1, "a hole on {channel}: {message}");
        }
    }
}
