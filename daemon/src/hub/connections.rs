//! Who else is connected, from where, and how much goes over each connection.

use std::sync::Arc;

use opsctl_protocol::limits;
use opsctl_protocol::message::{
    AgentConnection, ConnectionInfo, ConnectionList, ConnectionQuery, Traffic,
};
use serde::Serialize;

use super::subscribe::Dashboard;
use super::{ConnId, Hub};

/// Connections of either kind in an answer when nobody says how many, and at most.
const DEFAULT: u32 = 100;
const MOST: u32 = 1000;

/// Patterns that are told of each connection.
const CHANNELS: usize = 16;

/// JSON of either kind in an answer, so that it stays below the largest message, however long the names are.
const KIND_BYTES: usize = limits::MAX_MESSAGE / 4;

/// What is known of a connection below its messages. Nothing here waits.
pub trait Wire: Send + Sync {
    /// Where it comes from, for people.
    fn address(&self) -> String;

    /// What has come in over it.
    fn received(&self) -> Traffic;

    /// What has gone out.
    fn sent(&self) -> Traffic;
}

/// What went over connections, both ways.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BothWays {
    pub received: Traffic,
    pub sent: Traffic,
}

impl BothWays {
    /// Adds what went over a connection, with its rates where it `is_open`.
    fn add(&mut self, wire: &dyn Wire, is_open: bool) {
        let counted = |traffic: Traffic| Traffic {
            messages_per_second: if is_open {
                traffic.messages_per_second
            } else {
                0
            },
            bytes_per_second: if is_open { traffic.bytes_per_second } else { 0 },
            ..traffic
        };
        self.received += counted(wire.received());
        self.sent += counted(wire.sent());
    }
}

impl Hub {
    /// Somebody asks who is connected.
    pub(super) fn handle_connections(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        query: &ConnectionQuery,
    ) {
        let limit = query.limit.unwrap_or(DEFAULT).min(MOST) as usize;
        // Numbers of connections only grow, so that the smallest came first.
        let mut dashboards: Vec<_> = self.dashboards.iter().collect();
        dashboards.sort_unstable_by_key(|(conn, _)| **conn);
        let mut agents: Vec<_> = self
            .agents
            .values()
            .filter_map(|agent| Some((agent, agent.link.as_ref()?)))
            .collect();
        agents.sort_unstable_by_key(|(_, link)| link.conn);
        let dashboards = dashboards.into_iter().map(|(conn, it)| shown(*conn, it));
        let (connections, more_dashboards) = first(dashboards, limit);
        let agents = agents.into_iter().map(|(agent, link)| AgentConnection {
            agent_id: agent.row.agent_id.clone(),
            client_id: link.conn.to_string(),
            since: agent.row.since,
            address: link.wire.address(),
            latency_ms: agent.latency_ms,
            received: link.wire.received(),
            sent: link.wire.sent(),
        });
        let (agents, more_agents) = first(agents, limit);
        let list = ConnectionList {
            connections,
            agents,
            more: more_dashboards || more_agents,
        };
        self.answer(conn, id, list);
    }

    /// A connection has ended; what went over it still counts.
    pub(super) fn count_gone(&mut self, wire: &Arc<dyn Wire>) {
        self.gone.add(&**wire, false);
    }

    /// What went over all connections of this run.
    pub(super) fn traffic(&self) -> BothWays {
        let mut all = self.gone;
        let agents = self.agents.values().filter_map(|agent| agent.link.as_ref());
        let wires = agents
            .map(|link| &link.wire)
            .chain(self.dashboards.values().map(|dashboard| &dashboard.wire));
        for wire in wires {
            all.add(&**wire, true);
        }
        all
    }
}

fn shown(conn: ConnId, dashboard: &Dashboard) -> ConnectionInfo {
    let patterns = dashboard.patterns.iter().take(CHANNELS);
    ConnectionInfo {
        client_id: conn.to_string(),
        client: dashboard.client.clone(),
        subject: dashboard.rights.subject.clone(),
        role: dashboard.rights.role,
        since: dashboard.since,
        channels: patterns
            .map(|(pattern, _)| pattern.as_str().to_owned())
            .collect(),
        subscriptions: dashboard.patterns.len() as u32,
        address: dashboard.wire.address(),
        received: dashboard.wire.received(),
        sent: dashboard.wire.sent(),
    }
}

/// The first of them, at most `limit` and no more than fit, and whether others were left out.
fn first<T: Serialize>(mut all: impl Iterator<Item = T>, limit: usize) -> (Vec<T>, bool) {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while taken.len() < limit {
        let Some(one) = all.next() else {
            return (taken, false);
        };
        bytes += serde_json::to_vec(&one).map_or(0, |json| json.len());
        if bytes > KIND_BYTES {
            return (taken, true);
        }
        taken.push(one);
    }
    (taken, all.next().is_some())
}
