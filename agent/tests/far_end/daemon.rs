//! A daemon's end of the contract, and an agent that talks to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use opsctl_agent::{AgentError, AgentOptions, Ended};
use opsctl_link::{
    Endpoint, Frame, Metered, Patience, Pulse, Reader, Sender, Target, split_with, websocket_config,
};
use opsctl_protocol::frame::encode_input;
use opsctl_protocol::message::{
    AgentConnect, CommandExecute, CommandInput, CommandInterrupt, CommandSpec, CommandStatus,
    Connected, Gap, Kind, LimitsInfo, Payload, Program, Rights, Role, Signal, State, TerminalAck,
    ToAgent,
};
use opsctl_protocol::{
    AgentId, AgentMessage, BinaryFrame, CommandId, Header, OutputFrame, decode, encode,
};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_util::sync::CancellationToken;

/// How long anything awaited may take, on a machine that is busy with others.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Bulk frames that may wait for the agent.
const BULK_LANE: usize = 8;

/// A directory with a socket where agents come in.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    listener: UnixListener,
}

/// An agent that runs within the test.
pub(crate) struct TestAgent {
    shutdown: CancellationToken,
    task: JoinHandle<Result<Ended, AgentError>>,
}

/// A connected agent, as the daemon sees it.
pub(crate) struct Conn {
    reader: Reader<Metered<UnixStream>>,
    sender: Sender,
    /// How the agent introduced itself.
    pub(crate) hello: AgentConnect,
    /// Output so far, by command; pieces follow each other without holes.
    pub(crate) output: BTreeMap<CommandId, Vec<u8>>,
    /// The pieces themselves, without their bytes: kind, size, offset, length.
    pub(crate) pieces: Vec<Piece>,
    /// Statuses so far.
    pub(crate) statuses: Vec<CommandStatus>,
    /// Output that was told to be gone; it reads as zeroes in `output`.
    pub(crate) gaps: Vec<Gap>,
    /// Errors so far.
    pub(crate) errors: Vec<String>,
    /// Keep bytes; a flood is only counted.
    pub(crate) keep: bool,
    /// Bytes of output so far.
    pub(crate) received: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) kind: Kind,
    pub(crate) size: Option<(u16, u16)>,
    pub(crate) offset: u64,
    pub(crate) length: usize,
}

pub(crate) fn sh(line: &str) -> CommandSpec {
    CommandSpec::new(Program::Shell(line.to_owned()))
}

pub(crate) fn argv(words: &[&str]) -> CommandSpec {
    CommandSpec::new(Program::Argv(
        words.iter().map(|word| (*word).to_owned()).collect(),
    ))
}

