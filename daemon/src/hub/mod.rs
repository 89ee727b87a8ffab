//! Who is online, which command is where, who watches what. One task owns a [`Hub`] and feeds it [`Event`]s; handlers are
//! synchronous, change state, leave messages in outboxes, and return [`Effect`]s for what needs the disk. No sockets, no
//! SQL, no clock: the time comes with the event.
//!
//! - [`agent`]: agents come, report, leave.
//! - [`reconcile`]: an agent is back, and both sides agree on its commands.
//! - [`request`]: what people ask for becomes commands, once.
//! - [`dispatch`]: which queued command goes to its agent next.
//! - [`withdraw`]: commands that end before they have started.
//! - [`forget`]: agents that will not come back.
//! - [`command`]: a command's life and output.
//! - [`steer`]: input, size, interrupts.
//! - [`subscribe`]: who watches which channel.
//! - [`channels`]: channels, and pushes on them.
//! - [`settle`]: what is durable, and what may be forgotten.

mod agent;
mod channels;
mod command;
mod dispatch;
mod forget;
mod reconcile;
mod request;
mod settle;
mod steer;
mod subscribe;
mod withdraw;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use opsctl_protocol::message::{
    AgentConnect, CommandQuery, CommandSummary, Connected, DashboardConnect, ErrorCode,
    ErrorPayload, LimitsInfo, Rights, Subscribe,
};
use opsctl_protocol::{
    AgentId, AgentMessage, Channel, CommandId, DashboardMessage, Header, OutputFrame, Timestamp,
    ToDashboard,
};

use crate::fanout::delivery::Streams;
use crate::fanout::{Outbox, Stream};
use crate::log::{Record, Room};
use crate::ring::Bounds;
use crate::store::{CommandRow, RequestRow};

pub use agent::AgentPort;
pub use settle::{RECENT_COMMANDS, Save, Version};
pub use withdraw::{Asked, Withdrawal};

use agent::Agent;
use channels::ChannelState;
use command::Command;
use request::Request;
use subscribe::Dashboard;

/// A connection's number, unique within a run of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl std::fmt::Display for ConnId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// What happens to the hub.
pub enum Event {
    /// An agent said who it is.
    AgentJoined {
        /// Its connection.
        conn: ConnId,
        /// Whom the token names.
        rights: Rights,
        /// What it said.
        hello: AgentConnect,
        /// The `id` to answer.
        id: Option<String>,
        /// The way to it.
        port: Box<dyn AgentPort>,
        /// What the disk knows of those among the commands it reported that are not in memory.
        recalled: HashMap<CommandId, Recalled>,
    },
    /// An agent said something.
    AgentSaid(ConnId, Header, AgentMessage),
    /// An agent's command has put something out. The room in the log comes with it, so that the hub never waits.
    AgentOutput(ConnId, OutputFrame, Room),
    /// An agent answered a ping after so many milliseconds.
    AgentLatency(ConnId, u64),
    /// An agent's connection ended, for this reason.
    AgentLeft(ConnId, String),
    /// A dashboard said who it is.
    DashboardJoined {
        /// Its connection.
        conn: ConnId,
        /// Whom the token names.
        rights: Rights,
        /// What it said.
        hello: DashboardConnect,
        /// The `id` to answer.
        id: Option<String>,
        /// Its mailbox.
        outbox: Arc<Outbox>,
    },
    /// A dashboard said something.
    DashboardSaid(ConnId, Header, DashboardMessage),
    /// A dashboard's connection ended.
    DashboardLeft(ConnId),
    /// The answer to [`Effect::Journal`].
    Journaled(String, Journaled),
    /// The answer to [`Effect::Find`].
    Found {
        /// Who asked.
        conn: ConnId,
        /// The `id` to answer.
        id: Option<String>,
        /// What was asked.
        subscribe: Subscribe,
        /// The command with a stream of its own, read from the store and the log.
        found: Option<(Box<CommandRow>, Arc<Stream>)>,
    },
    /// The answer to [`Effect::Save`]: these commands' rows are durable, as they were then.
    Saved(Vec<(CommandId, Version)>),
    /// The answer to [`Effect::Withdraw`]: it is durable, or why it could not be made so.
    Withdrawn(Box<Withdrawal>, Result<(), String>),
    /// Output before these offsets is durable.
    Durable(Vec<(CommandId, u64)>),
    /// A deadline of [`Hub::next_deadline`] has come.
    Tick,
    /// Everything that came before has been handled; whoever waits for that is told.
    Handled(oneshot::Sender<()>),
}

/// What the disk knows of a command that an agent reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recalled {
    /// Its end is in the store.
    Settled,
    /// The store does not know it; the log has its output up to this offset.
    Logged(u64),
}

/// What became of a request that was to be journaled.
pub enum Journaled {
    /// It is durable.
    New,
    /// The key was used before, by this request.
    Known(Box<RequestRow>),
    /// It could not be written.
    Failed(String),
}

