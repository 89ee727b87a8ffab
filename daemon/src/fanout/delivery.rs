//! Turns one dashboard's outbox into frames: answers first, then each subscription with news in turn, from where its
//! cursor stands.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::task::yield_now;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use opsctl_protocol::close::CloseCode;
use opsctl_protocol::frame::Via;
use opsctl_protocol::message::{AgentList, Gap};
use opsctl_protocol::{AgentId, Channel, CommandId, Header, Timestamp, ToDashboard, encode};

use super::behind::is_late;
use super::channel::{Body, Entry, Piece, Stream, tell_unwritable};
use super::departures::Departures;
use super::keyframe::{Keyframes, Place};
use super::outbox::{Begin, Cursor, Next, Outbox, Subscription};
use super::pace::Pace;
use super::replay::{Found, Replay};
use crate::log::{Log, LogError};

/// Bytes gathered into one flush, and what one subscription may take of a turn.
const TURN_BYTES: usize = 32 * 1024;

/// Pushes copied out of a ring under one lock.
const TURN_ENTRIES: usize = 64;

/// The channels of commands that are in memory, for deliveries that follow an agent and must fill a hole.
pub type Streams = Arc<Mutex<HashMap<CommandId, Arc<Stream>>>>;

/// What every delivery shares.
#[derive(Clone)]
pub struct Sources {
    /// The output log.
    pub log: Log,
    /// Screens for those who come late.
    pub keyframes: Arc<Keyframes>,
    /// Commands in memory.
    pub streams: Streams,
}

/// One dashboard's delivery.
pub struct Delivery {
    outbox: Arc<Outbox>,
    /// Whether the dashboard takes binary frames.
    binary: bool,
    pub(super) sources: Sources,
    departures: Departures,
    pace: Pace,
    /// Whether the last flush's worth left something behind.
    more: bool,
    /// How many frames the last flush had: the next one gets room for as many at once.
    usual: usize,
}

/// Frames gathered for one flush.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) frames: Vec<Message>,
    bytes: usize,
}

impl Batch {
    pub(super) fn push(&mut self, frame: Message) {
        self.bytes += frame.len();
        self.frames.push(frame);
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= TURN_BYTES
    }
}

/// What a delivery has for its socket.
pub enum Gathered {
    /// Send these with one flush.
    Frames(Vec<Message>),
    /// Say goodbye.
    Close(CloseCode, String),
}

impl Delivery {
    /// A delivery for a dashboard.
    pub fn new(
        outbox: Arc<Outbox>,
        binary: bool,
        sources: Sources,
        departures: Departures,
    ) -> Self {
        Self {
            outbox,
            binary,
            sources,
            pace: departures.pace(),
            departures,
            more: false,
            usual: 0,
        }
    }

    /// Waits for news, and a little for what else comes, and gathers up to a flush's worth of it. Not cancel-safe:
    /// cursors move.
    pub async fn gather(&mut self) -> Gathered {
        loop {
            let departs = !self.more && self.wait().await;
            match self.gather_ready().await {
                // Whoever was woken has seen it already.
                Gathered::Frames(frames) if frames.is_empty() => {}
                gathered => {
                    if let Gathered::Frames(frames) = &gathered {
                        self.usual = frames.len();
                    }
                    self.pace.flushed(Instant::now());
                    if departs {
                        // All gather before the first one writes: a peer that is awake by then costs the others no wake-up.
                        yield_now().await;
                    }
                    return gathered;
                }
            }
        }
    }

    /// Waits for news that may go; true when it goes with others.
    async fn wait(&self) -> bool {
        // In a steady flow there is news by the next departure: nothing that comes before has to wake this task.
        let mut departs = self.hold().await;
        if !self.outbox.has_news() {
            self.outbox.news().await;
            departs = self.hold().await;
        }
        self.outbox.look();
        departs
    }

    /// Waits for the next departure, where output is held back now; true when it has come, and nothing urgent before it.
    async fn hold(&self) -> bool {
        self.pace.holds(Instant::now())
            && tokio::select! {
                () = self.departures.next() => true,
                () = self.outbox.urgent() => false,
            }
    }

