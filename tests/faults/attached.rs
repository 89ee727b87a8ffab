//! What `opsctl attach` wrote to its terminal, held against what the program printed. The screen may be drawn anew, after
//! a connection was lost or a reader left behind; between two drawings every byte follows the one before it.

use crate::work::first_difference;

/// What the session writes before it draws anew; before its first drawing it shows nothing of the program.
const CLEAR: &[u8] = b"\x1b[0m\x1b[r\x1b[H\x1b[2J";

/// How a notice of the session begins.
const NOTICE: &[u8] = b"\r\n\x1b[7m[";

/// What the session writes when it has shown all, before it clears and before its last words.
const DONE: &[u8] = b"\x1b[0m";

/// Enough of a stretch to know where in the output it stands.
const ENOUGH: usize = 48;

const ESC: u8 = 0x1b;

const BELL: u8 = 0x07;

/// All that was written to the terminal is a part of the output, without a hole between two drawings; what came as it is
/// since the last drawing ends with the output, unless that is only `partial`.
pub fn check(written: &[u8], output: &[u8], partial: bool) -> Result<(), String> {
    let mut rest = &written[..own_words(written)];
    let mut last = Vec::new();
    while let Some(at) = find(rest, CLEAR) {
        rest = &rest[at + CLEAR.len()..];
        let drawing = &rest[..find(rest, CLEAR).unwrap_or(rest.len())];
        let told = &drawing[..find(drawing, NOTICE).unwrap_or(drawing.len())];
        last = stretch(told.strip_suffix(DONE).unwrap_or(told));
        check_stretch(&last, output)?;
    }
    if partial || output.ends_with(&last) {
        return Ok(());
    }
    let tail = &output[output.len().saturating_sub(last.len())..];
    Err(format!("the end: {}", first_difference(&last, tail)))
}

/// Where the session's last words begin; one that was killed has none.
fn own_words(written: &[u8]) -> usize {
    written
        .windows(DONE.len())
        .rposition(|window| window == DONE)
        .filter(|at| !written[*at..].starts_with(CLEAR))
        .unwrap_or(written.len())
}

/// The bytes of one drawing that came as they are: behind the picture, if it begins with one. The program prints no
/// control sequence, so the last one is the picture's. The session rings when the daemon does not take a key or a size;
/// the program never does.
fn stretch(drawing: &[u8]) -> Vec<u8> {
    let mut rest = drawing;
    while let Some(at) = rest.iter().position(|byte| *byte == ESC) {
        rest = &rest[at + sequence(&rest[at..])..];
    }
    rest.iter().copied().filter(|byte| *byte != BELL).collect()
}

/// The length of the control sequence that stands at the start.
fn sequence(bytes: &[u8]) -> usize {
    let end = match bytes.get(1) {
        Some(b'[') => bytes[2..]
            .iter()
            .position(|byte| (0x40..0x7f).contains(byte)),
        Some(b']') => bytes[2..].iter().position(|byte| *byte == BELL),
        // A character set.
        Some(b'(' | b')' | b'*' | b'+') => Some(0),
        Some(_) => return 2,
        None => return 1,
    };
    end.map_or(bytes.len(), |at| bytes.len().min(at + 3))
}

fn check_stretch(stretch: &[u8], output: &[u8]) -> Result<(), String> {
    let known = &stretch[..stretch.len().min(ENOUGH)];
    let Some(at) = find(output, known) else {
        let known = String::from_utf8_lossy(known);
        return Err(format!("{known:?} is nothing that the program printed"));
    };
    if output[at..].starts_with(stretch) {
        return Ok(());
    }
    let wanted = &output[at..output.len().min(at + stretch.len())];
    Err(format!(
        "from byte {at}: {}",
        first_difference(stretch, wanted)
    ))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// A damaged, a missing and a doubled line are found; what the session says is not taken for output.
pub fn check_self() {
    let lines: Vec<String> = (0..9)
        .map(|n| format!("{n:08} o some words that make it long enough {n:016x}\r\n"))
        .collect();
    let output = lines.concat();
    let shown = |told: &str| {
        let written = [CLEAR, told.as_bytes(), DONE, b"[exited 0]\r\n"].concat();
        check(&written, output.as_bytes(), false)
    };
    let with = |edit: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        edit(&mut lines);
        shown(&lines.concat())
    };
    assert_eq!(with(&|_| {}), Ok(()));
    assert!(with(&|lines| drop(lines.remove(4))).is_err());
    assert!(with(&|lines| lines.insert(4, lines[4].clone())).is_err());
    assert!(with(&|lines| lines[4].replace_range(12..13, "")).is_err());
    assert!(with(&|lines| lines.truncate(8)).is_err());
    assert!(with(&|lines| lines[0].replace_range(12..13, "X")).is_err());
    let notice = "\r\n\x1b[7m[lost]\x1b[0m\r\n\x1b[0m\x1b[0m\x1b[r\x1b[H\x1b[2J";
    let torn = &lines[4][..9];
    assert_eq!(
        with(&|lines| lines[4] = format!("{torn}{notice}{}", &lines[2..5].concat())),
        Ok(())
    );
    let twice = format!("\x1b[0m\x1b[0m\x1b[r\x1b[H\x1b[2J{}{output}", &lines[3]);
    assert!(shown(&twice).is_err());
    let picture = "\x1b[m\x1b[H\x1b[2J\x1b[3;1Hwords\x1b(B\x1b[4;1H";
    assert_eq!(shown(&format!("{picture}{}", lines[6..].concat())), Ok(()));
    assert_eq!(shown(picture), Ok(()));
    let killed = [CLEAR, lines[6].as_bytes(), b"of no line"].concat();
    assert!(check(&killed, output.as_bytes(), true).is_err());
    let not_started = b"[could not be started: no room]\r\n";
    assert_eq!(check(not_started, output.as_bytes(), true), Ok(()));
}
