//! One command on one agent, against ssh.

use anyhow::Result;

use crate::options::Options;
use crate::peers::ssh::Ssh;
use crate::support::fleet::Fleet;
use crate::support::report::{Bar, Section, times};
use crate::support::turns::{take_turns, time_process};

/// So that the 99th percentile is more than one run.
const RUNS: u32 = 300;

/// Measures `opsctl send A -- true` against `ssh HOST true`, whole processes.
pub fn measure(options: &Options) -> Result<Section> {
    let fleet = Fleet::start(1)?;
    let mut ssh = Ssh::start()?;
    let [ours, theirs] = take_turns(
        options.runs(RUNS),
        [
            &mut || time_process(&mut fleet.opsctl(["send", "a1", "--", "true"])),
            &mut || time_process(&mut ssh.command("true")?),
        ],
    )?;
    Ok(Section {
        title: "One command on one agent",
        how: "The whole process, from its start to its end, by turns. ssh goes over a ControlMaster connection that is \
              already open, to an sshd on this host without PAM and a user with /bin/sh and an empty home.",
        head: vec!["", "runs", "median", "p99"],
        bars: vec![Bar::new(
            "at least as fast as ssh at the median",
            ours.median() <= theirs.median(),
        )],
        rows: vec![
            times("`opsctl send A -- true`", &ours),
            times("`ssh HOST true`", &theirs),
        ],
        notes: Vec::new(),
        peers: vec![Ssh::version()?],
    })
}
