//! Long work says how far it is, and Esc cancels it.

use super::{leave, open_with, run, scroll_to_first};
use crate::harness::{Signal, wait_until};

#[test]
fn a_recording_and_older_lines_are_cancelled_and_asked_for_again() {
    let (daemon, [_agent], console) = open_with(["web-1"]);
    run(&console, "seq 1 60000");
    console.wait_text("✓ exit 0");
    console.wait_text("│60000");
    console.send("\t");
    // From here on nothing comes from the log: both take as long as somebody wants to wait.
    daemon.process().signal(Signal::STOP);
    let cast = daemon.path("all.cast");
    console.send(format!(":export cast {}\r", cast.display()));
    console.wait_text("all.cast: 0 B of ");
    console.wait_text("Esc cancels");
    assert!(cast.exists(), "it is on its way");
    console.send("\x1b");
    console.wait_text("was not written");
    wait_until("no part of the file", || (!cast.exists()).then_some(()));
    console.send("\x1b[H");
    console.wait_text("loading older lines: 0 B of ");
    console.send("\x1b");
    console.wait_text("scrolling up loads older lines again");
    console.wait_screen("no loading", |screen| !screen.contains("LOADING"));
    daemon.process().signal(Signal::CONT);
    console.send(format!(":export cast {}\r", cast.display()));
    console.wait_text("seconds of output are in");
    scroll_to_first(&console);
    leave(&console);
}
