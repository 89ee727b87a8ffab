//! The agents and their commands, as far as this console knows them.

use std::collections::{BTreeMap, BTreeSet};

use opsctl_protocol::message::{AgentInfo, AgentList, CommandStatus, CommandSummary, State};
use opsctl_protocol::{AgentId, CommandId, Timestamp};

use super::doing::{Doing, Need, Occurrence};
use super::listing::Listing;
use super::roster::{Grouping, Roster};

/// Finished commands that are remembered; the oldest go first, the daemon has them all.
const FINISHED_LIMIT: usize = 2000;

/// Agents and commands.
#[derive(Debug, Default)]
pub struct Fleet {
    agents: BTreeMap<AgentId, AgentInfo>,
    /// How many of them are connected, so that nobody counts for each frame.
    connected: usize,
    commands: BTreeMap<CommandId, CommandSummary>,
    /// The commands of each agent, so that nobody looks through all.
    of_agent: BTreeMap<AgentId, BTreeSet<CommandId>>,
    /// Finished commands, the oldest first.
    finished: BTreeSet<(Timestamp, CommandId)>,
    /// The agents in the order in which they are listed.
    roster: Roster,
    /// The commands in theirs.
    listing: Listing,
    /// What was looked at here, of agents whose state is still that one.
    seen: BTreeMap<AgentId, Occurrence>,
    /// The first parts of the whole list, which may come in several; `None` once it is there.
    arriving: Option<Vec<AgentInfo>>,
    /// Whether the daemon has told the whole fleet once.
    pub known: bool,
}

impl Fleet {
    /// Takes agents as the daemon lists them: the whole fleet first, later those whose changes were
    /// missed. The result is the agents that have commands whose end was missed.
    pub fn list(&mut self, list: AgentList) -> Vec<AgentId> {
        let mut agents = list.agents;
        if let Some(mut before) = self.arriving.take() {
            before.append(&mut agents);
            if list.more {
                self.arriving = Some(before);
                return Vec::new();
            }
            self.agents.clear();
            self.connected = 0;
            self.roster.clear();
            self.known = true;
            agents = before;
        }
        let whole = self.known && self.agents.is_empty();
        let missed = agents
            .into_iter()
            .filter_map(|agent| self.agent(agent))
            .collect();
        if whole {
            let known = &self.agents;
            self.seen.retain(|agent, _| known.contains_key(agent));
        }
        missed
    }

    /// Expects the whole fleet, which the daemon lists to each new connection.
    pub fn expect_all(&mut self) {
        self.arriving = Some(Vec::new());
    }

    /// Takes an agent's state. The result is its name where a command that should live is not among
    /// its commands: how that one ended was missed, and can be asked for.
    pub fn agent(&mut self, agent: AgentInfo) -> Option<AgentId> {
        for command in &agent.commands {
            self.command(command.clone());
        }
        let name = agent.agent_id.clone();
        let listed = |id: &CommandId| {
            agent
                .commands
                .iter()
                .any(|command| command.command_id == *id)
        };
        let mut known = self.of(&name);
        let missed = known.any(|command| !command.state.is_final() && !listed(&command.command_id));
        drop(known);
        let now = Occurrence::of(&agent);
        if self.seen.get(&name).is_some_and(|seen| *seen != now) && agent.doing().is_some() {
            self.seen.remove(&name);
        }
        self.connected += usize::from(agent.is_connected());
        let before = self.agents.insert(name.clone(), agent);
        self.connected -= usize::from(before.is_some_and(|agent| agent.is_connected()));
        self.enlist(&name);
        missed.then_some(name)
    }

    /// Puts an agent where it belongs in the list.
    fn enlist(&mut self, name: &AgentId) {
        if let Some(agent) = self.agents.get(name) {
            self.roster.update(agent, self.seen.contains_key(name));
        }
    }

    /// The agents in the order in which they are listed.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The same, to say how they are to be listed.
    pub fn roster_mut(&mut self) -> &mut Roster {
        &mut self.roster
    }

