//! Unix sockets in directories of any depth. A socket's address holds 107 bytes, so paths go through `/proc/self/fd`.

use std::ffi::OsStr;
use std::fs::{File, Permissions, set_permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Listens in `dir` under this name, for its owner alone. The listener does not block.
pub(crate) fn listen(dir: &Path, name: &str) -> io::Result<UnixListener> {
    let dir = File::open(dir)?;
    let path = short(&dir, OsStr::new(name));
    let listener = UnixListener::bind(&path)?;
    set_permissions(&path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects to the listener of this name in `dir`. The connection does not block.
pub(crate) fn connect(dir: &Path, name: impl AsRef<OsStr>) -> io::Result<UnixStream> {
    let dir = File::open(dir)?;
    let stream = UnixStream::connect(short(&dir, name.as_ref()))?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn short(dir: &File, name: &OsStr) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_work() {
        let base = tempfile::tempdir().unwrap();
        let deep = base.path().join("a".repeat(100)).join("b".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let listener = listen(&deep, "sock").unwrap();
        connect(&deep, "sock").unwrap();
        drop(listener);
        assert_eq!(
            connect(&deep, "sock").unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
    }
}
