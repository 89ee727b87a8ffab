//! A small disk that can be filled: a tmpfs, which needs root.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs; unmounted when dropped.
pub struct Tmpfs {
    at: PathBuf,
}

impl Tmpfs {
    /// Mounts one with so many bytes on a directory, which is made. `None` where this process may not.
    pub fn mount(at: &Path, bytes: usize) -> Option<Self> {
        std::fs::create_dir_all(at).ok()?;
        let options = format!("size={bytes},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "opsctl-faults"])
            .arg(at)
            .output();
        mounted
            .is_ok_and(|mounted| mounted.status.success())
            .then(|| Self { at: at.to_owned() })
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let Ok(mut file) = File::create(self.filler()) else {
            return;
        };
        let block = vec![0x55; 1024 * 1024];
        while file.write_all(&block).is_ok() {}
        while file.write_all(&block[..512]).is_ok() {}
    }

    /// Gives it back.
    pub fn free(&self) {
        let _ = std::fs::remove_file(self.filler());
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a process that is about to be killed may still have a file open there.
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}
