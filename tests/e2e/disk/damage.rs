//! Files that are cut or changed while the daemon is down: what came before the damage is there, the rest is said.

use std::path::{Path, PathBuf};

use crate::harness::{Sandbox, TestAgent, TestDaemon, wait_until};

/// A daemon that was killed after it had acknowledged two commands and their output.
fn killed() -> (TestDaemon, TestAgent, [String; 2]) {
    let mut daemon = TestDaemon::start();
    let agent = TestAgent::start(&daemon, "a");
    let ids = ["first", "second"].map(|word| {
        let line = format!("for n in 1 2 3 4; do echo {word} $n; sleep 0.05; done");
        let sent = daemon
            .opsctl(["send", "a", "--detach", "--shell", &line])
            .run()
            .expect_code(0);
        let id = sent.out().trim().to_owned();
        daemon.opsctl(["logs", "-f", &id]).run().expect_code(0);
        id
    });
    // An end is durable when its agent may forget it.
    let journal = agent_journal(&daemon);
    wait_until("the agent to be told that all is durable", || {
        let text = std::fs::read_to_string(&journal).ok()?;
        ids.iter()
            .all(|id| {
                text.lines()
                    .any(|line| line.contains("settled") && line.contains(id.as_str()))
            })
            .then_some(())
    });
    daemon.kill();
    (daemon, agent, ids)
}

/// The journal of the only agent.
fn agent_journal(sandbox: &Sandbox) -> PathBuf {
    fn find(dir: &Path) -> Option<PathBuf> {
        for entry in std::fs::read_dir(dir).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                if let Some(found) = find(&path) {
                    return Some(found);
                }
            } else if path.file_name().is_some_and(|name| name == "journal") {
                return Some(path);
            }
        }
        None
    }
    find(&sandbox.state_dir()).expect("the agent has a journal")
}

fn output(word: &str) -> String {
    (1..=4)
        .flat_map(|n| [word.to_owned(), format!(" {n}\n")])
        .collect()
}

/// What happens to a file.
type Spoil = fn(&mut Vec<u8>);

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn segment(sandbox: &Sandbox) -> PathBuf {
    sandbox.state_dir().join("log/00000001.seg")
}

fn database(sandbox: &Sandbox) -> PathBuf {
    sandbox.state_dir().join("opsctl.db")
}

#[test]
fn the_end_of_the_output_log_can_be_lost_and_that_is_said() {
    let (mut daemon, agent, ids) = killed();
    let whole = std::fs::read(segment(&daemon)).unwrap();
    let spoils: [(&str, Spoil); 4] = [
        ("cut", |bytes| bytes.truncate(bytes.len() - 10)),
        ("changed", |bytes| *bytes.last_mut().unwrap() ^= 1),
        ("cut to half", |bytes| bytes.truncate(bytes.len() * 3 / 4)),
        ("followed by zeroes", |bytes| bytes.extend([0; 5000])),
    ];
    for (what, spoil) in spoils {
        std::fs::write(segment(&daemon), &whole).unwrap();
        change(&segment(&daemon), spoil);
        daemon.start_again();
        let first = daemon.opsctl(["logs", &ids[0]]).run().expect_code(0);
        assert_eq!(first.out(), output("first"), "{what}");
        let second = daemon.opsctl(["logs", &ids[1]]).run();
        assert!(output("second").starts_with(&second.out()), "{what}");
        if second.out() == output("second") {
            second.expect_code(0);
        } else {
            second
                .expect_code(248)
                .expect_err(&["bytes are gone", "the log was damaged"]);
        }
        agent.wait_connected(&daemon);
        let again = daemon.opsctl(["send", "a", "--", "echo", "on"]).run();
        assert_eq!(again.expect_code(0).out(), "on\n", "{what}");
        daemon.kill();
    }
}

#[test]
fn a_database_that_is_damaged_is_not_begun_anew() {
    let (mut daemon, _agent, _ids) = killed();
    let (path, wal) = (database(&daemon), daemon.state_dir().join("opsctl.db-wal"));
    let whole_wal = std::fs::read(&wal).unwrap();
    daemon.start_again();
    // Without a WAL, of which SQLite would take what the file itself has lost.
    daemon.stop().expect_code(0);
    let whole = std::fs::read(&path).unwrap();
    let refuses = |what: &str| {
        let before = std::fs::read(&path).ok();
        let start = daemon.opsctl(["daemon", "--listen", "none"]).run();
        start.expect_code(1).expect_err(&[
            "opsctl.db",
            "damaged",
            "move it away",
            "restore a copy",
        ]);
        let after = std::fs::read(&path).ok();
        assert!(after == before, "{what}: it is left as it is");
    };
    change(&path, |bytes| bytes[..100].fill(b'x'));
    refuses("another header");
    std::fs::write(&path, &whole).unwrap();
    change(&path, |bytes| bytes[4096..].fill(0x5a));
    refuses("other pages");
    std::fs::write(&path, "").unwrap();
    refuses("empty");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&wal, &whole_wal).unwrap();
    refuses("missing beside its -wal");
}

#[test]
fn the_end_of_the_write_ahead_log_can_be_lost_and_that_is_said() {
    let (mut daemon, agent, ids) = killed();
    let wal = daemon.state_dir().join("opsctl.db-wal");
    let (whole, database_whole) = (
        std::fs::read(&wal).unwrap(),
        std::fs::read(database(&daemon)).unwrap(),
    );
    for part in [1, 4, 8] {
        // As if nothing had happened since the crash.
        std::fs::write(database(&daemon), &database_whole).unwrap();
        std::fs::write(&wal, &whole).unwrap();
        change(&wal, |bytes| {
            let at = bytes.len() * part / 9;
            bytes[at] ^= 0x40;
        });
        daemon.start_again();
        daemon.process().wait_stderr("write-ahead log is damaged");
        daemon.opsctl(["ps", "--all"]).run().expect_code(0);
        agent.wait_connected(&daemon);
        let sent = daemon.opsctl(["send", "a", "--", "true"]).run();
        sent.expect_code(0);
        daemon.kill();
    }
    std::fs::write(database(&daemon), &database_whole).unwrap();
    std::fs::write(&wal, &whole).unwrap();
    change(&wal, |bytes| bytes.truncate(bytes.len() - 100));
    daemon.start_again();
    let listed = daemon.opsctl(["ps", "-q", "--all"]).run().expect_code(0);
    assert!(ids.iter().all(|id| listed.out().contains(id)));
}

#[test]
fn small_files_are_made_anew_or_named() {
    let (mut daemon, _agent, _ids) = killed();
    for name in ["lock", "listen"] {
        std::fs::write(daemon.state_dir().join(name), [0xff; 100]).unwrap();
        daemon.start_again();
        daemon.kill();
    }
    let secret = daemon.state_dir().join("secret");
    change(&secret, |bytes| bytes.truncate(10));
    let start = daemon.opsctl(["daemon", "--listen", "none"]).run();
    start
        .expect_code(1)
        .expect_err(&[secret.to_str().unwrap(), "remove it to get a new one"]);
}
