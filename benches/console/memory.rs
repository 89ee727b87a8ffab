//! What 10,000 lines of 200 columns take, in a pane that is shown and in one that is not.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use opsctl_protocol::Timestamp;
use opsctl_tui::state::Input;
use rustix::process::getpid;

use crate::programs::{Program, wide};
use crate::sides::Side as _;
use crate::sides::tmux::{self, Tmux};
use crate::support::processes::memory;
use crate::support::report::{Bar, Section};
use crate::world::{NOW, World};

/// Panes that are filled, so that what the process has anyway hardly counts.
const PANES: usize = 9;

/// Lines, so that a screen's worth has scrolled out beyond the 10,000.
const LINES: usize = 10_100;

/// Milliseconds between two lines: a pane remembers when each of its lines arrived, to the second.
const SECOND: u64 = 1000;

/// What a pane may take, in bytes.
const SHOWN: f64 = 6e6;
/// One that is hidden.
const HIDDEN: f64 = 1e6;

/// How long after it was hidden a pane gives memory back; more than enough.
const LATER: Duration = Duration::from_hours(1);

/// Resident memory of a pane with a full scrollback.
pub fn measure() -> Result<Section> {
    let shown = of_panes(false)?;
    let hidden = of_panes(true)?;
    let mut rows = vec![row("`opsctl tui`", shown, Some(hidden))];
    if let Some(pane) = of_tmux()? {
        rows.push(row("tmux", pane, Some(pane)));
    }
    Ok(Section {
        title: "The console: memory of a pane",
        how: "What is resident more with 10,000 lines of 200 columns, ten colours in each, above a screen of 200 × 60; of \
              nine such panes, divided by nine. Each line comes a second after the one before, so that the pane has as many \
              times to remember as lines. Hidden ones were hidden when it came (what a pane gives up when it is hidden \
              goes to the allocator, for other panes, and not always to the system); the screen itself, some 0.6 MB, was \
              there before in both. tmux has one, with history-limit 10000; it keeps hidden panes as they are.",
        head: vec!["", "shown", "hidden"],
        rows,
        bars: vec![
            Bar::new("a pane under 6 MB", shown < SHOWN),
            Bar::new("a hidden one under 1 MB", hidden < HIDDEN),
        ],
        notes: Vec::new(),
        peers: tmux::version().into_iter().collect(),
    })
}

fn row(name: &str, shown: f64, hidden: Option<f64>) -> Vec<String> {
    let megabytes = |bytes: f64| format!("{:.1} MB", bytes / 1e6);
    let hidden = hidden.map(megabytes).unwrap_or_default();
    vec![name.to_owned(), megabytes(shown), hidden]
}

/// What each of some panes takes with such lines; of hidden ones, all but one are.
fn of_panes(hidden: bool) -> Result<f64> {
    let mut world = World::with_panes(PANES);
    if hidden {
        // One gets the whole screen; the others rest behind it.
        let zoom = KeyEvent::new(KeyCode::Char('z'), KeyModifiers::NONE);
        world.input(Input::Key(zoom), NOW);
        let later = Timestamp(NOW.0 + LATER.as_millis() as u64);
        world.input(Input::Tick, later);
    }
    world.draw();
    let counted = if hidden { PANES - 1 } else { PANES };
    let before = resident()?;
    for number in 0..LINES {
        let line = Bytes::from(wide(number));
        let time = Timestamp(NOW.0 + number as u64 * SECOND);
        for pane in 0..counted {
            world.output_at(pane, line.clone(), time);
        }
    }
    Ok((resident()? - before) / counted as f64)
}

/// What tmux's server takes more with a full pane than with an empty one.
fn of_tmux() -> Result<Option<f64>> {
    if tmux::version().is_none() {
        return Ok(None);
    }
    let with = |lines| {
        let mut tmux = Tmux::with(&[Program::Fill(lines).line()?])?;
        tmux.viewer().wait_text("FILLED")?;
        anyhow::Ok(memory(tmux.server())?.resident as f64)
    };
    Ok(Some(with(LINES)? - with(0)?))
}

/// Bytes of this process that are resident.
fn resident() -> Result<f64> {
    Ok(memory(getpid())?.resident as f64)
}
