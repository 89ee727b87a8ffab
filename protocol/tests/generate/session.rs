//! Payloads about who is there, what is subscribed, and what people publish.

use opsctl_protocol::message::{
    Activity, ActivityLog, ActivitySource, AgentConnect, AgentConnected, AgentDisconnected,
    AgentForget, AgentInfo, AgentList, AgentReport, Connected, DashboardConnect, ErrorCode,
    ErrorPayload, Event, Foreground, Level, LimitsInfo, Notification, Position, Presence, Priority,
    Publish, RateInfo, Rights, Role, Since, Subscribe, Subscribed, SubscribedStream, TaskStatus,
    Unsubscribe, check_attributes,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{
    agent_id, channel, command, command_id, json, number, pattern, text, timestamp, words,
};

pub(super) fn dashboard_connect() -> impl Strategy<Value = DashboardConnect> {
    (text(), text()).prop_map(|(client, client_version)| DashboardConnect {
        client,
        client_version,
    })
}

fn limits() -> impl Strategy<Value = LimitsInfo> {
    let rate = any::<(u32, u32)>().prop_map(|(per_second, burst)| RateInfo { per_second, burst });
    let rates = btree_map(text(), rate, 0..4);
    (any::<[u64; 5]>(), rates).prop_map(|([a, b, c, d, e], rates)| LimitsInfo {
        max_message_bytes: a,
        compress_above_bytes: b,
        max_piece_bytes: c,
        input_window_bytes: d,
        max_subscriptions: e,
        rates,
    })
}

fn rights() -> impl Strategy<Value = Rights> {
    let role = select(vec![Role::Agent, Role::Viewer, Role::Operator, Role::Admin]);
    (role, text(), option::of(agent_id())).prop_map(|(role, subject, agent)| Rights {
        role,
        subject,
        agent,
    })
}

pub(super) fn connected() -> impl Strategy<Value = Connected> {
    let names = (text(), text(), text());
    (
        names,
        (number(), option::of(timestamp())),
        limits(),
        rights(),
        btree_map(command_id(), number(), 0..5),
    )
        .prop_map(
            |(names, (heartbeat_ms, started_at), limits, rights, commands)| {
                let (client_id, server_version, epoch) = names;
                Connected {
                    client_id,
                    server_version,
                    epoch,
                    started_at,
                    heartbeat_ms,
                    limits,
                    rights,
                    commands,
                }
            },
        )
}

fn since() -> impl Strategy<Value = Since> {
    let position = (text(), number()).prop_map(|(epoch, seq)| Position { epoch, seq });
    (
        option::of(number()),
        option::of(number()),
        btree_map(text(), position, 0..3),
    )
        .prop_map(|(offset, tail_lines, streams)| Since {
            offset,
            tail_lines,
            streams,
        })
}

pub(super) fn subscribe() -> impl Strategy<Value = Subscribe> {
    (pattern(), option::of(since()), any::<bool>(), any::<bool>()).prop_map(
        |(channel, since, lossless, no_output)| Subscribe {
            channel,
            since,
            lossless,
            no_output,
        },
    )
}

pub(super) fn unsubscribe() -> impl Strategy<Value = Unsubscribe> {
    pattern().prop_map(|channel| Unsubscribe { channel })
}

pub(super) fn subscribed() -> impl Strategy<Value = Subscribed> {
    let stream = (
        channel(),
        text(),
        number(),
        option::of(number()),
        any::<bool>(),
    )
        .prop_map(
            |(channel, epoch, seq, offset, recovered)| SubscribedStream {
                channel,
                epoch,
                seq,
                offset,
                recovered,
            },
        );
    (pattern(), vec(stream, 0..4)).prop_map(|(channel, streams)| Subscribed { channel, streams })
}

/// Labels or facts that an agent may have.
fn attributes() -> impl Strategy<Value = std::collections::BTreeMap<String, String>> {
    words().prop_filter("more than an agent may have", |words| {
        check_attributes(words).is_ok()
    })
}

pub(super) fn agent_connect() -> impl Strategy<Value = AgentConnect> {
    let said = (attributes(), attributes(), vec(text(), 0..4));
    (
        agent_id(),
        said,
        option::of(any::<u32>()),
        vec(command::report(), 0..3),
    )
        .prop_map(
            |(agent_id, (labels, facts, capabilities), max_commands, commands)| AgentConnect {
                agent_id,
                labels,
                facts,
                capabilities,
                max_commands,
                commands,
            },
        )
}

pub(super) fn activity() -> impl Strategy<Value = Activity> {
    use Activity::{Blocked, Done, Error, Idle, Starting, Unknown, Working};
    select(vec![Starting, Working, Blocked, Idle, Done, Error, Unknown])
}

pub(super) fn activity_source() -> impl Strategy<Value = ActivitySource> {
    use ActivitySource::{Process, Program, Rule, Signal};
    select(vec![Program, Signal, Rule, Process])
}

pub(super) fn agent_report() -> impl Strategy<Value = AgentReport> {
    let said = (option::of(activity()), option::of(text()));
    let about = (option::of(activity_source()), option::of(command_id()));
    let front = option::of(foreground());
    (said, about, option::of(timestamp()), front, attributes()).prop_map(
        |((activity, reason), (source, command_id), since, foreground, facts)| AgentReport {
            activity,
            reason,
            source,
            command_id,
            since,
            foreground,
            facts,
        },
    )
}

fn foreground() -> impl Strategy<Value = Foreground> {
    (vec(text(), 0..4), any::<bool>(), any::<bool>()).prop_map(|(argv, own, reads)| Foreground {
        argv,
        own,
        reads,
    })
}

pub(super) fn agent_info() -> impl Strategy<Value = AgentInfo> {
    let status = select(vec![Presence::Connected, Presence::Disconnected]);
    let times = (status, timestamp(), timestamp());
    let said = (words(), words(), vec(text(), 0..3), activity());
    let numbers = (
        option::of(number()),
        option::of(any::<u32>()),
        any::<bool>(),
    );
    let why = (
        option::of(text()),
        option::of(activity_source()),
        option::of(timestamp()),
        option::of(command_id()),
    );
    (
        agent_id(),
        times,
        said,
        why,
        vec(command::summary(), 0..3),
        numbers,
    )
        .prop_map(
            |(agent_id, times, said, why, commands, numbers)| AgentInfo {
                agent_id,
                status: times.0,
                since: times.1,
                last_seen: times.2,
                labels: said.0,
                facts: said.1,
                capabilities: said.2,
                activity: said.3,
                activity_reason: why.0,
                activity_source: why.1,
                activity_since: why.2,
                activity_command_id: why.3,
                failed: numbers.2,
                commands,
                latency_ms: numbers.0,
                max_commands: numbers.1,
            },
        )
}

pub(super) fn agent_list() -> impl Strategy<Value = AgentList> {
    (vec(agent_info(), 0..4), any::<bool>()).prop_map(|(agents, more)| AgentList { agents, more })
}

pub(super) fn agent_connected() -> impl Strategy<Value = AgentConnected> {
    agent_info().prop_map(|agent| AgentConnected {
        agent_id: agent.agent_id.clone(),
        agent,
    })
}

pub(super) fn agent_disconnected() -> impl Strategy<Value = AgentDisconnected> {
    (agent_info(), text()).prop_map(|(agent, reason)| AgentDisconnected {
        agent_id: agent.agent_id.clone(),
        reason,
        agent,
    })
}

pub(super) fn agent_forget() -> impl Strategy<Value = AgentForget> {
    agent_id().prop_map(|agent_id| AgentForget { agent_id })
}

pub(super) fn error() -> impl Strategy<Value = ErrorPayload> {
    (
        select(ErrorCode::ALL.to_vec()),
        text(),
        option::of(number()),
    )
        .prop_map(|(code, message, retry_after_ms)| ErrorPayload {
            code,
            message,
            retry_after_ms,
        })
}

pub(super) fn publish() -> impl Strategy<Value = Publish> {
    (channel(), text(), json()).prop_map(|(channel, event, data)| Publish {
        channel,
        event,
        data,
    })
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    (text(), json(), text()).prop_map(|(event, data, from)| Event { event, data, from })
}

pub(super) fn task_status() -> impl Strategy<Value = TaskStatus> {
    (text(), text()).prop_map(|(task_id, status)| TaskStatus { task_id, status })
}

pub(super) fn notification() -> impl Strategy<Value = Notification> {
    let priority = select(vec![
        Priority::Low,
        Priority::Normal,
        Priority::High,
        Priority::Urgent,
    ]);
    (text(), text(), priority).prop_map(|(title, message, priority)| Notification {
        title,
        message,
        priority,
    })
}

pub(super) fn activity_log() -> impl Strategy<Value = ActivityLog> {
    let level = select(vec![Level::Debug, Level::Info, Level::Warn, Level::Error]);
    (level, text(), btree_map(text(), json(), 0..3)).prop_map(|(level, message, metadata)| {
        ActivityLog {
            level,
            message,
            metadata,
        }
    })
}
