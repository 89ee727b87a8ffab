//! A world for one test, and the things in it.
//!
//! - [`Sandbox`]: directories and a cleared environment; `opsctl(args)` in it; kills everything at its end.
//! - [`TestDaemon`], [`TestAgent`]: running parts, that can be killed, stopped and started again.
//! - [`Proxy`]: a way to the daemon that can die without a word.
//! - [`Process`]: a running program with its output; waits for output, for its end.
//! - [`Pty`]: a running program in an emulated terminal; waits for the screen to show something.
//!
//! ```ignore
//! let daemon = TestDaemon::start();
//! let agent = TestAgent::start(&daemon, "web-1");
//! daemon.opsctl(["send", "web-1", "--", "sh", "-c", "exit 7"]).run().expect_code(7);
//! ```

#![allow(dead_code, reason = "offered to every test; each uses what it needs")]

mod agent;
mod daemon;
mod process;
mod proxy;
mod pty;
mod sandbox;
mod watched;

#[allow(
    unused_imports,
    reason = "offered to every test; each uses what it needs"
)]
pub use {
    agent::TestAgent,
    daemon::TestDaemon,
    process::{Finished, Process, Signal},
    proxy::Proxy,
    pty::Pty,
    sandbox::{Opsctl, Sandbox},
};

use std::time::{Duration, Instant};

/// How long anything may take before a test fails. Far longer than needed: only a failure waits so long, and machines that
/// run tests are busy.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// Waits until `look` finds something. For what has no event to wait for, such as a file of another process.
///
/// # Panics
/// After [`DEADLINE`], naming `what` was waited for.
#[track_caller]
pub fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "waited {DEADLINE:?} in vain for: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says that a test cannot run here. With `OPSCTL_REQUIRE_ALL=1` (as in CI) that is a failure.
pub fn skip(why: &str) {
    assert!(
        std::env::var_os("OPSCTL_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "would be skipped: {why}"
    );
    println!("skipped: {why}");
}

/// Whether a program is there; says that the test is skipped when not.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    if !found {
        skip(&format!("{name} is not installed"));
    }
    found
}
