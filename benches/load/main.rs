//! The load program behind docs/benchmarks.md: what opsctl's daemon bears, against a bare Node hub and nats-server, on this
//! machine.
//!
//! ```sh
//! cargo bench --bench load -- --only load-fanout,ceiling
//! cargo bench --bench load -- --write
//! ```
//!
//! It plays agents and dashboards itself, over real sockets, on one thread. It starts everything else (daemon, real
//! agents, Node, nats-server), in temporary directories and with a cleared environment, and clears it all away at the
//! end.
//!
//! - [`options`]: what to measure, for how long.
//! - [`fan_out`], [`ceiling`], [`slow_reader`], [`flood`], [`agents`], [`catch_up`]: one measurement each.
//! - [`load`]: sources that publish by a timetable, watchers that note when each record came.
//! - [`cost`]: what something costs a hub and this program.
//! - [`hubs`]: what fans out: the daemon, and what it is compared with.
//! - [`net`]: connections, thousands of them. [`wire`]: what goes over them.
//! - [`programs`]: what real agents run.
//! - [`support`]: what the load programs share.

#![expect(
    unreachable_pub,
    reason = "a binary exports nothing; here `pub` marks what a module offers the others"
)]

mod options;

mod agents;
mod catch_up;
mod ceiling;
mod fan_out;
mod flood;
mod slow_reader;

mod cost;
mod hubs;
mod load;

mod net;
mod wire;

mod programs;

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
    match Program::asked().map(|program| program.and_then(Program::run)) {
        Some(Ok(())) => return ExitCode::SUCCESS,
        // An agent's program whose output is no longer wanted.
        Some(Err(_)) => return ExitCode::FAILURE,
        None => {}
    }
    let options = Options::parse();
    program::run("load", &options.asked, |part| measure(*part, &options))
}

fn measure(part: Part, options: &Options) -> Result<Section> {
    match part {
        Part::LoadFanout => fan_out::measure(options),
        Part::Ceiling => ceiling::measure(options),
        Part::SlowReader => slow_reader::measure(options),
        Part::Flood => flood::measure(options),
        Part::Agents => agents::measure(options),
        Part::CatchUp => catch_up::measure(options),
    }
}
