//! The load program behind docs/benchmarks.md: the release binary against what people use today, on this machine, in one
//! run, in turns.
//!
//! ```sh
//! cargo bench --bench main_job -- --only send,echo --runs 50
//! cargo bench --bench main_job -- --write
//! ```
//!
//! It starts everything by itself (daemon and agents, an sshd with a user of its own, tmux, Salt), in temporary directories
//! and with a cleared environment, and clears it all away at the end.
//!
//! - [`options`]: what to measure, how often.
//! - [`send`], [`fanout`], [`echo`], [`bulk`], [`idle`], [`ctrl_c`]: one measurement each.
//! - [`peers`]: what opsctl is compared with.
//! - [`support`]: what the load programs share.

#![expect(
    unreachable_pub,
    reason = "a binary exports nothing; here `pub` marks what a module offers the others"
)]

mod options;

mod bulk;
mod ctrl_c;
mod echo;
mod fanout;
mod idle;
mod send;

mod peers;

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each of the load programs uses its part of it")]
mod support;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use options::{Options, Part};
use support::program;
use support::report::Section;

fn main() -> ExitCode {
    let options = Options::parse();
    program::run("main_job", &options.asked, |part| measure(*part, &options))
}

fn measure(part: Part, options: &Options) -> Result<Section> {
    match part {
        Part::Send => send::measure(options),
        Part::Fanout => fanout::measure(options),
        Part::Echo => echo::measure(options),
        Part::Bulk => bulk::measure(options),
        Part::Idle => idle::measure(options),
        Part::CtrlC => ctrl_c::measure(options),
    }
}
