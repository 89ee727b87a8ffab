//! The short cut through floods of plain text.
//!
//! Of a long stretch of plain lines only the last screenful can be seen at its end. Where nothing
//! in the stretch can change anything but cells, the rest needn't be parsed.

use memchr::{memchr_iter, memrchr};

use crate::screen::Screen;

impl Screen {
    /// As [`Screen::feed`], but skips what scrolls away unseen.
    ///
    /// The visible screen, its cursor and modes end as with `feed`. Skipped lines are missing in
    /// the scrollback.
    pub fn feed_skimming(&mut self, bytes: &[u8]) {
        let skipped = self.skippable(bytes);
        if skipped > 0 {
            let lines = memchr_iter(b'\n', &bytes[..skipped]).count() as u64;
            self.emulator.count_scrolled(lines);
        }
        self.feed(&bytes[skipped..]);
    }

    /// How many bytes at the start leave no trace on the screen after all of `bytes`.
    fn skippable(&self, bytes: &[u8]) -> usize {
        let modes = self.modes();
        let scrolls = self.emulator.region_is_whole() && !modes.insert && modes.autowrap;
        if !scrolls || !self.tail.bytes().is_empty() {
            return 0;
        }
        // Wherever the cursor was, after `2 * rows` line feeds every old line has scrolled out.
        let mut kept = bytes.len();
        for _ in 0..=2 * self.emulator.rows() {
            match memrchr(b'\n', &bytes[..kept]) {
                Some(at) => kept = at,
                None => return 0,
            }
        }
        // `kept` is now at a line feed before the last `2 * rows`: what follows it begins in the
        // first column, if a carriage return stands before it.
        let rest = kept + 1;
        let from_first_column = kept > 0 && bytes[kept - 1] == b'\r';
        let plain = bytes[..rest]
            .iter()
            .all(|&byte| byte >= 0x20 || matches!(byte, b'\r' | b'\n' | b'\t'));
        // Something printable must remain, as a later `CSI b` repeats the last character.
        let prints = bytes[rest..].iter().any(|&byte| byte > 0x20);
        if from_first_column && plain && prints {
            rest
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_are_skipped_and_nothing_else() {
        let screen = Screen::new(80, 24, 0);
        let plain = b"a line of a log\r\n".repeat(1000);
        assert!(screen.skippable(&plain) > plain.len() * 9 / 10);

        let bare = b"no carriage return\n".repeat(1000);
        assert_eq!(screen.skippable(&bare), 0);

        let mut coloured = plain.clone();
        coloured[100] = 0x1b;
        assert_eq!(screen.skippable(&coloured), 0);

        let mut within_sequence = Screen::new(80, 24, 0);
        within_sequence.feed(b"\x1b[3");
        assert_eq!(within_sequence.skippable(&plain), 0);

        let mut in_region = Screen::new(80, 24, 0);
        in_region.feed(b"\x1b[2;10r");
        assert_eq!(in_region.skippable(&plain), 0);
    }
}
