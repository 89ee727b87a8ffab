//! The unix socket and TCP, and connections on them.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Extension;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a peer may take to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after the system has refused a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The longest path of a unix socket in bytes (`sun_path` without its final NUL).
const MAX_SOCKET_PATH: usize = 107;

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub enum Peer {
    /// A user of this host, on the unix socket.
    Local {
        /// The user's id.
        uid: u32,
        /// Whether it is the daemon's own user, or root.
        permitted: bool,
    },
    /// Somebody on TCP.
    Remote(#[allow(dead_code, reason = "for logs and, later, limits for each address")] SocketAddr),
}

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The path does not fit into a socket address.
    #[error(
        "the socket path {path} has {len} bytes, at most {MAX_SOCKET_PATH} are possible; choose a shorter one with OPSCTL_SOCKET"
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        len: usize,
    },
    /// Another daemon answers on the socket.
    #[error("another daemon answers on {0}; stop it, or choose another socket with OPSCTL_SOCKET")]
    SocketInUse(PathBuf),
    /// Something that is no socket has the path.
    #[error("{0} exists and is no socket; move it away, or choose another path with OPSCTL_SOCKET")]
    NotASocket(PathBuf),
    /// The socket cannot be made.
    #[error(
        "cannot make the socket {path}: {source}; check its directory, or choose another path with OPSCTL_SOCKET"
    )]
    Socket {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The address is taken.
    #[error(
        "the address {0} is in use by another program; stop it, or choose another with OPSCTL_LISTEN (none: only the socket)"
    )]
    AddressInUse(SocketAddr),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; choose another address with OPSCTL_LISTEN (none: only the socket)"
    )]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Tokens would travel in the clear.
    #[error(
        "{0} can be reached from other hosts, and without TLS tokens and output would travel in the clear; listen on a loopback address behind a TLS proxy, or set allow_plaintext = true"
    )]
    Plaintext(SocketAddr),
}

/// Listens on a unix socket, for its owner only. A socket that nobody answers on is replaced.
pub fn unix(path: &Path) -> Result<UnixListener, ListenError> {
    use std::os::unix::ffi::OsStrExt;
    let len = path.as_os_str().as_bytes().len();
    if len > MAX_SOCKET_PATH {
        return Err(ListenError::SocketPathTooLong {
            path: path.to_owned(),
            len,
        });
    }
    let failed = |source| ListenError::Socket {
        path: path.to_owned(),
        source,
    };
    if let Some(dir) = path.parent() {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
    }
    match std::fs::symlink_metadata(path) {
        Err(_) => {}
        Ok(metadata) => {
            use std::os::unix::fs::FileTypeExt;
            if !metadata.file_type().is_socket() {
                return Err(ListenError::NotASocket(path.to_owned()));
            }
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(ListenError::SocketInUse(path.to_owned()));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Listens on TCP.
pub async fn tcp(address: SocketAddr, allow_plaintext: bool) -> Result<TcpListener, ListenError> {
    if !address.ip().is_loopback() && !allow_plaintext {
        return Err(ListenError::Plaintext(address));
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::AddressInUse(address),
            _ => ListenError::Address { address, source },
        })
}

/// Serves the unix socket until `stop`.
pub async fn serve_unix(
    listener: UnixListener,
    router: Router,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let own = rustix::process::geteuid().as_raw();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted.and_then(|(stream, _)| Ok((stream.peer_cred()?.uid(), stream))) {
            Ok((uid, stream)) => {
                let peer = Peer::Local {
                    uid,
                    permitted: uid == own || uid == 0,
                };
                tasks.spawn(serve(stream, peer, router.clone(), stop.clone()));
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// Serves TCP until `stop`.
pub async fn serve_tcp(
    listener: TcpListener,
    router: Router,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted
            .and_then(|(stream, address)| stream.set_nodelay(true).map(|()| (stream, address)))
        {
            Ok((stream, address)) => {
                tasks.spawn(serve(
                    stream,
                    Peer::Remote(address),
                    router.clone(),
                    stop.clone(),
                ));
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Serves the requests of one connection. A WebSocket leaves this task with its upgrade.
async fn serve<S>(stream: S, peer: Peer, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router.layer(Extension(peer)));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(16 * 1024);
    let connection = builder
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, ?peer, "a connection ended early");
    }
}
