//! What one dashboard has seen of each command, held against the contract as it comes: bytes contiguous, statuses legal,
//! numbers without holes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use opsctl_protocol::frame::Via;
use opsctl_protocol::message::{
    CommandStatus, Gap, Kind, Position, State, Subscribed, TerminalSnapshot, ToDashboard,
};
use opsctl_protocol::{Channel, CommandId, Decoded, OutputFrame};

/// One piece of a command's output.
#[derive(Debug, Clone)]
pub struct Piece {
    pub offset: u64,
    pub kind: Kind,
    pub data: Vec<u8>,
}

/// What was seen of one command.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// Its output, as it came.
    pub pieces: Vec<Piece>,
    /// The offset of the next byte; unknown before the first.
    pub next: Option<u64>,
    /// The last status, and in which run of the daemon it was told.
    last: Option<(String, State)>,
    /// Its final status.
    pub ended: Option<CommandStatus>,
    /// Gaps that were announced.
    pub gaps: Vec<(u64, u64)>,
    /// Bytes may be missing here without a word: the daemon said that it could not resume.
    hole: bool,
    /// It has a terminal.
    pty: bool,
    /// A gap was announced and its snapshot is still to come.
    owes_snapshot: bool,
}

/// What one dashboard has seen.
#[derive(Debug, Default)]
pub struct Witness {
    pub commands: BTreeMap<CommandId, Seen>,
    /// How far each other channel was seen.
    pub positions: BTreeMap<Channel, Position>,
    /// Which agent's channel a command belongs to.
    channels: HashMap<CommandId, Channel>,
    /// Output comes on agents' channels rather than on the commands' own.
    by_agent: bool,
    /// Every subscription to a command is lossless.
    lossless: bool,
    /// The run of the daemon that this connection speaks to.
    epoch: String,
    /// The daemon has answered a subscription on this connection.
    answered: bool,
    /// The daemon has said that this reader was left behind: what follows may tell an older state once more.
    lapped: bool,
    /// Channels whose next number may be any: just subscribed from an offset, or left behind.
    fresh: BTreeSet<Channel>,
}

/// What went wrong, for people.
pub type Trouble = String;

impl Witness {
    /// A witness that has seen nothing.
    pub fn new(by_agent: bool, lossless: bool) -> Self {
        Self {
            by_agent,
            lossless,
            ..Self::default()
        }
    }

    /// A new connection.
    pub fn connected(&mut self, epoch: &str) {
        if self.epoch != epoch && self.by_agent {
            // A new run numbers anew, and tells again what its agents had not been acked.
            for seen in self.commands.values_mut() {
                seen.hole = true;
            }
        }
        epoch.clone_into(&mut self.epoch);
        (self.answered, self.lapped) = (false, false);
        for seen in self.commands.values_mut() {
            seen.owes_snapshot = false;
        }
    }

    /// Takes a message; returns the commands that are new.
    pub fn message(&mut self, decoded: &Decoded<ToDashboard>) -> Result<Vec<CommandId>, Trouble> {
        let mut new = Vec::new();
        let header = &decoded.header;
        if let (Some(channel), Some(seq)) = (&header.channel, header.seq) {
            let is_gap = matches!(decoded.message, ToDashboard::Gap(_));
            let epoch = header.epoch.clone().ok_or("a push without an epoch")?;
            if !self.numbered(channel, Some(&epoch), seq, is_gap)? {
                return Ok(new);
            }
        }
        match &decoded.message {
            ToDashboard::Subscribed(subscribed) => self.subscribed(subscribed)?,
            ToDashboard::AgentList(list) => {
                for agent in &list.agents {
                    let channel = Channel::Agent(agent.agent_id.clone());
                    self.lapped |= self.answered;
                    for command in &agent.commands {
                        new.extend(self.learn(command.command_id, &channel));
                    }
                }
            }
            ToDashboard::Status(status) => {
                let agent = status
                    .agent_id
                    .clone()
                    .ok_or("a status without its agent")?;
                new.extend(self.learn(status.command_id, &Channel::Agent(agent)));
                let own = !matches!(header.channel, Some(Channel::Agent(_)));
                // A copy for a follower of the agent: it was left behind.
                self.lapped |= !own && header.seq.is_none();
                self.status(status, own)?;
            }
            ToDashboard::Gap(gap) => {
                let own = !matches!(header.channel, Some(Channel::Agent(_)));
                if own || self.by_agent {
                    self.gap(gap)?;
                }
            }
            ToDashboard::Snapshot(snapshot) => self.snapshot(snapshot)?,
            ToDashboard::Error(error) => return Err(format!("an error: {error:?}")),
            _ => {}
        }
        Ok(new)
    }

