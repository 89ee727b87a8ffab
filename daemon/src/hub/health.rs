//! How the daemon is, as far as the hub knows; the disk adds the rest.

use std::collections::HashMap;
use std::sync::Arc;

use opsctl_protocol::AgentId;
use opsctl_protocol::message::{
    Activity, AgentCounts, DaemonStatus, LogStatus, QueueCounts, State,
};
use tokio::sync::OwnedSemaphorePermit;

use super::command::Command;
use super::doing::Said;
use super::subscribe::MAX_QUERIES;
use super::{ConnId, Effect, Hub};
use crate::fanout::Outbox;

/// A `daemon:query` that the disk has to complete.
pub struct Survey {
    /// Where the answer goes.
    pub outbox: Arc<Outbox>,
    /// The `id` to answer.
    pub id: Option<String>,
    /// What the hub knows.
    pub status: DaemonStatus,
    /// Whether who asks may know where on the host everything is.
    pub names_paths: bool,
    /// Its place among the queries of its dashboard; free again when it has been answered.
    pub place: OwnedSemaphorePermit,
}

impl Hub {
    /// Somebody asks how the daemon is.
    pub(super) fn handle_daemon_query(&mut self, conn: ConnId, id: Option<String>) {
        let Some(dashboard) = self.dashboards.get(&conn) else {
            return;
        };
        let Ok(place) = Arc::clone(&dashboard.queries).try_acquire_owned() else {
            let why = format!("{MAX_QUERIES} queries of this connection are under way");
            return self.postpone(conn, id, &why);
        };
        let survey = Survey {
            outbox: Arc::clone(&dashboard.outbox),
            id,
            status: self.status(),
            names_paths: dashboard.rights.role.may_operate(),
            place,
        };
        self.effects.push(Effect::Survey(Box::new(survey)));
    }

    fn status(&self) -> DaemonStatus {
        let traffic = self.traffic();
        DaemonStatus {
            version: self.options.version.clone(),
            started_at: self.started_at,
            state_dir: None,
            agents: self.agent_counts(),
            dashboards: self.dashboards.len() as u64,
            received: traffic.received,
            sent: traffic.sent,
            queue: self.queue_counts(),
            log: LogStatus::default(),
            store_bytes: None,
            disk: None,
        }
    }

    fn agent_counts(&self) -> AgentCounts {
        // In one pass over the commands: there may be thousands, for each of thousands of agents.
        let mut most: HashMap<&AgentId, Said> = HashMap::new();
        let live = self.commands.values().filter(|command| {
            let summary = &command.row.summary;
            !summary.state.is_final()
        });
        for (agent_id, said) in live
            .filter_map(|command| Some((&command.row.summary.agent_id, Command::said(command)?)))
        {
            let known = most.entry(agent_id).or_insert_with(|| said.clone());
            if said.need() > known.need() {
                *known = said;
            }
        }
        let mut counts = AgentCounts::default();
        for (agent_id, agent) in &self.agents {
            if agent.link.is_none() {
                counts.disconnected += 1;
                continue;
            }
            counts.connected += 1;
            let of_commands = || {
                let said = most.get(agent_id).into_iter().chain(&agent.ended);
                said.max_by_key(|said| said.need())
            };
            let said = agent.said.as_ref().or_else(of_commands);
            let activity = said.map_or(agent.row.activity, |said| said.word.activity);
            let count = match activity {
                Activity::Starting => &mut counts.starting,
                Activity::Working => &mut counts.working,
                Activity::Blocked => &mut counts.blocked,
                Activity::Idle => &mut counts.idle,
                Activity::Done => &mut counts.done,
                Activity::Error => &mut counts.error,
                Activity::Unknown => &mut counts.unknown,
            };
            *count += 1;
        }
        counts
    }

    fn queue_counts(&self) -> QueueCounts {
        let mut counts = QueueCounts {
            typing: self.messages.len() as u64,
            ..QueueCounts::default()
        };
        for command in self.commands.values() {
            match command.row.summary.state {
                State::Queued => counts.queued += 1,
                State::Delivered => counts.delivered += 1,
                State::Running => counts.running += 1,
                _ => {}
            }
        }
        counts
    }
}