    /// Groups agents otherwise.
    pub fn group_by(&mut self, by: Grouping) {
        self.roster.regroup(by);
        for (name, agent) in &self.agents {
            self.roster.update(agent, self.seen.contains_key(name));
        }
    }

    /// The keys of labels that agents have, each once.
    pub fn label_keys(&self) -> BTreeSet<&str> {
        let labels = self.agents.values().flat_map(|agent| agent.labels.keys());
        labels.map(String::as_str).collect()
    }

    /// Takes note that somebody here has looked at an agent's state.
    pub fn see(&mut self, name: &AgentId) {
        if let Some(agent) = self.agents.get(name) {
            self.seen.insert(name.clone(), Occurrence::of(agent));
            self.enlist(name);
        }
    }

    /// What was looked at, to be remembered.
    pub fn seen(&self) -> impl Iterator<Item = (&AgentId, &Occurrence)> {
        self.seen.iter()
    }

    /// Takes what was looked at earlier, before any agents are known.
    pub(super) fn remember_seen(&mut self, seen: impl IntoIterator<Item = (AgentId, Occurrence)>) {
        self.seen.extend(seen);
    }

    /// What an agent does.
    pub fn doing(&self, name: &AgentId) -> Doing {
        self.roster.doing(name).unwrap_or(Doing::Unknown)
    }

    /// How much an agent needs a person.
    pub fn need(&self, name: &AgentId) -> Need {
        self.roster.need(name)
    }

    fn of(&self, agent: &AgentId) -> impl Iterator<Item = &CommandSummary> {
        let ids = self.of_agent.get(agent).into_iter().flatten();
        ids.filter_map(|id| self.commands.get(id))
    }

    /// Takes an agent off the list. What is known of its commands stays; their ends come as for any other.
    pub fn forget(&mut self, agent_id: &AgentId) {
        let gone = self.agents.remove(agent_id);
        self.connected -= usize::from(gone.is_some_and(|agent| agent.is_connected()));
        self.roster.remove(agent_id);
        self.seen.remove(agent_id);
    }

    /// Takes a command's state, where the message says enough.
    pub fn status(&mut self, status: &CommandStatus) {
        let Some(summary) = status.command.as_deref() else {
            return;
        };
        let mut summary = summary.clone();
        let known = self.commands.get(&summary.command_id);
        if known.is_some_and(|known| stage(known.state) > stage(summary.state)) {
            // Whoever was left behind by the daemon hears an older word once more, after how it stands.
            return;
        }
        // Who begins to hear a command is told its last status, from when its state changed. What it does, and asks, has
        // been told since with its agent.
        if let Some(known) = known
            && known.state == summary.state
        {
            summary.activity = known.activity;
            summary.activity_source = known.activity_source;
            summary.activity_since = known.activity_since;
            summary.activity_reason.clone_from(&known.activity_reason);
            summary.approval.clone_from(&known.approval);
        }
        if let Some(agent) = self.agents.get_mut(&summary.agent_id) {
            let same = |command: &CommandSummary| command.command_id == summary.command_id;
            let known = agent.commands.iter().position(same);
            match known {
                Some(at) if summary.state.is_final() => {
                    agent.commands.remove(at);
                }
                Some(at) => agent.commands[at] = summary.clone(),
                None if summary.state.is_final() => {}
                None => agent.commands.push(summary.clone()),
            }
            self.enlist(&summary.agent_id);
        }
        self.command(summary);
    }

    /// Takes a command.
    pub fn command(&mut self, summary: CommandSummary) {
        let (id, created) = (summary.command_id, summary.created_at);
        let agent = summary.agent_id.clone();
        if summary.state.is_final() {
            self.finished.insert((created, id));
        }
        self.of_agent.entry(agent).or_default().insert(id);
        self.listing.set(&summary);
        self.commands.insert(id, summary);
        if self.finished.len() > FINISHED_LIMIT
            && let Some((_, oldest)) = self.finished.pop_first()
        {
            self.drop_command(oldest);
        }
    }

