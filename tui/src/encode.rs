//! Keys and pasted text as the bytes that a terminal sends for them.
//!
//! The forms are xterm's, with its application cursor mode; and, where the application has switched
//! on kitty's keyboard protocol (<https://sw.kovidgoyal.net/kitty/keyboard-protocol/>), its
//! unambiguous forms of the keys that are ambiguous otherwise.

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use opsctl_terminal::{Modes, Mouse, MouseEncoding};

/// Kitty's flag for unambiguous escape codes.
const DISAMBIGUATE: u8 = 1;

/// Kitty's flag for repeated and released keys.
pub const EVENT_TYPES: u8 = 2;

/// Kitty's flag for all keys as escape codes.
const ALL_KEYS: u8 = 8;

/// Kitty's flag for the text of a key beside its code.
const TEXT: u8 = 16;

/// The bytes of a key; none for keys that a terminal sends nothing for.
pub fn key(event: KeyEvent, app: &Modes) -> Vec<u8> {
    let code = event.code;
    let mods = event.modifiers;
    if app.keyboard & (DISAMBIGUATE | ALL_KEYS) != 0
        && let Some(text) = unambiguous(event, app)
    {
        return text.into_bytes();
    }
    if event.kind == KeyEventKind::Release {
        return Vec::new();
    }
    let alt = if mods.contains(KeyModifiers::ALT) {
        "\x1b"
    } else {
        ""
    };
    match code {
        KeyCode::Char(c) => {
            let mut bytes = alt.as_bytes().to_vec();
            match control(c).filter(|_| mods.contains(KeyModifiers::CONTROL)) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            bytes
        }
        KeyCode::Enter if app.newline => format!("{alt}\r\n").into_bytes(),
        KeyCode::Enter => format!("{alt}\r").into_bytes(),
        KeyCode::Tab => format!("{alt}\t").into_bytes(),
        KeyCode::BackTab => format!("{alt}\x1b[Z").into_bytes(),
        KeyCode::Backspace if mods.contains(KeyModifiers::CONTROL) => {
            format!("{alt}\x08").into_bytes()
        }
        KeyCode::Backspace => format!("{alt}\x7f").into_bytes(),
        KeyCode::Esc => format!("{alt}\x1b").into_bytes(),
        KeyCode::Null => vec![0],
        _ => function(code, modifier(mods), "", app.app_cursor).into_bytes(),
    }
}

/// Pasted text: bracketed where the application asked for it, else as if typed.
pub fn paste(text: &str, app: &Modes) -> Vec<u8> {
    if app.bracketed_paste {
        // An end mark within the text would let the rest pass as typed.
        let text = text.replace("\x1b[201~", "");
        format!("\x1b[200~{text}\x1b[201~").into_bytes()
    } else {
        text.replace("\r\n", "\r").replace('\n', "\r").into_bytes()
    }
}

/// A mouse event in the cell `col`, `row` (from 0); nothing where the program didn't ask for it.
pub fn mouse(event: MouseEvent, col: u16, row: u16, app: &Modes) -> Vec<u8> {
    let number = |button| match button {
        MouseButton::Left => 0,
        MouseButton::Middle => 1,
        MouseButton::Right => 2,
    };
    let (code, pressed) = match event.kind {
        MouseEventKind::Down(button) => (number(button), true),
        MouseEventKind::Up(button) => (number(button), false),
        MouseEventKind::Drag(button) if app.mouse != Mouse::Click => (number(button) + 32, true),
        MouseEventKind::ScrollUp => (64, true),
        MouseEventKind::ScrollDown => (65, true),
        MouseEventKind::ScrollLeft => (66, true),
        MouseEventKind::ScrollRight => (67, true),
        _ => return Vec::new(),
    };
    let mods = 4 * u16::from(event.modifiers.contains(KeyModifiers::SHIFT))
        + 8 * u16::from(event.modifiers.contains(KeyModifiers::ALT))
        + 16 * u16::from(event.modifiers.contains(KeyModifiers::CONTROL));
    if app.mouse_encoding == MouseEncoding::Sgr {
        let end = if pressed { 'M' } else { 'm' };
        return format!("\x1b[<{};{};{}{end}", code + mods, col + 1, row + 1).into_bytes();
    }
    // The older form has no button in a release, and no room for columns beyond 223.
    let code = if pressed { code } else { 3 } + mods;
    let bytes = [code + 32, col + 33, row + 33].map(u8::try_from);
    match bytes {
        [Ok(code), Ok(col), Ok(row)] => vec![0x1b, b'[', b'M', code, col, row],
        _ => Vec::new(),
    }
}

