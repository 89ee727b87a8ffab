//! What a program tells its terminal besides what is to be drawn: prompt marks, progress, notifications, its title, the
//! bell. Found without emulation, in a stream that may be cut anywhere.

use memchr::{memchr, memchr2, memchr3, memmem};

/// The longest payload of a sequence that is read; longer ones (clipboards, images) are passed over.
const MAX_PAYLOAD: usize = 4096;

/// The longest text that a signal carries, in bytes; the rest is cut off.
const MAX_TEXT: usize = 1024;

const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ESC: u8 = 0x1b;

/// Something that a program told its terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// `OSC 133 ; A`: a shell shows its prompt.
    Prompt,
    /// `OSC 133 ; B`: the prompt ends, and a command is typed.
    Typing,
    /// `OSC 133 ; C`: a command was entered and runs.
    Runs,
    /// `OSC 133 ; D`: it has ended, with this code where the shell tells it.
    Ended(Option<i32>),
    /// `OSC 9 ; 4`: how far the program is.
    Progress(Progress),
    /// `OSC 9` or `OSC 777 ; notify`: something for a person.
    Notification {
        /// One line.
        title: String,
        /// The rest.
        message: String,
    },
    /// `OSC 0` or `OSC 2`: the window's title.
    Title(String),
    /// `BEL`.
    Bell,
}

/// How far a program is, as it tells its terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is under way any more.
    Gone,
    /// So many hundredths are done.
    Percent(u8),
    /// It goes on, and nobody knows how long.
    Busy,
    /// It has failed.
    Failed,
    /// It goes on, with a warning, or has stopped for a while.
    Paused,
}

/// Finds signals in a stream. Holds at most 4 KiB.
#[derive(Debug, Default)]
pub struct Signals {
    state: State,
    /// The payload of a sequence that has not ended.
    payload: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Outside of sequences.
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// Within an operating system command, whose payload is kept.
    Command,
    /// Within a control string that nobody reads.
    String,
}

impl Signals {
    /// Takes the stream's next bytes, and hands over the signals that end in them, in order.
    pub fn scan(&mut self, bytes: &[u8], mut found: impl FnMut(Signal)) {
        let mut ahead = Ahead::default();
        let mut at = 0;
        while at < bytes.len() {
            at = match self.state {
                State::Ground => self.skip_text(bytes, at, &mut ahead, &mut found),
                State::Escape => {
                    self.escaped(bytes[at], &mut found);
                    at + 1
                }
                State::Command => bytes.len() - self.collect(&bytes[at..], &mut found).len(),
                State::String => bytes.len() - self.skip_string(&bytes[at..]).len(),
            };
        }
    }

    fn skip_text(
        &mut self,
        bytes: &[u8],
        at: usize,
        ahead: &mut Ahead,
        found: &mut impl FnMut(Signal),
    ) -> usize {
        let Some((next, begins)) = ahead.next(bytes, at) else {
            if bytes.last() == Some(&ESC) {
                self.state = State::Escape;
            }
            return bytes.len();
        };
        if begins == BEL {
            found(Signal::Bell);
            next + 1
        } else {
            self.escaped(begins, found);
            next + 2
        }
    }

    fn escaped(&mut self, byte: u8, found: &mut impl FnMut(Signal)) {
        self.state = match byte {
            b']' => {
                self.payload.clear();
                State::Command
            }
            b'P' | b'X' | b'^' | b'_' => State::String,
            ESC => State::Escape,
            BEL => {
                found(Signal::Bell);
                State::Ground
            }
            // Whatever else begins here has no control string: what follows is as good as text.
            _ => State::Ground,
        };
    }

