//! Where things live when nobody says: root has the system's places, everybody else their own (directories crate).

use std::path::PathBuf;

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
    std::env::temp_dir().join(format!("opsctl-{}", rustix::process::geteuid().as_raw()))
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
