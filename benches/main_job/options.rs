//! What to measure, and how often.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::support::asked::Asked;

/// Measure opsctl against ssh, Salt and tmux on this machine.
#[derive(Debug, Parser)]
#[command(name = "main_job")]
pub struct Options {
    #[command(flatten)]
    pub asked: Asked<Part>,
    /// So many runs of each side (keys, for echo) instead of each part's own number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Size of the payload for bulk, in MB (10^6 bytes)
    #[arg(long, value_name = "MB", default_value_t = 100)]
    pub bulk_mb: usize,
    /// How long idling is watched, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    pub idle: Duration,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// One command on one agent, against ssh
    Send,
    /// One command on ten agents, against Salt
    Fanout,
    /// From a key to its echo, against tmux
    Echo,
    /// Large output and input, against ssh
    Bulk,
    /// CPU time and memory with nothing to do
    Idle,
    /// From Ctrl-C to the end of a flood, against tmux and ssh
    CtrlC,
}

impl Options {
    /// How many runs of each side, where `usual` is enough for the part's figures to be stable.
    pub fn runs(&self, usual: u32) -> u32 {
        self.runs.unwrap_or(usual)
    }
}

fn seconds(given: &str) -> Result<Duration, std::num::ParseIntError> {
    given.parse().map(Duration::from_secs)
}
