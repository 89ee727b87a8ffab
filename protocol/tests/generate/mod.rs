//! Any message that can stand on the wire, for property tests. Strategies that others are built from are boxed: their
//! values would not fit the stack of a test thread otherwise.

mod command;
mod connection;
mod session;
mod typing;

use std::collections::BTreeMap;

use opsctl_protocol::message::{
    AgentMessage, ConnectionQuery, DaemonQuery, DashboardMessage, Nothing, Payload, ToAgent,
    ToDashboard,
};
use opsctl_protocol::{AgentId, Channel, CommandId, Header, OutputFrame, Pattern, Timestamp};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use opsctl_protocol::frame::Via;
use opsctl_protocol::limits::MAX_INTEGER;
use opsctl_protocol::message::{CommandInput, Kind};

/// Short texts of any characters, and now and then one that makes its payload travel compressed.
pub(crate) fn text() -> BoxedStrategy<String> {
    prop_oneof![
        8 => any::<String>(),
        8 => "[ -~]{0,30}",
        1 => ("\\PC{1,4}", 3_000..20_000_usize).prop_map(|(piece, times)| piece.repeat(times)),
    ]
    .boxed()
}

/// Bytes, UTF-8 or not, large now and then.
pub(crate) fn bytes() -> BoxedStrategy<Payload> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..200),
        4 => text().prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 10_000..33_000),
    ]
    .prop_map(|bytes| Payload(bytes.into()))
    .boxed()
}

pub(crate) fn agent_id() -> impl Strategy<Value = AgentId> {
    "[a-zA-Z0-9äß._@-]{1,40}".prop_filter_map("a name", |name| AgentId::new(name).ok())
}

pub(crate) fn command_id() -> impl Strategy<Value = CommandId> {
    any::<[u8; 16]>().prop_map(CommandId)
}

pub(crate) fn channel() -> impl Strategy<Value = Channel> {
    prop_oneof![
        agent_id().prop_map(Channel::Agent),
        command_id().prop_map(Channel::Command),
        "(task|issue|project):[^*]{1,30}".prop_filter_map("a channel", |text| text.parse().ok()),
        Just(Channel::System),
    ]
}

pub(crate) fn pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        channel().prop_map(|channel| Pattern::exactly(&channel)),
        "(agent:|command:|\\*|s)[a-z*]{0,20}\\*"
            .prop_filter_map("a pattern", |text| Pattern::new(text).ok()),
    ]
}

/// An offset, a number in a channel, a span of time.
pub(crate) fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..100_u64, 0..=MAX_INTEGER]
}

/// Zero asks [`opsctl_protocol::encode`] for the present, so it does not stand on the wire.
pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    (1..=MAX_INTEGER).prop_map(Timestamp)
}

pub(crate) fn words() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(text(), text(), 0..4)
}

/// A terminal's columns or rows.
pub(crate) fn side() -> impl Strategy<Value = u16> {
    1..=1000_u16
}

/// Whatever a publisher may say.
pub(crate) fn json() -> impl Strategy<Value = serde_json::Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
    ];
    let leaf = prop_oneof![
        Just(().into()),
        any::<bool>().prop_map(Into::into),
        number,
        text().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            btree_map(text(), inner, 0..5).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Any envelope.
pub(crate) fn header() -> impl Strategy<Value = Header> {
    (
        timestamp(),
        option::of(text()),
        option::of(text()),
        option::of(channel()),
        option::of(text()),
        option::of(number()),
    )
        .prop_map(|(timestamp, id, re, channel, epoch, seq)| Header {
            timestamp,
            id,
            re,
            channel,
            epoch,
            seq,
        })
}

pub(crate) fn output_frame() -> impl Strategy<Value = OutputFrame> {
    (
        (
            command_id(),
            kind(),
            prop::sample::select(vec![Via::Direct, Via::Command, Via::Agent]),
        ),
        (number(), number(), number()),
        option::of((side(), side())),
        bytes(),
    )
        .prop_map(
            |((command_id, kind, via), (seq, offset, time), size, data)| OutputFrame {
                command_id,
                kind,
                via,
                seq,
                offset,
                time: Timestamp(time),
                size,
                data: data.0,
            },
        )
}

pub(crate) fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Output, Kind::Error, Kind::Info])
}

pub(crate) fn input() -> impl Strategy<Value = CommandInput> {
    (command_id(), bytes(), option::of(number()), any::<bool>()).prop_map(
        |(command_id, data, offset, eof)| CommandInput {
            command_id,
            data,
            offset,
            eof,
        },
    )
}

