//! From Ctrl-C to the end of a flood, against tmux and ssh.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::options::Options;
use crate::peers::ssh::Ssh;
use crate::peers::tmux::Tmux;
use crate::support::fleet::Fleet;
use crate::support::report::{Section, times};
use crate::support::terminal::Terminal;
use crate::support::turns::take_turns;

/// Floods at each newline until it is interrupted, then says so. The shell's trap keeps it alive; `yes` has none.
const FLOOD: &str = "trap : INT; n=0; stty -echo; echo ready; \
                     while read line; do yes; n=$((n+1)); echo \"<$n>\"; done";

const RUNS: u32 = 20;

/// Long enough for every buffer on the way to be full.
const FLOODING: Duration = Duration::from_millis(500);

const CTRL_C: &[u8] = b"\x03";

/// Measures from writing Ctrl-C to seeing what the shell prints next, while `yes` floods.
pub fn measure(options: &Options) -> Result<Section> {
    let fleet = Fleet::start(1)?;
    let id = fleet.start_terminal(FLOOD)?;
    let mut attach = Terminal::start(&fleet.opsctl(["attach", &id]))?;
    attach.wait_for(b"ready")?;
    let mut tmux = Tmux::start(FLOOD)?;
    tmux.terminal.wait_for(b"ready")?;
    let mut ssh = Ssh::start()?;
    let mut remote = Terminal::start(&ssh.terminal(FLOOD)?)?;
    remote.wait_for(b"ready")?;
    let mut floods = [0; 3];
    let [our_floods, tmux_floods, ssh_floods] = &mut floods;
    let [ours, tmuxes, sshs] = take_turns(
        options.runs(RUNS),
        [
            &mut || interrupt(&mut attach, our_floods),
            &mut || interrupt(&mut tmux.terminal, tmux_floods),
            &mut || interrupt(&mut remote, ssh_floods),
        ],
    )?;
    Ok(Section {
        title: "Ctrl-C while `yes` floods",
        how: "From writing `^C` to seeing what the shell prints after `yes` has ended, with all that was on the way before \
              it; by turns. ssh as above, with a terminal. For information.",
        head: vec!["", "runs", "median", "p99"],
        rows: vec![
            times("`opsctl attach`", &ours),
            times("tmux", &tmuxes),
            times("`ssh -tt`", &sshs),
        ],
        bars: Vec::new(),
        notes: Vec::new(),
        peers: vec![Tmux::version()?, Ssh::version()?],
    })
}

/// Starts the next flood and interrupts it.
fn interrupt(terminal: &mut Terminal, floods: &mut u32) -> Result<Duration> {
    *floods += 1;
    terminal.keys(b"\r")?;
    let flooded = terminal.discard(FLOODING)?;
    ensure!(flooded > 1000, "no flood: {flooded} bytes");
    let start = Instant::now();
    terminal.keys(CTRL_C)?;
    terminal.wait_for(format!("<{floods}>").as_bytes())?;
    Ok(start.elapsed())
}
