//! The unix socket and TCP: where the daemon can be reached, and by whom.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

use super::census::Origin;

/// Connections that may wait to be accepted: a fleet that comes back at once. The system's own bound
/// (`net.core.somaxconn`) is often the same.
const BACKLOG: u32 = 4096;

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
    Remote(SocketAddr),
}

impl Peer {
    /// Where it comes from, as far as bounds go.
    pub(super) fn origin(self) -> Origin {
        match self {
            Self::Local { .. } => Origin::Local,
            Self::Remote(address) => Origin::of(address.ip()),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { uid, .. } => write!(f, "uid:{uid}"),
            Self::Remote(address) => write!(f, "{address}"),
        }
    }
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
    let socket = UnixSocket::new_stream().map_err(failed)?;
    socket.bind(path).map_err(failed)?;
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Listens on TCP.
pub fn tcp(address: SocketAddr, allow_plaintext: bool) -> Result<TcpListener, ListenError> {
    if !address.ip().is_loopback() && !allow_plaintext {
        return Err(ListenError::Plaintext(address));
    }
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restart must not wait for connections of the last run to fade away.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::AddressInUse(address),
        _ => ListenError::Address { address, source },
    })
}
