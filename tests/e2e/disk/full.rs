//! A daemon whose disk is full: nothing new is taken, nothing old is lost, and it goes on by itself.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Process, Sandbox, TestAgent, TestDaemon, skip, wait_until};

/// A small disk of a test's own. Let go of when dropped, also while somebody uses it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one; `None` where that is not possible, which the test then says.
    fn mount(at: &Path, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={mebibytes}m,mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "opsctl-test"])
            .arg(at)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            Ok(output) => {
                skip(&format!(
                    "no tmpfs can be mounted: {}",
                    String::from_utf8_lossy(&output.stderr)
                ));
                None
            }
            Err(error) => {
                skip(&format!("mount cannot be run: {error}"));
                None
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Writes until nothing more fits.
    fn fill(&self) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.filler())
            .unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// Gives all of that back.
    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Waits until the daemon has noticed that its log cannot be written.
fn wait_noticed(daemon: &TestDaemon) {
    daemon
        .process()
        .wait_stderr("the output log cannot be written");
}

fn send(sandbox: &Sandbox, line: &str) -> Process {
    sandbox.opsctl(["send", "a", "--shell", line]).spawn()
}

#[test]
fn a_full_disk_holds_everything_back_and_loses_nothing() {
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount(&sandbox.state_dir(), 32) else {
        return;
    };
    let elsewhere = sandbox.path("agent");
    let daemon = TestDaemon::start_in(sandbox, []);
    let _agent = TestAgent::start_with(&daemon, "a", ["--state-dir", elsewhere.to_str().unwrap()]);
    let (go, mark) = (daemon.path("go"), daemon.path("interrupted"));
    let bulk = format!(
        "echo ready; while ! test -e {}; do sleep 0.02; done; seq 1 1500000",
        go.display()
    );
    let bulk = send(&daemon, &bulk);
    bulk.wait_stdout("ready");
    let trapper = format!(
        "trap 'touch {}; exit 9' INT; echo ready; while :; do sleep 0.02; done",
        mark.display()
    );
    let trapper = send(&daemon, &trapper);
    trapper.wait_stdout("ready");
    let running = daemon.opsctl(["ps", "--json", "--state", "running"]).run();
    let running = running.expect_code(0).json();
    let id = |text: &str| {
        let commands = running["commands"].as_array().unwrap();
        let fits = |command: &&serde_json::Value| command["shell"].as_str().unwrap().contains(text);
        let command = commands.iter().find(fits).unwrap();
        command["commandId"].as_str().unwrap().to_owned()
    };

    disk.fill();
    daemon.file("go", "");
    wait_noticed(&daemon);
    let refused = daemon.opsctl(["send", "a", "--", "true"]).run();
    refused
        .expect_code(1)
        .expect_err(&["not accepted", "no room on the disk", "free some"]);
    for list in [
        &["ps", "--all"][..],
        &["agents"],
        &["status"],
        &["ps", "--queued"],
    ] {
        daemon.opsctl(list).run().expect_code(0);
    }
    let status = daemon.opsctl(["status"]).run().out();
    assert!(status.contains("no room on the disk"), "{status}");
    daemon
        .opsctl(["interrupt", &id("trap ")])
        .run()
        .expect_code(0);
    wait_until("the program to be interrupted", || {
        mark.exists().then_some(())
    });
    assert!(bulk.is_running(), "its output is held at the agent");
    let agents = daemon.opsctl(["agents", "--json"]).run().expect_code(0);
    assert_eq!(agents.json()["agents"][0]["status"], "connected");

    disk.free();
    let whole = format!("ready\n{}", super::numbers(1_500_000));
    let bulk = bulk.wait().expect_code(0);
    assert!(bulk.out() == whole, "every byte, once and in order");
    trapper.wait().expect_code(9);
    let logs = daemon.opsctl(["logs", &id("1500000")]).run();
    assert!(logs.expect_code(0).out() == whole, "also in the log");
    wait_until("commands to be taken again", || {
        let sent = daemon.opsctl(["send", "a", "--", "true"]).run();
        (sent.code == 0).then_some(())
    });
}

#[test]
fn whoever_follows_a_command_hears_why_nothing_comes() {
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount(&sandbox.state_dir(), 32) else {
        return;
    };
    let elsewhere = sandbox.path("agent");
    let daemon = TestDaemon::start_in(sandbox, []);
    let _agent = TestAgent::start_with(&daemon, "a", ["--state-dir", elsewhere.to_str().unwrap()]);
    let go = daemon.path("go");
    let line = format!(
        "echo ready; while ! test -e {}; do sleep 0.02; done; seq 1 1500000",
        go.display()
    );
    let sent = send(&daemon, &line);
    sent.wait_stdout("ready");
    let id = daemon.opsctl(["ps", "-q", "--state", "running"]).run();
    let followed = daemon.opsctl(["logs", "-f", id.out().trim()]).spawn();
    followed.wait_stdout("ready");
    disk.fill();
    daemon.file("go", "");
    for waits in [&sent, &followed] {
        waits.wait_stderr("nothing comes because the daemon waits: no room on the disk");
    }
    disk.free();
    for waits in [sent, followed] {
        waits.wait().expect_code(0);
    }
}

#[test]
fn a_full_database_refuses_and_recovers() {
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount(&sandbox.state_dir(), 32) else {
        return;
    };
    let elsewhere = sandbox.path("agent");
    let mut daemon = TestDaemon::start_in(sandbox, []);
    let _agent = TestAgent::start_with(&daemon, "a", ["--state-dir", elsewhere.to_str().unwrap()]);
    disk.fill();
    // Each carries more than the room that the database has left in its own files.
    let large = format!(": {}", "x".repeat(100_000));
    let mut accepted = Vec::new();
    let refused = (0..200).find_map(|_| {
        let sent = daemon
            .opsctl(["send", "a", "--detach", "--shell", &large])
            .run();
        match sent.code {
            0 => accepted.push(sent.out().trim().to_owned()),
            _ => return Some(sent),
        }
        None
    });
    let refused = refused.expect("the database is full at some time");
    refused
        .expect_code(1)
        .expect_err(&["not accepted", "no room on the disk"]);
    daemon.opsctl(["ps", "--all"]).run().expect_code(0);
    disk.free();
    wait_until("commands to be taken again", || {
        let sent = daemon.opsctl(["send", "a", "--", "true"]).run();
        (sent.code == 0).then_some(())
    });
    daemon.kill();
    daemon.start_again();
    for id in accepted {
        daemon.opsctl(["logs", "-f", &id]).run().expect_code(0);
    }
}

#[test]
fn a_daemon_does_not_start_on_a_full_disk_and_says_why() {
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount(&sandbox.state_dir(), 1) else {
        return;
    };
    disk.fill();
    let daemon = sandbox.opsctl(["daemon", "--listen", "none"]).run();
    daemon
        .expect_code(1)
        .expect_err(&["no room on the disk", sandbox.state_dir().to_str().unwrap()]);
}

#[test]
fn an_agent_does_not_start_on_a_full_disk_and_says_what_helps() {
    let daemon = TestDaemon::start();
    let place = daemon.path("agent");
    let Some(disk) = SmallDisk::mount(&place, 1) else {
        return;
    };
    disk.fill();
    let args = ["agent", "--name", "a", "--state-dir"];
    let agent = daemon.opsctl(args).arg(&place).run().expect_code(1);
    let agent = agent.expect_err(&["free some and start it again"]);
    assert!(!agent.err().contains("another place"), "{}", agent.err());
}
