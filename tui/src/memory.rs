//! Where the console keeps what it remembers: a JSON file for each daemon. It is replaced as a whole, so that neither a
//! crash nor a second console leaves half of one; of two consoles the one that wrote last is remembered.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use opsctl_protocol::CommandId;

use crate::state::memory::Remembered;

/// More than any console writes: ten thousand agents seen take less than 2 MB.
const MAX_BYTES: u64 = 4 << 20;

/// Bytes of a file's name that most file systems take, less those of a temporary one's ending.
const MAX_NAME: usize = 200;

/// The file for one daemon.
#[derive(Debug)]
pub(crate) struct Memory {
    path: PathBuf,
    endpoint: String,
}

impl Memory {
    /// The file in `dir` for the daemon at `endpoint`.
    pub(crate) fn new(dir: &Path, endpoint: &str) -> Self {
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let name = endpoint.replace(|c| !safe(c), "_");
        // The end of an address tells more than its start. That another one has the same name is seen inside.
        let name = &name[name.len().saturating_sub(MAX_NAME)..];
        Self {
            path: dir.join(format!("{name}.json")),
            endpoint: endpoint.to_owned(),
        }
    }

    /// Reads what was kept; none at the first start.
    ///
    /// # Errors
    /// What is wrong with the file, for people.
    pub(crate) fn load(&self) -> Result<Option<Remembered>, String> {
        let wrong = |why: String| {
            let path = self.path.display();
            format!("this console starts as new: {path}: {why}")
        };
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let mut text = String::new();
        file.take(MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| wrong(error.to_string()))?;
        let remembered: Remembered =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        Ok(Some(remembered).filter(|remembered| remembered.endpoint == self.endpoint))
    }

    /// Replaces what was kept.
    ///
    /// # Errors
    /// Why that failed, for people.
    pub(crate) fn save(&self, remembered: &Remembered) -> Result<(), String> {
        self.replace(remembered)
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn replace(&self, remembered: &Remembered) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let aside = self.path.with_extension(CommandId::random().to_string());
        let written = write(&aside, remembered).and_then(|()| fs::rename(&aside, &self.path));
        written.inspect_err(|_| drop(fs::remove_file(&aside)))
    }
}

fn write(path: &Path, remembered: &Remembered) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    serde_json::to_writer_pretty(&mut file, remembered)?;
    file.write_all(b"\n")?;
    // A rename may come to the disk before what it renames.
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(endpoint: &str, filter: &str) -> Remembered {
        Remembered {
            endpoint: endpoint.to_owned(),
            filter: filter.to_owned(),
            ..Remembered::default()
        }
    }

    #[test]
    fn each_daemon_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("made");
        let [one, other] = ["unix:/run/a/b.sock", "unix:/run/a_b.sock"]
            .map(|endpoint| Memory::new(&dir, endpoint));
        assert_eq!(one.path, other.path, "the names are alike");
        assert_eq!(one.load(), Ok(None));
        one.save(&remembered(&one.endpoint, "prod")).unwrap();
        assert_eq!(one.load(), Ok(Some(remembered(&one.endpoint, "prod"))));
        assert_eq!(
            other.load(),
            Ok(None),
            "what belongs to another isn't taken"
        );
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn what_is_damaged_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::new(dir.path(), "unix:/x");
        for text in ["", "{\"endpoint\":", "7", "{\"marks\":[\"no name!\"]}"] {
            fs::write(&memory.path, text).unwrap();
            let why = memory.load().unwrap_err();
            assert!(why.contains("starts as new"), "{why}");
        }
        memory.save(&remembered("unix:/x", "")).unwrap();
        assert!(memory.load().is_ok());
    }

    #[test]
    fn two_consoles_at_once_leave_a_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let write = |filter: &str| {
            let memory = Memory::new(dir.path(), "unix:/x");
            for _ in 0..20 {
                memory.save(&remembered("unix:/x", filter)).unwrap();
                assert!(memory.load().unwrap().is_some());
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| write(&"one ".repeat(1000)));
            scope.spawn(|| write("two"));
        });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
