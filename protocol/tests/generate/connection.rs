//! Payloads about who is connected, and how the daemon is.

use opsctl_protocol::message::{
    AgentConnection, AgentCounts, ConnectionInfo, ConnectionList, DaemonStatus, DiskStatus,
    LogStatus, QueueCounts, Role, Traffic,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{agent_id, text, timestamp};

fn traffic() -> impl Strategy<Value = Traffic> {
    any::<[u64; 4]>().prop_map(
        |[messages, bytes, messages_per_second, bytes_per_second]| Traffic {
            messages,
            bytes,
            messages_per_second,
            bytes_per_second,
        },
    )
}

pub(super) fn list() -> impl Strategy<Value = ConnectionList> {
    let dashboard = (
        (text(), text(), text(), text()),
        select(vec![Role::Viewer, Role::Operator, Role::Admin]),
        timestamp(),
        vec(text(), 0..3),
        any::<u32>(),
        (traffic(), traffic()),
    )
        .prop_map(
            |(
                (client_id, client, subject, address),
                role,
                since,
                channels,
                subscriptions,
                (received, sent),
            )| ConnectionInfo {
                client_id,
                client,
                subject,
                role,
                since,
                channels,
                subscriptions,
                address,
                received,
                sent,
            },
        );
    let agent = (
        agent_id(),
        (text(), text()),
        timestamp(),
        option::of(any::<u64>()),
        (traffic(), traffic()),
    )
        .prop_map(
            |(agent_id, (client_id, address), since, latency_ms, (received, sent))| {
                AgentConnection {
                    agent_id,
                    client_id,
                    since,
                    address,
                    latency_ms,
                    received,
                    sent,
                }
            },
        );
    (vec(dashboard, 0..4), vec(agent, 0..4), any::<bool>()).prop_map(
        |(connections, agents, more)| ConnectionList {
            connections,
            agents,
            more,
        },
    )
}

pub(super) fn daemon() -> impl Strategy<Value = DaemonStatus> {
    let agents = any::<[u64; 9]>().prop_map(
        |[
            connected,
            disconnected,
            working,
            blocked,
            done,
            error,
            starting,
            idle,
            unknown,
        ]| AgentCounts {
            connected,
            disconnected,
            working,
            blocked,
            done,
            error,
            starting,
            idle,
            unknown,
        },
    );
    let queue = any::<[u64; 4]>().prop_map(|[queued, delivered, running, typing]| QueueCounts {
        queued,
        delivered,
        running,
        typing,
    });
    let log = (any::<[u64; 2]>(), option::of(text())).prop_map(|([bytes, max_bytes], trouble)| {
        LogStatus {
            bytes,
            max_bytes,
            trouble,
        }
    });
    let disk = any::<[u64; 2]>().prop_map(|[total_bytes, free_bytes]| DiskStatus {
        total_bytes,
        free_bytes,
    });
    (
        (text(), timestamp(), option::of(text())),
        agents,
        (any::<u64>(), traffic(), traffic()),
        queue,
        (log, option::of(any::<u64>()), option::of(disk)),
    )
        .prop_map(
            |(
                (version, started_at, state_dir),
                agents,
                (dashboards, received, sent),
                queue,
                (log, store_bytes, disk),
            )| DaemonStatus {
                version,
                started_at,
                state_dir,
                agents,
                dashboards,
                received,
                sent,
                queue,
                log,
                store_bytes,
                disk,
            },
        )
}
