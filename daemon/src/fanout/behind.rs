//! What a delivery does for a subscription that the ring has left behind.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use opsctl_protocol::{AgentId, Channel, CommandId, Header, Timestamp, ToDashboard};

use super::channel::{Entry, Piece, Stream};
use super::delivery::{Batch, Delivery, gap, is_end, push_gap, push_message, state_copy};
use super::keyframe::Place;
use super::outbox::{Cursor, Subscription};
use super::replay::Replay;
use crate::log::LogError;
use crate::ring::{Ring, Weigh};

/// Why output is left out, for people.
const TOO_SLOW: &str = "the reader was too slow";

/// How old the next piece may be, in milliseconds, for who watches a terminal: with what is under way to it and drawn there,
/// nobody sees what is older than a tenth of a second.
const LATE_MS: u64 = 30;

/// Bytes that are sent all the same, however old: what a program prints in one go is seen whole, also by who was away for a
/// moment or reads a few megabytes a second.
const GRACE: usize = 512 * 1024;

/// Whether who is to read the entry with this number next, and may skip, is so late that the screen is worth more than what
/// leads to it: a flood is faster than its reader, by age or since the ring is about to drop the entry.
pub(super) fn is_late(ring: &Ring<Arc<Entry>>, next: u64, now: Timestamp) -> bool {
    if ring.is_about_to_drop(next) {
        return true;
    }
    let is_old = |entry: &Arc<Entry>| now.0.saturating_sub(entry.time.0) > LATE_MS;
    if !ring.get(next).is_some_and(is_old) {
        return false;
    }
    let mut waiting = 0;
    // From the back, where a flood has its large pieces.
    let newer = ring.iter().rev().take_while(|entry| entry.seq >= next);
    newer.map(Weigh::bytes).any(|bytes| {
        waiting += bytes;
        waiting > GRACE
    })
}

/// A part of a command's output that a subscription has missed and that is read back, a turn's worth at a time: what lies
/// behind it waits in the ring, not in memory of its own.
#[derive(Debug)]
pub struct Bridge {
    /// The command's own channel.
    stream: Arc<Stream>,
    replay: Replay,
    /// Where it ends.
    to: u64,
    /// What is told behind it.
    then: Option<(Header, Arc<ToDashboard>)>,
}

/// A part of a command's output that a subscription has missed.
struct Missed<'a> {
    agent_id: &'a AgentId,
    command_id: CommandId,
    /// The first missing byte.
    from: u64,
    /// The offset after the last one.
    to: u64,
}

impl Delivery {
    /// Fills the hole before `piece`. On a command's own channel the ring has moved on since the cursor was set, and
    /// what it dropped comes from the log.
    pub(super) async fn fill(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        piece: &Piece,
        expected: u64,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        let missed = Missed {
            agent_id: &piece.agent_id,
            command_id: piece.command_id,
            from: expected,
            to: piece.offset,
        };
        let own = matches!(subscription.stream.channel, Channel::Command(_));
        let stream = if own {
            Some(Arc::clone(&subscription.stream))
        } else {
            let streams = self.sources.streams.lock();
            let streams = streams.unwrap_or_else(PoisonError::into_inner);
            streams.get(&piece.command_id).cloned()
        };
        if let Some(stream) = stream {
            return self
                .bridge(subscription, cursor, &stream, missed, None, batch)
                .await;
        }
        let Missed {
            command_id,
            from,
            to,
            ..
        } = missed;
        push_gap(batch, &Header::default(), command_id, from, to, TOO_SLOW);
        cursor.offsets.insert(command_id, to);
        Ok(())
    }

