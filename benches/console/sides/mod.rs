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
        if !self.is_installed(notes) {
            return Ok(None);
        }
        Ok(Some(match self {
            Self::Console => Box::new(console::Console::with(lines)?),
            Self::Tmux => Box::new(tmux::Tmux::with(lines)?),
            Self::Zellij => Box::new(zellij::Zellij::with(lines)?),
        }))
    }

    /// Starts it with one program that is seen, and with others behind it that aren't.
    pub fn before(
        self,
        seen: &str,
        hidden: &[String],
        notes: &mut Vec<String>,
    ) -> Result<Option<Box<dyn Side>>> {
        if !self.is_installed(notes) {
            return Ok(None);
        }
        Ok(Some(match self {
            Self::Console => Box::new(console::Console::before(seen, hidden)?),
            Self::Tmux => Box::new(tmux::Tmux::before(seen, hidden)?),
            Self::Zellij => Box::new(zellij::Zellij::before(seen, hidden)?),
        }))
    }

    /// Whether it can be started; where it can't, that becomes a note.
    pub fn is_installed(self, notes: &mut Vec<String>) -> bool {
        let (name, version) = match self {
            Self::Console => return true,
            Self::Tmux => ("tmux", tmux::version()),
            Self::Zellij => ("zellij", zellij::version()),
        };
        if version.is_none() {
            notes.push(format!("{name}: skipped, not installed."));
        }
        version.is_some()
    }
}

/// What the peers say that they are.
pub fn versions() -> Vec<String> {
    [tmux::version(), zellij::version()]
        .into_iter()
        .flatten()
        .collect()
}

/// What a side did while it was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// Its name in the table.
    pub name: &'static str,
    /// CPU time of its processes as a share of a core.
    pub cpu: f64,
    /// How often one of their threads went to sleep, a second.
    pub sleeps: f64,
    /// Frames a second, of who tells where one begins; else 0.
    pub frames: f64,
    /// Bytes to the terminal, a second.
    pub bytes: f64,
}

/// Starts each side with these programs in as many panes, lets it settle, and looks on for so long. The console comes
/// first, and each is alone: the next starts when the one before has been stopped.
pub fn watch_each(
    lines: &[String],
    settling: Duration,
    time: Duration,
    notes: &mut Vec<String>,
) -> Result<Vec<Watched>> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        if let Some(mut side) = kind.start(lines, notes)? {
            side.viewer().watch(settling)?;
            all.push(watch(side.as_mut(), time)?);
        }
    }
    Ok(all)
}

/// Looks on for so long; what the side did meanwhile.
pub fn watch(side: &mut dyn Side, time: Duration) -> Result<Watched> {
    let pids = side.processes();
    let (before, drawn) = (Snapshot::of(&pids)?, side.viewer().drawn);
    side.viewer().watch(time)?;
    let usage = Snapshot::of(&pids)?.since(&before);
    let now = side.viewer().drawn;
    let a_second = |count: u64| count as f64 / time.as_secs_f64();
    Ok(Watched {
        name: side.name(),
        cpu: share(usage, time),
        sleeps: a_second(usage.sleeps),
        frames: a_second(now.frames - drawn.frames),
        bytes: a_second(now.bytes - drawn.bytes),
    })
}

/// CPU time as a share of a core.
pub fn share(usage: Usage, time: Duration) -> f64 {
    usage.cpu.as_secs_f64() / time.as_secs_f64()
}
