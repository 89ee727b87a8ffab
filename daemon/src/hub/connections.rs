//! Who else watches.

use opsctl_protocol::message::{ConnectionInfo, ConnectionList, ConnectionQuery};

use super::{ConnId, Hub};

/// Connections in an answer when nobody says how many, and at most: a thousand of them stay far below the largest message.
const DEFAULT: u32 = 100;
const MOST: u32 = 1000;

/// Patterns that are told of each connection.
const CHANNELS: usize = 16;

impl Hub {
    /// Somebody asks who is connected. Numbers of connections only grow, so that the smallest came first.
    pub(super) fn handle_connections(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        query: &ConnectionQuery,
    ) {
        let limit = query.limit.unwrap_or(DEFAULT).min(MOST) as usize;
        let mut conns: Vec<ConnId> = self.dashboards.keys().copied().collect();
        conns.sort_unstable();
        let more = conns.len() > limit;
        let first = conns.iter().take(limit);
        let connections = first
            .filter_map(|conn| Some((conn, self.dashboards.get(conn)?)))
            .map(|(conn, dashboard)| ConnectionInfo {
                client_id: conn.to_string(),
                client: dashboard.client.clone(),
                subject: dashboard.rights.subject.clone(),
                role: dashboard.rights.role,
                since: dashboard.since,
                channels: dashboard
                    .patterns
                    .iter()
                    .take(CHANNELS)
                    .map(|(pattern, _)| pattern.as_str().to_owned())
                    .collect(),
                subscriptions: dashboard.patterns.len() as u32,
            })
            .collect();
        self.answer(conn, id, ConnectionList { connections, more });
    }
}
