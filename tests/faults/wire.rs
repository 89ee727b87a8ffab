//! A dashboard's WebSocket without opsctl's client: it dials, says who it is, and hands out what comes, once each.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use opsctl_protocol::codec::Header;
use opsctl_protocol::frame::Via;
use opsctl_protocol::message::{DashboardConnect, DashboardMessage, Subscribe, ToDashboard};
use opsctl_protocol::{
    BinaryFrame, Channel, Decoded, OutputFrame, SUBPROTOCOL_BINARY, SUBPROTOCOL_TEXT, decode,
    encode,
};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

/// How long a read waits before its caller may look at something else.
const LOOK_UP: Duration = Duration::from_millis(50);

/// How long a handshake or an answer may take before the connection is given up: a silent one never answers.
const GIVE_UP: Duration = Duration::from_secs(6);

/// An open connection.
pub struct Wire {
    socket: WebSocket<TcpStream>,
    /// The daemon's run, once it has introduced itself.
    pub epoch: String,
}

/// What comes.
pub enum Heard {
    /// A message that is no output.
    Message(Box<Decoded<ToDashboard>>),
    /// Output, in whichever form it came.
    Output(OutputFrame),
    /// Nothing for the moment.
    Nothing,
}

/// The connection is over.
#[derive(Debug)]
pub struct Lost;

impl Wire {
    /// Dials and is introduced.
    pub fn open(address: SocketAddr, token: &str, binary: bool) -> Result<Self, Lost> {
        let url = format!("ws://{address}/ws/dashboard");
        let mut request = url.into_client_request().unwrap();
        let header = |text: &str| HeaderValue::from_str(text).unwrap();
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, header(&format!("Bearer {token}")));
        let subprotocol = if binary {
            SUBPROTOCOL_BINARY
        } else {
            SUBPROTOCOL_TEXT
        };
        headers.insert(SEC_WEBSOCKET_PROTOCOL, header(subprotocol));
        let io = TcpStream::connect(address).map_err(|_| Lost)?;
        io.set_read_timeout(Some(GIVE_UP)).unwrap();
        io.set_write_timeout(Some(GIVE_UP)).unwrap();
        let (socket, _) = client(request, io).map_err(|_| Lost)?;
        socket.get_ref().set_read_timeout(Some(LOOK_UP)).unwrap();
        let mut wire = Self {
            socket,
            epoch: String::new(),
        };
        let hello = DashboardConnect {
            client: "faults".to_owned(),
            client_version: String::new(),
        };
        wire.say("hello", hello)?;
        let start = Instant::now();
        while start.elapsed() < GIVE_UP {
            if let Heard::Message(decoded) = wire.next()?
                && let ToDashboard::Connected(connected) = decoded.message
            {
                wire.epoch = connected.epoch;
                return Ok(wire);
            }
        }
        Err(Lost)
    }

    /// Subscribes; the answer is heard like anything else.
    pub fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), Lost> {
        let id = subscribe.channel.to_string();
        self.say(&id, subscribe)
    }

    fn say(&mut self, id: &str, message: impl Into<DashboardMessage>) -> Result<(), Lost> {
        let text = encode(&Header::asking(id), &message.into()).unwrap();
        self.socket.send(Message::text(text)).map_err(|_| Lost)
    }

    /// What comes next.
    pub fn next(&mut self) -> Result<Heard, Lost> {
        let decoded = match self.socket.read() {
            Ok(Message::Text(text)) => decode(&text),
            Ok(Message::Binary(bytes)) => match BinaryFrame::decode(&bytes) {
                Ok(BinaryFrame::Output(frame)) => return Ok(Heard::Output(frame)),
                Ok(BinaryFrame::Envelope(text)) => decode(&text),
                other => panic!("a dashboard was sent {other:?}"),
            },
            Ok(Message::Close(_)) => return Err(Lost),
            Ok(_) => return Ok(Heard::Nothing),
            Err(Error::Io(error))
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                return Ok(Heard::Nothing);
            }
            Err(_) => return Err(Lost),
        };
        let decoded: Decoded<ToDashboard> =
            decoded.unwrap_or_else(|error| panic!("the daemon sent nonsense: {error}"));
        let ToDashboard::Output(output) = decoded.message else {
            return Ok(Heard::Message(Box::new(decoded)));
        };
        let via = match decoded.header.channel {
            Some(Channel::Command(_)) => Via::Command,
            Some(Channel::Agent(_)) => Via::Agent,
            _ => Via::Direct,
        };
        let seq = decoded.header.seq.unwrap_or_default();
        Ok(Heard::Output(OutputFrame {
            via,
            seq,
            ..output.into()
        }))
    }
}
