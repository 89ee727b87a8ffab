//! The agents as they are listed: in groups, what needs a person first, only those that fit the filter. An index that is
//! kept in order agent by agent, so that a frame or a key costs what is seen and not what there is: no rows are made
//! of those that aren't shown.
//!
//! - `grouping`: what agents have in common.
//! - `rows`: from one row to the next.

mod grouping;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use opsctl_protocol::message::AgentInfo;
use opsctl_protocol::{AgentId, Timestamp};

use super::doing::{Doing, Need};
use super::fleet::{age, host};
pub use grouping::{GroupName, Grouping};
pub use rows::{Cursor, Row};

/// How many agents do what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([usize; Doing::COUNT]);

impl Counts {
    /// How many do this.
    pub fn of(&self, doing: Doing) -> usize {
        self.0[doing as usize]
    }

    /// How many there are.
    pub fn all(&self) -> usize {
        self.0.iter().sum()
    }
}

/// A member of a group; ordered as listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    need: Need,
    agent: AgentId,
}

/// Agents that have something in common.
#[derive(Debug)]
pub struct Group {
    /// What that is.
    pub name: GroupName,
    /// Whether only its heading is shown.
    pub folded: bool,
    /// What its agents do.
    pub counts: Counts,
    /// In order, never empty.
    members: Vec<Member>,
}

impl Group {
    fn need(&self) -> Need {
        self.members
            .first()
            .map_or(Need::Nothing, |member| member.need)
    }

    /// Its agents, in order.
    pub fn agents(&self) -> impl Iterator<Item = &AgentId> {
        self.members.iter().map(|member| &member.agent)
    }
}

/// What is known of an agent for its place.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// What the filter looks at, in small letters.
    words: String,
    doing: Doing,
    need: Need,
    /// Since when.
    since: Timestamp,
    group: GroupName,
}

/// The agents in their order.
#[derive(Debug, Default)]
pub struct Roster {
    by: Grouping,
    /// The filter's words, in small letters.
    filter: Vec<String>,
    /// Groups that are folded, also of other groupings and such as aren't there now.
    folded: BTreeSet<(Grouping, GroupName)>,
    /// All agents, listed or not.
    entries: BTreeMap<AgentId, Entry>,
    /// The listed ones, ordered by need and name.
    groups: Vec<Group>,
    /// The need that each group was put in order by.
    needs: BTreeMap<GroupName, Need>,
    /// All that need a person, listed or not: most first, then who has waited longest.
    inbox: BTreeSet<(Need, Timestamp, AgentId)>,
    totals: Counts,
    listed: usize,
    /// How often an agent was put into its place, for tests of how much is done.
    pub placements: u64,
}

impl Roster {
    /// Takes an agent, or what has changed about it.
    pub fn update(&mut self, agent: &AgentInfo, seen: bool) {
        let doing = Doing::of(agent, seen);
        let entry = Entry {
            words: words(agent, doing),
            doing,
            need: doing.need(seen),
            since: age(agent).unwrap_or_default(),
            group: self.by.group(agent, doing),
        };
        if self.entries.get(&agent.agent_id) == Some(&entry) {
            return;
        }
        self.remove(&agent.agent_id);
        self.totals.0[doing as usize] += 1;
        if entry.need < Need::Nothing {
            let key = (entry.need, entry.since, agent.agent_id.clone());
            self.inbox.insert(key);
        }
        if self.fits(&entry) {
            self.place(agent.agent_id.clone(), &entry);
        }
        self.entries.insert(agent.agent_id.clone(), entry);
    }

    /// Takes an agent off.
    pub fn remove(&mut self, agent: &AgentId) {
        let Some(entry) = self.entries.remove(agent) else {
            return;
        };
        self.totals.0[entry.doing as usize] -= 1;
        self.inbox.remove(&(entry.need, entry.since, agent.clone()));
        if self.fits(&entry) {
            self.displace(agent, &entry);
        }
    }

    /// Forgets all agents, not how they are to be listed.
    pub fn clear(&mut self) {
        *self = Self {
            by: std::mem::take(&mut self.by),
            filter: std::mem::take(&mut self.filter),
            folded: std::mem::take(&mut self.folded),
            placements: self.placements,
            ..Self::default()
        };
    }

    /// By what agents are grouped.
    pub fn grouping(&self) -> &Grouping {
        &self.by
    }

    /// Groups otherwise; the agents must then be given anew.
    pub(super) fn regroup(&mut self, by: Grouping) {
        self.clear();
        self.by = by;
    }

    /// Lists only agents that have each of these words in their name, host, state or labels.
    pub fn set_filter(&mut self, filter: &str) {
        let words = filter.split_whitespace().map(str::to_lowercase);
        if words.clone().eq(self.filter.iter().cloned()) {
            return;
        }
        self.filter = words.collect();
        self.groups.clear();
        self.needs.clear();
        self.listed = 0;
        for (agent, entry) in std::mem::take(&mut self.entries) {
            if self.fits(&entry) {
                self.place(agent.clone(), &entry);
            }
            self.entries.insert(agent, entry);
        }
    }

