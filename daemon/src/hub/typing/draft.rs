//! What somebody has begun to type into a terminal and not sent, as far as the keys tell. Pure.
//!
//! Keys are counted, not emulated: a program may do with them what it likes. Where that leaves a doubt the draft counts as
//! open, because a message mixed up with it cannot be taken back.

/// Bytes of an escape sequence that are remembered; longer ones are no keys.
const MAX_SEQUENCE: usize = 32;

/// What the bytes before leave unfinished.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// The parameters so far.
    Csi(Vec<u8>),
    Ss3,
    /// An answer of the terminal, until its end.
    Text,
    /// So many bytes belong to a mouse report.
    Mouse(u8),
}

/// What stands in a terminal's input behind the last Enter.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Characters, about.
    count: u32,
    /// There may be more, or any at all: keys came that nobody followed.
    is_doubtful: bool,
    /// Within a bracketed paste, where Enter is text.
    pasting: bool,
    state: State,
    /// The last byte of text.
    last: u8,
}

impl Draft {
    /// Whether something stands there.
    pub(super) fn is_open(&self) -> bool {
        self.count > 0 || self.is_doubtful
    }

    /// Whether nobody knows if something stands there.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// So many characters stand there, as was known before.
    pub(super) fn restore(&mut self, count: u32) {
        self.count = count;
    }

    /// Keys came that nobody has followed: something may stand there, until what does is sent or thrown away.
    pub(super) fn doubt(&mut self) {
        self.is_doubtful = true;
    }

    /// How many characters, about.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Nothing stands there any more.
    pub(super) fn clear(&mut self) {
        self.line_done();
        self.pasting = false;
    }

    /// The line was sent or thrown away.
    fn line_done(&mut self) {
        self.count = 0;
        self.is_doubtful = false;
    }

