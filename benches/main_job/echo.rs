//! From a key to its echo, against tmux.

use std::time::Duration;

use anyhow::Result;

use crate::options::Options;
use crate::peers::tmux::Tmux;
use crate::support::fleet::Fleet;
use crate::support::report::{Bar, Section, times};
use crate::support::stop;
use crate::support::terminal::Terminal;
use crate::support::turns::take_turns;
use crate::support::typist::Typist;

/// The program that echoes; its terminal doesn't, so that each key goes all the way.
const ECHO: &str = "stty raw -echo; echo ready; exec cat";

/// So that the 99th percentile is ten keys.
const KEYS: u32 = 1000;

/// What a person still takes for at once, with room for the network.
const CEILING: Duration = Duration::from_millis(10);

/// Measures keys through `opsctl attach` and through tmux, both to `cat`.
pub fn measure(options: &Options) -> Result<Section> {
    let fleet = Fleet::start(1)?;
    let id = fleet.start_terminal(ECHO)?;
    let mut attach = Terminal::start(&fleet.opsctl(["attach", &id]))?;
    attach.wait_for(b"ready")?;
    let mut tmux = Tmux::start(ECHO)?;
    tmux.terminal.wait_for(b"ready")?;
    let (mut our_typist, mut their_typist) = (Typist::new(1), Typist::new(2));
    let [ours, theirs] = take_turns(
        options.runs(KEYS),
        [&mut || key(&mut our_typist, &mut attach), &mut || {
            key(&mut their_typist, &mut tmux.terminal)
        }],
    )?;
    Ok(Section {
        title: "From a key to its echo",
        how: "One byte is written to a terminal of 80 × 24 and comes back from `cat` behind it; 5 to 15 ms between two \
              keys, by turns, in the same seconds. tmux without its status line.",
        head: vec!["", "keys", "median", "p99"],
        bars: vec![
            Bar::new(
                "not slower than tmux at the median",
                ours.median() <= theirs.median(),
            ),
            Bar::new("p99 under 10 ms", ours.p99() < CEILING),
        ],
        rows: vec![times("`opsctl attach`", &ours), times("tmux", &theirs)],
        notes: Vec::new(),
        peers: vec![Tmux::version()?],
    })
}

fn key(typist: &mut Typist, terminal: &mut Terminal) -> Result<Duration> {
    stop::sleep(typist.pause())?;
    terminal.echo(typist.letter())
}