    /// Takes a command that it hears of in another way; returns it when it is new.
    pub fn learn(&mut self, id: CommandId, channel: &Channel) -> Option<CommandId> {
        self.channels.insert(id, channel.clone());
        if self.commands.contains_key(&id) {
            return None;
        }
        self.commands.insert(id, Seen::default());
        Some(id)
    }

    fn subscribed(&mut self, subscribed: &Subscribed) -> Result<(), Trouble> {
        self.answered = true;
        for stream in &subscribed.streams {
            match &stream.channel {
                Channel::Command(id) => {
                    let seen = self.commands.entry(*id).or_default();
                    seen.next = seen.next.or(stream.offset);
                    // Its pushes before that offset are left out, with their numbers; statuses may come again.
                    self.fresh.insert(stream.channel.clone());
                    continue;
                }
                channel => {
                    if !stream.recovered && self.by_agent {
                        let channels = &self.channels;
                        let of_it =
                            |(id, _): &(&CommandId, &mut Seen)| channels.get(*id) == Some(channel);
                        for (_, seen) in self.commands.iter_mut().filter(of_it) {
                            seen.hole = true;
                        }
                    }
                }
            }
            let position = Position {
                epoch: stream.epoch.clone(),
                seq: stream.seq,
            };
            let before = self
                .positions
                .insert(stream.channel.clone(), position.clone());
            if stream.recovered && before.as_ref().is_some_and(|before| *before != position) {
                return Err(format!("recovered {stream:?}, asked from {before:?}"));
            }
        }
        Ok(())
    }

    /// A push's number: one more than the last of its channel, except that a gap stands for many. `false` for a push
    /// that was seen before.
    fn numbered(
        &mut self,
        channel: &Channel,
        epoch: Option<&str>,
        seq: u64,
        is_gap: bool,
    ) -> Result<bool, Trouble> {
        let silent = !self.by_agent && matches!(channel, Channel::Agent(_));
        let epoch = epoch.unwrap_or(&self.epoch).to_owned();
        if let Some(last) = self.positions.get(channel)
            && last.epoch == epoch
        {
            let fresh = self.fresh.contains(channel);
            let lapped = self.lapped && matches!(channel, Channel::Agent(_));
            let (wanted, jumps) = (last.seq + 1, is_gap || silent || fresh || lapped);
            if seq < wanted && fresh {
                return Ok(false);
            }
            if seq < wanted || seq > wanted && !jumps {
                return Err(format!("{channel}: number {seq} came, {wanted} was next"));
            }
        }
        if !matches!(channel, Channel::Command(_)) {
            self.fresh.remove(channel);
        }
        self.positions
            .insert(channel.clone(), Position { epoch, seq });
        Ok(true)
    }

