//! What people ask for becomes commands, once: the idempotency key names the request, and nothing is accepted before it
//! is durable.

use std::collections::BTreeSet;
use std::sync::Arc;

use opsctl_protocol::message::{
    AcceptedCommand, CommandAccepted, CommandList, CommandQuery, CommandRequest, CommandSummary,
    ErrorCode, State, Target,
};
use opsctl_protocol::selector::Selector;
use opsctl_protocol::{AgentId, CommandId, Timestamp, limits};

use super::command::Command;
use super::steer::Refusal;
use super::subscribe::MAX_QUERIES;
use super::{ConnId, Effect, Hub, Journaled, Query};
use crate::store::{CommandRow, DraftRow, RequestRow};

/// Commands in the answer to a query that doesn't say how many it wants.
const DEFAULT_QUERY: u32 = 100;

/// Commands in the answer to any query, so that it stays below the largest message.
const MAX_QUERY: u32 = 1000;

/// Requests of one dashboard that are being journaled at once. A disk that stands still must not gather more of them.
pub(super) const MAX_JOURNALING: usize = 64;

/// A request that is being journaled, or has commands that have not ended.
pub(super) struct Request {
    /// The request as it is journaled.
    pub row: RequestRow,
    /// Whether it is durable.
    pub durable: bool,
    /// Why it is refused, unless the store knows that it is the repetition of another.
    pub refusal: Option<Refusal>,
    /// Who waits for the answer, with the `id` to answer.
    pub asked_by: Vec<(ConnId, Option<String>)>,
}

impl Hub {
    pub(super) fn handle_request(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        request: CommandRequest,
    ) {
        let fingerprint = match check(&request).and_then(|()| fingerprint(&request)) {
            Ok(fingerprint) => fingerprint,
            Err((code, why)) => return self.refuse(conn, id, code, why),
        };
        if let Some(known) = self.requests.get_mut(&request.key) {
            if known.row.fingerprint != fingerprint {
                let why = other_request(&request.key, &known.row.fingerprint, &fingerprint);
                return self.refuse(conn, id, ErrorCode::KeyReused, why);
            }
            if known.durable {
                let accepted = accepted(&known.row);
                return self.answer(conn, id, accepted);
            }
        }
        let Some(dashboard) = self.dashboards.get_mut(&conn) else {
            return;
        };
        if dashboard.journaling >= MAX_JOURNALING {
            let why =
                format!("{MAX_JOURNALING} requests of this connection are being written down");
            return self.postpone(conn, id, &why);
        }
        if let Some(known) = self.requests.get_mut(&request.key) {
            dashboard.journaling += 1;
            return known.asked_by.push((conn, id));
        }
        dashboard.journaling += 1;
        let subject = dashboard.rights.subject.clone();
        let (agents, offline, refusal) = match self.resolve(&request) {
            Ok((agents, offline)) => (agents, offline, None),
            Err(refusal) => (Vec::new(), Vec::new(), Some(refusal)),
        };
        let commands = self.new_rows(&request, agents, &subject);
        let row = RequestRow {
            key: request.key.clone(),
            fingerprint,
            subject,
            created_at: self.now,
            fanout: request.fanout,
            commands,
            offline,
        };
        self.effects.push(match refusal {
            // What cannot run now may be the repetition of what ran before.
            Some(_) => Effect::RecallRequest(row.key.clone()),
            None => Effect::Journal(Box::new(row.clone())),
        });
        self.requests.insert(
            request.key,
            Request {
                row,
                durable: false,
                refusal,
                asked_by: vec![(conn, id)],
            },
        );
    }

    /// The commands of a request. Those that will go out as soon as they are durable are `delivered` in the store from
    /// the start, which saves them a second sync.
    fn new_rows(
        &self,
        request: &CommandRequest,
        agents: Vec<AgentId>,
        subject: &str,
    ) -> Vec<CommandRow> {
        let mut places = request.fanout.map_or(usize::MAX, |fanout| fanout as usize);
        let mut rows = Vec::with_capacity(agents.len());
        for agent_id in agents {
            let goes = places > 0 && self.is_free(&agent_id);
            let mut row = self.new_row(request, agent_id, subject);
            if goes {
                places -= 1;
                row.summary.state = State::Delivered;
            }
            rows.push(row);
        }
        rows
    }

