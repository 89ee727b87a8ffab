//! Input on its way to the program. No IO.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use bytes::{Buf, Bytes};
use opsctl_protocol::limits::{INPUT_REPORT_EVERY, INPUT_WINDOW};
use tokio::time::Instant;

/// Slices given to one write; more would rarely find room.
const SLICES: usize = 16;

/// How long it is kept that input has come. Nobody waits for it, and told at once it would meet the key's echo on the way:
/// each process between the two would read and pass on both, the echo last.
const CONFIRM_AFTER: Duration = Duration::from_millis(5);

/// Bytes that are confirmed without waiting for more: what the daemon keeps meanwhile, to send it again, is bounded.
const CONFIRM_BYTES: u64 = 64 * 1024;

/// Why input was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Bytes are missing before these.
    #[error("input at {offset} leaves a hole, {expected} was expected")]
    Hole {
        /// Where the input says it stands.
        offset: u64,
        /// Where it would follow.
        expected: u64,
    },
    /// The program does not read, and more is waiting than the contract permits.
    #[error("more than {INPUT_WINDOW} bytes of input wait for the program")]
    Window,
    /// Input was said to have ended.
    #[error("input has ended before")]
    Ended,
}

/// Input that the program hasn't been given yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// In order; no piece is empty.
    queue: VecDeque<Bytes>,
    /// Bytes taken so far.
    received: u64,
    /// Bytes given to the program so far.
    consumed: u64,
    /// The last `consumed` that was told.
    reported: u64,
    /// The last `received` that was told.
    confirmed: u64,
    /// When what was taken and not told is told; none where all was.
    confirm_at: Option<Instant>,
    /// Nothing follows.
    eof: bool,
    /// The last byte that the program was given.
    last: Option<u8>,
    /// What a terminal takes for the end of input, while it is being written.
    trailer: Option<Bytes>,
    /// A hole was told of that starts here; what was under way behind it needs no further word.
    hole: Option<u64>,
}

impl Input {
    /// Takes a piece. What was taken before is skipped.
    pub(crate) fn accept(
        &mut self,
        offset: Option<u64>,
        mut data: Bytes,
        eof: bool,
    ) -> Result<(), Refused> {
        let offset = offset.unwrap_or(self.received);
        if offset > self.received {
            return Err(Refused::Hole {
                offset,
                expected: self.received,
            });
        }
        let known = (self.received - offset).min(data.len() as u64);
        data.advance(known as usize);
        if self.eof {
            return if data.is_empty() {
                Ok(())
            } else {
                Err(Refused::Ended)
            };
        }
        if self.received - self.consumed + data.len() as u64 > INPUT_WINDOW {
            return Err(Refused::Window);
        }
        self.received += data.len() as u64;
        self.eof = eof;
        if !data.is_empty() {
            self.queue.push_back(data);
        }
        Ok(())
    }

    /// Whether a refusal is to be told: of a hole, once until it is filled.
    pub(crate) fn is_news(&mut self, refused: &Refused) -> bool {
        match refused {
            Refused::Hole { expected, .. } => self.hole.replace(*expected) != Some(*expected),
            Refused::Window | Refused::Ended => true,
        }
    }

    /// Whether there are bytes to give.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.front().is_empty()
    }

    /// Whether all was given and nothing follows.
    pub(crate) fn is_over(&self) -> bool {
        self.eof && self.queue.is_empty()
    }

    /// Whether the end of input is due and was not yet put into bytes.
    pub(crate) fn needs_trailer(&self) -> bool {
        self.is_over() && self.trailer.is_none()
    }

    /// Adds bytes that stand for the end of input and are not counted.
    pub(crate) fn end_with(&mut self, trailer: Bytes) {
        self.trailer = Some(trailer);
    }

    /// The last byte that the program was given.
    pub(crate) fn last(&self) -> Option<u8> {
        self.last
    }

    /// What to write next, in one piece.
    pub(crate) fn front(&self) -> &[u8] {
        self.queue
            .front()
            .or(self.trailer.as_ref())
            .map_or(&[], |piece| piece)
    }

    /// What to write next, in several.
    pub(crate) fn slices(&self) -> Vec<IoSlice<'_>> {
        self.queue
            .iter()
            .take(SLICES)
            .map(|piece| IoSlice::new(piece))
            .collect()
    }

    /// The program was given `written` bytes.
    pub(crate) fn advance(&mut self, mut written: usize) {
        while written > 0 {
            let Some(piece) = self.queue.front_mut() else {
                if let Some(trailer) = &mut self.trailer {
                    trailer.advance(written.min(trailer.len()));
                }
                return;
            };
            let part = written.min(piece.len());
            self.last = Some(piece[part - 1]);
            piece.advance(part);
            written -= part;
            self.consumed += part as u64;
            if piece.is_empty() {
                self.queue.pop_front();
            }
        }
    }

    /// The program takes no more: what waits, and what comes, counts as given.
    pub(crate) fn discard(&mut self) {
        self.queue.clear();
        self.trailer = Some(Bytes::new());
        self.consumed = self.received;
    }

    /// Bytes given to the program so far.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Bytes taken so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// What to tell, when it is time: what was taken each [`CONFIRM_BYTES`] and after [`CONFIRM_AFTER`]; what was given to
    /// the program each [`INPUT_REPORT_EVERY`] bytes and at the end.
    pub(crate) fn report(&mut self, now: Instant) -> Option<Report> {
        let news = self.consumed - self.reported;
        let due = news >= INPUT_REPORT_EVERY || (news > 0 && self.is_over());
        if due {
            self.reported = self.consumed;
        }
        let unconfirmed = self.received - self.confirmed;
        if unconfirmed > 0 {
            self.confirm_at.get_or_insert(now + CONFIRM_AFTER);
        }
        let confirms = unconfirmed >= CONFIRM_BYTES || self.confirm_at.is_some_and(|at| at <= now);
        if !(due || confirms) {
            return None;
        }
        self.confirmed = self.received;
        self.confirm_at = None;
        Some(Report {
            consumed: self.reported,
            received: self.received,
        })
    }

    /// When [`Input::report`] has something to tell, though nothing happens.
    pub(crate) fn report_at(&self) -> Option<Instant> {
        self.confirm_at
    }
}

