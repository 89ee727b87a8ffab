//! Bad input: each a clear answer, nothing lost, and the daemon goes on.
//!
//! - [`tokens`]: tokens, roles and subprotocols: refused before the upgrade.
//! - [`frames`]: frames that no program should send.
//! - [`peers`]: peers that say too little, too much, or say they are somebody else.
//! - [`places`]: sockets, ports and directories that the daemon cannot use.

mod frames;
mod peers;
mod places;
mod tokens;

use crate::harness::{TestAgent, TestDaemon};
use crate::raw::http;

/// The daemon still answers and still runs commands.
#[track_caller]
fn assert_serves(daemon: &TestDaemon) {
    let (status, _) = http(daemon, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status, 200);
    daemon
        .opsctl(["send", "web-1", "--", "sh", "-c", "exit 7"])
        .run()
        .expect_code(7);
}

/// A daemon with an agent, which is still there at the end.
fn serving() -> (TestDaemon, TestAgent) {
    let daemon = TestDaemon::start();
    let agent = TestAgent::start(&daemon, "web-1");
    (daemon, agent)
}

/// The most that the daemon has had in memory, in bytes.
pub fn resident(daemon: &TestDaemon) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", daemon.process().pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}
