//! Processes as `/proc` shows them (proc(5)).

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// A process, named so that no later one with its number is taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Name {
    /// Its number.
    pub(crate) pid: i32,
    /// When it started, in the system's clock ticks since boot.
    pub(crate) start: u64,
}

/// A process that there was a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: Pid,
    /// Its process group's number.
    pub(super) group: i32,
    /// Its session's number.
    pub(super) session: i32,
    /// As in [`Name`].
    pub(super) start: u64,
    /// It has ended, and waits to be reaped.
    pub(super) dead: bool,
    /// It waits for something that may come or not, such as a key.
    pub(super) sleeps: bool,
}

impl Process {
    pub(super) fn name(&self) -> Name {
        Name {
            pid: self.pid.as_raw_pid(),
            start: self.start,
        }
    }
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| of(Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?))
}

/// The one with this number. Its session is read from `/proc` rather than by getsid(2): kernel threads and processes
/// outside of this container have the session 0, which [`Pid`] cannot hold.
pub(super) fn of(pid: Pid) -> Option<Process> {
    let stat = std::fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    parse(pid, &stat)
}

/// The name may hold any bytes, parentheses too; words with meanings of their own follow it.
fn parse(pid: Pid, stat: &[u8]) -> Option<Process> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let words = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let mut words = words.split_ascii_whitespace();
    let state = words.next()?;
    let group = words.nth(1)?.parse().ok()?;
    let session = words.next()?.parse().ok()?;
    let ticks = words.nth(15)?.parse().ok()?;
    Some(Process {
        pid,
        group,
        session,
        start: ticks,
        dead: matches!(state, "Z" | "X" | "x"),
        sleeps: state == "S",
    })
}

/// Whether there is a process with this number that hasn't ended.
pub(crate) fn is_alive(pid: Pid) -> bool {
    of(pid).is_some_and(|process| !process.dead)
}

/// The processes that a process has started and that haven't been waited for; none where the system doesn't say.
pub(super) fn children(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_pid();
    // A process that has several threads may start others from each; what has a terminal in front rarely does.
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    children
        .split_ascii_whitespace()
        .filter_map(|number| Pid::from_raw(number.parse().ok()?))
        .collect()
}

/// The words that a process was started with, or what it has put in their place; none where they can't be read.
pub(super) fn words(pid: Pid) -> Vec<String> {
    let bytes = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    // A program that has written its title there leaves zeros behind it.
    let text = text.trim_end_matches('\0');
    if text.is_empty() {
        return Vec::new();
    }
    text.split('\0').map(str::to_owned).collect()
}

/// Whether a process was started with this variable.
pub(super) fn has_variable(pid: Pid, variable: &[u8]) -> bool {
    let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_pid()));
    environment.is_ok_and(|bytes| {
        bytes
            .split(|byte| *byte == 0)
            .any(|entry| entry == variable)
    })
}

/// Names this run of the system: processes of another one are gone.
pub(crate) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 4711 20";

    #[test]
    fn words_are_read_behind_any_name() {
        let pid = Pid::from_raw(71).unwrap();
        let stat = [b"71 (a) b\xff) c) S 1 2 42 ", REST.as_bytes()].concat();
        let process = parse(pid, &stat).unwrap();
        assert_eq!(
            (process.group, process.session, process.start),
            (2, 42, 4711)
        );
        assert!(process.sleeps && !process.dead);
        let stat = format!("71 (x) Z 1 2 42 {REST}");
        assert!(parse(pid, stat.as_bytes()).unwrap().dead);
        assert_eq!(parse(pid, b"gone"), None);
        assert_eq!(parse(pid, b"71 (x) S 1 2"), None);
    }

    #[test]
    fn a_process_has_words_and_children() {
        let own = rustix::process::getpid();
        assert_eq!(words(own), std::env::args().collect::<Vec<_>>());
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        assert_eq!(children(pid), []);
        assert_eq!(of(pid).unwrap().group, of(own).unwrap().group);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(words(pid), [] as [&str; 0]);
    }

    #[test]
    fn this_process_is_among_them() {
        let own = rustix::process::getpid();
        let process = all().find(|process| process.pid == own).unwrap();
        assert_eq!(of(own).unwrap().name(), process.name());
        assert!(!process.dead && !boot_id().is_empty());
    }
}
