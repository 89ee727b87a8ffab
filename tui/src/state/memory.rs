//! What the console remembers of itself from one start to the next: how the fleet is listed, what was looked at, which
//! panes are open. The reducer says what and when; where it is kept is the loop's.

use std::collections::VecDeque;

use opsctl_protocol::message::{Activity, CommandQuery};
use opsctl_protocol::{AgentId, CommandId, Timestamp};
use serde::{Deserialize, Serialize};

use super::doing::Occurrence;
use super::look::Chosen;
use super::roster::{GroupName, Grouping};
use super::{Effect, Focus, State};

/// How long changes are gathered before they are written, in milliseconds.
const DELAY_MS: u64 = 2000;

/// What is remembered. A field that a file lacks is as in a console that remembers nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Remembered {
    /// Which daemon it belongs to.
    pub endpoint: String,
    /// The theme, where another was chosen than the setting's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<Chosen>,
    /// By what agents are grouped, as a person names it.
    pub group: Option<String>,
    /// Groups that are folded.
    pub folded: Vec<Folded>,
    /// The fleet's filter.
    pub filter: String,
    /// Agents that are marked.
    pub marks: Vec<AgentId>,
    /// What was looked at.
    pub seen: Vec<Seen>,
    /// The commands in panes, in their order.
    pub panes: Vec<CommandId>,
    /// Which of the panes has the focus, from 0.
    pub focused: usize,
    /// Whether all panes are shown.
    pub grid: bool,
    /// Whether the focused one has the whole screen.
    pub zoomed: bool,
}

/// A folded group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folded {
    /// By what it is a group.
    pub by: String,
    /// Its name; absent for agents that belong to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// An agent's state that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Whose.
    pub agent: AgentId,
    /// What it was.
    pub activity: Activity,
    /// Of which command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandId>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// How it stands with remembering.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Why nothing could be recalled, until it is said.
    problem: Option<String>,
    /// What is kept already.
    kept: Option<Remembered>,
    /// When something that may have changed is looked at.
    due: Option<Timestamp>,
    /// Panes that are still to be opened again, at most [`super::MAX_PANES`]; the first one is being asked for.
    reopening: VecDeque<CommandId>,
    /// Which pane and how, once all are open.
    arrangement: Option<(usize, bool, bool)>,
}

impl State {
    /// Takes what was remembered, before the daemon has said anything.
    pub fn recall(&mut self, remembered: Remembered) {
        self.look.recall(remembered.theme.as_ref());
        let by = remembered.group.as_deref().map(Grouping::named);
        self.fleet.group_by(by.unwrap_or_default());
        for folded in &remembered.folded {
            let name = match &folded.group {
                Some(name) => GroupName::Of(name.clone()),
                None => GroupName::Without,
            };
            let by = Grouping::named(&folded.by);
            self.fleet.roster_mut().fold_in(by, name, true);
        }
        self.list.filter.clone_from(&remembered.filter);
        self.list.marks = remembered.marks.iter().cloned().collect();
        let seen = remembered.seen.iter().map(|seen| {
            let occurrence = Occurrence {
                activity: seen.activity,
                command: seen.command,
                since: seen.since,
            };
            (seen.agent.clone(), occurrence)
        });
        self.fleet.remember_seen(seen);
        let panes = remembered.panes.iter().take(super::MAX_PANES).copied();
        self.memory.reopening = panes.collect();
        let arrangement = (remembered.focused, remembered.grid, remembered.zoomed);
        self.memory.arrangement = Some(arrangement);
        self.memory.kept = Some(remembered);
        self.keep_agent();
    }

    /// Takes note that what was remembered can't be read. It is said when the fleet is there: before, the connection's
    /// own news would cover it.
    pub fn cannot_recall(&mut self, why: String) {
        self.memory.problem = Some(why);
    }

    /// Goes on from where the last console ended, now that the fleet is known.
    pub(super) fn resume_remembered(&mut self) -> Option<Effect> {
        if let Some(why) = self.memory.problem.take() {
            self.notify(why, true);
        }
        let fleet = &self.fleet;
        self.list.marks.retain(|agent| fleet.get(agent).is_some());
        self.reopen()
    }

