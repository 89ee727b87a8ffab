//! A bare hub on Node and `ws`, the library that most hubs of this kind are written with: no tokens, no journal, no
//! numbers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;

use super::{Hub, Peer, Source};
use crate::net::{Dialect, Heard, Id, Net};
use crate::support::background::Background;
use crate::support::place::{Place, cache};
use crate::support::stop::wait_until;
use crate::wire::record::BYTES;
use crate::wire::websocket::{Opcode, Upgrade};

/// What is installed, so that runs can be compared with each other.
const PACKAGE: &str = "ws@8.18.3";

const HUB: &str = include_str!("hub.mjs");

const DEADLINE: Duration = Duration::from_secs(30);

/// The running hub.
pub struct Node {
    address: SocketAddr,
    process: Background,
    _place: Place,
}

impl Node {
    /// Installs `ws` where it isn't, and starts the hub.
    pub fn start() -> Result<Self> {
        let modules = install()?;
        let place = Place::new()?;
        let program = place.write("hub.mjs", HUB)?;
        let mut node = place.command("node");
        let mut process = Background::start(&place, "node", node.arg(program).arg(modules))?;
        let mut port = None;
        wait_until("the Node hub", DEADLINE, || {
            process.check()?;
            let said = std::fs::read_to_string(place.path("node.log"))?;
            port = said
                .trim()
                .strip_prefix("port ")
                .and_then(|port| port.parse().ok());
            Ok(port.is_some())
        })?;
        let port: u16 = port.context("the hub has told its port")?;
        Ok(Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            process,
            _place: place,
        })
    }

    /// What `node --version` says, and the package.
    pub fn version() -> Result<String> {
        let output = Command::new("node").arg("--version").output()?;
        let version = String::from_utf8_lossy(&output.stdout);
        Ok(format!("node {} with {PACKAGE}", version.trim()))
    }

    fn open(&self, net: &mut Net, path: &str) -> Result<Id> {
        let upgrade = Upgrade {
            path: path.to_owned(),
            ..Upgrade::default()
        };
        net.open(
            Ipv4Addr::LOCALHOST,
            self.address,
            Dialect::WebSocket(upgrade),
        )
    }
}

impl Hub for Node {
    fn name(&self) -> String {
        "bare Node hub".to_owned()
    }

    fn pid(&self) -> Pid {
        self.process.pid()
    }

    fn source(&self, net: &mut Net, number: usize) -> Result<(Id, Box<dyn Source>)> {
        let agent = Client {
            name: format!("bench-{number:05}"),
            ready: false,
        };
        Ok((self.open(net, "/agent")?, Box::new(agent)))
    }

    fn watcher(&self, net: &mut Net) -> Result<(Id, Box<dyn Peer>)> {
        let dashboard = Client {
            name: String::new(),
            ready: false,
        };
        Ok((self.open(net, "/dashboard")?, Box::new(dashboard)))
    }
}

/// An agent or a dashboard: neither has to say anything first.
struct Client {
    name: String,
    ready: bool,
}

impl Peer for Client {
    fn heard(&mut self, _: &mut Net, _: Id, heard: Heard<'_>) {
        self.ready = !matches!(heard, Heard::Closed(_));
    }

    fn is_ready(&self) -> bool {
        self.ready
    }
}

impl Source for Client {
    fn publish(&mut self, net: &mut Net, id: Id, record: &[u8; BYTES]) {
        let (line, _newline) = record.split_at(BYTES - 1);
        let before = format!(
            r#"{{"version":"1.0.0","type":"terminal:output","timestamp":1763680000123,"payload":{{"agentId":"{}","kind":"output","data":""#,
            self.name
        );
        net.queue(id, Opcode::Text, &[before.as_bytes(), line, br#"\n"}}"#]);
    }
}

/// The directory below which `ws` is found: in the user's cache.
fn install() -> Result<PathBuf> {
    let dir = cache("node")?;
    if dir.join("node_modules/ws/package.json").is_file() {
        return Ok(dir);
    }
    eprintln!("load: installing {PACKAGE} into {}", dir.display());
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
        .arg(&dir)
        .arg(PACKAGE);
    let output = npm.output().context("npm is not installed")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{npm:?}: {}", said.trim());
    Ok(dir)
}
