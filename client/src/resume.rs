//! What is subscribed, and how far each stream was seen: decides what to ask for after a reconnect and which pushes are
//! repeats. Pure: no sockets, no clock.
//!
//! A subscription to one command is resumed by the offset of its output; every other one by epoch and seq of each
//! channel.

mod cursor;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use opsctl_protocol::frame::Via;
use opsctl_protocol::message::{
    AgentInfo, CommandStatus, Position, Since, State, Subscribe, Subscribed, ToDashboard,
};
use opsctl_protocol::{AgentId, Channel, CommandId, Decoded, OutputFrame, Pattern};

use cursor::Cursor;

/// Channels whose position is remembered. A fleet beyond this resumes the rest as if it were new, which costs a copy of
/// the state and no more.
const MAX_POSITIONS: usize = 10_000;

/// Commands whose agent is remembered, to know the channel of their output; the same bound for the same reason.
const MAX_COMMANDS: usize = 100_000;

/// All subscriptions of a client.
#[derive(Debug, Default)]
pub(crate) struct Resume {
    /// What the program asked for, by pattern.
    subscriptions: BTreeMap<Pattern, Subscribe>,
    /// How far the output was seen, for each command that is subscribed by its id.
    cursors: HashMap<CommandId, Cursor>,
    /// How far every other channel was seen.
    positions: BTreeMap<Channel, Position>,
    /// Which agent's channel a command's output comes on.
    agents: HashMap<CommandId, AgentId>,
}

impl Resume {
    /// Remembers a subscription. Its stream starts anew with the daemon's answer; what comes of an older subscription to
    /// the same command until then is dropped.
    pub(crate) fn subscribe(&mut self, subscribe: &Subscribe) {
        if let Some(Channel::Command(id)) = subscribe.channel.concrete() {
            let from = subscribe.since.as_ref().and_then(|since| since.offset);
            self.cursors.insert(id, Cursor::asked(from));
        }
        self.subscriptions
            .insert(subscribe.channel.clone(), subscribe.clone());
    }

    /// Remembers that a command's screen is watched. Its stream starts anew with each connection. Returns the pattern.
    pub(crate) fn screen(&mut self, command: CommandId) -> Pattern {
        let channel = Pattern::exactly(&Channel::Command(command));
        self.subscribe(&Subscribe {
            channel: channel.clone(),
            since: None,
            lossless: false,
            no_output: false,
        });
        self.cursors.insert(command, Cursor::screen());
        channel
    }

    /// A subscription as the program asked for it.
    pub(crate) fn asked(&self, pattern: &Pattern) -> Option<&Subscribe> {
        self.subscriptions.get(pattern)
    }

    /// A subscription once more on the same connection, which the daemon had no time for: from where its streams stand.
    pub(crate) fn again(&self, pattern: &Pattern) -> Option<Subscribe> {
        Some(self.resumed(self.subscriptions.get(pattern)?))
    }

    /// Forgets a subscription; what still comes of it is dropped.
    pub(crate) fn remove(&mut self, pattern: &Pattern) {
        self.subscriptions.remove(pattern);
        if let Some(Channel::Command(id)) = pattern.concrete() {
            self.cursors.remove(&id);
        }
        let subscriptions = &self.subscriptions;
        self.positions.retain(|channel, _| {
            !pattern.matches(channel) || subscriptions.keys().any(|other| other.matches(channel))
        });
    }

    /// A new connection: what to subscribe on it so that every stream goes on where it stood.
    pub(crate) fn resume(&mut self) -> Vec<Subscribe> {
        for cursor in self.cursors.values_mut() {
            cursor.disconnected();
        }
        self.subscriptions
            .values()
            .map(|asked| self.resumed(asked))
            .collect()
    }

    /// The subscription with what is known now.
    fn resumed(&self, asked: &Subscribe) -> Subscribe {
        let mut subscribe = asked.clone();
        if let Some(Channel::Command(id)) = asked.channel.concrete() {
            if let Some(offset) = self.cursors.get(&id).and_then(Cursor::next) {
                subscribe.since = Some(Since {
                    offset: Some(offset),
                    ..Since::default()
                });
            }
            return subscribe;
        }
        let mut since = asked.since.clone().unwrap_or_default();
        for (channel, position) in &self.positions {
            if asked.channel.matches(channel) {
                since.streams.insert(channel.to_string(), position.clone());
            }
        }
        subscribe.since = (since != Since::default()).then_some(since);
        subscribe
    }

    /// The daemon's answer to a subscription: where each stream stands before what follows.
    pub(crate) fn subscribed(&mut self, subscribed: &Subscribed) {
        for stream in &subscribed.streams {
            match &stream.channel {
                Channel::Command(id) if self.cursors.contains_key(id) => {
                    if let Some(cursor) = self.cursors.get_mut(id) {
                        cursor.subscribed(stream.offset);
                    }
                }
                channel => self.stands_at(channel, &stream.epoch, stream.seq),
            }
        }
        // A command without any stream in the answer flows all the same.
        if let Some(Channel::Command(id)) = subscribed.channel.concrete()
            && let Some(cursor) = self.cursors.get_mut(&id)
        {
            cursor.subscribed(None);
        }
    }

