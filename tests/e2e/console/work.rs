//! Long work says how far it is, and Esc cancels it.

use super::{leave, open, run};
use crate::harness::{Signal, TestAgent, TestDaemon, wait_until};

#[test]
fn a_recording_and_older_lines_are_cancelled_and_asked_for_again() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let console = open(&daemon, 120, 40);
    console.wait_text("web-1");
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
    console.wait_screen("the first line", |screen| {
        let pane = screen.lines().filter_map(|line| line.split_once('│'));
        let first = pane.map(|(_, pane)| pane).nth(1) == Some("1");
        if !first && !screen.contains("LOADING") {
            console.send("\x1b[H");
        }
        first
    });
    leave(&console);
}
