//! Which input is under way: pure.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use opsctl_protocol::CommandId;
use opsctl_protocol::limits::{INPUT_WINDOW, MAX_INPUT_PIECE};
use opsctl_protocol::message::{CommandInput, Payload};

/// Input that was not taken for this long is sent again.
pub(super) const STALL: Duration = Duration::from_secs(5);

/// Input between what the program was given and what was read from the source.
#[derive(Debug)]
pub(super) struct Window {
    command: CommandId,
    /// Pieces that were not reported as taken whole, oldest first, each of at most [`MAX_INPUT_PIECE`].
    kept: VecDeque<Bytes>,
    /// The offset of the first kept byte.
    start: u64,
    /// The offset after the last kept byte.
    end: u64,
    /// The offset after the last byte that was sent on this connection.
    sent: u64,
    /// How many kept pieces lie before `sent`.
    sent_pieces: usize,
    /// Bytes that the program has been given.
    taken: u64,
    /// Nothing follows `end`.
    finished: bool,
    /// The end was sent on this connection.
    finish_sent: bool,
    /// Nothing more comes from the source, and the input stays open.
    abandoned: bool,
}

impl Window {
    pub(super) fn new(command: CommandId) -> Self {
        Self {
            command,
            kept: VecDeque::new(),
            start: 0,
            end: 0,
            sent: 0,
            sent_pieces: 0,
            taken: 0,
            finished: false,
            finish_sent: false,
            abandoned: false,
        }
    }

    /// Whether there is room for more from the source. What waits unsent is bounded by a single piece from there.
    pub(super) fn wants_more(&self) -> bool {
        !self.finished && !self.abandoned && self.end < self.taken + INPUT_WINDOW
    }

    /// Whether something was sent and not reported as taken.
    pub(super) fn is_waiting(&self) -> bool {
        self.sent > self.taken || self.finish_sent
    }

    /// Whether nothing is left to do; an end must have been taken, which only the command's end tells.
    pub(super) fn is_done(&self) -> bool {
        self.abandoned && self.taken >= self.end
    }

    pub(super) fn push(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(MAX_INPUT_PIECE));
            self.end += piece.len() as u64;
            self.kept.push_back(piece);
        }
    }

    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
    }

    /// The program has been given this many bytes. Whether that is more than before.
    pub(super) fn taken(&mut self, taken: u64) -> bool {
        let more = taken > self.taken;
        self.taken = self.taken.max(taken.min(self.end));
        while let Some(first) = self.kept.front() {
            let first_end = self.start + first.len() as u64;
            if first_end > self.taken {
                break;
            }
            self.start = first_end;
            self.kept.pop_front();
            self.sent_pieces = self.sent_pieces.saturating_sub(1);
        }
        self.sent = self.sent.max(self.start);
        more
    }

    /// Another connection, or some was refused: everything that was not taken must be sent again, in few messages.
    pub(super) fn rewind(&mut self) {
        self.join();
        self.sent = self.start;
        self.sent_pieces = 0;
        self.finish_sent = false;
    }

    /// Joins small pieces: a source that gives a line at a time would have each one sent, and perhaps refused, by itself.
    fn join(&mut self) {
        let mut joined: VecDeque<Bytes> = VecDeque::new();
        let mut small = BytesMut::new();
        for piece in self.kept.drain(..) {
            if small.len() + piece.len() > MAX_INPUT_PIECE {
                joined.push_back(small.split().freeze());
            }
            if small.is_empty() && piece.len() == MAX_INPUT_PIECE {
                joined.push_back(piece);
            } else {
                small.extend_from_slice(&piece);
            }
        }
        if !small.is_empty() {
            joined.push_back(small.freeze());
        }
        joined.retain(|piece| !piece.is_empty());
        self.kept = joined;
    }

    /// The next message that the window permits.
    pub(super) fn next(&mut self) -> Option<CommandInput> {
        let data = match self.kept.get(self.sent_pieces) {
            Some(piece) if self.sent + piece.len() as u64 > self.taken + INPUT_WINDOW => {
                return None;
            }
            Some(piece) => piece.clone(),
            None if self.finished && !self.finish_sent => Bytes::new(),
            None => return None,
        };
        let offset = self.sent;
        self.sent += data.len() as u64;
        self.sent_pieces += usize::from(!data.is_empty());
        let eof = self.finished && self.sent == self.end;
        self.finish_sent = eof;
        Some(CommandInput {
            command_id: self.command,
            data: Payload(data),
            offset: Some(offset),
            eof,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_is_joined_and_keeps_its_place() {
        let mut window = Window::new(CommandId([1; 16]));
        let source: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let mut rest = &source[..];
        for length in (1..).step_by(7) {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            window.push(Bytes::copy_from_slice(piece));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        window.finish();
        assert!(std::iter::from_fn(|| window.next()).count() > 100);
        window.taken(10_000);
        window.rewind();
        let again: Vec<CommandInput> = std::iter::from_fn(|| window.next()).collect();
        assert!(
            again.len() <= source.len() / MAX_INPUT_PIECE + 2,
            "{}",
            again.len()
        );
        let mut next = again[0].offset.unwrap();
        assert!(next <= 10_000);
        for input in &again {
            assert_eq!(input.offset, Some(next));
            assert!(input.data.0.len() <= MAX_INPUT_PIECE);
            let end = next as usize + input.data.0.len();
            assert_eq!(input.data.0[..], source[next as usize..end]);
            next = end as u64;
        }
        assert_eq!(next as usize, source.len());
        assert!(again.last().unwrap().eof && !again[0].eof);
    }
}
