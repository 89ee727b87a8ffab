//! From an endpoint to an open WebSocket.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Request, StatusCode, Uri};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_with_config};

use opsctl_protocol::SUBPROTOCOL_BINARY;
use opsctl_protocol::message::{ErrorCode, ErrorPayload};

use crate::tls::secure;
use crate::{Endpoint, Metered, Patience, Pulse, websocket_config};

/// What a WebSocket can run over: a unix socket or TCP, behind one type so that callers need not care.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// What a dialed WebSocket runs over.
pub type Stream = MaybeTlsStream<Metered<Box<dyn Io>>>;

/// An open WebSocket to a daemon.
pub struct Socket {
    pub(crate) websocket: WebSocketStream<Stream>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) transport: Transport,
}

impl Socket {
    /// How its messages travel.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

/// How messages travel between a dashboard and its daemon. Its text tells, for people, that it is so from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Over a WebSocket.
    WebSocket,
    /// In HTTP answers, by long-polling.
    Polling {
        /// Why no WebSocket can be had, for people.
        why: String,
    },
}

impl Transport {
    /// Whether this is what stands for a WebSocket where none can be had.
    pub fn is_slow(&self) -> bool {
        *self != Self::WebSocket
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WebSocket => f.write_str("a WebSocket gets through again, and is used"),
            Self::Polling { why } => write!(
                f,
                "no WebSocket through this network ({why}): using HTTP long-polling, which is slower"
            ),
        }
    }
}

/// Whom to dial, and as whom.
#[derive(Clone)]
pub struct Target {
    /// Where the daemon listens.
    pub endpoint: Endpoint,
    /// The token; a local socket needs none.
    pub token: Option<String>,
    /// How long connecting and shaking hands may take together.
    pub connect_timeout: Duration,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Target")
            .field("endpoint", &self.endpoint)
            .field("token", &token)
            .finish_non_exhaustive()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody answers there.
    #[error("no daemon answers at {endpoint}: {source}")]
    Unreachable {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        source: std::io::Error,
    },
    /// Somebody answers there, and hangs up instead of opening a WebSocket.
    #[error("no daemon answers at {endpoint}: {source}")]
    Cut {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        source: std::io::Error,
    },
    /// Connecting or shaking hands took too long.
    #[error("{endpoint} did not answer within {after:?}")]
    Timeout {
        /// Where.
        endpoint: Endpoint,
        /// How long was waited.
        after: Duration,
    },
    /// The daemon answered, and refused.
    #[error("{endpoint} refused: {message}")]
    Refused {
        /// Where.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
        /// Why, for programs, where the answer said it.
        code: Option<ErrorCode>,
        /// Why, for people.
        message: String,
        /// How long to stay away, where the answer said it.
        retry_after: Option<Duration>,
    },
    /// What answers there is no daemon, or TLS failed.
    #[error("{endpoint} does not speak opsctl's protocol: {source}")]
    Handshake {
        /// Where.
        endpoint: Endpoint,
        /// What went wrong.
        source: Box<WsError>,
    },
    /// The token cannot stand in a header.
    #[error("the token has characters that no token has")]
    BadToken,
}

impl DialError {
    /// Whether the same attempt can succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Cut { .. }
            | Self::Timeout { .. }
            | Self::Handshake { .. } => true,
            // Without a code it was not the daemon who answered: a proxy before it, say. 429 and 5xx pass; the daemon's
            // other answers are about who we are or what we asked.
            Self::Refused { status, code, .. } => {
                code.is_none() || *status == 429 || *status >= 500
            }
            Self::BadToken => false,
        }
    }

    /// Why no WebSocket can be had, where that may be the network's doing and plain HTTP may get through. Not on a unix
    /// socket, which has no network.
    pub fn without_websocket(&self) -> Option<String> {
        let (endpoint, why) = match self {
            // 426 is also what the daemon says when a proxy has taken the upgrade out of the request.
            Self::Refused {
                endpoint,
                status,
                code,
                ..
            } if code.is_none() || *status == StatusCode::UPGRADE_REQUIRED.as_u16() => {
                (endpoint, format!("HTTP {status}"))
            }
            Self::Cut { endpoint, .. } => (endpoint, "the connection is cut".to_owned()),
            Self::Handshake { endpoint, .. } => {
                (endpoint, "the answer is no WebSocket's".to_owned())
            }
            _ => return None,
        };
        matches!(endpoint, Endpoint::Url(_)).then_some(why)
    }

    /// How long the daemon asks to stay away.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Why the daemon refused, where it said so.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => *code,
            _ => None,
        }
    }
}

/// Opens a WebSocket on `route` (`/ws/agent`, `/ws/dashboard`), with binary frames for bulk.
pub async fn dial(target: &Target, route: &str) -> Result<Socket, DialError> {
    timeout(target.connect_timeout, connect(target, route))
        .await
        .unwrap_or_else(|_| {
            Err(DialError::Timeout {
                endpoint: target.endpoint.clone(),
                after: target.connect_timeout,
            })
        })
}

async fn connect(target: &Target, route: &str) -> Result<Socket, DialError> {
    let request = request(target, route)?;
    let pulse = Arc::new(Pulse::new(Patience::default()));
    let stream = wire(target, &pulse).await?;
    match client_async_with_config(request, stream, Some(websocket_config())).await {
        Ok((websocket, _)) => Ok(Socket {
            websocket,
            pulse,
            transport: Transport::WebSocket,
        }),
        Err(error) => Err(refusal(&target.endpoint, error)),
    }
}

