//! Who watches which channel, and pushes to them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use opsctl_protocol::message::{
    AgentList, DashboardConnect, ErrorCode, Event as Published, Publish, Rights, Since, Subscribe,
    Subscribed, SubscribedStream, Unsubscribe,
};
use opsctl_protocol::{AgentId, Channel, Header, Pattern, ToDashboard, limits};

use super::command::Command;
use super::{ConnId, Effect, Hub};
use crate::fanout::channel::Body;
use crate::fanout::outbox::{Begin, Cursor, Options, Outbox, Subscription};
use crate::fanout::{Piece, Stream};
use crate::ring::Bounds;
use crate::store::CommandRow;

/// What a channel other than a command's own holds for those who come back: output once more, in small measure, since
/// the command's ring has it too.
const CHANNEL_BOUNDS: Bounds = Bounds {
    entries: 4096,
    bytes: 1024 * 1024,
    lines: usize::MAX,
};

/// JSON in one `agent:list`, so that it stays below the largest message.
const LIST_BYTES: usize = limits::MAX_MESSAGE / 2;

/// Channels that are kept though they belong to no known agent or command. Beyond that, those that nobody watches go.
const MAX_TOPICS: usize = 1024;

/// A connected dashboard.
pub(super) struct Dashboard {
    /// Its mailbox.
    pub outbox: Arc<Outbox>,
    /// What it may do.
    pub rights: Rights,
    /// What it subscribed to, in order, with how.
    pub patterns: Vec<(Pattern, Options)>,
    /// The channels that these cover now.
    pub subscriptions: HashMap<Channel, Arc<Subscription>>,
}

/// A channel and those who watch it.
pub(super) struct ChannelState {
    /// What was pushed.
    pub stream: Arc<Stream>,
    /// Who is to be woken by a push.
    pub subscribers: Vec<(ConnId, Arc<Subscription>, Arc<Outbox>)>,
}

impl Hub {
    pub(super) fn handle_dashboard_joined(
        &mut self,
        conn: ConnId,
        rights: Rights,
        hello: &DashboardConnect,
        id: Option<String>,
        outbox: Arc<Outbox>,
    ) {
        tracing::debug!(%conn, subject = rights.subject, client = hello.client, "a dashboard connected");
        let connected = self.connected(conn, rights.clone(), std::collections::BTreeMap::new());
        let dashboard = Dashboard {
            outbox,
            rights,
            patterns: Vec::new(),
            subscriptions: HashMap::new(),
        };
        self.dashboards.insert(conn, dashboard);
        self.answer(conn, id, connected);
        let agents: Vec<AgentId> = self.agents.keys().cloned().collect();
        self.send_agents(conn, &agents);
    }

    pub(super) fn handle_dashboard_left(&mut self, conn: ConnId) {
        let Some(dashboard) = self.dashboards.remove(&conn) else {
            return;
        };
        for (channel, subscription) in dashboard.subscriptions {
            subscription.end();
            self.unwatch(&channel, conn);
        }
        for command in self.commands.values_mut() {
            command.writers.remove(&conn);
        }
    }

    /// Sends state copies of these agents, in messages of bounded size.
    fn send_agents(&self, conn: ConnId, agents: &[AgentId]) {
        let mut list = AgentList::default();
        let mut bytes = 0;
        for info in agents.iter().filter_map(|id| self.agent_info(id)) {
            let size = serde_json::to_vec(&info).map_or(0, |json| json.len());
            if bytes + size > LIST_BYTES && !list.agents.is_empty() {
                list.more = true;
                self.answer(conn, None, std::mem::take(&mut list));
                bytes = 0;
            }
            bytes += size;
            list.agents.push(info);
        }
        self.answer(conn, None, list);
    }

    pub(super) fn handle_subscribe(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        subscribe: Subscribe,
    ) {
        let Some(dashboard) = self.dashboards.get(&conn) else {
            return;
        };
        if dashboard.patterns.len() >= limits::MAX_SUBSCRIPTIONS {
            let why = format!(
                "a connection holds at most {} subscriptions",
                limits::MAX_SUBSCRIPTIONS
            );
            return self.refuse(conn, id, ErrorCode::BadRequest, why);
        }
        match subscribe.channel.concrete() {
            Some(Channel::Command(command_id)) if !self.commands.contains_key(&command_id) => {
                return self
                    .effects
                    .push(Effect::Find(conn, id, subscribe, command_id));
            }
            Some(Channel::Agent(agent_id)) if !self.agents.contains_key(&agent_id) => {
                // It may come later; whoever waits for it gets it then.
                self.ensure_channel(&Channel::Agent(agent_id.clone()), Some(agent_id));
            }
            Some(channel) => self.ensure_channel(&channel, None),
            None => {}
        }
        let since = subscribe.since.unwrap_or_default();
        let options = Options {
            no_output: subscribe.no_output,
            lossless: subscribe.lossless,
            terminal: false,
        };
        self.remember(conn, &subscribe.channel, options);
        let (mut streams, mut copies, mut fresh) = (Vec::new(), Vec::new(), Vec::new());
        for channel in self.uncovered(conn, &subscribe.channel) {
            let watched = self.watch(conn, &subscribe.channel, &channel, options, &since);
            let Some((stream, subscription)) = watched else {
                continue;
            };
            if let Channel::Agent(agent_id) = channel
                && !stream.recovered
            {
                copies.push(agent_id);
            }
            streams.push(stream);
            fresh.push(subscription);
        }
        let channel = subscribe.channel;
        self.answer(conn, id, Subscribed { channel, streams });
        if !copies.is_empty() {
            self.send_agents(conn, &copies);
        }
        self.start(conn, &fresh);
    }

