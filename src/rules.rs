//! The user's own rule books, for the daemon.

use std::path::{Path, PathBuf};

use opsctl_daemon::activity::Rules;

/// The shipped rules with those in `dir` before them. What cannot be used is told in the log; the daemon goes on with the
/// rest.
pub fn load(dir: Option<&Path>) -> Rules {
    let (rules, errors) = Rules::new(&dir.map(read).unwrap_or_default());
    for error in errors {
        tracing::error!("a rule book is left out: {error}");
    }
    rules
}

/// The files of rule books, by name.
fn read(dir: &Path) -> Vec<(PathBuf, String)> {
    // Most people have none.
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    files.sort();
    let text = |file: PathBuf| match std::fs::read_to_string(&file) {
        Ok(text) => Some((file, text)),
        Err(error) => {
            tracing::error!(%error, file = %file.display(), "a rule book cannot be read and is left out");
            None
        }
    };
    files.into_iter().filter_map(text).collect()
}
