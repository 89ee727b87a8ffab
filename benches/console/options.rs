//! What to measure, and for how long.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::support::program::wanted;

/// Measure opsctl's console, against tmux and zellij on this machine.
#[derive(Debug, Parser)]
#[command(name = "console")]
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
    /// CPU time of a frame with nine panes all changing, and of a flood
    #[value(name = "console-frame")]
    Frame,
    /// A fleet of 1,000 agents: scroll, filter, change
    #[value(name = "console-fleet")]
    Fleet,
    /// Memory of panes, shown and hidden
    #[value(name = "console-memory")]
    Memory,
    /// Nine panes all changing, against tmux and zellij
    #[value(name = "console-busy")]
    Busy,
    /// Nine panes that nothing happens in, against tmux and zellij
    #[value(name = "console-quiet")]
    Quiet,
    /// From a key to its echo, against a bare terminal, tmux and zellij
    #[value(name = "console-echo")]
    Echo,
    /// A flood through a visible pane, against tmux and zellij
    #[value(name = "console-flood")]
    Flood,
    /// From the start to the first frame, against tmux and zellij
    #[value(name = "console-start")]
    Start,
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
    pub fn count(&self, usual: u32) -> u32 {
        usual / self.divisor()
    }

    fn divisor(&self) -> u32 {
        if self.quick { 10 } else { 1 }
    }
}
