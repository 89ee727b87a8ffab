//! What is said to programs from the console, and answered to what they ask. The programs show screens that real ones
//! have shown, and write down every key.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;

use super::{leave, open};
use crate::harness::{Pty, TestAgent, TestDaemon, has_program, wait_until};

/// A screen of a real program, as the daemon's own tests have it.
fn screen(name: &str) -> String {
    let file = format!(
        "{}/daemon/src/activity/rules/screens/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(file).unwrap();
    // Its first line tells where it is from.
    text.split_once('\n').unwrap().1.to_owned()
}

/// Starts an agent whose terminal is a program that asks.
fn asker(daemon: &TestDaemon, agent: &str, name: &str, screens: &[&str]) -> TestAgent {
    let program = asking(daemon, name, screens);
    TestAgent::start_with(daemon, agent, ["--", &program])
}

/// A program of this name that shows each screen until a key of as many bytes as the keys of an answer comes.
fn asking(daemon: &TestDaemon, name: &str, screens: &[&str]) -> String {
    let mut script = format!(
        "#!/bin/sh\nstty -icanon -echo min 1; : > '{}'\n",
        daemon.path("keys").display()
    );
    for (at, shown) in screens.iter().enumerate() {
        let file = daemon.file(&format!("screen-{at}"), &screen(shown));
        writeln!(
            script,
            "printf '\\033[H\\033[2J'; cat '{}'; head -c1 >> '{}'",
            file.display(),
            daemon.path("keys").display()
        )
        .unwrap();
    }
    let program = daemon.file(name, &script);
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    program.to_str().unwrap().to_owned()
}

fn typed(daemon: &TestDaemon) -> String {
    std::fs::read_to_string(daemon.path("keys")).unwrap_or_default()
}

/// The Inbox with the agent that asks.
fn inbox(daemon: &TestDaemon, agent: &str) -> Pty {
    let console = open(daemon, 120, 40);
    console.send("2");
    console.wait_text(&format!("! blocked {agent}"));
    console
}

#[test]
fn a_prompt_of_claude_is_answered_from_the_inbox() {
    let daemon = TestDaemon::start();
    let screens = ["claude-approve-command", "claude-idle"];
    let _agent = asker(&daemon, "coder", "claude", &screens);
    let console = inbox(&daemon, "coder");
    console.send("a");
    let asked = console.wait_text("approve on coder by typing 1? [y/N]");
    for line in [
        "coder asks",
        "rm -rf build && make test",
        "Do you want to proceed?",
    ] {
        assert!(asked.contains(line), "{line}: {asked}");
    }
    // Enter means no.
    console.send("\r");
    console.wait_screen("the question gone", |screen| !screen.contains("[y/N]"));
    assert_eq!(typed(&daemon), "");
    console.send("ay");
    console.wait_text("coder: submitted");
    assert_eq!(typed(&daemon), "1");
    console.send("4");
    console.wait_text("approve: submitted");
    leave(&console);
}

#[test]
fn what_was_told_of_a_command_before_is_neither_its_state_nor_news() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "coder");
    let screens = ["claude-approve-command", "claude-idle"];
    let program = asking(&daemon, "claude", &screens);
    let console = open(&daemon, 120, 40);
    daemon
        .opsctl(["send", "coder", "--pty", "--detach", "--", &program])
        .run()
        .expect_code(0);
    // Both hear what its channel has told, from when it was queued on: the one that was there, and the one that comes later.
    console.send("2");
    console.wait_text("! blocked coder");
    for console in [&console, &inbox(&daemon, "coder")] {
        console.wait_text("❯ 1. Yes");
        console.send("a");
        console.wait_text("approve on coder by typing 1? [y/N]");
        console.send("n");
        console.wait_screen("the question gone", |screen| !screen.contains("[y/N]"));
    }
    daemon
        .opsctl(["send", "coder", "--approve"])
        .run()
        .expect_code(0);
    assert_eq!(typed(&daemon), "1");
    let log = |console: &Pty| {
        console.send("4");
        let log = console.wait_text("typed \"1\": submitted");
        log.matches("typed \"1\"").count()
    };
    let told = log(&console);
    console.send("1a");
    console.wait_text("ATTACHED");
    console.wait_text("? for shortcuts");
    console.send("\x1d");
    console.wait_screen("that it is left", |screen| !screen.contains("ATTACHED"));
    assert_eq!(log(&console), told, "{}", console.screen());
    leave(&console);
}

#[test]
fn a_prompt_of_codex_is_denied_with_its_own_key() {
    let daemon = TestDaemon::start();
    let screens = ["codex-approve-command", "codex-idle"];
    let _agent = asker(&daemon, "coder", "codex", &screens);
    let console = inbox(&daemon, "coder");
    console.send("d");
    let asked = console.wait_text("deny on coder by typing Esc? [y/N]");
    assert!(asked.contains("$ rm -rf build && make test"), "{asked}");
    console.send("y");
    console.wait_text("coder: submitted");
    assert_eq!(typed(&daemon), "\u{1b}");
    leave(&console);
}

