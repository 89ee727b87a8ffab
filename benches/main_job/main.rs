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
//! - [`fleet`]: a daemon with agents. [`peers`]: what it is compared with.
//! - [`turns`]: two sides by turns; [`samples`]: what they took.
//! - [`place`], [`background`], [`terminal`], [`processes`]: directories, processes and terminals of the program's own.
//! - [`conditions`], [`report`]: what was found, on which machine, as Markdown; into the document.
//! - [`stop`]: an interrupted run still clears up.

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

mod fleet;
mod peers;

mod samples;
mod turns;

mod background;
mod place;
mod processes;
mod stop;
mod terminal;

mod conditions;
mod report;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use conditions::{Conditions, machine};
use options::{Options, Part};
use report::{Section, write_block};

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("main_job: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures all that was asked for; false when some of it could not be measured.
fn run(options: &Options) -> Result<bool> {
    stop::listen()?;
    publish(options, "machine", &machine()?)?;
    let mut complete = true;
    for part in options.parts() {
        stop::check()?;
        eprintln!("main_job: {part}");
        let conditions = Conditions::start()?;
        match measure(part, options) {
            Ok(section) => {
                publish(
                    options,
                    &part.to_string(),
                    &section.markdown(&conditions.end()?),
                )?;
            }
            // The document keeps what it has: a broken run is no measurement.
            Err(error) => {
                complete = false;
                println!("{part} could not be measured: {error:#}\n");
            }
        }
    }
    Ok(complete)
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

fn publish(options: &Options, name: &str, markdown: &str) -> Result<()> {
    println!("{markdown}");
    if options.write {
        write_block(name, markdown)?;
    }
    Ok(())
}
