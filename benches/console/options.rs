//! What to measure, and for how long.

use clap::{Parser, ValueEnum};

use crate::support::asked::{Asked, Extent};

/// Measure opsctl's console, against tmux and zellij on this machine.
#[derive(Debug, Parser)]
#[command(name = "console")]
pub struct Options {
    #[command(flatten)]
    pub asked: Asked<Part>,
    #[command(flatten)]
    pub extent: Extent,
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
    /// Fifty terminals that print and that nobody sees, against tmux and zellij
    #[value(name = "console-hidden")]
    Hidden,
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