    /// Gathers what there is, up to a flush's worth; that may be nothing.
    pub(super) async fn gather_ready(&mut self) -> Gathered {
        let mut batch = Batch {
            frames: Vec::with_capacity(self.usual),
            ..Batch::default()
        };
        self.more = true;
        loop {
            match self.outbox.try_next() {
                Some(Next::Control(header, message)) => push_message(&mut batch, &header, &message),
                Some(Next::Ping) => batch.push(Message::Ping(Bytes::new())),
                Some(Next::Close(code, reason)) if batch.frames.is_empty() => {
                    return Gathered::Close(code, reason);
                }
                Some(Next::Ready(subscription)) => {
                    match self.visit(&subscription, &mut batch).await {
                        Ok(true) => self.outbox.wake(&subscription),
                        Ok(false) => {}
                        Err(error) => {
                            tracing::error!(channel = %subscription.stream.channel, %error, "the output log cannot be read");
                            return Gathered::Close(
                                CloseCode::GoingAway,
                                "the output log cannot be read".to_owned(),
                            );
                        }
                    }
                }
                None => {
                    self.more = false;
                    return Gathered::Frames(batch.frames);
                }
                // What was gathered goes out first; the close is still there the next time.
                Some(Next::Close(..)) => return Gathered::Frames(batch.frames),
            }
            if batch.is_full() {
                return Gathered::Frames(batch.frames);
            }
        }
    }

    /// Gives a subscription its turn; true when it has more.
    async fn visit(
        &self,
        subscription: &Subscription,
        batch: &mut Batch,
    ) -> Result<bool, LogError> {
        if subscription.has_ended() {
            return Ok(false);
        }
        let mut cursor = subscription.take_cursor();
        let more = self.go_on(subscription, &mut cursor, batch).await;
        subscription.put_cursor(cursor);
        more
    }

    async fn go_on(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        batch: &mut Batch,
    ) -> Result<bool, LogError> {
        if let Some(begin) = cursor.begin.take() {
            self.begin(subscription, cursor, begin, batch).await?;
        }
        if self.cross(cursor, batch).await? {
            return Ok(true);
        }
        if cursor.replay.is_some() && self.replay(subscription, cursor, batch).await? {
            return Ok(true);
        }
        self.live(subscription, cursor, batch).await
    }

    async fn begin(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        begin: Begin,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        let Channel::Command(command_id) = subscription.stream.channel else {
            return Ok(());
        };
        let offset = match begin {
            Begin::Offset { offset, .. } => offset,
            Begin::Screen { end } => {
                let front = subscription.stream.first_offset(end);
                if front > 0 && subscription.stream.terminal && !subscription.no_output {
                    self.snapshot(subscription, command_id, Place::Front, end, batch)
                        .await?
                } else {
                    front
                }
            }
        };
        let end = begin.end().max(offset);
        self.follow_from(subscription, cursor, command_id, offset..end);
        if let Some(state) = passed_state(&subscription.stream, offset) {
            push_message(batch, &Header::default(), &state);
        }
        Ok(())
    }

    /// Goes on at the start of what is known to be there: in the ring where that reaches back far enough, else in the
    /// log.
    pub(super) fn follow_from(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        command_id: CommandId,
        output: Range<u64>,
    ) {
        let Range { start: offset, end } = output;
        cursor.offsets.insert(command_id, offset);
        let before_ring = subscription.stream.oldest_offset(end) > offset;
        if before_ring
            && !subscription.no_output
            && let Some(agent_id) = agent_of(&subscription.stream)
        {
            cursor.replay = Some(Box::new(Replay::new(
                self.sources.log.clone(),
                agent_id,
                command_id,
                offset,
                end,
            )));
        } else {
            cursor.seq = seq_after(&subscription.stream, offset);
        }
    }

    /// Sends the screen of a command at a place in its ring and returns the offset where output goes on.
    pub(super) async fn snapshot(
        &self,
        subscription: &Subscription,
        command_id: CommandId,
        place: Place,
        end: u64,
        batch: &mut Batch,
    ) -> Result<u64, LogError> {
        let Some(agent_id) = agent_of(&subscription.stream) else {
            return Ok(end);
        };
        let snapshot = self
            .sources
            .keyframes
            .at(place, &agent_id, command_id, &subscription.stream, end)
            .await?;
        let offset = snapshot.offset;
        push_message(batch, &Header::default(), &snapshot.into());
        Ok(offset)
    }