/// How far input has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// Bytes that the program was given, some while ago.
    pub(crate) consumed: u64,
    /// Bytes that were taken.
    pub(crate) received: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(input: &mut Input) -> Vec<u8> {
        let mut out = Vec::new();
        while input.is_waiting() {
            let part = input.front().len().div_ceil(2);
            out.extend_from_slice(&input.front()[..part]);
            input.advance(part);
        }
        out
    }

    #[test]
    fn holes_and_floods_are_refused() {
        let mut input = Input::default();
        input
            .accept(Some(0), Bytes::from_static(b"abc"), false)
            .unwrap();
        assert_eq!(
            input.accept(Some(4), Bytes::from_static(b"e"), false),
            Err(Refused::Hole {
                offset: 4,
                expected: 3
            })
        );
        let flood = Bytes::from(vec![0; INPUT_WINDOW as usize]);
        assert_eq!(
            input.accept(None, flood.clone(), false),
            Err(Refused::Window)
        );
        assert_eq!(drain(&mut input), b"abc");
        input.accept(Some(3), flood, true).unwrap();
        assert_eq!(
            input.accept(None, Bytes::from_static(b"x"), false),
            Err(Refused::Ended)
        );
    }

    #[test]
    fn reports_come_by_volume_and_at_the_end() {
        let mut input = Input::default();
        input
            .accept(
                None,
                Bytes::from(vec![1; INPUT_REPORT_EVERY as usize]),
                false,
            )
            .unwrap();
        let report = |input: &mut Input| {
            let report = input.report(Instant::now())?;
            Some((report.consumed, report.received))
        };
        let much = INPUT_REPORT_EVERY;
        input.advance(INPUT_REPORT_EVERY as usize - 1);
        assert_eq!(report(&mut input), Some((0, much)), "it was taken");
        assert_eq!(report(&mut input), None);
        input.advance(1);
        assert_eq!(report(&mut input), Some((much, much)));
        assert_eq!(report(&mut input), None);
        input.accept(None, Bytes::from_static(b"z"), true).unwrap();
        input.advance(1);
        assert_eq!(
            (report(&mut input), input.last()),
            (Some((much + 1, much + 1)), Some(b'z'))
        );
    }

    #[test]
    fn keys_are_confirmed_together_and_after_a_while() {
        let mut input = Input::default();
        let start = Instant::now();
        for _ in 0..3 {
            let key = Bytes::from_static(b"k");
            input.accept(None, key, false).unwrap();
            assert_eq!(input.report(start), None, "its echo goes first");
        }
        let at = input.report_at().unwrap();
        let report = input.report(at).unwrap();
        assert_eq!((report.consumed, report.received), (0, 3));
        assert_eq!((input.report_at(), input.report(at)), (None, None));
    }

    proptest! {
        #[test]
        fn repeats_change_nothing(
            whole in prop::collection::vec(any::<u8>(), 1..200),
            cuts in prop::collection::vec((0_usize..200, 0_usize..50), 0..40),
        ) {
            let mut input = Input::default();
            let mut out = Vec::new();
            let whole = Bytes::from(whole);
            for (from, length) in cuts {
                let from = from.min(out.len());
                let to = (from + length).min(whole.len());
                input.accept(Some(from as u64), whole.slice(from..to), false).unwrap();
                out.extend(drain(&mut input));
            }
            prop_assert_eq!(&out[..], &whole[..out.len()]);
        }
    }
}
