//! Every message, as one enum for each direction. Payload structs say what their fields mean; unknown fields are ignored
//! and absent ones take their default, so that either side may be newer.
//!
//! - [`shapeless`]: JSON that nobody here looks into.
//! - [`session`]: who is there, what is subscribed, what went wrong.
//! - [`activity`]: what a program is doing, and how that is known.
//! - [`agent`]: what an agent tells of itself, what dashboards see of it.
//! - [`command`]: asking for commands, their life, steering them.
//! - [`connection`]: who else is connected.
//! - [`daemon`]: how the daemon is.
//! - [`stream`]: their output.
//! - [`typing`]: messages typed into a program's terminal.
//! - [`topic`]: what agents and people publish.

pub mod activity;
pub mod agent;
pub mod command;
pub mod connection;
pub mod daemon;
pub mod session;
mod shapeless;
pub mod stream;
pub mod topic;
pub mod typing;

use schemars::{Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

pub use activity::{Activity, ActivitySource, Approval, Foreground};
pub use agent::{
    AgentConnect, AgentConnected, AgentDisconnected, AgentForget, AgentInfo, AgentList,
    AgentReport, Presence, RECEIPTS, check_attributes,
};
pub use command::{
    AcceptedCommand, CommandAccepted, CommandCancel, CommandExecute, CommandInput,
    CommandInterrupt, CommandList, CommandQuery, CommandReport, CommandRequest, CommandResize,
    CommandSpec, CommandStatus, CommandSummary, Program, Signal, State, Stdin, Target,
};
pub use connection::{AgentConnection, ConnectionInfo, ConnectionList, ConnectionQuery, Traffic};
pub use daemon::{AgentCounts, DaemonQuery, DaemonStatus, DiskStatus, LogStatus, QueueCounts};
pub use session::{
    Connected, DashboardConnect, ErrorCode, ErrorPayload, LimitsInfo, Nothing, Position, RateInfo,
    Rights, Role, Since, Subscribe, Subscribed, SubscribedStream, Unsubscribe,
};
pub use stream::{Gap, Kind, Payload, TerminalAck, TerminalOutput, TerminalSnapshot};
pub use topic::{ActivityLog, Event, Level, Notification, Priority, Publish, TaskStatus};
pub use typing::{
    ApprovalAnswer, Evidence, Obstacle, TerminalCancel, TerminalMessages, TerminalQueue,
    TerminalType, TerminalTyped, TypedState, Verdict,
};

/// A set of messages that travel in one direction.
pub trait Direction: Sized {
    /// The `type` on the wire.
    fn kind(&self) -> &'static str;

    /// Writes the payload's JSON behind what is there.
    fn write_payload(&self, buffer: &mut Vec<u8>) -> Result<(), serde_json::Error>;

    /// Reads a payload; `None` when this direction has no such `type`.
    fn read(kind: &str, payload: &str) -> Option<Result<Self, serde_json::Error>>;

    /// Each `type` with the schema of its payload.
    fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)>;
}

fn read_payload<T: DeserializeOwned>(payload: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(payload)
}

/// Declares one direction: the enum, and the table between its variants and their `type`s.
macro_rules! direction {
    ($(#[$doc:meta])* $name:ident { $($kind:literal => $variant:ident($payload:ty)),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        #[allow(
            clippy::large_enum_variant,
            reason = "a message is matched and taken apart where it is read; none is kept in bulk"
        )]
        pub enum $name {
            $(#[doc = concat!("`", $kind, "`")] $variant($payload),)+
        }

        impl Direction for $name {
            fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)+ }
            }

            fn write_payload(&self, buffer: &mut Vec<u8>) -> Result<(), serde_json::Error> {
                match self { $(Self::$variant(payload) => serde_json::to_writer(buffer, payload),)+ }
            }

            fn read(kind: &str, payload: &str) -> Option<Result<Self, serde_json::Error>> {
                match kind {
                    $($kind => Some(read_payload(payload).map(Self::$variant)),)+
                    _ => None,
                }
            }

            fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
                vec![$(($kind, generator.subschema_for::<$payload>()),)+]
            }
        }

        $(direction!(@from $name $variant $payload);)+
    };
    // `Nothing` stands for several messages, so it says nothing about which.
    (@from $name:ident $variant:ident Nothing) => {};
    (@from $name:ident $variant:ident $payload:ty) => {
        impl From<$payload> for $name {
            fn from(payload: $payload) -> Self {
                Self::$variant(payload)
            }
        }
    };
}

