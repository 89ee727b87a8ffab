//! The hub's queue: bounded by the number of events, and by the bytes of those that are large.
//!
//! Small events, as interrupts and keys are, only count: so many of them are small together. A large one takes room by its
//! bytes, and its connection waits while there is none; small ones of others pass it there.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::hub::Event;

/// Events that may wait for the hub; whoever has one more waits with it.
const EVENTS: usize = 4096;

/// Bytes of large events that may wait for the hub: some messages of the largest size, so that it never runs dry.
const LARGE_BYTES: u32 = 8 << 20;

/// Up to so many bytes an event is small: a full queue of them has half as many bytes as the large ones may have.
const SMALL: usize = 1024;

/// The hub has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the daemon stops")]
pub struct Stopped;

/// The way into the queue; clones lead into the same one.
#[derive(Debug, Clone)]
pub struct ToHub {
    events: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

/// The hub's end of the queue.
#[derive(Debug)]
pub struct Queue {
    events: mpsc::Receiver<Waiting>,
}

/// An event with its room, which is free again when the hub has taken it.
struct Waiting {
    event: Event,
    _room: Option<OwnedSemaphorePermit>,
}

/// An empty queue.
pub fn queue() -> (ToHub, Queue) {
    let (to_hub, events) = mpsc::channel(EVENTS);
    let room = Arc::new(Semaphore::new(LARGE_BYTES as usize));
    let to_hub = ToHub {
        events: to_hub,
        room,
    };
    (to_hub, Queue { events })
}

/// The room that an event of so many bytes takes; nothing for a small one. One that is larger than all the room takes all
/// of it, since it would never get in otherwise.
fn room_for(bytes: usize) -> Option<u32> {
    (bytes > SMALL).then(|| u32::try_from(bytes).unwrap_or(u32::MAX).min(LARGE_BYTES))
}

impl ToHub {
    /// Sends an event that is small, or whose bytes are counted elsewhere; waits while too many wait.
    pub async fn send(&self, event: Event) -> Result<(), Stopped> {
        let waiting = Waiting { event, _room: None };
        self.events.send(waiting).await.map_err(|_| Stopped)
    }

    /// Sends an event that takes about so many bytes in memory; waits while too many or too large ones wait.
    pub async fn send_weighing(&self, event: Event, bytes: usize) -> Result<(), Stopped> {
        let room = match room_for(bytes) {
            None => return self.send(event).await,
            Some(bytes) => Arc::clone(&self.room).acquire_many_owned(bytes).await,
        };
        let waiting = Waiting {
            event,
            _room: Some(room.map_err(|_| Stopped)?),
        };
        self.events.send(waiting).await.map_err(|_| Stopped)
    }

    /// Whether the hub has ended.
    pub fn is_closed(&self) -> bool {
        self.events.is_closed()
    }
}

impl Queue {
    /// The next event; `None` once nobody can send any more. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await.map(|waiting| waiting.event)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Whether a future is done without anybody's help.
    fn is_done<T>(future: impl Future<Output = T>) -> bool {
        let mut future = pin!(future);
        matches!(
            future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop())),
            Poll::Ready(_)
        )
    }

    #[test]
    fn small_events_take_no_room_and_the_largest_takes_all() {
        assert_eq!(room_for(SMALL), None);
        assert_eq!(room_for(SMALL + 1), Some(SMALL as u32 + 1));
        assert_eq!(room_for(usize::MAX), Some(LARGE_BYTES));
        assert!(EVENTS * SMALL <= LARGE_BYTES as usize / 2);
    }

    #[test]
    fn large_events_wait_for_room_and_small_ones_pass_them() {
        let (to_hub, mut queue) = queue();
        let large = LARGE_BYTES as usize / 4;
        for _ in 0..4 {
            assert!(is_done(to_hub.send_weighing(Event::Tick, large)));
        }
        let mut fifth = pin!(to_hub.send_weighing(Event::Tick, large));
        let mut context = Context::from_waker(Waker::noop());
        assert!(fifth.as_mut().poll(&mut context).is_pending());
        // Though one waits for room before them.
        assert!(is_done(to_hub.send_weighing(Event::Tick, SMALL)));
        assert!(is_done(to_hub.send(Event::Tick)));
        assert!(is_done(queue.next()));
        assert!(fifth.as_mut().poll(&mut context).is_ready());
        assert!(!is_done(to_hub.send_weighing(Event::Tick, large)));
    }

    #[test]
    fn whoever_waits_for_room_hears_that_the_hub_has_ended() {
        let (to_hub, queue) = queue();
        assert!(is_done(
            to_hub.send_weighing(Event::Tick, LARGE_BYTES as usize)
        ));
        let mut waits = pin!(to_hub.send_weighing(Event::Tick, SMALL + 1));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        drop(queue);
        assert_eq!(waits.as_mut().poll(&mut context), Poll::Ready(Err(Stopped)));
        assert!(to_hub.is_closed());
    }
}
