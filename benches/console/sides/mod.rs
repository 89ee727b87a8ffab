//! The console and what it is compared with: panes with programs in a terminal of [`crate::viewer::SIZE`].

pub mod console;
pub mod tmux;
pub mod zellij;

use std::time::Duration;

use anyhow::Result;
use rustix::process::Pid;

use crate::support::processes::{Snapshot, Usage};
use crate::viewer::Viewer;

/// One of those that are compared, with its panes open.
pub trait Side {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// The terminal that a person looks at.
    fn viewer(&mut self) -> &mut Viewer;

    /// The processes that show panes: whatever runs between the programs' terminals and the person's.
    fn processes(&self) -> Vec<Pid>;
}

/// Whom a part can start.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// opsctl's console.
    Console,
    /// tmux.
    Tmux,
    /// zellij.
    Zellij,
}

impl Kind {
    /// All of them, the console first.
    pub const ALL: [Self; 3] = [Self::Console, Self::Tmux, Self::Zellij];

    /// Starts it with these programs in as many panes. `None` when it isn't installed, which becomes a note.
    pub fn start(self, lines: &[String], notes: &mut Vec<String>) -> Result<Option<Box<dyn Side>>> {
        let (name, version) = match self {
            Self::Console => return Ok(Some(Box::new(console::Console::with(lines)?))),
            Self::Tmux => ("tmux", tmux::version()),
            Self::Zellij => ("zellij", zellij::version()),
        };
        if version.is_none() {
            notes.push(format!("{name}: skipped, not installed."));
            return Ok(None);
        }
        Ok(Some(match self {
            Self::Zellij => Box::new(zellij::Zellij::with(lines)?),
            _ => Box::new(tmux::Tmux::with(lines)?),
        }))
    }
}

/// What the peers say that they are.
pub fn versions() -> Vec<String> {
    [tmux::version(), zellij::version()]
        .into_iter()
        .flatten()
        .collect()
}

/// Looks on for so long; what the side's processes used meanwhile.
pub fn watch(side: &mut dyn Side, time: Duration) -> Result<Usage> {
    let pids = side.processes();
    let before = Snapshot::of(&pids)?;
    side.viewer().watch(time)?;
    Ok(Snapshot::of(&pids)?.since(&before))
}

/// CPU time as a share of a core.
pub fn share(usage: Usage, time: Duration) -> f64 {
    usage.cpu.as_secs_f64() / time.as_secs_f64()
}
