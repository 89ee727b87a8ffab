//! Bytes from the terminal become events, however they are cut into pieces.
//!
//! The forms are xterm's (<https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>), the Linux console's, and kitty's
//! (<https://sw.kovidgoyal.net/kitty/keyboard-protocol/>). What is none of them is left out.

use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

use super::sequence::{sequence, single_shift};

/// How long an escape character waits for what may follow: people press Escape, and networks cut sequences in two.
const ESCAPE: Duration = Duration::from_millis(100);

/// How long the rest of a longer sequence may take: nobody types one.
const SEQUENCE: Duration = Duration::from_secs(1);

/// Bytes of a sequence that has no end; the longest known are shorter than 100.
const LONGEST: usize = 4096;

/// Bytes of pasted text that are handed on at once; what is longer comes in several pastes.
const PASTE: usize = 16 << 20;

/// The end of pasted text.
const PASTE_END: &[u8] = b"\x1b[201~";

/// What is known of what is being read.
#[derive(Debug, Default)]
pub struct Parser {
    /// A sequence of which the end is missing; bounded by [`LONGEST`].
    rest: Vec<u8>,
    /// Pasted text so far; bounded by [`PASTE`].
    paste: Option<Vec<u8>>,
}

/// What the first bytes are.
enum Read {
    /// So many bytes are this event, or nothing that is known.
    Done(usize, Option<Event>),
    /// So many bytes begin a paste.
    Paste(usize),
    /// Only more bytes can tell.
    More,
}

impl Parser {
    /// Takes bytes; the result is what they say, with what came before.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.rest.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.rest);
        let mut events = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if self.paste.is_some() {
                match self.pasted(&bytes[at..], &mut events) {
                    0 => break,
                    used => at += used,
                }
                continue;
            }
            match read(&bytes[at..]) {
                Read::Done(used, event) => {
                    events.extend(event);
                    at += used;
                }
                Read::Paste(used) => {
                    self.paste = Some(Vec::new());
                    at += used;
                }
                Read::More if bytes.len() - at > LONGEST => at = bytes.len(),
                Read::More => break,
            }
        }
        self.rest.extend_from_slice(&bytes[at..]);
        events
    }

    /// Takes pasted text; the result is how many of the bytes are used. None where they may be the start of the paste's
    /// end.
    fn pasted(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> usize {
        let paste = self.paste.get_or_insert_default();
        let end = bytes
            .windows(PASTE_END.len())
            .position(|window| window == PASTE_END);
        let text = end.unwrap_or_else(|| {
            let kept = (1..PASTE_END.len()).rev();
            let kept = kept
                .into_iter()
                .find(|len| bytes.ends_with(&PASTE_END[..*len]));
            bytes.len() - kept.unwrap_or(0)
        });
        paste.extend_from_slice(&bytes[..text]);
        if end.is_some() || paste.len() >= PASTE {
            let whole = std::mem::take(paste);
            events.push(Event::Paste(String::from_utf8_lossy(&whole).into_owned()));
        }
        if end.is_some() {
            self.paste = None;
            return text + PASTE_END.len();
        }
        text
    }

    /// How long to wait for more before [`Parser::give_up`]; none where nothing is missing.
    pub fn patience(&self) -> Option<Duration> {
        match self.rest.len() {
            0 => None,
            // The end of a paste is missing, or a sequence's.
            _ if self.paste.is_some() => None,
            1 | 2 => Some(ESCAPE),
            _ => Some(SEQUENCE),
        }
    }

    /// What is there is all: an escape character alone is the key, with a character after it that one with Alt.
    pub fn give_up(&mut self) -> Vec<Event> {
        let rest = std::mem::take(&mut self.rest);
        match rest[..] {
            [0x1b] => vec![key(KeyCode::Esc, KeyModifiers::NONE)],
            [0x1b, byte] if byte.is_ascii_graphic() => {
                vec![key(KeyCode::Char(byte.into()), KeyModifiers::ALT)]
            }
            _ => Vec::new(),
        }
    }
}

/// A key that is pressed.
pub(super) fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

/// What a slice that isn't empty begins with.
fn read(bytes: &[u8]) -> Read {
    match bytes {
        [0x1b] => Read::More,
        [0x1b, b'[', rest @ ..] => control_sequence(rest),
        [0x1b, b'O', rest @ ..] => match rest {
            [] => Read::More,
            [byte, ..] => Read::Done(
                3,
                single_shift(*byte).map(|code| key(code, KeyModifiers::NONE)),
            ),
        },
        [0x1b, b']' | b'P' | b'_' | b'^', rest @ ..] => string(rest),
        [0x1b, 0x1b, ..] => Read::Done(1, Some(key(KeyCode::Esc, KeyModifiers::NONE))),
        [0x1b, rest @ ..] => match character(rest) {
            Read::Done(used, Some(Event::Key(event))) => {
                let event = key(event.code, event.modifiers | KeyModifiers::ALT);
                Read::Done(used + 1, Some(event))
            }
            Read::Done(used, event) => Read::Done(used + 1, event),
            other => other,
        },
        _ => character(bytes),
    }
}

