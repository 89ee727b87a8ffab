//! Doors for the fuzz targets into parsers that are nobody else's business. Built by cargo-fuzz only.

use std::sync::LazyLock;

use crate::auth::{Secret, token};
use crate::log::fuzz;

/// Signs what the targets present; made anew for each run.
static SECRET: LazyLock<Secret> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join(format!("opsctl-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("the temporary directory takes a directory");
    let secret = Secret::load_or_create(&dir.join("secret"));
    // Only the key in memory is needed.
    let _ = std::fs::remove_dir_all(&dir);
    secret.expect("a fresh directory takes a secret")
});

/// Whether the daemon would let somebody in with this token.
pub fn token_is_good(token: &str) -> bool {
    token::verify(&SECRET, token).is_ok()
}

/// Reads a segment's records, as they are and with checksums that fit.
pub fn log_records(segment: &[u8]) {
    fuzz::records(segment);
}

/// Opens and searches an index file, as it is and with checksums that fit.
pub fn log_index(index: &[u8]) {
    fuzz::index(index);
}
