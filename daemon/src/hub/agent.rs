//! Agents come, report, leave.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use opsctl_protocol::close::CloseCode;
use opsctl_protocol::message::{
    Activity, AgentConnect, AgentConnected, AgentDisconnected, AgentInfo, AgentReport,
    CommandInput, ErrorCode, ErrorPayload, Event as Published, Nothing, Presence, RECEIPTS, Rights,
    check_attributes,
};
use opsctl_protocol::{AgentId, AgentMessage, Channel, CommandId, Header, ToAgent, ToDashboard};

use super::command::Command;
use super::doing::Said;
use super::input::counted;
use super::interrupts::Interrupts;
use super::{ConnId, Effect, Hub, Recalled, Save, Wire};
use crate::store::AgentRow;

/// Commands shown with an agent, so that telling how it is stays a small message.
const SHOWN_COMMANDS: usize = 32;

/// The way to a connected agent. Nothing here waits.
pub trait AgentPort: Send {
    /// Sends a message ahead of all input. False when the agent has stopped reading.
    fn control(&self, header: &Header, message: ToAgent) -> bool;

    /// Sends input in order. False when too much is under way.
    fn input(&self, input: &CommandInput) -> bool;

    /// Ends the connection.
    fn close(&self, code: CloseCode, reason: &str);
}

/// An agent that was seen at least once.
pub(super) struct Agent {
    /// What the store keeps of it.
    pub row: AgentRow,
    /// The last measured round trip in milliseconds.
    pub latency_ms: Option<u64>,
    /// Its connection, while it has one.
    pub link: Option<AgentLink>,
    /// Commands that wait for it, in order.
    pub waiting: Vec<CommandId>,
    /// What it says that it is doing, since it has connected.
    pub said: Option<Said>,
    /// What its last terminal came to, until the next command starts.
    pub ended: Option<Said>,
    /// Interrupts that it has not answered.
    pub interrupts: Interrupts,
}

/// A connected agent's connection.
pub(super) struct AgentLink {
    /// Its number.
    pub conn: ConnId,
    /// The way to it.
    pub port: Box<dyn AgentPort>,
    /// What is known of it below its messages.
    pub wire: Arc<dyn Wire>,
}

impl Agent {
    /// Whether it says when it has an interrupt.
    pub(super) fn tells_receipts(&self) -> bool {
        let known = &self.row.capabilities;
        known.iter().any(|capability| capability == RECEIPTS)
    }

    /// How its main program failed, where that was the last of its terminals to end. An agent leaves with its main program.
    pub(super) fn failure(&self) -> Option<&Said> {
        self.ended
            .as_ref()
            .filter(|said| said.is_main && said.word.activity == Activity::Error)
    }

    /// Sends a message, if the agent is connected.
    pub(super) fn send(&self, message: ToAgent) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| link.port.control(&Header::default(), message))
    }
}

impl Hub {
    /// Takes up an agent from the store, at the start.
    pub fn restore_agent(&mut self, mut row: AgentRow) {
        // One that was connected when the last run of the daemon was killed has been away since it was last heard.
        row.since = row.since.max(row.last_seen);
        let agent_id = row.agent_id.clone();
        let agent = Agent {
            row,
            latency_ms: None,
            link: None,
            waiting: Vec::new(),
            said: None,
            ended: None,
            interrupts: Interrupts::default(),
        };
        self.agents.insert(agent_id.clone(), agent);
        // Watchers may have been waiting for the name.
        self.topics.remove(&Channel::Agent(agent_id.clone()));
        self.ensure_channel(&Channel::Agent(agent_id.clone()), Some(agent_id));
    }

    pub(super) fn handle_agent_joined(
        &mut self,
        link: AgentLink,
        rights: &Rights,
        hello: AgentConnect,
        id: Option<String>,
        recalled: &HashMap<CommandId, Recalled>,
    ) {
        let (conn, agent_id) = (link.conn, hello.agent_id.clone());
        if rights.agent.is_none()
            && self.agents.len() >= self.options.max_agents
            && !self.agents.contains_key(&agent_id)
        {
            tracing::warn!(%conn, agent = %agent_id, known = self.agents.len(), "an agent was refused: too many are known");
            let why = "limits.agents is reached: forget agents, raise it, or issue a token with this agent's name";
            return link.port.close(CloseCode::Forbidden, why);
        }
        tracing::info!(%conn, agent = %agent_id, subject = rights.subject, "an agent connected");
        let row = AgentRow {
            agent_id: agent_id.clone(),
            labels: hello.labels,
            facts: hello.facts,
            capabilities: hello.capabilities,
            max_commands: hello.max_commands,
            activity: Activity::Unknown,
            since: self.now,
            last_seen: self.now,
        };
        let (waiting, ended, interrupts) = self.take_place(&agent_id, conn);
        self.effects
            .push(Effect::Save(vec![Save::Agent(row.clone())]));
        let agent = Agent {
            row,
            latency_ms: None,
            link: Some(link),
            waiting,
            said: None,
            ended,
            interrupts,
        };
        self.agents.insert(agent_id.clone(), agent);
        // Watchers may have been waiting for the name.
        self.topics.remove(&Channel::Agent(agent_id.clone()));
        self.agent_conns.insert(conn, agent_id.clone());
        self.ensure_channel(&Channel::Agent(agent_id.clone()), Some(agent_id.clone()));
        let inputs = counted(&hello.commands);
        let wanted = self.reconcile(&agent_id, hello.commands, recalled);
        let limits = self.options.agent_limits.clone();
        let connected = self.connected(conn, rights.clone(), limits, wanted);
        self.to_agent(
            &agent_id,
            &Header::answering(id),
            ToAgent::Connected(connected),
        );
        // Keys that come again must not come before that.
        self.note_inputs(&agent_id, &inputs);
        if let Some(agent) = self.agent_info(&agent_id) {
            self.push(
                &Channel::Agent(agent_id.clone()),
                AgentConnected {
                    agent_id: agent_id.clone(),
                    agent,
                },
            );
        }
        self.dispatch(&agent_id);
    }

