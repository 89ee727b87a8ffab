//! What a remote program has set in this terminal (alternate screen, mouse, cursor, keyboard), so that leaving can take
//! it back. Pure.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::sequences::{Part, Sequences};

/// Private modes that are set in a fresh terminal: autowrap, cursor blinking as it likes, the cursor shown.
const SET_BY_DEFAULT: [u16; 2] = [7, 25];

/// The alternate screen, in its three forms; left last, after everything that belongs to it.
const ALTERNATE: [u16; 3] = [47, 1047, 1049];

/// Takes back what any program may have set: for when there is no time to know.
pub(super) const EVERYTHING: &str = "\x1b[?1000;1002;1003;1004;1005;1006;1015;2004;2026;1;66l\x1b[<u\x1b[>4m\x1b[?1049l\x1b[?7;25h\x1b[0m\x1b(B\x0f";

/// What differs from a fresh terminal.
#[derive(Debug, Default)]
pub(super) struct Modes {
    sequences: Sequences,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    /// Private modes that are not as in a fresh terminal.
    changed: BTreeSet<u16>,
    /// Keyboard flags that were pushed (kitty's protocol).
    keyboard: u16,
    /// Keys are reported in another form (xterm's modifyOtherKeys).
    other_keys: bool,
    /// The keypad sends other codes.
    keypad: bool,
    /// Scrolling is bound to a part of the screen.
    region: bool,
    /// The cursor has another shape.
    cursor: bool,
    /// Another character set.
    charset: bool,
    /// The last byte was not the end of a line.
    mid_line: bool,
}

impl Modes {
    /// Looks at output on its way to the terminal.
    pub(super) fn watch(&mut self, data: &[u8]) {
        let state = &mut self.state;
        self.sequences.feed(data, |part| match part {
            Part::Text(text) => state.mid_line = text.last().is_some_and(|last| *last != b'\n'),
            Part::Sequence(sequence) => state.apply(sequence),
        });
    }

    /// What makes the terminal as it was, with the cursor at the start of a line.
    pub(super) fn leave(&self) -> String {
        let mut text = self.reset();
        let alternate = ALTERNATE
            .iter()
            .any(|mode| self.state.changed.contains(mode));
        if self.state.mid_line || alternate {
            text.push_str("\r\n");
        }
        text
    }

    /// What makes the terminal's modes those of a fresh one.
    pub(super) fn reset(&self) -> String {
        let state = &self.state;
        let mut text = String::from("\x1b[0m");
        if state.region {
            // Resetting the region moves the cursor, which saving it undoes.
            text.push_str("\x1b7\x1b[r\x1b8");
        }
        if state.keyboard > 0 {
            let _ = write!(text, "\x1b[<{}u", state.keyboard);
        }
        for (on, reset) in [
            (state.other_keys, "\x1b[>4m"),
            (state.keypad, "\x1b>"),
            (state.cursor, "\x1b[0 q"),
            (state.charset, "\x1b(B\x0f"),
        ] {
            if on {
                text.push_str(reset);
            }
        }
        let (alternate, others): (Vec<u16>, Vec<u16>) = state
            .changed
            .iter()
            .partition(|mode| ALTERNATE.contains(mode));
        for mode in others.iter().chain(&alternate) {
            let to = if SET_BY_DEFAULT.contains(mode) {
                'h'
            } else {
                'l'
            };
            let _ = write!(text, "\x1b[?{mode}{to}");
        }
        text
    }
}

impl State {
    fn apply(&mut self, sequence: &[u8]) {
        match sequence {
            b"\x1bc" => *self = Self::default(),
            b"\x1b=" => self.keypad = true,
            b"\x1b>" => self.keypad = false,
            [0x1b, b'(', set] => self.charset = *set != b'B',
            [0x1b, b'[', middle @ .., last] => self.control(middle, *last),
            _ => {}
        }
    }

    fn control(&mut self, middle: &[u8], last: u8) {
        let Ok(middle) = std::str::from_utf8(middle) else {
            return;
        };
        match (middle.as_bytes().first(), last) {
            (Some(b'?'), b'h' | b'l') => {
                for mode in middle[1..].split(';').filter_map(|mode| mode.parse().ok()) {
                    if (last == b'h') == SET_BY_DEFAULT.contains(&mode) {
                        self.changed.remove(&mode);
                    } else {
                        self.changed.insert(mode);
                    }
                }
            }
            (Some(b'>'), b'u') => self.keyboard = self.keyboard.saturating_add(1),
            (Some(b'<'), b'u') => {
                let count = middle[1..].parse().unwrap_or(1);
                self.keyboard = self.keyboard.saturating_sub(count);
            }
            (Some(b'>'), b'm') => self.other_keys = middle.starts_with(">4;") && middle != ">4;0",
            (Some(b'!'), b'p') => {
                self.changed
                    .retain(|mode| !matches!(mode, 1 | 6 | 7 | 25 | 66));
                (self.region, self.keypad, self.charset) = (false, false, false);
            }
            (_, b'r')
                if middle
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b';') =>
            {
                self.region = !middle.is_empty();
            }
            (_, b'q') if middle.ends_with(' ') => self.cursor = !matches!(middle, " " | "0 "),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(output: &[u8]) -> String {
        let mut modes = Modes::default();
        modes.watch(output);
        modes.leave()
    }

    #[test]
    fn what_a_full_screen_program_set_is_taken_back() {
        let vim = b"\x1b[?1049h\x1b[>4;2m\x1b[?1h\x1b=\x1b[?2004h\x1b[1;24r\x1b[?25l\x1b[2 q\x1b[?1000;1006h text";
        assert_eq!(
            leave(vim),
            "\x1b[0m\x1b7\x1b[r\x1b8\x1b[>4m\x1b>\x1b[0 q\x1b[?1l\x1b[?25h\x1b[?1000l\x1b[?1006l\x1b[?2004l\x1b[?1049l\r\n"
        );
    }

    #[test]
    fn what_the_program_took_back_itself_is_left_alone() {
        let less = b"\x1b[?1049h\x1b[?1h\x1b=\x1b[>1u\x1b[<u\x1b[r\x1b[?1l\x1b>\x1b[?25h\x1b[?1049l\r\nend\n";
        assert_eq!(leave(less), "\x1b[0m");
        assert_eq!(leave(b"\x1b[?1049h\x1b[?25l\x1bc"), "\x1b[0m");
        assert_eq!(leave(b"$ "), "\x1b[0m\r\n");
    }
}
