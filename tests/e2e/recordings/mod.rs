//! Pictures of the console in use, for docs/recordings: the real program, in front of a fleet that does something.
//!
//! The scenes play in every run, so that they keep playing. With `OPSCTL_RECORD=1` each writes what it shows at its end:
//!
//! ```sh
//! OPSCTL_RECORD=1 cargo test --test e2e recordings
//! ```

mod fleet;
mod svg;

use std::path::Path;

use fleet::Shop;
use svg::{DARK, LIGHT, Terminal};

use crate::harness::{Pty, TestDaemon, has_program};

/// Columns and rows of the pictures.
const SIZE: (u16, u16) = (124, 34);

/// The same for four panes.
const WIDE: (u16, u16) = (180, 46);

/// Opens a console with a theme, as a terminal with all colours gets it.
fn open(daemon: &TestDaemon, theme: &str) -> Pty {
    let console = daemon
        .opsctl(["tui"])
        .env(
            "OPSCTL_CONFIG",
            daemon.file("tui.toml", &format!("[tui]\ntheme = \"{theme}\"\n")),
        )
        .env("COLORTERM", "truecolor")
        .pty(SIZE.0, SIZE.1);
    console.wait_text("● connected");
    console
}

/// A usual directory of the daemon's socket, as long as that of a sandbox in `/tmp`.
const SOCKETS: &str = "/run/user/10000/opsctl";

/// Writes what the console shows, if that was asked for. The sandbox's directory, another one each time, is shown as a usual
/// one: a picture made anew tells of nothing but what has changed.
fn record(daemon: &TestDaemon, console: &Pty, name: &str, terminal: &Terminal) {
    let picture = console.look(|screen| svg::draw(screen, terminal));
    let sandbox = daemon.path("");
    let sandbox = sandbox.to_string_lossy();
    let picture = picture.replace(sandbox.trim_end_matches('/'), SOCKETS);
    if std::env::var_os("OPSCTL_RECORD").is_some() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recordings");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(name).with_extension("svg"), picture).unwrap();
    }
}

/// Opens a console with the whole fleet and the build in the pane.
fn open_fleet(shop: &Shop, theme: &str) -> Pty {
    let console = open(&shop.daemon, theme);
    console.send(":group project\r");
    console.wait_text("▾ site");
    for told in ["✗ error", "! blocked", "✓ done", "● working", "⚡"] {
        console.wait_text(told);
    }
    show(&console, "build-1", "Finished");
    console
}

/// Finds an agent by the filter, opens its terminal beside the others, and takes the filter away again.
fn show(console: &Pty, agent: &str, text: &str) {
    console.send(format!("/{agent}\r"));
    console.wait_screen("the filter", |screen| {
        screen.contains(&format!(") /{agent}"))
    });
    console.send("+");
    console.wait_text(text);
    console.send(format!("/{}\r", "\x7f".repeat(agent.len())));
    console.wait_screen("no filter", |screen| !screen.contains(&format!("/{agent}")));
}

#[test]
fn the_fleet() {
    let shop = Shop::open();
    let console = open_fleet(&shop, "dark");
    record(&shop.daemon, &console, "fleet", &DARK);
    console.send("\x0bgr");
    console.wait_text("action  group by host");
    record(&shop.daemon, &console, "palette", &DARK);
}

#[test]
fn the_fleet_on_a_light_ground() {
    let shop = Shop::open();
    let console = open_fleet(&shop, "light");
    record(&shop.daemon, &console, "light", &LIGHT);
}

#[test]
fn the_inbox() {
    let shop = Shop::open();
    let console = open(&shop.daemon, "dark");
    console.wait_text("! blocked");
    console.send("2");
    console.wait_text("Do you want to proceed?");
    record(&shop.daemon, &console, "inbox", &DARK);
}

#[test]
fn a_grid_of_programs() {
    if !has_program("htop") || !has_program("vim") {
        return;
    }
    let shop = Shop::open();
    shop.run("db-1", "htop", fleet::HTOP, &[]);
    shop.run("docs-1", "vim", fleet::VIM, &["guide.md"]);
    let console = open(&shop.daemon, "dark");
    show(&console, "db-1", "Load average");
    show(&console, "docs-1", "Guide");
    show(&console, "build-1", "Finished");
    show(&console, "api-1", "proceed?");
    console.resize(WIDE.0, WIDE.1);
    console.wait_look("all four on the larger screen", |screen| {
        let (text, last) = (screen.text(), screen.row(i32::from(WIDE.1) - 1));
        let numbers = ["1 ●", "2 ●", "3 ●", "4 ●"];
        numbers.iter().all(|number| text.contains(number))
            && last.is_some_and(|row| row.text().contains("help"))
    });
    record(&shop.daemon, &console, "grid", &DARK);
}

#[test]
fn a_daemon_that_is_gone() {
    let mut shop = Shop::open();
    let console = open_fleet(&shop, "dark");
    shop.daemon.kill();
    // Once there is a while to wait.
    console.wait_screen("a countdown", |screen| {
        (2..=9).any(|seconds| screen.contains(&format!(" in {seconds} s")))
    });
    record(&shop.daemon, &console, "reconnecting", &DARK);
}
