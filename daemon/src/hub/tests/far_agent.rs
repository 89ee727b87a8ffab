//! An agent as docs/protocol.md describes one, without IO: what it journals survives its crash, its programs survive it
//! too unless their holders die, and what travels is lost with the connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use opsctl_protocol::message::{
    AgentConnect, CommandReport, CommandStatus, Connected, Kind, State, ToAgent,
};
use opsctl_protocol::{AgentId, AgentMessage, CommandId, OutputFrame, Timestamp};

use super::Heard;
use crate::hub::ConnId;

/// A command on an agent.
#[derive(Debug, Clone)]
struct Task {
    /// `delivered` until it is journaled and started, at one stroke.
    state: State,
    /// Bytes that its program has written.
    written: u64,
}

/// What an agent has to say.
pub(super) enum Said {
    Message(Box<AgentMessage>),
    Output(OutputFrame),
}

pub(super) struct FarAgent {
    pub(super) name: AgentId,
    tasks: BTreeMap<CommandId, Task>,
    /// How often each command was started, as a mark that its program leaves.
    pub(super) starts: BTreeMap<CommandId, u32>,
    /// Commands whose holders died with their programs.
    pub(super) died: BTreeSet<CommandId>,
    /// Commands that the daemon has settled and that had not ended.
    pub(super) given_up: BTreeSet<CommandId>,
    /// The connection, and what came over it.
    pub(super) link: Option<(ConnId, Heard)>,
    /// Whether the daemon has answered `agent:connect`.
    greeted: bool,
    reported: Vec<CommandId>,
    /// On its way to the daemon.
    pub(super) outgoing: VecDeque<Said>,
}

