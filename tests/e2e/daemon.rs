//! The daemon's life: what it takes to start, to stop, to go on.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::{Sandbox, Signal, TestAgent, TestDaemon};

#[test]
fn a_daemon_starts_answers_and_stops_without_a_trace_of_its_socket() {
    let mut daemon = TestDaemon::start();
    let status = daemon
        .opsctl(["status", "--json"])
        .run()
        .expect_code(0)
        .json();
    assert_eq!(status["role"], "admin");
    let secret = daemon.state_dir().join("secret").metadata().unwrap();
    assert_eq!(secret.permissions().mode() & 0o777, 0o600);
    daemon.stop().expect_code(0);
    assert!(!daemon.socket().exists());
    daemon.opsctl(["status"]).run().expect_code(242);
}

#[test]
fn it_answers_over_tcp_to_those_with_a_token() {
    let daemon = TestDaemon::start();
    let status = || daemon.opsctl(["status", "--json", "--url", &daemon.url()]);
    status().run().expect_code(243).expect_err(&["token"]);
    status()
        .env("OPSCTL_TOKEN", "nonsense")
        .run()
        .expect_code(243);
    let token = daemon.token(["--role", "viewer", "--subject", "eve"]);
    let seen = status()
        .env("OPSCTL_TOKEN", &token)
        .run()
        .expect_code(0)
        .json();
    assert_eq!(
        (&seen["role"], &seen["subject"]),
        (&"viewer".into(), &"eve".into())
    );
    let file = daemon.file("token", &format!("{token}\n"));
    status().arg("--token-file").arg(file).run().expect_code(0);
    let agent = daemon.token(["--role", "agent", "--agent", "web-1"]);
    status().env("OPSCTL_TOKEN", agent).run().expect_code(243);
}

#[test]
fn status_says_how_the_daemon_is() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "web-1");
    let sent = daemon.opsctl(["send", "web-1", "--", "echo", "a word"]);
    sent.run().expect_code(0);
    let status = || {
        daemon
            .opsctl(["status", "--json"])
            .run()
            .expect_code(0)
            .json()
    };
    let said = status();
    let own = &said["daemon"];
    assert_eq!(own["version"], said["version"]);
    let state_dir = daemon.state_dir().display().to_string();
    assert_eq!(own["stateDir"], state_dir);
    assert_eq!(own["agents"]["connected"], 1);
    assert!(own["dashboards"].as_u64() >= Some(1), "this one at least");
    assert_eq!(own["queue"]["running"], 0);
    for count in [
        "/received/bytes",
        "/sent/messages",
        "/log/bytes",
        "/storeBytes",
        "/disk/freeBytes",
    ] {
        let count = own.pointer(count).and_then(Value::as_u64);
        assert!(count.is_some_and(|count| count > 0), "{own:#}");
    }
    let people = daemon.opsctl(["status"]).run().expect_code(0);
    assert!(
        people
            .out()
            .contains(&format!("{state_dir} (the daemon's)")),
        "{}",
        people.out()
    );
    let token = daemon.token(["--role", "viewer"]);
    let elsewhere = daemon.opsctl(["status", "--json", "--url", &daemon.url()]);
    let seen = elsewhere
        .env("OPSCTL_TOKEN", &token)
        .run()
        .expect_code(0)
        .json();
    assert_eq!(
        seen["daemon"]["stateDir"],
        Value::Null,
        "a viewer hears of no directories"
    );
    assert_eq!(seen["daemon"]["agents"]["connected"], 1);
}

#[test]
fn tokens_never_reach_the_log() {
    let sandbox = Sandbox::new();
    sandbox.file("config.toml", "[log]\nlevel = \"trace\"\n");
    let mut daemon = TestDaemon::start_in(sandbox, []);
    let token = daemon.token(["--role", "viewer"]);
    let status = daemon
        .opsctl(["status", "--url", &daemon.url()])
        .env("OPSCTL_TOKEN", &token);
    status.run().expect_code(0);
    let log = daemon.stop().err();
    let signature = token.rsplit('.').next().unwrap();
    assert!(!log.is_empty() && !log.contains(signature), "{log}");
}

#[test]
fn a_second_daemon_on_the_state_directory_says_so() {
    let daemon = TestDaemon::start();
    let second = daemon
        .opsctl(["daemon", "--listen", "none", "--socket"])
        .arg(daemon.path("other.sock"));
    let pid = daemon.process().pid().to_string();
    second
        .run()
        .expect_code(246)
        .expect_err(&[&daemon.state_dir().display().to_string(), &pid]);
    daemon.opsctl(["status"]).run().expect_code(0);
}

