//! Themes, ASCII, focus: what of it the terminal gets to see.

use super::{leave, open};
use crate::harness::{TestAgent, TestDaemon};

#[test]
fn no_color_sends_no_colour_and_a_setting_wins_over_it() {
    let daemon = TestDaemon::start();
    let coloured = |raw: &[u8]| {
        let raw = String::from_utf8_lossy(raw).into_owned();
        raw.contains("[38;5") || raw.contains(";5;") || raw.contains("[48;")
    };
    let console = daemon.opsctl(["tui"]).env("NO_COLOR", "1").pty(80, 24);
    console.wait_text("● connected");
    assert!(!coloured(&console.raw()), "{:?}", console.screen());
    let settings = daemon.file("colour.toml", "[tui]\ncolors = \"16\"\n");
    let console = daemon
        .opsctl(["tui", "--config"])
        .arg(&settings)
        .env("NO_COLOR", "1")
        .pty(80, 24);
    console.wait_text("● connected");
    assert!(coloured(&console.raw()));
}

#[test]
fn ascii_means_ascii() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "wéb-1");
    let console = daemon.opsctl(["tui", "--ascii"]).pty(120, 40);
    console.wait_text("* connected");
    console.wait_text("w?b-1");
    console.send("?");
    console.wait_text("close");
    assert!(console.raw().is_ascii());
    let console = daemon.opsctl(["tui"]).env("LANG", "C").pty(80, 24);
    console.wait_text("* connected");
}

#[test]
fn without_focus_nothing_is_drawn_and_nothing_missed() {
    let daemon = TestDaemon::start();
    let _first = TestAgent::start(&daemon, "web-1");
    let console = open(&daemon, 120, 40);
    console.wait_text("web-1");
    console.send("\x1b[O");
    console.wait_text("paused: this window has no focus");
    let _second = TestAgent::start(&daemon, "web-2");
    // By now a console that draws has drawn it.
    open(&daemon, 120, 40).wait_text("web-2");
    assert!(!console.screen().contains("web-2"), "{}", console.screen());
    console.send("\x1b[I");
    let screen = console.wait_text("web-2");
    assert!(!screen.contains("paused"), "{screen}");
    leave(&console);
}

#[test]
fn a_theme_that_was_chosen_is_there_at_the_next_start() {
    let daemon = TestDaemon::start();
    std::fs::create_dir(daemon.path("themes")).unwrap();
    daemon.file("themes/mine.toml", "[roles.key]\nfg = \"#010203\"\n");
    let start = |args: &[&str]| {
        let console = daemon.opsctl(["tui"]).args(args);
        let console = console.env("COLORTERM", "truecolor").pty(120, 40);
        console.wait_text("● connected");
        console.wait_text("no agents yet");
        console
    };
    let own = |raw: &[u8]| String::from_utf8_lossy(raw).contains("38;2;1;2;3");
    let console = start(&[]);
    assert!(!own(&console.raw()));
    console.send(":theme none-such\r");
    console.wait_text("cannot be read");
    console.send(":theme mine\r");
    console.wait_text("theme: mine");
    assert!(own(&console.raw()));
    leave(&console);
    assert!(own(&start(&[]).raw()), "it is remembered");
    let console = start(&["--theme", "light"]);
    assert!(!own(&console.raw()), "what is asked for now wins");
}