impl FarAgent {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: AgentId::new(name).unwrap(),
            tasks: BTreeMap::new(),
            starts: BTreeMap::new(),
            died: BTreeSet::new(),
            given_up: BTreeSet::new(),
            link: None,
            greeted: false,
            reported: Vec::new(),
            outgoing: VecDeque::new(),
        }
    }

    /// Dials.
    pub(super) fn connect(&mut self, conn: ConnId, heard: Heard) -> AgentConnect {
        self.disconnect();
        self.link = Some((conn, heard));
        self.reported = self.tasks.keys().copied().collect();
        let report = |(id, task): (&CommandId, &Task)| CommandReport {
            status: status_before_output(*id, task),
            from: 0,
            to: task.written,
            spec: None,
            main: false,
        };
        AgentConnect {
            agent_id: self.name.clone(),
            labels: BTreeMap::default(),
            facts: BTreeMap::default(),
            capabilities: Vec::new(),
            max_commands: Some(2),
            commands: self.tasks.iter().map(report).collect(),
        }
    }

    /// The connection is gone, with all that was on its way.
    pub(super) fn disconnect(&mut self) {
        self.link = None;
        self.greeted = false;
        self.outgoing.clear();
    }

    /// A crash. What it never journaled is forgotten; with its holders, its programs are gone.
    pub(super) fn crash(&mut self, holders_die: bool) {
        self.disconnect();
        self.tasks.retain(|_, task| task.state != State::Delivered);
        if holders_die {
            for (id, task) in &mut self.tasks {
                if task.state == State::Running {
                    task.state = State::Lost;
                    self.died.insert(*id);
                }
            }
        }
    }

    /// Takes one message of the daemon; false when there is none.
    pub(super) fn hear(&mut self) -> bool {
        let Some((_, heard)) = &self.link else {
            return false;
        };
        let next = {
            let mut heard = heard.lock().unwrap();
            if heard.is_empty() {
                return false;
            }
            heard.remove(0)
        };
        match next {
            ToAgent::Connected(connected) => self.connected(&connected),
            ToAgent::Execute(execute) => {
                let id = execute.command_id;
                let fresh = Task {
                    state: State::Delivered,
                    written: 0,
                };
                let task = self.tasks.entry(id).or_insert(fresh).clone();
                self.tell(status_before_output(id, &task));
            }
            ToAgent::Interrupt(interrupt) => {
                let id = interrupt.command_id.expect("the daemon names the command");
                match self.tasks.get(&id).map(|task| task.state) {
                    Some(State::Delivered) => self.end(id, State::Cancelled),
                    Some(State::Running) => self.end(id, State::Exited),
                    _ => {}
                }
            }
            ToAgent::Ack(ack) if ack.settled => self.settle(ack.command_id),
            _ => {}
        }
        true
    }

    fn connected(&mut self, connected: &Connected) {
        self.greeted = true;
        for id in std::mem::take(&mut self.reported) {
            match connected.commands.get(&id) {
                Some(from) => self.resume(id, *from),
                None => self.settle(id),
            }
        }
    }

    fn resume(&mut self, id: CommandId, from: u64) {
        let Some(task) = self.tasks.get(&id).cloned() else {
            return;
        };
        self.tell(status_before_output(id, &task));
        if task.state != State::Lost {
            self.output(id, from, task.written);
        }
        if task.state.is_final() {
            self.tell(status(id, &task));
        }
    }

    fn settle(&mut self, id: CommandId) {
        let running = |task: &Task| !task.state.is_final();
        if self.tasks.get(&id).is_some_and(running) {
            // Nothing is killed: it goes on, for nobody.
            self.given_up.insert(id);
        } else {
            self.tasks.remove(&id);
        }
    }

    /// Something happens to one of its commands: it starts, writes, or ends.
    pub(super) fn work(&mut self, which: usize, ends: bool) {
        let living = |(_, task): &(&CommandId, &Task)| !task.state.is_final();
        let ids: Vec<CommandId> = self
            .tasks
            .iter()
            .filter(living)
            .map(|(id, _)| *id)
            .collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[which % ids.len()];
        let task = self.tasks.get_mut(&id).expect("it was just listed");
        match task.state {
            State::Delivered => {
                task.state = State::Running;
                *self.starts.entry(id).or_default() += 1;
                self.tell(CommandStatus::new(id, State::Running));
            }
            State::Running if ends => self.end(id, State::Exited),
            _ => {
                let from = task.written;
                task.written += 3;
                self.output(id, from, from + 3);
            }
        }
    }

    /// Whether it runs a command.
    pub(super) fn runs(&self, id: CommandId) -> bool {
        let running = |task: &Task| task.state == State::Running;
        self.tasks.get(&id).is_some_and(running)
    }

    /// Whether it knows the end of a command.
    pub(super) fn has_ended(&self, id: CommandId) -> bool {
        let ended = |task: &Task| task.state.is_final();
        self.tasks.get(&id).is_some_and(ended)
    }

    fn end(&mut self, id: CommandId, state: State) {
        let task = self.tasks.get_mut(&id).expect("it is there");
        task.state = state;
        let status = status(id, task);
        self.tell(status);
    }

    fn tell(&mut self, status: CommandStatus) {
        if self.greeted {
            let message = AgentMessage::Status(status);
            self.outgoing.push_back(Said::Message(Box::new(message)));
        }
    }

    fn output(&mut self, command_id: CommandId, from: u64, to: u64) {
        if self.greeted && from < to {
            self.outgoing.push_back(Said::Output(OutputFrame {
                command_id,
                kind: Kind::Output,
                via: opsctl_protocol::frame::Via::Direct,
                seq: 0,
                offset: from,
                time: Timestamp(1),
                size: None,
                data: Bytes::from(vec![b'x'; (to - from) as usize]),
            }));
        }
    }
}

fn status(id: CommandId, task: &Task) -> CommandStatus {
    CommandStatus {
        exit_code: (task.state == State::Exited).then_some(0),
        offset: task.state.is_final().then_some(task.written),
        ..CommandStatus::new(id, task.state)
    }
}

/// An end that has output before it is told behind that.
fn status_before_output(id: CommandId, task: &Task) -> CommandStatus {
    if task.state == State::Exited {
        CommandStatus::new(id, State::Running)
    } else {
        status(id, task)
    }
}
