//! A command's life and output.

use std::collections::HashMap;
use std::sync::Arc;

use opsctl_protocol::message::{CommandStatus, CommandSummary, Gap, State};
use opsctl_protocol::{AgentId, Channel, CommandId, OutputFrame, ToDashboard};

use super::doing::Doing;
use super::keys::Keys;
use super::settle::Version;
use super::steer::Refusal;
use super::typing::Typing;
use super::withdraw::Ending;
use super::{ConnId, Effect, Hub};
use crate::fanout::channel::Body;
use crate::fanout::{Piece, Stream};
use crate::log::{Record, Room};
use crate::store::CommandRow;

/// A command that has not ended, or has just.
pub(super) struct Command {
    /// What the store keeps of it; the store's own copy may be a moment behind.
    pub row: CommandRow,
    /// The offset of the next output byte.
    pub end: u64,
    /// The offset after the last byte that was handed to the log; a gap at the very end lies behind it.
    pub(super) logged: u64,
    /// Output before this offset is durable.
    pub durable: u64,
    /// Counts the row's changes, so that what the store tells can be told from what came later.
    pub version: Version,
    /// It may be with its agent: it was sent, or the last run of the daemon may have sent it.
    pub is_sent: bool,
    /// The store calls it delivered already, so that it can be sent at once.
    pub is_stored_as_delivered: bool,
    /// Its end without a start is being made durable; it is not given out meanwhile, and no other row of it is written.
    pub ending: Option<Ending>,
    /// The command's end is durable in the store.
    pub end_saved: bool,
    /// The agent has been told that it may forget the command.
    pub settled: bool,
    /// Bytes of input that the program has been given.
    pub input_offset: u64,
    /// What is typed into it.
    pub keys: Keys,
    /// Whose keys were refused since he asked last what became of them, and why: one entry for each connection.
    pub refused_keys: HashMap<ConnId, Refusal>,
    /// Who sent bulk last, and has not heard since that some was refused.
    pub bulk_from: Option<ConnId>,
    /// Messages that are typed into it.
    pub typing: Typing,
    /// The sizes of those who type into it.
    pub writers: HashMap<ConnId, (u16, u16)>,
    /// The size that the terminal was last told to have.
    pub told_size: Option<(u16, u16)>,
    /// What it is doing.
    pub doing: Doing,
}

impl Command {
    /// A command of whose output the log holds `end` bytes.
    pub(super) fn new(row: CommandRow, end: u64) -> Self {
        Self {
            row,
            end,
            logged: end,
            durable: end,
            version: Version::default(),
            is_sent: false,
            is_stored_as_delivered: false,
            ending: None,
            end_saved: false,
            settled: false,
            input_offset: 0,
            keys: Keys::new(),
            refused_keys: HashMap::new(),
            bulk_from: None,
            typing: Typing::default(),
            writers: HashMap::new(),
            told_size: None,
            doing: Doing::default(),
        }
    }

    /// Whether it has a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.row.summary.pty
    }

    /// Whether its end and all of its output are durable.
    pub(super) fn is_settled(&self) -> bool {
        self.row.summary.state.is_final() && self.end_saved && self.is_output_durable()
    }

    /// Whether all of its output that came is durable.
    pub(super) fn is_output_durable(&self) -> bool {
        self.durable >= self.logged
    }

    /// Whether the agent has it and has not told its end.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.row.summary.state, State::Delivered | State::Running)
    }

    /// Whether it certainly has not been sent to its agent.
    pub(super) fn is_held_back(&self) -> bool {
        match self.row.summary.state {
            State::Queued => true,
            State::Delivered => !self.is_sent,
            _ => false,
        }
    }
}

/// How far along a state is; a command only ever goes forward.
fn rank(state: State) -> u8 {
    match state {
        State::Queued => 0,
        State::Delivered => 1,
        State::Running => 2,
        _ => 3,
    }
}

impl Hub {
    /// Takes up a command from the store, at the start. `stream` holds the end of its output, of which the log has `end`
    /// bytes.
    pub fn restore_command(&mut self, row: CommandRow, end: u64, stream: Arc<Stream>) {
        let (command_id, agent_id) = (row.summary.command_id, row.summary.agent_id.clone());
        let queued = row.summary.state == State::Queued;
        let mut command = Command::new(row, end);
        command.row.summary.output_bytes = end;
        command.is_sent = !queued;
        command.typing.restore(command.row.draft);
        for entry in stream.ring().iter() {
            if let Body::Output(piece) = &entry.body
                && command.is_terminal()
            {
                Self::restore_doing(&mut command, &piece.data, piece.time);
            }
        }
        command.show_doing();
        self.commands.insert(command_id, command);
        self.adopt_channel(&Channel::Command(command_id), stream);
        self.restore_look(command_id);
        if queued {
            self.note_deadline(command_id);
            if let Some(agent) = self.agents.get_mut(&agent_id) {
                agent.waiting.push(command_id);
            }
        }
    }

