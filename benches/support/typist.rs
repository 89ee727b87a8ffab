//! Who types: one letter after the other, with uneven pauses, so that no timer on the way falls into step.

use std::time::Duration;

/// Typed in turns, so that a late echo isn't taken for the next one. Nothing else that is drawn or written to a terminal
/// here has them.
const LETTERS: [u8; 3] = *b"wyz";

/// The shortest pause between two keys, and how much longer one may be, in microseconds.
const PAUSE: (u64, u64) = (5_000, 10_000);

/// One who types.
pub struct Typist {
    /// Of a linear congruential generator: the same pauses in every run.
    state: u64,
    typed: usize,
}

impl Typist {
    /// Each of those who type by turns has pauses of their own, by `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            typed: 0,
        }
    }

    /// How long to wait before the next key.
    pub fn pause(&mut self) -> Duration {
        // Knuth's constants for MMIX; the high bits are the random ones.
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros(PAUSE.0 + (self.state >> 33) % PAUSE.1)
    }

    /// The next key.
    pub fn letter(&mut self) -> u8 {
        self.typed += 1;
        LETTERS[self.typed % LETTERS.len()]
    }
}
