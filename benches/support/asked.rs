//! What every load program can be asked for.

use std::ops::Div;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// What to measure, and where the figures go.
#[derive(Debug, Args)]
pub struct Asked<P: ValueEnum + Send + Sync + 'static> {
    /// Only these
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<P>,
    /// Write what was found into docs/benchmarks.md too
    #[arg(long)]
    pub write: bool,
    /// Given by `cargo bench` to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl<P: ValueEnum + PartialEq + Send + Sync> Asked<P> {
    /// The parts to measure, in the document's order; all when none was named.
    pub fn parts(&self) -> impl Iterator<Item = P> {
        let wanted = |part: &&P| self.only.is_empty() || self.only.contains(part);
        P::value_variants().iter().filter(wanted).cloned()
    }
}

/// How much of everything.
#[derive(Debug, Args)]
pub struct Extent {
    /// A tenth of everything, to see that it works: these are no figures
    #[arg(long)]
    quick: bool,
}

impl Extent {
    /// How long something is watched, where `usual` is enough for its figures to be stable.
    pub fn time(&self, usual: Duration) -> Duration {
        usual / u32::from(self.divisor())
    }

    /// How many of something, where `usual` is what the figures are about.
    pub fn count<N: Div<Output = N> + From<u8>>(&self, usual: N) -> N {
        usual / N::from(self.divisor())
    }

    fn divisor(&self) -> u8 {
        if self.quick { 10 } else { 1 }
    }
}
