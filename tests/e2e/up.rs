//! `opsctl up` and `opsctl down`.

use opsctl_terminal::Screen;

use crate::harness::{Pty, Sandbox, TestAgent, TestDaemon, wait_until};

/// A sandbox in which `up` starts an agent called `here` and a daemon on a free port.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file(
        "config.toml",
        "[daemon]\nlisten = \"127.0.0.1:0\"\n[agent]\nname = \"here\"\n",
    );
    sandbox
}

/// The names of the connected agents.
fn connected(sandbox: &Sandbox) -> Vec<String> {
    let status = sandbox
        .opsctl(["status", "--json"])
        .run()
        .expect_code(0)
        .json();
    let agents = status["agents"].as_array().unwrap().iter();
    agents
        .filter(|agent| agent["connected"] == true)
        .map(|agent| agent["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Kills the daemon that `up` started, as a crash would, and waits until it no longer answers.
fn kill_daemon(sandbox: &Sandbox) {
    let pid_file = std::fs::read_to_string(sandbox.state_dir().join("up/daemon.pid")).unwrap();
    let pid = pid_file.lines().next().unwrap();
    sandbox.command("kill", ["-9", pid]).run().expect_code(0);
    wait_until("the daemon's end", || {
        std::os::unix::net::UnixStream::connect(sandbox.socket()).err()
    });
}

/// Starts a command that stays, and waits until it runs; returns its id.
fn start_sleeper(sandbox: &Sandbox) -> String {
    let run = [
        "send",
        "here",
        "--detach",
        "--shell",
        "echo begun; exec sleep 600",
    ];
    let id = sandbox
        .opsctl(run)
        .run()
        .expect_code(0)
        .out()
        .trim()
        .to_owned();
    sandbox
        .opsctl(["logs", "-f", &id])
        .spawn()
        .wait_stdout("begun");
    id
}

/// Waits until the console shows the agent, and quits.
fn leave(console: &Pty) {
    let open = |screen: &Screen| screen.modes().alternate_screen && screen.text().contains("here");
    console.wait_look("the console with the agent", open);
    console.send("q");
}

#[test]
fn up_starts_what_is_missing_and_down_stops_it() {
    let sandbox = sandbox();
    let first = sandbox.opsctl(["up"]).run().expect_code(0).out();
    assert!(
        first.contains("daemon  started") && first.contains("agent   here started"),
        "{first}"
    );
    assert_eq!(connected(&sandbox), ["here"]);
    let again = sandbox.opsctl(["up"]).run().expect_code(0).out();
    assert_eq!(again.matches("already running").count(), 2, "{again}");
    let down = sandbox.opsctl(["down"]).run().expect_code(0).out();
    assert!(
        down.contains("here stopped") && down.contains("daemon  stopped"),
        "{down}"
    );
    sandbox.opsctl(["status"]).run().expect_code(242);
    let nothing = sandbox.opsctl(["down"]).run().expect_code(0).out();
    assert_eq!(
        nothing.matches("none that `opsctl up` started").count(),
        2,
        "{nothing}"
    );
}

#[test]
fn two_at_once_start_one_of_each() {
    let sandbox = sandbox();
    let both: Vec<_> = (0..2).map(|_| sandbox.opsctl(["up"]).spawn()).collect();
    let said: Vec<String> = both
        .into_iter()
        .map(|up| up.wait().expect_code(0).out())
        .collect();
    let all = said.concat();
    assert_eq!(all.matches("daemon  started").count(), 1, "{all}");
    assert_eq!(all.matches("here started").count(), 1, "{all}");
    assert_eq!(connected(&sandbox), ["here"]);
}

#[test]
fn up_joins_a_daemon_that_runs_already_and_down_leaves_it() {
    let sandbox = Sandbox::new();
    sandbox.file("config.toml", "[agent]\nname = \"here\"\n");
    let daemon = TestDaemon::start_in(sandbox, []);
    let _other = TestAgent::start(&daemon, "other");
    let up = daemon.opsctl(["up"]).run().expect_code(0).out();
    assert!(
        up.contains("daemon  already running") && up.contains("here started"),
        "{up}"
    );
    assert_eq!(connected(&daemon), ["here", "other"]);
    let down = daemon.opsctl(["down"]).run().expect_code(0).out();
    assert!(
        down.contains("here stopped") && down.contains("daemon  none that"),
        "{down}"
    );
    assert_eq!(connected(&daemon), ["other"]);
}

#[test]
fn up_brings_a_killed_daemon_back_with_its_agent() {
    let sandbox = sandbox();
    sandbox.opsctl(["up"]).run().expect_code(0);
    kill_daemon(&sandbox);
    let up = sandbox.opsctl(["up"]).run().expect_code(0).out();
    assert!(up.contains("daemon  started"), "{up}");
    assert!(up.contains("agent   here already running"), "{up}");
    assert_eq!(connected(&sandbox), ["here"]);
}

#[test]
fn a_start_that_fails_shows_why_and_keeps_the_code() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let sandbox = sandbox();
    let refused = sandbox.opsctl(["up"]).env("OPSCTL_LISTEN", &address).run();
    refused
        .expect_code(246)
        .expect_err(&["the daemon did not start", &address, "in use"]);
    sandbox.opsctl(["up"]).run().expect_code(0);
}

#[test]
fn down_names_what_goes_on_and_up_takes_it_up_again() {
    let sandbox = sandbox();
    sandbox.opsctl(["up"]).run().expect_code(0);
    let id = start_sleeper(&sandbox);
    let down = sandbox.opsctl(["down"]).run().expect_code(0).out();
    assert!(
        down.contains("goes on") && down.contains(&id[..8]) && down.contains("--kill"),
        "{down}"
    );
    sandbox.opsctl(["up"]).run().expect_code(0);
    sandbox
        .opsctl(["interrupt", "--signal", "KILL", &id])
        .run()
        .expect_code(0);
    sandbox.opsctl(["logs", "-f", &id]).run().expect_code(137);
}

#[test]
fn down_kill_ends_what_runs() {
    let sandbox = sandbox();
    sandbox.opsctl(["up"]).run().expect_code(0);
    let id = start_sleeper(&sandbox);
    let down = sandbox
        .opsctl(["down", "--kill"])
        .run()
        .expect_code(0)
        .out();
    assert!(
        down.contains("here stopped") && !down.contains("goes on"),
        "{down}"
    );
    sandbox.opsctl(["up"]).run().expect_code(0);
    sandbox.opsctl(["logs", "-f", &id]).run().expect_code(143);
}

#[test]
fn up_opens_the_console_and_leaving_it_leaves_the_rest_running() {
    let sandbox = sandbox();
    let console = sandbox.opsctl(["up"]).pty(100, 30);
    leave(&console);
    assert_eq!(console.wait(), 0);
    assert_eq!(connected(&sandbox), ["here"]);
}

#[test]
fn rm_stops_what_was_started_when_the_console_is_left() {
    let sandbox = sandbox();
    let console = sandbox.opsctl(["up", "--rm"]).pty(100, 30);
    leave(&console);
    assert_eq!(console.wait(), 0);
    sandbox.opsctl(["status"]).run().expect_code(242);
}

#[test]
fn rm_leaves_what_ran_before() {
    let sandbox = sandbox();
    sandbox.opsctl(["up"]).run().expect_code(0);
    let console = sandbox.opsctl(["up", "--rm"]).pty(100, 30);
    leave(&console);
    assert_eq!(console.wait(), 0);
    assert_eq!(connected(&sandbox), ["here"]);
}

#[test]
fn down_stops_the_agent_of_a_dead_daemon_too() {
    let sandbox = sandbox();
    sandbox.opsctl(["up"]).run().expect_code(0);
    kill_daemon(&sandbox);
    let down = sandbox
        .opsctl(["down"])
        .run()
        .expect_code(0)
        .expect_err(&["cannot ask the daemon"]);
    assert!(down.out().contains("here stopped") && down.out().contains("daemon  none that"));
}

#[test]
fn rm_needs_a_console_to_leave() {
    sandbox()
        .opsctl(["up", "--rm"])
        .run()
        .expect_code(2)
        .expect_err(&["--rm"]);
}