/// What the hub wants done with the disk.
pub enum Effect {
    /// Make a request and its commands durable; answer with [`Event::Journaled`].
    Journal(Box<RequestRow>),
    /// Write these, until it works; answer with [`Event::Saved`] for the commands among them.
    Save(Vec<Save>),
    /// Make the end of commands that have not started durable; answer with [`Event::Withdrawn`]. Where somebody asked
    /// for it, one attempt is made, else as many as it takes.
    Withdraw(Box<Withdrawal>),
    /// Append to the output log.
    Log(Room, Record),
    /// Look for a command that is not in memory; answer with [`Event::Found`].
    Find(ConnId, Option<String>, Subscribe, CommandId),
    /// Answer a query from the store, together with what is in memory.
    Query(Box<Query>),
    /// A command's keyframe is no longer needed.
    Forget(CommandId),
}

/// A `command:query` that the store has to complete.
pub struct Query {
    /// Where the answer goes.
    pub outbox: Arc<Outbox>,
    /// The `id` to answer.
    pub id: Option<String>,
    /// What was asked.
    pub query: CommandQuery,
    /// The agents that its selector covers; `None` for all.
    pub agents: Option<Vec<AgentId>>,
    /// Commands in memory that fit; they are newer than what the store says.
    pub live: Vec<CommandSummary>,
    /// Every command in memory, so that the store's older word on it is not used.
    pub in_memory: HashSet<CommandId>,
}

/// How the hub keeps house.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// Lines of output that a command's ring holds.
    pub ring_lines: usize,
    /// Bytes of output that a command's ring holds.
    pub ring_bytes: usize,
    /// How often each side of a connection must be heard, as peers are told.
    pub heartbeat: Duration,
    /// The bounds as agents are told them.
    pub agent_limits: LimitsInfo,
    /// The bounds as dashboards are told them.
    pub dashboard_limits: LimitsInfo,
    /// The daemon's program version.
    pub version: String,
}

/// Everything that the daemon knows about the present.
pub struct Hub {
    options: HubOptions,
    /// Names this run of the daemon in the channels' numbering.
    epoch: Arc<str>,
    /// When this run of the daemon started.
    started_at: Timestamp,
    /// The time of the event that is being handled.
    now: Timestamp,
    /// Every agent that was ever seen.
    agents: BTreeMap<AgentId, Agent>,
    /// Which agent speaks through a connection. A replaced connection is not in here.
    agent_conns: HashMap<ConnId, AgentId>,
    /// Commands that have not ended, and the last ones that have.
    commands: HashMap<CommandId, Command>,
    /// Ended commands in memory, oldest first.
    recent: VecDeque<CommandId>,
    /// Requests that are being journaled or have commands that have not ended, by key.
    requests: HashMap<String, Request>,
    /// Connected dashboards.
    dashboards: HashMap<ConnId, Dashboard>,
    /// Every channel that something can be pushed on.
    channels: HashMap<Channel, ChannelState>,
    /// Channels that belong to no known agent or command, oldest first.
    topics: VecDeque<Channel>,
    /// The commands' channels once more, shared with deliveries.
    streams: Streams,
    /// When queued commands will have waited too long.
    deadlines: BTreeSet<(Timestamp, CommandId)>,
    /// Commands whose row in the store is behind, and since when.
    unsaved: HashSet<CommandId>,
    unsaved_since: Option<Timestamp>,
    /// When it was last saved that connected agents are alive.
    seen_saved: Timestamp,
    /// What the event being handled asks of the disk.
    effects: Vec<Effect>,
}

impl Hub {
    /// A hub that has just started.
    pub fn new(options: HubOptions, epoch: Arc<str>, streams: Streams) -> Self {
        Self {
            options,
            epoch,
            started_at: Timestamp::now(),
            now: Timestamp::now(),
            agents: BTreeMap::new(),
            agent_conns: HashMap::new(),
            commands: HashMap::new(),
            recent: VecDeque::new(),
            requests: HashMap::new(),
            dashboards: HashMap::new(),
            channels: HashMap::new(),
            topics: VecDeque::new(),
            streams,
            deadlines: BTreeSet::new(),
            unsaved: HashSet::new(),
            unsaved_since: None,
            seen_saved: Timestamp::now(),
            effects: Vec::new(),
        }
    }