    /// Follows keys.
    pub(super) fn typed(&mut self, data: &[u8]) {
        // A terminal sends the whole of a sequence at once: an escape at the end of what came before is the key.
        if self.state == State::Escape {
            self.state = State::Ground;
        }
        for byte in data {
            self.byte(*byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        match std::mem::take(&mut self.state) {
            State::Ground => self.plain(byte),
            State::Escape => match byte {
                b'[' => self.state = State::Csi(Vec::new()),
                b'O' => self.state = State::Ss3,
                b']' | b'P' | b'_' | b'^' | b'X' => self.state = State::Text,
                // Alt-Enter is a line break in most programs that know it.
                b'\r' | b'\n' => self.add(),
                0x1b => self.state = State::Escape,
                _ => {}
            },
            State::Csi(mut parameters) => match byte {
                0x40..=0x7e => self.sequence(&parameters, byte),
                _ if parameters.len() < MAX_SEQUENCE => {
                    parameters.push(byte);
                    self.state = State::Csi(parameters);
                }
                _ => {}
            },
            State::Ss3 => self.arrow(byte),
            State::Text => match byte {
                0x07 => {}
                0x1b => self.state = State::Escape,
                _ => self.state = State::Text,
            },
            State::Mouse(left) if left > 1 => self.state = State::Mouse(left - 1),
            State::Mouse(_) => {}
        }
    }

    fn plain(&mut self, byte: u8) {
        match byte {
            0x1b => self.state = State::Escape,
            _ if self.pasting => self.text(byte),
            b'\r' | b'\n' if self.last == b'\\' && self.count > 0 => self.text(byte),
            // Ctrl-C and Ctrl-U throw the line away.
            b'\r' | b'\n' | 0x03 | 0x15 => self.line_done(),
            0x08 | 0x7f => self.count = self.count.saturating_sub(1),
            // Completion, history and what was cut off bring text of their own.
            b'\t' | 0x0e | 0x10 | 0x12 | 0x19 => self.add(),
            0x00..=0x1f => {}
            _ => self.text(byte),
        }
    }

    fn text(&mut self, byte: u8) {
        self.last = byte;
        // The further bytes of a character.
        if !(0x80..0xc0).contains(&byte) {
            self.add();
        }
    }

    fn add(&mut self) {
        self.count = self.count.saturating_add(1);
    }

    /// Up and down bring text out of the history.
    fn arrow(&mut self, last: u8) {
        if matches!(last, b'A' | b'B') {
            self.add();
        }
    }

    fn sequence(&mut self, parameters: &[u8], last: u8) {
        match (parameters, last) {
            (b"200", b'~') => self.pasting = true,
            (b"201", b'~') => self.pasting = false,
            (b"", b'M') => self.state = State::Mouse(3),
            (_, b'u') => self.key(parameters),
            _ => self.arrow(last),
        }
    }

    /// A key in the kitty protocol's form: `code;modifiers:event`.
    fn key(&mut self, parameters: &[u8]) {
        let text = String::from_utf8_lossy(parameters);
        let mut fields = text.split(';');
        let mut number = |default: u32| {
            let field = fields.next().unwrap_or_default();
            let mut parts = field.split(':');
            let first = parts.next().and_then(|part| part.parse().ok());
            (first.unwrap_or(default), parts.next() == Some("3"))
        };
        let (code, _) = number(0);
        let (modifiers, released) = number(1);
        let modifiers = modifiers.saturating_sub(1);
        let (plain, control) = (modifiers & !1 == 0, modifiers & 4 != 0);
        match code {
            _ if released => {}
            13 if modifiers == 0 => self.line_done(),
            13 => self.add(),
            127 => self.count = self.count.saturating_sub(1),
            99 | 117 if control => self.line_done(),
            // From here on they are keys without text.
            32..0xe000 if plain => self.add(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(keys: &[&str]) -> u32 {
        let mut draft = Draft::default();
        for piece in keys {
            draft.typed(piece.as_bytes());
        }
        draft.count()
    }

    #[test]
    fn what_was_sent_or_taken_back_is_no_draft() {
        for keys in [
            &["ls\r"][..],
            &["l", "s", "\r"],
            &["abc\x7f\x7f\x7f"],
            &["abc\x03"],
            &["abc\x15"],
            &["\x1b[I\x1b[O", "\x1b[<0;3;4M", "\x1b[M !!", "\x1b[?1;2c"],
            &["\x1b]11;rgb:ff/ff/ff\x07", "\x1b]11;rgb:ff/ff/ff\x1b\\"],
            &["\x1b", "\x1b[C\x1b[D", "\x1b[3~"],
            &["\x1b[200~a\rb\x1b[201~", "\r"],
            &["\x1b[97u\x1b[13u"],
            &["\x1b[97;1:1u\x1b[97;1:3u\x1b[127u"],
            &["x\x1b[99;5u"],
        ] {
            assert_eq!(count(keys), 0, "{keys:?}");
        }
    }

    #[test]
    fn a_doubt_ends_with_the_line() {
        for (keys, is_open) in [
            ("x", true),
            ("\x7f\x7f", true),
            ("x\r", false),
            ("\x03", false),
            ("\x15", false),
            ("\x1b[13u", false),
            ("\x1b[13;2u", true),
        ] {
            let mut draft = Draft::default();
            draft.doubt();
            draft.typed(keys.as_bytes());
            assert_eq!(draft.is_open(), is_open, "{keys:?}");
        }
    }

    #[test]
    fn what_may_still_stand_there_is_a_draft() {
        for (keys, expected) in [
            (&["ls"][..], 2),
            (&["ls\rx"], 1),
            (&["höh"], 3),
            (&["h\u{f6}", "\x7f"], 1),
            (&["\x1b[200~a\rb\x1b[201~"], 3),
            (&["a\\\r"], 3),
            (&["a\x1b\r"], 2),
            (&["\x1b[A"], 1),
            (&["\x1bOA"], 1),
            (&["\x1b[13;2u"], 1),
            (&["\x1b[97u"], 1),
            (&["\t"], 1),
            (&["\x1b", "x"], 1),
        ] {
            assert_eq!(count(keys), expected, "{keys:?}");
        }
    }
}