#[test]
fn a_socket_that_another_daemon_serves_is_left_alone() {
    let daemon = TestDaemon::start();
    let second = daemon
        .opsctl(["daemon", "--listen", "none", "--state-dir"])
        .arg(daemon.path("other"));
    second
        .run()
        .expect_code(246)
        .expect_err(&[&daemon.socket().display().to_string()]);
    daemon.opsctl(["status"]).run().expect_code(0);
}

#[test]
fn a_socket_that_nobody_serves_is_replaced() {
    let mut daemon = TestDaemon::start();
    daemon.kill();
    assert!(daemon.socket().exists());
    daemon.start_again();
    daemon.opsctl(["status"]).run().expect_code(0);
}

#[test]
fn an_occupied_port_names_itself() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let sandbox = Sandbox::new();
    let refused = sandbox.opsctl(["daemon", "--listen", &address]).run();
    refused
        .expect_code(246)
        .expect_err(&[&address, "OPSCTL_LISTEN"]);
}

#[test]
fn a_socket_path_that_is_too_long_says_how_long_it_may_be() {
    let sandbox = Sandbox::new();
    let long = sandbox.path("x".repeat(120));
    let refused = sandbox
        .opsctl(["daemon", "--listen", "none", "--socket"])
        .arg(&long)
        .run();
    refused.expect_code(1).expect_err(&["107", "OPSCTL_SOCKET"]);
}

#[test]
fn an_unwritable_state_directory_is_named() {
    // Mode bits don't stop root, /proc does.
    let sandbox = Sandbox::new();
    let refused = sandbox
        .opsctl(["daemon", "--listen", "none", "--state-dir", "/proc/self"])
        .run();
    refused
        .expect_code(1)
        .expect_err(&["/proc/self", "OPSCTL_STATE_DIR"]);
}

#[test]
fn plaintext_for_other_hosts_must_be_asked_for() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("config.toml", "[daemon]\nlisten = \"0.0.0.0:0\"\n");
    let place = format!("{}:2:10", file.display());
    sandbox
        .opsctl(["daemon"])
        .run()
        .expect_code(2)
        .expect_err(&[&place, "allow_plaintext"]);
    let by_variable = sandbox
        .opsctl(["daemon"])
        .env("OPSCTL_LISTEN", "0.0.0.0:0")
        .run();
    by_variable
        .expect_code(2)
        .expect_err(&["OPSCTL_LISTEN", "allow_plaintext"]);
}

#[test]
fn hangup_reloads_what_it_can_and_names_what_it_cannot() {
    let daemon = TestDaemon::start();
    daemon.file(
        "config.toml",
        "[log]\nlevel = \"debug\"\n[daemon]\nring_lines = 7\n",
    );
    daemon.process().signal(Signal::HUP);
    let log = daemon
        .process()
        .wait_output("the reload in the log", |_, err| err.contains("next start"));
    assert!(log.is_empty());
    let said = daemon.process().stderr();
    assert!(
        said.contains("log.level") && said.contains("daemon.ring_lines"),
        "{said}"
    );
    daemon.file("config.toml", "[log]\nlevel = 7\n");
    daemon.process().signal(Signal::HUP);
    daemon.process().wait_stderr("nothing was reloaded");
    daemon.file("config.toml", "");
    daemon.opsctl(["status"]).run().expect_code(0);
}

#[test]
fn logs_go_to_daily_files_when_asked() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("logs");
    let mut daemon = TestDaemon::start_in(sandbox, ["--log-dir", dir.to_str().unwrap()]);
    daemon.stop().expect_code(0);
    let files: Vec<_> = dir
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let text = std::fs::read_to_string(&files[0]).unwrap();
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["level"], "INFO");
}

#[test]
fn agents_that_left_do_not_hold_the_daemon_up() {
    let mut daemon = TestDaemon::start();
    TestAgent::start(&daemon, "polite").stop().expect_code(0);
    TestAgent::start(&daemon, "killed").kill();
    let log = daemon.stop().expect_code(0).err();
    assert!(!log.contains("did not end in time"), "{log}");
}

#[test]
fn the_agent_comes_back_after_a_crash_of_the_daemon() {
    let mut daemon = TestDaemon::start();
    let agent = TestAgent::start(&daemon, "web-1");
    daemon.kill();
    daemon.start_again();
    agent.wait_connected(&daemon);
}
