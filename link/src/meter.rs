//! How much goes over a connection one way: in all, and lately.

use std::sync::atomic::{AtomicU64, Ordering};

use opsctl_protocol::message::Traffic;

/// The time over which rates are taken, in seconds: long enough for a fraction to show, short enough to be the present.
const WINDOW_S: u64 = 2;

/// The same in milliseconds.
const WINDOW_MS: u64 = WINDOW_S * 1000;

/// Counts one direction. One task notes, any may look; between the two nothing is lost, and a rate that is looked at in the
/// very moment in which a window ends may be of either.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Messages and bytes so far.
    total: Count,
    /// In which window bytes went last.
    window: AtomicU64,
    /// What `total` was when that window began.
    began: Count,
    /// What went in the window before that one.
    before: Count,
}

#[derive(Debug, Default)]
struct Count {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Count {
    fn get(&self) -> [u64; 2] {
        [&self.messages, &self.bytes].map(|count| count.load(Ordering::Relaxed))
    }

    fn set(&self, [messages, bytes]: [u64; 2]) {
        self.messages.store(messages, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

impl Meter {
    /// A message went. Its bytes are noted on their own.
    pub(crate) fn note_message(&self) {
        self.total.messages.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes went, `now` ms after the connection was opened.
    pub(crate) fn note_bytes(&self, bytes: usize, now: u64) {
        let window = now / WINDOW_MS;
        if window != self.window.load(Ordering::Relaxed) {
            self.before.set(self.lately(now));
            self.began.set(self.total.get());
            self.window.store(window, Ordering::Relaxed);
        }
        self.total.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.total.bytes.load(Ordering::Relaxed)
    }

    /// What went in all and lately, as of `now`.
    pub(crate) fn traffic(&self, now: u64) -> Traffic {
        let [messages, bytes] = self.total.get();
        let [messages_per_second, bytes_per_second] =
            self.lately(now).map(|count| count.div_ceil(WINDOW_S));
        Traffic {
            messages,
            bytes,
            messages_per_second,
            bytes_per_second,
        }
    }

    /// What went in the last whole window.
    fn lately(&self, now: u64) -> [u64; 2] {
        match (now / WINDOW_MS).saturating_sub(self.window.load(Ordering::Relaxed)) {
            0 => self.before.get(),
            1 => {
                let ([messages, bytes], [of_messages, of_bytes]) =
                    (self.total.get(), self.began.get());
                [
                    messages.saturating_sub(of_messages),
                    bytes.saturating_sub(of_bytes),
                ]
            }
            _ => [0, 0],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Rates are what went in the last whole window, whenever somebody noted or looked.
        #[test]
        fn rates_are_those_of_the_last_whole_window(
            waits in prop::collection::vec((0_u64..3000, 1_usize..100), 0..40),
            rest in 0_u64..9000,
        ) {
            let meter = Meter::default();
            let (mut now, mut noted) = (0, Vec::new());
            for (wait, bytes) in waits {
                now += wait;
                meter.note_bytes(bytes, now);
                meter.note_message();
                noted.push((now, bytes as u64));
            }
            now += rest;
            let last = (now / WINDOW_MS).checked_sub(1);
            let lately: Vec<u64> = noted
                .iter()
                .filter(|(at, _)| Some(at / WINDOW_MS) == last)
                .map(|(_, bytes)| *bytes)
                .collect();
            let expected = Traffic {
                messages: noted.len() as u64,
                bytes: noted.iter().map(|(_, bytes)| bytes).sum(),
                messages_per_second: (lately.len() as u64).div_ceil(WINDOW_S),
                bytes_per_second: lately.iter().sum::<u64>().div_ceil(WINDOW_S),
            };
            prop_assert_eq!(meter.traffic(now), expected);
        }
    }
}
