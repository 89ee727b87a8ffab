//! What `opsctl attach` wrote to its terminal, held against what the program printed. The screen may be drawn anew, after
//! a connection was lost or a reader left behind; between two drawings every byte follows the one before it.

use crate::work::first_difference;

/// What the session writes before it draws anew.
const CLEAR: &[u8] = b"\x1b[0m\x1b[r\x1b[H\x1b[2J";

/// How a notice of the session begins.
const NOTICE: &[u8] = b"\r\n\x1b[7m[";

/// Enough of a stretch to know where in the output it stands.
const ENOUGH: usize = 48;

const ESC: u8 = 0x1b;

const BELL: u8 = 0x07;

/// All that was written to the terminal is a part of the output, without a hole between two drawings; the last drawing
/// ends with the output, unless that is only `partial`, of a command that was lost.
pub fn check(written: &[u8], output: &[u8], verdict: &str, partial: bool) -> Result<(), String> {
    let end = find(written, verdict.as_bytes()).unwrap_or(written.len());
    let mut rest = &written[..end];
    let mut last = Vec::new();
    loop {
        let next = find(rest, CLEAR);
        let drawing = &rest[..next.unwrap_or(rest.len())];
        let told = &drawing[..find(drawing, NOTICE).unwrap_or(drawing.len())];
        last = stretch(told).unwrap_or(last);
        check_stretch(&last, output)?;
        match next {
            Some(at) => rest = &rest[at + CLEAR.len()..],
            None => break,
        }
    }
    if partial || output.ends_with(&last) && !last.is_empty() {
        return Ok(());
    }
    let tail = &output[output.len().saturating_sub(last.len())..];
    Err(format!("the end: {}", first_difference(&last, tail)))
}

/// The bytes of one drawing that came as they are: behind the picture, if it begins with one. The program prints no
/// control sequence, so the last one is the picture's.
fn stretch(drawing: &[u8]) -> Option<Vec<u8>> {
    let mut runs = Vec::new();
    let mut rest = drawing;
    while let Some(at) = rest.iter().position(|byte| *byte == ESC) {
        runs.push(without_bells(&rest[..at]));
        rest = &rest[at + sequence(&rest[at..])..];
    }
    runs.push(without_bells(rest));
    runs.into_iter().rev().find(|run| !run.is_empty())
}

/// The session rings when the daemon does not take a key or a size; the program never does.
fn without_bells(run: &[u8]) -> Vec<u8> {
    run.iter().copied().filter(|byte| *byte != BELL).collect()
}

/// The length of the control sequence that stands at the start.
fn sequence(bytes: &[u8]) -> usize {
    let end = match bytes.get(1) {
        Some(b'[') => bytes[2..]
            .iter()
            .position(|byte| (0x40..0x7f).contains(byte)),
        Some(b']') => bytes[2..].iter().position(|byte| *byte == BELL),
        Some(_) => return 2,
        None => return 1,
    };
    end.map_or(bytes.len(), |at| at + 3)
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

/// A damaged, a missing and a doubled line are found.
pub fn check_self() {
    let lines: Vec<String> = (0..9)
        .map(|n| format!("{n:08} o some words that make it long enough {n:016x}\r\n"))
        .collect();
    let output = lines.concat();
    let with = |edit: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        edit(&mut lines);
        let written = [CLEAR, lines.concat().as_bytes(), b"[exited 0]\r\n"].concat();
        check(&written, output.as_bytes(), "[exited 0]", false)
    };
    assert_eq!(with(&|_| {}), Ok(()));
    assert!(with(&|lines| drop(lines.remove(4))).is_err());
    assert!(with(&|lines| lines.insert(4, lines[4].clone())).is_err());
    assert!(with(&|lines| lines[4].replace_range(12..13, "")).is_err());
    assert!(with(&|lines| lines.truncate(8)).is_err());
    assert!(with(&|lines| lines[0].replace_range(12..13, "X")).is_err());
    let notice = "\r\n\x1b[7m[lost]\x1b[0m\r\n\x1b[0m\x1b[r\x1b[H\x1b[2J";
    assert_eq!(
        with(&|lines| lines[4] = format!("{}{notice}{}", &lines[4][..9], &lines[2..5].concat())),
        Ok(())
    );
}