    /// Ends an agent's connection, where it has one, for this new one. Returns what stays of the agent: what waits for it,
    /// what its last terminal came to, and its interrupts.
    fn take_place(
        &mut self,
        agent_id: &AgentId,
        conn: ConnId,
    ) -> (Vec<CommandId>, Option<Said>, Interrupts) {
        self.lose_interrupts(agent_id);
        let Some(old) = self.agents.remove(agent_id) else {
            // A daemon that was killed may have been asked for some just when the agent was forgotten.
            return (self.queued_for(agent_id), None, Interrupts::default());
        };
        if let Some(link) = old.link {
            tracing::warn!(agent = %agent_id, old = %link.conn, new = %conn, "a second connection replaces the first");
            self.agent_conns.remove(&link.conn);
            self.count_gone(&link.wire);
            link.port.close(
                CloseCode::Replaced,
                "another connection has this agent's name",
            );
        }
        (old.waiting, old.ended, old.interrupts)
    }

    pub(super) fn handle_agent_said(
        &mut self,
        conn: ConnId,
        header: &Header,
        message: AgentMessage,
    ) {
        let Some(agent_id) = self.agent_conns.get(&conn).cloned() else {
            return;
        };
        if let Some(agent) = self.agents.get_mut(&agent_id) {
            agent.row.last_seen = self.now;
        }
        let channel = Channel::Agent(agent_id.clone());
        match message {
            AgentMessage::Connect(_) => {
                let error = ErrorPayload::new(
                    ErrorCode::AlreadyConnected,
                    "this connection has said who it is",
                );
                self.to_agent(
                    &agent_id,
                    &Header::answering(header.id.clone()),
                    ToAgent::Error(error),
                );
            }
            AgentMessage::Report(report) => {
                let id = header.id.clone();
                self.handle_report(&agent_id, id, &report);
            }
            AgentMessage::Status(status) => {
                self.handle_agent_status(&agent_id, &status);
                if let Some(re) = &header.re {
                    self.interrupt_answered(&agent_id, re, Ok(()));
                }
            }
            // Output comes as `AgentOutput`, with its room in the log.
            AgentMessage::Output(_) => {}
            AgentMessage::Gap(gap) => self.handle_agent_gap(&agent_id, gap),
            AgentMessage::Publish(publish) if !self.can_publish(&publish.channel) => {
                let error =
                    ErrorPayload::new(ErrorCode::UnknownCommand, "no such command is running");
                let header = Header::answering(header.id.clone());
                self.to_agent(&agent_id, &header, ToAgent::Error(error));
            }
            AgentMessage::Publish(publish) => {
                let event = Published {
                    event: publish.event,
                    data: publish.data,
                    from: agent_id.to_string(),
                };
                self.push(&publish.channel, event);
            }
            AgentMessage::TaskStatus(status) => {
                let topic =
                    Channel::Topic(opsctl_protocol::ids::Topic::Task, status.task_id.clone());
                self.push(&topic, status);
            }
            AgentMessage::Notification(notification) => self.push(&channel, notification),
            AgentMessage::ActivityLog(line) => self.push(&channel, line),
            AgentMessage::Error(error) => {
                tracing::warn!(agent = %agent_id, code = %error.code, message = error.message, "an agent reports an error");
                if let Some(re) = &header.re {
                    self.interrupt_answered(&agent_id, re, Err((error.code, error.message)));
                }
            }
            AgentMessage::Ping(Nothing {}) => {
                self.to_agent(
                    &agent_id,
                    &Header::answering(header.id.clone()),
                    ToAgent::Pong(Nothing {}),
                );
            }
        }
    }