/// A stream to whoever listens there, which keeps this pulse.
pub(crate) async fn wire(target: &Target, pulse: &Arc<Pulse>) -> Result<Stream, DialError> {
    let endpoint = &target.endpoint;
    let unreachable = |source| DialError::Unreachable {
        endpoint: endpoint.clone(),
        source,
    };
    let metered = |io: Box<dyn Io>| Metered::new(io, Arc::clone(pulse));
    match endpoint {
        Endpoint::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(unreachable)?;
            Ok(MaybeTlsStream::Plain(metered(Box::new(stream))))
        }
        Endpoint::Url(_) => {
            let uri = uri(endpoint, "/")?;
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let is_secure = uri.scheme_str() == Some("wss");
            let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
            let stream = TcpStream::connect((host, port))
                .await
                .map_err(unreachable)?;
            // Keystrokes must not wait for an acknowledgement of the one before.
            stream.set_nodelay(true).map_err(unreachable)?;
            let stream = metered(Box::new(stream));
            if is_secure {
                let stream = secure(host, stream).await.map_err(unreachable)?;
                Ok(MaybeTlsStream::Rustls(stream))
            } else {
                Ok(MaybeTlsStream::Plain(stream))
            }
        }
    }
}

/// The URL of a route, in parts.
pub(crate) fn uri(endpoint: &Endpoint, route: &str) -> Result<Uri, DialError> {
    endpoint
        .url(route)
        .parse()
        .map_err(|source: http::uri::InvalidUri| DialError::Handshake {
            endpoint: endpoint.clone(),
            source: Box::new(WsError::HttpFormat(source.into())),
        })
}

fn request(target: &Target, route: &str) -> Result<Request<()>, DialError> {
    let endpoint = target.endpoint.clone();
    let mut request = target
        .endpoint
        .url(route)
        .into_client_request()
        .map_err(|source| DialError::Handshake {
            endpoint,
            source: Box::new(source),
        })?;
    let headers = request.headers_mut();
    headers.insert(
        SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(SUBPROTOCOL_BINARY),
    );
    if let Some(bearer) = bearer(target)? {
        headers.insert(AUTHORIZATION, bearer);
    }
    Ok(request)
}

/// The header that shows the token, where there is one.
pub(crate) fn bearer(target: &Target) -> Result<Option<HeaderValue>, DialError> {
    let Some(token) = &target.token else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .map_err(|_| DialError::BadToken)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The body of a refused upgrade.
#[derive(Deserialize)]
struct Refusal {
    error: ErrorPayload,
}

fn refusal(endpoint: &Endpoint, error: WsError) -> DialError {
    let endpoint = endpoint.clone();
    match error {
        WsError::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            refused(endpoint, response.status(), body)
        }
        WsError::Io(source) => DialError::Cut { endpoint, source },
        WsError::Protocol(ProtocolError::HandshakeIncomplete) => DialError::Cut {
            endpoint,
            source: std::io::ErrorKind::ConnectionReset.into(),
        },
        other => DialError::Handshake {
            endpoint,
            source: Box::new(other),
        },
    }
}

/// What an answer says that is not the one that was hoped for.
pub(crate) fn refused(endpoint: Endpoint, status: StatusCode, body: &[u8]) -> DialError {
    let (code, message, retry_after) = match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { error }) => {
            let retry_after = error.retry_after_ms.map(Duration::from_millis);
            (Some(error.code), error.message, retry_after)
        }
        Err(_) => (None, format!("HTTP {status}"), None),
    };
    DialError::Refused {
        endpoint,
        status: status.as_u16(),
        code,
        message,
        retry_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_daemons_own_refusal_is_final() {
        let refused = |status, code| DialError::Refused {
            endpoint: Endpoint::Unix("/run/o.sock".into()),
            status,
            code,
            message: String::new(),
            retry_after: None,
        };
        assert!(!refused(401, Some(ErrorCode::TokenExpired)).retryable());
        assert!(!refused(403, Some(ErrorCode::Forbidden)).retryable());
        assert!(
            refused(404, None).retryable(),
            "a proxy that is being reloaded"
        );
        assert!(refused(503, Some(ErrorCode::Internal)).retryable());
    }

    #[test]
    fn a_network_without_websockets_is_told_from_a_daemon_that_refuses() {
        let url: Endpoint = "ws://ops.example".parse().expect("a URL");
        let refused = |endpoint: &Endpoint, status, code| DialError::Refused {
            endpoint: endpoint.clone(),
            status,
            code,
            message: String::new(),
            retry_after: None,
        };
        for status in [200, 400, 404, 426, 501, 502] {
            let why = refused(&url, status, None).without_websocket();
            assert_eq!(why, Some(format!("HTTP {status}")));
        }
        let stripped = refused(&url, 426, Some(ErrorCode::BadRequest));
        assert!(stripped.without_websocket().is_some());
        for (status, code) in [
            (401, ErrorCode::TokenExpired),
            (503, ErrorCode::TooManyConnections),
            (400, ErrorCode::UnknownSubprotocol),
        ] {
            assert_eq!(refused(&url, status, Some(code)).without_websocket(), None);
        }
        let local = Endpoint::Unix("/run/o.sock".into());
        assert_eq!(refused(&local, 426, None).without_websocket(), None);
        let source = std::io::ErrorKind::ConnectionReset.into();
        let endpoint = url;
        assert!(
            DialError::Cut { endpoint, source }
                .without_websocket()
                .is_some()
        );
    }
}