    /// Takes up a new command.
    pub(super) fn insert_command(&mut self, command: Command) {
        let command_id = command.row.summary.command_id;
        let owner = command.row.summary.agent_id.clone();
        self.commands.insert(command_id, command);
        self.ensure_channel(&Channel::Command(command_id), Some(owner));
    }

    pub(super) fn handle_agent_status(&mut self, agent_id: &AgentId, status: &CommandStatus) {
        let Some(command) = self.commands.get(&status.command_id) else {
            tracing::debug!(agent = %agent_id, command = %status.command_id, "a status of a command that is settled");
            return;
        };
        if command.row.summary.agent_id != *agent_id {
            tracing::warn!(agent = %agent_id, command = %status.command_id, "a status of another agent's command");
            return;
        }
        self.note_input(status);
        self.apply_status(status.command_id, status);
    }

    /// Takes a command forward to a state that an agent or the hub itself has told, and tells everybody.
    pub(super) fn apply_status(&mut self, command_id: CommandId, status: &CommandStatus) {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        let before = command.row.summary.state;
        let input_moved = status
            .input_offset
            .is_some_and(|offset| offset > command.input_offset);
        if let Some(offset) = status.input_offset {
            command.input_offset = command.input_offset.max(offset);
        }
        if before.is_final()
            || rank(status.state) < rank(before)
            || (status.state == before && !input_moved)
        {
            // The agent repeats what is known: it has not heard that it may forget the command.
            return self.settle(command_id);
        }
        if status.state != before {
            // An agent that speaks of it has it.
            command.is_sent |= !status.state.is_final();
            let summary = &mut command.row.summary;
            summary.state = status.state;
            summary.exit_code = status.exit_code.or(summary.exit_code);
            summary.signal = status.signal.or(summary.signal);
            summary.timed_out |= status.timed_out;
            summary.reason = status.reason.clone().or(summary.reason.take());
            summary.started_at = status.started_at.or(summary.started_at);
            summary.finished_at = status.finished_at.or(summary.finished_at);
            if status.state.is_final() && summary.finished_at.is_none() {
                summary.finished_at = Some(self.now);
            }
            self.mark_unsaved(command_id);
            self.note_state(command_id);
        }
        if status.state.is_final() {
            self.check_complete(command_id, status.offset);
        }
        self.push_status(command_id);
        if status.state != before && status.state.is_final() {
            self.finish(command_id);
        }
    }

    /// Output that the agent says there was and that never came is a gap.
    fn check_complete(&mut self, command_id: CommandId, told: Option<u64>) {
        let Some(command) = self.commands.get(&command_id) else {
            return;
        };
        if let Some(to) = told.filter(|told| *told > command.end) {
            let gap = Gap {
                command_id,
                from: command.end,
                to,
                reason: "the agent did not send it".to_owned(),
            };
            self.open_gap(gap);
        }
    }

    /// Tells a command's state on its channel and its agent's.
    pub(super) fn push_status(&mut self, command_id: CommandId) {
        let Some(command) = self.commands.get(&command_id) else {
            return;
        };
        let agent = Channel::Agent(command.row.summary.agent_id.clone());
        let message = Arc::new(ToDashboard::Status(self.status_of(command)));
        self.push_shared(&Channel::Command(command_id), &message);
        self.push_shared(&agent, &message);
    }

    /// Tells a command's state on its channel once more, where what was told there last no longer says what it does: that
    /// is told with its agent, and who comes to this channel alone would take the old word for it.
    pub(super) fn push_status_afresh(&mut self, command_id: CommandId) {
        let channel = Channel::Command(command_id);
        let last = self
            .channels
            .get(&channel)
            .map(|state| state.stream.latest());
        let (Some(command), Some(Some(last))) = (self.commands.get(&command_id), last) else {
            return;
        };
        let status = self.status_of(command);
        if let (ToDashboard::Status(told), Some(now)) = (&*last, &status.command)
            && let Some(told) = &told.command
            && !is_doing_the_same(told, now)
        {
            self.push(&channel, status);
        }
    }

    fn status_of(&self, command: &Command) -> CommandStatus {
        CommandStatus {
            offset: Some(command.end),
            input_offset: (command.input_offset > 0).then_some(command.input_offset),
            ..CommandStatus::of(&self.shown(command))
        }
    }

