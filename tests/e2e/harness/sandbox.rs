//! Directories and an environment of a test's own.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::process::{Finished, Process};
use super::pty::Pty;

/// A test's world. Every process in it carries the sandbox's `HOME`, by which all of them, also those that detached
/// themselves, are found and killed at its end.
pub struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    /// A fresh one, with nothing in it but an empty settings file.
    pub fn new() -> Self {
        // Not $TMPDIR: its path might leave no room for a socket's.
        let dir = tempfile::Builder::new()
            .prefix("opsctl-e2e-")
            .tempdir_in("/tmp")
            .unwrap();
        let sandbox = Self { dir };
        std::fs::write(sandbox.path("config.toml"), "").unwrap();
        sandbox
    }

    /// A path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.path("opsctl.sock")
    }

    /// The state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// `opsctl` with these arguments in this sandbox. Nothing of the test's own environment but `PATH` reaches it.
    pub fn opsctl<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Opsctl {
        let program = env!("CARGO_BIN_EXE_opsctl").into();
        self.program(program, args)
    }

    /// Any other program in this sandbox, with the same environment.
    pub fn command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, program: &str, args: I) -> Opsctl {
        self.program(program.into(), args)
    }

    fn program<I: IntoIterator<Item: AsRef<OsStr>>>(&self, program: OsString, args: I) -> Opsctl {
        let args = args
            .into_iter()
            .map(|arg| arg.as_ref().to_owned())
            .collect();
        let env = vec![
            ("PATH".into(), std::env::var_os("PATH").unwrap_or_default()),
            ("HOME".into(), self.dir.path().into()),
            ("TERM".into(), "xterm-256color".into()),
            ("LANG".into(), "C.UTF-8".into()),
            ("OPSCTL_CONFIG".into(), self.path("config.toml").into()),
            ("OPSCTL_SOCKET".into(), self.socket().into()),
            ("OPSCTL_STATE_DIR".into(), self.state_dir().into()),
        ];
        Opsctl {
            program,
            args,
            env,
            dir: self.dir.path().to_owned(),
            stdin: None,
        }
    }

    /// The processes of this sandbox that still live.
    pub fn processes(&self) -> Vec<i32> {
        let mut marker = b"HOME=".to_vec();
        marker.extend_from_slice(self.dir.path().as_os_str().as_encoded_bytes());
        let own = |pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == marker)
        };
        let Ok(processes) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        processes
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(own)
            .collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // A process can start another between the look and the kill, so look again until there is none.
        for _ in 0..100 {
            let living = self.processes();
            if living.is_empty() {
                return;
            }
            for pid in living
                .into_iter()
                .filter_map(rustix::process::Pid::from_raw)
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

/// A program that is about to be run in a sandbox.
#[must_use]
pub struct Opsctl {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) dir: PathBuf,
    stdin: Option<Stdin>,
}

enum Stdin {
    Bytes(Vec<u8>),
    Open,
}

impl Opsctl {
    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Removes a variable.
    pub fn env_remove(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    /// Feeds stdin with these bytes, then ends it. Without this, stdin is empty.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(Stdin::Bytes(bytes.into()));
        self
    }

    /// Keeps stdin open for [`Process::write`].
    pub fn open_stdin(mut self) -> Self {
        self.stdin = Some(Stdin::Open);
        self
    }

    /// Starts it.
    #[track_caller]
    pub fn spawn(self) -> Process {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(self.env)
            .current_dir(&self.dir)
            .stdin(if self.stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let name = shown(&self.program, &self.args);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let mut process = Process::new(name, child);
        if let Some(Stdin::Bytes(bytes)) = self.stdin {
            process.feed(bytes);
        }
        process
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Finished {
        self.spawn().wait()
    }

    /// Starts it in a terminal of this size.
    #[track_caller]
    pub fn pty(self, cols: u16, rows: u16) -> Pty {
        Pty::spawn(self, cols, rows)
    }
}

pub(super) fn shown(program: &OsStr, args: &[OsString]) -> String {
    let program = Path::new(program).file_name().unwrap_or(program);
    let words = std::iter::once(program).chain(args.iter().map(OsString::as_os_str));
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
