//! Starts the program, in a terminal or between pipes, and says clearly why where it cannot.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;

use opsctl_protocol::message::{CommandSpec, Program, Stdin};
use pty_process::{Pts, Pty, Size};
use rustix::process::Pid;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use crate::report::REPORT_VARIABLE;
use crate::wire::Job;

/// Room in each pipe. A program that writes fast is switched to less often; the system's usual bound for
/// unprivileged users, beyond which the request fails, is four times as much.
const PIPE_BYTES: usize = 256 * 1024;

/// Variables that mean the agent or its terminal, and would mislead the program. (The agent's own secrets and systemd's
/// variables never reach the holder.)
const TERMINAL_VARIABLES: [&str; 2] = ["LINES", "COLUMNS"];

/// What our emulator and every pane understand.
const TERM: &str = "xterm-256color";

/// A started program and our ends of its streams.
pub(super) struct Running {
    /// The program.
    pub(super) child: Child,
    /// Its process id; its group's too.
    pub(super) pid: Pid,
    /// Its terminal, where it has one.
    pub(super) terminal: Option<Pty>,
    /// The terminal's other end, kept while the program runs: without it, a program that closes its own for a moment
    /// would lose its terminal.
    pub(super) terminal_end: Option<Pts>,
    /// Its standard output.
    pub(super) output: Option<pipe::Receiver>,
    /// Its standard error.
    pub(super) error: Option<pipe::Receiver>,
    /// Its standard input.
    pub(super) input: Option<pipe::Sender>,
}

/// Starts a job's program, which may report at this socket. The error is for people.
pub(super) fn start(job: &Job, reports: Option<&Path>) -> Result<Running, String> {
    let spec = &job.spec;
    if let Some(cwd) = &spec.cwd {
        check_directory(cwd)?;
    }
    let (name, mut command) = command(job);
    // What the environment says of an agent that this one runs under means another terminal.
    match reports {
        Some(socket) => command.env(REPORT_VARIABLE, socket),
        None => command.env_remove(REPORT_VARIABLE),
    };
    let started = if spec.pty {
        start_in_terminal(spec, command)
    } else {
        start_between_pipes(spec, command)
    };
    started.map_err(|error| failure(name, &error))
}

/// The command, and the name that a person would look for.
fn command(job: &Job) -> (&str, Command) {
    let spec = &job.spec;
    let (name, mut command) = match &spec.program {
        Program::Argv(argv) => {
            let (name, arguments) = argv
                .split_first()
                .map_or(("", &[][..]), |(name, rest)| (name, rest));
            let mut command = Command::new(name);
            command.args(arguments);
            (name, command)
        }
        Program::Shell(line) => {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(line);
            ("/bin/sh", command)
        }
    };
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    if spec.pty {
        for variable in TERMINAL_VARIABLES {
            command.env_remove(variable);
        }
        command.env("TERM", TERM);
    }
    command
        .env("OPSCTL_AGENT", &job.agent)
        .env("OPSCTL_COMMAND_ID", job.command_id.to_string());
    command.envs(&spec.env);
    (name, command)
}

fn start_in_terminal(spec: &CommandSpec, command: Command) -> io::Result<Running> {
    let (terminal, end) = pty_process::open().map_err(io::Error::other)?;
    terminal
        .resize(Size::new(spec.rows, spec.cols))
        .map_err(io::Error::other)?;
    let child = pty_process::Command::from(command)
        .spawn_borrowed(&end)
        .map_err(|error| match error {
            pty_process::Error::Io(error) => error,
            other => io::Error::other(other),
        })?;
    Ok(Running {
        pid: pid(&child)?,
        child,
        terminal: Some(terminal),
        terminal_end: Some(end),
        output: None,
        error: None,
        input: None,
    })
}

fn start_between_pipes(spec: &CommandSpec, mut command: Command) -> io::Result<Running> {
    let (output, their_output) = reading_pipe()?;
    let (error, their_error) = reading_pipe()?;
    let input = match spec.stdin {
        Stdin::None => {
            command.stdin(Stdio::null());
            None
        }
        Stdin::Stream => {
            let (theirs, ours) = io::pipe()?;
            enlarge(&ours);
            command.stdin(theirs);
            Some(pipe::Sender::from_owned_fd(OwnedFd::from(ours))?)
        }
    };
    // The holder leads a session of its own, so the program's group is in the background of no terminal.
    command
        .stdout(their_output)
        .stderr(their_error)
        .process_group(0);
    let child = command.spawn()?;
    Ok(Running {
        pid: pid(&child)?,
        child,
        terminal: None,
        terminal_end: None,
        output: Some(output),
        error: Some(error),
        input,
    })
}

fn reading_pipe() -> io::Result<(pipe::Receiver, io::PipeWriter)> {
    let (ours, theirs) = io::pipe()?;
    enlarge(&ours);
    Ok((pipe::Receiver::from_owned_fd(OwnedFd::from(ours))?, theirs))
}

/// A pipe of the usual size works too, only slower.
fn enlarge(pipe: &impl std::os::fd::AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
}

fn pid(child: &Child) -> io::Result<Pid> {
    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    id.ok_or_else(|| io::Error::other("the program has no process id"))
}

/// Looked at apart, because the system reports a missing directory as it reports a missing program.
fn check_directory(cwd: &str) -> Result<(), String> {
    match std::fs::metadata(cwd) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("working directory {cwd}: not a directory")),
        Err(error) => Err(format!("working directory {cwd}: {}", plain(&error))),
    }
}

fn failure(name: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if name.contains('/') && Path::new(name).exists() => {
            format!("{name}: its interpreter was not found")
        }
        io::ErrorKind::NotFound if name.contains('/') => format!("{name}: no such file"),
        io::ErrorKind::NotFound => format!("{name}: command not found"),
        _ => format!("{name}: {}", plain(error)),
    }
}

/// The system's words without the number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text
        .split_once(" (os error")
        .map_or(text.as_str(), |(text, _)| text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}
