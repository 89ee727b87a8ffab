//! Who is online, which command is where, who watches what. One task owns a [`Hub`] and feeds it [`Event`]s; handlers are
//! synchronous, change state, leave messages in outboxes, and return [`Effect`]s for what needs the disk. No sockets, no
//! SQL, no clock: the time comes with the event.
//!
//! - [`event`]: what happens to the hub, and what it wants done with the disk.
//! - [`agent`]: agents come, report, leave.
//! - [`reconcile`]: an agent is back, and both sides agree on its commands.
//! - [`request`]: what people ask for becomes commands, once.
//! - [`dispatch`]: which queued command goes to its agent next.
//! - [`withdraw`]: commands that end before they have started.
//! - [`forget`]: agents that will not come back.
//! - [`command`]: a command's life and output.
//! - [`input`]: what people type; [`keys`]: what of it is under way.
//! - [`doing`]: what commands and agents are doing.
//! - `clock`: the host's clock, which may be set back.
//! - [`connections`]: who is connected, and what goes over each connection; [`health`]: how the daemon is.
//! - [`steer`]: size, interrupts; [`interrupts`]: which of them have not arrived.
//! - [`typing`]: messages that are typed into terminals.
//! - [`subscribe`]: who watches which channel.
//! - [`channels`]: channels, and pushes on them.
//! - [`settle`]: what is durable, and what may be forgotten.

mod agent;
mod channels;
mod clock;
mod command;
mod connections;
mod dispatch;
mod doing;
mod event;
mod forget;
mod health;
mod input;
mod interrupts;
mod keys;
mod reconcile;
mod request;
mod settle;
mod steer;
mod subscribe;
mod topics;
mod typing;
mod withdraw;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use opsctl_protocol::message::{Connected, ErrorCode, ErrorPayload, LimitsInfo, Rights};
use opsctl_protocol::{
    AgentId, Channel, CommandId, DashboardMessage, Header, Timestamp, ToDashboard,
};

use crate::activity::Rules;
use crate::fanout::delivery::Streams;
use crate::ring::Bounds;

pub use agent::AgentPort;
pub use connections::Wire;
pub use event::{ConnId, Effect, Event, Journaled, Probe, Query, Recalled, Written};
pub use health::Survey;
pub use settle::{RECENT_COMMANDS, Save, Version};
pub use withdraw::{Asked, Withdrawal};

use agent::{Agent, AgentLink};
use channels::ChannelState;
use command::Command;
use connections::BothWays;
use request::Request;
use subscribe::Dashboard;
use topics::Topics;
use typing::{Message, Recall};

/// After how long somebody who has too much under way is to try again: as long as a slow disk takes for a few syncs.
const POSTPONED_MS: u64 = 100;