    fn collect<'a>(&mut self, bytes: &'a [u8], found: &mut impl FnMut(Signal)) -> &'a [u8] {
        let end = end_of_string(bytes, true);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = (MAX_PAYLOAD + 1).saturating_sub(self.payload.len());
        self.payload
            .extend_from_slice(&part[..part.len().min(room)]);
        let Some(end) = end else { return &[] };
        let ends_well = matches!(bytes[end], BEL | ESC);
        if ends_well
            && self.payload.len() <= MAX_PAYLOAD
            && let Some(signal) = read(&self.payload)
        {
            found(signal);
        }
        self.state = if bytes[end] == ESC {
            State::Escape
        } else {
            State::Ground
        };
        &bytes[end + 1..]
    }

    fn skip_string<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(end) = end_of_string(bytes, false) else {
            return &[];
        };
        self.state = if bytes[end] == ESC {
            State::Escape
        } else {
            State::Ground
        };
        &bytes[end + 1..]
    }
}

/// What matters outside of sequences: the bell, and what begins a control string. Each is searched for by itself, since most
/// sequences of a program that draws are none of these, and to stop at each of them costs ten times as much.
const BEGINNINGS: [&[u8]; 6] = [b"\x07", b"\x1b]", b"\x1bP", b"\x1bX", b"\x1b^", b"\x1b_"];

/// Where each of [`BEGINNINGS`] comes next in a piece, so that each byte is searched once for each.
#[derive(Debug, Default)]
struct Ahead([Option<usize>; BEGINNINGS.len()]);

impl Ahead {
    /// Where the nearest one from `at` on stands, and its last byte.
    fn next(&mut self, bytes: &[u8], at: usize) -> Option<(usize, u8)> {
        let mut nearest = None;
        for (known, wanted) in self.0.iter_mut().zip(BEGINNINGS) {
            let next = match *known {
                Some(next) if next >= at => next,
                _ => memmem::find(&bytes[at..], wanted).map_or(bytes.len(), |next| at + next),
            };
            *known = Some(next);
            if next < nearest.map_or(bytes.len(), |(nearest, _)| nearest) {
                nearest = wanted.last().map(|last| (next, *last));
            }
        }
        nearest
    }
}

/// Where a control string is ended or broken off. BEL ends only operating system commands.
fn end_of_string(bytes: &[u8], bell: bool) -> Option<usize> {
    let end = if bell {
        memchr3(ESC, CAN, BEL, bytes)
    } else {
        memchr2(ESC, CAN, bytes)
    };
    let before = &bytes[..end.unwrap_or(bytes.len())];
    memchr(SUB, before).or(end)
}

/// What an operating system command says; `None` for those that are no signal.
fn read(payload: &[u8]) -> Option<Signal> {
    let (number, rest) = match memchr(b';', payload) {
        Some(at) => (&payload[..at], &payload[at + 1..]),
        None => (payload, &[][..]),
    };
    match number {
        b"0" | b"2" => Some(Signal::Title(text(rest))),
        b"9" => nine(rest),
        b"133" => mark(rest),
        b"777" => {
            let rest = rest.strip_prefix(b"notify;")?;
            let (title, message) = match memchr(b';', rest) {
                Some(at) => (&rest[..at], &rest[at + 1..]),
                None => (rest, &[][..]),
            };
            notification(text(title), text(message))
        }
        _ => None,
    }
}

/// `OSC 9`: a notification, unless it begins with the number of one of `ConEmu`'s commands, of which `4` is progress.
fn nine(rest: &[u8]) -> Option<Signal> {
    const COMMANDS: std::ops::RangeInclusive<u8> = 1..=12;
    let mut fields = rest.split(|byte| *byte == b';');
    let first: Option<u8> = number(fields.next()?);
    match first {
        Some(4) => {
            let state: u8 = fields.next().map_or(Some(0), number)?;
            let percent: u8 = fields.next().and_then(number).unwrap_or(0);
            let progress = match state {
                0 => Progress::Gone,
                1 => Progress::Percent(percent.min(100)),
                2 => Progress::Failed,
                3 => Progress::Busy,
                4 => Progress::Paused,
                _ => return None,
            };
            Some(Signal::Progress(progress))
        }
        Some(command) if COMMANDS.contains(&command) => None,
        _ => notification(text(rest), String::new()),
    }
}