    fn stands_at(&mut self, channel: &Channel, epoch: &str, seq: u64) {
        if let Some(position) = self.positions.get_mut(channel) {
            // Within an epoch a second, overlapping subscription never turns the position back.
            if position.epoch != epoch || position.seq < seq {
                position.seq = seq;
            }
            if position.epoch != epoch {
                epoch.clone_into(&mut position.epoch);
            }
        } else if self.positions.len() < MAX_POSITIONS {
            let position = Position {
                epoch: epoch.to_owned(),
                seq,
            };
            self.positions.insert(channel.clone(), position);
        }
    }

    /// A piece of output: what of it is new.
    pub(crate) fn output(&mut self, frame: OutputFrame) -> Option<OutputFrame> {
        let channel = match frame.via {
            Via::Command | Via::Direct => match self.cursors.get_mut(&frame.command_id) {
                Some(cursor) => return cursor.take(frame),
                None => Channel::Command(frame.command_id),
            },
            Via::Agent => match self.agents.get(&frame.command_id) {
                Some(agent) => Channel::Agent(agent.clone()),
                None => return Some(frame),
            },
        };
        self.is_news(&channel, None, frame.seq).then_some(frame)
    }

    /// A push with this number on a channel: whether it is covered by a subscription and was not seen before.
    fn is_news(&mut self, channel: &Channel, epoch: Option<&str>, seq: u64) -> bool {
        let Some(position) = self.positions.get_mut(channel) else {
            // Without a position nothing can be a repeat; what an ended subscription left under way is.
            let covered = self
                .subscriptions
                .keys()
                .any(|pattern| pattern.matches(channel));
            if let (true, Some(epoch)) = (covered, epoch) {
                self.stands_at(channel, epoch, seq);
            }
            return covered;
        };
        if let Some(epoch) = epoch.filter(|epoch| *epoch != position.epoch) {
            *position = Position {
                epoch: epoch.to_owned(),
                seq,
            };
            return true;
        }
        // Read back from the log, output has no number.
        if seq == 0 {
            return true;
        }
        let news = seq > position.seq;
        position.seq = position.seq.max(seq);
        news
    }

    /// A message that is no answer: whether it is new to the program.
    pub(crate) fn message(&mut self, decoded: &Decoded<ToDashboard>) -> bool {
        self.learn(&decoded.message);
        let header = &decoded.header;
        let by_offset = match &header.channel {
            Some(Channel::Command(id)) => self.cursors.contains_key(id),
            Some(_) => false,
            None => true,
        };
        if by_offset {
            return self.of_command(&decoded.message);
        }
        match (&header.channel, header.seq) {
            (Some(channel), Some(seq)) => {
                let channel = channel.clone();
                self.is_news(&channel, header.epoch.as_deref(), seq)
            }
            _ => true,
        }
    }

    /// What a command's own channel says beside output; `false` for what an ended subscription left under way.
    fn of_command(&mut self, message: &ToDashboard) -> bool {
        match message {
            ToDashboard::Gap(gap) => self
                .cursors
                .get_mut(&gap.command_id)
                .is_none_or(|cursor| cursor.gap(gap.to)),
            ToDashboard::Snapshot(snapshot) => {
                let cursor = self.cursors.get_mut(&snapshot.command_id);
                cursor.is_none_or(|cursor| cursor.snapshot(snapshot.offset))
            }
            ToDashboard::Status(status) => self
                .cursors
                .get_mut(&status.command_id)
                .is_none_or(|cursor| cursor.status(status.state)),
            _ => true,
        }
    }

    /// Remembers where commands run.
    fn learn(&mut self, message: &ToDashboard) {
        match message {
            ToDashboard::Status(status) => self.learn_status(status),
            ToDashboard::AgentStatus(agent) => self.learn_agent(agent),
            ToDashboard::AgentConnected(connected) => self.learn_agent(&connected.agent),
            ToDashboard::AgentList(list) => {
                list.agents.iter().for_each(|agent| self.learn_agent(agent));
            }
            _ => {}
        }
    }

    fn learn_status(&mut self, status: &CommandStatus) {
        let of_summary = status.command.as_ref().map(|command| &command.agent_id);
        if let Some(agent) = status.agent_id.as_ref().or(of_summary) {
            self.learn_command(status.command_id, agent, status.state);
        }
    }

    fn learn_agent(&mut self, agent: &AgentInfo) {
        for command in &agent.commands {
            self.learn_command(command.command_id, &agent.agent_id, command.state);
        }
    }

    fn learn_command(&mut self, id: CommandId, agent: &AgentId, state: State) {
        if state.is_final() {
            self.agents.remove(&id);
        } else if self.agents.len() < MAX_COMMANDS && !self.agents.contains_key(&id) {
            self.agents.insert(id, agent.clone());
        }
    }
}

/// The part of `data` from `skip` bytes on, sharing its memory.
fn tail(data: &Bytes, skip: u64) -> Bytes {
    data.slice(usize::try_from(skip).map_or(data.len(), |skip| skip.min(data.len()))..)
}
