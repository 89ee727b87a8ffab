//! From a listener to requests: every connection gets a seat, and little time until it is a WebSocket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use opsctl_protocol::poll::MAX_WAIT;

use super::census::Seat;
use super::listen::Peer;
use super::turn_away::turn_away;
use crate::drain::Edges;

/// How long to wait after the system has refused a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often that is logged.
const ACCEPT_WARNING: Duration = Duration::from_secs(10);

/// How many times the time for one request's head a connection may last that never becomes a WebSocket.
const PLAIN_REQUESTS: u32 = 6;

/// Bytes that a request's head may have.
const MAX_HEAD: usize = 16 * 1024;

/// Connections that are being told at once that there is no place for them; further ones are dropped.
const TURNED_AWAY: usize = 64;

/// Who made a request, and the place that it holds.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    /// Who it is.
    pub peer: Peer,
    /// Its place; a WebSocket keeps it.
    pub seat: Arc<Seat>,
}

/// What all connections are served with.
#[derive(Clone)]
pub struct Serving {
    routes: TowerToHyperService<Router>,
    edges: Edges,
    turned_away: Arc<Semaphore>,
    /// How long a request's head may take to come.
    head_timeout: Duration,
    /// How long the system keeps what a peer doesn't acknowledge, also after the connection has been closed.
    unacknowledged: Duration,
}

impl Serving {
    /// Serves these routes; connections come and go through `edges`.
    pub fn new(
        router: Router,
        edges: Edges,
        head_timeout: Duration,
        unacknowledged: Duration,
    ) -> Self {
        Self {
            routes: TowerToHyperService::new(router),
            edges,
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY)),
            head_timeout,
            unacknowledged,
        }
    }

    /// Serves the unix socket until the doors are closed.
    pub async fn unix(self, listener: UnixListener) {
        let own = rustix::process::geteuid().as_raw();
        let mut trouble = Trouble::default();
        while let Some(accepted) = self.unless_closed(listener.accept()).await {
            match accepted.and_then(|(stream, _)| Ok((stream.peer_cred()?.uid(), stream))) {
                Ok((uid, stream)) => {
                    let permitted = uid == own || uid == 0;
                    self.take(stream, Peer::Local { uid, permitted });
                }
                Err(error) => trouble.pause(&error).await,
            }
        }
    }

    /// Serves TCP until the doors are closed.
    pub async fn tcp(self, listener: TcpListener) {
        let mut trouble = Trouble::default();
        let unacknowledged = u32::try_from(self.unacknowledged.as_millis()).unwrap_or(u32::MAX);
        while let Some(accepted) = self.unless_closed(listener.accept()).await {
            let prepared = accepted.and_then(|(stream, address)| {
                stream.set_nodelay(true)?;
                rustix::net::sockopt::set_tcp_user_timeout(&stream, unacknowledged)?;
                Ok((stream, address))
            });
            match prepared {
                Ok((stream, address)) => self.take(stream, Peer::Remote(address)),
                Err(error) => trouble.pause(&error).await,
            }
        }
    }

    async fn unless_closed<T>(&self, accept: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.edges.doors.stop.cancelled() => None,
            accepted = accept => Some(accepted),
        }
    }

    /// Gives a connection a seat, or says that there is none.
    fn take<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match self.edges.lobby.enter(peer.origin(), peer.to_string()) {
            Ok(seat) => {
                let guest = Guest {
                    peer,
                    seat: Arc::new(seat),
                };
                let serving = self.clone();
                self.edges.doors.tasks.spawn(serving.serve(stream, guest));
            }
            Err(crowded) => {
                tracing::debug!(%peer, %crowded, "a connection was turned away");
                // Whoever comes in such numbers that this has no place either needs no explanation.
                if let Ok(place) = Arc::clone(&self.turned_away).try_acquire_owned() {
                    self.edges.doors.tasks.spawn(async move {
                        turn_away(stream, crowded).await;
                        drop(place);
                    });
                }
            }
        }
    }

    /// Serves the requests of one connection. A WebSocket leaves this task with its upgrade.
    async fn serve<S>(self, stream: S, guest: Guest)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (routes, peer) = (self.routes, guest.peer);
        let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(guest.clone());
            routes.call(request)
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .max_buf_size(MAX_HEAD);
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => Ok(served),
            () = self.edges.doors.stop.cancelled() => Err(self.head_timeout),
            // A poll that waits just now is to have its answer over this connection.
            () = sleep(self.head_timeout * PLAIN_REQUESTS) => Err(self.head_timeout + MAX_WAIT),
        };
        let served = match served {
            Ok(served) => Ok(served),
            Err(patience) => {
                connection.as_mut().graceful_shutdown();
                timeout(patience, connection).await
            }
        };
        match served {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, %peer, "a connection ended early"),
            Err(_) => tracing::debug!(%peer, "a connection was dropped that made no progress"),
        }
    }
}

/// The system's trouble with accepting connections.
#[derive(Default)]
struct Trouble {
    /// When it was last logged.
    warned: Option<Instant>,
}

impl Trouble {
    /// Waits a moment: what is missing (file descriptors, memory) comes back when somebody leaves.
    async fn pause(&mut self, error: &io::Error) {
        let due = self
            .warned
            .is_none_or(|warned| warned.elapsed() >= ACCEPT_WARNING);
        if due {
            tracing::warn!(%error, "connections cannot be accepted");
            self.warned = Some(Instant::now());
        }
        sleep(ACCEPT_PAUSE).await;
    }
}
