//! The `opsctl` binary: one subcommand a file, each with its arguments, its help and a `run`.
//!
//! - [`cli`]: the root command, its global flags and which subcommand does what.
//! - [`settings`], [`context`]: what every subcommand is given.
//! - [`exit_code`]: every code the binary exits with, and what failures look like.
//! - [`connect`]: the connection of commands that do one thing and end.
//! - [`rules`]: the user's own rules about programs' screens.
//! - [`within`]: what programs under an agent tell of themselves.
//! - [`logging`], [`signals`]: what the long-running ones write about themselves, and what they are told.
//! - [`background`]: processes that `up` leaves running.

#![expect(
    unreachable_pub,
    reason = "a binary exports nothing; here `pub` marks what a module offers the others"
)]

mod cli;
mod context;
mod exit_code;
mod settings;

mod connect;
mod rules;
mod within;

mod background;
mod logging;
mod signals;

mod ask;
mod input;
mod output;

mod agent;
mod agents;
mod attach;
mod cancel;
mod daemon;
mod down;
mod forget;
mod interrupt;
mod logs;
mod notify;
mod ps;
mod report;
mod schema;
mod send;
mod stalled;
mod status;
mod task;
mod token;
mod tui;
mod up;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Every command that an agent runs waits for its holder, so nothing is set up before it.
    let mut args = std::env::args_os().skip(1);
    if let (Some(word), Some(dir), None) = (args.next(), args.next(), args.next())
        && word == OsStr::new("holder")
    {
        return opsctl_agent::holder_main(Path::new(&dir));
    }
    cli::main().into()
}
