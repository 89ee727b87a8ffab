//! What the daemon takes of its disk, and what is left of it.

use std::path::PathBuf;

use opsctl_protocol::message::{DaemonStatus, DiskStatus, LogStatus};

use crate::hub::Survey;
use crate::log::Log;
use crate::state_dir::StateDir;

/// Where everything lies.
#[derive(Debug, Clone)]
pub struct Premises {
    /// The state directory.
    path: PathBuf,
    /// The database.
    db: PathBuf,
    log: Log,
    /// Bytes that the log may have.
    log_max_bytes: u64,
}

impl Premises {
    /// Those of a daemon that works on this directory.
    pub fn new(state_dir: &StateDir, log: Log, log_max_bytes: u64) -> Self {
        Self {
            path: state_dir.path().to_owned(),
            db: state_dir.db_path(),
            log,
            log_max_bytes,
        }
    }

    /// Completes what the hub knows. Asks the file system, and so may wait for it.
    pub fn complete(&self, survey: &Survey) -> DaemonStatus {
        let state_dir = survey
            .names_paths
            .then(|| self.path.to_string_lossy().into_owned());
        DaemonStatus {
            state_dir,
            log: LogStatus {
                bytes: self.log.bytes(),
                max_bytes: self.log_max_bytes,
                trouble: self.log.health().err().map(|error| error.to_string()),
            },
            store_bytes: self.store_bytes(),
            disk: self.disk(),
            ..survey.status.clone()
        }
    }

    fn store_bytes(&self) -> Option<u64> {
        let mut wal = self.db.clone().into_os_string();
        wal.push("-wal");
        let db = std::fs::metadata(&self.db).ok()?.len();
        // There is none when the database was closed well and nothing has been written since.
        Some(db + std::fs::metadata(wal).map_or(0, |wal| wal.len()))
    }

    fn disk(&self) -> Option<DiskStatus> {
        let found = rustix::fs::statvfs(&self.path).ok()?;
        Some(DiskStatus {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}
