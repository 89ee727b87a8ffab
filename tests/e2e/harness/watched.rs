//! A state that threads change, and that a test waits for.

use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The state; whoever waits is woken by each change.
pub(super) struct Watched<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T: Send + 'static> Watched<T> {
    pub(super) fn new(state: T) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Looks at it as it is now.
    pub(super) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.state.lock().unwrap())
    }

    /// Changes it.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
        result
    }

    /// Waits so long until `look` finds something.
    pub(super) fn wait_within<R>(
        &self,
        deadline: Duration,
        mut look: impl FnMut(&T) -> Option<R>,
    ) -> Option<R> {
        let start = Instant::now();
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(found) = look(&state) {
                return Some(found);
            }
            let left = deadline.checked_sub(start.elapsed())?;
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for a program's end in a thread of its own, and takes note of it.
    pub(super) fn await_end(
        self: &Arc<Self>,
        mut child: Child,
        note: impl FnOnce(&mut T, ExitStatus) + Send + 'static,
    ) {
        let state = Arc::clone(self);
        thread::spawn(move || {
            let status = child.wait().unwrap();
            state.change(|state| note(state, status));
        });
    }
}
