//! Forgets commands and requests in the store that are older than anybody wants to know. Output has its own bounds, see
//! [`crate::log`].

use std::sync::Arc;
use std::time::Duration;

use opsctl_protocol::Timestamp;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// How often the store is looked through, as a part of the age that rows may reach.
const LOOKS: u32 = 64;

/// The shortest and the longest between two looks.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(1));

/// Removes what is older than `max_age`, until `stop`; nothing at all where that is zero.
pub async fn run(store: Arc<dyn Store>, max_age: Duration, stop: CancellationToken) {
    if max_age.is_zero() {
        return;
    }
    let wait = (max_age / LOOKS).clamp(WAIT.0, WAIT.1);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = prune(&*store, max_age) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

async fn prune(store: &dyn Store, max_age: Duration) {
    let now = Timestamp::now().0;
    let before = Timestamp(now.saturating_sub(max_age.as_millis() as u64));
    let mut rows = 0;
    loop {
        match store.prune(before).await {
            Ok(0) => break,
            Ok(some) => rows += some,
            // A full disk takes no removals either; the next look tries again.
            Err(error) => {
                tracing::warn!(%error, "old commands cannot be removed from the database");
                break;
            }
        }
    }
    if rows > 0 {
        tracing::info!(rows, "removed old commands and requests from the database");
    }
}