/// The control character on a key.
fn control(c: char) -> Option<u8> {
    match c {
        'a'..='z' | 'A'..='Z' | '@' | '[' | '\\' | ']' | '^' | '_' => Some(c as u8 & 0x1f),
        ' ' | '2' => Some(0),
        // What terminals send for these digits, and what is read back from those control characters.
        '3'..='7' => Some(c as u8 - b'3' + 0x1b),
        '8' | '?' => Some(0x7f),
        '/' | '-' => Some(0x1f),
        _ => None,
    }
}

/// Cursor and function keys. `kind` is what was done with the key, where that is told.
fn function(code: KeyCode, modifier: u8, kind: &str, app_cursor: bool) -> String {
    let bare = modifier == 1 && kind.is_empty();
    let letter = |letter: char| {
        if !bare {
            format!("\x1b[1;{modifier}{kind}{letter}")
        } else if app_cursor || matches!(letter, 'P'..='S') {
            format!("\x1bO{letter}")
        } else {
            format!("\x1b[{letter}")
        }
    };
    let number = |number: u8| {
        if bare {
            format!("\x1b[{number}~")
        } else {
            format!("\x1b[{number};{modifier}{kind}~")
        }
    };
    match code {
        KeyCode::Up => letter('A'),
        KeyCode::Down => letter('B'),
        KeyCode::Right => letter('C'),
        KeyCode::Left => letter('D'),
        KeyCode::End => letter('F'),
        KeyCode::Home => letter('H'),
        KeyCode::Insert => number(2),
        KeyCode::Delete => number(3),
        KeyCode::PageUp => number(5),
        KeyCode::PageDown => number(6),
        KeyCode::F(n @ 1..=4) => letter(char::from(b'O' + n)),
        KeyCode::F(5) => number(15),
        KeyCode::F(n @ 6..=10) => number(11 + n),
        KeyCode::F(n @ 11..=12) => number(12 + n),
        _ => String::new(),
    }
}

/// Xterm's number for modifiers: one more than the sum of shift 1, alt 2, control 4.
fn modifier(mods: KeyModifiers) -> u8 {
    1 + u8::from(mods.contains(KeyModifiers::SHIFT))
        + 2 * u8::from(mods.contains(KeyModifiers::ALT))
        + 4 * u8::from(mods.contains(KeyModifiers::CONTROL))
}

