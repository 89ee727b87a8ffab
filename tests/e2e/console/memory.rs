//! How a console was left is how the next one starts, also where several are open at once and one dies.

use std::fs;

use super::{leave, open, open_with};
use crate::harness::{Pty, Signal, TestDaemon, wait_until};

fn filter(console: &Pty, words: &str) {
    console.send(format!("/{words}\r"));
    console.wait_text(&format!("agents (1 of 2) /{words}"));
}

/// Waits until what a console that runs would leave is on the disk.
fn wait_draft(daemon: &TestDaemon, words: &str) {
    let kept = format!("\"filter\": \"{words}\"");
    wait_until("a console's draft", || {
        let files = fs::read_dir(daemon.state_dir().join("console")).ok()?;
        let paths = files.flatten().map(|file| file.path());
        let drafts = paths.filter(|path| path.extension().is_some_and(|end| end == "draft"));
        drafts
            .flat_map(fs::read_to_string)
            .any(|draft| draft.contains(&kept))
            .then_some(())
    });
}

#[test]
fn the_last_console_to_be_left_is_remembered_or_the_one_that_died_since() {
    let (daemon, _agents, first) = open_with(["web-1", "db-1"]);
    filter(&first, "web");
    wait_draft(&daemon, "web");
    let second = open(&daemon, 120, 40);
    second.wait_text("agents (2)");
    filter(&second, "db");
    leave(&second);
    let third = open(&daemon, 120, 40);
    third.wait_text("agents (1 of 2) /db");
    assert!(first.screen().contains("agents (1 of 2) /web"));
    leave(&third);
    // The line begins with the filter that there is.
    first.send("/-1\r");
    first.wait_text("agents (1 of 2) /web-1");
    wait_draft(&daemon, "web-1");
    first.signal(Signal::KILL);
    first.wait();
    let fourth = open(&daemon, 120, 40);
    fourth.wait_text("agents (1 of 2) /web-1");
    leave(&fourth);
}