fn notification(title: String, message: String) -> Option<Signal> {
    let empty = title.is_empty() && message.is_empty();
    (!empty).then_some(Signal::Notification { title, message })
}

/// `OSC 133`: a letter, and fields behind it.
fn mark(rest: &[u8]) -> Option<Signal> {
    let mut fields = rest.split(|byte| *byte == b';');
    match fields.next()? {
        b"A" => Some(Signal::Prompt),
        b"B" => Some(Signal::Typing),
        b"C" => Some(Signal::Runs),
        b"D" => Some(Signal::Ended(fields.next().and_then(number))),
        _ => None,
    }
}

fn number<N: std::str::FromStr>(field: &[u8]) -> Option<N> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Bytes as a text for people: no control characters, not too long.
fn text(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(MAX_TEXT)];
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|char| !char.is_control())
        .collect::<String>()
        .trim_end_matches('\u{fffd}')
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signals(pieces: &[&[u8]]) -> Vec<Signal> {
        let mut scanner = Signals::default();
        let mut all = Vec::new();
        for piece in pieces {
            scanner.scan(piece, |signal| all.push(signal));
        }
        all
    }

    #[test]
    fn each_form_is_read() {
        let stream = b"\x1b]133;A\x07$ \x1b]133;B;k=s\x1b\\ls\r\n\x1b]133;C\x07\x1b]133;D;7\x07\x1b]133;D\x07\
            \x1b]9;4;1;40\x1b\\\x1b]9;4;3\x07\x1b]9;4;0;\x07\x1b]9;Approval wanted\x07\x1b]777;notify;T\xc3\xa4;b;c\x07\
            \x1b]0;one\x07\x1b]2;two\x1b\\\x07";
        let notification = |title: &str, message: &str| Signal::Notification {
            title: title.to_owned(),
            message: message.to_owned(),
        };
        assert_eq!(
            signals(&[stream]),
            [
                Signal::Prompt,
                Signal::Typing,
                Signal::Runs,
                Signal::Ended(Some(7)),
                Signal::Ended(None),
                Signal::Progress(Progress::Percent(40)),
                Signal::Progress(Progress::Busy),
                Signal::Progress(Progress::Gone),
                notification("Approval wanted", ""),
                notification("Tä", "b;c"),
                Signal::Title("one".to_owned()),
                Signal::Title("two".to_owned()),
                Signal::Bell,
            ]
        );
    }

    #[test]
    fn what_is_no_signal_is_passed_over() {
        let clipboard = [
            b"\x1b]52;c;".to_vec(),
            vec![b'a'; 100_000],
            b"\x07".to_vec(),
        ]
        .concat();
        assert_eq!(signals(&[&clipboard]), []);
        assert_eq!(
            signals(&[b"\x1bP1;2q\x07\x07\x1b\\"]),
            [],
            "a device string has no bell"
        );
        assert_eq!(signals(&[b"\x1b]9;1;1000\x07\x1b]8;;http://x\x07"]), []);
        assert_eq!(signals(&[b"\x1b]0;broken\x18off\x07"]), [Signal::Bell]);
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            3 => prop::collection::vec(any::<u8>(), 0..20),
            2 => "[ -~]{0,20}".prop_map(String::into_bytes),
            2 => "\u{1b}\\](0|2|9|9;4;1|52|133;[A-D]|777;notify);[ -~]{0,9}(\u{7}|\u{1b}\\\\|\u{18})".prop_map(String::into_bytes),
            1 => prop::sample::select(vec![b"\x1b".to_vec(), b"\x1b]".to_vec(), b"\x07".to_vec(), b"\x1bP".to_vec()]),
            1 => (4080..4110_usize).prop_map(|length| vec![b'x'; length]),
        ];
        prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(stream in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
            let whole = signals(&[&stream]);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in at {
                pieces.push(&stream[from..cut]);
                from = cut;
            }
            pieces.push(&stream[from..]);
            prop_assert_eq!(&whole, &signals(&pieces));
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(&whole, &signals(&bytes));
        }
    }
}
