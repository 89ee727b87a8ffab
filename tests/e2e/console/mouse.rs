//! The mouse, as the bytes that a terminal sends for it, and what comes of it on the screen.

use opsctl_terminal::{Mouse, Screen};

use super::{leave, open, open_with, run};
use crate::harness::{Pty, TestDaemon, wait_until};

/// Where the screen shows a text first: column and row, from 1.
fn place(console: &Pty, text: &str) -> (usize, usize) {
    let screen = console.wait_text(text);
    let mut lines = screen.lines().enumerate();
    let found = lines.find_map(|(row, line)| {
        let (before, _) = line.split_once(text)?;
        Some((before.chars().count() + 1, row + 1))
    });
    found.unwrap()
}

/// What a terminal sends for a click.
fn clicked((col, row): (usize, usize)) -> String {
    format!("\x1b[<0;{col};{row}M\x1b[<0;{col};{row}m")
}

fn click(console: &Pty, text: &str) {
    let place = place(console, text);
    console.send(clicked(place));
}

fn double_click(console: &Pty, text: &str) {
    let place = place(console, text);
    console.send(clicked(place) + &clicked(place));
}

/// Whether the mouse is the console's.
fn has_mouse(screen: &Screen) -> bool {
    screen.modes().mouse == Mouse::Drag
}

#[test]
fn clicks_select_and_open_in_the_fleet_and_in_views() {
    let (_daemon, _agents, console) = open_with(["web-1", "web-2"]);
    for name in ["web-1", "web-2"] {
        click(&console, name);
        console.send("r");
        console.wait_text(&format!("run on {name}"));
        console.send(format!("echo here is {name}\r"));
        console.wait_text(&format!("│here is {name}"));
    }
    // A view's name, a row there, and what it opens.
    click(&console, "Commands");
    console.wait_text("2 ended");
    double_click(&console, "here is web-1");
    console.wait_screen("the pane of the older command", |screen| {
        screen.contains("│here is web-1") && !screen.contains("2 ended")
    });
    double_click(&console, "web-2  ");
    console.wait_text("web-2 › commands");
    leave(&console);
}

#[test]
fn in_a_pane_the_mouse_scrolls_and_selects_unless_the_program_asks_for_it() {
    let (_daemon, [_agent], console) = open_with(["web-1"]);
    run(
        &console,
        "seq 1 500; printf 'asks\\033[?1000;1006h\\n'; stty raw -echo; exec cat -v",
    );
    console.wait_text("│asks");
    let (line, row) = place(&console, "│500");
    let col = line + 1;
    // The wheel goes up, and following pauses; then down to the end again.
    console.send(format!("\x1b[<64;{col};{row}M"));
    console.wait_screen("older lines", |screen| !screen.contains("│500"));
    console.send(format!("\x1b[<65;{col};{row}M"));
    console.wait_text("│500");
    // Drawn over a line, it selects; released, it copies by OSC 52.
    let (line, row) = place(&console, "│500");
    let (from, to) = (line + 1, line + 3);
    console.send(format!(
        "\x1b[<0;{from};{row}M\x1b[<32;{to};{row}M\x1b[<0;{to};{row}m"
    ));
    let copied = "\x1b]52;c;NTAw";
    wait_until("500 in the clipboard", || {
        let raw = String::from_utf8_lossy(&console.raw()).into_owned();
        raw.contains(copied).then_some(())
    });
    // Attached, the program gets what it has asked for, at its own places.
    console.send("a");
    console.wait_text("ATTACHED");
    console.send(clicked((col, row)));
    console.wait_text("^[[<0;1;");
    console.send("\x1d");
    console.wait_screen("that it is left", |screen| !screen.contains("ATTACHED"));
    leave(&console);
}

#[test]
fn a_key_gives_the_mouse_to_the_terminal_and_takes_it_back() {
    let daemon = TestDaemon::start();
    let console = open(&daemon, 120, 40);
    console.wait_look("the mouse to be taken", has_mouse);
    console.send("m");
    console.wait_text("the mouse is your terminal's");
    console.wait_look("the mouse to be free", |screen| {
        screen.modes().mouse == Mouse::Off
    });
    // Drawing everything anew doesn't take it.
    console.send("\x0c3");
    console.wait_text("0 running");
    assert!(!console.look(has_mouse));
    console.send("m");
    console.wait_look("the mouse to be taken back", has_mouse);
    leave(&console);
    assert!(console.look(super::is_restored));
}
