//! What to measure, and for how long.

use clap::{Parser, ValueEnum};

use crate::support::asked::{Asked, Extent};

/// Measure what opsctl's daemon bears, against a bare Node hub and nats-server on this machine.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub struct Options {
    #[command(flatten)]
    pub asked: Asked<Part>,
    #[command(flatten)]
    pub extent: Extent,
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