    /// Sends output from the log until the ring is reached; true when the turn ended before that. Whoever skips had come to
    /// a screen that the ring had left behind again by the time it was made: from the log such a reader would see a flood
    /// later and later, so that it gets the next screen.
    async fn replay(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        batch: &mut Batch,
    ) -> Result<bool, LogError> {
        let stream = &subscription.stream;
        let skips = cursor.skips(subscription);
        while let Some(replay) = &mut cursor.replay {
            if batch.is_full() {
                return Ok(true);
            }
            let until = replay.until(stream);
            if skips && replay.offset() < until {
                cursor.replay = None;
                let first = stream.ring().first();
                self.lapped(subscription, cursor, first, batch).await?;
                return Ok(true);
            }
            let from = replay.offset();
            if let Some(found) = replay.next(stream, until).await? {
                self.push_found(batch, stream, from, found);
            } else {
                let offset = replay.offset();
                cursor.replay = None;
                cursor.seq = seq_after(stream, offset);
                cursor.offsets.insert(piece_command(stream), offset);
                // The ring may have dropped one that was pushed meanwhile.
                if let Some(state) = passed_state(stream, offset) {
                    push_message(batch, &Header::default(), &state);
                }
            }
        }
        Ok(false)
    }

    /// Sends pushes from the ring; true when there are more.
    async fn live(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        batch: &mut Batch,
    ) -> Result<bool, LogError> {
        let stream = &subscription.stream;
        loop {
            let skips = cursor.skips(subscription);
            let (entries, first, is_all, is_late) = {
                let ring = stream.ring();
                let last = (cursor.seq + TURN_ENTRIES as u64).min(ring.next());
                let entries: Vec<Arc<Entry>> = (cursor.seq..last)
                    .filter_map(|seq| ring.get(seq).cloned())
                    .collect();
                let is_late = skips && is_late(&ring, cursor.seq, Timestamp::now());
                (entries, ring.first(), last == ring.next(), is_late)
            };
            if cursor.seq < first || is_late {
                self.lapped(subscription, cursor, first, batch).await?;
                return Ok(true);
            }
            for entry in entries {
                if batch.is_full() {
                    return Ok(true);
                }
                if !self.deliver(subscription, cursor, &entry, batch).await? {
                    return Ok(true);
                }
                cursor.seq = entry.seq + 1;
            }
            if is_all {
                // What is pushed from here on wakes the subscription again.
                cursor.was_live = true;
                return Ok(false);
            }
        }
    }

    /// Sends a push; false when there is a hole before it, which is to be crossed first.
    async fn deliver(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        entry: &Entry,
        batch: &mut Batch,
    ) -> Result<bool, LogError> {
        let stream = &subscription.stream;
        let Body::Output(piece) = &entry.body else {
            if let Body::Message(message) = &entry.body
                && let ToDashboard::Gap(gap) = &**message
            {
                pass(cursor, gap);
            }
            if let Some(text) = entry.text(stream) {
                batch.push(Message::Text(text));
            }
            return Ok(true);
        };
        if subscription.no_output {
            return Ok(true);
        }
        let next = cursor.offsets.entry(piece.command_id);
        let next = next.or_insert(piece.offset);
        let expected = *next;
        if expected < piece.offset {
            self.fill(subscription, cursor, piece, expected, batch)
                .await?;
            return Ok(false);
        }
        *next = expected.max(piece.end());
        if expected == piece.offset {
            self.push_entry(batch, stream, entry);
        } else if expected < piece.end() {
            self.push_part(batch, stream, entry.seq, &piece.from_offset(expected));
        }
        Ok(true)
    }

    fn push_entry(&self, batch: &mut Batch, stream: &Stream, entry: &Entry) {
        let binary = if self.binary {
            entry.binary(stream).map(Message::Binary)
        } else {
            None
        };
        if let Some(frame) = binary.or_else(|| entry.text(stream).map(Message::Text)) {
            batch.push(frame);
        }
    }

