//! A channel's ring of pushes. The hub writes, every subscriber's delivery reads; the lock is held for a push or a copy
//! of a few pointers, never over an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use opsctl_protocol::codec::EncodeError;
use opsctl_protocol::frame::Via;
use opsctl_protocol::message::{Kind, Payload, TerminalOutput};
use opsctl_protocol::{
    AgentId, Channel, CommandId, Header, OutputFrame, Timestamp, ToDashboard, encode,
};

use super::weight::weight;
use crate::ring::{Bounds, Ring, Weigh};

/// A piece of a command's output, shared by the rings that hold it.
#[derive(Debug)]
pub struct Piece {
    /// On which agent.
    pub agent_id: AgentId,
    /// Whose output.
    pub command_id: CommandId,
    /// Bytes of the command's output before this piece.
    pub offset: u64,
    /// Which output.
    pub kind: Kind,
    /// When the agent read it.
    pub time: Timestamp,
    /// The terminal's columns and rows from here on, where they changed.
    pub size: Option<(u16, u16)>,
    /// The bytes.
    pub data: Bytes,
}

impl Piece {
    /// The offset after this piece.
    pub fn end(&self) -> u64 {
        self.offset + self.data.len() as u64
    }

    /// The piece without its first bytes, as when a subscriber has them.
    #[must_use]
    pub fn from_offset(&self, offset: u64) -> Self {
        let skip = usize::try_from(offset.saturating_sub(self.offset))
            .unwrap_or(usize::MAX)
            .min(self.data.len());
        Self {
            agent_id: self.agent_id.clone(),
            command_id: self.command_id,
            offset: self.offset + skip as u64,
            kind: self.kind,
            time: self.time,
            size: self.size,
            data: self.data.slice(skip..),
        }
    }

    /// The piece as a binary frame.
    pub fn frame(&self, via: Via, seq: u64) -> Bytes {
        let frame = OutputFrame {
            command_id: self.command_id,
            kind: self.kind,
            via,
            seq,
            offset: self.offset,
            time: self.time,
            size: self.size,
            data: self.data.clone(),
        };
        frame.encode()
    }

    /// The piece as a message for text frames.
    pub fn message(&self) -> ToDashboard {
        ToDashboard::Output(TerminalOutput {
            agent_id: Some(self.agent_id.clone()),
            command_id: self.command_id,
            offset: self.offset,
            kind: self.kind,
            data: Payload(self.data.clone()),
            time: Some(self.time),
            cols: self.size.map(|(cols, _)| cols),
            rows: self.size.map(|(_, rows)| rows),
        })
    }
}

/// What a push says.
#[derive(Debug, Clone)]
pub enum Body {
    /// Output; what it weighs is bounded in bytes and lines.
    Output(Arc<Piece>),
    /// Anything else.
    Message(Arc<ToDashboard>),
}

impl Body {
    /// Whose output it is about, and where it starts: output itself, or a gap in it.
    fn starts_at(&self) -> Option<(CommandId, u64)> {
        match self {
            Self::Output(piece) => Some((piece.command_id, piece.offset)),
            Self::Message(message) => match &**message {
                ToDashboard::Gap(gap) => Some((gap.command_id, gap.from)),
                _ => None,
            },
        }
    }
}

/// One push on a channel. Whoever needs an encoding first makes it for all.
#[derive(Debug)]
pub struct Entry {
    /// The push's number in its channel.
    pub seq: u64,
    /// What it says.
    pub body: Body,
    /// When it was pushed.
    pub time: Timestamp,
    /// What the message takes in memory; see [`weight`].
    weight: usize,
    text: OnceLock<Option<Utf8Bytes>>,
    binary: OnceLock<Bytes>,
}

impl Weigh for Arc<Entry> {
    fn bytes(&self) -> usize {
        match &self.body {
            Body::Output(piece) => piece.data.len(),
            Body::Message(_) => self.weight,
        }
    }

    fn lines(&self) -> usize {
        match &self.body {
            Body::Output(piece) => memchr::memchr_iter(b'\n', &piece.data).count(),
            Body::Message(_) => 0,
        }
    }
}

impl Entry {
    /// The push as a text frame; `None` when it cannot be written, which the log has then told.
    pub fn text(&self, stream: &Stream) -> Option<Utf8Bytes> {
        self.text
            .get_or_init(|| {
                let built;
                let message = match &self.body {
                    Body::Message(message) => &**message,
                    Body::Output(piece) => {
                        built = piece.message();
                        &built
                    }
                };
                let header = stream.header(self.seq, self.time);
                encode(&header, message)
                    .map_err(|error| tell_unwritable(message, &error))
                    .ok()
                    .map(Into::into)
            })
            .clone()
    }

    /// Output as a binary frame; `None` for what travels as text.
    pub fn binary(&self, stream: &Stream) -> Option<Bytes> {
        match &self.body {
            Body::Output(piece) => Some(
                self.binary
                    .get_or_init(|| stream.frame(piece, self.seq))
                    .clone(),
            ),
            Body::Message(_) => None,
        }
    }
}

/// Tells the log that a message could not be written; a subscriber cannot help it.
pub fn tell_unwritable(message: &ToDashboard, error: &EncodeError) {
    use opsctl_protocol::message::Direction;
    tracing::error!(kind = message.kind(), %error, "a message could not be written");
}