    /// What is to be remembered now.
    fn to_remember(&self) -> Remembered {
        let roster = self.fleet.roster();
        let folded = roster.folded().map(|(by, name)| Folded {
            by: by.to_string(),
            group: match name {
                GroupName::Of(name) => Some(name.clone()),
                GroupName::Without => None,
            },
        });
        let seen = self.fleet.seen().map(|(agent, occurrence)| Seen {
            agent: agent.clone(),
            activity: occurrence.activity,
            command: occurrence.command,
            since: occurrence.since,
        });
        let panes = self.panes.list.iter().map(|pane| pane.command);
        Remembered {
            endpoint: self.endpoint.clone(),
            theme: self.look.chosen(),
            group: Some(roster.grouping().to_string()),
            folded: folded.collect(),
            filter: self.list.filter.clone(),
            marks: self.list.marks.iter().cloned().collect(),
            seen: seen.collect(),
            panes: panes.collect(),
            focused: self.panes.focused,
            grid: self.panes.grid,
            zoomed: self.panes.zoomed,
        }
    }

    /// Something may have changed that is remembered.
    pub(super) fn may_remember(&mut self) {
        let due = Timestamp(self.now.0 + DELAY_MS);
        self.memory.due.get_or_insert(due);
    }

    /// When it is looked at what has changed.
    pub(super) fn remembers_at(&self) -> Option<Timestamp> {
        self.memory.due
    }

    /// Keeps what has changed, once it is time.
    pub(super) fn remember_due(&mut self) -> Option<Effect> {
        self.memory.due.take_if(|due| *due <= self.now)?;
        self.remember()
    }

    /// How this console is left: what the next start shall have. Nothing where the panes of the last time aren't open again
    /// yet: what is remembered is more than what is here.
    pub fn left(&self) -> Option<Remembered> {
        let is_whole = self.fleet.known && self.memory.reopening.is_empty();
        is_whole.then(|| self.to_remember())
    }

    /// Keeps what has changed.
    pub fn remember(&mut self) -> Option<Effect> {
        let now = self.left()?;
        if self.memory.kept.as_ref() == Some(&now) {
            return None;
        }
        self.memory.kept = Some(now.clone());
        Some(Effect::Remember(Box::new(now)))
    }

    /// Asks for the next pane that was open.
    fn reopen(&self) -> Option<Effect> {
        let command = self.memory.reopening.front()?;
        Some(Effect::Query(CommandQuery {
            id_prefix: Some(command.to_string()),
            ..CommandQuery::default()
        }))
    }

    /// Opens a pane that was open, if `id` is the one that was asked for, and goes on with the next.
    pub(super) fn reopened(&mut self, id: &str, is_known: bool) -> Option<Vec<Effect>> {
        let asked = self.memory.reopening.front().copied();
        let command = asked.filter(|command| command.to_string() == id)?;
        self.memory.reopening.pop_front();
        let mut effects = Vec::new();
        // The daemon forgets old commands; there is nothing to be said about that.
        if is_known && self.panes.len() < super::MAX_PANES {
            effects = self.open(command, true);
        }
        effects.extend(self.reopen());
        if self.memory.reopening.is_empty()
            && let Some((focused, grid, zoomed)) = self.memory.arrangement.take()
        {
            self.panes.focused = focused.min(self.panes.len().saturating_sub(1));
            self.panes.grid |= grid;
            if zoomed && !self.panes.is_empty() {
                (self.panes.zoomed, self.focus) = (true, Focus::Pane);
            }
        }
        Some(effects)
    }

    /// Whether panes that were open are still to be opened.
    pub(super) fn reopens(&self) -> bool {
        !self.memory.reopening.is_empty()
    }

    /// Gives up what couldn't be asked for.
    pub(super) fn give_up_reopening(&mut self) {
        self.memory.reopening.clear();
        self.memory.arrangement = None;
    }
}
