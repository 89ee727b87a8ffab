//! A daemon on this host is back when its socket is: whoever waits for it need not wait longer.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use crate::endpoint::Endpoint;

/// How often it is looked for. A look is one system call, and only who has no connection looks.
const LOOK: Duration = Duration::from_millis(200);

/// Waits until the file of an endpoint's unix socket is made anew; for ever at a URL, where nothing can be seen.
pub async fn appears(endpoint: &Endpoint) {
    let Endpoint::Unix(path) = endpoint else {
        return std::future::pending().await;
    };
    let before = made(path);
    loop {
        sleep(LOOK).await;
        let now = made(path);
        if now.is_some() && now != before {
            return;
        }
    }
}

/// Which file stands there, as no other one at this path was: its number, and when it was made or last changed.
fn made(path: &Path) -> Option<(u64, i64, i64)> {
    let file = std::fs::symlink_metadata(path).ok()?;
    Some((file.ino(), file.ctime(), file.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use tokio::time::timeout;

    use super::*;

    /// In the tests' own time, which goes on when nobody has anything to do.
    const LONG: Duration = Duration::from_hours(1);

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_is_made_anew_is_seen_and_one_that_is_left_behind_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("opsctl.sock");
        let first = UnixListener::bind(&path).unwrap();
        let endpoint = Endpoint::Unix(path.clone());
        let mut appears = Box::pin(appears(&endpoint));
        drop(first);
        assert!(timeout(LONG, appears.as_mut()).await.is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(timeout(LONG, appears.as_mut()).await.is_err());
        let _second = UnixListener::bind(&path).unwrap();
        timeout(LONG, appears).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_url_never_appears() {
        let endpoint: Endpoint = "ws://127.0.0.1:1".parse().unwrap();
        assert!(timeout(LONG, appears(&endpoint)).await.is_err());
    }
}