    /// The channels that a pattern covers now, in order. One with a wildcard leaves alone what is watched already.
    fn uncovered(&self, conn: ConnId, pattern: &Pattern) -> Vec<Channel> {
        let Some(dashboard) = self.dashboards.get(&conn) else {
            return Vec::new();
        };
        let concrete = pattern.concrete().is_some();
        let mut channels: Vec<Channel> = self
            .channels
            .keys()
            .filter(|channel| pattern.matches(channel))
            .filter(|channel| concrete || !dashboard.subscriptions.contains_key(channel))
            .cloned()
            .collect();
        channels.sort();
        channels
    }

    /// A command that was not in memory has been looked for.
    pub(super) fn handle_found(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        subscribe: Subscribe,
        found: Option<(Box<CommandRow>, Arc<Stream>)>,
    ) {
        let Some((row, stream)) = found else {
            let why = format!(
                "no command has the id {}",
                subscribe.channel.as_str().trim_start_matches("command:")
            );
            return self.refuse(conn, id, ErrorCode::UnknownCommand, why);
        };
        let since = subscribe.since.unwrap_or_default();
        let begin = begin(&since, row.summary.output_bytes);
        let options = Options {
            no_output: subscribe.no_output,
            lossless: subscribe.lossless,
            terminal: row.summary.pty,
        };
        let cursor = Cursor {
            seq: 1,
            begin: Some(begin),
            ..Cursor::default()
        };
        let answer = SubscribedStream {
            channel: stream.channel.clone(),
            epoch: self.epoch.to_string(),
            seq: 0,
            offset: Some(first_offset(begin, &stream, row.summary.output_bytes)),
            recovered: true,
        };
        self.remember(conn, &subscribe.channel, options);
        let subscription = Subscription::new(
            subscribe.channel.clone(),
            Arc::clone(&stream),
            options,
            cursor,
        );
        if let Some(dashboard) = self.dashboards.get_mut(&conn) {
            dashboard
                .subscriptions
                .insert(stream.channel.clone(), Arc::clone(&subscription));
        }
        self.answer(
            conn,
            id,
            Subscribed {
                channel: subscribe.channel,
                streams: vec![answer],
            },
        );
        self.start(conn, &[subscription]);
    }

    fn remember(&mut self, conn: ConnId, pattern: &Pattern, options: Options) {
        if let Some(dashboard) = self.dashboards.get_mut(&conn) {
            dashboard.patterns.retain(|(held, _)| held != pattern);
            dashboard.patterns.push((pattern.clone(), options));
        }
    }

    /// Wakes fresh subscriptions, after their answer has been left.
    fn start(&self, conn: ConnId, fresh: &[Arc<Subscription>]) {
        if let Some(dashboard) = self.dashboards.get(&conn) {
            for subscription in fresh {
                dashboard.outbox.wake(subscription);
            }
        }
    }

    /// Subscribes a dashboard to one channel.
    fn watch(
        &mut self,
        conn: ConnId,
        pattern: &Pattern,
        channel: &Channel,
        mut options: Options,
        since: &Since,
    ) -> Option<(SubscribedStream, Arc<Subscription>)> {
        self.unwatch(channel, conn);
        let stream = Arc::clone(&self.channels.get(channel)?.stream);
        let (first, next) = {
            let ring = stream.ring();
            (ring.first(), ring.next())
        };
        let mut cursor = Cursor {
            seq: next,
            ..Cursor::default()
        };
        let mut offset = None;
        let mut recovered = false;
        if let Channel::Command(command_id) = channel {
            let command = self.commands.get(command_id)?;
            options.terminal = command.is_terminal();
            let begin = begin(since, command.end);
            let from = first_offset(begin, &stream, command.end);
            offset = Some(from);
            recovered = true;
            cursor = Cursor {
                seq: first,
                begin: Some(begin),
                ..Cursor::default()
            };
        } else {
            if let Some(position) = since.streams.get(&channel.to_string())
                && position.epoch == *self.epoch
                && (first..=next).contains(&(position.seq + 1))
            {
                cursor.seq = position.seq + 1;
                recovered = true;
            }
            if let Channel::Agent(agent_id) = channel
                && !recovered
            {
                cursor.offsets = self.ends_of(agent_id);
            }
        }
        let answer = SubscribedStream {
            channel: channel.clone(),
            epoch: self.epoch.to_string(),
            seq: cursor.seq - 1,
            offset,
            recovered,
        };
        let subscription = Subscription::new(pattern.clone(), stream, options, cursor);
        let dashboard = self.dashboards.get_mut(&conn)?;
        if let Some(old) = dashboard
            .subscriptions
            .insert(channel.clone(), Arc::clone(&subscription))
        {
            old.end();
        }
        let watcher = (
            conn,
            Arc::clone(&subscription),
            Arc::clone(&dashboard.outbox),
        );
        self.channels.get_mut(channel)?.subscribers.push(watcher);
        Some((answer, subscription))
    }

