//! The daemon, with agents and dashboards that speak as the contract has it: tokens, a journal of what the agents'
//! commands put out, numbered pushes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use bytes::Bytes;
use opsctl_protocol::message::{
    AgentConnect, CommandReport, CommandSpec, CommandStatus, DashboardConnect, Kind, Position,
    Program, Since, State, Subscribe,
};
use opsctl_protocol::{
    AgentId, AgentMessage, CommandId, DashboardMessage, Header, OutputFrame, Pattern,
    SUBPROTOCOL_BINARY, SUBPROTOCOL_TEXT, Timestamp, ToDashboard, decode, encode,
};
use rustix::process::Pid;

use super::{Hub, Peer, Source};
use crate::net::{Dialect, Heard, Id, Net};
use crate::support::daemon::Daemon;
use crate::wire::record::BYTES;
use crate::wire::websocket::{Opcode, Upgrade};

/// The daemon as a hub.
pub struct Opsctl {
    /// Ends with this, where it was started for it.
    daemon: Option<Daemon>,
    pid: Pid,
    door: Door,
    binary: bool,
}

/// A TCP address with a port that the system chooses.
pub const ANY_PORT: &str = "127.0.0.1:0";

/// How to get in.
#[derive(Clone, Debug)]
pub struct Door {
    /// The daemon's address.
    pub address: SocketAddr,
    /// A token for agents of any name.
    pub agent: String,
    /// A token for dashboards.
    pub viewer: String,
}

impl Door {
    /// Issues tokens for a daemon that listens on TCP.
    pub fn of(daemon: &Daemon) -> Result<Self> {
        Ok(Self {
            address: daemon.address()?,
            agent: daemon.token("agent")?,
            viewer: daemon.token("viewer")?,
        })
    }

    /// Starts an agent's connection.
    pub fn agent(&self, net: &mut Net, from: Ipv4Addr) -> Result<Id> {
        let upgrade = Upgrade {
            path: "/ws/agent".to_owned(),
            token: Some(self.agent.clone()),
            subprotocol: Some(SUBPROTOCOL_BINARY),
        };
        net.open(from, self.address, Dialect::WebSocket(upgrade))
    }

    /// Starts a dashboard's connection.
    pub fn dashboard(&self, net: &mut Net, binary: bool) -> Result<Id> {
        let subprotocol = if binary {
            SUBPROTOCOL_BINARY
        } else {
            SUBPROTOCOL_TEXT
        };
        let upgrade = Upgrade {
            path: "/ws/dashboard".to_owned(),
            token: Some(self.viewer.clone()),
            subprotocol: Some(subprotocol),
        };
        net.open(
            Ipv4Addr::LOCALHOST,
            self.address,
            Dialect::WebSocket(upgrade),
        )
    }
}

impl Opsctl {
    /// Starts a daemon. `binary`: dashboards take binary frames.
    pub fn start(binary: bool) -> Result<Self> {
        let daemon = Daemon::start(ANY_PORT, "")?;
        let mut hub = Self::of(&daemon, binary)?;
        hub.daemon = Some(daemon);
        Ok(hub)
    }

    /// A daemon that runs already.
    pub fn of(daemon: &Daemon, binary: bool) -> Result<Self> {
        Ok(Self {
            daemon: None,
            pid: daemon.pid(),
            door: Door::of(daemon)?,
            binary,
        })
    }
}

impl Hub for Opsctl {
    fn name(&self) -> String {
        let form = if self.binary { "binary frames" } else { "JSON" };
        format!("opsctl, {form}")
    }

    fn pid(&self) -> Pid {
        self.pid
    }

    fn source(&self, net: &mut Net, number: usize) -> Result<(Id, Box<dyn Source>)> {
        let id = self.door.agent(net, Ipv4Addr::LOCALHOST)?;
        Ok((id, Box::new(Agent::with_command(number)?)))
    }

    fn watcher(&self, net: &mut Net) -> Result<(Id, Box<dyn Peer>)> {
        let id = self.door.dashboard(net, self.binary)?;
        Ok((id, Box::new(Dashboard::of_all_agents()?)))
    }
}

/// An agent, perhaps with a main program, as `opsctl agent -- PROGRAM` has one.
pub struct Agent {
    name: AgentId,
    /// The program's id and how much it has put out.
    program: Option<(CommandId, u64)>,
    ready: bool,
}

impl Agent {
    /// One without a program.
    pub fn idle(number: usize) -> Result<Self> {
        Ok(Self {
            name: AgentId::new(format!("bench-{number:05}"))?,
            program: None,
            ready: false,
        })
    }

