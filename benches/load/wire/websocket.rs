//! The client's side of RFC 6455, as far as a well-behaved server makes it necessary.

use std::fmt::Write as _;

use anyhow::{Result, bail, ensure};

/// What a connection asks for when it becomes a WebSocket.
#[derive(Clone, Debug, Default)]
pub struct Upgrade {
    /// The path.
    pub path: String,
    /// For `Authorization: Bearer`.
    pub token: Option<String>,
    /// The subprotocol.
    pub subprotocol: Option<&'static str>,
}

impl Upgrade {
    /// The request.
    pub fn request(&self) -> Vec<u8> {
        let mut head = format!(
            "GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            self.path
        );
        if let Some(token) = &self.token {
            let _ = write!(head, "Authorization: Bearer {token}\r\n");
        }
        if let Some(subprotocol) = self.subprotocol {
            let _ = write!(head, "Sec-WebSocket-Protocol: {subprotocol}\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// The length of the answer's head; `None` when it isn't all there.
///
/// # Errors
/// When the server doesn't upgrade.
pub fn answer(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status == "101", "no WebSocket: {head}");
    Ok(Some(end + 4))
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// Text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The goodbye.
    Close = 8,
    /// Wants a pong.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

/// A frame from the server.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What it is.
    pub opcode: Opcode,
    /// What it holds.
    pub payload: &'a [u8],
}

/// The first frame and how many bytes it takes; `None` when it isn't all there.
///
/// # Errors
/// For frames that no server here sends: fragmented or masked ones.
pub fn read(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    let opcode = match first {
        0x81 => Opcode::Text,
        0x82 => Opcode::Binary,
        0x88 => Opcode::Close,
        0x89 => Opcode::Ping,
        0x8a => Opcode::Pong,
        other => bail!("a frame that starts with {other:#x}"),
    };
    let (length, header) = match second {
        126 if rest.len() >= 2 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), 4),
        127 if rest.len() >= 8 => {
            let mut length = [0; 8];
            length.copy_from_slice(&rest[..8]);
            (usize::try_from(u64::from_be_bytes(length))?, 10)
        }
        126 | 127 => return Ok(None),
        length => {
            ensure!(*length < 126, "a masked frame from a server");
            (usize::from(*length), 2)
        }
    };
    let end = header + length;
    Ok(bytes
        .get(header..end)
        .map(|payload| (Frame { opcode, payload }, end)))
}

/// Writes a frame. Its mask is zero, which every server has to apply like any other and which costs nothing here.
pub fn write(out: &mut Vec<u8>, opcode: Opcode, parts: &[&[u8]]) {
    const MASKED: u8 = 0x80;
    const IN_TWO_BYTES: u8 = 0x7e;
    const IN_EIGHT_BYTES: u8 = 0x7f;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(0x80 | opcode as u8);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => out.push(MASKED | short),
        (_, Ok(medium)) => {
            out.push(MASKED | IN_TWO_BYTES);
            out.extend(medium.to_be_bytes());
        }
        _ => {
            out.push(MASKED | IN_EIGHT_BYTES);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    for part in parts {
        out.extend_from_slice(part);
    }
}
