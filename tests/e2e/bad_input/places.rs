//! Sockets, ports and directories that the daemon cannot use.

use crate::harness::{Sandbox, TestDaemon};

#[test]
fn places_that_cannot_be_used_are_named() {
    let long = "x".repeat(120);
    let sandbox = Sandbox::new();
    let socket = sandbox.path(&long).join("opsctl.sock");
    let refused = sandbox
        .opsctl(["daemon", "--listen", "none"])
        .env("OPSCTL_SOCKET", &socket)
        .run();
    assert_ne!(refused.code, 0);
    refused.expect_err(&[&long, "at most 107"]);

    let daemon = TestDaemon::start();
    let other = Sandbox::new();
    let address = daemon.address().to_string();
    let refused = other.opsctl(["daemon", "--listen", &address]).run();
    refused.expect_code(246).expect_err(&[&address]);

    // A directory cannot be made within a file, whoever asks.
    let file = other.file("file", "");
    let refused = other
        .opsctl(["daemon", "--listen", "none"])
        .env("OPSCTL_STATE_DIR", file.join("state"))
        .run();
    assert_ne!(refused.code, 0);
    refused.expect_err(&["file/state"]);

    let second = daemon
        .opsctl(["daemon", "--listen", "none"])
        .env("OPSCTL_SOCKET", other.path("s"))
        .run();
    second
        .expect_code(246)
        .expect_err(&[&daemon.state_dir().display().to_string()]);
}
