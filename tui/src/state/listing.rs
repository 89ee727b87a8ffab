//! The commands of the whole fleet in the order of the view Commands, those that fit its filter: what runs, what waits
//! (by agent, in the order in which it will go), what has ended; newest first. It is kept as commands change, so that no
//! frame looks through all of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use opsctl_protocol::message::{CommandSummary, State};
use opsctl_protocol::{AgentId, CommandId};

use super::filter::Filter;

/// What a command is at, in the order of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It runs, or is about to.
    Runs,
    /// It waits in its agent's queue.
    Waits,
    /// It has ended.
    Ended,
}

impl Stage {
    pub(super) fn of(state: State) -> Self {
        match state {
            State::Running | State::Delivered => Self::Runs,
            State::Queued => Self::Waits,
            _ => Self::Ended,
        }
    }

    /// The word for it in the view's title.
    pub fn word(self) -> &'static str {
        match self {
            Self::Runs => "running",
            Self::Waits => "waiting",
            Self::Ended => "ended",
        }
    }
}

/// Where a command stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    stage: Stage,
    /// Of what waits: whose queue, and where in it.
    queue: Option<(AgentId, Option<u32>)>,
    /// When it was made, in milliseconds; of what waits, the oldest goes first where no places are told.
    newest: Reverse<u64>,
    command: CommandId,
}

impl Place {
    fn of(command: &CommandSummary) -> Self {
        let stage = Stage::of(command.state);
        let waits = stage == Stage::Waits;
        let created = command.created_at.0;
        Self {
            stage,
            queue: waits.then(|| (command.agent_id.clone(), command.queue_position)),
            newest: Reverse(if waits { u64::MAX - created } else { created }),
            command: command.command_id,
        }
    }
}

/// The commands in their order.
#[derive(Debug, Default)]
pub struct Listing {
    filter: Filter,
    order: BTreeSet<Place>,
    /// The place of each, to take it out again.
    places: BTreeMap<CommandId, Place>,
    /// How many there are in each stage.
    counts: [usize; 3],
}

impl Listing {
    /// Takes a command as it is now.
    pub fn set(&mut self, command: &CommandSummary) {
        self.remove(command.command_id);
        if self.filter.fits_command(command) {
            let place = Place::of(command);
            self.counts[place.stage as usize] += 1;
            self.order.insert(place.clone());
            self.places.insert(command.command_id, place);
        }
    }

    /// Takes a command out.
    pub fn remove(&mut self, command: CommandId) {
        if let Some(place) = self.places.remove(&command) {
            self.counts[place.stage as usize] -= 1;
            self.order.remove(&place);
        }
    }

    /// Lists only what fits this, of all commands.
    pub fn narrow<'a>(&mut self, filter: &str, all: impl Iterator<Item = &'a CommandSummary>) {
        *self = Self {
            filter: Filter::new(filter),
            ..Self::default()
        };
        all.for_each(|command| self.set(command));
    }

    /// The commands in their order.
    pub fn ids(&self) -> impl Iterator<Item = CommandId> {
        self.order.iter().map(|place| place.command)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many of them are in a stage.
    pub fn count(&self, stage: Stage) -> usize {
        self.counts[stage as usize]
    }
}

#[cfg(test)]
mod tests {
    use opsctl_protocol::Timestamp;
    use opsctl_protocol::message::{CommandSpec, Program};
    use proptest::prelude::*;

    use super::*;

    fn command(id: u8, state: State, created: u64, place: Option<u32>) -> CommandSummary {
        let line = if id.is_multiple_of(3) { "make" } else { "ls" };
        let spec = CommandSpec::new(Program::Shell(line.to_owned()));
        let agent = AgentId::new(format!("web-{}", id % 2)).expect("a name");
        CommandSummary {
            created_at: Timestamp(created),
            state,
            queue_position: place,
            ..CommandSummary::queued(CommandId([id; 16]), agent, &spec)
        }
    }

    proptest! {
        #[test]
        fn it_is_always_what_sorting_would_give(
            changes in prop::collection::vec((0..12_u8, 0..5_u8, 0..4_u64, prop::option::of(0..3_u32)), 0..60),
            filter in prop::sample::select(vec!["", "make", "state:running", "agent:web-1"]),
            at in 0..60_usize,
        ) {
            let mut listing = Listing::default();
            let mut known = BTreeMap::new();
            let mut filtered = "";
            for (number, (id, state, created, place)) in changes.into_iter().enumerate() {
                if number == at {
                    listing.narrow(filter, known.values());
                    filtered = filter;
                }
                let states = [State::Queued, State::Delivered, State::Running, State::Exited];
                if let Some(state) = states.get(usize::from(state)) {
                    let command = command(id, *state, created, place);
                    listing.set(&command);
                    known.insert(id, command);
                } else {
                    listing.remove(CommandId([id; 16]));
                    known.remove(&id);
                }
            }
            let fits = |command: &&CommandSummary| Filter::new(filtered).fits_command(command);
            let mut sorted: Vec<Place> = known.values().filter(fits).map(Place::of).collect();
            sorted.sort();
            let expected: Vec<CommandId> = sorted.iter().map(|place| place.command).collect();
            prop_assert_eq!(listing.ids().collect::<Vec<_>>(), expected);
            prop_assert_eq!(listing.len(), listing.counts.iter().sum::<usize>());
        }
    }
}
