//! What happens to the hub, and what it wants done with the disk.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use opsctl_protocol::message::{
    AgentConnect, CommandQuery, CommandSummary, DashboardConnect, Rights, Subscribe,
};
use opsctl_protocol::{AgentId, AgentMessage, CommandId, DashboardMessage, Header, OutputFrame};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{AgentPort, Save, Survey, Version, Wire, Withdrawal};
use crate::activity::{Finding, Look};
use crate::fanout::{Outbox, Stream};
use crate::log::{Record, Room};
use crate::store::{CommandRow, MessageRow, RequestRow};

/// A connection's number, unique within a run of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl std::fmt::Display for ConnId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// What happens to the hub.
pub enum Event {
    /// An agent said who it is.
    AgentJoined {
        /// Its connection.
        conn: ConnId,
        /// Whom the token names.
        rights: Rights,
        /// What it said.
        hello: AgentConnect,
        /// The `id` to answer.
        id: Option<String>,
        /// The way to it.
        port: Box<dyn AgentPort>,
        /// Its connection below its messages.
        wire: Arc<dyn Wire>,
        /// What the disk knows of those among the commands it reported that are not in memory.
        recalled: HashMap<CommandId, Recalled>,
    },
    /// An agent said something.
    AgentSaid(ConnId, Header, AgentMessage),
    /// An agent's command has put something out. The room in the log comes with it, so that the hub never waits.
    AgentOutput(ConnId, OutputFrame, Room),
    /// An agent answered a ping after so many milliseconds.
    AgentLatency(ConnId, u64),
    /// An agent's connection ended, for this reason.
    AgentLeft(ConnId, String),
    /// A dashboard said who it is.
    DashboardJoined {
        /// Its connection.
        conn: ConnId,
        /// Whom the token names.
        rights: Rights,
        /// What it said.
        hello: DashboardConnect,
        /// The `id` to answer.
        id: Option<String>,
        /// Its mailbox.
        outbox: Arc<Outbox>,
        /// Its connection below its messages.
        wire: Arc<dyn Wire>,
    },
    /// A dashboard said something.
    DashboardSaid(ConnId, Header, DashboardMessage),
    /// A dashboard's connection ended.
    DashboardLeft(ConnId),
    /// The answer to [`Effect::Journal`].
    Journaled(String, Journaled),
    /// The answer to [`Effect::Find`].
    Found {
        /// Who asked.
        conn: ConnId,
        /// The `id` to answer.
        id: Option<String>,
        /// What was asked.
        subscribe: Subscribe,
        /// The command with a stream of its own, read from the store and the log.
        found: Option<(Box<CommandRow>, Arc<Stream>)>,
    },
    /// The answer to [`Effect::Save`]: these commands' rows are durable, as they were then.
    Saved(Vec<(CommandId, Version)>),
    /// The answer to [`Effect::Withdraw`]: it is durable, or why it could not be made so.
    Withdrawn(Box<Withdrawal>, Result<(), String>),
    /// The answer to [`Effect::Look`]: what is on a command's screen, with all output up to this offset on it.
    Looked(CommandId, u64, Option<Finding>),
    /// Output before these offsets is durable.
    Durable(Vec<(CommandId, u64)>),
    /// The answer to [`Effect::Message`], for the message with this key.
    MessageWritten(String, Written),
    /// The answer to [`Effect::Probe`]: whether the program that the message with this key is for takes a paste.
    Probed(String, bool),
    /// A deadline of [`super::Hub::next_deadline`] has come.
    Tick,
    /// Everything that came before has been handled; whoever waits for that is told.
    Handled(oneshot::Sender<()>),
}

/// What the disk knows of a command that an agent reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recalled {
    /// Its end is in the store.
    Settled,
    /// The store does not know it; the log has its output up to this offset.
    Logged(u64),
}

/// What became of a request that was to be journaled.
pub enum Journaled {
    /// It is durable.
    New,
    /// The key was used before, by this request.
    Known(Box<RequestRow>),
    /// It was only looked for, and is not there.
    Unknown,
    /// It could not be written.
    Failed(String),
}

/// What became of a message that was to be written down.
pub enum Written {
    /// It is durable as it was then.
    Done,
    /// The key was used before, by this message.
    Known(Box<MessageRow>),
    /// It could not be written.
    Failed(String),
}

/// A program of which is to be known whether it takes a paste.
pub struct Probe {
    /// The message that wants to know.
    pub key: String,
    /// Where the program runs.
    pub agent_id: AgentId,
    /// Its command.
    pub command_id: CommandId,
    /// Its output.
    pub stream: Arc<Stream>,
    /// How much of that there is.
    pub end: u64,
}

/// What the hub wants done with the disk.
pub enum Effect {
    /// Make a request and its commands durable; answer with [`Event::Journaled`].
    Journal(Box<RequestRow>),
    /// Write these, until it works; answer with [`Event::Saved`] for the commands among them.
    Save(Vec<Save>),
    /// Make the end of commands that have not started durable; answer with [`Event::Withdrawn`]. Where somebody asked
    /// for it, one attempt is made, else as many as it takes.
    Withdraw(Box<Withdrawal>),
    /// Append to the output log.
    Log(Room, Record),
    /// Look for a command that is not in memory; answer with [`Event::Found`].
    Find(ConnId, Option<String>, Subscribe, CommandId),
    /// Answer a query from the store, together with what is in memory.
    Query(Box<Query>),
    /// Answer a `daemon:query` with what the disk knows.
    Survey(Box<Survey>),
    /// Make a message durable, a new one or how a known one stands; answer with [`Event::MessageWritten`].
    Message(Box<MessageRow>, bool),
    /// Look whether the store has a request with this key; answer with [`Event::Journaled`].
    RecallRequest(String),
    /// Look whether the store has a message with this key; answer with [`Event::MessageWritten`], where it has none as
    /// if it were written.
    Recall(String),
    /// Find out whether a program takes a paste; answer with [`Event::Probed`].
    Probe(Box<Probe>),
    /// Look at a command's screen; answer with [`Event::Looked`].
    Look(Box<Look>),
    /// A command's screens are no longer needed.
    Forget(CommandId),
}

/// A `command:query` that the store has to complete.
pub struct Query {
    /// Where the answer goes.
    pub outbox: Arc<Outbox>,
    /// The `id` to answer.
    pub id: Option<String>,
    /// What was asked.
    pub query: CommandQuery,
    /// The agents that its selector covers; `None` for all.
    pub agents: Option<Vec<AgentId>>,
    /// Commands in memory that fit; they are newer than what the store says.
    pub live: Vec<CommandSummary>,
    /// Every command in memory, so that the store's older word on it is not used.
    pub in_memory: HashSet<CommandId>,
    /// Its place among the queries of its dashboard; free again when it has been answered.
    pub place: OwnedSemaphorePermit,
}
