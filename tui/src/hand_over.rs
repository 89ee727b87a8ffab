//! What is handed to other programs: a text for the person's editor, for a clipboard command, for a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use opsctl_protocol::CommandId;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// An editor that is open.
pub(crate) struct Editor {
    /// The editor's process.
    pub(crate) child: Child,
    file: PathBuf,
}

impl Editor {
    /// Opens a text in `$VISUAL`, `$EDITOR` or vi, on the terminal.
    pub(crate) fn open(text: &str) -> io::Result<Self> {
        let named = |name| {
            std::env::var(name)
                .ok()
                .filter(|value| !value.trim().is_empty())
        };
        let editor = named("VISUAL")
            .or(named("EDITOR"))
            .unwrap_or_else(|| "vi".to_owned());
        let name = format!("opsctl-{}.txt", CommandId::random());
        let file = std::env::temp_dir().join(name);
        let mut new = NewFile::create(&file)?;
        new.write_all(text.as_bytes())?;
        new.finish()?;
        // The variable may have arguments, so that a shell must read it.
        let child = Command::new("/bin/sh")
            .args(["-c", &format!("{editor} \"$1\""), "sh"])
            .arg(&file)
            .spawn();
        let child = child.inspect_err(|_| drop(fs::remove_file(&file)))?;
        Ok(Self { child, file })
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        // The person may have moved it away.
        let _ = fs::remove_file(&self.file);
    }
}

/// A file that wasn't there before and that only this user may read. It goes again unless it is finished.
pub(crate) struct NewFile {
    path: PathBuf,
    out: BufWriter<File>,
    is_whole: bool,
}

impl NewFile {
    /// Begins it; one that is there already is left alone.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        Ok(Self {
            path: path.to_owned(),
            out: BufWriter::new(file),
            is_whole: false,
        })
    }

    /// Ends it: it stays.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        self.is_whole = true;
        Ok(())
    }
}

/// Why a file could not be written, and what to do about it.
pub(crate) fn not_written(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{path} is there already and stays as it is: choose another name")
        }
        io::ErrorKind::NotFound => format!("{path} was not written: there is no such directory"),
        io::ErrorKind::PermissionDenied => {
            format!("{path} was not written: you may not write there; choose another directory")
        }
        io::ErrorKind::StorageFull => {
            format!("{path} was not written: no room on its disk; free some, or choose another")
        }
        _ => format!("{path} was not written: {error}"),
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_whole {
            // Nobody is left to be told, and the file is of no use to anybody.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives a text to the command that is configured for the clipboard.
///
/// # Errors
/// What went wrong, for people.
pub(crate) async fn copy_by(command: &str, text: String) -> Result<(), String> {
    let failed = |error: io::Error| format!("`{command}` could not be run: {error}");
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).await.map_err(failed)?;
    }
    let status = child.wait().await.map_err(failed)?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{command}` ended with {status}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_file_is_not_written_says_which_and_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.txt");
        let refused = |path: &Path| {
            let error = NewFile::create(path).err().expect("it is refused");
            not_written(path, &error)
        };
        fs::write(&path, "mine").expect("it can be written");
        let there = refused(&path);
        assert!(there.contains("a.txt is there already"), "{there}");
        assert!(there.ends_with("choose another name"), "{there}");
        assert_eq!(fs::read_to_string(&path).expect("it can be read"), "mine");
        let nowhere = refused(&dir.path().join("none/a.txt"));
        assert!(nowhere.contains("no such directory"), "{nowhere}");
        let full = not_written(&path, &io::ErrorKind::StorageFull.into());
        assert!(full.contains("no room on its disk"), "{full}");
        assert!(
            [there, nowhere, full]
                .iter()
                .all(|why| !why.contains("os error"))
        );
    }
}