    /// A command has ended: its place is free, and people see the agent without it.
    fn finish(&mut self, command_id: CommandId) {
        let Some(command) = self.commands.get(&command_id) else {
            return;
        };
        let (agent_id, key) = (
            command.row.summary.agent_id.clone(),
            command.row.key.clone(),
        );
        tracing::debug!(command = %command_id, agent = %agent_id, state = %command.row.summary.state, "a command ended");
        if let Some(agent) = self.agents.get_mut(&agent_id) {
            agent.waiting.retain(|waiting| *waiting != command_id);
        }
        self.forget_deadline(command_id);
        self.give_up_keys(command_id);
        self.push_agent(&agent_id);
        self.settle(command_id);
        self.dispatch(&agent_id);
        self.dispatch_group(&key);
        self.forget_old(command_id);
    }

    pub(super) fn handle_output(&mut self, conn: ConnId, frame: &OutputFrame, room: Room) {
        let Some(agent_id) = self.agent_conns.get(&conn) else {
            return;
        };
        let Some(command) = self.commands.get(&frame.command_id) else {
            return;
        };
        if command.row.summary.agent_id != *agent_id || command.row.summary.state.is_final() {
            return;
        }
        let end = command.end;
        if frame.offset > end {
            let reason = "neither the agent nor the output log has it".to_owned();
            self.open_gap(Gap {
                command_id: frame.command_id,
                from: end,
                to: frame.offset,
                reason,
            });
        }
        let Some(command) = self.commands.get_mut(&frame.command_id) else {
            return;
        };
        let whole = Piece {
            agent_id: command.row.summary.agent_id.clone(),
            command_id: frame.command_id,
            offset: frame.offset,
            kind: frame.kind,
            time: if frame.time.0 == 0 {
                self.now
            } else {
                frame.time
            },
            size: frame.size,
            data: frame.data.clone(),
        };
        if frame.offset < command.end && frame.end() <= command.end {
            return;
        }
        // What the hub already has, after a reconnect, is cut off.
        let piece = Arc::new(whole.from_offset(command.end));
        if piece.data.is_empty() && piece.size.is_none() {
            return;
        }
        command.end = piece.end();
        command.logged = piece.end();
        command.row.summary.output_bytes = command.end;
        if let Some((cols, rows)) = piece.size {
            command.row.summary.cols = cols;
            command.row.summary.rows = rows;
        }
        let is_terminal = command.is_terminal();
        self.effects.push(Effect::Log(room, record(&piece)));
        self.push_output(&piece);
        if is_terminal {
            self.note_output(piece.command_id, &piece.data, piece.time);
            self.note_echo(piece.command_id, &piece.data);
        }
    }

    /// An agent that doesn't know what has arrived tells all that it has dropped: what is here already is no gap.
    pub(super) fn handle_agent_gap(&mut self, agent_id: &AgentId, gap: Gap) {
        let known = self
            .commands
            .get(&gap.command_id)
            .filter(|command| command.row.summary.agent_id == *agent_id)
            .map(|command| command.end);
        if let Some(end) = known.filter(|end| gap.from <= *end && gap.to > *end) {
            self.open_gap(Gap { from: end, ..gap });
        }
    }

    /// Says that output will not come, and goes on behind it.
    fn open_gap(&mut self, gap: Gap) {
        let Some(command) = self.commands.get_mut(&gap.command_id) else {
            return;
        };
        tracing::warn!(command = %gap.command_id, from = gap.from, to = gap.to, reason = gap.reason, "output is missing");
        command.end = gap.to;
        command.row.summary.output_bytes = gap.to;
        let agent = Channel::Agent(command.row.summary.agent_id.clone());
        let own = Channel::Command(gap.command_id);
        let message = Arc::new(ToDashboard::Gap(gap));
        self.push_shared(&own, &message);
        self.push_shared(&agent, &message);
    }
}

fn is_doing_the_same(one: &CommandSummary, other: &CommandSummary) -> bool {
    let doing = |summary: &CommandSummary| {
        (
            summary.activity,
            summary.activity_source,
            summary.activity_since,
        )
    };
    doing(one) == doing(other)
        && one.activity_reason == other.activity_reason
        && one.approval == other.approval
}

fn record(piece: &Piece) -> Record {
    Record {
        command: piece.command_id,
        kind: piece.kind,
        offset: piece.offset,
        time: piece.time,
        size: piece.size,
        data: piece.data.clone(),
    }
}
