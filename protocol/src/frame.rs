//! Binary frames (`opsctl.v1.bin`): bulk without JSON's cost.
//!
//! Every frame starts with its type in one byte. Output (1) and input (2) share a header of 48 bytes, numbers big-endian:
//!
//! ```text
//!  0  type     u8   1 output, 2 input
//!  1  kind     u8   output: 0 output, 1 error, 2 info; input: 0
//!  2  via      u8   output to dashboards: 1 pushed on command:ID, 2 on agent:ID; else 0
//!  3  flags    u8   input: 1 nothing follows, 2 the offset counts; else 0
//!  4  cols     u16  output: the terminal's columns from here on, 0 where unchanged
//!  6  rows     u16  output: the terminal's rows from here on, 0 where unchanged
//!  8  seq      u64  output to dashboards: the push's number in its channel; else 0
//! 16  offset   u64  bytes before these, of this command's output or input
//! 24  time     u64  output: when the agent read it, in ms since the epoch, 0 where not known
//! 32  command  16 bytes, the command's id
//! 48  the bytes
//! ```
//!
//! A type of 3 is followed by the gzip of a whole envelope.

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{DecodeError, gunzip_envelope};
use crate::ids::{CommandId, Timestamp};
use crate::limits::{MAX_INTEGER, MAX_MESSAGE, MAX_TERMINAL_SIDE};
use crate::message::{CommandInput, Kind, Payload, TerminalOutput};

/// The bytes before the data in output and input frames.
pub const HEADER_BYTES: usize = 48;

const OUTPUT: u8 = 1;
const INPUT: u8 = 2;
const ENVELOPE: u8 = 3;

const FLAG_EOF: u8 = 1;
const FLAG_OFFSET: u8 = 2;

/// Which channel an output frame was pushed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Via {
    /// None: the frame comes from an agent.
    #[default]
    Direct,
    /// `command:ID`
    Command,
    /// `agent:ID`
    Agent,
}

/// A piece of a command's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFrame {
    /// Whose output.
    pub command_id: CommandId,
    /// Which output.
    pub kind: Kind,
    /// On which channel it was pushed.
    pub via: Via,
    /// The push's number in that channel.
    pub seq: u64,
    /// Bytes of this command's output before this piece.
    pub offset: u64,
    /// When the agent read it.
    pub time: Timestamp,
    /// The terminal's columns and rows from here on, where they changed.
    pub size: Option<(u16, u16)>,
    /// The bytes.
    pub data: Bytes,
}

impl OutputFrame {
    /// The offset after this piece.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.data.len() as u64)
    }

    /// Writes the frame.
    pub fn encode(&self) -> Bytes {
        let via = match self.via {
            Via::Direct => 0,
            Via::Command => 1,
            Via::Agent => 2,
        };
        let (cols, rows) = self.size.unwrap_or_default();
        let mut out = BytesMut::with_capacity(HEADER_BYTES + self.data.len());
        out.put_slice(&[OUTPUT, self.kind.number(), via, 0]);
        out.put_u16(cols);
        out.put_u16(rows);
        out.put_u64(self.seq);
        out.put_u64(self.offset);
        out.put_u64(self.time.0);
        out.put_slice(&self.command_id.0);
        out.put_slice(&self.data);
        out.freeze()
    }
}

impl From<TerminalOutput> for OutputFrame {
    fn from(output: TerminalOutput) -> Self {
        Self {
            command_id: output.command_id,
            kind: output.kind,
            via: Via::Direct,
            seq: 0,
            offset: output.offset,
            time: output.time.unwrap_or_default(),
            size: output.cols.zip(output.rows),
            data: output.data.0,
        }
    }
}

/// A binary frame, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinaryFrame {
    /// A piece of output.
    Output(OutputFrame),
    /// A piece of input.
    Input(CommandInput),
    /// A whole envelope, unpacked: the text that [`crate::decode`] reads.
    Envelope(String),
}

