//! From the start to the first frame.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::options::Options;
use crate::sides::tmux::Tmux;
use crate::sides::zellij::Zellij;
use crate::sides::{self, Kind, Side as _};
use crate::support::fleet::Fleet;
use crate::support::report::{Bar, Section, times};
use crate::support::samples::Samples;
use crate::viewer::Viewer;

const STARTS: u32 = 100;

/// What a start may take.
const MOST: Duration = Duration::from_millis(50);

/// Measures starts of the console, and of clients of tmux and zellij that attach.
pub fn measure(options: &Options) -> Result<Section> {
    let fleet = Fleet::start(3)?;
    let (mut names, mut commands) = (vec!["`opsctl tui`"], vec![fleet.opsctl(["tui"])]);
    let (mut tmux, mut zellij, mut notes) = (None, None, Vec::new());
    let shown = ["echo READY; exec cat".to_owned()];
    if Kind::Tmux.is_installed(&mut notes) {
        let side = tmux.insert(Tmux::with(&shown)?);
        side.viewer().wait_text("READY")?;
        names.push("`tmux attach`");
        commands.push(side.attach());
    }
    if Kind::Zellij.is_installed(&mut notes) {
        let side = zellij.insert(Zellij::with(&shown)?);
        side.viewer().wait_text("READY")?;
        names.push("`zellij attach`");
        commands.push(side.attach());
    }
    let samples = by_turns(&commands, options.extent.count(STARTS))?;
    Ok(Section {
        title: "The console: from the start to the first frame",
        how: "From starting the process in a terminal of 200 × 60 to its first words there, by turns; daemon and servers run \
              already. The words are the daemon's address in the console's first line, and what the program in the one pane \
              has printed.",
        head: vec!["", "starts", "median", "p99"],
        rows: names
            .iter()
            .zip(&samples)
            .map(|(name, one)| times(name, one))
            .collect(),
        bars: vec![Bar::new("under 50 ms at p99", samples[0].p99() < MOST)],
        notes,
        peers: sides::versions(),
    })
}

/// How long each took until its first words, the console first.
fn by_turns(commands: &[Command], starts: u32) -> Result<Vec<Samples>> {
    let mut samples = vec![Vec::new(); commands.len()];
    for round in 0..=starts as usize {
        for turn in 0..commands.len() {
            let at = (round + turn) % commands.len();
            let took = first_frame(&commands[at], if at == 0 { "opsctl" } else { "READY" })?;
            // The first of each warms caches.
            if round > 0 {
                samples[at].push(took);
            }
        }
    }
    Ok(samples.into_iter().map(Samples::new).collect())
}

fn first_frame(command: &Command, text: &str) -> Result<Duration> {
    let start = Instant::now();
    let mut viewer = Viewer::start(command)?;
    viewer.wait_text(text)?;
    Ok(start.elapsed())
}