/// A character, or the control character of a key.
fn character(bytes: &[u8]) -> Read {
    let first = bytes[0];
    let control = |c: u8| (KeyCode::Char(c.into()), KeyModifiers::CONTROL);
    let (code, modifiers) = match first {
        b'\r' => (KeyCode::Enter, KeyModifiers::NONE),
        b'\t' => (KeyCode::Tab, KeyModifiers::NONE),
        0x7f => (KeyCode::Backspace, KeyModifiers::NONE),
        0x1b => (KeyCode::Esc, KeyModifiers::NONE),
        0 => control(b' '),
        0x01..=0x1a => control(first - 1 + b'a'),
        0x1c..=0x1f => control(first - 0x1c + b'4'),
        _ => return utf8(bytes),
    };
    Read::Done(1, Some(key(code, modifiers)))
}

fn utf8(bytes: &[u8]) -> Read {
    let length = match bytes[0] {
        0x00..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => return Read::Done(1, None),
    };
    let there = &bytes[..length.min(bytes.len())];
    match std::str::from_utf8(there) {
        Ok(text) => {
            let c = text.chars().next();
            // The second set of control characters is on no key.
            let c = c.filter(|c| !c.is_control());
            Read::Done(length, c.map(|c| key(KeyCode::Char(c), shift(c))))
        }
        Err(error) if error.error_len().is_none() => Read::More,
        Err(_) => Read::Done(1, None),
    }
}

fn shift(c: char) -> KeyModifiers {
    if c.is_uppercase() {
        KeyModifiers::SHIFT
    } else {
        KeyModifiers::NONE
    }
}

/// What a terminal answers in strings is of no interest here; it ends with BEL or ST.
fn string(rest: &[u8]) -> Read {
    let end = rest.iter().position(|byte| *byte == 0x07 || *byte == 0x1b);
    match end {
        None => Read::More,
        Some(at) if rest[at] == 0x07 => Read::Done(2 + at + 1, None),
        Some(at) if rest.get(at + 1) == Some(&b'\\') => Read::Done(2 + at + 2, None),
        Some(at) if rest.len() == at + 1 => Read::More,
        // Another sequence begins: the string was cut off.
        Some(at) => Read::Done(2 + at, None),
    }
}

