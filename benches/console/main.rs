//! What the console costs: the program behind its part of docs/benchmarks.md.
//!
//! ```sh
//! cargo bench --bench console -- --only console-echo --quick
//! cargo bench --bench console -- --write
//! ```
//!
//! Some parts drive the reducer and the drawing in this process, without a daemon and without a terminal: pieces of output
//! go in, the bytes for the terminal come out, and CPU time is this thread's own. The others start the release binary with
//! a daemon and agents, and tmux and zellij beside it, each in a terminal of the same size.
//!
//! - [`options`]: what to measure, for how long.
//! - [`frame`], [`memory`], [`fleet`]: in this process, on a console of [`world`].
//! - [`busy`], [`quiet`], [`hidden`], [`echo`], [`flood`], [`start`]: whole programs, each of [`sides`] in a terminal of its own.
//! - [`viewer`]: who sits before such a terminal.
//! - [`programs`]: what runs in the panes: this program itself, under another name.
//! - [`support`]: what the load programs share.

#![expect(
    unreachable_pub,
    reason = "a binary exports nothing; here `pub` marks what a module offers the others"
)]

mod options;

mod fleet;
mod frame;
mod memory;

mod busy;
mod echo;
mod flood;
mod hidden;
mod quiet;
mod start;

mod programs;
mod sides;
mod viewer;
mod world;

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each of the load programs uses its part of it")]
mod support;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use options::{Options, Part};
use programs::Program;
use support::program;
use support::report::Section;

fn main() -> ExitCode {
    if let Some(asked) = Program::asked() {
        // Its terminal is gone, which is how such a program ends.
        return match asked.and_then(Program::run) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let options = Options::parse();
    program::run("console", &options.asked, |part| measure(*part, &options))
}

fn measure(part: Part, options: &Options) -> Result<Section> {
    match part {
        Part::Frame => Ok(frame::measure(options)),
        Part::Fleet => Ok(fleet::measure(options)),
        Part::Memory => memory::measure(),
        Part::Busy => busy::measure(options),
        Part::Quiet => quiet::measure(options),
        Part::Hidden => hidden::measure(options),
        Part::Echo => echo::measure(options),
        Part::Flood => flood::measure(options),
        Part::Start => start::measure(options),
    }
}
