//! From an endpoint to an open WebSocket.

use std::sync::{Arc, Once};
use std::time::Duration;

use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Request};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use opsctl_protocol::SUBPROTOCOL_BINARY;
use opsctl_protocol::message::{ErrorCode, ErrorPayload};

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
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Handshake { .. } => true,
            // Without a code it was not the daemon who answered: a proxy before it, say. 429 and 5xx pass; the daemon's
            // other answers are about who we are or what we asked.
            Self::Refused { status, code, .. } => {
                code.is_none() || *status == 429 || *status >= 500
            }
            Self::BadToken => false,
        }
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
    let unreachable = |source| DialError::Unreachable {
        endpoint: target.endpoint.clone(),
        source,
    };
    let io: Box<dyn Io> = match &target.endpoint {
        Endpoint::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(unreachable)?;
            Box::new(stream)
        }
        Endpoint::Url(_) => {
            let host = request
                .uri()
                .host()
                .unwrap_or_default()
                .trim_matches(['[', ']']);
            let secure = request.uri().scheme_str() == Some("wss");
            let port = request
                .uri()
                .port_u16()
                .unwrap_or(if secure { 443 } else { 80 });
            if secure {
                install_crypto();
            }
            let stream = TcpStream::connect((host, port))
                .await
                .map_err(unreachable)?;
            // Keystrokes must not wait for an acknowledgement of the one before.
            stream.set_nodelay(true).map_err(unreachable)?;
            Box::new(stream)
        }
    };
    let pulse = Arc::new(Pulse::new(Patience::default()));
    let stream = Metered::new(io, Arc::clone(&pulse));
    match client_async_tls_with_config(request, stream, Some(websocket_config()), None).await {
        Ok((websocket, _)) => Ok(Socket { websocket, pulse }),
        Err(error) => Err(refusal(&target.endpoint, error)),
    }
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
    if let Some(token) = &target.token {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| DialError::BadToken)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
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
            let status = response.status().as_u16();
            let body = response.body().as_deref().unwrap_or_default();
            let (code, message, retry_after) = match serde_json::from_slice::<Refusal>(body) {
                Ok(Refusal { error }) => {
                    let retry_after = error.retry_after_ms.map(Duration::from_millis);
                    (Some(error.code), error.message, retry_after)
                }
                Err(_) => (None, format!("HTTP {}", response.status()), None),
            };
            DialError::Refused {
                endpoint,
                status,
                code,
                message,
                retry_after,
            }
        }
        WsError::Io(source) => DialError::Unreachable { endpoint, source },
        WsError::Protocol(ProtocolError::HandshakeIncomplete) => DialError::Unreachable {
            endpoint,
            source: std::io::ErrorKind::ConnectionReset.into(),
        },
        other => DialError::Handshake {
            endpoint,
            source: Box::new(other),
        },
    }
}

/// Two crypto providers are possible in rustls; this process uses the one that signs its tokens too.
fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that a provider was installed before, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
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
}
