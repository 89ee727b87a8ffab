//! Interrupts on their way to an agent: whoever asked for one hears that it has arrived, or that it may not have. A connection
//! that ends takes along what was on its way, and nothing says whether that was heard; so it is not sent again by itself.
//! Pure.

use std::collections::BTreeMap;

use opsctl_protocol::CommandId;
use opsctl_protocol::message::{CommandSummary, ErrorCode};

use super::ConnId;
use super::steer::Refusal;

/// Interrupts of one agent that may be under way; further ones are put off.
const UNDER_WAY: usize = 256;

/// What an interrupt's envelope has in front of its number.
const PREFIX: &str = "i";

/// Interrupts that one agent has not answered, at most [`UNDER_WAY`].
#[derive(Debug, Default)]
pub(super) struct Interrupts {
    waiting: BTreeMap<u64, Waiting>,
    /// The number of the next message to the agent.
    next: u64,
}

/// One that somebody asked for; it may mean several commands.
#[derive(Debug)]
struct Waiting {
    asker: Asker,
    /// The commands whose interrupts are not answered, by the numbers of their messages.
    unheard: BTreeMap<u64, CommandId>,
    /// Commands that had not started, and whose end is being made durable.
    withdraws: bool,
    outcome: Outcome,
}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asker {
    /// The connection.
    pub conn: ConnId,
    /// The `id` to answer.
    pub id: Option<String>,
}

/// What has become of an interrupt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Commands whose agent has it.
    pub heard: Vec<CommandId>,
    /// Commands that it has ended before they started.
    pub ended: Vec<CommandSummary>,
    /// Why it has not reached all.
    pub failed: Option<Refusal>,
}

impl Interrupts {
    /// Whether no more are taken now.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= UNDER_WAY
    }

    /// Takes note of an interrupt that goes out. Returns its number, and for each command the `id` of its message.
    pub(super) fn add(
        &mut self,
        asker: Asker,
        commands: &[CommandId],
        withdraws: bool,
    ) -> (u64, Vec<String>) {
        let number = self.next;
        self.next += commands.len() as u64;
        let unheard: BTreeMap<u64, CommandId> = (number..).zip(commands.iter().copied()).collect();
        let ids = unheard.keys().map(|key| format!("{PREFIX}{key}")).collect();
        let waiting = Waiting {
            asker,
            unheard,
            withdraws,
            outcome: Outcome::default(),
        };
        self.waiting.insert(number, waiting);
        (number, ids)
    }

    /// The agent has answered a message with this `id`. Returns what is to be told, once all is known.
    pub(super) fn answered(
        &mut self,
        re: &str,
        answer: Result<(), Refusal>,
    ) -> Option<(Asker, Outcome)> {
        let key: u64 = re.strip_prefix(PREFIX)?.parse().ok()?;
        let (number, waiting) = self.waiting.range_mut(..=key).next_back()?;
        let (number, command_id) = (*number, waiting.unheard.remove(&key)?);
        match answer {
            Ok(()) => waiting.outcome.heard.push(command_id),
            Err(refusal) => waiting.outcome.failed = Some(refusal),
        }
        self.take_if_known(number)
    }

    /// The store has answered for the commands of this interrupt that had not started.
    pub(super) fn withdrawn(
        &mut self,
        number: u64,
        answer: Result<Vec<CommandSummary>, Refusal>,
    ) -> Option<(Asker, Outcome)> {
        let waiting = self.waiting.get_mut(&number)?;
        waiting.withdraws = false;
        match answer {
            Ok(ended) => waiting.outcome.ended = ended,
            Err(refusal) => waiting.outcome.failed = Some(refusal),
        }
        self.take_if_known(number)
    }

    fn take_if_known(&mut self, number: u64) -> Option<(Asker, Outcome)> {
        let waiting = self.waiting.get(&number)?;
        if !waiting.unheard.is_empty() || waiting.withdraws {
            return None;
        }
        let Waiting { asker, outcome, .. } = self.waiting.remove(&number)?;
        Some((asker, outcome))
    }

    /// The connection has ended. Returns who waits for an answer over it; what only the store has not answered stays.
    pub(super) fn give_up(&mut self) -> Vec<Asker> {
        let lost = self
            .waiting
            .extract_if(.., |_, one| !one.unheard.is_empty());
        lost.map(|(_, one)| one.asker).collect()
    }
}

impl Outcome {
    /// Why it is no success. That one of several commands ended in the meantime is none.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        let is_empty = self.heard.is_empty() && self.ended.is_empty();
        let failed = self.failed.as_ref();
        failed.filter(|(code, _)| is_empty || *code != ErrorCode::Finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMANDS: [CommandId; 2] = [CommandId([1; 16]), CommandId([2; 16])];

    fn asker(conn: u64) -> Asker {
        Asker {
            conn: ConnId(conn),
            id: Some("1".to_owned()),
        }
    }

    fn refusal(code: ErrorCode) -> Refusal {
        (code, String::new())
    }

    #[test]
    fn each_asker_hears_when_all_of_his_commands_have_it() {
        let mut interrupts = Interrupts::default();
        let (_, first) = interrupts.add(asker(1), &COMMANDS, false);
        let (_, second) = interrupts.add(asker(2), &COMMANDS[..1], false);
        assert_eq!(interrupts.answered(&first[1], Ok(())), None);
        assert_eq!(interrupts.answered(&first[1], Ok(())), None, "said twice");
        assert_eq!(interrupts.answered("i9", Ok(())), None, "nobody's");
        assert_eq!(interrupts.answered("other", Ok(())), None);
        let (told, outcome) = interrupts.answered(&second[0], Ok(())).unwrap();
        assert_eq!((told, outcome.heard), (asker(2), vec![COMMANDS[0]]));
        let (told, outcome) = interrupts.answered(&first[0], Ok(())).unwrap();
        assert_eq!(told, asker(1));
        assert_eq!(outcome.heard, [COMMANDS[1], COMMANDS[0]]);
        assert_eq!(interrupts.give_up(), []);
    }

    #[test]
    fn what_a_connection_takes_along_is_told() {
        let mut interrupts = Interrupts::default();
        let (_, ids) = interrupts.add(asker(1), &COMMANDS, true);
        interrupts.answered(&ids[0], Ok(()));
        assert_eq!(interrupts.give_up(), [asker(1)]);
        assert_eq!(interrupts.answered(&ids[1], Ok(())), None);
    }

    #[test]
    fn commands_that_have_not_started_are_waited_for_too() {
        let mut interrupts = Interrupts::default();
        let (number, ids) = interrupts.add(asker(1), &COMMANDS[..1], true);
        assert_eq!(interrupts.answered(&ids[0], Ok(())), None);
        let full = Err(refusal(ErrorCode::StorageFailed));
        let (_, outcome) = interrupts.withdrawn(number, full).unwrap();
        assert_eq!(outcome.refusal().unwrap().0, ErrorCode::StorageFailed);
    }

    #[test]
    fn one_that_has_ended_meanwhile_is_an_error_only_where_it_is_all() {
        let mut interrupts = Interrupts::default();
        for commands in [&COMMANDS[..], &COMMANDS[..1]] {
            let (_, ids) = interrupts.add(asker(1), commands, false);
            let mut last = interrupts.answered(&ids[0], Err(refusal(ErrorCode::Finished)));
            for id in &ids[1..] {
                last = interrupts.answered(id, Ok(()));
            }
            let is_error = last.unwrap().1.refusal().is_some();
            assert_eq!(is_error, commands.len() == 1);
        }
    }
}
