//! Dashboards that come and go, and resume where they were.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use opsctl_protocol::message::{Since, Subscribe};
use opsctl_protocol::{AgentId, Channel, CommandId, Pattern};

use crate::rng::Rng;
use crate::wire::{Heard, Lost, Wire};
use crate::witness::{Trouble, Witness};
use crate::world::PATIENCE;

/// Set when nothing more is asked for: all commands that there were, with their agents.
pub type Over = OnceLock<BTreeMap<CommandId, AgentId>>;

/// How a dashboard behaves.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// It follows the agents' channels, output included; else each command's own.
    pub by_agent: bool,
    /// It subscribes so that it never skips.
    pub lossless: bool,
    /// It speaks binary frames.
    pub binary: bool,
    /// It comes and goes.
    pub restless: bool,
}

impl Manner {
    /// The manner of the dashboard with this number.
    pub fn of(number: u64) -> Self {
        Self {
            by_agent: number % 4 == 1,
            lossless: number.is_multiple_of(2),
            binary: !number.is_multiple_of(3),
            restless: true,
        }
    }

    /// One that reads everything back from the log.
    pub fn reader() -> Self {
        Self {
            by_agent: false,
            lossless: true,
            binary: true,
            restless: false,
        }
    }
}

/// A dashboard.
pub struct Dashboard {
    address: SocketAddr,
    token: String,
    manner: Manner,
    rng: Rng,
    witness: Witness,
}

impl Dashboard {
    /// One that dials this address.
    pub fn new(address: SocketAddr, token: String, manner: Manner, rng: Rng) -> Self {
        Self {
            address,
            token,
            manner,
            rng,
            witness: Witness::new(manner.by_agent, manner.lossless),
        }
    }

    /// Watches until the work is over and each command's end has been seen.
    pub fn watch(mut self, over: &Over) -> Result<Witness, Trouble> {
        let mut deadline = None;
        loop {
            // What a lost connection left is in the witness; the next one goes on from there.
            let _ = self.visit(over)?;
            if self.is_done(over) {
                return Ok(self.witness);
            }
            if over.get().is_some() {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
                if Instant::now() > deadline {
                    return Err(format!("still waits for: {}", self.missing()));
                }
            }
            std::thread::sleep(Duration::from_millis(self.rng.within(0..300)));
        }
    }

    /// On agents' channels nobody is told of an end that came while both were away.
    fn is_done(&self, over: &Over) -> bool {
        let ended = |id| {
            self.witness
                .commands
                .get(id)
                .is_some_and(|seen| seen.ended.is_some())
        };
        over.get()
            .is_some_and(|all| self.manner.by_agent || all.keys().all(ended))
    }

    fn is_restless(&self, over: &Over) -> bool {
        self.manner.restless && over.get().is_none()
    }

    fn missing(&self) -> String {
        let open = self.witness.commands.iter();
        let open = open.filter(|(_, seen)| seen.ended.is_none());
        let open: Vec<String> = open
            .map(|(id, seen)| format!("{id} from {:?}", seen.next))
            .collect();
        format!("{} known, open: {open:?}", self.witness.commands.len())
    }

    /// One connection, for a while. The outer error is a broken contract, the inner one a broken connection.
    fn visit(&mut self, over: &Over) -> Result<Result<(), Lost>, Trouble> {
        let restless = self.is_restless(over);
        let stays = if restless {
            self.rng.within(1..400)
        } else {
            u64::MAX
        };
        for (id, agent) in over.get().into_iter().flatten() {
            self.witness.learn(*id, &Channel::Agent(agent.clone()));
        }
        let mut wire = match Wire::open(self.address, &self.token, self.manner.binary) {
            Ok(wire) => wire,
            Err(lost) => return Ok(Err(lost)),
        };
        self.witness.connected(&wire.epoch);
        if let Err(lost) = self.resume(&mut wire) {
            return Ok(Err(lost));
        }
        let mut quiet_since = Instant::now();
        for _ in 0..stays {
            if self.is_done(over) {
                return Ok(Ok(()));
            }
            if restless != self.is_restless(over) {
                break;
            }
            let heard = match wire.next() {
                Ok(heard) => heard,
                Err(lost) => return Ok(Err(lost)),
            };
            match heard {
                Heard::Message(decoded) => {
                    for id in self.witness.message(&decoded)? {
                        if let Err(lost) = self.follow(&mut wire, id) {
                            return Ok(Err(lost));
                        }
                    }
                }
                Heard::Output(frame) => self.witness.output(&frame)?,
                // A connection that is silent for long may be dead.
                Heard::Nothing if quiet_since.elapsed() > Duration::from_secs(10) => break,
                Heard::Nothing => continue,
            }
            quiet_since = Instant::now();
        }
        Ok(Ok(()))
    }

    /// Subscribes to everything again, from where it stood.
    fn resume(&mut self, wire: &mut Wire) -> Result<(), Lost> {
        let mut since = Since::default();
        if self.manner.by_agent {
            for (channel, position) in &self.witness.positions {
                since.streams.insert(channel.to_string(), position.clone());
            }
        }
        wire.subscribe(Subscribe {
            channel: Pattern::new("agent:*").unwrap(),
            since: Some(since),
            lossless: false,
            no_output: !self.manner.by_agent,
        })?;
        let known: Vec<CommandId> = self.witness.commands.keys().copied().collect();
        known.into_iter().try_for_each(|id| self.follow(wire, id))
    }

    /// Subscribes to a command from where it was seen, unless its output comes on its agent's channel.
    fn follow(&mut self, wire: &mut Wire, id: CommandId) -> Result<(), Lost> {
        let seen = self.witness.commands.entry(id).or_default();
        if self.manner.by_agent || seen.ended.is_some() {
            return Ok(());
        }
        let offset = Some(*seen.next.get_or_insert(0));
        wire.subscribe(Subscribe {
            channel: Pattern::exactly(&Channel::Command(id)),
            since: Some(Since {
                offset,
                ..Since::default()
            }),
            lossless: self.manner.lossless,
            no_output: false,
        })
    }
}