    fn new_row(&self, request: &CommandRequest, agent_id: AgentId, subject: &str) -> CommandRow {
        let spec = request.spec.clone();
        let expires_at = request
            .ttl_ms
            .map(|ttl| Timestamp(self.now.0.saturating_add(ttl)));
        let summary = CommandSummary {
            requested_by: subject.to_owned(),
            created_at: self.now,
            expires_at,
            ..CommandSummary::queued(CommandId::random(), agent_id, &spec)
        };
        CommandRow {
            summary,
            draft: spec.pty.then(DraftRow::default),
            spec,
            key: request.key.clone(),
            ttl_ms: request.ttl_ms,
        }
    }

    /// The agents that a request will run on, and those that it covers and that are offline.
    fn resolve(&self, request: &CommandRequest) -> Result<(Vec<AgentId>, Vec<AgentId>), Refusal> {
        let waits = request.ttl_ms.is_some();
        match &request.target {
            Target::Agent(agent_id) => {
                let Some(agent) = self.agents.get(agent_id) else {
                    return Err((
                        ErrorCode::UnknownAgent,
                        format!("no agent is named {agent_id}; `opsctl agents` lists them"),
                    ));
                };
                if agent.link.is_none() && !waits {
                    return Err((ErrorCode::AgentOffline, offline(agent_id)));
                }
                Ok((vec![agent_id.clone()], Vec::new()))
            }
            Target::Selector(text) => {
                let selector: Selector = text
                    .parse()
                    .map_err(|error| (ErrorCode::BadSelector, format!("{error}")))?;
                let covered = self
                    .agents
                    .values()
                    .filter(|agent| selector.matches(&agent.row.agent_id, &agent.row.labels));
                let (online, offline): (Vec<_>, Vec<_>) =
                    covered.partition(|agent| waits || agent.link.is_some());
                let limit = request.limit.map_or(usize::MAX, |limit| limit as usize);
                let name = |agent: &super::Agent| agent.row.agent_id.clone();
                let online: Vec<AgentId> = online.into_iter().map(name).take(limit).collect();
                let offline: Vec<AgentId> = offline
                    .into_iter()
                    .map(name)
                    .take(limit - online.len().min(limit))
                    .collect();
                match (online.is_empty(), offline.len()) {
                    (true, 0) => Err((
                        ErrorCode::NoMatch,
                        format!("no agent matches {text:?}; `opsctl agents` lists them"),
                    )),
                    (true, 1) => Err((ErrorCode::AgentOffline, self::offline(&offline[0]))),
                    (true, n) => Err((
                        ErrorCode::AgentOffline,
                        format!(
                            "all {n} agents that match {text:?} are offline; with --ttl it waits for them"
                        ),
                    )),
                    (false, _) => Ok((online, offline)),
                }
            }
        }
    }

    pub(super) fn handle_journaled(&mut self, key: &str, outcome: Journaled) {
        let Some(request) = self.requests.get_mut(key) else {
            return;
        };
        let asked_by = std::mem::take(&mut request.asked_by);
        for (conn, _) in &asked_by {
            if let Some(dashboard) = self.dashboards.get_mut(conn) {
                dashboard.journaling -= 1;
            }
        }
        match outcome {
            Journaled::New => {
                request.durable = true;
                let row = request.row.clone();
                self.start_request(row, asked_by);
            }
            Journaled::Known(row) => {
                let same = row.fingerprint == request.row.fingerprint;
                let other = other_request(key, &row.fingerprint, &request.row.fingerprint);
                self.requests.remove(key);
                for (conn, id) in asked_by {
                    if same {
                        self.answer(conn, id, accepted(&row));
                    } else {
                        self.refuse(conn, id, ErrorCode::KeyReused, other.clone());
                    }
                }
            }
            Journaled::Unknown => {
                let refusal = self.requests.remove(key).and_then(|known| known.refusal);
                for (conn, id) in asked_by {
                    if let Some((code, why)) = &refusal {
                        self.refuse(conn, id, *code, why.clone());
                    }
                }
            }
            Journaled::Failed(why) => {
                self.requests.remove(key);
                for (conn, id) in asked_by {
                    self.refuse(
                        conn,
                        id,
                        ErrorCode::StorageFailed,
                        format!("the command was not accepted: {why}"),
                    );
                }
            }
        }
    }

