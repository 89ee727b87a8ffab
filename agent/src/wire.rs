//! What an agent and a holder say to each other over the holder's unix socket.
//!
//! Every message is a length (u32, big-endian) and as many bytes. The first byte is the type: 1 and 2 are output and
//! input exactly as they travel between agent and daemon ([`opsctl_protocol::frame`]), so that the agent passes bulk on
//! without touching it; 16 is followed by JSON. A holder outlives the agent that started it, and a newer agent must
//! understand it: fields are only ever added, and have defaults.

use bytes::{BufMut, Bytes, BytesMut};
use opsctl_protocol::message::{CommandSpec, Foreground, Signal};
use opsctl_protocol::{CommandId, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::report::{Report, Said};
use crate::spool::SpoolLimits;

/// Bytes of the length before each message.
pub(crate) const PREFIX: usize = 4;

/// The largest message: a command with arguments and environment at their bound, each byte escaped by JSON.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// The socket's name within the holder's directory.
pub(crate) const SOCKET: &str = "sock";

const OUTPUT: u8 = 1;
const INPUT: u8 = 2;
const CONTROL: u8 = 16;

/// What the holder is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    /// The command's id.
    pub(crate) command_id: CommandId,
    /// The agent's name, for the program's environment.
    pub(crate) agent: String,
    /// What to run and how.
    pub(crate) spec: CommandSpec,
    /// How long each step of an escalation waits when the spec doesn't say, in milliseconds.
    pub(crate) kill_grace_ms: u64,
    /// The agent's main terminal.
    #[serde(default)]
    pub(crate) main: bool,
    /// How much unacknowledged output there may be.
    #[serde(default)]
    pub(crate) spool: SpoolLimits,
    /// How long the program goes on without an agent, in milliseconds; for ever, when absent.
    #[serde(default)]
    pub(crate) alone_ms: Option<u64>,
}

/// What the agent tells a holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(crate) enum ToHolder {
    /// Run this; the first message to a fresh holder.
    Job(Box<Job>),
    /// Send output from `from` on. Whatever was under way before the answering `Resumed` is void.
    Stream {
        /// Names this run of the stream.
        generation: u64,
        /// The first wanted byte.
        from: u64,
    },
    /// Send no output: there is nobody to pass it on to.
    Pause,
    /// Output before `offset` is durable elsewhere.
    Ack {
        /// The offset after the last durable byte.
        offset: u64,
    },
    /// The terminal has a new size.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// Send a signal to the program.
    Signal {
        /// Which.
        signal: Signal,
        /// TERM and KILL follow, each after a grace time.
        escalate: bool,
    },
    /// The daemon has what the program said up to this number.
    Noticed {
        /// The number of a [`FromHolder::Notice`].
        number: u64,
    },
    /// All is durable elsewhere: end.
    Settle,
}

/// What a holder tells the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(crate) enum FromHolder {
    /// The holder lives and waits for its job.
    Ready,
    /// To an agent that has found a holder of an earlier one: what it holds.
    Hello {
        /// What it runs.
        job: Box<Job>,
        /// How far it is.
        progress: Progress,
    },
    /// The program has started or ended. An end comes after all output where output is streamed.
    Progress(Progress),
    /// The answer to `Stream`: what follows belongs to it.
    Resumed {
        /// The stream's name.
        generation: u64,
        /// The first byte that follows, or is told to be gone; later than asked for only from holders of older agents.
        from: u64,
    },
    /// Stands in the output stream for output that is gone.
    Gap {
        /// The first missing byte.
        from: u64,
        /// The offset after the last missing byte.
        to: u64,
        /// Why, for people.
        reason: String,
    },
    /// Input has come, or has been given to the program.
    Consumed {
        /// Bytes of input so far; told again only after many.
        offset: u64,
        /// Bytes of input that the holder has; told at once. Absent from older holders.
        #[serde(default)]
        received: Option<u64>,
    },
    /// What the program says that it is doing; each takes the place of the one before.
    Report(Report),
    /// What is in front in the program's terminal; each takes the place of the one before.
    Foreground(Foreground),
    /// Something else that the program says. Said again to each agent until one answers with [`ToHolder::Noticed`].
    Notice {
        /// Its number, from 1.
        number: u64,
        /// What.
        said: Said,
    },
    /// Input was not taken.
    InputRefused {
        /// Why, for people.
        reason: String,
        /// Bytes of input that the holder has; it took nothing beyond. Absent from older holders.
        #[serde(default)]
        received: Option<u64>,
    },
}