direction! {
    /// What a dashboard tells the daemon.
    DashboardMessage {
        "dashboard:connect" => Connect(DashboardConnect),
        "subscribe" => Subscribe(Subscribe),
        "unsubscribe" => Unsubscribe(Unsubscribe),
        "command:request" => Request(CommandRequest),
        "command:interrupt" => Interrupt(CommandInterrupt),
        "command:cancel" => Cancel(CommandCancel),
        "command:input" => Input(CommandInput),
        "command:resize" => Resize(CommandResize),
        "command:query" => Query(CommandQuery),
        "terminal:type" => Type(TerminalType),
        "terminal:cancel" => CancelTyping(TerminalCancel),
        "terminal:queue" => TypingQueue(TerminalQueue),
        "agent:forget" => Forget(AgentForget),
        "connection:query" => Connections(ConnectionQuery),
        "daemon:query" => Daemon(DaemonQuery),
        "publish" => Publish(Publish),
        "ping" => Ping(Nothing),
    }
}

direction! {
    /// What the daemon tells a dashboard.
    ToDashboard {
        "connected" => Connected(Connected),
        "subscribed" => Subscribed(Subscribed),
        "unsubscribed" => Unsubscribed(Unsubscribe),
        "agent:list" => AgentList(AgentList),
        "agent:status" => AgentStatus(AgentInfo),
        "agent:connected" => AgentConnected(AgentConnected),
        "agent:disconnected" => AgentDisconnected(AgentDisconnected),
        "agent:forgotten" => AgentForgotten(AgentForget),
        "command:accepted" => Accepted(CommandAccepted),
        "command:status" => Status(CommandStatus),
        "command:list" => CommandList(CommandList),
        "connection:list" => ConnectionList(ConnectionList),
        "daemon:status" => DaemonStatus(DaemonStatus),
        "terminal:output" => Output(TerminalOutput),
        "terminal:snapshot" => Snapshot(TerminalSnapshot),
        "terminal:typed" => Typed(TerminalTyped),
        "terminal:queue" => TypingQueue(TerminalMessages),
        "gap" => Gap(Gap),
        "event" => Event(Event),
        "task_status" => TaskStatus(TaskStatus),
        "notification" => Notification(Notification),
        "activity_log" => ActivityLog(ActivityLog),
        "error" => Error(ErrorPayload),
        "pong" => Pong(Nothing),
    }
}

direction! {
    /// What an agent tells the daemon.
    AgentMessage {
        "agent:connect" => Connect(AgentConnect),
        "agent:status" => Report(AgentReport),
        "command:status" => Status(CommandStatus),
        "terminal:output" => Output(TerminalOutput),
        "gap" => Gap(Gap),
        "publish" => Publish(Publish),
        "task_status" => TaskStatus(TaskStatus),
        "notification" => Notification(Notification),
        "activity_log" => ActivityLog(ActivityLog),
        "error" => Error(ErrorPayload),
        "ping" => Ping(Nothing),
    }
}

direction! {
    /// What the daemon tells an agent.
    ToAgent {
        "connected" => Connected(Connected),
        "command:execute" => Execute(CommandExecute),
        "command:interrupt" => Interrupt(CommandInterrupt),
        "command:input" => Input(CommandInput),
        "command:resize" => Resize(CommandResize),
        "terminal:ack" => Ack(TerminalAck),
        "error" => Error(ErrorPayload),
        "pong" => Pong(Nothing),
    }
}

/// The JSON Schema of the whole contract: for each direction, each `type` with its payload.
pub fn schema() -> serde_json::Value {
    let mut generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let mut directions = serde_json::Map::new();
    let mut add = |name: &str, schemas: Vec<(&'static str, Schema)>| {
        let types = schemas
            .into_iter()
            .map(|(kind, schema)| (kind.to_owned(), schema.to_value()));
        directions.insert(name.to_owned(), serde_json::Value::Object(types.collect()));
    };
    add(
        "dashboardToDaemon",
        DashboardMessage::schemas(&mut generator),
    );
    add("daemonToDashboard", ToDashboard::schemas(&mut generator));
    add("agentToDaemon", AgentMessage::schemas(&mut generator));
    add("daemonToAgent", ToAgent::schemas(&mut generator));
    let definitions = generator.take_definitions(true);
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "opsctl wire contract, payloads by direction and type",
        "version": crate::VERSION,
        "properties": directions,
        "$defs": definitions,
    })
}