/// How the hub keeps house.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// Lines of output that a command's ring holds.
    pub ring_lines: usize,
    /// Bytes of output that a command's ring holds.
    pub ring_bytes: usize,
    /// Agents that may be known before a new name needs a token of its own.
    pub max_agents: usize,
    /// How often each side of a connection must be heard, as peers are told.
    pub heartbeat: Duration,
    /// The bounds as agents are told them.
    pub agent_limits: LimitsInfo,
    /// The bounds as dashboards are told them.
    pub dashboard_limits: LimitsInfo,
    /// The daemon's program version.
    pub version: String,
    /// What is made of programs' screens.
    pub rules: Arc<Rules>,
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
    /// What went over connections that have ended.
    gone: BothWays,
    /// Every channel that something can be pushed on.
    channels: HashMap<Channel, ChannelState>,
    /// Channels that belong to no known agent or command.
    topics: Topics,
    /// The highest number that a push on a channel had that is no longer known. Channels that are made go on behind it, so
    /// that nobody takes one of that name for the one that he has followed.
    forgotten_seq: u64,
    /// The commands' channels once more, shared with deliveries.
    streams: Streams,
    /// When queued commands will have waited too long.
    deadlines: BTreeSet<(Timestamp, CommandId)>,
    /// When something about what a command does is due.
    doing_due: BTreeSet<(Timestamp, CommandId)>,
    /// Messages for terminals that wait or are being typed, by key.
    messages: HashMap<String, Message>,
    /// Messages without a terminal that the store is asked for, by their keys.
    recalls: HashMap<String, Recall>,
    /// When it is looked again whether something is due for a terminal's messages.
    typing_due: BTreeSet<(Timestamp, CommandId)>,
    /// When what is known of a terminal's draft is to be written down.
    drafts_due: BTreeSet<(Timestamp, CommandId)>,
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
            gone: BothWays::default(),
            channels: HashMap::new(),
            topics: Topics::default(),
            forgotten_seq: 0,
            streams,
            deadlines: BTreeSet::new(),
            doing_due: BTreeSet::new(),
            messages: HashMap::new(),
            recalls: HashMap::new(),
            typing_due: BTreeSet::new(),
            drafts_due: BTreeSet::new(),
            unsaved: HashSet::new(),
            unsaved_since: None,
            seen_saved: Timestamp::now(),
            effects: Vec::new(),
        }
    }

    /// Handles one event and returns what the disk has to do.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        self.look_at_clock(now);
        let is_output = matches!(event, Event::AgentOutput(..));
        match event {
            Event::AgentJoined {
                conn,
                rights,
                hello,
                id,
                port,
                wire,
                recalled,
            } => {
                let link = AgentLink { conn, port, wire };
                self.handle_agent_joined(link, &rights, hello, id, &recalled);
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
                wire,
            } => {
                self.handle_dashboard_joined(conn, rights, &hello, id, (outbox, wire));
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
            Event::Looked(command_id, offset, found) => {
                self.handle_looked(command_id, offset, found);
            }
            Event::MessageWritten(key, written) => self.handle_message_written(&key, written),
            Event::Probed(key, takes_paste) => self.handle_probed(&key, takes_paste),
            Event::Tick => {}
            Event::Handled(told) => {
                // Whoever asked may have stopped to wait.
                let _ = told.send(());
            }
        }
        // Output moves only the messages of its own terminal, and has done so.
        if !is_output {
            self.type_everywhere();
        }
        self.expire();
        self.note_due();
        self.keep_drafts();
        self.save_when_due();
        self.save_seen();
        std::mem::take(&mut self.effects)
    }

    /// When [`Event::Tick`] is due, if ever.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let save = self
            .unsaved_since
            .map(|since| Timestamp(since.0 + settle::SAVE_AFTER_MS));
        let first = |set: &BTreeSet<(Timestamp, CommandId)>| set.first().map(|(at, _)| *at);
        [
            save,
            first(&self.deadlines),
            first(&self.doing_due),
            first(&self.typing_due),
            first(&self.drafts_due),
        ]
        .into_iter()
        .flatten()
        .min()
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
                | DashboardMessage::TypingQueue(_)
                | DashboardMessage::Daemon(_)
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
            DashboardMessage::Type(asked) => self.handle_type(conn, id, asked),
            DashboardMessage::CancelTyping(cancel) => self.handle_cancel_typing(conn, id, &cancel),
            DashboardMessage::TypingQueue(query) => self.handle_typing_queue(conn, id, &query),
            DashboardMessage::Forget(forget) => self.handle_forget(conn, id, &forget.agent_id),
            DashboardMessage::Connections(query) => self.handle_connections(conn, id, &query),
            DashboardMessage::Daemon(_) => self.handle_daemon_query(conn, id),
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

    /// Answers a dashboard that its message can be served a little later, and when to send it again.
    fn postpone(&self, conn: ConnId, id: Option<String>, why: &str) {
        let error = ErrorPayload {
            retry_after_ms: Some(POSTPONED_MS),
            ..ErrorPayload::new(
                ErrorCode::RateLimited,
                format!("{why}; try again in {POSTPONED_MS} ms"),
            )
        };
        self.answer(conn, id, error);
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

    /// Bounds of a command's channel.
    fn command_bounds(&self) -> Bounds {
        Bounds::of_command(self.options.ring_lines, self.options.ring_bytes)
    }
}

#[cfg(test)]
mod tests;
