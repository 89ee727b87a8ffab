//! Which agents are meant: the selection, marks, groups, and jumps to what needs a person.

use std::collections::BTreeSet;

use opsctl_protocol::message::CommandSummary;
use opsctl_protocol::{AgentId, CommandId};
use ratatui::layout::Rect;

use super::doing::Need;
use super::roster::{Cursor, Grouping, Row};
use super::{Effect, Focus, State, View, fleet};

/// Lists at least this wide show two lines for each agent, where all fit so.
const ROOMY: u16 = 16;

/// One of so many rows of the list is for those who wait for an answer and would be out of sight.
const PINNED: u16 = 4;

/// A row of the fleet as it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// What it is.
    pub row: Row<'a>,
    /// Its lines on the screen.
    pub area: Rect,
    /// Whether it is the selected one.
    pub selected: bool,
}

impl State {
    /// The commands listed now.
    pub fn listed_commands(&self) -> Vec<&CommandSummary> {
        let agent = self.list.agent.as_ref().filter(|_| self.list.commands);
        agent.map_or_else(Vec::new, |agent| {
            self.fleet.commands_of(agent, &self.list.command_filter)
        })
    }

    /// The command that the focus is on: the pane's, the list's, or the selected agent's current one.
    pub fn target_command(&self) -> Option<CommandId> {
        match self.view {
            View::Fleet => {}
            View::Inbox => return self.item_command(),
            View::Commands => return self.commands.selected,
            View::Activity | View::Connections => return None,
        }
        if self.focus == Focus::Pane {
            return self.panes.current().map(|pane| pane.command);
        }
        if self.list.commands {
            return self.list.command;
        }
        let agent = self.fleet.get(self.list.agent.as_ref()?)?;
        fleet::current(agent).map(|command| command.command_id)
    }

    /// The agent that the focus is on.
    pub fn target_agent(&self) -> Option<AgentId> {
        match self.view {
            View::Fleet => {}
            View::Inbox => return self.inbox.selected.clone(),
            View::Commands => return Some(self.selected_command()?.agent_id.clone()),
            View::Activity | View::Connections => return None,
        }
        match self.panes.current() {
            Some(pane) if self.focus == Focus::Pane => Some(pane.agent.clone()),
            _ => self.list.agent.clone(),
        }
    }

    /// The selected row.
    fn selected(&self) -> Option<Cursor> {
        let roster = self.fleet.roster();
        let agent = self.list.agent.as_ref();
        agent
            .and_then(|agent| roster.cursor(agent))
            .or_else(|| roster.heading(self.list.group.as_ref()?))
    }

    fn select(&mut self, cursor: Option<Cursor>) {
        let row = cursor.and_then(|cursor| self.fleet.roster().row(cursor));
        (self.list.agent, self.list.group) = match row {
            Some(Row::Agent(agent)) => (Some(agent.clone()), None),
            Some(Row::Heading(group)) => (None, Some(group.name.clone())),
            None => (None, None),
        };
    }

    /// Keeps the selection on a row that is there: an agent stays selected wherever it moves.
    pub(super) fn keep_agent(&mut self) {
        self.fleet.roster_mut().set_filter(&self.list.filter);
        let roster = self.fleet.roster();
        let cursor = self.selected();
        let cursor = cursor
            .or_else(|| roster.first(true))
            .or_else(|| roster.first(false));
        self.select(cursor);
    }

    /// Moves the selection by so many rows.
    pub(super) fn step_agents(&mut self, by: i64) {
        let roster = self.fleet.roster();
        let cursor = match self.selected() {
            Some(cursor) => Some(roster.moved(cursor, by)),
            None => roster.first(true),
        };
        self.select(cursor);
    }

