//! Finding control sequences in a stream of bytes, wherever it is cut. Pure.

/// A sequence longer than this is no sequence that matters here.
const LONGEST: usize = 4096;

/// A part of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Bytes outside sequences.
    Text(&'a [u8]),
    /// A whole sequence, from its ESC on.
    Sequence(&'a [u8]),
}

/// Cuts a stream into text and whole sequences. A sequence that has not ended waits for the next bytes.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    /// The beginning of a sequence.
    held: Vec<u8>,
}

impl Sequences {
    /// Hands over each part of what came.
    pub(super) fn feed(&mut self, data: &[u8], mut part: impl FnMut(Part<'_>)) {
        let joined;
        let mut rest = data;
        if !self.held.is_empty() {
            self.held.extend_from_slice(data);
            joined = std::mem::take(&mut self.held);
            rest = &joined;
        }
        loop {
            let text = rest
                .iter()
                .position(|byte| *byte == 0x1b)
                .unwrap_or(rest.len());
            if text > 0 {
                part(Part::Text(&rest[..text]));
            }
            rest = &rest[text..];
            if rest.is_empty() {
                return;
            }
            match length(rest) {
                Some(length) => {
                    part(Part::Sequence(&rest[..length]));
                    rest = &rest[length..];
                }
                None if rest.len() > LONGEST => {
                    part(Part::Text(rest));
                    return;
                }
                None => {
                    self.held.extend_from_slice(rest);
                    return;
                }
            }
        }
    }

    /// What waits for its end.
    pub(super) fn take_held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

/// The length of the sequence that `bytes` start with; `None` when it has not ended.
fn length(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'[' => {
            let end = bytes[2..]
                .iter()
                .position(|byte| !(0x20..0x40).contains(byte))?;
            // Whatever cannot end a sequence ends it without being part of it.
            let ends = (0x40..0x7f).contains(&bytes[2 + end]);
            Some(2 + end + usize::from(ends))
        }
        b']' | b'P' | b'X' | b'^' | b'_' => {
            let end = bytes[2..]
                .iter()
                .position(|byte| matches!(byte, 0x07 | 0x1b))?
                + 2;
            match (bytes[end], bytes.get(end + 1)) {
                (0x07, _) => Some(end + 1),
                (_, Some(b'\\')) => Some(end + 2),
                (_, Some(_)) => Some(end),
                (_, None) => None,
            }
        }
        0x20..0x30 => {
            let end = bytes[2..]
                .iter()
                .position(|byte| !(0x20..0x30).contains(byte))?;
            Some(3 + end)
        }
        _ => Some(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(reads: &[&[u8]]) -> Vec<String> {
        let mut sequences = Sequences::default();
        let mut parts = Vec::new();
        for read in reads {
            sequences.feed(read, |part| {
                parts.push(match part {
                    Part::Text(text) => format!("text {}", text.escape_ascii()),
                    Part::Sequence(sequence) => format!("seq {}", sequence.escape_ascii()),
                });
            });
        }
        parts
    }

    #[test]
    fn sequences_are_found_wherever_they_are_cut() {
        let whole: &[u8] = b"a\x1b[?25lb\x1b]0;t\x07\x1b(B\x1bP+q544e\x1b\\c\x1b7";
        let expected = [
            "text a",
            r"seq \x1b[?25l",
            "text b",
            r"seq \x1b]0;t\x07",
            r"seq \x1b(B",
            r"seq \x1bP+q544e\x1b\\",
            "text c",
            r"seq \x1b7",
        ];
        assert_eq!(parts(&[whole]), expected);
        for cut in 1..whole.len() {
            let joined = |parts: Vec<String>| parts.concat().replace("text ", "");
            assert_eq!(
                joined(parts(&[&whole[..cut], &whole[cut..]])),
                joined(parts(&[whole])),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn what_is_no_sequence_passes() {
        assert_eq!(parts(&[b"\x1b[12\nx"]), [r"seq \x1b[12", r"text \nx"]);
        let endless = [b"\x1b]".as_slice(), &[b'x'; 5000]].concat();
        assert_eq!(parts(&[&endless]).len(), 1);
    }
}
