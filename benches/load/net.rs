//! Connections, thousands of them, on one thread: a loop around epoll that hands over whole messages.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::event::{Timespec, epoll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

use crate::wire::nats::{self, Said};
use crate::wire::websocket::{self, Opcode, Upgrade};

/// Bytes read at once: the largest message of any protocol here and some more.
const BUFFER: usize = 2 * 1024 * 1024;

/// Connections whose readiness is asked for at once.
const EVENTS: usize = 256;

/// A connection's number; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(usize);

impl Id {
    /// As an index: numbers count from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What is spoken on a connection.
#[derive(Clone, Debug)]
pub enum Dialect {
    /// HTTP that becomes a WebSocket.
    WebSocket(Upgrade),
    /// NATS.
    Nats,
}

/// What came on a connection.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// It is open: messages can be sent.
    Opened,
    /// A text message, or a NATS message.
    Text(&'a [u8]),
    /// A binary message.
    Binary(&'a [u8]),
    /// It is over.
    Closed(&'a Ending),
}

/// How a connection ended.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// The WebSocket close code, where one was given.
    pub code: Option<u16>,
    /// Why, for people.
    pub reason: String,
}

/// Whoever handles what comes.
pub trait Ear {
    /// Handles it.
    fn heard(&mut self, net: &mut Net, id: Id, heard: Heard<'_>);
}

/// All connections.
pub struct Net {
    epoll: OwnedFd,
    links: Vec<Option<Link>>,
    /// Connections that were lost while something was written to them; told with the next turn.
    lost: VecDeque<(Id, Ending)>,
    /// Shared by all reads. Empty while it is lent out.
    buffer: Vec<u8>,
}

/// A connection.
struct Link {
    socket: TcpStream,
    dialect: Dialect,
    stage: Stage,
    /// The beginning of a message.
    unread: Vec<u8>,
    /// What the socket hasn't taken.
    unsent: Vec<u8>,
    /// What epoll was last told to watch.
    watched: epoll::EventFlags,
    /// Whether it is read from only when [`Net::sip`] says so.
    slow: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// TCP's handshake.
    Connecting,
    /// The protocol's.
    Greeting,
    /// Messages.
    Open,
}

impl Net {
    /// No connections yet.
    pub fn new() -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll")?,
            links: Vec::new(),
            lost: VecDeque::new(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Starts a connection from one of this host's loopback addresses.
    pub fn open(&mut self, from: Ipv4Addr, to: SocketAddr, dialect: Dialect) -> Result<Id> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        bind(&socket, &SocketAddrV4::new(from, 0)).context("no port left")?;
        match connect(&socket, &to) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error).context("cannot connect"),
        }
        let id = Id(self.links.len());
        let data = epoll::EventData::new_u64(id.0 as u64);
        epoll::add(&self.epoll, &socket, data, epoll::EventFlags::OUT)?;
        self.links.push(Some(Link {
            socket: socket.into(),
            dialect,
            stage: Stage::Connecting,
            unread: Vec::new(),
            unsent: Vec::new(),
            watched: epoll::EventFlags::OUT,
            slow: false,
        }));
        Ok(id)
    }

    /// Queues a WebSocket message.
    pub fn queue(&mut self, id: Id, opcode: Opcode, parts: &[&[u8]]) {
        if let Some(link) = &mut self.links[id.0] {
            websocket::write(&mut link.unsent, opcode, parts);
        }
    }

    /// Queues what `write` writes.
    pub fn queue_raw(&mut self, id: Id, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(link) = &mut self.links[id.0] {
            write(&mut link.unsent);
        }
    }

    /// Sends a text message.
    pub fn send(&mut self, id: Id, text: &str) {
        self.queue(id, Opcode::Text, &[text.as_bytes()]);
        self.flush(id);
    }

    /// Writes what is queued, as far as the socket takes it; the rest follows by itself.
    pub fn flush(&mut self, id: Id) {
        let Some(link) = &mut self.links[id.0] else {
            return;
        };
        if link.stage == Stage::Connecting || link.unsent.is_empty() {
            return;
        }
        match link.write() {
            Ok(()) => self.watch(id),
            Err(error) => self.lose(id, error.to_string()),
        }
    }

    /// Stops reading a connection but for [`Net::sip`], with the smallest receive buffer that the system grants.
    pub fn slow_down(&mut self, id: Id) -> Result<()> {
        if let Some(link) = &mut self.links[id.0] {
            link.slow = true;
            sockopt::set_socket_recv_buffer_size(&link.socket, 1)?;
            self.watch(id);
        }
        Ok(())
    }

    /// Reads at most so many bytes from a connection that was slowed down, if they are there.
    pub fn sip(&mut self, id: Id, bytes: usize, ear: &mut dyn Ear) {
        self.read(id, bytes, ear);
    }

    /// Waits until something comes, at most until a moment, and hands it over.
    pub fn turn(&mut self, until: Instant, ear: &mut dyn Ear) -> Result<()> {
        while let Some((id, ending)) = self.lost.pop_front() {
            ear.heard(self, id, Heard::Closed(&ending));
        }
        let wait = Timespec::try_from(until.saturating_duration_since(Instant::now()))?;
        let mut events = Vec::with_capacity(EVENTS);
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&wait),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll"),
        }
        for event in events {
            let (id, flags) = (Id(event.data.u64() as usize), event.flags);
            if flags.contains(epoll::EventFlags::OUT) {
                self.writable(id);
            }
            if flags
                .intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR)
            {
                self.read(id, BUFFER, ear);
            }
        }
        Ok(())
    }

    /// The socket takes bytes: the connection stands, or there is room again.
    fn writable(&mut self, id: Id) {
        let Some(link) = &mut self.links[id.0] else {
            return;
        };
        if link.stage == Stage::Connecting {
            match sockopt::socket_error(&link.socket) {
                Ok(Ok(())) => {}
                Ok(Err(error)) | Err(error) => return self.lose(id, error.to_string()),
            }
            link.stage = Stage::Greeting;
            if let Dialect::WebSocket(upgrade) = &link.dialect {
                link.unsent.splice(0..0, upgrade.request());
            }
        }
        match link.write() {
            Ok(()) => self.watch(id),
            Err(error) => self.lose(id, error.to_string()),
        }
    }

    /// Asks for what the connection waits for.
    fn watch(&mut self, id: Id) {
        let Some(link) = &mut self.links[id.0] else {
            return;
        };
        let mut flags = epoll::EventFlags::empty();
        if !link.slow {
            flags |= epoll::EventFlags::IN;
        }
        if !link.unsent.is_empty() {
            flags |= epoll::EventFlags::OUT;
        }
        if std::mem::replace(&mut link.watched, flags) == flags {
            return;
        }
        let data = epoll::EventData::new_u64(id.0 as u64);
        if let Err(error) = epoll::modify(&self.epoll, &link.socket, data, flags) {
            self.lose(id, error.to_string());
        }
    }

    fn lose(&mut self, id: Id, reason: String) {
        if self.links[id.0].take().is_some() {
            let code = None;
            self.lost.push_back((id, Ending { code, reason }));
        }
    }

    fn read(&mut self, id: Id, most: usize, ear: &mut dyn Ear) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let held = self.fill(id, most, &mut buffer);
        if let Some(held) = held
            && let Err(ending) = self.hand_over(id, &buffer[..held], ear)
            && self.links[id.0].take().is_some()
        {
            ear.heard(self, id, Heard::Closed(&ending));
        }
        self.buffer = buffer;
    }

    /// Reads once, behind the beginning of a message that is held; returns how much there is now.
    fn fill(&mut self, id: Id, most: usize, buffer: &mut [u8]) -> Option<usize> {
        let link = self.links[id.0].as_mut()?;
        let held = link.unread.len();
        buffer[..held].copy_from_slice(&link.unread);
        let end = buffer.len().min(held.saturating_add(most));
        match link.socket.read(&mut buffer[held..end]) {
            Ok(0) => {
                self.lose(id, "the other side closed".to_owned());
                None
            }
            Ok(read) => {
                link.unread.clear();
                Some(held + read)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => {
                self.lose(id, error.to_string());
                None
            }
        }
    }

    /// Hands over the whole messages in `bytes` and keeps the rest.
    fn hand_over(&mut self, id: Id, bytes: &[u8], ear: &mut dyn Ear) -> Result<(), Ending> {
        let mut rest = bytes;
        while let Some(link) = &mut self.links[id.0] {
            let broken = |error: anyhow::Error| Ending {
                code: None,
                reason: error.to_string(),
            };
            let taken = match (&link.dialect, link.stage) {
                (Dialect::Nats, _) => self.hand_over_nats(id, rest, ear).map_err(broken)?,
                (Dialect::WebSocket(_), Stage::Open) => {
                    let Some((frame, taken)) = websocket::read(rest).map_err(broken)? else {
                        link.unread.extend_from_slice(rest);
                        return Ok(());
                    };
                    self.hand_over_frame(id, frame, ear)?;
                    Some(taken)
                }
                (Dialect::WebSocket(_), _) => {
                    let answered = websocket::answer(rest).map_err(broken)?;
                    if answered.is_some() {
                        link.stage = Stage::Open;
                        ear.heard(self, id, Heard::Opened);
                    }
                    answered
                }
            };
            match taken {
                Some(taken) => rest = &rest[taken..],
                None => break,
            }
        }
        if let Some(link) = &mut self.links[id.0] {
            link.unread.extend_from_slice(rest);
        }
        Ok(())
    }

    fn hand_over_frame(
        &mut self,
        id: Id,
        frame: websocket::Frame<'_>,
        ear: &mut dyn Ear,
    ) -> Result<(), Ending> {
        match frame.opcode {
            Opcode::Text => ear.heard(self, id, Heard::Text(frame.payload)),
            Opcode::Binary => ear.heard(self, id, Heard::Binary(frame.payload)),
            Opcode::Ping => {
                self.queue(id, Opcode::Pong, &[frame.payload]);
                self.flush(id);
            }
            Opcode::Pong => {}
            Opcode::Close => {
                let (code, reason) = frame.payload.split_at(frame.payload.len().min(2));
                return Err(Ending {
                    code: code.try_into().ok().map(u16::from_be_bytes),
                    reason: String::from_utf8_lossy(reason).into_owned(),
                });
            }
        }
        Ok(())
    }

    fn hand_over_nats(&mut self, id: Id, bytes: &[u8], ear: &mut dyn Ear) -> Result<Option<usize>> {
        let Some((said, taken)) = nats::read(bytes)? else {
            return Ok(None);
        };
        match said {
            Said::Info => {
                if let Some(link) = &mut self.links[id.0] {
                    link.stage = Stage::Open;
                }
                self.queue_raw(id, |out| out.extend_from_slice(nats::CONNECT));
                ear.heard(self, id, Heard::Opened);
                self.queue_raw(id, |out| out.extend_from_slice(nats::PING));
                self.flush(id);
            }
            Said::Ping => {
                self.queue_raw(id, |out| out.extend_from_slice(b"PONG\r\n"));
                self.flush(id);
            }
            Said::Message(payload) => ear.heard(self, id, Heard::Text(payload)),
            // An answer without a record: all that was said at the beginning has been heard.
            Said::Pong => ear.heard(self, id, Heard::Text(&[])),
            Said::Other => {}
        }
        Ok(Some(taken))
    }
}

impl Link {
    fn write(&mut self) -> std::io::Result<()> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(written) => {
                    self.unsent.drain(..written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