/// How far a holder's program is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Progress {
    /// When it started; absent when it could not be.
    pub(crate) started_at: Option<Timestamp>,
    /// How it ended.
    pub(crate) end: Option<End>,
    /// The oldest output byte that is held.
    pub(crate) from: u64,
    /// The offset after the newest output byte.
    pub(crate) to: u64,
    /// Bytes of input that the program has been given.
    pub(crate) input: u64,
    /// Bytes of input that the holder has; absent from older holders.
    pub(crate) received: Option<u64>,
}

/// How a program ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct End {
    /// Its own code.
    pub(crate) exit_code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// Its time was up.
    pub(crate) timed_out: bool,
    /// Why it could not be started; then neither code nor signal stand.
    pub(crate) failure: Option<String>,
    /// Why nobody can say how it ended, only that it isn't running any more; then neither code nor signal stand.
    pub(crate) lost: Option<String>,
    /// When.
    pub(crate) at: Timestamp,
}

/// A message as it came.
#[derive(Debug)]
pub(crate) enum Incoming<C> {
    /// An output frame, whole.
    Output(Bytes),
    /// An input frame, whole.
    Input(Bytes),
    /// Anything else.
    Control(C),
}

/// What is no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The length passes the bound.
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// The type is unknown or the message empty.
    #[error("unknown message type {0:?}")]
    UnknownType(Option<u8>),
    /// The JSON does not fit.
    #[error("unreadable message")]
    Json(#[from] serde_json::Error),
}

/// Writes a control message with its length.
pub(crate) fn control<C: Serialize>(message: &C) -> Bytes {
    let mut out = BytesMut::with_capacity(128);
    out.put_u32(0);
    out.put_u8(CONTROL);
    let mut writer = out.writer();
    serde_json::to_writer(&mut writer, message).expect("these types are JSON");
    let mut out = writer.into_inner();
    let length = (out.len() - PREFIX) as u32;
    out[..PREFIX].copy_from_slice(&length.to_be_bytes());
    out.freeze()
}

/// The length that stands before a frame.
pub(crate) fn prefix(frame: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&(frame.len() as u32).to_be_bytes())
}

/// Takes the first whole message out of `buffer`, without copying bulk.
pub(crate) fn take<C: DeserializeOwned>(
    buffer: &mut BytesMut,
) -> Result<Option<Incoming<C>>, WireError> {
    let Some(length) = buffer.first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_BODY {
        return Err(WireError::TooLong(length));
    }
    if buffer.len() < PREFIX + length {
        return Ok(None);
    }
    let body = buffer.split_to(PREFIX + length).freeze().slice(PREFIX..);
    match body.first() {
        Some(&OUTPUT) => Ok(Some(Incoming::Output(body))),
        Some(&INPUT) => Ok(Some(Incoming::Input(body))),
        Some(&CONTROL) => Ok(Some(Incoming::Control(serde_json::from_slice(&body[1..])?))),
        other => Err(WireError::UnknownType(other.copied())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut() {
        let ack = control(&ToHolder::Ack { offset: 7 });
        let stream = control(&ToHolder::Stream {
            generation: 1,
            from: 2,
        });
        let bytes = [ack, stream].concat();
        let mut buffer = BytesMut::new();
        let mut got = Vec::new();
        for byte in bytes {
            buffer.put_u8(byte);
            if let Some(message) = take::<ToHolder>(&mut buffer).unwrap() {
                got.push(message);
            }
        }
        assert!(matches!(
            got[0],
            Incoming::Control(ToHolder::Ack { offset: 7 })
        ));
        assert!(matches!(
            got[1],
            Incoming::Control(ToHolder::Stream {
                generation: 1,
                from: 2
            })
        ));
        assert_eq!((got.len(), buffer.len()), (2, 0));
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(take::<ToHolder>(&mut BytesMut::from(&[255, 0, 0, 0, 0][..])).is_err());
        assert!(take::<ToHolder>(&mut BytesMut::from(&[0, 0, 0, 1, 9][..])).is_err());
        assert!(take::<ToHolder>(&mut BytesMut::from(&[0, 0, 0, 0][..])).is_err());
    }
}
