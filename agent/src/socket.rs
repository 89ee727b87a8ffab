//! Unix sockets in directories of any depth. A socket's address holds 107 bytes, so paths go through `/proc/self/fd`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::wire::SOCKET;

/// Listens in `dir`. The listener does not block.
pub(crate) fn listen(dir: &Path) -> io::Result<UnixListener> {
    let dir = File::open(dir)?;
    let listener = UnixListener::bind(short(&dir))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects to the listener in `dir`. The connection does not block.
pub(crate) fn connect(dir: &Path) -> io::Result<UnixStream> {
    let dir = File::open(dir)?;
    let stream = UnixStream::connect(short(&dir))?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn short(dir: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_work() {
        let base = tempfile::tempdir().unwrap();
        let deep = base.path().join("a".repeat(100)).join("b".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let listener = listen(&deep).unwrap();
        connect(&deep).unwrap();
        drop(listener);
        assert_eq!(
            connect(&deep).unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
    }
}