    /// Handles one event and returns what the disk has to do.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        self.now = now;
        match event {
            Event::AgentJoined {
                conn,
                rights,
                hello,
                id,
                port,
                recalled,
            } => {
                self.handle_agent_joined(conn, &rights, hello, id, port, &recalled);
            }
            Event::AgentSaid(conn, header, message) => {
                self.handle_agent_said(conn, &header, message);
            }
            Event::AgentOutput(conn, frame, room) => self.handle_output(conn, &frame, room),
            Event::AgentLatency(conn, ms) => self.handle_latency(conn, ms),
            Event::AgentLeft(conn, reason) => self.handle_agent_left(conn, &reason),
            Event::DashboardJoined {
                conn,
                rights,
                hello,
                id,
                outbox,
            } => {
                self.handle_dashboard_joined(conn, rights, &hello, id, outbox);
            }
            Event::DashboardSaid(conn, header, message) => {
                self.handle_dashboard_said(conn, header.id, message);
            }
            Event::DashboardLeft(conn) => self.handle_dashboard_left(conn),
            Event::Journaled(key, outcome) => self.handle_journaled(&key, outcome),
            Event::Found {
                conn,
                id,
                subscribe,
                found,
            } => self.handle_found(conn, id, subscribe, found),
            Event::Saved(commands) => self.handle_saved(&commands),
            Event::Withdrawn(withdrawal, outcome) => {
                self.handle_withdrawn(*withdrawal, outcome);
            }
            Event::Durable(offsets) => self.handle_durable(&offsets),
            Event::Tick => {}
            Event::Handled(told) => {
                // Whoever asked may have stopped to wait.
                let _ = told.send(());
            }
        }
        self.expire();
        self.save_when_due();
        self.save_seen();
        std::mem::take(&mut self.effects)
    }

    /// When [`Event::Tick`] is due, if ever.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let save = self
            .unsaved_since
            .map(|since| Timestamp(since.0 + settle::SAVE_AFTER_MS));
        let expiry = self.deadlines.first().map(|(at, _)| *at);
        save.into_iter().chain(expiry).min()
    }

    fn handle_dashboard_said(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        message: DashboardMessage,
    ) {
        let Some(dashboard) = self.dashboards.get(&conn) else {
            return;
        };
        let operates = !matches!(
            message,
            DashboardMessage::Connect(_)
                | DashboardMessage::Subscribe(_)
                | DashboardMessage::Unsubscribe(_)
                | DashboardMessage::Query(_)
                | DashboardMessage::Ping(_)
        );
        if operates && !dashboard.rights.role.may_operate() {
            let role = dashboard.rights.role;
            let why = format!(
                "the role {role} may watch but not operate; ask for a token with the role operator"
            );
            return self.refuse(conn, id, ErrorCode::Forbidden, why);
        }
        match message {
            DashboardMessage::Connect(_) => {
                self.refuse(
                    conn,
                    id,
                    ErrorCode::AlreadyConnected,
                    "this connection has said who it is",
                );
            }
            DashboardMessage::Subscribe(subscribe) => self.handle_subscribe(conn, id, subscribe),
            DashboardMessage::Unsubscribe(unsubscribe) => {
                self.handle_unsubscribe(conn, id, unsubscribe);
            }
            DashboardMessage::Request(request) => self.handle_request(conn, id, request),
            DashboardMessage::Interrupt(interrupt) => self.handle_interrupt(conn, id, &interrupt),
            DashboardMessage::Cancel(cancel) => self.handle_cancel(conn, id, &cancel),
            DashboardMessage::Input(input) => self.handle_input(conn, id, &input),
            DashboardMessage::Resize(resize) => self.handle_resize(conn, id, &resize),
            DashboardMessage::Query(query) => self.handle_query(conn, id, query),
            DashboardMessage::Forget(forget) => self.handle_forget(conn, id, &forget.agent_id),
            DashboardMessage::Publish(publish) => self.handle_publish(conn, id, publish),
            DashboardMessage::Ping(nothing) => self.answer(conn, id, ToDashboard::Pong(nothing)),
        }
    }

    /// Answers a dashboard.
    fn answer(&self, conn: ConnId, id: Option<String>, message: impl Into<ToDashboard>) {
        if let Some(dashboard) = self.dashboards.get(&conn) {
            dashboard.outbox.control(Header::answering(id), message);
        }
    }

    /// Answers a dashboard that its message could not be served.
    fn refuse(
        &self,
        conn: ConnId,
        id: Option<String>,
        code: ErrorCode,
        message: impl Into<String>,
    ) {
        self.answer(conn, id, ErrorPayload::new(code, message));
    }

    fn connected(
        &self,
        conn: ConnId,
        rights: Rights,
        limits: LimitsInfo,
        commands: BTreeMap<CommandId, u64>,
    ) -> Connected {
        Connected {
            client_id: conn.to_string(),
            server_version: self.options.version.clone(),
            epoch: self.epoch.to_string(),
            started_at: Some(self.started_at),
            heartbeat_ms: self.options.heartbeat.as_millis() as u64,
            limits,
            rights,
            commands,
        }
    }

    /// Bounds of a command's channel: its output, and statuses in between.
    fn command_bounds(&self) -> Bounds {
        Bounds {
            entries: self.options.ring_lines * 2,
            bytes: self.options.ring_bytes,
            lines: self.options.ring_lines,
        }
    }
}

#[cfg(test)]
mod tests;