    fn status(&mut self, status: &CommandStatus, own: bool) -> Result<(), Trouble> {
        let (id, state) = (status.command_id, status.state);
        let seen = self.commands.entry(id).or_default();
        seen.pty |= status.command.as_ref().is_some_and(|command| command.pty);
        // Where a command is followed on its own channel, that of its agent may be ahead of it.
        if !own && !self.by_agent {
            return Ok(());
        }
        if let Some((epoch, before)) = &seen.last
            && *epoch == self.epoch
            && rank(state) < rank(*before)
            && !self.lapped
            // An agent that came back without a command never started it: it goes out again.
            && (*before, state) != (State::Delivered, State::Queued)
        {
            return Err(format!("{id} went from {before} to {state}"));
        }
        if let Some(ended) = &seen.ended
            && state.is_final()
            && (ended.state, ended.exit_code, ended.signal)
                != (state, status.exit_code, status.signal)
        {
            return Err(format!("{id} ended as {ended:?} and then as {status:?}"));
        }
        seen.last = Some((self.epoch.clone(), state));
        if state.is_final() {
            // Where its output is followed, the end comes after all of it.
            // A follower of the agent that came later than all of the output has seen none.
            let followed = own != self.by_agent && !(self.by_agent && seen.next.is_none());
            if followed && !seen.hole && seen.next.unwrap_or(0) != status.offset.unwrap_or(0) {
                return Err(format!(
                    "{id} ended at {:?}, its output was seen up to {:?}",
                    status.offset, seen.next
                ));
            }
            seen.ended = Some(status.clone());
        }
        Ok(())
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), Trouble> {
        let seen = self.commands.entry(gap.command_id).or_default();
        if self.lossless {
            return Err(format!("a gap in a lossless stream: {gap:?}"));
        }
        if !seen.hole && seen.next.is_some_and(|next| next != gap.from) || gap.to < gap.from {
            return Err(format!("{gap:?} came, {:?} was next", seen.next));
        }
        if gap.from == gap.to {
            // It stands for statuses alone.
            return Ok(());
        }
        seen.owes_snapshot = seen.pty;
        seen.gaps.push((gap.from, gap.to));
        seen.next = Some(gap.to);
        Ok(())
    }

    fn snapshot(&mut self, snapshot: &TerminalSnapshot) -> Result<(), Trouble> {
        let seen = self.commands.entry(snapshot.command_id).or_default();
        if self.lossless {
            return Err("a snapshot in a lossless stream".to_owned());
        }
        seen.owes_snapshot = false;
        seen.next = Some(snapshot.offset);
        Ok(())
    }

    /// Takes output.
    pub fn output(&mut self, frame: &OutputFrame) -> Result<(), Trouble> {
        let id = frame.command_id;
        let channel = match frame.via {
            Via::Agent => self.channels.get(&id).cloned(),
            Via::Command => Some(Channel::Command(id)),
            Via::Direct => None,
        };
        if let Some(channel) = channel.filter(|_| frame.seq > 0) {
            if self.numbered(&channel, None, frame.seq, false)? {
                // Until here a daemon that was killed may have got output once more that was seen: left out, with its numbers.
                self.fresh.remove(&channel);
            }
        } else {
            // Read back from the log, it stands for numbers that are left out.
            self.fresh.insert(Channel::Command(id));
        }
        let seen = self.commands.entry(id).or_default();
        let next = seen.next.unwrap_or(frame.offset);
        if frame.offset != next && !seen.hole {
            return Err(format!(
                "{id}: output at {} to {} came, {next} was next",
                frame.offset,
                frame.end()
            ));
        }
        // An end that another run told may not be on disk, nor all of the output before it: the agent tells both again.
        let has_ended = seen
            .last
            .as_ref()
            .is_some_and(|(epoch, state)| state.is_final() && *epoch == self.epoch);
        if has_ended && !frame.data.is_empty() && !seen.hole {
            return Err(format!(
                "{id}: output at {} to {} came after its end {:?}",
                frame.offset,
                frame.end(),
                seen.ended
            ));
        }
        if std::mem::take(&mut seen.owes_snapshot) {
            return Err(format!(
                "{id}: output came after a gap, a snapshot was next"
            ));
        }
        seen.hole = false;
        seen.next = Some(frame.end());
        seen.pieces.push(Piece {
            offset: frame.offset,
            kind: frame.kind,
            data: frame.data.to_vec(),
        });
        Ok(())
    }
}

fn rank(state: State) -> u8 {
    match state {
        State::Queued => 0,
        State::Delivered => 1,
        State::Running => 2,
        _ => 3,
    }
}
