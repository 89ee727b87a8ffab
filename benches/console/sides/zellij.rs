//! zellij: a server with panes, and a client in a terminal.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Pid;

use super::Side;
use crate::support::place::Place;
use crate::viewer::Viewer;

/// Without what greets a person who starts it for the first time, and without frames around panes.
const CONFIG: &str = "show_startup_tips false
show_release_notes false
pane_frames false
simplified_ui true
scroll_buffer_size 10000
session_serialization false
default_mode \"locked\"
";

/// The session's name, by which further clients find it.
const SESSION: &str = "bench";

/// How long it may take until the panes are there: it compiles its plugins first.
const SETTLING: Duration = Duration::from_secs(5);

/// A session with panes.
pub struct Zellij {
    viewer: Viewer,
    place: Place,
}

impl Zellij {
    /// Runs each of these lines for /bin/sh in a pane, three in a row.
    pub fn with(lines: &[String]) -> Result<Self> {
        let mut layout = String::new();
        for row in lines.chunks(3) {
            layout.push_str("pane split_direction=\"vertical\" {\n");
            for line in row {
                pane(&mut layout, line);
            }
            layout.push_str("}\n");
        }
        Self::laid_out(&layout)
    }

    /// Runs one line in the tab that is seen, and each of the others in a tab behind it.
    pub fn before(seen: &str, others: &[String]) -> Result<Self> {
        let mut layout = String::from("tab focus=true {\n");
        pane(&mut layout, seen);
        layout.push_str("}\n");
        for line in others {
            layout.push_str("tab {\n");
            pane(&mut layout, line);
            layout.push_str("}\n");
        }
        Self::laid_out(&layout)
    }

    fn laid_out(layout: &str) -> Result<Self> {
        let place = Place::new()?;
        // Without a configuration in this place it takes itself for newly installed, and heeds no layout.
        place.write(".config/zellij/config.kdl", CONFIG)?;
        place.write("panes.kdl", format!("layout {{\n{layout}}}\n"))?;
        let mut start = client(&place);
        start.args(["--session", SESSION, "options", "--default-layout"]);
        start.arg(place.path("panes.kdl"));
        let mut viewer = Viewer::start(&start)?;
        viewer.watch(SETTLING)?;
        Ok(Self { viewer, place })
    }

    /// A client that attaches, in this place.
    pub fn attach(&self) -> Command {
        let mut command = client(&self.place);
        command.args(["attach", SESSION]);
        command
    }
}

impl Side for Zellij {
    fn name(&self) -> &'static str {
        "zellij"
    }

    fn viewer(&mut self) -> &mut Viewer {
        &mut self.viewer
    }

    fn processes(&self) -> Vec<Pid> {
        let mut processes = self.place.processes();
        processes.retain(|pid| {
            let path = format!("/proc/{}/exe", pid.as_raw_nonzero());
            std::fs::read_link(path).is_ok_and(|exe| exe.ends_with("zellij"))
        });
        processes
    }
}

/// What `zellij --version` says, when there is a zellij.
pub fn version() -> Option<String> {
    let output = Command::new("zellij").arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A pane with a line for /bin/sh in a layout.
fn pane(layout: &mut String, line: &str) {
    // Writing to a String can't fail.
    let _ = writeln!(layout, "pane command=\"sh\" {{ args \"-c\" {line:?}; }}");
}

fn client(place: &Place) -> Command {
    let mut command = place.command("zellij");
    command.env("ZELLIJ_SOCKET_DIR", place.path("zellij"));
    command
}