    fn start_request(&mut self, row: RequestRow, asked_by: Vec<(ConnId, Option<String>)>) {
        let answer = accepted(&row);
        let mut commands = Vec::with_capacity(row.commands.len());
        let mut orphans = Vec::new();
        for mut row in row.commands {
            let (command_id, agent_id) = (row.summary.command_id, row.summary.agent_id.clone());
            let is_stored_as_delivered = row.summary.state == State::Delivered;
            row.summary.state = State::Queued;
            self.insert_command(Command {
                is_stored_as_delivered,
                ..Command::new(row, 0)
            });
            if let Some(agent) = self.agents.get_mut(&agent_id) {
                agent.waiting.push(command_id);
            } else {
                orphans.push(command_id);
            }
            self.note_deadline(command_id);
            self.push_status(command_id);
            commands.push((command_id, agent_id));
        }
        if !orphans.is_empty() {
            let why = "its agent was forgotten";
            self.withdraw(orphans, State::Cancelled, why, None);
        }
        for (conn, id) in asked_by {
            self.answer(conn, id, answer.clone());
        }
        for (_, agent_id) in &commands {
            self.dispatch(agent_id);
        }
        for (command_id, _) in commands {
            self.correct_forecast(command_id);
        }
    }

    /// A command was to go out at once and has not: the store must not go on calling it delivered.
    fn correct_forecast(&mut self, command_id: CommandId) {
        if let Some(command) = self.commands.get_mut(&command_id)
            && command.row.summary.state == State::Queued
            && std::mem::take(&mut command.is_stored_as_delivered)
        {
            self.mark_unsaved(command_id);
        }
    }

    /// Takes up a request from the store, at the start, for the fan-out of its commands that have not ended.
    pub fn restore_request(&mut self, row: RequestRow) {
        let request = Request {
            durable: true,
            refusal: None,
            asked_by: Vec::new(),
            row,
        };
        self.requests.insert(request.row.key.clone(), request);
    }

    pub(super) fn handle_query(&mut self, conn: ConnId, id: Option<String>, query: CommandQuery) {
        let agents = match query.selector.as_deref().map(str::parse::<Selector>) {
            None => None,
            Some(Ok(selector)) => {
                let fits = |agent: &&super::Agent| {
                    selector.matches(&agent.row.agent_id, &agent.row.labels)
                };
                Some(
                    self.agents
                        .values()
                        .filter(fits)
                        .map(|agent| agent.row.agent_id.clone())
                        .collect::<Vec<_>>(),
                )
            }
            Some(Err(error)) => {
                return self.refuse(conn, id, ErrorCode::BadSelector, error.to_string());
            }
        };
        let Some(dashboard) = self.dashboards.get(&conn) else {
            return;
        };
        let fits = |summary: &CommandSummary| {
            let prefix = query.id_prefix.as_deref().unwrap_or_default();
            summary
                .command_id
                .to_string()
                .starts_with(&prefix.to_ascii_lowercase())
                && query.is_before(summary.created_at, summary.command_id)
                && (query.states.is_empty() || query.states.contains(&summary.state))
                && agents
                    .as_ref()
                    .is_none_or(|agents| agents.contains(&summary.agent_id))
        };
        let Ok(place) = Arc::clone(&dashboard.queries).try_acquire_owned() else {
            let why = format!("{MAX_QUERIES} queries of this connection are under way");
            return self.postpone(conn, id, &why);
        };
        let positions = self.positions();
        let live = self
            .commands
            .values()
            .map(|command| &command.row.summary)
            .filter(|summary| fits(summary))
            .map(|summary| CommandSummary {
                queue_position: positions.get(&summary.command_id).copied(),
                ..summary.clone()
            })
            .collect();
        let limit = Some(query.limit.unwrap_or(DEFAULT_QUERY).min(MAX_QUERY));
        self.effects.push(Effect::Query(Box::new(Query {
            outbox: Arc::clone(&dashboard.outbox),
            id,
            query: CommandQuery { limit, ..query },
            agents,
            live,
            in_memory: self.commands.keys().copied().collect(),
            place,
        })));
    }
}