    fn drop_command(&mut self, id: CommandId) {
        let Some(command) = self.commands.remove(&id) else {
            return;
        };
        self.listing.remove(id);
        if let Some(ids) = self.of_agent.get_mut(&command.agent_id) {
            ids.remove(&id);
            if ids.is_empty() {
                self.of_agent.remove(&command.agent_id);
            }
        }
    }

    /// The commands in the order in which they are listed.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Lists only commands that fit this.
    pub fn narrow(&mut self, filter: &str) {
        self.listing.narrow(filter, self.commands.values());
    }

    /// Every command that is known.
    pub fn commands(&self) -> impl Iterator<Item = &CommandSummary> {
        self.commands.values()
    }

    /// Whether further commands find room without others going.
    pub fn has_room(&self) -> bool {
        self.commands.len() < FINISHED_LIMIT
    }

    /// How many agents there are, and how many of them are connected.
    pub fn counts(&self) -> (usize, usize) {
        (self.agents.len(), self.connected)
    }

    /// An agent by its name.
    pub fn get(&self, name: &AgentId) -> Option<&AgentInfo> {
        self.agents.get(name)
    }

    /// A command by its id.
    pub fn get_command(&self, id: &CommandId) -> Option<&CommandSummary> {
        self.commands.get(id)
    }

    /// Commands whose id starts with `start`.
    pub fn find_commands(&self, start: &str) -> Vec<CommandId> {
        let found = self
            .commands
            .keys()
            .filter(|id| id.to_string().starts_with(start));
        found.copied().collect()
    }

    /// All agents, by name.
    pub fn agents(&self) -> impl Iterator<Item = &AgentInfo> {
        self.agents.values()
    }

    /// An agent's commands that fit a filter, newest first.
    pub fn commands_of(&self, agent: &AgentId, filter: &str) -> Vec<&CommandSummary> {
        let mut commands: Vec<&CommandSummary> = self
            .of(agent)
            .filter(|command| command_fits(command, filter))
            .collect();
        commands.sort_by_key(|command| std::cmp::Reverse((command.created_at, command.command_id)));
        commands
    }
}

/// How far a command is in its life: it never goes back. One that was sent may wait in its queue again.
fn stage(state: State) -> u8 {
    match state {
        State::Queued | State::Delivered => 0,
        State::Running => 1,
        State::Exited | State::Failed | State::Cancelled | State::Expired | State::Lost => 2,
    }
}

/// The command that an agent's activity is of, or else the one that it runs.
pub(super) fn concerned(agent: &AgentInfo) -> Option<CommandId> {
    let current = || current(agent).map(|command| command.command_id);
    agent.activity_command_id.or_else(current)
}

/// The command that an agent is running, the newest of several; else the first that waits.
pub fn current(agent: &AgentInfo) -> Option<&CommandSummary> {
    let running = agent
        .commands
        .iter()
        .rev()
        .find(|command| command.state == State::Running);
    running.or_else(|| {
        agent
            .commands
            .iter()
            .find(|command| !command.state.is_final())
    })
}

/// Since when an agent is as it is, where that is worth telling.
pub fn age(agent: &AgentInfo) -> Option<Timestamp> {
    if agent.is_connected() {
        agent.activity_since
    } else {
        Some(agent.since)
    }
}

/// The host that an agent runs on, where it said so.
pub fn host(agent: &AgentInfo) -> &str {
    agent.facts.get("hostname").map_or("", String::as_str)
}

/// Every word of the filter stands in the command, its state or its id.
fn command_fits(command: &CommandSummary, filter: &str) -> bool {
    filter.split_whitespace().all(|word| {
        let word = word.to_lowercase();
        command.program.to_string().to_lowercase().contains(&word)
            || command.state.as_str().contains(&word)
            || command.command_id.to_string().starts_with(&word)
    })
}