    /// Has what was missed sent, and `then` behind it. A subscription that follows an agent and may skip gets a gap, and
    /// the screen of a terminal, for what the command's own ring has lost.
    async fn bridge(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        stream: &Arc<Stream>,
        missed: Missed<'_>,
        then: Option<(Header, Arc<ToDashboard>)>,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        let Missed {
            agent_id,
            command_id,
            mut from,
            to,
        } = missed;
        let own = matches!(subscription.stream.channel, Channel::Command(_));
        if !own && !subscription.lossless && stream.oldest_offset(to) > from {
            let snapshot = if stream.terminal {
                let keyframes = &self.sources.keyframes;
                Some(
                    keyframes
                        .at(Place::Front, agent_id, command_id, stream, to)
                        .await?,
                )
            } else {
                None
            };
            let front = snapshot.as_ref().map(|snapshot| snapshot.offset);
            let front = front.unwrap_or_else(|| stream.first_offset(to)).min(to);
            push_gap(batch, &Header::default(), command_id, from, front, TOO_SLOW);
            if let Some(snapshot) = snapshot.filter(|snapshot| snapshot.offset <= to) {
                push_message(batch, &Header::default(), &snapshot.into());
            }
            from = from.max(front);
        }
        cursor.offsets.insert(command_id, to);
        cursor.bridges.push_back(Bridge {
            stream: Arc::clone(stream),
            replay: Replay::new(
                self.sources.log.clone(),
                agent_id.clone(),
                command_id,
                from,
                to,
            ),
            to,
            then,
        });
        Ok(())
    }

