//! A running program, what it has written so far, and how it ended.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::DEADLINE;
use super::watched::Watched;

pub use rustix::process::Signal;

/// What a program has written and whether it has ended.
#[derive(Default)]
struct State {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Streams that are still open.
    open: u8,
    ended: Option<ExitStatus>,
}

/// A running program. Killed when dropped.
pub struct Process {
    name: String,
    pid: rustix::process::Pid,
    stdin: Option<std::process::ChildStdin>,
    state: Arc<Watched<State>>,
}

/// Which of a program's outputs.
#[derive(Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

impl Process {
    pub(super) fn new(name: String, mut child: Child) -> Self {
        let state = Watched::new(State {
            open: 2,
            ..State::default()
        });
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        collect(&state, stdout, Stream::Stdout);
        collect(&state, stderr, Stream::Stderr);
        let pid = rustix::process::Pid::from_child(&child);
        let stdin = child.stdin.take();
        state.await_end(child, |state, status| state.ended = Some(status));
        Self {
            name,
            pid,
            stdin,
            state,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process(self.pid, signal);
    }

    /// Writes to its stdin; needs `open_stdin`.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin was opened");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).unwrap();
    }

    /// Ends its stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Feeds its stdin from a thread and ends it; a program that doesn't read all of it is not an error.
    pub(super) fn feed(&mut self, bytes: Vec<u8>) {
        let mut stdin = self.stdin.take().expect("stdin was opened");
        thread::spawn(move || {
            let _ = stdin.write_all(&bytes);
        });
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        self.state
            .look(|state| String::from_utf8_lossy(&state.stdout).into_owned())
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.state
            .look(|state| String::from_utf8_lossy(&state.stderr).into_owned())
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.state.look(|state| state.ended.is_none())
    }

    /// Waits until stdout holds a text.
    #[track_caller]
    pub fn wait_stdout(&self, text: &str) -> String {
        self.wait_output(text, |stdout, _| stdout.contains(text))
    }

    /// Waits until stderr holds a text.
    #[track_caller]
    pub fn wait_stderr(&self, text: &str) -> String {
        self.wait_output(text, |_, stderr| stderr.contains(text))
    }

    /// Waits until stdout and stderr are as wanted; returns stdout.
    ///
    /// # Panics
    /// After the deadline, or when the program ends without having written it.
    #[track_caller]
    pub fn wait_output(&self, what: &str, wanted: impl Fn(&str, &str) -> bool) -> String {
        let found = self.state.wait_within(DEADLINE, |state| {
            let stdout = String::from_utf8_lossy(&state.stdout);
            let stderr = String::from_utf8_lossy(&state.stderr);
            if wanted(&stdout, &stderr) {
                return Some(Ok(stdout.into_owned()));
            }
            (state.ended.is_some() && state.open == 0).then_some(Err("it ended"))
        });
        match found.unwrap_or(Err("the deadline passed")) {
            Ok(stdout) => stdout,
            Err(why) => self.fail(&format!("waited for {what:?}; {why}")),
        }
    }

    /// Waits for its end and that of its outputs.
    ///
    /// # Panics
    /// After the deadline.
    #[track_caller]
    pub fn wait(self) -> Finished {
        match self.wait_within(DEADLINE) {
            Ok(finished) => finished,
            Err(process) => process.fail("waited for its end"),
        }
    }

    /// Waits so long for its end and that of its outputs; gives it back when they don't come.
    pub fn wait_within(self, deadline: Duration) -> Result<Finished, Self> {
        let ended = |state: &State| state.ended.filter(|_| state.open == 0);
        let Some(status) = self.state.wait_within(deadline, ended) else {
            return Err(self);
        };
        Ok(self.state.look(|state| Finished {
            name: self.name.clone(),
            code: code_of(status),
            stdout: state.stdout.clone(),
            stderr: state.stderr.clone(),
        }))
    }

    /// Kills it at once, as a crash would, and waits until it is gone.
    #[track_caller]
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        let ended = self.state.wait_within(DEADLINE, |state| state.ended);
        if ended.is_none() {
            self.fail("killed it and waited for its end");
        }
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let (stdout, stderr) = (self.stdout(), self.stderr());
        panic!(
            "{}: {what}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---",
            self.name
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal(Signal::KILL);
        }
    }
}

fn collect(state: &Arc<Watched<State>>, mut from: impl Read + Send + 'static, stream: Stream) {
    let state = Arc::clone(state);
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            state.change(|state| {
                let written = match stream {
                    Stream::Stdout => &mut state.stdout,
                    Stream::Stderr => &mut state.stderr,
                };
                written.extend_from_slice(&buffer[..read]);
                state.open -= u8::from(read == 0);
            });
            if read == 0 {
                return;
            }
        }
    });
}

/// A program's exit code; 128+n for a signal.
pub(super) fn code_of(status: ExitStatus) -> i32 {
    let signal = || 128 + status.signal().unwrap_or(0);
    status.code().unwrap_or_else(signal)
}

/// How a program ended and what it wrote.
pub struct Finished {
    name: String,
    /// Its exit code; 128+n for a signal.
    pub code: i32,
    /// Everything it wrote to stdout.
    pub stdout: Vec<u8>,
    /// Everything it wrote to stderr.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// stdout as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// stderr as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| self.fail(&format!("no JSON on stdout: {error}")))
    }

    /// Checks its exit code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        if self.code != code {
            self.fail(&format!("expected to exit with {code}, got {}", self.code));
        }
        self
    }

    /// Checks that stderr holds each of these texts.
    #[track_caller]
    pub fn expect_err(self, texts: &[&str]) -> Self {
        for text in texts {
            if !self.err().contains(text) {
                self.fail(&format!("expected {text:?} on stderr"));
            }
        }
        self
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        panic!(
            "{}: {what}\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.name,
            self.out(),
            self.err()
        );
    }
}
