//! Plain HTTP requests to a daemon, one after the other over a connection that is kept as long as it lasts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};

use opsctl_protocol::limits::MAX_MESSAGE;

use crate::dial::{bearer, refused, uri, wire};
use crate::{DialError, Endpoint, Patience, Pulse, Target};

/// The largest answer that is read: what a poll brings at most, and room for what stands around it.
const MAX_ANSWER: usize = 3 * MAX_MESSAGE;

/// How long to wait before asking again what had no answer. Behind the last one it is over: opening another session, which
/// goes on where this one stood, costs little more.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// A request that may be made again: the daemon knows repeats by cursor and number.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// The path with its query.
    pub(super) path: PathAndQuery,
    pub(super) body: Bytes,
    /// How long its answer may take.
    pub(super) within: Duration,
}

impl Ask {
    /// A poll; `query` is what it asks for.
    pub(super) fn poll(query: &str, within: Duration) -> Self {
        Self {
            method: Method::GET,
            path: path(&format!("/poll?{query}")),
            body: Bytes::new(),
            within,
        }
    }

    /// A post of a body.
    pub(super) fn post(query: &str, body: String, within: Duration) -> Self {
        Self {
            method: Method::POST,
            path: path(&format!("/messages?{query}")),
            body: Bytes::from(body),
            within,
        }
    }
}

/// Of a path that is made here.
fn path(text: &str) -> PathAndQuery {
    text.parse()
        .expect("cursors and numbers may stand in a path")
}

/// Somebody who asks, one thing at a time.
pub(super) struct Http {
    /// Whom to ask.
    target: Target,
    /// What is asked for by name, which proxies go by.
    host: HeaderValue,
    /// The token, as each request shows it.
    bearer: Option<HeaderValue>,
    /// The connection of the last answer.
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Http {
    pub(super) fn new(target: &Target) -> Result<Self, DialError> {
        let uri = uri(&target.endpoint, "/")?;
        let authority = uri.authority().map_or("localhost", |host| host.as_str());
        Ok(Self {
            target: target.clone(),
            // A URL's authority holds nothing that a header may not.
            host: HeaderValue::from_str(authority)
                .unwrap_or_else(|_| HeaderValue::from_static("localhost")),
            bearer: bearer(target)?,
            open: None,
        })
    }

    /// Asks until there is an answer that can be read, or until that is hopeless: the daemon has refused, or nothing comes for
    /// too long.
    pub(super) async fn insist<T>(
        &mut self,
        ask: &Ask,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let mut pauses = PAUSES.into_iter();
        loop {
            match self.ask(ask).await {
                Ok(body) => {
                    if let Some(answer) = read(&body) {
                        return Some(answer);
                    }
                }
                Err(error) if !error.retryable() => {
                    tracing::debug!(%error, "long-polling ends");
                    return None;
                }
                Err(error) => tracing::debug!(%error, "a request is made again"),
            }
            sleep(pauses.next()?).await;
        }
    }

    /// Asks once; anything but 200 is an error.
    pub(super) async fn ask(&mut self, ask: &Ask) -> Result<Bytes, DialError> {
        match timeout(ask.within, self.exchange(ask)).await {
            Ok(Ok((StatusCode::OK, body))) => Ok(body),
            Ok(Ok((status, body))) => Err(refused(self.endpoint(), status, &body)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(DialError::Timeout {
                endpoint: self.endpoint(),
                after: ask.within,
            }),
        }
    }

    async fn exchange(&mut self, ask: &Ask) -> Result<(StatusCode, Bytes), DialError> {
        let endpoint = self.endpoint();
        let cut = |source: hyper::Error| DialError::Cut {
            endpoint: endpoint.clone(),
            source: std::io::Error::other(source),
        };
        let mut connection = match self.open.take() {
            // One that the other side has closed meanwhile is no use.
            Some(open) if !open.is_closed() => open,
            _ => self.connect().await?,
        };
        connection.ready().await.map_err(cut)?;
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.path.clone().into();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        if let Some(bearer) = &self.bearer {
            headers.insert(AUTHORIZATION, bearer.clone());
        }
        let response = connection.send_request(request).await.map_err(cut)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        let body = body.map_err(|error| DialError::Cut {
            endpoint: endpoint.clone(),
            source: std::io::Error::other(error),
        })?;
        self.open = Some(connection);
        Ok((status, body.to_bytes()))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, DialError> {
        let pulse = Arc::new(Pulse::new(Patience::default()));
        let stream = wire(&self.target, &pulse).await?;
        let (sender, connection) =
            handshake(TokioIo::new(stream))
                .await
                .map_err(|error| DialError::Cut {
                    endpoint: self.endpoint(),
                    source: std::io::Error::other(error),
                })?;
        // It ends with its sender; who waits for an answer is told why.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn endpoint(&self) -> Endpoint {
        self.target.endpoint.clone()
    }
}