    /// A push of which the subscriber has the beginning.
    fn push_part(&self, batch: &mut Batch, stream: &Stream, seq: u64, piece: &Piece) {
        if self.binary {
            batch.push(Message::Binary(stream.frame(piece, seq)));
        } else {
            push_message(batch, &stream.header(seq, piece.time), &piece.message());
        }
    }

    /// What was found where output was looked for from `from` on.
    pub(super) fn push_found(&self, batch: &mut Batch, stream: &Stream, from: u64, found: Found) {
        match found {
            Found::Piece(piece) => self.push_piece(batch, &piece),
            Found::Gone { to, reason } => push_gap(
                batch,
                &Header::default(),
                piece_command(stream),
                from,
                to,
                reason,
            ),
        }
    }

    /// Output that was read back: its offset is its only number.
    fn push_piece(&self, batch: &mut Batch, piece: &Piece) {
        if self.binary {
            batch.push(Message::Binary(piece.frame(Via::Direct, 0)));
        } else {
            push_message(batch, &Header::default(), &piece.message());
        }
    }
}

pub(super) fn push_message(batch: &mut Batch, header: &Header, message: &ToDashboard) {
    match encode(header, message) {
        Ok(text) => batch.push(Message::text(text)),
        Err(error) => tell_unwritable(message, &error),
    }
}

pub(super) fn push_gap(
    batch: &mut Batch,
    header: &Header,
    command_id: CommandId,
    from: u64,
    to: u64,
    reason: &str,
) {
    if from < to {
        push_message(batch, header, &gap(command_id, from..to, reason));
    }
}

pub(super) fn gap(command_id: CommandId, missing: Range<u64>, reason: &str) -> ToDashboard {
    let gap = Gap {
        command_id,
        from: missing.start,
        to: missing.end,
        reason: reason.to_owned(),
    };
    gap.into()
}

/// Notes that output was announced as missing: what follows it leaves no hole.
fn pass(cursor: &mut Cursor, gap: &Gap) {
    let next = cursor.offsets.entry(gap.command_id).or_insert(gap.from);
    // Before it lies something that is still to be sent, or to be named, with the next piece.
    if *next >= gap.from {
        *next = gap.to.max(*next);
    }
}

/// Whether a message tells a command's end.
pub(super) fn is_end(message: &ToDashboard) -> bool {
    matches!(message, ToDashboard::Status(status) if status.state.is_final())
}

/// The state that a push told, in the form in which state is told outside of a channel's numbering.
pub(super) fn state_copy(latest: &ToDashboard) -> ToDashboard {
    match latest {
        ToDashboard::AgentStatus(agent) => AgentList {
            agents: vec![agent.clone()],
            more: false,
        }
        .into(),
        other => other.clone(),
    }
}

fn agent_of(stream: &Stream) -> Option<AgentId> {
    stream.owner.clone()
}

fn piece_command(stream: &Stream) -> CommandId {
    match stream.channel {
        Channel::Command(id) => id,
        _ => CommandId([0; 16]),
    }
}

/// The number of the first push behind the output that ends at `offset`.
fn seq_after(stream: &Stream, offset: u64) -> u64 {
    let ring = stream.ring();
    ring.iter()
        .rev()
        .find(|entry| matches!(&entry.body, Body::Output(piece) if piece.end() <= offset && !piece.data.is_empty()))
        .map_or(ring.first(), |entry| entry.seq + 1)
}

/// The command's state, where whoever begins at an offset of its output would not hear it: it was pushed before that, or the
/// ring has dropped it.
fn passed_state(stream: &Stream, offset: u64) -> Option<Arc<ToDashboard>> {
    let from = seq_after(stream, offset);
    let is_state = |entry: &Arc<Entry>| matches!(&entry.body, Body::Message(message) if matches!(**message, ToDashboard::Status(_)));
    let follows = stream
        .ring()
        .iter()
        .any(|entry| entry.seq >= from && is_state(entry));
    stream.latest().filter(|_| !follows)
}
