//! Output of the past, without the questions that it once asked its terminal: this terminal would answer them into the
//! program's input. Pure.

use bytes::{Bytes, BytesMut};

use super::sequences::{Part, Sequences};

/// Lets output pass, up to an offset without its questions.
#[derive(Debug)]
pub(super) struct Replay {
    /// Output before this offset is of the past.
    past: u64,
    sequences: Sequences,
}

impl Replay {
    /// Everything before `past` is of the past.
    pub(super) fn until(past: u64) -> Self {
        Self {
            past,
            sequences: Sequences::default(),
        }
    }

    /// Whether output up to `end` is all of the past.
    pub(super) fn is_over(&self, end: u64) -> bool {
        end >= self.past
    }

    /// What of a piece at `offset` the terminal is to see.
    pub(super) fn pass(&mut self, offset: u64, data: Bytes) -> Bytes {
        if offset >= self.past {
            let held = self.sequences.take_held();
            return if held.is_empty() {
                data
            } else {
                Bytes::from([&held[..], &data].concat())
            };
        }
        let mut shown = BytesMut::with_capacity(data.len());
        self.sequences.feed(&data, |part| match part {
            Part::Text(text) => text
                .split(|byte| *byte == ENQ)
                .for_each(|text| shown.extend_from_slice(text)),
            Part::Sequence(sequence) if is_question(sequence) => {}
            Part::Sequence(sequence) => shown.extend_from_slice(sequence),
        });
        shown.freeze()
    }
}

/// Asks a terminal for its answerback string.
const ENQ: u8 = 0x05;

/// Whether a terminal answers this sequence.
fn is_question(sequence: &[u8]) -> bool {
    match sequence {
        [0x1b, b'[', middle @ .., last] => match last {
            // Device attributes and status, terminal parameters.
            b'c' | b'n' | b'x' => true,
            // Modes and the keyboard's flags.
            b'p' => middle.ends_with(b"$"),
            b'u' => middle.starts_with(b"?"),
            // The terminal's version.
            b'q' => middle.starts_with(b">"),
            // Sizes, position and title of the window.
            b't' => matches!(
                middle,
                b"11" | b"13" | b"14" | b"15" | b"16" | b"18" | b"19" | b"20" | b"21"
            ),
            _ => false,
        },
        // Colours and the clipboard.
        [0x1b, b']', rest @ ..] => {
            let end = rest
                .iter()
                .position(|byte| matches!(byte, 0x07 | 0x1b))
                .unwrap_or(rest.len());
            rest[..end].ends_with(b";?")
        }
        // Settings and capabilities.
        [0x1b, b'P', rest @ ..] => rest.starts_with(b"$q") || rest.starts_with(b"+q"),
        // The old form of device attributes; the graphics protocol's probe.
        [0x1b, b'Z'] | [0x1b, b'_', b'G', ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_of_the_past_are_left_out() {
        let past: &[u8] = b"a\x1b[c\x1b[>c\x1b[6nb\x1b[31m\x1b[?1049h\x1b]11;?\x07\x1b]0;title\x07\x1bP+q544e\x1b\\\x1b[?25$p\x1b[?uc\x05";
        let shown = b"ab\x1b[31m\x1b[?1049h\x1b]0;title\x07c";
        for cut in 0..past.len() {
            let mut replay = Replay::until(past.len() as u64);
            let first = replay.pass(0, Bytes::copy_from_slice(&past[..cut]));
            let second = replay.pass(cut as u64, Bytes::copy_from_slice(&past[cut..]));
            assert_eq!([&first[..], &second[..]].concat(), shown, "cut at {cut}");
        }
    }

    #[test]
    fn questions_of_the_present_pass() {
        let mut replay = Replay::until(3);
        assert_eq!(&replay.pass(0, Bytes::from_static(b"a\x1b["))[..], b"a");
        assert_eq!(&replay.pass(3, Bytes::from_static(b"6n"))[..], b"\x1b[6n");
    }
}