/// A channel's pushes: what subscribers read with their cursors.
#[derive(Debug)]
pub struct Stream {
    /// The channel's name.
    pub channel: Channel,
    /// Which run of the daemon numbers it.
    pub epoch: Arc<str>,
    /// The agent that the channel belongs to, where it belongs to one.
    pub owner: Option<AgentId>,
    /// The channel is that of a command with a terminal, so that a screen can stand for what is skipped.
    pub terminal: bool,
    /// For a command's channel: how much it had put out when the channel was made. Who follows its agent since before then
    /// has nothing of it and needs nothing before this.
    pub base: u64,
    /// Made anew from store and log for one subscriber: what it tells are copies, since its numbers are not those under
    /// which the same was pushed before.
    read_back: bool,
    ring: Mutex<Ring<Arc<Entry>>>,
    /// The last state that was pushed, for subscribers that the ring has lapped.
    latest: Mutex<Option<Arc<ToDashboard>>>,
}

impl Stream {
    /// A channel on which nothing was pushed yet.
    pub fn new(channel: Channel, epoch: Arc<str>, owner: Option<AgentId>, bounds: Bounds) -> Self {
        Self {
            channel,
            epoch,
            owner,
            terminal: false,
            base: 0,
            read_back: false,
            ring: Mutex::new(Ring::new(bounds)),
            latest: Mutex::default(),
        }
    }

    /// The same, with its first push numbered thus: behind those of a channel of the same name that is no longer known.
    #[must_use]
    pub fn numbered_from(self, first: u64, bounds: Bounds) -> Self {
        Self {
            ring: Mutex::new(Ring::starting_at(first, bounds)),
            ..self
        }
    }

    /// The same, for a command; see [`Stream::terminal`] and [`Stream::base`].
    #[must_use]
    pub fn of_command(self, terminal: bool, base: u64) -> Self {
        Self {
            terminal,
            base,
            ..self
        }
    }

    /// The same for a single subscriber: nothing that it tells has a number.
    #[must_use]
    pub fn read_back(self) -> Self {
        Self {
            read_back: true,
            ..self
        }
    }

    /// Numbers a push and keeps it.
    pub fn push(&self, body: Body, time: Timestamp) {
        if let Body::Message(message) = &body
            && self.is_own_state(message)
        {
            *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(message));
        }
        let mut ring = self.ring();
        let seq = ring.next();
        let weight = match &body {
            Body::Message(message) => weight(message),
            Body::Output(_) => 0,
        };
        ring.push(Arc::new(Entry {
            seq,
            body,
            weight,
            time,
            text: OnceLock::new(),
            binary: OnceLock::new(),
        }));
    }

    /// Whether a message tells the state of what the channel is named after.
    fn is_own_state(&self, message: &ToDashboard) -> bool {
        match message {
            ToDashboard::Status(_) => matches!(self.channel, Channel::Command(_)),
            ToDashboard::AgentStatus(_) => matches!(self.channel, Channel::Agent(_)),
            _ => false,
        }
    }

    /// The last state that was pushed.
    pub fn latest(&self) -> Option<Arc<ToDashboard>> {
        self.latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The ring, for a short look.
    pub fn ring(&self) -> MutexGuard<'_, Ring<Arc<Entry>>> {
        // A panic elsewhere leaves the ring whole: every change to it is a single call.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number that the first push will get, while there is none.
    pub fn fresh_seq(&self) -> Option<u64> {
        let ring = self.ring();
        (ring.first() == ring.next()).then(|| ring.first())
    }

    /// The number of the last push.
    pub fn last_seq(&self) -> u64 {
        self.ring().next() - 1
    }

    /// Where the output of each command goes on that the pushes from `seq` on are about.
    pub fn offsets_at(&self, seq: u64) -> HashMap<CommandId, u64> {
        let ring = self.ring();
        let later = ring.iter().rev().take_while(|entry| entry.seq >= seq);
        // From the newest on, so that each command's oldest stays.
        later.filter_map(|entry| entry.body.starts_at()).collect()
    }

    /// The offset at which those begin who come now, or `end` when the ring holds no output: that of the oldest output
    /// within the ring's bounds.
    pub fn first_offset(&self, end: u64) -> u64 {
        first_offset(self.ring().recent(), end)
    }

    /// The offset of the oldest output that the ring still has, or `end` when it has none: where those go on who are on
    /// their way.
    pub fn oldest_offset(&self, end: u64) -> u64 {
        first_offset(self.ring().iter(), end)
    }

    /// The offset after the newest output in the ring, when it has any.
    pub fn end_offset(&self) -> Option<u64> {
        self.ring()
            .iter()
            .rev()
            .find_map(|entry| match &entry.body {
                Body::Output(piece) => Some(piece.end()),
                Body::Message(_) => None,
            })
    }

    /// The envelope of a push on this channel.
    pub fn header(&self, seq: u64, timestamp: Timestamp) -> Header {
        if self.read_back {
            return Header {
                timestamp,
                ..Header::default()
            };
        }
        Header {
            timestamp,
            channel: Some(self.channel.clone()),
            epoch: Some(self.epoch.to_string()),
            seq: Some(seq),
            ..Header::default()
        }
    }

    /// A piece of output as a binary frame, under this number where the channel's pushes have any.
    pub fn frame(&self, piece: &Piece, seq: u64) -> Bytes {
        piece.frame(self.via(), if self.read_back { 0 } else { seq })
    }

    /// What binary frames on this channel say of it.
    fn via(&self) -> Via {
        match self.channel {
            _ if self.read_back => Via::Direct,
            Channel::Command(_) => Via::Command,
            Channel::Agent(_) => Via::Agent,
            _ => Via::Direct,
        }
    }
}

/// The offset of the first output among entries, or `end` when there is none.
fn first_offset<'a>(mut entries: impl Iterator<Item = &'a Arc<Entry>>, end: u64) -> u64 {
    entries
        .find_map(|entry| match &entry.body {
            Body::Output(piece) => Some(piece.offset),
            Body::Message(_) => None,
        })
        .unwrap_or(end)
}
