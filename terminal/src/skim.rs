//! The short cut through floods of lines.
//!
//! Of a long stretch of lines only the last screenful can be seen at its end. Where nothing in the stretch can change
//! anything but cells and the look of what follows, the rest needn't be parsed.

use memchr::{memchr, memchr_iter, memrchr};

use crate::screen::Screen;

const ESC: u8 = 0x1b;

impl Screen {
    /// As [`Screen::feed`], but skips what scrolls away unseen. The more is given at once, the more of it can be skipped.
    ///
    /// The visible screen, its cursor and modes end as with `feed`. Skipped lines are missing in
    /// the scrollback.
    pub fn feed_skimming(&mut self, bytes: &[u8]) {
        let kept = self.last_lines(bytes);
        let Plain { from, pen } = Plain::end_of(&bytes[..kept]);
        let (before, rest) = bytes.split_at(from);
        self.feed(before);
        let skipped = kept - from;
        if skipped > 0 && self.skips(&rest[..skipped], &rest[skipped..]) {
            let lines = memchr_iter(b'\n', &rest[..skipped]).count() as u64;
            self.emulator.count_scrolled(lines);
            self.feed(&pen);
            self.feed(&rest[skipped..]);
        } else {
            self.feed(rest);
        }
    }

    /// Where the last lines begin, so many that every line before them scrolls out, wherever the cursor is.
    fn last_lines(&self, bytes: &[u8]) -> usize {
        let mut kept = bytes.len();
        for _ in 0..=2 * self.emulator.rows() {
            match memrchr(b'\n', &bytes[..kept]) {
                Some(at) => kept = at,
                None => return 0,
            }
        }
        kept + 1
    }

    /// Whether plain lines leave no trace once `rest` has followed them.
    fn skips(&self, lines: &[u8], rest: &[u8]) -> bool {
        let modes = self.modes();
        let scrolls = self.emulator.region_is_whole() && !modes.insert && modes.autowrap;
        // What follows begins in the first column only if a carriage return stands before the line feed.
        let from_first_column = lines.ends_with(b"\r\n");
        // Something printable must remain, as a later `CSI b` repeats the last character.
        let prints = rest.iter().any(|&byte| byte > 0x20);
        scrolls && self.tail.bytes().is_empty() && from_first_column && prints
    }
}

/// The end of a stretch, in which nothing but text, ends of lines and looks (SGR) stands.
struct Plain {
    /// Where it begins: at the beginning, or behind a line with something else.
    from: usize,
    /// The sequences in it that make up the look at its end.
    pen: Vec<u8>,
}

impl Plain {
    /// That of a stretch that ends with a line.
    fn end_of(lines: &[u8]) -> Self {
        let mut pen = Vec::new();
        // Behind the last byte that can do anything else.
        let mut other = 0;
        let mut at = 0;
        while at < lines.len() {
            let text = &lines[at..];
            let text = &text[..memchr(ESC, text).unwrap_or(text.len())];
            if let Some(control) = last_control(text) {
                (other, pen) = (at + control + 1, Vec::new());
            }
            at += text.len();
            match look(&lines[at..]) {
                Some(sequence) => {
                    if matches!(sequence, b"\x1b[m" | b"\x1b[0m") {
                        pen.clear();
                    }
                    pen.extend_from_slice(sequence);
                    at += sequence.len();
                }
                None if at < lines.len() => {
                    at += 1;
                    (other, pen) = (at, Vec::new());
                }
                None => {}
            }
        }
        let from = match other {
            0 => 0,
            // A sequence may go on behind its last strange byte; who is at the end of a line is past it, or is in a text
            // that only its parser knows the end of.
            _ => memchr(b'\n', &lines[other..]).map_or(lines.len(), |end| other + end + 1),
        };
        Self { from, pen }
    }
}

/// The sequence at the beginning that changes the look of what follows and nothing else.
fn look(bytes: &[u8]) -> Option<&[u8]> {
    let parameters = bytes.strip_prefix(b"\x1b[")?;
    let length = parameters
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b';'))?;
    (parameters[length] == b'm').then(|| &bytes[..length + 3])
}

/// The last byte that does something else than text and ends of lines do.
fn last_control(text: &[u8]) -> Option<usize> {
    let is_control = |byte: u8| byte < 0x20 && !matches!(byte, b'\r' | b'\n' | b'\t');
    // Without a way out of it, this is done for many bytes at once; there hardly ever is one.
    let any = text.iter().fold(false, |any, &byte| any | is_control(byte));
    if !any {
        return None;
    }
    text.iter().rposition(|&byte| is_control(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the bytes are skipped by a screen that has this on it.
    fn skipped(before: &[u8], flood: &[u8]) -> usize {
        let mut screen = Screen::new(80, 24, 0);
        screen.feed(before);
        let kept = screen.last_lines(flood);
        let Plain { from, .. } = Plain::end_of(&flood[..kept]);
        screen.feed(&flood[..from]);
        let skips = screen.skips(&flood[from..kept], &flood[kept..]);
        if skips { kept - from } else { 0 }
    }

    #[test]
    fn plain_and_coloured_lines_are_skipped_and_nothing_else() {
        let plain = b"a line of a log\r\n".repeat(1000);
        let most = plain.len() * 9 / 10;
        assert!(skipped(b"", &plain) > most);
        let coloured = b"\x1b[1;38:5:3mwarning\x1b[0m: a line\r\r\n".repeat(1000);
        assert!(skipped(b"", &coloured) > coloured.len() * 9 / 10);

        let bare = b"no carriage return\n".repeat(1000);
        assert_eq!(skipped(b"", &bare), 0);
        assert_eq!(skipped(b"\x1b[3", &plain), 0, "within a sequence");
        assert_eq!(skipped(b"\x1b[2;10r", &plain), 0, "in a region");
    }

    #[test]
    fn what_does_something_else_is_parsed_and_what_follows_it_skipped() {
        let plain = b"a line of a log\r\n".repeat(1000);
        for other in [
            "\x1b[2J",
            "\x1b]0;title\x07",
            "\x08",
            "\x1b[?25l",
            "\x1b[>4;1m",
        ] {
            let flood = [&plain[..], other.as_bytes(), &plain].concat();
            let skipped = skipped(b"", &flood);
            assert!(
                (plain.len() / 2..plain.len()).contains(&skipped),
                "{other:?}: {skipped}"
            );
        }
        // It makes another screen of which these lines are a region.
        let flood = [&plain[..], b"\x1b[2;10r", &plain].concat();
        assert_eq!(skipped(b"", &flood), 0);
    }

    #[test]
    fn the_look_is_that_of_what_was_skipped() {
        let pen = |lines: &[u8]| Plain::end_of(lines).pen;
        assert_eq!(pen(b"a\x1b[31mb\x1b[1mc\r\n"), b"\x1b[31m\x1b[1m");
        assert_eq!(pen(b"\x1b[31ma\x1b[mb\x1b[4mc\r\n"), b"\x1b[m\x1b[4m");
    }
}
