//! Where things live when nobody says: root has the system's places, everybody else their own (directories crate).

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

/// The file's name within each place for configuration.
const CONFIG: &str = "config.toml";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn project() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "opsctl")
}

/// A place of this user's own that needs no home directory; the uid keeps users apart.
fn temporary() -> PathBuf {
    // Not $TMPDIR: two shells that differ in it must mean the same daemon.
    PathBuf::from(format!(
        "/tmp/opsctl-{}",
        rustix::process::geteuid().as_raw()
    ))
}

/// Whether the directory in /tmp, when it is the socket's, is this user's alone. Anybody could have made it first, and
/// would then be taken for the daemon.
pub(super) fn check_socket_dir() -> Result<(), String> {
    if is_root() || !socket().starts_with(temporary()) {
        return Ok(());
    }
    check_own(&temporary())
}

fn check_own(dir: &Path) -> Result<(), String> {
    // Not followed: a link is somebody's too.
    let Ok(found) = std::fs::symlink_metadata(dir) else {
        return Ok(());
    };
    let uid = rustix::process::geteuid().as_raw();
    if found.is_dir() && found.uid() == uid && found.mode() & 0o777 == 0o700 {
        return Ok(());
    }
    Err(format!(
        "{} is not a directory of this user alone (uid {uid}, mode 0700)",
        dir.display()
    ))
}

/// The configuration file.
pub(super) fn config_file() -> Option<PathBuf> {
    if is_root() {
        return Some(PathBuf::from("/etc/opsctl").join(CONFIG));
    }
    project().map(|project| project.config_dir().join(CONFIG))
}

/// The directory for what outlives the daemon.
pub(super) fn state_dir() -> PathBuf {
    if is_root() {
        return PathBuf::from("/var/lib/opsctl");
    }
    let own = |project: ProjectDirs| project.state_dir().unwrap_or(project.data_dir()).to_owned();
    project().map_or_else(|| temporary().join("state"), own)
}

/// The daemon's socket.
pub(super) fn socket() -> PathBuf {
    const SOCKET: &str = "opsctl.sock";
    if is_root() {
        return PathBuf::from("/run/opsctl").join(SOCKET);
    }
    project()
        .and_then(|project| project.runtime_dir().map(|dir| dir.join(SOCKET)))
        .unwrap_or_else(|| temporary().join(SOCKET))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_directory_of_somebody_else_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        assert_eq!(check_own(&own), Ok(()), "it is made when it is needed");
        std::fs::create_dir(&own).unwrap();
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(check_own(&own), Ok(()));
        let link = dir.path().join("link");
        symlink(&own, &link).unwrap();
        assert!(check_own(&link).is_err());
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o770)).unwrap();
        assert!(check_own(&own).is_err());
    }
}