    fn fits(&self, entry: &Entry) -> bool {
        self.filter.iter().all(|word| entry.words.contains(word))
    }

    /// What the agents do, listed or not.
    pub fn totals(&self) -> &Counts {
        &self.totals
    }

    /// What those do that are listed, in folded groups too.
    pub fn listed_counts(&self) -> Counts {
        let mut counts = Counts::default();
        for group in &self.groups {
            for (all, count) in counts.0.iter_mut().zip(group.counts.0) {
                *all += count;
            }
        }
        counts
    }

    /// All that need a person, whatever is listed: most first, then who has waited longest.
    pub fn inbox(&self) -> impl Iterator<Item = &AgentId> {
        self.inbox.iter().map(|(_, _, agent)| agent)
    }

    /// How many need a person.
    pub fn inbox_len(&self) -> usize {
        self.inbox.len()
    }

    /// How many are listed, in folded groups too.
    pub fn listed(&self) -> usize {
        self.listed
    }

    /// The groups in their order.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Whether groups have headings: not where all are in none.
    pub fn has_headings(&self) -> bool {
        match self.groups.as_slice() {
            [only] => only.name != GroupName::Without,
            groups => !groups.is_empty(),
        }
    }

    /// What an agent does, if it is known.
    pub fn doing(&self, agent: &AgentId) -> Option<Doing> {
        self.entries.get(agent).map(|entry| entry.doing)
    }

    /// How much an agent needs a person.
    pub fn need(&self, agent: &AgentId) -> Need {
        self.entries
            .get(agent)
            .map_or(Need::Nothing, |entry| entry.need)
    }

    /// The folded groups, also of other groupings.
    pub fn folded(&self) -> impl Iterator<Item = &(Grouping, GroupName)> {
        self.folded.iter()
    }

    /// Folds a group, or unfolds it.
    pub fn fold(&mut self, name: &GroupName, folded: bool) {
        self.fold_in(self.by.clone(), name.clone(), folded);
        if let Some(at) = self.group_at(name) {
            self.groups[at].folded = folded;
        }
    }

    /// The same in any grouping, without effect on what is listed now.
    pub(super) fn fold_in(&mut self, by: Grouping, name: GroupName, folded: bool) {
        if folded {
            self.folded.insert((by, name));
        } else {
            self.folded.remove(&(by, name));
        }
    }

    fn group_at(&self, name: &GroupName) -> Option<usize> {
        let need = *self.needs.get(name)?;
        self.groups
            .binary_search_by(|group| (group.need(), &group.name).cmp(&(need, name)))
            .ok()
    }

    fn place(&mut self, agent: AgentId, entry: &Entry) {
        self.placements += 1;
        self.listed += 1;
        let mut group = self.take_group(&entry.group);
        let need = entry.need;
        let member = Member { need, agent };
        let at = group.members.binary_search(&member).unwrap_or_else(|at| at);
        group.members.insert(at, member);
        group.counts.0[entry.doing as usize] += 1;
        self.put_group(group);
    }

    fn displace(&mut self, agent: &AgentId, entry: &Entry) {
        self.listed -= 1;
        let mut group = self.take_group(&entry.group);
        let need = entry.need;
        let found = group
            .members
            .binary_search_by(|member| (member.need, &member.agent).cmp(&(need, agent)));
        if let Ok(at) = found {
            group.members.remove(at);
            group.counts.0[entry.doing as usize] -= 1;
        }
        if !group.members.is_empty() {
            self.put_group(group);
        }
    }

    /// A group out of the order, as its place may change with its members; a new one where there is none.
    fn take_group(&mut self, name: &GroupName) -> Group {
        if let Some(at) = self.group_at(name) {
            self.needs.remove(name);
            return self.groups.remove(at);
        }
        Group {
            name: name.clone(),
            folded: self.folded.contains(&(self.by.clone(), name.clone())),
            counts: Counts::default(),
            members: Vec::new(),
        }
    }

    fn put_group(&mut self, group: Group) {
        self.needs.insert(group.name.clone(), group.need());
        let key = (group.need(), &group.name);
        let at = self
            .groups
            .partition_point(|other| (other.need(), &other.name) < key);
        self.groups.insert(at, group);
    }
}

/// What a filter's words are looked for in.
fn words(agent: &AgentInfo, doing: Doing) -> String {
    let mut words = format!("{}\n{}\n{}", agent.agent_id, host(agent), doing.word());
    for (key, value) in &agent.labels {
        words.push('\n');
        words.push_str(key);
        words.push('=');
        words.push_str(value);
    }
    words.to_lowercase()
}
