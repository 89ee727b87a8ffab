//! Keys on their way to the process that holds a command's program. The daemon numbers them, keeps them until the agent says
//! that they are there, and sends them again where they were lost with its connection. The holder skips what it has, so
//! that none is typed twice. Pure.

use std::collections::VecDeque;

use opsctl_protocol::limits::INPUT_WINDOW;
use opsctl_protocol::message::{CommandInput, Payload};

use super::ConnId;

/// Pieces of one command's keys that may be under way; a person types one a time.
const PIECES: usize = 4096;

/// Somebody who typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typist {
    /// The connection.
    pub conn: ConnId,
    /// The `id` to answer, where an answer is wanted.
    pub id: Option<String>,
}

/// What becomes of keys that are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Added {
    /// They are kept, and go out like this.
    Numbered(CommandInput),
    /// The agent doesn't tell what it has: they go out as they are, and nothing is known of them.
    Unknown,
    /// No more is taken now.
    Full,
}

/// Why bulk is not passed on to an agent that counts what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeptOut {
    /// The agent has not said yet what it has, since it came back or refused some.
    #[error("its agent has not found it again yet")]
    Unheard,
    /// Bytes before it went with a connection, or were refused.
    #[error("input at {expected} was expected")]
    Hole {
        /// Where it would follow.
        expected: u64,
    },
}

/// What is known of the agent's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// The agent has not told yet how much input it has; it may be one that never does.
    Never,
    /// It has, over another connection.
    Before,
    /// It has, over this one.
    Now,
}

/// Keys that are not known to have arrived.
#[derive(Debug)]
struct Waiting {
    /// With their offset.
    input: CommandInput,
    /// Whose they are.
    typist: Typist,
}

impl Waiting {
    fn end(&self) -> u64 {
        self.input.offset.unwrap_or_default() + self.input.data.0.len() as u64
    }
}

/// One command's keys: at most [`PIECES`] wait, and [`INPUT_WINDOW`] bytes; more are refused.
#[derive(Debug)]
pub(super) struct Keys {
    /// Oldest first.
    waiting: VecDeque<Waiting>,
    /// The offset of the next input byte.
    next: u64,
    /// Bytes of input that the agent is known to have.
    received: u64,
    known: Known,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            next: 0,
            received: 0,
            known: Known::Never,
        }
    }

    /// Takes keys and gives them their place in the input.
    pub(super) fn add(&mut self, mut input: CommandInput, typist: Typist) -> Added {
        let end = self.next + input.data.0.len() as u64;
        match self.known {
            Known::Never => return Added::Unknown,
            Known::Before => return Added::Full,
            Known::Now if self.is_full() || end > self.received + INPUT_WINDOW => {
                return Added::Full;
            }
            Known::Now => {}
        }
        input.offset = Some(self.next);
        self.next = end;
        self.waiting.push_back(Waiting {
            input: input.clone(),
            typist,
        });
        Added::Numbered(input)
    }

    /// Takes back what was added last: it could not be sent.
    pub(super) fn take_back(&mut self) {
        if let Some(last) = self.waiting.pop_back() {
            self.next = last.input.offset.unwrap_or_default();
        }
    }

    /// Why bulk cannot go to the agent now: it would refuse it, piece by piece.
    pub(super) fn keeps_out(&self, input: &CommandInput) -> Option<KeptOut> {
        match self.known {
            Known::Never => None,
            Known::Before => Some(KeptOut::Unheard),
            Known::Now => {
                input
                    .offset
                    .filter(|offset| *offset > self.next)
                    .map(|_| KeptOut::Hole {
                        expected: self.next,
                    })
            }
        }
    }

    /// Input passes that is not kept here; keys that follow stand behind it.
    pub(super) fn passed(&mut self, input: &CommandInput) {
        let from = input.offset.unwrap_or(self.next);
        self.next = self.next.max(from + input.data.0.len() as u64);
    }

    /// Whether the agent tells what it has, over the connection that there is.
    pub(super) fn counts(&self) -> bool {
        self.known == Known::Now
    }

    /// The offset of the next input byte.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes of input that the agent is known to have.
    pub(super) fn arrived(&self) -> u64 {
        self.received
    }

    /// Whether the agent ever told what it has: of its keys it is known whether they came.
    pub(super) fn are_counted(&self) -> bool {
        self.known != Known::Never
    }

    /// Whether keys of this connection are under way of which nobody has asked yet.
    pub(super) fn has_unasked(&self, conn: ConnId) -> bool {
        let own = |typist: &&Typist| typist.conn == conn;
        let mut typists = self.waiting.iter().rev().map(|waiting| &waiting.typist);
        typists.find(own).is_some_and(|last| last.id.is_none())
    }

    /// Whether no more pieces are taken.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= PIECES
    }

    /// Somebody asks whether his keys are there. `false` when none of them is under way; else he is told later.
    pub(super) fn ask(&mut self, typist: Typist) -> bool {
        let own = |waiting: &&mut Waiting| waiting.typist.conn == typist.conn;
        let Some(last) = self.waiting.iter_mut().rev().find(own) else {
            return false;
        };
        if last.typist.id.is_none() {
            last.typist = typist;
            return true;
        }
        // Another question about the same keys stands behind them, without bytes of its own.
        let input = CommandInput {
            command_id: last.input.command_id,
            data: Payload::default(),
            offset: Some(self.next),
            eof: false,
        };
        self.waiting.push_back(Waiting { input, typist });
        true
    }

    /// The agent has another connection: what it has is to be heard from it, where it ever tells.
    pub(super) fn lose_track(&mut self) {
        if self.known == Known::Now {
            self.known = Known::Before;
        }
    }

    /// The agent took something not, and will tell what it has when it takes some again.
    pub(super) fn refused_for_now(&mut self) {
        self.known = Known::Before;
    }

    /// The agent has so many bytes of input. Returns whose keys are there now, and what is to be sent once more.
    pub(super) fn received(&mut self, received: u64) -> (Vec<Typist>, Vec<CommandInput>) {
        let was_known = std::mem::replace(&mut self.known, Known::Now) == Known::Now;
        let mut there = Vec::new();
        while let Some(first) = self.waiting.front()
            && first.end() <= received
        {
            there.extend(self.waiting.pop_front().map(|waiting| waiting.typist));
        }
        self.received = if was_known {
            self.received.max(received)
        } else {
            received
        };
        match self.waiting.back() {
            Some(last) => self.next = self.next.max(last.end()),
            None if was_known => self.next = self.next.max(received),
            None => self.next = received,
        }
        let again = self.waiting.iter().map(|waiting| waiting.input.clone());
        let again = again.filter(|input| !was_known && !input.data.0.is_empty());
        (there, again.collect())
    }

    /// The agent took nothing beyond this, and all that was sent has reached it. Returns whose keys are lost.
    pub(super) fn refused(&mut self, received: u64) -> Vec<Typist> {
        self.known = Known::Now;
        self.received = received;
        self.next = received;
        self.give_up()
    }

    /// No more input is taken. Returns whose keys are not known to have arrived.
    pub(super) fn give_up(&mut self) -> Vec<Typist> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().map(|waiting| waiting.typist).collect()
    }
}

#[cfg(test)]
mod tests;
