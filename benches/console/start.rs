//! From the start to the first frame.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::options::Options;
use crate::sides::Side as _;
use crate::sides::tmux::{self, Tmux};
use crate::support::fleet::Fleet;
use crate::support::report::{Bar, Section, times};
use crate::support::turns::take_turns;
use crate::viewer::Viewer;

const STARTS: u32 = 100;

/// What a start may take.
const MOST: Duration = Duration::from_millis(50);

/// Measures starts of the console, and of a tmux client that attaches.
pub fn measure(options: &Options) -> Result<Section> {
    let fleet = Fleet::start(3)?;
    let starts = options.count(STARTS);
    let mut ours = || first_frame(&fleet.opsctl(["tui"]), "opsctl");
    let mut notes = Vec::new();
    let samples = if tmux::version().is_some() {
        let mut tmux = Tmux::with(&["echo READY; exec cat".to_owned()])?;
        tmux.viewer().wait_text("READY")?;
        let attach = tmux.attach();
        let mut theirs = || first_frame(&attach, "READY");
        Vec::from(take_turns(starts, [&mut ours, &mut theirs])?)
    } else {
        notes.push("tmux: skipped, not installed.".to_owned());
        Vec::from(take_turns(starts, [&mut ours])?)
    };
    let names = ["`opsctl tui`", "`tmux attach`"];
    Ok(Section {
        title: "The console: from the start to the first frame",
        how: "From starting the process in a terminal of 200 × 60 to its first words there, by turns; daemon and server run \
              already.",
        head: vec!["", "starts", "median", "p99"],
        rows: names
            .iter()
            .zip(&samples)
            .map(|(name, one)| times(name, one))
            .collect(),
        bars: vec![Bar::new("under 50 ms at p99", samples[0].p99() < MOST)],
        notes,
        peers: tmux::version().into_iter().collect(),
    })
}

fn first_frame(command: &Command, text: &str) -> Result<Duration> {
    let start = Instant::now();
    let mut viewer = Viewer::start(command)?;
    viewer.wait_text(text)?;
    Ok(start.elapsed())
}
