//! The contract's witness: an agent and a dashboard in Python, written from docs/protocol.md alone, against the real
//! daemon.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::{Opsctl, Process, TestAgent, TestDaemon, has_program, skip, wait_until};
use crate::raw::numbers;

/// The package that the witness needs, pinned.
const WEBSOCKETS: &str = "websockets==17.4";

/// A Python with the package, in an environment of its own outside the checkout; `None` where none can be had.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(make_python).as_deref()
}

fn make_python() -> Option<PathBuf> {
    if !has_program("python3") {
        return None;
    }
    let cache = directories::BaseDirs::new()?
        .cache_dir()
        .join("opsctl-tests");
    let environment = cache.join(WEBSOCKETS);
    let python = environment.join("bin/python");
    let works = |python: &Path| {
        let imported = Command::new(python)
            .args(["-c", "import websockets"])
            .output();
        imported.is_ok_and(|output| output.status.success())
    };
    if works(&python) {
        return Some(python);
    }
    // Made beside its place and moved there whole, so that tests that run at once never see half of it.
    std::fs::create_dir_all(&cache).unwrap();
    let fresh = tempfile::Builder::new()
        .prefix("venv-")
        .tempdir_in(&cache)
        .unwrap();
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(fresh.path())
        .output()
        .unwrap();
    let installed = Command::new(fresh.path().join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            WEBSOCKETS,
        ])
        .output();
    match installed {
        Ok(output) if output.status.success() => {
            // Another test run may have been faster; its environment is as good.
            if std::fs::rename(fresh.path(), &environment).is_ok() {
                let _ = fresh.keep();
            }
            works(&python).then_some(python)
        }
        Ok(output) => {
            skip(&format!(
                "SKIPPED: {WEBSOCKETS} cannot be had: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
            None
        }
        Err(error) => {
            let why = String::from_utf8_lossy(&made.stderr).into_owned();
            skip(&format!(
                "SKIPPED: no Python environment can be made: {error} {why}"
            ));
            None
        }
    }
}

/// One of the witness's programs, with a token of this role.
fn program(daemon: &TestDaemon, python: &Path, name: &str, token: String, args: &[&str]) -> Opsctl {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/witness")
        .join(name);
    daemon
        .command(python.to_str().unwrap(), [script])
        .args(["--url", &daemon.url()])
        .args(args)
        .env("OPSCTL_TOKEN", token)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
}

fn agent(daemon: &TestDaemon, python: &Path) -> Process {
    let token = daemon.token(["--role", "agent", "--agent", "py"]);
    let args = ["--name", "py", "--label", "lang=python"];
    let agent = program(daemon, python, "agent.py", token, &args).spawn();
    wait_connected(daemon, "py", &agent);
    agent
}

/// Like `assert_eq!`, for texts too long to be shown.
#[track_caller]
fn assert_same(found: &str, expected: &str) {
    let same = found
        .bytes()
        .zip(expected.bytes())
        .take_while(|(found, expected)| found == expected)
        .count();
    let lengths = (found.len(), expected.len());
    assert!(
        found == expected,
        "different from byte {same} on, of {lengths:?}"
    );
}

/// Waits until the daemon shows the agent as connected.
#[track_caller]
fn wait_connected(daemon: &TestDaemon, name: &str, process: &Process) {
    wait_until("the witness to connect", || {
        assert!(
            process.is_running(),
            "the witness ended: {}",
            process.stderr()
        );
        let status = daemon.opsctl(["status", "--json"]).run();
        let agents = (status.code == 0).then(|| status.json()["agents"].clone())?;
        let connected =
            |agent: &serde_json::Value| agent["name"] == name && agent["connected"] == true;
        agents.as_array()?.iter().any(connected).then_some(())
    });
}

#[test]
fn the_python_agent_runs_commands() {
    let Some(python) = python() else { return };
    let daemon = TestDaemon::start();
    let agent = agent(&daemon, python);

    let sent = daemon
        .opsctl([
            "send",
            "py",
            "--",
            "sh",
            "-c",
            "echo hi; echo err >&2; exit 7",
        ])
        .run();
    let sent = sent.expect_code(7);
    assert_eq!(
        (sent.out().as_str(), sent.err().as_str()),
        ("hi\n", "err\n")
    );
    daemon
        .opsctl(["send", "lang=python", "--", "/no/such/program"])
        .run()
        .expect_code(244);
    daemon
        .opsctl(["send", "py", "--timeout", "300ms", "--", "sleep", "60"])
        .run()
        .expect_code(124);
    daemon
        .opsctl(["send", "py", "--", "sh", "-c", "kill -TERM $$"])
        .run()
        .expect_code(143);

    let bulk = daemon
        .opsctl(["send", "py", "--", "seq", "1", "200000"])
        .run()
        .expect_code(0);
    assert_same(&bulk.out(), &numbers(200_000));
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let back = daemon
        .opsctl(["send", "py", "--", "cat"])
        .stdin(bytes.clone())
        .run()
        .expect_code(0);
    assert!(back.stdout == bytes, "bytes in are bytes out");

    let pty = daemon
        .opsctl(["send", "py", "--pty", "--", "sh", "-c", "tty; stty size"])
        .run()
        .expect_code(0);
    assert!(pty.out().contains("/dev/pts/"), "{}", pty.out());
    assert!(agent.is_running(), "{}", agent.stderr());
}

#[test]
fn the_python_agent_outlives_the_daemon() {
    let Some(python) = python() else { return };
    let mut daemon = TestDaemon::start();
    let agent = agent(&daemon, python);
    let flag = daemon.path("flag");
    let line = format!(
        "seq 1 1000; until test -e {0}; do sleep 0.01; done; seq 1001 2000; exit 5",
        flag.display()
    );
    let sent = daemon
        .opsctl(["send", "py", "--detach", "--shell", &line])
        .run()
        .expect_code(0);
    let id = sent.out().trim().to_owned();
    daemon
        .opsctl(["send", "py", "--", "true"])
        .run()
        .expect_code(0);

    daemon.kill();
    std::fs::write(flag, "").unwrap();
    daemon.start_again();
    wait_connected(&daemon, "py", &agent);
    let logs = daemon.opsctl(["logs", "-f", &id]).run().expect_code(5);
    assert_same(&logs.out(), &numbers(2000));
    daemon
        .opsctl(["send", "py", "--", "sh", "-c", "exit 7"])
        .run()
        .expect_code(7);
}

#[test]
fn the_python_dashboard_runs_commands() {
    let Some(python) = python() else { return };
    let daemon = TestDaemon::start();
    let _one = TestAgent::start(&daemon, "one");
    let _two = TestAgent::start(&daemon, "two");
    let dashboard = |role: &str, selector: &str, line: &str| {
        let token = daemon.token(["--role", role]);
        program(&daemon, python, "dashboard.py", token, &[selector, line]).run()
    };
    let ran = dashboard("operator", "one", "echo out; echo err >&2; exit 7").expect_code(7);
    assert_eq!(ran.out(), "out\n");
    ran.expect_err(&["connected: one two", "err"]);
    let both = dashboard("operator", "one,two", "echo x").expect_code(0);
    assert_eq!(both.out(), "x\nx\n");
    let bulk = dashboard("operator", "two", "seq 1 50000").expect_code(0);
    assert_same(&bulk.out(), &numbers(50_000));
    dashboard("operator", "nobody", "true")
        .expect_code(1)
        .expect_err(&["no_match"]);
    dashboard("viewer", "one", "true")
        .expect_code(1)
        .expect_err(&["forbidden"]);
    dashboard("agent", "one", "true")
        .expect_code(1)
        .expect_err(&["refused", "forbidden"]);
}
