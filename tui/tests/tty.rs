//! The terminal is given back as it was found, also by a program that panics.

use std::io::Read;

use opsctl_terminal::Screen;
use opsctl_tui::tty::{Stage, Tty};
use pty_process::Size;
use pty_process::blocking::{Command, open};
use ratatui::buffer::Cell;
use ratatui::widgets::Widget;

/// Not a test: what the test below runs in a terminal of its own.
#[test]
#[ignore = "run by another test, in a terminal"]
fn takes_the_terminal_and_panics() {
    let mut tty = Tty::take().unwrap();
    let style = crossterm::cursor::SetCursorStyle::BlinkingBar;
    tty.draw(style, &mut |frame| {
        let area = frame.area();
        "frame".render(area, frame.whole(&Cell::EMPTY));
    })
    .unwrap();
    let _ = tty.draw(style, &mut |_| panic!("a defect"));
}

#[test]
fn a_panic_gives_the_terminal_back_and_says_why() {
    let (master, slave) = open().unwrap();
    master.resize(Size::new(24, 80)).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "takes_the_terminal_and_panics",
            "--nocapture",
        ])
        .env_remove("RUST_BACKTRACE")
        .spawn(slave)
        .unwrap();
    let mut screen = Screen::new(80, 24, 100);
    let mut raw = Vec::new();
    let mut buffer = [0; 4096];
    // The terminal's end is an error on Linux.
    while let Ok(read @ 1..) = (&master).read(&mut buffer) {
        screen.feed(&buffer[..read]);
        raw.extend_from_slice(&buffer[..read]);
    }
    assert!(!child.wait().unwrap().success());
    let raw = String::from_utf8_lossy(&raw);
    assert!(raw.contains("frame"), "it was taken: {raw:?}");
    let (modes, cursor) = (screen.modes(), screen.cursor());
    assert!(
        !modes.alternate_screen && !modes.bracketed_paste && cursor.visible,
        "{raw:?}"
    );
    assert!(
        screen.text().contains("a defect"),
        "the message is on the normal screen: {screen:?}"
    );
    // Raw mode is off: line feeds start lines at the left.
    assert!(
        screen
            .text()
            .lines()
            .any(|line| line.starts_with("a defect")),
        "{screen:?}"
    );
}
