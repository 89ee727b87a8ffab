//! From one row of the list to the next. Nothing here costs more the more rows there are, but what is walked.

use opsctl_protocol::AgentId;

use super::{Group, Roster};
use crate::state::doing::Need;
use crate::state::roster::GroupName;

/// A row of the list.
#[derive(Debug, Clone, Copy)]
pub enum Row<'a> {
    /// A group's heading.
    Heading(&'a Group),
    /// An agent.
    Agent(&'a AgentId),
}

/// Where a row is: which group, and which of its members; none is its heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    group: usize,
    member: Option<usize>,
}

impl Roster {
    /// The row at a cursor.
    pub fn row(&self, cursor: Cursor) -> Option<Row<'_>> {
        let group = self.groups.get(cursor.group)?;
        match cursor.member {
            None => Some(Row::Heading(group)),
            Some(member) => Some(Row::Agent(&group.members.get(member)?.agent)),
        }
    }

    /// The group that a row belongs to.
    pub fn group(&self, cursor: Cursor) -> Option<&Group> {
        self.groups.get(cursor.group)
    }

    /// Where an agent is; in a folded group, that one's heading.
    pub fn cursor(&self, agent: &AgentId) -> Option<Cursor> {
        let (cursor, folded) = self.member(agent)?;
        let member = cursor.member.filter(|_| !folded);
        Some(Cursor { member, ..cursor })
    }

    fn member(&self, agent: &AgentId) -> Option<(Cursor, bool)> {
        let entry = self.entries.get(agent)?;
        let at = self.group_at(&entry.group)?;
        let group = &self.groups[at];
        let member = group
            .members
            .binary_search_by(|member| (member.need, &member.agent).cmp(&(entry.need, agent)))
            .ok()?;
        let cursor = Cursor {
            group: at,
            member: Some(member),
        };
        Some((cursor, self.is_folded(group)))
    }

    /// Where a group's heading is, if it has one.
    pub fn heading(&self, name: &GroupName) -> Option<Cursor> {
        let group = self.group_at(name).filter(|_| self.has_headings())?;
        Some(Cursor {
            group,
            member: None,
        })
    }

    /// The first row, or the first that is an agent.
    pub fn first(&self, agent: bool) -> Option<Cursor> {
        if agent {
            let open = |group: &Group| !self.is_folded(group);
            let group = self.groups.iter().position(open)?;
            return Some(Cursor {
                group,
                member: Some(0),
            });
        }
        let group = self.groups.first()?;
        Some(self.top(0, group))
    }

    /// The last row.
    pub fn last(&self) -> Option<Cursor> {
        let group = self.groups.last()?;
        Some(self.bottom(self.groups.len() - 1, group))
    }

    fn is_folded(&self, group: &Group) -> bool {
        group.folded && self.has_headings()
    }

    fn top(&self, group: usize, of: &Group) -> Cursor {
        let member = (!self.has_headings() && !of.members.is_empty()).then_some(0);
        Cursor { group, member }
    }

    fn bottom(&self, group: usize, of: &Group) -> Cursor {
        let member = (!self.is_folded(of)).then(|| of.members.len() - 1);
        Cursor { group, member }
    }

    /// The row below.
    pub fn below(&self, cursor: Cursor) -> Option<Cursor> {
        let group = self.groups.get(cursor.group)?;
        let next = cursor.member.map_or(0, |member| member + 1);
        if next < group.members.len() && !self.is_folded(group) {
            return Some(Cursor {
                member: Some(next),
                ..cursor
            });
        }
        let after = self.groups.get(cursor.group + 1)?;
        Some(self.top(cursor.group + 1, after))
    }

    /// The row above.
    pub fn above(&self, cursor: Cursor) -> Option<Cursor> {
        match cursor.member {
            Some(0) if self.has_headings() => {
                return Some(Cursor {
                    member: None,
                    ..cursor
                });
            }
            Some(member) if member > 0 => {
                return Some(Cursor {
                    member: Some(member - 1),
                    ..cursor
                });
            }
            _ => {}
        }
        let at = cursor.group.checked_sub(1)?;
        Some(self.bottom(at, self.groups.get(at)?))
    }

    /// The row so many rows further down, not beyond the ends.
    pub fn moved(&self, from: Cursor, by: i64) -> Cursor {
        let mut cursor = from;
        for _ in 0..by.unsigned_abs() {
            let next = if by > 0 {
                self.below(cursor)
            } else {
                self.above(cursor)
            };
            match next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        cursor
    }

    /// The next agent that needs a person, around the end; also in folded groups.
    pub fn next_need(&self, from: Option<Cursor>, forward: bool) -> Option<&AgentId> {
        // Those stand first in each group, and such groups first of all.
        let needy = |group: &Group| group.members.partition_point(|m| m.need < Need::Nothing);
        let groups = self
            .groups
            .partition_point(|group| group.need() < Need::Nothing);
        let last = groups.checked_sub(1)?;
        let from = from.map(|cursor| (cursor.group, cursor.member));
        let next = match (from, forward) {
            (None, true) => (0, 0),
            (None, false) => (last, needy(&self.groups[last]) - 1),
            (Some((group, member)), true) => {
                let next = member.map_or(0, |member| member + 1);
                if group < groups && next < needy(&self.groups[group]) {
                    (group, next)
                } else if group < last {
                    (group + 1, 0)
                } else {
                    (0, 0)
                }
            }
            (Some((group, member)), false) => {
                let here = member.unwrap_or(0);
                let here = here.min(self.groups.get(group).map_or(0, needy));
                if group < groups && here > 0 {
                    (group, here - 1)
                } else {
                    let before = group.min(groups).checked_sub(1).unwrap_or(last);
                    (before, needy(&self.groups[before]) - 1)
                }
            }
        };
        let member = self.groups.get(next.0)?.members.get(next.1)?;
        Some(&member.agent)
    }

    /// Where an agent's place is, also in a folded group.
    pub fn place_of(&self, agent: &AgentId) -> Option<Cursor> {
        self.member(agent).map(|(cursor, _)| cursor)
    }

    /// The agents that need a person, most first, in the order of the list.
    pub fn needy(&self) -> impl Iterator<Item = &AgentId> {
        let groups = self
            .groups
            .iter()
            .take_while(|group| group.need() < Need::Nothing);
        groups.flat_map(|group| {
            let members = group.members.iter();
            members
                .take_while(|member| member.need < Need::Nothing)
                .map(|member| &member.agent)
        })
    }

    /// The lines that all rows take with so many lines for each agent, or `most` where there are more.
    pub fn height(&self, each: usize, most: usize) -> usize {
        let headings = usize::from(self.has_headings());
        let mut lines = 0;
        for group in &self.groups {
            let members = if self.is_folded(group) {
                0
            } else {
                group.members.len()
            };
            lines += headings + members * each;
            if lines >= most {
                return most;
            }
        }
        lines
    }

    /// The row to show at the top of so many lines, for the selected one to be in the middle where the list is
    /// longer.
    pub fn window(&self, selected: Option<Cursor>, lines: usize, each: usize) -> Option<Cursor> {
        let takes = |cursor: Cursor| if cursor.member.is_some() { each } else { 1 };
        let mut top = selected.or_else(|| self.first(false))?;
        // As far up as half of the lines, and further where there is too little below.
        let mut below = takes(top);
        let mut cursor = top;
        while below < lines.div_ceil(2) {
            let Some(next) = self.below(cursor) else {
                break;
            };
            below += takes(next);
            cursor = next;
        }
        let mut used = below;
        while let Some(next) = self.above(top) {
            used += takes(next);
            if used > lines {
                break;
            }
            top = next;
        }
        Some(top)
    }
}