impl World {
    /// Kills the holders that there are, and waits until they are dead.
    pub(crate) async fn kill_holders(&self) {
        let ours = self.dir.path().as_os_str().as_encoded_bytes();
        let holders: Vec<Process> = processes()
            .filter(|process| process.is_holder_in(ours))
            .collect();
        for holder in &holders {
            kill(holder.pid);
        }
        within("the holders' death", async {
            // The dead have no command line; nothing tells when that has come.
            while holders.iter().any(|holder| holder.is_holder_in(ours)) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    /// Waits until there are no holders.
    pub(crate) async fn until_no_holders(&self) {
        let ours = self.dir.path().as_os_str().as_encoded_bytes();
        within("the holders' end", async {
            while processes().any(|process| process.is_holder_in(ours)) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

/// It may have ended by now.
fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

impl Drop for World {
    /// Holders and their programs outlive agents, and so would outlive the tests.
    fn drop(&mut self) {
        let ours = self.dir.path().as_os_str().as_encoded_bytes();
        let holders: Vec<Process> = processes()
            .filter(|process| process.is_holder_in(ours))
            .collect();
        let is_holder = |pid: i32| holders.iter().any(|holder| holder.pid == pid);
        // A holder leads the session of a program between pipes; one in a terminal leads its own.
        let sessions: Vec<i32> = processes()
            .filter(|process| is_holder(process.parent) && process.session == process.pid)
            .chain(holders.iter().copied())
            .map(|process| process.pid)
            .collect();
        for process in processes()
            .filter(|process| sessions.contains(&process.session) || is_holder(process.pid))
        {
            kill(process.pid);
        }
    }
}

/// Whether a process has ended; nobody may have reaped it yet.
pub(crate) fn has_ended(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_none_or(|(_, words)| words.trim_start().starts_with(['Z', 'X']))
}

/// A process as `/proc` shows it.
#[derive(Clone, Copy)]
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
}

impl Process {
    fn is_holder_in(&self, dir: &[u8]) -> bool {
        let words = std::fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        words.starts_with(b"opsctl\0holder\0") && words.windows(dir.len()).any(|part| part == dir)
    }
}

fn processes() -> impl Iterator<Item = Process> {
    std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let mut words = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
        let parent = words.next()?.parse().ok()?;
        let session = words.nth(1)?.parse().ok()?;
        Some(Process {
            pid,
            parent,
            session,
        })
    })
}

/// An agent of the world in `dir`.
pub(crate) fn options_in(dir: &Path) -> AgentOptions {
    let target = Target {
        endpoint: Endpoint::Unix(dir.join("daemon.sock")),
        token: None,
        connect_timeout: Duration::from_secs(10),
    };
    // Deeper than a socket's address can be long.
    let state_dir = dir.join("a".repeat(120)).join("agents").join("far");
    AgentOptions::new(AgentId::new("far").unwrap(), target, state_dir)
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("daemon.sock")).unwrap();
        Self { dir, listener }
    }

    /// The agent's directory.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.options().state_dir
    }

    pub(crate) fn options(&self) -> AgentOptions {
        options_in(self.dir.path())
    }

    /// The next agent that connects, before it is answered.
    pub(crate) async fn accept(&self) -> Conn {
        within("an agent's connection", async {
            // An agent that was stopped meanwhile may have dialed before.
            let (socket, pulse) = loop {
                let (stream, _) = self.listener.accept().await.unwrap();
                let pulse = Arc::new(Pulse::new(Patience::default()));
                let socket = tokio_tungstenite::accept_hdr_async_with_config(
                    Metered::new(stream, Arc::clone(&pulse)),
                    subprotocol,
                    Some(websocket_config()),
                );
                if let Ok(socket) = socket.await {
                    break (socket, pulse);
                }
            };
            let (mut reader, sender) = split_with(socket, pulse, BULK_LANE);
            let Frame::Text(text) = reader.next().await.unwrap() else {
                panic!("no text first")
            };
            let AgentMessage::Connect(hello) = decode(&text).unwrap().message else {
                panic!("no agent:connect first")
            };
            Conn {
                reader,
                sender,
                hello,
                output: BTreeMap::new(),
                pieces: Vec::new(),
                statuses: Vec::new(),
                gaps: Vec::new(),
                errors: Vec::new(),
                keep: true,
                received: 0,
            }
        })
        .await
    }

    /// An agent, connected and answered.
    pub(crate) async fn agent(&self) -> (TestAgent, Conn) {
        let agent = TestAgent::start(self.options());
        let mut conn = self.accept().await;
        conn.welcome([]);
        (agent, conn)
    }
}

#[expect(
    clippy::result_large_err,
    clippy::unnecessary_wraps,
    reason = "the library's signature"
)]
fn subprotocol(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let name = opsctl_protocol::SUBPROTOCOL_BINARY.parse().unwrap();
    response
        .headers_mut()
        .insert("sec-websocket-protocol", name);
    Ok(response)
}

impl TestAgent {
    pub(crate) fn start(options: AgentOptions) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(opsctl_agent::run(options, shutdown.clone()));
        Self { shutdown, task }
    }

    pub(crate) async fn stop(self) -> Result<Ended, AgentError> {
        self.shutdown.cancel();
        self.ended().await
    }

    pub(crate) async fn ended(self) -> Result<Ended, AgentError> {
        within("the agent's end", self.task).await.unwrap()
    }
}

impl Conn {
    /// Answers `agent:connect`.
    pub(crate) fn welcome(&mut self, commands: impl IntoIterator<Item = (CommandId, u64)>) {
        let commands: BTreeMap<CommandId, u64> = commands.into_iter().collect();
        self.send(Connected {
            client_id: "a1".into(),
            server_version: "test".into(),
            epoch: "e".into(),
            started_at: None,
            heartbeat_ms: 15_000,
            limits: LimitsInfo::default(),
            rights: Rights {
                role: Role::Agent,
                subject: "test".into(),
                agent: None,
            },
            commands,
        });
    }

    /// Answers `agent:connect`, wanting a command's output from `from` on; what is before reads as zeroes here.
    pub(crate) fn resume_at(&mut self, id: CommandId, from: u64) {
        self.resume_all([(id, from)]);
    }

    pub(crate) fn resume_all<const N: usize>(&mut self, commands: [(CommandId, u64); N]) {
        for (id, from) in commands {
            self.output.insert(id, vec![0; from as usize]);
        }
        self.welcome(commands);
    }

    pub(crate) fn send(&self, message: impl Into<ToAgent>) {
        self.sender
            .control(encode(&Header::default(), &message.into()).unwrap())
            .unwrap();
    }