    /// Sends what is being read back; true when the turn ended before all of it was.
    pub(super) async fn cross(
        &self,
        cursor: &mut Cursor,
        batch: &mut Batch,
    ) -> Result<bool, LogError> {
        while let Some(bridge) = cursor.bridges.front_mut() {
            let from = bridge.replay.offset();
            if let Some(found) = bridge.replay.next(&bridge.stream, bridge.to).await? {
                self.push_found(batch, &bridge.stream, from, found);
            } else {
                let crossed = cursor.bridges.pop_front();
                if let Some((header, message)) = crossed.and_then(|bridge| bridge.then) {
                    push_message(batch, &header, &message);
                }
            }
            if batch.is_full() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The ring has dropped what this subscription wanted next; it goes on at `first`.
    pub(super) async fn lapped(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        first: u64,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        let stream = &subscription.stream;
        let wanted = cursor.seq;
        cursor.seq = cursor.seq.max(first);
        if let Channel::Command(command_id) = stream.channel
            && !subscription.no_output
        {
            let left_out = wanted..first;
            self.skip(subscription, cursor, command_id, left_out, batch)
                .await?;
        }
        // Looked at only now: a screen takes its time, and what is pushed meanwhile lies before where this goes on. A
        // command's end is the last push of all: it is still in the ring, and comes behind the output that it ends.
        if let Some(latest) = stream.latest()
            && !is_end(&latest)
        {
            push_message(batch, &Header::default(), &state_copy(&latest));
        }
        if let Channel::Agent(agent_id) = &stream.channel {
            self.catch_up(subscription, cursor, agent_id, batch).await?;
        }
        Ok(())
    }

    /// On a command's own channel: from the log for those who want everything, else a gap, and for a terminal the screen
    /// as it is now: whoever is too slow for the flood is not to see what is of the past by then.
    async fn skip(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        command_id: CommandId,
        left_out: Range<u64>,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        let stream = &subscription.stream;
        let expected = cursor.offsets.get(&command_id).copied().unwrap_or_default();
        if subscription.lossless {
            self.follow_from(subscription, cursor, command_id, expected..expected);
            return Ok(());
        }
        let mut snapshot = Batch::default();
        let to = if stream.terminal {
            self.snapshot(
                subscription,
                command_id,
                Place::End,
                expected,
                &mut snapshot,
            )
            .await?
        } else {
            stream.first_offset(expected)
        };
        let to = to.max(expected);
        self.follow_from(subscription, cursor, command_id, to..to);
        // Everything up to here is told with this, whatever the ring has dropped meanwhile.
        let passed = cursor.seq.max(left_out.end) - 1;
        if expected < to || left_out.start <= passed {
            // Where no output is missing it stands for the numbers alone.
            let header = stream.header(passed, Timestamp::now());
            push_message(batch, &header, &gap(command_id, expected..to, TOO_SLOW));
        }
        for frame in snapshot.frames {
            batch.push(frame);
        }
        Ok(())
    }

    /// For a subscription that follows an agent: its commands' output up to what the ring still has of it, and how each of
    /// them stands. What the ring has comes from there, with its numbers: whoever comes back with one of these has all
    /// output before it, and nothing that comes after it.
    async fn catch_up(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        agent_id: &AgentId,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        let streams: Vec<Arc<Stream>> = {
            let streams = self.sources.streams.lock();
            let streams = streams.unwrap_or_else(PoisonError::into_inner);
            let own = |stream: &&Arc<Stream>| stream.owner.as_ref() == Some(agent_id);
            streams.values().filter(own).cloned().collect()
        };
        // In this order: what is pushed in between is among what the ring has.
        let ends: Vec<Option<u64>> = streams.iter().map(|stream| stream.end_offset()).collect();
        let in_ring = subscription.stream.offsets_at(cursor.seq);
        for (stream, end) in streams.into_iter().zip(ends) {
            let Channel::Command(command_id) = stream.channel else {
                continue;
            };
            let next = in_ring.get(&command_id).copied();
            // The end of a command whose output is in the ring is there too, behind it.
            let latest = stream
                .latest()
                .filter(|latest| next.is_none() || !is_end(latest));
            // Whoever also follows the command itself must not take it for the end of that stream.
            let told = latest.map(|latest| {
                let header = Header {
                    channel: Some(subscription.stream.channel.clone()),
                    ..Header::default()
                };
                (header, latest)
            });
            let known = cursor.offsets.get(&command_id).copied();
            let from = known.unwrap_or(stream.base);
            if !subscription.no_output
                && let Some(to) = next.or(end)
                && from < to
            {
                let missed = Missed {
                    agent_id,
                    command_id,
                    from,
                    to,
                };
                self.bridge(subscription, cursor, &stream, missed, told, batch)
                    .await?;
            } else if let Some((header, latest)) = told {
                push_message(batch, &header, &latest);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use opsctl_protocol::message::Kind;

    use super::*;
    use crate::fanout::channel::Body;
    use crate::ring::Bounds;

    const BOUNDS: Bounds = Bounds {
        entries: 1000,
        bytes: 8 << 20,
        lines: 1000,
        reserve: 0,
    };

    /// A command's channel with so many pieces of so many bytes, one each millisecond from 1 on.
    fn flooded(pieces: u64, bytes: usize) -> Stream {
        let agent_id: AgentId = "a".parse().unwrap();
        let channel = Channel::Command(CommandId([1; 16]));
        let stream = Stream::new(channel, Arc::from("e"), Some(agent_id.clone()), BOUNDS);
        for number in 0..pieces {
            let piece = Piece {
                agent_id: agent_id.clone(),
                command_id: CommandId([1; 16]),
                offset: number * bytes as u64,
                kind: Kind::Output,
                time: Timestamp(0),
                size: None,
                data: Bytes::from(vec![b'x'; bytes]),
            };
            stream.push(Body::Output(Arc::new(piece)), Timestamp(number + 1));
        }
        stream
    }

    #[test]
    fn a_flood_is_late_by_its_age() {
        let stream = flooded(100, 32 * 1024);
        let ring = stream.ring();
        let now = Timestamp(100);
        assert!(is_late(&ring, 1, now));
        assert!(is_late(&ring, 100 - LATE_MS - 1, now));
        assert!(!is_late(&ring, 100 - LATE_MS, now), "it is not old");
        // It has rested since: what little is left is sent, whatever its age.
        let later = Timestamp(10_000);
        assert!(!is_late(&ring, 100 - 10, later));
        assert!(is_late(&ring, 100 - 20, later));
        assert!(
            !is_late(&ring, 101, later),
            "there is nothing to be late with"
        );
    }

    #[test]
    fn what_is_printed_in_one_go_is_seen_whole() {
        let stream = flooded(900, 500);
        assert!(!is_late(&stream.ring(), 1, Timestamp(10_000)));
    }
}
