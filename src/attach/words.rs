//! What attach itself says: within the picture of a terminal, elsewhere beside the output.

use std::fmt::Display;

use bytes::Bytes;
use opsctl_protocol::message::{CommandStatus, State};

use crate::output::printer::{Piece, To};

/// A notice, for a terminal or for stderr.
pub(super) fn notice(words: &str, terminal: bool) -> Piece {
    if terminal {
        (To::Stdout, format!("\r\n{}\r\n", reversed(words)).into())
    } else {
        (To::Stderr, format!("opsctl: {words}\n").into())
    }
}

/// Notices in the corner of a picture that was drawn just now, with the cursor back where it was.
pub(super) fn in_corner(lines: &[impl Display]) -> Bytes {
    let lines = lines.iter().map(|line| reversed(&line.to_string()));
    let lines: Vec<String> = lines.collect();
    format!("\x1b7\x1b[H{}\x1b8", lines.join("\r\n")).into()
}

fn reversed(words: &str) -> String {
    format!("\x1b[7m[{words}]\x1b[0m")
}

/// How a command ended, for people.
pub(super) fn verdict(status: &CommandStatus) -> String {
    let reason = status
        .reason
        .as_ref()
        .map_or(String::new(), |reason| format!(": {reason}"));
    match (status.state, status.exit_code, status.signal) {
        (State::Exited, ..) if status.timed_out => "timed out".to_owned(),
        (State::Exited, Some(code), _) => format!("exited {code}"),
        (State::Exited, None, Some(signal)) => format!("ended by signal {signal}"),
        (State::Failed, ..) => format!("could not be started{reason}"),
        (state, ..) => format!("{state}{reason}"),
    }
}
