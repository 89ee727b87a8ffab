//! What of a message is typed, byte by byte. Pure.

/// The start of a bracketed paste.
const PASTE: &[u8] = b"\x1b[200~";

/// Its end.
const PASTED: &[u8] = b"\x1b[201~";

/// Characters of a message that are shown in lists.
const GLIMPSE: usize = 80;

/// A message as it is typed: line ends are `\n`, those at the end are left out, and other control characters are pictures
/// of themselves, so that no text ends the paste or presses a key.
pub(super) fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let picture = |char: char| match char {
        '\n' | '\t' => char,
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(char)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}' => '\u{fffd}',
        _ => char,
    };
    text.trim_end_matches('\n').chars().map(picture).collect()
}

/// Whether it can be typed as it is only within a paste: Enter and tab are keys otherwise.
pub(super) fn needs_paste(clean: &str) -> bool {
    clean.contains(['\n', '\t'])
}

/// The bytes. Line ends are what the Enter key sends, in a paste too, as terminals do it.
pub(super) fn bytes(clean: &str, as_paste: bool) -> Vec<u8> {
    let keys = clean.replace('\n', "\r").into_bytes();
    if as_paste {
        [PASTE, &keys, PASTED].concat()
    } else {
        keys
    }
}

/// How it begins, on one line.
pub(super) fn glimpse(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(GLIMPSE)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    if text.chars().nth(GLIMPSE).is_some() {
        line.push('…');
    }
    line
}

/// The same of an answer's keys: those that are no characters by their names, as they are written on keyboards.
pub(super) fn glimpse_keys(keys: &str) -> String {
    let named = keys.replace('\u{1b}', "Esc").replace('\r', "Enter");
    glimpse(&named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_presses_a_key() {
        let sly = "a\x1b[201~\rrm -rf /\x03\u{9b}A\x7f\r\nend\n\n";
        let clean = clean(sly);
        assert_eq!(clean, "a␛[201~\nrm -rf /␃\u{fffd}A␡\nend");
        assert!(needs_paste(&clean));
        let pasted = bytes(&clean, true);
        let inside = &pasted[PASTE.len()..pasted.len() - PASTED.len()];
        assert!(!inside.contains(&0x1b), "{pasted:?}");
        assert_eq!(bytes("a\nb", false), b"a\rb");
        assert_eq!(bytes("a\nb", true), b"\x1b[200~a\rb\x1b[201~");
    }

    #[test]
    fn a_glimpse_is_one_short_line() {
        assert_eq!(glimpse("one\ntwo"), "one two");
        assert_eq!(glimpse(&"x".repeat(81)).chars().count(), 81);
        assert_eq!(glimpse_keys("1"), "1");
        assert_eq!(glimpse_keys("\u{1b}"), "Esc");
    }
}