    /// An agent tells what has changed about it.
    fn handle_report(&mut self, agent_id: &AgentId, id: Option<String>, report: &AgentReport) {
        let Some(agent) = self.agents.get_mut(agent_id) else {
            return;
        };
        let mut facts = agent.row.facts.clone();
        facts.extend(report.facts.clone());
        if let Err(why) = check_attributes(&facts) {
            let error = ErrorPayload::new(ErrorCode::BadRequest, why);
            return self.to_agent(agent_id, &Header::answering(id), ToAgent::Error(error));
        }
        agent.row.facts = facts;
        self.handle_activity(agent_id, report);
        // What follows from something else in front is told in its turn.
        if report.activity.is_some() || !report.facts.is_empty() {
            self.push_agent(agent_id);
        }
    }

    pub(super) fn handle_latency(&mut self, conn: ConnId, ms: u64) {
        let Some(agent_id) = self.agent_conns.get(&conn) else {
            return;
        };
        if let Some(agent) = self.agents.get_mut(agent_id) {
            agent.latency_ms = Some(ms);
            agent.row.last_seen = self.now;
        }
    }

    pub(super) fn handle_agent_left(&mut self, conn: ConnId, reason: &str) {
        // A connection that was replaced is not the agent's any more.
        let Some(agent_id) = self.agent_conns.remove(&conn) else {
            return;
        };
        tracing::info!(%conn, agent = %agent_id, reason, "an agent disconnected");
        self.lose_interrupts(&agent_id);
        let doing = self.agent_info(&agent_id).map(|info| info.activity);
        let Some(agent) = self.agents.get_mut(&agent_id) else {
            return;
        };
        let link = agent.link.take();
        agent.latency_ms = None;
        agent.row.since = self.now;
        agent.row.last_seen = self.now;
        agent.row.activity = doing.unwrap_or_default();
        let row = agent.row.clone();
        self.effects.push(Effect::Save(vec![Save::Agent(row)]));
        if let Some(link) = link {
            self.count_gone(&link.wire);
        }
        if let Some(agent) = self.agent_info(&agent_id) {
            let reason = reason.to_owned();
            let left = AgentDisconnected {
                agent_id: agent_id.clone(),
                reason,
                agent,
            };
            self.push(&Channel::Agent(agent_id), left);
        }
    }

    /// Sends a message to an agent; one that has stopped reading loses its connection.
    pub(super) fn to_agent(&self, agent_id: &AgentId, header: &Header, message: ToAgent) {
        if let Some(link) = self
            .agents
            .get(agent_id)
            .and_then(|agent| agent.link.as_ref())
            && !link.port.control(header, message)
        {
            link.port
                .close(CloseCode::TooSlow, "control messages are not being read");
        }
    }

    /// Tells everybody who watches an agent how it is.
    pub(super) fn push_agent(&mut self, agent_id: &AgentId) {
        if let Some(info) = self.agent_info(agent_id) {
            self.push(
                &Channel::Agent(agent_id.clone()),
                ToDashboard::AgentStatus(info),
            );
        }
    }

    /// All that is known about an agent.
    pub(super) fn agent_info(&self, agent_id: &AgentId) -> Option<AgentInfo> {
        let agent = self.agents.get(agent_id)?;
        let mut commands: Vec<&Command> = self
            .commands
            .values()
            .filter(|command| {
                command.row.summary.agent_id == *agent_id && !command.row.summary.state.is_final()
            })
            .collect();
        commands.sort_by_key(|command| {
            let summary = &command.row.summary;
            (summary.created_at, summary.command_id)
        });
        commands.truncate(SHOWN_COMMANDS);
        let commands = commands
            .into_iter()
            .map(|command| self.shown(command))
            .collect();
        let mut info = AgentInfo {
            agent_id: agent_id.clone(),
            status: if agent.link.is_some() {
                Presence::Connected
            } else {
                Presence::Disconnected
            },
            since: agent.row.since,
            last_seen: if agent.link.is_some() {
                self.now
            } else {
                agent.row.last_seen
            },
            labels: agent.row.labels.clone(),
            facts: agent.row.facts.clone(),
            capabilities: agent.row.capabilities.clone(),
            // What it was doing when it left, until more is known.
            activity: agent.row.activity,
            activity_reason: None,
            activity_source: None,
            activity_since: None,
            activity_command_id: None,
            failed: false,
            commands,
            latency_ms: agent.latency_ms,
            max_commands: agent.row.max_commands,
        };
        self.show_agent_doing(&mut info);
        Some(info)
    }

    /// Where the output of each of an agent's commands ends now.
    pub(super) fn ends_of(&self, agent_id: &AgentId) -> BTreeMap<CommandId, u64> {
        self.commands
            .values()
            .filter(|command| command.row.summary.agent_id == *agent_id)
            .map(|command| (command.row.summary.command_id, command.end))
            .collect()
    }
}
