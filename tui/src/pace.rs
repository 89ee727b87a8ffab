//! When frames are drawn. Pure: the time is told.

use std::time::{Duration, Instant};

/// The shortest time between two frames: 60 a second (requirement D6).
pub(crate) const FRAME: Duration = Duration::from_micros(16_667);

/// How long after a key what comes from its program counts as the answer to it.
const ECHO: Duration = Duration::from_millis(100);

/// At most one frame every [`FRAME`], on average: what answers a key is drawn at once, even if the last frame was just
/// before, and the next one comes as much later. So a flood never keeps a key waiting for the time of its frame.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the next frame may be drawn.
    next: Instant,
    /// When a key was pressed last.
    key: Option<Instant>,
    /// Whether the next frame answers a key.
    is_answer: bool,
}

impl Pace {
    /// For a first frame at once.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            next: now,
            key: None,
            is_answer: false,
        }
    }

    /// A key was pressed; `shows` where it has changed something here, and didn't just go to a program.
    pub(crate) fn key(&mut self, now: Instant, shows: bool) {
        self.key = Some(now);
        self.is_answer |= shows;
    }

    /// The program that keys go to has shown something.
    pub(crate) fn program(&mut self, now: Instant) {
        self.is_answer |= self.key.is_some_and(|key| now < key + ECHO);
    }

    /// When the next frame may be drawn, and not before.
    pub(crate) fn next(&self) -> Instant {
        if self.is_answer {
            // One frame may be ahead of its time, never two.
            self.next.checked_sub(FRAME).unwrap_or(self.next)
        } else {
            self.next
        }
    }

    /// A frame is drawn.
    pub(crate) fn drawn(&mut self, now: Instant) {
        self.is_answer = false;
        self.next = self.next.max(now) + FRAME;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_key_is_answered_at_once_amid_a_flood() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.drawn(start);
        assert_eq!(pace.next(), start + FRAME);
        pace.key(start + MS, true);
        assert!(pace.next() <= start + MS);
        pace.drawn(start + MS);
        assert_eq!(pace.next(), start + 2 * FRAME);
        pace.program(start + 2 * MS);
        assert_eq!(pace.next(), start + FRAME, "its echo too, in its turn");
        pace.drawn(start + FRAME);
        pace.program(start + 120 * MS);
        assert_eq!(
            pace.next(),
            start + 3 * FRAME,
            "what comes later is no echo"
        );
    }

    #[test]
    fn a_key_for_a_program_leaves_its_frame_to_the_echo() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.drawn(start);
        pace.key(start + MS, false);
        assert_eq!(pace.next(), start + FRAME, "nothing is shown of it yet");
        pace.program(start + 2 * MS);
        assert!(pace.next() <= start + 2 * MS);
    }

    #[test]
    fn there_are_never_more_than_sixty_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut frames = 0;
        for passed in 0..10_000 {
            let now = start + MS * passed;
            // A person who holds a key down, in a program that floods.
            if passed % 3 == 0 {
                pace.key(now, true);
            }
            pace.program(now);
            if now >= pace.next() {
                pace.drawn(now);
                frames += 1;
            }
        }
        assert!((595..=602).contains(&frames), "{frames} in ten seconds");
    }
}