    /// The fleet's rows on the screen, in `area` without its title. Those who wait for an answer and would be out of sight
    /// stand above all others.
    pub fn shown_rows(&self, area: Rect) -> Vec<Shown<'_>> {
        let rows = self.rows_from(self.selected(), area);
        let out_of_sight = self.blocked_beside(&rows, area);
        if out_of_sight.is_empty() {
            return rows;
        }
        let taken = out_of_sight.len() as u16;
        let pinned = out_of_sight.into_iter().zip(area.y..);
        let mut shown: Vec<Shown<'_>> = pinned
            .map(|(agent, y)| Shown {
                row: Row::Agent(agent),
                area: Rect {
                    y,
                    height: 1,
                    ..area
                },
                selected: false,
            })
            .collect();
        let below = Rect {
            y: area.y + taken,
            height: area.height - taken,
            ..area
        };
        shown.extend(self.rows_from(self.selected(), below));
        shown
    }

    /// Those who have waited longest for an answer and are in none of these rows, except where their group is folded; never so
    /// many that the list is lost.
    fn blocked_beside(&self, rows: &[Shown<'_>], area: Rect) -> Vec<&AgentId> {
        let roster = self.fleet.roster();
        let is_blocked = |agent: &AgentId| roster.need(agent) == Need::Answer;
        let is_shown = |agent: &AgentId| {
            let is_it =
                |shown: &Shown<'_>| matches!(shown.row, Row::Agent(shown) if shown == agent);
            rows.iter().any(is_it)
        };
        let is_listed = |agent: &AgentId| {
            let row = roster.cursor(agent).and_then(|cursor| roster.row(cursor));
            matches!(row, Some(Row::Agent(_)))
        };
        // Only others make room.
        let has_others = rows
            .iter()
            .any(|shown| matches!(shown.row, Row::Agent(agent) if !is_blocked(agent)));
        if !has_others {
            return Vec::new();
        }
        let blocked = roster.inbox().take_while(|agent| is_blocked(agent));
        blocked
            .filter(|agent| !is_shown(agent) && is_listed(agent))
            .take(usize::from(area.height / PINNED))
            .collect()
    }

    /// The rows in `area`, around the selected one.
    fn rows_from(&self, selected: Option<Cursor>, area: Rect) -> Vec<Shown<'_>> {
        let roster = self.fleet.roster();
        let lines = usize::from(area.height);
        let all_fit = area.width >= ROOMY && roster.height(2, lines + 1) <= lines;
        let each = if all_fit { 2 } else { 1 };
        let mut next = roster.window(selected, lines, each);
        let mut rows = Vec::with_capacity(lines);
        let mut y = area.y;
        while let Some(cursor) = next.filter(|_| y < area.bottom()) {
            let Some(row) = roster.row(cursor) else { break };
            let height = match row {
                Row::Heading(_) => 1,
                Row::Agent(_) => each as u16,
            };
            let height = height.min(area.bottom() - y);
            rows.push(Shown {
                row,
                area: Rect { y, height, ..area },
                selected: selected == Some(cursor),
            });
            y += height;
            next = roster.below(cursor);
        }
        rows
    }

    /// Selects the row that the mouse was pressed on; a heading that is selected already is folded or unfolded.
    pub(super) fn press_row(&mut self, area: Rect, y: u16) {
        let rows = self.shown_rows(area);
        let Some(found) = rows
            .iter()
            .find(|shown| (shown.area.top()..shown.area.bottom()).contains(&y))
        else {
            return;
        };
        match found.row {
            Row::Agent(agent) => (self.list.agent, self.list.group) = (Some(agent.clone()), None),
            Row::Heading(group) => {
                let (name, folded, again) = (group.name.clone(), group.folded, found.selected);
                (self.list.agent, self.list.group) = (None, Some(name.clone()));
                if again {
                    self.fleet.roster_mut().fold(&name, !folded);
                }
            }
        }
    }

    /// Folds the selected group, or that of the selected agent, or unfolds it.
    pub(super) fn fold(&mut self, folded: bool) {
        let roster = self.fleet.roster();
        let name = match self.selected().and_then(|cursor| roster.group(cursor)) {
            Some(group) if roster.has_headings() => group.name.clone(),
            _ => return,
        };
        self.fleet.roster_mut().fold(&name, folded);
        if folded {
            (self.list.agent, self.list.group) = (None, Some(name));
        }
    }

    /// Whether the selected row is a heading.
    pub(super) fn is_at_heading(&self) -> bool {
        self.list.agent.is_none() && self.list.group.is_some()
    }

    /// Folds the group whose heading is selected, or unfolds it.
    pub(super) fn toggle_group(&mut self) {
        let roster = self.fleet.roster();
        let group = self.selected().and_then(|cursor| roster.group(cursor));
        if let Some((name, folded)) = group.map(|group| (group.name.clone(), group.folded)) {
            self.fleet.roster_mut().fold(&name, !folded);
        }
    }

    /// Selects the next agent that needs a person.
    pub(super) fn next_need(&mut self, forward: bool) {
        let roster = self.fleet.roster();
        let agent = self.list.agent.as_ref();
        let from = agent
            .and_then(|agent| roster.place_of(agent))
            .or_else(|| self.selected());
        let Some(agent) = roster.next_need(from, forward).cloned() else {
            self.notify("nothing needs you", false);
            return;
        };
        // It must be seen, also where its group is folded.
        let place = roster.place_of(&agent);
        let group = place.and_then(|cursor| roster.group(cursor));
        if let Some(name) = group.map(|group| group.name.clone()) {
            self.fleet.roster_mut().fold(&name, false);
        }
        (self.list.agent, self.list.group) = (Some(agent), None);
    }

    /// Marks the selected agent, or all of the selected group; those that are marked already lose it.
    pub(super) fn mark(&mut self) {
        let roster = self.fleet.roster();
        let chosen: BTreeSet<AgentId> = match self.selected().and_then(|cursor| roster.row(cursor))
        {
            Some(Row::Agent(agent)) => BTreeSet::from([agent.clone()]),
            Some(Row::Heading(group)) => group.agents().cloned().collect(),
            None => return,
        };
        if chosen.is_subset(&self.list.marks) {
            self.list.marks.retain(|agent| !chosen.contains(agent));
        } else {
            self.list.marks.extend(chosen);
        }
        // Several are marked by pressing the key several times.
        self.step_agents(1);
    }

    /// Groups by something else: by nothing, by host, by state, and by each label that agents have.
    pub(super) fn next_grouping(&mut self) {
        let mut all = vec![Grouping::None, Grouping::Host, Grouping::State];
        let keys = self.fleet.label_keys().into_iter();
        all.extend(keys.map(|key| Grouping::Label(key.to_owned())));
        let now = self.fleet.roster().grouping();
        let at = all.iter().position(|by| by == now);
        let next = at.map_or(0, |at| (at + 1) % all.len());
        self.group_by(all.swap_remove(next));
    }

    /// Groups by this.
    pub(super) fn group_by(&mut self, by: Grouping) {
        let label = match &by {
            Grouping::Label(key) => Some(key.clone()),
            _ => None,
        };
        let known = label
            .as_ref()
            .is_none_or(|key| self.fleet.label_keys().contains(key.as_str()));
        // The list's title tells by what; only what can't be seen there is told beside it.
        let text = format!("grouped by {by}, a label that no agent has");
        self.fleet.group_by(by);
        self.keep_agent();
        if !known {
            self.notify(text, true);
        }
    }

    /// Takes note that the person knows of what the chosen agents are at.
    pub(super) fn see_chosen(&mut self) {
        if let Err(why) = self.may_see() {
            return self.notify(why, true);
        }
        for agent in self.chosen_agents() {
            self.fleet.see(&agent);
        }
    }

    /// What is open on the screen has been seen.
    pub(super) fn see_shown(&mut self) {
        if self.may_see().is_err() {
            return;
        }
        let panes = self.layout.panes.iter();
        let looked_at: Vec<AgentId> = panes
            .filter_map(|(index, _)| self.panes.get(*index))
            .filter(|pane| {
                let over = matches!(self.fleet.need(&pane.agent), Need::Failed | Need::Finished);
                let agent = self.fleet.get(&pane.agent).filter(|_| over);
                agent.is_some_and(|agent| {
                    agent
                        .activity_command_id
                        .is_none_or(|command| command == pane.command)
                })
            })
            .map(|pane| pane.agent.clone())
            .collect();
        for agent in looked_at {
            self.fleet.see(&agent);
            self.may_remember();
        }
    }

    /// Whether what is done now is done to all that are marked.
    pub(super) fn means_marked(&self) -> bool {
        let at_agents =
            self.view == View::Fleet && self.focus == Focus::List && !self.list.commands;
        at_agents && !self.list.marks.is_empty()
    }

    /// The agents that what is done now is done to: the marked ones in the list, else the one that the focus is on.
    pub fn chosen_agents(&self) -> Vec<AgentId> {
        if self.means_marked() {
            return self.list.marks.iter().cloned().collect();
        }
        self.target_agent().into_iter().collect()
    }

    /// The commands that what is done now is done to, those that still live.
    pub(super) fn chosen_commands(&self) -> Vec<CommandId> {
        let commands: Vec<CommandId> = if self.means_marked() {
            let agents = self.list.marks.iter();
            let agents = agents.filter_map(|agent| self.fleet.get(agent));
            agents
                .filter_map(|agent| Some(fleet::current(agent)?.command_id))
                .collect()
        } else {
            self.target_command().into_iter().collect()
        };
        let live = commands.into_iter().filter(|command| self.lives(command));
        live.collect()
    }

    /// Opens the terminals of the chosen agents side by side.
    pub(super) fn open_chosen(&mut self) -> Vec<Effect> {
        let commands = self.chosen_commands();
        if commands.is_empty() {
            self.notify("nothing runs there to show", false);
            return Vec::new();
        }
        let room = super::MAX_PANES.saturating_sub(self.panes.len());
        let fresh = |command: &&CommandId| self.panes.find(**command).is_none();
        if commands.iter().filter(fresh).count() > room {
            let text = format!("not more than {} panes are open at once", super::MAX_PANES);
            self.notify(text, true);
        }
        let mut effects = Vec::new();
        for command in commands {
            if self.panes.len() < super::MAX_PANES || self.panes.find(command).is_some() {
                effects.extend(self.open(command, true));
            }
        }
        self.panes.grid |= self.panes.len() > 1;
        self.panes.fresh = true;
        effects
    }
}