impl Query {
    /// The answer, from what the store found.
    pub fn answer(self, stored: Vec<CommandSummary>, more: bool) -> CommandList {
        let limit = self.query.limit.unwrap_or(DEFAULT_QUERY) as usize;
        let mut commands = self.live;
        commands.extend(
            stored
                .into_iter()
                .filter(|summary| !self.in_memory.contains(&summary.command_id)),
        );
        commands.sort_by_key(|summary| std::cmp::Reverse((summary.created_at, summary.command_id)));
        let fitting = fitting(&commands).min(limit);
        let more = more || commands.len() > fitting;
        commands.truncate(fitting);
        CommandList { commands, more }
    }
}

/// How many of the first commands fit into one message.
fn fitting(commands: &[CommandSummary]) -> usize {
    let mut bytes = 0;
    let fits = |summary: &&CommandSummary| {
        bytes += serde_json::to_vec(summary).map_or(0, |json| json.len());
        bytes < limits::MAX_MESSAGE / 2
    };
    commands.iter().take_while(fits).count()
}

fn check(request: &CommandRequest) -> Result<(), Refusal> {
    let bad = |why: String| Err((ErrorCode::BadRequest, why));
    if request.key.is_empty() || request.key.len() > limits::MAX_NAME {
        return bad(format!("a key has 1 to {} bytes", limits::MAX_NAME));
    }
    if request.fanout == Some(0) || request.limit == Some(0) {
        return bad("fanout and limit are at least 1".to_owned());
    }
    request.spec.check().or_else(bad)
}

fn offline(agent_id: &AgentId) -> String {
    format!("{agent_id} is not connected; with a ttl (--ttl 10m) the command waits for it")
}

/// The request without its key: what has to be the same when the key is.
fn fingerprint(request: &CommandRequest) -> Result<String, Refusal> {
    let body = CommandRequest {
        key: String::new(),
        ..request.clone()
    };
    serde_json::to_string(&body).map_err(|error| (ErrorCode::BadRequest, error.to_string()))
}

/// Why a key cannot stand for this request, from both fingerprints: with what differs.
fn other_request(key: &str, known: &str, asked: &str) -> String {
    let fields = |fingerprint: &str| -> serde_json::Map<String, serde_json::Value> {
        let mut fields: serde_json::Map<_, serde_json::Value> =
            serde_json::from_str(fingerprint).unwrap_or_default();
        if let Some(serde_json::Value::Object(spec)) = fields.remove("spec") {
            fields.extend(spec);
        }
        fields
    };
    let (known, asked) = (fields(known), fields(asked));
    let names: BTreeSet<&String> = known.keys().chain(asked.keys()).collect();
    let different: Vec<&str> = names
        .into_iter()
        .filter(|name| known.get(*name) != asked.get(*name))
        .map(|name| match name.as_str() {
            "ttlMs" => "ttlMs (--ttl)",
            "timeoutMs" => "timeoutMs (--timeout)",
            name => name,
        })
        .collect();
    format!(
        "{}; what differs: {}",
        key_reused(key),
        different.join(", ")
    )
}

pub(super) fn key_reused(key: &str) -> String {
    format!("the key {key:?} belongs to another request; choose a new one")
}

fn accepted(row: &RequestRow) -> CommandAccepted {
    let command = |command: &CommandRow| AcceptedCommand {
        agent_id: command.summary.agent_id.clone(),
        command_id: command.summary.command_id,
    };
    CommandAccepted {
        key: row.key.clone(),
        commands: row.commands.iter().map(command).collect(),
        offline: row.offline.clone(),
    }
}
