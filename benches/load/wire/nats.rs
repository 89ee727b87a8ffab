//! The few words of NATS' protocol that publishing and subscribing take.

use std::io::Write as _;

use anyhow::{Context, Result, bail};

/// What a client says first, without echo and acknowledgements.
pub const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\n";

/// Wants to know that all that was said before has been heard.
pub const PING: &[u8] = b"PING\r\n";

/// Something that the server said.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// Who it is; the connection is open.
    Info,
    /// Wants a pong.
    Ping,
    /// Answers [`PING`].
    Pong,
    /// A message of a subscription.
    Message(&'a [u8]),
    /// Nothing that matters.
    Other,
}

/// The first thing said and how many bytes it takes; `None` when it isn't all there.
///
/// # Errors
/// When the server complains.
pub fn read(bytes: &[u8]) -> Result<Option<(Said<'_>, usize)>> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let (line, next) = (&bytes[..end], end + 1);
    if line.starts_with(b"MSG ") {
        let text = std::str::from_utf8(line)?.trim_end();
        let length = text.rsplit(' ').next().context("a MSG has a length")?;
        let length: usize = length.parse()?;
        let Some(payload) = bytes.get(next..next + length + 2) else {
            return Ok(None);
        };
        return Ok(Some((Said::Message(&payload[..length]), next + length + 2)));
    }
    if line.starts_with(b"-ERR") {
        bail!("{}", String::from_utf8_lossy(line).trim_end());
    }
    let said = match line {
        [b'I', b'N', b'F', b'O', ..] => Said::Info,
        [b'P', b'I', b'N', b'G', ..] => Said::Ping,
        [b'P', b'O', b'N', b'G', ..] => Said::Pong,
        _ => Said::Other,
    };
    Ok(Some((said, next)))
}

/// Writes a publication.
pub fn publish(out: &mut Vec<u8>, subject: &str, payload: &[u8]) {
    // A vector takes everything.
    let _ = write!(out, "PUB {subject} {}\r\n", payload.len());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Writes a subscription.
pub fn subscribe(out: &mut Vec<u8>, subject: &str) {
    let _ = write!(out, "SUB {subject} 1\r\n");
}