    pub(crate) fn execute(&self, spec: CommandSpec) -> CommandId {
        let command_id = CommandId::random();
        self.send(CommandExecute { command_id, spec });
        command_id
    }

    pub(crate) fn interrupt(&self, id: CommandId, signal: Signal, escalate: bool) {
        self.send(CommandInterrupt {
            command_id: Some(id),
            agent_id: None,
            signal,
            escalate,
        });
    }

    pub(crate) async fn input(&self, id: CommandId, offset: Option<u64>, bytes: &[u8], eof: bool) {
        let data = Payload(bytes::Bytes::copy_from_slice(bytes));
        let frame = encode_input(&CommandInput {
            command_id: id,
            data,
            offset,
            eof,
        });
        self.sender.bulk(frame).await.unwrap();
    }

    pub(crate) fn ack(&self, id: CommandId, offset: u64, settled: bool) {
        self.send(TerminalAck {
            command_id: id,
            offset,
            settled,
        });
    }

    pub(crate) fn close(&self, code: u16, reason: &str) {
        self.sender.close(code, reason);
    }

    /// Takes the next message of the agent in.
    pub(crate) async fn step(&mut self) {
        let frame = within("a message of the agent", self.reader.next())
            .await
            .unwrap();
        match frame {
            Frame::Text(text) => match decode(&text).unwrap().message {
                AgentMessage::Status(status) => self.statuses.push(status),
                AgentMessage::Error(error) => self.errors.push(error.message),
                AgentMessage::Gap(gap) => self.gap(gap),
                // What is in front in a terminal depends on when the agent looks.
                AgentMessage::Report(report) if report.foreground.is_some() => {}
                other => panic!("{other:?}"),
            },
            Frame::Binary(frame) => match BinaryFrame::decode(&frame).unwrap() {
                BinaryFrame::Output(output) => self.piece(&output),
                other => panic!("{other:?}"),
            },
            Frame::Pong(_) => {}
        }
    }

    fn gap(&mut self, gap: Gap) {
        let output = self.output.entry(gap.command_id).or_default();
        assert_eq!(gap.from, output.len() as u64, "a gap in the wrong place");
        assert!(gap.to > gap.from && !gap.reason.is_empty());
        output.resize(gap.to as usize, 0);
        self.gaps.push(gap);
    }

    fn piece(&mut self, frame: &OutputFrame) {
        self.received += frame.data.len() as u64;
        self.pieces.push(Piece {
            kind: frame.kind,
            size: frame.size,
            offset: frame.offset,
            length: frame.data.len(),
        });
        if self.keep {
            let output = self.output.entry(frame.command_id).or_default();
            assert_eq!(frame.offset, output.len() as u64, "a hole or a repeat");
            output.extend_from_slice(&frame.data);
        }
    }

    /// Takes messages in until `found` is satisfied.
    pub(crate) async fn until(&mut self, what: &str, found: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !found(self) {
            if tokio::time::timeout_at(deadline, self.step())
                .await
                .is_err()
            {
                let output: Vec<String> = self.output.keys().map(|id| self.text(*id)).collect();
                panic!(
                    "{what} did not come; statuses {:?}; output {output:?}",
                    self.statuses
                );
            }
        }
    }

    pub(crate) async fn until_output(&mut self, id: CommandId, text: &str) {
        let holds = |conn: &Self| conn.text(id).contains(text);
        self.until(&format!("the output {text:?}"), holds).await;
    }

    pub(crate) async fn until_running(&mut self, id: CommandId) {
        let running =
            |status: &CommandStatus| status.command_id == id && status.state == State::Running;
        self.until("the start", |conn| conn.statuses.iter().any(running))
            .await;
    }

    /// The command's final status; all of its output came before.
    pub(crate) async fn end(&mut self, id: CommandId) -> CommandStatus {
        self.until("the end", |conn| conn.final_status(id).is_some())
            .await;
        let status = self.final_status(id).unwrap();
        if self.keep
            && let Some(offset) = status.offset
        {
            assert_eq!(offset, self.output.get(&id).map_or(0, Vec::len) as u64);
        }
        status
    }

    pub(crate) fn final_status(&self, id: CommandId) -> Option<CommandStatus> {
        self.statuses
            .iter()
            .find(|status| status.command_id == id && status.state.is_final())
            .cloned()
    }

    pub(crate) fn text(&self, id: CommandId) -> String {
        String::from_utf8_lossy(self.output.get(&id).map_or(&[], Vec::as_slice)).into_owned()
    }
}

/// Waits, but not forever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"))
}