#[test]
fn another_prompt_than_was_shown_is_not_answered() {
    let daemon = TestDaemon::start();
    let screens = [
        "claude-approve-command",
        "claude-approve-write",
        "claude-idle",
    ];
    let _agent = asker(&daemon, "coder", "claude", &screens);
    let console = inbox(&daemon, "coder");
    console.send("a");
    console.wait_text("[y/N]");
    // Somebody else answers first, and the program goes on to its next question.
    daemon
        .opsctl(["send", "coder", "--approve"])
        .run()
        .expect_code(0);
    console.wait_text("coder asked this, and no longer does");
    wait_until("the next question to be known", || {
        let refused = daemon.opsctl(["send", "coder", "--type", "x"]).run();
        refused
            .out()
            .contains("Do you want to create")
            .then_some(())
    });
    console.send("y");
    let told = console.wait_text("coder: refused (");
    assert!(told.contains("another prompt is open"), "{told}");
    assert_eq!(typed(&daemon), "1");
    console.send("4");
    console.wait_text("approve: refused (another prompt is open");
    leave(&console);
}

/// Answers each line, and writes it down; the first word is its own.
fn reader(daemon: &TestDaemon, name: &str, before: &str) -> TestAgent {
    let line = format!(
        "{before} stty -echo; echo ready; while read -r line; do echo \"$line\" >> '{}'; echo \"<$line>\"; done",
        daemon.path(name).display()
    );
    let line = line.replace("OPSCTL", env!("CARGO_BIN_EXE_opsctl"));
    TestAgent::start_with(daemon, name, ["--", "sh", "-c", &line])
}

fn read(daemon: &TestDaemon, name: &str) -> String {
    std::fs::read_to_string(daemon.path(name)).unwrap_or_default()
}

#[test]
fn something_is_said_to_all_marked_agents_and_each_answer_is_told() {
    let daemon = TestDaemon::start();
    let _one = reader(&daemon, "coder-1", "");
    let go = daemon.path("go");
    let before = format!(
        "OPSCTL report working; while ! [ -e '{}' ]; do sleep 0.05; done; OPSCTL report idle;",
        go.display()
    );
    let _two = reader(&daemon, "coder-2", &before);
    let console = open(&daemon, 120, 40);
    console.wait_text("● working  coder-2");
    console.wait_text("$ sh -c");
    console.send("\x1b[H  S");
    console.wait_text("say to 2 agents:");
    console.send("go on\r");
    let asked = console.wait_text("say this to 2 agents? [y/N]");
    assert!(asked.contains("to coder-1, coder-2"), "{asked}");
    console.send("y");
    console.wait_text("1 submitted, 1 refused: coder-2 refused (it is working)");
    // The same once more, for when they are idle; the reader of lines is known by its process alone.
    console.send("I\x1b[A\ry");
    console.wait_text("2 queued");
    assert_eq!(read(&daemon, "coder-2"), "");
    daemon.file("go", "");
    console.wait_text("coder-2: submitted");
    assert_eq!(read(&daemon, "coder-1"), "go on\n");
    assert_eq!(read(&daemon, "coder-2"), "go on\n");
    leave(&console);
}

#[test]
fn several_lines_are_one_message_and_nobodys_draft_is_mixed_up_with_it() {
    if !has_program("bash") {
        return;
    }
    let daemon = TestDaemon::start();
    let line = "PS1='prompt> ' exec bash --norc -i";
    let _agent = TestAgent::start_with(&daemon, "coder", ["--", "sh", "-c", line]);
    let console = open(&daemon, 120, 40);
    console.wait_text("$ sh -c");
    console.send("a");
    console.wait_text("│prompt>");
    console.send("echo half");
    console.wait_text("│prompt> echo half");
    console.send("\x1d");
    console.wait_screen("that it is left", |screen| !screen.contains("ATTACHED"));
    console.send("Secho no\r");
    let told = console.wait_text("coder: refused (");
    assert!(told.contains("has begun to type"), "{told}");
    // The draft is as it was, and goes on.
    console.send("a");
    console.wait_text("ATTACHED");
    console.send(" a draft\r");
    console.wait_text("│half a draft");
    console.send("\x1dS\x1b[200~echo one\recho two > /dev/null\recho three\x1b[201~");
    console.wait_text("say to coder: echo one↵echo two > /dev/null↵echo three");
    console.send("\r");
    console.wait_text("coder: submitted");
    let screen = console.wait_text("│three");
    assert!(screen.contains("│one"), "{screen}");
    leave(&console);
}
