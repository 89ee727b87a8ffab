//! What the bytes fed so far leave unfinished: the start of an escape sequence or of a character.
//!
//! The parser doesn't tell its state. It needn't: an ESC byte puts it into the same state from
//! anywhere, so the bytes since the last ESC decide, and a walk over them through the states of
//! Paul Williams' machine (<https://vt100.net/emu/dec_ansi_parser>) finds the state again.

use memchr::memrchr;

const ESC: u8 = 0x1b;

/// Bytes of one unfinished control string that are kept and parsed. Titles and hyperlinks are
/// shorter by far; the rest of a longer string is dropped unparsed, so that a string without an
/// end can't fill the memory.
const STRING_LIMIT: usize = 64 * 1024;

/// Where the parser stands, as far as it matters for finding its way back to the ground.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    EscapeIntermediate,
    Csi,
    DcsHeader,
    DcsData,
    Osc,
    /// SOS, PM and APC: text for nobody here.
    Ignored,
}

/// The unfinished end of a byte stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    state: State,
    /// The bytes that bring a fresh parser into the same state.
    bytes: Vec<u8>,
}

impl Tail {
    /// The bytes that bring a fresh parser to where this stream stands; empty on the ground.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The start of a character at the end of text. The parser must not see it before the rest: vte
    /// 0.15 drops what follows a character that it had to put together from two pieces.
    pub(crate) fn partial_char(&self) -> &[u8] {
        if self.state == State::Ground {
            &self.bytes
        } else {
            &[]
        }
    }

    /// How many of `bytes` the parser should not see, because they belong to a control string that
    /// is over its limit.
    pub(crate) fn surplus(&self, bytes: &[u8]) -> usize {
        if self.state != State::Osc || self.bytes.len() < STRING_LIMIT {
            return 0;
        }
        bytes
            .iter()
            .position(|byte| matches!(*byte, 0x07 | 0x18 | 0x1a | ESC))
            .unwrap_or(bytes.len())
    }

    /// Takes note of bytes that the parser was given.
    pub(crate) fn follow(&mut self, bytes: &[u8]) {
        let rest = match memrchr(ESC, bytes) {
            Some(at) => {
                self.state = State::Escape;
                self.bytes.clear();
                self.bytes.push(ESC);
                &bytes[at + 1..]
            }
            None => bytes,
        };
        let mut walked = 0;
        while self.state != State::Ground && walked < rest.len() {
            self.step(rest[walked]);
            walked += 1;
        }
        if self.state == State::Ground {
            self.keep_partial_char(&rest[walked..]);
        }
    }

    /// One byte that isn't ESC, away from the ground.
    fn step(&mut self, byte: u8) {
        let next = match (self.state, byte) {
            (_, 0x18 | 0x1a) | (State::Osc, 0x07) | (State::DcsData, 0x9c) => State::Ground,
            // Controls inside a sequence have been carried out at once: they must not happen again.
            (State::Escape | State::EscapeIntermediate | State::Csi, 0x00..=0x1f) => return,
            (State::Escape, b'[') => State::Csi,
            (State::Escape, b']') => State::Osc,
            (State::Escape, b'P') => State::DcsHeader,
            (State::Escape, b'X' | b'^' | b'_') => State::Ignored,
            (State::Escape | State::EscapeIntermediate, 0x20..=0x2f) => State::EscapeIntermediate,
            (State::Escape | State::EscapeIntermediate, 0x30..=0x7e)
            | (State::Csi, 0x40..=0x7e) => State::Ground,
            (State::DcsHeader, 0x40..=0x7e) => State::DcsData,
            (state, _) => state,
        };
        let within = self.state == next;
        self.state = next;
        match next {
            State::Ground => self.bytes.clear(),
            // What a DCS, SOS, PM or APC string says is for nobody, only that it goes on.
            State::Ignored | State::DcsData if within => {}
            _ if self.bytes.len() >= STRING_LIMIT => {}
            _ => self.bytes.push(byte),
        }
    }

    /// Keeps an incomplete UTF-8 character at the end of text.
    fn keep_partial_char(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        self.bytes
            .extend_from_slice(&text[text.len().saturating_sub(4)..]);
        let whole = self.bytes.len();
        let start = (whole.saturating_sub(3)..whole).find(|&at| {
            // A lead byte whose character is cut off by the end, and by nothing else.
            let end = &self.bytes[at..];
            let cut_off = std::str::from_utf8(end)
                .is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none());
            end[0] >= 0xc2 && cut_off
        });
        match start {
            Some(at) => {
                self.bytes.drain(..at);
            }
            None => self.bytes.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_after(pieces: &[&[u8]]) -> Vec<u8> {
        let mut tail = Tail::default();
        for piece in pieces {
            tail.follow(piece);
        }
        tail.bytes().to_vec()
    }

    #[test]
    fn finished_sequences_leave_nothing() {
        for whole in [
            &b"text\r\n"[..],
            b"\x1b[31m",
            b"\x1b]0;t\x07",
            b"\x1b]0;t\x1b\\",
            b"\x1b(B",
            b"\x1bPq..\x1b\\",
        ] {
            assert_eq!(tail_after(&[whole]), b"", "{whole:?}");
            let bytes: Vec<&[u8]> = whole.chunks(1).collect();
            assert_eq!(tail_after(&bytes), b"", "{whole:?} byte by byte");
        }
    }

    #[test]
    fn unfinished_sequences_are_kept_without_their_controls() {
        assert_eq!(tail_after(&[b"a\x1b[3", b"\n1"]), b"\x1b[31");
        assert_eq!(tail_after(&[b"\x1b]2;tit", b"le"]), b"\x1b]2;title");
        assert_eq!(tail_after(&[b"\x1b]2;a\x1b]2;b"]), b"\x1b]2;b");
        assert_eq!(tail_after(&[b"\x1b["]), b"\x1b[");
    }

    #[test]
    fn half_a_character_is_kept() {
        assert_eq!(tail_after(&[b"a\xe2\x82"]), b"\xe2\x82");
        assert_eq!(tail_after(&[b"a\xf0\x9f", b"\x98"]), b"\xf0\x9f\x98");
        assert_eq!(tail_after(&[b"a\xf0\x9f", b"\x98\x80"]), b"");
        assert_eq!(tail_after(&[b"\xe2\x82", b"\x1b[m"]), b"");
        assert_eq!(tail_after(&["é".as_bytes()]), b"");
        // A whole one before it is not held back with it.
        assert_eq!(tail_after(&[b"\xc3\x88\xc3"]), b"\xc3");
    }

    #[test]
    fn an_endless_string_is_bounded() {
        let mut tail = Tail::default();
        tail.follow(b"\x1b]52;c;");
        let piece = vec![b'A'; 16 * 1024];
        for _ in 0..100 {
            let surplus = tail.surplus(&piece);
            tail.follow(&piece[surplus..]);
        }
        assert!(tail.bytes().len() <= STRING_LIMIT + piece.len());
        assert_eq!(tail.surplus(b"AAA\x07b"), 3);
    }
}
