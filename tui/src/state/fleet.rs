//! The agents and their commands, as far as this console knows them.

use std::collections::BTreeMap;

use opsctl_protocol::message::{
    Activity, AgentInfo, AgentList, CommandStatus, CommandSummary, State,
};
use opsctl_protocol::{AgentId, CommandId};

/// Finished commands that are remembered; the oldest go first, the daemon has them all.
const FINISHED_LIMIT: usize = 2000;

/// Agents and commands.
#[derive(Debug, Default)]
pub struct Fleet {
    agents: BTreeMap<AgentId, AgentInfo>,
    commands: BTreeMap<CommandId, CommandSummary>,
    /// The first parts of the whole list, which may come in several; `None` once it is there.
    arriving: Option<Vec<AgentInfo>>,
    /// Whether the daemon has told the whole fleet once.
    pub known: bool,
}

/// What an agent does, in a glyph and a word; colour is never the only sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It is busy by its own account.
    Working,
    /// It runs a command and hasn't said more.
    Running,
    /// It waits for a person.
    Blocked,
    /// It finished something.
    Done,
    /// It has nothing to do.
    Idle,
    /// It failed.
    Error,
    /// It has no connection.
    Disconnected,
}

impl Doing {
    /// What the agent does.
    pub fn of(agent: &AgentInfo) -> Self {
        if !agent.is_connected() {
            return Self::Disconnected;
        }
        let runs = agent
            .commands
            .iter()
            .any(|command| command.state == State::Running);
        match agent.activity {
            Activity::Working => Self::Working,
            Activity::Blocked => Self::Blocked,
            Activity::Done => Self::Done,
            Activity::Error => Self::Error,
            Activity::Starting | Activity::Idle | Activity::Unknown if runs => Self::Running,
            Activity::Starting | Activity::Idle | Activity::Unknown => Self::Idle,
        }
    }

    /// Its sign.
    pub fn glyph(self) -> &'static str {
        match self {
            Self::Working | Self::Running => "●",
            Self::Blocked => "!",
            Self::Done => "✓",
            Self::Idle => "○",
            Self::Error => "✗",
            Self::Disconnected => "⚡",
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Running => "running",
            Self::Blocked => "blocked",
            Self::Done => "done",
            Self::Idle => "idle",
            Self::Error => "error",
            Self::Disconnected => "offline",
        }
    }
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
            self.known = true;
            agents = before;
        }
        agents
            .into_iter()
            .filter_map(|agent| self.agent(agent))
            .collect()
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
        let missed = self.commands.values().any(|command| {
            command.agent_id == name && !command.state.is_final() && !listed(&command.command_id)
        });
        self.agents.insert(name.clone(), agent);
        missed.then_some(name)
    }

    /// Takes an agent off the list. What is known of its commands stays; their ends come as for any other.
    pub fn forget(&mut self, agent_id: &AgentId) {
        self.agents.remove(agent_id);
    }

    /// Takes a command's state, where the message says enough.
    pub fn status(&mut self, status: &CommandStatus) {
        let Some(summary) = status.command.as_deref() else {
            return;
        };
        let summary = summary.clone();
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
        }
        self.command(summary);
    }

    /// Takes a command.
    pub fn command(&mut self, summary: CommandSummary) {
        self.commands.insert(summary.command_id, summary);
        if self.commands.len() > FINISHED_LIMIT {
            let finished = self
                .commands
                .values()
                .filter(|command| command.state.is_final());
            let oldest = finished.min_by_key(|command| command.created_at);
            if let Some(id) = oldest.map(|command| command.command_id) {
                self.commands.remove(&id);
            }
        }
    }

    /// How many agents there are, and how many of them are connected.
    pub fn counts(&self) -> (usize, usize) {
        let connected = self.agents.values().filter(|agent| agent.is_connected());
        (self.agents.len(), connected.count())
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

    /// Agents that fit a filter, by name.
    pub fn agents<'a>(&'a self, filter: &'a str) -> impl Iterator<Item = &'a AgentInfo> {
        self.agents
            .values()
            .filter(move |agent| agent_fits(agent, filter))
    }

    /// An agent's commands that fit a filter, newest first.
    pub fn commands_of(&self, agent: &AgentId, filter: &str) -> Vec<&CommandSummary> {
        let mut commands: Vec<&CommandSummary> = self
            .commands
            .values()
            .filter(|command| command.agent_id == *agent && command_fits(command, filter))
            .collect();
        commands.sort_by_key(|command| std::cmp::Reverse((command.created_at, command.command_id)));
        commands
    }
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

/// The host that an agent runs on, where it said so.
pub fn host(agent: &AgentInfo) -> &str {
    agent.facts.get("hostname").map_or("", String::as_str)
}

/// Every word of the filter stands in the agent's name, host, state or labels.
fn agent_fits(agent: &AgentInfo, filter: &str) -> bool {
    filter.split_whitespace().all(|word| {
        let word = word.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&word);
        has(agent.agent_id.as_str())
            || has(host(agent))
            || has(Doing::of(agent).word())
            || agent
                .labels
                .iter()
                .any(|(key, value)| has(&format!("{key}={value}")))
    })
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
