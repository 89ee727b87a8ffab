//! What to measure, and for how long.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::support::program::wanted;

/// Measure what opsctl's daemon bears, against a bare Node hub and nats-server on this machine.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub struct Options {
    /// Only these
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// A tenth of everything, to see that it works: these are no figures
    #[arg(long)]
    quick: bool,
    /// Write what was found into docs/benchmarks.md too
    #[arg(long)]
    pub write: bool,
    /// Given by `cargo bench` to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// 10 agents to 50 dashboards, against Node and NATS
    LoadFanout,
    /// Then twice the rate until it breaks
    Ceiling,
    /// 10 agents to 50 dashboards, of which one hardly reads
    SlowReader,
    /// A gigabyte from one program to one, ten and fifty dashboards
    Flood,
    /// A thousand and ten thousand idle agents, and their return after a restart
    Agents,
    /// 50 dashboards that come back at once
    CatchUp,
}

impl Options {
    /// The parts to measure, in the document's order.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        wanted(&self.only)
    }

    /// How long something is watched, where `usual` is enough for its figures to be stable.
    pub fn time(&self, usual: Duration) -> Duration {
        usual / self.divisor()
    }

    /// How many of something, where `usual` is what the figures are about.
    pub fn count(&self, usual: usize) -> usize {
        usual / self.divisor() as usize
    }

    fn divisor(&self) -> u32 {
        if self.quick { 10 } else { 1 }
    }
}
