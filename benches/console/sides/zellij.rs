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
        let place = Place::new()?;
        place.write("config.kdl", CONFIG)?;
        let mut layout = String::from("layout {\n");
        for row in lines.chunks(3) {
            layout.push_str("  pane split_direction=\"vertical\" {\n");
            for line in row {
                let _ = writeln!(
                    layout,
                    "    pane command=\"sh\" {{ args \"-c\" {line:?}; }}"
                );
            }
            layout.push_str("  }\n");
        }
        layout.push_str("}\n");
        place.write("panes.kdl", layout)?;
        let mut viewer = Viewer::start(&start(&place))?;
        viewer.watch(SETTLING)?;
        Ok(Self { viewer, place })
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

fn start(place: &Place) -> Command {
    let mut command = place.command("zellij");
    command.arg("--config").arg(place.path("config.kdl"));
    command.arg("--layout").arg(place.path("panes.kdl"));
    command.env("ZELLIJ_SOCKET_DIR", place.path("zellij"));
    command
}
