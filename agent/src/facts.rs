//! What an agent tells of its host.

use std::collections::BTreeMap;

use opsctl_protocol::message::RECEIPTS;

/// What this agent can do beyond the contract's minimum.
pub(crate) const CAPABILITIES: [&str; 4] = ["pty", "stdin", "resize", RECEIPTS];

/// Facts about the host and this process. What can't be found out is left out.
pub(crate) fn collect() -> BTreeMap<String, String> {
    let uname = rustix::system::uname();
    let mut facts = BTreeMap::from([
        ("os".to_owned(), std::env::consts::OS.to_owned()),
        ("arch".to_owned(), std::env::consts::ARCH.to_owned()),
        (
            "hostname".to_owned(),
            uname.nodename().to_string_lossy().into_owned(),
        ),
        (
            "kernel".to_owned(),
            uname.release().to_string_lossy().into_owned(),
        ),
        ("user".to_owned(), user()),
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("pid".to_owned(), std::process::id().to_string()),
    ]);
    if let Ok(cwd) = std::env::current_dir() {
        facts.insert("cwd".to_owned(), cwd.to_string_lossy().into_owned());
    }
    facts
}

/// The user's name, or the number where the system has no name for it.
fn user() -> String {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.unwrap_or(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_facts_are_there() {
        let facts = collect();
        for name in ["os", "arch", "hostname", "user", "version", "pid", "cwd"] {
            assert!(
                facts.get(name).is_some_and(|fact| !fact.is_empty()),
                "{name}"
            );
        }
    }
}
