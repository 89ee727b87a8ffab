//! Channels, and pushes on them.

use std::sync::{Arc, PoisonError};

use opsctl_protocol::close::CloseCode;
use opsctl_protocol::message::{ErrorCode, Event as Published, Publish};
use opsctl_protocol::{AgentId, Channel, Header, ToDashboard};

use super::{ConnId, Hub};
use crate::fanout::channel::Body;
use crate::fanout::outbox::{Cursor, Outbox, Subscription};
use crate::fanout::{Piece, Stream};
use crate::ring::Bounds;

/// What a channel other than a command's own holds for those who come back: output once more, in small measure, since
/// the command's ring has it too.
const CHANNEL_BOUNDS: Bounds = Bounds {
    entries: 4096,
    bytes: 1024 * 1024,
    lines: usize::MAX,
    reserve: 0,
};

/// A channel and those who watch it.
pub(super) struct ChannelState {
    /// What was pushed.
    pub stream: Arc<Stream>,
    /// Who is to be woken by a push.
    pub subscribers: Vec<(ConnId, Arc<Subscription>, Arc<Outbox>)>,
}

impl Hub {
    /// Makes sure that a channel exists, and subscribes those whose patterns cover it.
    pub(super) fn ensure_channel(&mut self, channel: &Channel, owner: Option<AgentId>) {
        if self.channels.contains_key(channel) {
            return;
        }
        let bounds = match channel {
            Channel::Command(_) => self.command_bounds(),
            _ => CHANNEL_BOUNDS,
        };
        let mut stream = Stream::new(channel.clone(), Arc::clone(&self.epoch), owner, bounds);
        if let Channel::Command(command_id) = channel
            && let Some(command) = self.commands.get(command_id)
        {
            stream = stream.of_command(command.is_terminal(), command.end);
        }
        if !matches!(channel, Channel::Command(_)) {
            stream = stream.numbered_from(self.forgotten_seq + 1, bounds);
        }
        self.adopt_channel(channel, Arc::new(stream));
        if self.is_topic(channel) {
            self.note_topic(channel);
        }
    }

    /// Whether a channel is there only because somebody named it.
    fn is_topic(&self, channel: &Channel) -> bool {
        match channel {
            Channel::Command(_) => false,
            Channel::Agent(agent_id) => !self.agents.contains_key(agent_id),
            Channel::Topic(..) | Channel::System => true,
        }
    }

    /// Notes that a channel that belongs to nobody was made or published to, and lets go what is too much.
    pub(super) fn note_topic(&mut self, channel: &Channel) {
        let Some(state) = self.channels.get(channel) else {
            return;
        };
        let bytes = state.stream.ring().bytes();
        self.topics.touch(channel, bytes);
        while let Some(old) = self.topics.pop_excess() {
            self.forget_channel(&old);
        }
    }

    /// Lets a channel go. Those who watch it have all that was pushed, or come back to hear that they have not.
    fn forget_channel(&mut self, channel: &Channel) {
        let Some(state) = self.channels.remove(channel) else {
            return;
        };
        self.forgotten_seq = self.forgotten_seq.max(state.stream.last_seq());
        for (conn, subscription, outbox) in state.subscribers {
            if let Some(dashboard) = self.dashboards.get_mut(&conn) {
                dashboard.subscriptions.remove(channel);
            }
            if subscription.is_behind() {
                let why = format!("{channel} was not read before memory moved on past it");
                outbox.close(CloseCode::TooSlow, why);
            }
        }
    }

    /// Takes up a channel with what it already holds.
    pub(super) fn adopt_channel(&mut self, channel: &Channel, stream: Arc<Stream>) {
        if let Channel::Command(command_id) = channel {
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.insert(*command_id, Arc::clone(&stream));
        }
        let mut subscribers = Vec::new();
        // What was pushed under lower numbers, by a channel that was let go, is nothing that is missing here.
        let seq = stream.fresh_seq().unwrap_or(1);
        for (conn, dashboard) in &mut self.dashboards {
            let Some((pattern, options)) = dashboard
                .patterns
                .iter()
                .find(|(pattern, _)| pattern.matches(channel))
            else {
                continue;
            };
            let cursor = Cursor {
                seq,
                ..Cursor::default()
            };
            let subscription =
                Subscription::new(pattern.clone(), Arc::clone(&stream), *options, cursor);
            dashboard
                .subscriptions
                .insert(channel.clone(), Arc::clone(&subscription));
            subscribers.push((*conn, subscription, Arc::clone(&dashboard.outbox)));
        }
        self.channels.insert(
            channel.clone(),
            ChannelState {
                stream,
                subscribers,
            },
        );
    }

    /// Pushes a message on a channel.
    pub(super) fn push(&mut self, channel: &Channel, message: impl Into<ToDashboard>) {
        self.push_shared(channel, &Arc::new(message.into()));
    }

    /// Pushes the same message that other channels carry.
    pub(super) fn push_shared(&mut self, channel: &Channel, message: &Arc<ToDashboard>) {
        let owner = if let Channel::Agent(id) = channel {
            Some(id.clone())
        } else {
            None
        };
        self.ensure_channel(channel, owner);
        let Some(state) = self.channels.get(channel) else {
            return;
        };
        state
            .stream
            .push(Body::Message(Arc::clone(message)), self.now);
        for (_, subscription, outbox) in &state.subscribers {
            outbox.wake(subscription);
        }
        if self.topics.contains(channel) {
            self.note_topic(channel);
        }
    }

    /// Pushes output on a command's channel and its agent's.
    pub(super) fn push_output(&self, piece: &Arc<Piece>) {
        for channel in [
            Channel::Command(piece.command_id),
            Channel::Agent(piece.agent_id.clone()),
        ] {
            let Some(state) = self.channels.get(&channel) else {
                continue;
            };
            state.stream.push(Body::Output(Arc::clone(piece)), self.now);
            for (_, subscription, outbox) in &state.subscribers {
                if !subscription.no_output {
                    outbox.wake_for_output(subscription, piece.data.len());
                }
            }
        }
    }

    /// A command's channel is there as long as the command is in memory; others are made when they are needed.
    pub(super) fn can_publish(&self, channel: &Channel) -> bool {
        match channel {
            Channel::Command(command_id) => self.commands.contains_key(command_id),
            _ => true,
        }
    }

    pub(super) fn handle_publish(&mut self, conn: ConnId, id: Option<String>, publish: Publish) {
        let Some(dashboard) = self.dashboards.get(&conn) else {
            return;
        };
        let from = dashboard.rights.subject.clone();
        if !self.can_publish(&publish.channel) {
            let why = "no such command is running";
            return self.refuse(conn, id, ErrorCode::UnknownCommand, why);
        }
        let event = Published {
            event: publish.event,
            data: publish.data,
            from,
        };
        self.push(&publish.channel, event.clone());
        if id.is_some() {
            let header = Header {
                channel: Some(publish.channel),
                ..Header::answering(id)
            };
            if let Some(dashboard) = self.dashboards.get(&conn) {
                dashboard.outbox.control(header, event);
            }
        }
    }
}