    pub(super) fn handle_unsubscribe(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        unsubscribe: Unsubscribe,
    ) {
        let Some(dashboard) = self.dashboards.get_mut(&conn) else {
            return;
        };
        dashboard
            .patterns
            .retain(|(pattern, _)| *pattern != unsubscribe.channel);
        let patterns = &dashboard.patterns;
        let mut ended = Vec::new();
        dashboard.subscriptions.retain(|channel, subscription| {
            let kept = patterns.iter().any(|(pattern, _)| pattern.matches(channel));
            if !kept {
                subscription.end();
                ended.push(channel.clone());
            }
            kept
        });
        for channel in ended {
            if let Channel::Command(command_id) = channel
                && let Some(command) = self.commands.get_mut(&command_id)
            {
                command.writers.remove(&conn);
            }
            self.unwatch(&channel, conn);
        }
        self.answer(conn, id, ToDashboard::Unsubscribed(unsubscribe));
    }

    fn unwatch(&mut self, channel: &Channel, conn: ConnId) {
        if let Some(state) = self.channels.get_mut(channel) {
            state.subscribers.retain(|(watcher, ..)| *watcher != conn);
        }
    }

    /// Makes sure that a channel exists, and subscribes those whose patterns cover it.
    pub(super) fn ensure_channel(&mut self, channel: &Channel, owner: Option<AgentId>) {
        if self.channels.contains_key(channel) {
            return;
        }
        self.make_room_for(channel);
        let bounds = match channel {
            Channel::Command(_) => self.command_bounds(),
            _ => CHANNEL_BOUNDS,
        };
        let stream = Arc::new(Stream::new(
            channel.clone(),
            Arc::clone(&self.epoch),
            owner,
            bounds,
        ));
        self.adopt_channel(channel, stream);
    }

    /// Anybody can name a channel; those that belong to nothing and that nobody watches must not pile up.
    fn make_room_for(&mut self, channel: &Channel) {
        let belongs = match channel {
            Channel::Command(_) => true,
            Channel::Agent(agent_id) => self.agents.contains_key(agent_id),
            Channel::Topic(..) | Channel::System => false,
        };
        if belongs {
            return;
        }
        self.topics.push_back(channel.clone());
        for _ in MAX_TOPICS..self.topics.len() {
            let Some(old) = self.topics.pop_front() else {
                return;
            };
            let known = matches!(&old, Channel::Agent(id) if self.agents.contains_key(id));
            let watched = self
                .channels
                .get(&old)
                .is_some_and(|state| !state.subscribers.is_empty());
            if watched {
                self.topics.push_back(old);
            } else if !known {
                self.channels.remove(&old);
            }
        }
    }

    /// Takes up a channel with what it already holds.
    pub(super) fn adopt_channel(&mut self, channel: &Channel, stream: Arc<Stream>) {
        if let Channel::Command(command_id) = channel {
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.insert(*command_id, Arc::clone(&stream));
        }
        let terminal = matches!(channel, Channel::Command(id) if self.commands.get(id).is_some_and(Command::is_terminal));
        let mut subscribers = Vec::new();
        for (conn, dashboard) in &mut self.dashboards {
            let Some((pattern, options)) = dashboard
                .patterns
                .iter()
                .find(|(pattern, _)| pattern.matches(channel))
            else {
                continue;
            };
            let cursor = Cursor {
                seq: 1,
                ..Cursor::default()
            };
            let options = Options {
                terminal,
                ..*options
            };
            let subscription =
                Subscription::new(pattern.clone(), Arc::clone(&stream), options, cursor);
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
                    outbox.wake(subscription);
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

/// How a command's delivery begins with what the client has. That may be more than the daemon has: what a daemon that
/// was killed had shown and not yet logged comes again from the agent, and must not be shown twice.
fn begin(since: &Since, end: u64) -> Begin {
    since.offset.map_or(Begin::Screen { end }, Begin::Offset)
}

/// The offset of the first output byte that a delivery sends.
fn first_offset(begin: Begin, stream: &Stream, end: u64) -> u64 {
    match begin {
        Begin::Offset(offset) => offset,
        Begin::Screen { .. } => stream.first_offset(end),
    }
}
