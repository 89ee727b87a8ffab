//! The `opsctl` binary: one subcommand a file, each with its arguments, its help and a `run`.
//!
//! - [`cli`]: the root command, its global flags and which subcommand does what.
//! - [`settings`], [`context`]: what every subcommand is given.
//! - [`exit_code`]: every code the binary exits with, and what failures look like.
//! - [`connect`]: the connection of commands that do one thing and end.
//! - [`logging`]: what the long-running ones write about themselves.

#![expect(
    unreachable_pub,
    reason = "a binary exports nothing; here `pub` marks what a module offers the others"
)]

mod cli;
mod connect;
mod context;
mod exit_code;
mod logging;
mod settings;

mod schema;
mod status;
mod token;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main().into()
}
