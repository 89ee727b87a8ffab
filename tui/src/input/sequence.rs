//! What one whole sequence of the terminal means.

use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use super::parser::key;

/// A control sequence with these parameters and this last byte; none where it is no event.
pub(super) fn sequence(parameters: &str, end: u8) -> Option<Event> {
    if let Some(mouse) = parameters.strip_prefix('<') {
        return self::mouse(mouse, end == b'm');
    }
    let mut parts = parameters.split(';');
    let first = parts.next().unwrap_or_default();
    let (modifiers, kind) = modifiers(parts.next().unwrap_or_default());
    let number = || first.parse::<u32>().ok();
    let code = match end {
        b'I' => return Some(Event::FocusGained),
        b'O' => return Some(Event::FocusLost),
        b'Z' => return Some(key(KeyCode::BackTab, KeyModifiers::SHIFT)),
        b'u' => return kitty(first, modifiers, kind),
        // xterm's modifyOtherKeys: `27;MODIFIERS;CHARACTER`.
        b'~' if first == "27" => {
            return kitty(parts.next().unwrap_or_default(), modifiers, kind);
        }
        b'~' => numbered(number()?)?,
        _ if first.is_empty() || first == "1" => single_shift(end)?,
        _ => return None,
    };
    Some(Event::Key(KeyEvent::new_with_kind(code, modifiers, kind)))
}

/// Modifiers and what was done with the key: `5`, `5:3`.
fn modifiers(text: &str) -> (KeyModifiers, KeyEventKind) {
    let (mask, kind) = text.split_once(':').unwrap_or((text, "1"));
    let mask = mask.parse::<u16>().unwrap_or(1).saturating_sub(1);
    let mut modifiers = KeyModifiers::NONE;
    for (bit, modifier) in [
        (1, KeyModifiers::SHIFT),
        (2, KeyModifiers::ALT),
        (4, KeyModifiers::CONTROL),
        (8, KeyModifiers::SUPER),
        (16, KeyModifiers::HYPER),
        (32, KeyModifiers::META),
    ] {
        modifiers.set(modifier, mask & bit != 0);
    }
    let kind = match kind {
        "2" => KeyEventKind::Repeat,
        "3" => KeyEventKind::Release,
        _ => KeyEventKind::Press,
    };
    (modifiers, kind)
}

/// The keys that end in a letter, after `ESC O` or `ESC [`.
pub(super) fn single_shift(byte: u8) -> Option<KeyCode> {
    Some(match byte {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'M' => KeyCode::Enter,
        b'P'..=b'S' => KeyCode::F(byte - b'P' + 1),
        // The keypad in its application mode.
        b'j'..=b'y' => KeyCode::Char(b"*+,-./0123456789"[usize::from(byte - b'j')].into()),
        _ => return None,
    })
}

/// The keys that have numbers before a `~`.
fn numbered(number: u32) -> Option<KeyCode> {
    Some(match number {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => KeyCode::F(number as u8 - 10),
        17..=21 => KeyCode::F(number as u8 - 11),
        23..=26 => KeyCode::F(number as u8 - 12),
        28 | 29 => KeyCode::F(number as u8 - 13),
        31..=34 => KeyCode::F(number as u8 - 14),
        _ => return None,
    })
}

/// `CHARACTER[:SHIFTED[:BASE]]` of kitty's protocol.
fn kitty(character: &str, modifiers: KeyModifiers, kind: KeyEventKind) -> Option<Event> {
    let mut forms = character.split(':').map(|form| form.parse::<u32>().ok());
    let number = forms.next()??;
    let shifted = forms.next().flatten().and_then(char::from_u32);
    let with_shift = modifiers.contains(KeyModifiers::SHIFT);
    let code = match number {
        27 => KeyCode::Esc,
        13 | 57_414 => KeyCode::Enter,
        9 if with_shift => KeyCode::BackTab,
        9 => KeyCode::Tab,
        127 => KeyCode::Backspace,
        57_376..=57_398 => KeyCode::F((number - 57_376) as u8 + 13),
        57_399..=57_413 | 57_415 | 57_416 => {
            KeyCode::Char(b"0123456789./*-+\r=,"[(number - 57_399) as usize].into())
        }
        57_417 => KeyCode::Left,
        57_418 => KeyCode::Right,
        57_419 => KeyCode::Up,
        57_420 => KeyCode::Down,
        57_421 => KeyCode::PageUp,
        57_422 => KeyCode::PageDown,
        57_423 => KeyCode::Home,
        57_424 => KeyCode::End,
        57_425 => KeyCode::Insert,
        57_426 => KeyCode::Delete,
        // Locks, media keys, and modifiers by themselves.
        57_344..=63_743 => return None,
        _ => {
            let c = char::from_u32(number).filter(|c| !c.is_control())?;
            let upper = || c.to_uppercase().next().unwrap_or(c);
            KeyCode::Char(if with_shift {
                shifted.unwrap_or_else(upper)
            } else {
                c
            })
        }
    };
    Some(Event::Key(KeyEvent::new_with_kind(code, modifiers, kind)))
}

/// `CODE;COLUMN;ROW` of the mouse's form 1006.
fn mouse(parameters: &str, released: bool) -> Option<Event> {
    let mut numbers = parameters
        .split(';')
        .map(|number| number.parse::<u16>().ok());
    let [code, column, row] = [numbers.next()??, numbers.next()??, numbers.next()??];
    let button = match code & 3 {
        0 => Some(MouseButton::Left),
        1 => Some(MouseButton::Middle),
        2 => Some(MouseButton::Right),
        _ => None,
    };
    let (wheel, moved) = (code & 64 != 0, code & 32 != 0);
    let kind = match (button, code & 3) {
        (_, 0) if wheel => MouseEventKind::ScrollUp,
        (_, 1) if wheel => MouseEventKind::ScrollDown,
        (_, 2) if wheel => MouseEventKind::ScrollLeft,
        (_, _) if wheel => MouseEventKind::ScrollRight,
        (Some(button), _) if moved => MouseEventKind::Drag(button),
        (None, _) if moved => MouseEventKind::Moved,
        (Some(button), _) if released => MouseEventKind::Up(button),
        (Some(button), _) => MouseEventKind::Down(button),
        (None, _) => return None,
    };
    let mut modifiers = KeyModifiers::NONE;
    modifiers.set(KeyModifiers::SHIFT, code & 4 != 0);
    modifiers.set(KeyModifiers::ALT, code & 8 != 0);
    modifiers.set(KeyModifiers::CONTROL, code & 16 != 0);
    Some(Event::Mouse(MouseEvent {
        kind,
        // Counted from 1 there.
        column: column.checked_sub(1)?,
        row: row.checked_sub(1)?,
        modifiers,
    }))
}