/// Kitty's form of the keys whose old form means something else too, or of all where that is asked for; none where the old
/// form is right.
fn unambiguous(event: KeyEvent, app: &Modes) -> Option<String> {
    let flag = |flag| app.keyboard & flag != 0;
    let (mods, all) = (event.modifiers, flag(ALL_KEYS));
    let kind = match event.kind {
        KeyEventKind::Release if !flag(EVENT_TYPES) => return Some(String::new()),
        KeyEventKind::Repeat if flag(EVENT_TYPES) => ":2",
        KeyEventKind::Release => ":3",
        _ => "",
    };
    let modifier = modifier(mods);
    let plain = !all && modifier == 1;
    let number = match event.code {
        KeyCode::Esc => 27,
        // So that a shell can still be typed to after a program that set this and died.
        KeyCode::Enter | KeyCode::Tab | KeyCode::Backspace if plain => {
            return (kind == ":3").then(String::new);
        }
        KeyCode::Enter => 13,
        KeyCode::Tab | KeyCode::BackTab => 9,
        KeyCode::Backspace => 127,
        KeyCode::Char(c) => {
            let text = !mods.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
            if text && !all && kind != ":3" {
                return None;
            }
            c.to_lowercase().next().map_or(u32::from(c), u32::from)
        }
        code => {
            let text = function(code, modifier, kind, app.app_cursor);
            return (!text.is_empty()).then_some(text);
        }
    };
    let text = match event.code {
        KeyCode::Char(c) if all && flag(TEXT) && kind != ":3" => format!(";{}", u32::from(c)),
        _ => String::new(),
    };
    Some(if modifier > 1 || !kind.is_empty() || !text.is_empty() {
        format!("\x1b[{number};{modifier}{kind}{text}u")
    } else {
        format!("\x1b[{number}u")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(code: KeyCode, mods: KeyModifiers, app: &Modes) -> String {
        String::from_utf8(key(KeyEvent::new(code, mods), app)).unwrap()
    }

    #[test]
    fn keys_are_xterm_s() {
        let modes = Modes::default();
        let none = KeyModifiers::NONE;
        for (code, mods, expected) in [
            (KeyCode::Char('a'), none, "a"),
            (KeyCode::Char('é'), none, "é"),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, "\x03"),
            (KeyCode::Char('4'), KeyModifiers::CONTROL, "\x1c"),
            (KeyCode::Char(' '), KeyModifiers::CONTROL, "\0"),
            (KeyCode::Char('x'), KeyModifiers::ALT, "\x1bx"),
            (KeyCode::Enter, none, "\r"),
            (KeyCode::Backspace, none, "\x7f"),
            (KeyCode::Esc, none, "\x1b"),
            (KeyCode::Up, none, "\x1b[A"),
            (KeyCode::Up, KeyModifiers::CONTROL, "\x1b[1;5A"),
            (KeyCode::PageDown, none, "\x1b[6~"),
            (KeyCode::F(1), none, "\x1bOP"),
            (KeyCode::F(5), none, "\x1b[15~"),
            (KeyCode::F(6), none, "\x1b[17~"),
            (KeyCode::F(10), none, "\x1b[21~"),
            (KeyCode::F(11), none, "\x1b[23~"),
            (KeyCode::F(12), KeyModifiers::SHIFT, "\x1b[24;2~"),
            (KeyCode::BackTab, KeyModifiers::SHIFT, "\x1b[Z"),
        ] {
            assert_eq!(bytes(code, mods, &modes), expected, "{code:?} {mods:?}");
        }
    }

    #[test]
    fn modes_change_keys() {
        let app = Modes {
            app_cursor: true,
            ..Modes::default()
        };
        assert_eq!(bytes(KeyCode::Up, KeyModifiers::NONE, &app), "\x1bOA");
        let kitty = Modes {
            keyboard: 1,
            ..Modes::default()
        };
        assert_eq!(bytes(KeyCode::Esc, KeyModifiers::NONE, &kitty), "\x1b[27u");
        assert_eq!(
            bytes(KeyCode::Char('c'), KeyModifiers::CONTROL, &kitty),
            "\x1b[99;5u"
        );
        assert_eq!(bytes(KeyCode::Char('c'), KeyModifiers::NONE, &kitty), "c");
    }

    #[test]
    fn a_program_gets_keys_in_the_form_that_it_asked_for() {
        let told = |keyboard, code, mods, kind| {
            let modes = Modes {
                keyboard,
                ..Modes::default()
            };
            let event = KeyEvent::new_with_kind(code, mods, kind);
            String::from_utf8(key(event, &modes)).unwrap()
        };
        let (none, shift) = (KeyModifiers::NONE, KeyModifiers::SHIFT);
        let (press, release) = (KeyEventKind::Press, KeyEventKind::Release);
        let a = KeyCode::Char('a');
        for (flags, code, mods, kind, expected) in [
            (0, a, none, release, ""),
            (1, a, none, release, ""),
            (1, KeyCode::Enter, none, press, "\r"),
            (1, KeyCode::Enter, shift, press, "\x1b[13;2u"),
            (3, a, none, press, "a"),
            (3, a, none, release, "\x1b[97;1:3u"),
            (3, a, none, KeyEventKind::Repeat, "a"),
            (3, KeyCode::Up, none, release, "\x1b[1;1:3A"),
            (3, KeyCode::Enter, none, release, ""),
            (9, a, none, press, "\x1b[97u"),
            (9, KeyCode::Char('A'), shift, press, "\x1b[97;2u"),
            (9, KeyCode::Enter, none, press, "\x1b[13u"),
            (25, KeyCode::Char('A'), shift, press, "\x1b[97;2;65u"),
        ] {
            assert_eq!(
                told(flags, code, mods, kind),
                expected,
                "{code:?} with {flags}"
            );
        }
    }

    #[test]
    fn the_mouse_is_told_in_the_program_s_form() {
        let event = |kind| MouseEvent {
            kind,
            column: 0,
            row: 0,
            modifiers: KeyModifiers::NONE,
        };
        let mut app = Modes {
            mouse: Mouse::Click,
            mouse_encoding: MouseEncoding::Sgr,
            ..Modes::default()
        };
        let down = event(MouseEventKind::Down(MouseButton::Left));
        let up = event(MouseEventKind::Up(MouseButton::Left));
        let drag = event(MouseEventKind::Drag(MouseButton::Left));
        assert_eq!(mouse(down, 4, 1, &app), b"\x1b[<0;5;2M");
        assert_eq!(mouse(up, 4, 1, &app), b"\x1b[<0;5;2m");
        assert_eq!(mouse(drag, 4, 1, &app), b"");
        app.mouse_encoding = MouseEncoding::Bytes;
        assert_eq!(mouse(down, 4, 1, &app), b"\x1b[M %\"");
        assert_eq!(mouse(up, 4, 1, &app), b"\x1b[M#%\"");
        assert_eq!(mouse(down, 300, 1, &app), b"");
    }

    #[test]
    fn pasted_text_cannot_end_its_brackets() {
        let modes = Modes {
            bracketed_paste: true,
            ..Modes::default()
        };
        assert_eq!(paste("a\nb\x1b[201~c", &modes), b"\x1b[200~a\nbc\x1b[201~");
        assert_eq!(paste("a\nb", &Modes::default()), b"a\rb");
    }
}