    /// One with a program.
    pub fn with_command(number: usize) -> Result<Self> {
        let program = Some((CommandId::random(), 0));
        Ok(Self {
            program,
            ..Self::idle(number)?
        })
    }

    fn hello(&self) -> AgentConnect {
        let report = |&(command_id, end): &(CommandId, u64)| CommandReport {
            status: CommandStatus::new(command_id, State::Running),
            from: end,
            to: end,
            spec: Some(CommandSpec::new(Program::Shell("records".to_owned()))),
            main: true,
        };
        let fact = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let facts = [
            ("os", "linux"),
            ("arch", "x86_64"),
            ("hostname", "bench"),
            ("user", "bench"),
            ("version", env!("CARGO_PKG_VERSION")),
        ];
        AgentConnect {
            agent_id: self.name.clone(),
            labels: BTreeMap::from([fact(("env", "bench"))]),
            facts: facts.into_iter().map(fact).collect(),
            capabilities: ["pty", "stdin", "resize"].map(str::to_owned).to_vec(),
            max_commands: Some(8),
            commands: self.program.iter().map(report).collect(),
        }
    }
}

impl Peer for Agent {
    fn heard(&mut self, net: &mut Net, id: Id, heard: Heard<'_>) {
        match heard {
            Heard::Opened => say(net, id, &AgentMessage::Connect(self.hello())),
            // The first that comes is `connected`, what follows are acknowledgements.
            Heard::Text(_) => self.ready = true,
            Heard::Binary(_) => {}
            Heard::Closed(_) => self.ready = false,
        }
    }

    fn is_ready(&self) -> bool {
        self.ready
    }
}

impl Source for Agent {
    fn publish(&mut self, net: &mut Net, id: Id, record: &[u8; BYTES]) {
        let Some((command_id, end)) = &mut self.program else {
            return;
        };
        let frame = OutputFrame {
            command_id: *command_id,
            kind: Kind::Output,
            via: opsctl_protocol::frame::Via::Direct,
            seq: 0,
            offset: *end,
            time: Timestamp::now(),
            size: None,
            data: Bytes::copy_from_slice(record),
        };
        *end = frame.end();
        net.queue(id, Opcode::Binary, &[&frame.encode()]);
    }
}

/// A dashboard that is subscribed to one pattern.
pub struct Dashboard {
    subscribe: Subscribe,
    ready: bool,
    gaps: u64,
    /// The first complaint.
    error: Option<String>,
}

impl Dashboard {
    /// With what is to be subscribed to.
    pub fn new(subscribe: Subscribe) -> Self {
        Self {
            subscribe,
            ready: false,
            gaps: 0,
            error: None,
        }
    }

    /// One that sees what comes from all agents from now on.
    pub fn of_all_agents() -> Result<Self> {
        Self::of_all_agents_since(BTreeMap::new())
    }

    /// One that has seen something of it.
    pub fn of_all_agents_since(streams: BTreeMap<String, Position>) -> Result<Self> {
        Ok(Self::new(Subscribe {
            channel: Pattern::new("agent:*")?,
            since: Some(Since {
                streams,
                ..Since::default()
            }),
            no_output: false,
            lossless: false,
        }))
    }
}

impl Peer for Dashboard {
    fn heard(&mut self, net: &mut Net, id: Id, heard: Heard<'_>) {
        match heard {
            Heard::Opened => {
                let hello = DashboardConnect {
                    client: "opsctl load".to_owned(),
                    client_version: env!("CARGO_PKG_VERSION").to_owned(),
                };
                say(net, id, &DashboardMessage::Connect(hello));
                say(
                    net,
                    id,
                    &DashboardMessage::Subscribe(self.subscribe.clone()),
                );
            }
            Heard::Text(text) => {
                let Ok(text) = std::str::from_utf8(text) else {
                    return;
                };
                match decode::<ToDashboard>(text).map(|decoded| decoded.message) {
                    Ok(ToDashboard::Subscribed(_)) => self.ready = true,
                    Ok(ToDashboard::Gap(_)) => self.gaps += 1,
                    Ok(ToDashboard::Error(error)) => {
                        self.error.get_or_insert(error.message);
                    }
                    _ => {}
                }
            }
            Heard::Binary(_) => {}
            Heard::Closed(_) => self.ready = false,
        }
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn gaps(&self) -> u64 {
        self.gaps
    }
}

fn say<M: opsctl_protocol::message::Direction>(net: &mut Net, id: Id, message: &M) {
    // Messages of this program's own are never too large.
    if let Ok(text) = encode(&Header::default(), message) {
        net.send(id, &text);
    }
}