impl BinaryFrame {
    /// Reads a frame. The data shares `frame`'s memory.
    pub fn decode(frame: &Bytes) -> Result<Self, DecodeError> {
        if frame.len() > MAX_MESSAGE {
            return Err(DecodeError::TooBig);
        }
        let bad = |why: &str| DecodeError::Envelope(why.to_owned());
        match frame.first() {
            Some(&ENVELOPE) => gunzip_envelope(&frame[1..]).map(Self::Envelope),
            Some(&(OUTPUT | INPUT)) if frame.len() < HEADER_BYTES => {
                Err(bad("a binary frame's header has 48 bytes"))
            }
            Some(&OUTPUT) => decode_output(frame).map(Self::Output).map_err(bad),
            Some(&INPUT) => decode_input(frame).map(Self::Input).map_err(bad),
            Some(other) => Err(bad(&format!("unknown binary frame type {other}"))),
            None => Err(bad("the frame is empty")),
        }
    }
}

fn u16_at(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

fn u64_at(frame: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&frame[at..at + 8]);
    u64::from_be_bytes(bytes)
}

fn command_at(frame: &[u8], at: usize) -> CommandId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&frame[at..at + 16]);
    CommandId(bytes)
}

/// A number within the bound that JSON messages have too.
fn bounded_at(frame: &[u8], at: usize) -> Result<u64, &'static str> {
    let number = u64_at(frame, at);
    if number > MAX_INTEGER {
        Err("a number is out of range")
    } else {
        Ok(number)
    }
}

fn decode_output(frame: &Bytes) -> Result<OutputFrame, &'static str> {
    let size = (u16_at(frame, 4), u16_at(frame, 6));
    if size.0.max(size.1) > MAX_TERMINAL_SIDE {
        return Err("the terminal is too large");
    }
    Ok(OutputFrame {
        command_id: command_at(frame, 32),
        kind: Kind::from_number(frame[1]).ok_or("unknown kind")?,
        via: match frame[2] {
            0 => Via::Direct,
            1 => Via::Command,
            2 => Via::Agent,
            _ => return Err("unknown channel"),
        },
        seq: bounded_at(frame, 8)?,
        offset: bounded_at(frame, 16)?,
        time: Timestamp(bounded_at(frame, 24)?),
        size: (size.0 > 0 && size.1 > 0).then_some(size),
        data: frame.slice(HEADER_BYTES..),
    })
}

fn decode_input(frame: &Bytes) -> Result<CommandInput, &'static str> {
    let offset = bounded_at(frame, 16)?;
    Ok(CommandInput {
        command_id: command_at(frame, 32),
        data: Payload(frame.slice(HEADER_BYTES..)),
        offset: (frame[3] & FLAG_OFFSET != 0).then_some(offset),
        eof: frame[3] & FLAG_EOF != 0,
    })
}

/// Writes a piece of input.
pub fn encode_input(input: &CommandInput) -> Bytes {
    let mut flags = 0;
    if input.eof {
        flags |= FLAG_EOF;
    }
    if input.offset.is_some() {
        flags |= FLAG_OFFSET;
    }
    let mut out = BytesMut::with_capacity(HEADER_BYTES + input.data.0.len());
    out.put_slice(&[INPUT, 0, 0, flags]);
    out.put_bytes(0, 12);
    out.put_u64(input.offset.unwrap_or_default());
    out.put_u64(0);
    out.put_slice(&input.command_id.0);
    out.put_slice(&input.data.0);
    out.freeze()
}

/// Writes a whole envelope as one compressed frame.
pub fn encode_envelope(text: &str) -> Bytes {
    let packed = crate::codec::gzip(text.as_bytes());
    let mut out = BytesMut::with_capacity(1 + packed.len());
    out.put_u8(ENVELOPE);
    out.put_slice(&packed);
    out.freeze()
}
