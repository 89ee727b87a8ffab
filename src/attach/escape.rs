//! What of the keys is meant for opsctl: `~.`, `~~`, `~?` at the start of a line, as in ssh, and `Ctrl-]` anywhere. Pure.

use bytes::{Bytes, BytesMut};

/// The key that leaves anywhere.
const CTRL_BRACKET: u8 = 0x1d;

/// The same key as terminals with the kitty keyboard protocol send it.
const CTRL_BRACKET_KITTY: &[u8] = b"\x1b[93;5u";

/// What `~?` shows.
pub(super) const HELP: &str = "\r\n\
    Escapes, at the start of a line:\r\n  \
    ~.      leave; the program goes on\r\n  \
    ~~      send one ~\r\n  \
    ~?      this list\r\n\
    Anywhere:\r\n  \
    Ctrl-]  leave; the program goes on\r\n";

/// What keys amount to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// For the program.
    Send(Bytes),
    /// Leave.
    Leave,
    /// Show the escapes.
    Help,
}

/// Where the keys stand.
#[derive(Debug)]
pub(super) struct Escapes {
    /// The last key ended a line, or there was none.
    line_start: bool,
    /// A `~` that starts a line is held back until the key after it.
    tilde: bool,
}

impl Escapes {
    pub(super) fn new() -> Self {
        Self {
            line_start: true,
            tilde: false,
        }
    }

    /// Splits what was typed. Nothing follows [`Keys::Leave`].
    pub(super) fn feed(&mut self, typed: &[u8]) -> Vec<Keys> {
        let mut keys = Vec::new();
        let mut plain = BytesMut::with_capacity(typed.len() + 1);
        let flush = |plain: &mut BytesMut, keys: &mut Vec<Keys>| {
            if !plain.is_empty() {
                keys.push(Keys::Send(plain.split().freeze()));
            }
        };
        for (at, byte) in typed.iter().copied().enumerate() {
            if std::mem::take(&mut self.tilde) {
                match byte {
                    b'.' => {
                        flush(&mut plain, &mut keys);
                        keys.push(Keys::Leave);
                        return keys;
                    }
                    b'?' => {
                        flush(&mut plain, &mut keys);
                        keys.push(Keys::Help);
                        self.line_start = true;
                        continue;
                    }
                    b'~' => {
                        plain.extend_from_slice(b"~");
                        self.line_start = false;
                        continue;
                    }
                    _ => plain.extend_from_slice(b"~"),
                }
            } else if byte == b'~' && self.line_start {
                self.tilde = true;
                continue;
            }
            if byte == CTRL_BRACKET || typed[at..].starts_with(CTRL_BRACKET_KITTY) {
                flush(&mut plain, &mut keys);
                keys.push(Keys::Leave);
                return keys;
            }
            plain.extend_from_slice(&[byte]);
            self.line_start = matches!(byte, b'\r' | b'\n');
        }
        flush(&mut plain, &mut keys);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys in several reads: what the program gets, and whether opsctl leaves.
    fn typed(reads: &[&[u8]]) -> (String, bool) {
        let mut escapes = Escapes::new();
        let (mut sent, mut left) = (String::new(), false);
        for keys in reads
            .iter()
            .flat_map(|read| escapes.feed(read))
            .collect::<Vec<_>>()
        {
            assert!(!left, "nothing follows leaving");
            match keys {
                Keys::Send(bytes) => sent.push_str(std::str::from_utf8(&bytes).unwrap()),
                Keys::Leave => left = true,
                Keys::Help => sent.push_str("<help>"),
            }
        }
        (sent, left)
    }

    #[test]
    fn escapes_stand_at_the_start_of_a_line() {
        assert_eq!(typed(&[b"~."]), (String::new(), true));
        assert_eq!(typed(&[b"ls\r", b"~", b"."]), ("ls\r".into(), true));
        assert_eq!(typed(&[b"cp a~. b\r"]), ("cp a~. b\r".into(), false));
        assert_eq!(typed(&[b"\r~~."]), ("\r~.".into(), false));
        assert_eq!(typed(&[b"\r~/x"]), ("\r~/x".into(), false));
        assert_eq!(typed(&[b"~", b"\r", b"~."]), ("~\r".into(), true));
        assert_eq!(typed(&[b"~?ls"]), ("<help>ls".into(), false));
    }

    #[test]
    fn ctrl_bracket_leaves_anywhere() {
        assert_eq!(typed(&[b"vim\x1d"]), ("vim".into(), true));
        assert_eq!(typed(&[b"vim", b"\x1b[93;5u"]), ("vim".into(), true));
        assert_eq!(typed(&[b"~\x1d"]), ("~".into(), true));
    }
}
