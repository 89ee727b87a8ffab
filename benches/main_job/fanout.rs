//! One command on ten agents, against Salt.

use std::time::Duration;

use anyhow::Result;

use crate::options::Options;
use crate::peers::salt::Salt;
use crate::support::fleet::Fleet;
use crate::support::report::{Bar, Section, times};
use crate::support::samples::Samples;
use crate::support::stop;
use crate::support::turns::{take_turns, time_process};

const AGENTS: usize = 10;

/// Salt takes a second or more for each.
const RUNS: u32 = 20;

/// How many times as fast as Salt it has to be.
const WANTED: f64 = 20.0;

/// Measures `opsctl send '*' -- true` against `salt '*' cmd.run /bin/true`, whole processes.
pub fn measure(options: &Options) -> Result<Section> {
    let fleet = Fleet::start(AGENTS)?;
    let runs = options.runs(RUNS);
    let mut send = || time_process(&mut fleet.opsctl(["send", "*", "--", "true"]));
    let mut section = Section {
        title: "One command on ten agents",
        how: "The whole process, from its start to the end of all ten, by turns. Agents, minions, daemon and master all on \
              this host, each with default settings. (Salt reads `true` as YAML and would look for a program `True`.)",
        head: vec!["", "runs", "median", "p99"],
        rows: Vec::new(),
        bars: Vec::new(),
        notes: Vec::new(),
        peers: Vec::new(),
    };
    let ours = match Salt::start(AGENTS) {
        Ok(salt) => {
            let [ours, theirs] = take_turns(runs, [&mut send, &mut || salt.run_true()])?;
            let factor = seconds(theirs.median()) / seconds(ours.median());
            section
                .rows
                .push(times("`salt '*' cmd.run /bin/true`", &theirs));
            section.bars.push(Bar::new(
                format!("at least {WANTED} times as fast as Salt at the median: {factor:.0} times"),
                factor >= WANTED,
            ));
            section.peers.push(salt.version()?);
            ours
        }
        Err(error) => {
            stop::check()?;
            let note = format!("Not compared with Salt, which did not run here: {error:#}.");
            section.notes.push(note);
            send()?;
            Samples::new((0..runs).map(|_| send()).collect::<Result<_>>()?)
        }
    };
    section
        .rows
        .insert(0, times("`opsctl send '*' -- true`", &ours));
    Ok(section)
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
