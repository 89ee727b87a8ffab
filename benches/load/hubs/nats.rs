//! nats-server: subjects instead of channels, no tokens, no journal, no numbers (what NATS calls core).

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Pid;

use super::{Hub, Peer, Source};
use crate::net::{Dialect, Heard, Id, Net};
use crate::support::background::Background;
use crate::support::place::{Place, free_port};
use crate::support::stop::wait_until;
use crate::wire::nats;
use crate::wire::record::BYTES;

const DEADLINE: Duration = Duration::from_secs(30);

/// The running server.
pub struct Nats {
    address: SocketAddr,
    process: Background,
    _place: Place,
}

impl Nats {
    /// Starts it, with its default settings.
    pub fn start() -> Result<Self> {
        let place = Place::new()?;
        let port = free_port()?;
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let mut command = place.command("nats-server");
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        let process = Background::start(&place, "nats", &mut command);
        let mut process = process.context("nats-server is not installed")?;
        wait_until("nats-server", DEADLINE, || {
            process.check()?;
            Ok(TcpStream::connect(address).is_ok())
        })?;
        Ok(Self {
            address,
            process,
            _place: place,
        })
    }

    /// What `nats-server --version` says.
    pub fn version() -> Result<String> {
        let output = Command::new("nats-server").arg("--version").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Hub for Nats {
    fn name(&self) -> String {
        "nats-server".to_owned()
    }

    fn pid(&self) -> Pid {
        self.process.pid()
    }

    fn source(&self, net: &mut Net, number: usize) -> Result<(Id, Box<dyn Source>)> {
        let id = net.open(Ipv4Addr::LOCALHOST, self.address, Dialect::Nats)?;
        let subject = format!("agent.bench-{number:05}");
        Ok((
            id,
            Box::new(Client {
                subject,
                watches: false,
                ready: false,
            }),
        ))
    }

    fn watcher(&self, net: &mut Net) -> Result<(Id, Box<dyn Peer>)> {
        let id = net.open(Ipv4Addr::LOCALHOST, self.address, Dialect::Nats)?;
        let subject = "agent.*".to_owned();
        Ok((
            id,
            Box::new(Client {
                subject,
                watches: true,
                ready: false,
            }),
        ))
    }
}

/// A publisher or a subscriber.
struct Client {
    subject: String,
    watches: bool,
    ready: bool,
}

impl Peer for Client {
    fn heard(&mut self, net: &mut Net, id: Id, heard: Heard<'_>) {
        match heard {
            Heard::Opened if self.watches => {
                net.queue_raw(id, |out| nats::subscribe(out, &self.subject));
            }
            Heard::Opened => {}
            Heard::Text(_) | Heard::Binary(_) => self.ready = true,
            Heard::Closed(_) => self.ready = false,
        }
    }

    fn is_ready(&self) -> bool {
        self.ready
    }
}

impl Source for Client {
    fn publish(&mut self, net: &mut Net, id: Id, record: &[u8; BYTES]) {
        net.queue_raw(id, |out| nats::publish(out, &self.subject, record));
    }
}
