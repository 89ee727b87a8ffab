//! Who watches which channel.

use std::collections::HashMap;
use std::sync::Arc;

use opsctl_protocol::message::{
    AgentList, DashboardConnect, ErrorCode, Rights, Since, Subscribe, Subscribed, SubscribedStream,
    Unsubscribe,
};
use opsctl_protocol::{AgentId, Channel, Header, Pattern, Timestamp, ToDashboard, limits};
use tokio::sync::Semaphore;

use super::{ConnId, Effect, Hub, Wire};
use crate::fanout::Stream;
use crate::fanout::outbox::{Begin, Cursor, Options, Outbox, Subscription};
use crate::store::CommandRow;

/// JSON in one `agent:list`, so that it stays below the largest message.
const LIST_BYTES: usize = limits::MAX_MESSAGE / 2;

/// Queries of one dashboard that the store answers at once; each reads up to a thousand rows into memory.
pub(super) const MAX_QUERIES: usize = 4;

/// A connected dashboard.
pub(super) struct Dashboard {
    /// Its mailbox.
    pub outbox: Arc<Outbox>,
    /// Its connection below its messages.
    pub wire: Arc<dyn Wire>,
    /// What its program calls itself.
    pub client: String,
    /// When it said who it is.
    pub since: Timestamp,
    /// What it may do.
    pub rights: Rights,
    /// What it subscribed to, in order, with how.
    pub patterns: Vec<(Pattern, Options)>,
    /// The channels that these cover now.
    pub subscriptions: HashMap<Channel, Arc<Subscription>>,
    /// Its requests that are being journaled.
    pub journaling: usize,
    /// A place for each query that may be under way.
    pub queries: Arc<Semaphore>,
}

impl Hub {
    pub(super) fn handle_dashboard_joined(
        &mut self,
        conn: ConnId,
        rights: Rights,
        hello: &DashboardConnect,
        id: Option<String>,
        (outbox, wire): (Arc<Outbox>, Arc<dyn Wire>),
    ) {
        tracing::debug!(%conn, subject = rights.subject, client = hello.client, "a dashboard connected");
        let connected = self.connected(
            conn,
            rights.clone(),
            self.options.dashboard_limits.clone(),
            std::collections::BTreeMap::new(),
        );
        let dashboard = Dashboard {
            outbox,
            wire,
            client: hello.client.clone(),
            since: self.now,
            rights,
            patterns: Vec::new(),
            subscriptions: HashMap::new(),
            journaling: 0,
            queries: Arc::new(Semaphore::new(MAX_QUERIES)),
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
        self.count_gone(&dashboard.wire);
        for (channel, subscription) in dashboard.subscriptions {
            subscription.end();
            self.unwatch(&channel, conn);
        }
        for command in self.commands.values_mut() {
            command.writers.remove(&conn);
            command.refused_keys.remove(&conn);
        }
    }

    /// Sends state copies of these agents, in messages of bounded size.
    fn send_agents(&self, conn: ConnId, agents: &[AgentId]) {
        let Some(dashboard) = self.dashboards.get(&conn) else {
            return;
        };
        let mut lists = Vec::new();
        let mut list = AgentList::default();
        let mut bytes = 0;
        for info in agents.iter().filter_map(|id| self.agent_info(id)) {
            let size = serde_json::to_vec(&info).map_or(0, |json| json.len());
            if bytes + size > LIST_BYTES && !list.agents.is_empty() {
                list.more = true;
                lists.push((Header::default(), std::mem::take(&mut list).into()));
                bytes = 0;
            }
            bytes += size;
            list.agents.push(info);
        }
        lists.push((Header::default(), list.into()));
        dashboard.outbox.control_all(lists);
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
        };
        self.remember(conn, &subscribe.channel, options);
        let (mut streams, mut copies, mut fresh) = (Vec::new(), Vec::new(), Vec::new());
        for channel in self.uncovered(conn, &subscribe.channel) {
            if let Channel::Command(command_id) = &channel {
                self.push_status_afresh(*command_id);
            }
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
        options: Options,
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
            if let Channel::Agent(agent_id) = channel {
                cursor.offsets = self.ends_of(agent_id);
                cursor.offsets.extend(stream.offsets_at(cursor.seq));
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
}

/// How a command's delivery begins with what the client has. That may be more than the daemon has: what a daemon that
/// was killed had shown and not yet logged comes again from the agent, and must not be shown twice.
fn begin(since: &Since, end: u64) -> Begin {
    since
        .offset
        .map_or(Begin::Screen { end }, |offset| Begin::Offset {
            offset,
            end,
        })
}

/// The offset of the first output byte that a delivery sends.
fn first_offset(begin: Begin, stream: &Stream, end: u64) -> u64 {
    match begin {
        Begin::Offset { offset, .. } => offset,
        Begin::Screen { .. } => stream.first_offset(end),
    }
}
