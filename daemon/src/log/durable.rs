//! What has reached the disk.
//!
//! Only a command's newest offset matters, so news for a slow listener is merged instead of queued: it is bounded by the
//! commands that have output, and the newest offset is never lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opsctl_protocol::CommandId;
use tokio::sync::Notify;

/// News that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct News {
    /// For each command the offset up to which its output is on the disk.
    offsets: Mutex<Pending>,
    /// Wakes the listener; remembers one call.
    wake: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    /// Not yet taken.
    offsets: HashMap<CommandId, u64>,
    /// The writer has ended.
    closed: bool,
}

impl News {
    /// Adds offsets, which only grow.
    pub(super) fn tell(&self, offsets: impl Iterator<Item = (CommandId, u64)>) {
        let mut pending = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        pending.offsets.extend(offsets);
        drop(pending);
        self.wake.notify_one();
    }

    /// Says that nothing more comes.
    pub(super) fn close(&self) {
        self.offsets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.wake.notify_one();
    }
}

/// Tells what has reached the disk.
#[derive(Debug)]
pub struct Durable {
    /// Shared with the writer.
    pub(super) news: Arc<News>,
}

impl Durable {
    /// Waits for news: for some commands the offset up to which their output is on the disk now. `None` once the log is
    /// closed. A call that is dropped loses nothing.
    pub async fn next(&mut self) -> Option<Vec<(CommandId, u64)>> {
        loop {
            {
                let mut pending = self
                    .news
                    .offsets
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                if !pending.offsets.is_empty() {
                    return Some(std::mem::take(&mut pending.offsets).into_iter().collect());
                }
                if pending.closed {
                    return None;
                }
            }
            self.news.wake.notified().await;
        }
    }
}