/// `rest` is what follows `ESC [`.
fn control_sequence(rest: &[u8]) -> Read {
    // The Linux console's first five function keys.
    if let [b'[', tail @ ..] = rest {
        return match tail {
            [] => Read::More,
            [byte @ b'A'..=b'E', ..] => Read::Done(
                4,
                Some(key(KeyCode::F(byte - b'A' + 1), KeyModifiers::NONE)),
            ),
            _ => Read::Done(4, None),
        };
    }
    let Some(end) = rest.iter().position(|byte| !(0x20..=0x3f).contains(byte)) else {
        return Read::More;
    };
    let used = 2 + end + 1;
    if !(0x40..=0x7e).contains(&rest[end]) {
        // It was cut off; what follows is read by itself.
        return Read::Done(used - 1, None);
    }
    let parameters = std::str::from_utf8(&rest[..end]).unwrap_or_default();
    if rest[end] == b'~' && parameters == "200" {
        return Read::Paste(used);
    }
    Read::Done(used, sequence(parameters, rest[end]))
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEventKind;
    use opsctl_terminal::Modes;
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Vec<Event> {
        let mut parser = Parser::default();
        let mut events = parser.feed(bytes);
        events.extend(parser.give_up());
        events
    }

    fn with(code: KeyCode, modifiers: KeyModifiers) -> Vec<Event> {
        vec![key(code, modifiers)]
    }

    const NONE: KeyModifiers = KeyModifiers::NONE;

    #[test]
    fn keys_are_read() {
        let ctrl = KeyModifiers::CONTROL;
        for (bytes, code, modifiers) in [
            ("a", KeyCode::Char('a'), NONE),
            ("é", KeyCode::Char('é'), NONE),
            ("G", KeyCode::Char('G'), KeyModifiers::SHIFT),
            ("\x03", KeyCode::Char('c'), ctrl),
            ("\x1d", KeyCode::Char('5'), ctrl),
            ("\x1b", KeyCode::Esc, NONE),
            ("\x1bx", KeyCode::Char('x'), KeyModifiers::ALT),
            ("\x1b[", KeyCode::Char('['), KeyModifiers::ALT),
            ("\x1b\r", KeyCode::Enter, KeyModifiers::ALT),
            ("\x1b[A", KeyCode::Up, NONE),
            ("\x1bOA", KeyCode::Up, NONE),
            ("\x1b[1;5A", KeyCode::Up, ctrl),
            ("\x1b[5~", KeyCode::PageUp, NONE),
            ("\x1b[15~", KeyCode::F(5), NONE),
            ("\x1b[24;2~", KeyCode::F(12), KeyModifiers::SHIFT),
            ("\x1b[[A", KeyCode::F(1), NONE),
            ("\x1b[Z", KeyCode::BackTab, KeyModifiers::SHIFT),
            ("\x1b[27u", KeyCode::Esc, NONE),
            ("\x1b[13;2u", KeyCode::Enter, KeyModifiers::SHIFT),
            ("\x1b[93;5u", KeyCode::Char(']'), ctrl),
            ("\x1b[97:65;2u", KeyCode::Char('A'), KeyModifiers::SHIFT),
            ("\x1b[57400u", KeyCode::Char('1'), NONE),
            ("\x1b[27;5;99~", KeyCode::Char('c'), ctrl),
        ] {
            assert_eq!(all(bytes.as_bytes()), with(code, modifiers), "{bytes:?}");
        }
    }

    #[test]
    fn releases_are_told_from_presses() {
        let [Event::Key(event)] = all(b"\x1b[97;1:3u")[..] else {
            panic!("one key");
        };
        assert_eq!(event.kind, KeyEventKind::Release);
    }

    #[test]
    fn answers_and_what_is_unknown_say_nothing() {
        for bytes in [
            "\x1b[?1u",
            "\x1b[?62;c",
            "\x1b]11;rgb:0/0/0\x07",
            "\x1bP1$r\x1b\\",
            "\x1b[99z",
            "\u{80}",
        ] {
            assert_eq!(all(bytes.as_bytes()), [], "{bytes:?}");
        }
        let after = all(b"\x1b]11;rgb:0/0/0\x1b\\x");
        assert_eq!(after, with(KeyCode::Char('x'), NONE));
    }

    #[test]
    fn pasted_text_is_one_event_whatever_stands_in_it() {
        let events = all(b"a\x1b[200~x\x1b[A\r\n\x1b[31my\x1b[201~b");
        let paste = Event::Paste("x\x1b[A\r\n\x1b[31my".to_owned());
        let expected = [
            key(KeyCode::Char('a'), NONE),
            paste,
            key(KeyCode::Char('b'), NONE),
        ];
        assert_eq!(events, expected);
    }

    #[test]
    fn a_sequence_without_end_is_bounded() {
        let mut parser = Parser::default();
        for _ in 0..100 {
            parser.feed(b"\x1b[");
            parser.feed(&[b'1'; 1000]);
        }
        assert!(parser.rest.len() <= LONGEST + 1000);
    }

    #[test]
    fn what_is_written_for_a_program_is_read_as_the_same() {
        for keyboard in [0, 1] {
            let modes = Modes {
                keyboard,
                ..Modes::default()
            };
            for code in [
                KeyCode::Up,
                KeyCode::F(3),
                KeyCode::Delete,
                KeyCode::Char('d'),
            ] {
                for modifiers in [NONE, KeyModifiers::CONTROL, KeyModifiers::ALT] {
                    let event = KeyEvent::new(code, modifiers);
                    let bytes = crate::encode::key(event, &modes);
                    assert_eq!(all(&bytes), [Event::Key(event)], "{event:?} as {bytes:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_don_t_matter(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "é", "表", "\x1b[A", "\x1b[1;5C", "\x1b[200~p\x1b[20\x1b[201~", "\x1b[<0;5;7M", "\x1b[I",
                    "\x1b[97;1:3u", "\x1bOP", "\x1bx", "\x1b]0;t\x07", "\x03", "\r",
                ]),
                0..12,
            ),
            cuts in prop::collection::vec(1_usize..4, 0..80),
        ) {
            let bytes = parts.concat().into_bytes();
            let whole = all(&bytes);
            let mut parser = Parser::default();
            let (mut at, mut events) = (0, Vec::new());
            for cut in cuts.into_iter().chain(std::iter::repeat(1)) {
                let end = (at + cut).min(bytes.len());
                events.extend(parser.feed(&bytes[at..end]));
                at = end;
                if at == bytes.len() {
                    break;
                }
            }
            events.extend(parser.give_up());
            prop_assert_eq!(events, whole);
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut parser = Parser::default();
            for byte in &bytes {
                parser.feed(std::slice::from_ref(byte));
            }
            parser.give_up();
        }
    }
}