pub(crate) fn dashboard_message() -> BoxedStrategy<DashboardMessage> {
    prop_oneof![
        session::dashboard_connect()
            .boxed()
            .prop_map(DashboardMessage::Connect),
        session::subscribe()
            .boxed()
            .prop_map(DashboardMessage::Subscribe),
        session::unsubscribe()
            .boxed()
            .prop_map(DashboardMessage::Unsubscribe),
        command::request()
            .boxed()
            .prop_map(DashboardMessage::Request),
        command::interrupt()
            .boxed()
            .prop_map(DashboardMessage::Interrupt),
        command::cancel().boxed().prop_map(DashboardMessage::Cancel),
        input().boxed().prop_map(DashboardMessage::Input),
        command::resize().boxed().prop_map(DashboardMessage::Resize),
        command::query().boxed().prop_map(DashboardMessage::Query),
        typing::type_().boxed().prop_map(DashboardMessage::Type),
        typing::cancel()
            .boxed()
            .prop_map(DashboardMessage::CancelTyping),
        typing::queue()
            .boxed()
            .prop_map(DashboardMessage::TypingQueue),
        session::agent_forget()
            .boxed()
            .prop_map(DashboardMessage::Forget),
        option::of(any::<u32>())
            .prop_map(|limit| DashboardMessage::Connections(ConnectionQuery { limit })),
        Just(DashboardMessage::Daemon(DaemonQuery {})),
        session::publish()
            .boxed()
            .prop_map(DashboardMessage::Publish),
        Just(DashboardMessage::Ping(Nothing {})),
    ]
    .boxed()
}

pub(crate) fn to_dashboard() -> BoxedStrategy<ToDashboard> {
    let first = prop_oneof![
        session::connected()
            .boxed()
            .prop_map(ToDashboard::Connected),
        session::subscribed()
            .boxed()
            .prop_map(ToDashboard::Subscribed),
        session::unsubscribe()
            .boxed()
            .prop_map(ToDashboard::Unsubscribed),
        session::agent_list()
            .boxed()
            .prop_map(ToDashboard::AgentList),
        session::agent_info()
            .boxed()
            .prop_map(ToDashboard::AgentStatus),
        session::agent_connected()
            .boxed()
            .prop_map(ToDashboard::AgentConnected),
        session::agent_disconnected()
            .boxed()
            .prop_map(ToDashboard::AgentDisconnected),
        session::agent_forget()
            .boxed()
            .prop_map(ToDashboard::AgentForgotten),
        command::accepted().boxed().prop_map(ToDashboard::Accepted),
        command::status().boxed().prop_map(ToDashboard::Status),
    ];
    let second = prop_oneof![
        command::list().boxed().prop_map(ToDashboard::CommandList),
        connection::list()
            .boxed()
            .prop_map(ToDashboard::ConnectionList),
        connection::daemon()
            .boxed()
            .prop_map(ToDashboard::DaemonStatus),
        command::output().boxed().prop_map(ToDashboard::Output),
        command::snapshot().boxed().prop_map(ToDashboard::Snapshot),
        typing::typed().boxed().prop_map(ToDashboard::Typed),
        typing::messages()
            .boxed()
            .prop_map(ToDashboard::TypingQueue),
        command::gap().boxed().prop_map(ToDashboard::Gap),
        session::event().boxed().prop_map(ToDashboard::Event),
        session::task_status()
            .boxed()
            .prop_map(ToDashboard::TaskStatus),
        session::notification()
            .boxed()
            .prop_map(ToDashboard::Notification),
        session::activity_log()
            .boxed()
            .prop_map(ToDashboard::ActivityLog),
        session::error().boxed().prop_map(ToDashboard::Error),
        Just(ToDashboard::Pong(Nothing {})),
    ];
    prop_oneof![first, second].boxed()
}

pub(crate) fn agent_message() -> BoxedStrategy<AgentMessage> {
    let first = prop_oneof![
        session::agent_connect()
            .boxed()
            .prop_map(AgentMessage::Connect),
        session::agent_report()
            .boxed()
            .prop_map(AgentMessage::Report),
        command::status().boxed().prop_map(AgentMessage::Status),
        command::output().boxed().prop_map(AgentMessage::Output),
        command::gap().boxed().prop_map(AgentMessage::Gap),
    ];
    let second = prop_oneof![
        session::publish().boxed().prop_map(AgentMessage::Publish),
        session::task_status()
            .boxed()
            .prop_map(AgentMessage::TaskStatus),
        session::notification()
            .boxed()
            .prop_map(AgentMessage::Notification),
        session::activity_log()
            .boxed()
            .prop_map(AgentMessage::ActivityLog),
        session::error().boxed().prop_map(AgentMessage::Error),
        Just(AgentMessage::Ping(Nothing {})),
    ];
    prop_oneof![first, second].boxed()
}

pub(crate) fn to_agent() -> BoxedStrategy<ToAgent> {
    prop_oneof![
        session::connected().boxed().prop_map(ToAgent::Connected),
        command::execute().boxed().prop_map(ToAgent::Execute),
        command::interrupt().boxed().prop_map(ToAgent::Interrupt),
        input().boxed().prop_map(ToAgent::Input),
        command::resize().boxed().prop_map(ToAgent::Resize),
        command::ack().boxed().prop_map(ToAgent::Ack),
        session::error().boxed().prop_map(ToAgent::Error),
        Just(ToAgent::Pong(Nothing {})),
    ]
    .boxed()
}
