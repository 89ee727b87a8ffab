//! The stages of a message, from one event to the next. [`Hub::type_on`] looks at how things stand and does what is due; it
//! may be called at any time.

use bytes::Bytes;
use opsctl_protocol::message::{
    Activity, CommandInput, Evidence, Obstacle, Payload, TerminalType, TypedState,
};
use opsctl_protocol::{Channel, CommandId, Timestamp};
use std::sync::Arc;

use super::super::event::Probe;
use super::super::keys::{Added, Typist};
use super::super::{ConnId, Effect, Hub};
use super::obstacle::{asks, is_known};
use super::text;
use crate::store::Sent;

/// How long a terminal must be still before anything is typed: programs take an Enter that comes with the text for a part of
/// it, and what a screen asks is known only once it has been looked at.
const STILL_MS: u64 = 300;

/// How long a message that doesn't wait for an idle program waits for a still terminal at most.
const BEGIN_AFTER_MS: u64 = 1000;

/// How long the first echo of a text is waited for; many a program shows none.
const ECHO_MS: u64 = 500;

/// How long after a text Enter is typed at the latest, where the terminal is never still.
const ENTER_AFTER_MS: u64 = 2000;

/// How long after Enter the program's reaction is waited for.
const REACT_MS: u64 = 2000;

/// No dashboard's connection: whose the keys of messages are.
const NOBODY: ConnId = ConnId(u64::MAX);

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is refused, unless the store knows that it is the repetition of another.
    Recalling,
    /// It is being written down for the first time.
    Journaling,
    /// It is in its terminal's queue.
    Waiting,
    /// It is being found out whether its program takes a paste.
    Looking,
    /// It is being written down where it will stand.
    Placing,
    /// The store still has a place for it, and is told that it waits again.
    Returning,
    /// The last run of the daemon may have sent it.
    Resuming,
    /// Its text was sent at this time.
    Text(Timestamp),
    /// Its text was sent at this time, and is there.
    Settling(Timestamp),
    /// Enter was sent.
    Enter(Reaction),
    /// All of it is there. Its reaction is waited for until this time.
    Watching(Reaction, Timestamp),
    /// Nothing more will become of it, which is being written down.
    Ending,
}

impl Stage {
    /// Whether nothing else may be typed.
    pub(super) fn excludes(&self) -> bool {
        matches!(
            self,
            Self::Placing
                | Self::Returning
                | Self::Resuming
                | Self::Text(_)
                | Self::Settling(_)
                | Self::Ending
        )
    }
}

/// What counts as a reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reaction {
    /// The terminal was still before, so that output is one.
    was_still: bool,
    /// The program was known to work before.
    was_working: bool,
}

impl Hub {
    /// Does what is due for a terminal's messages.
    pub(in super::super) fn type_on(&mut self, command_id: CommandId) {
        if self.messages.is_empty() {
            return;
        }
        // Each step takes a message to its next stage, of which there are few.
        while self.type_step(command_id) {}
    }

    /// The same for all terminals, at a time.
    pub(in super::super) fn type_everywhere(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        while self
            .typing_due
            .first()
            .is_some_and(|(at, _)| *at <= self.now)
        {
            self.typing_due.pop_first();
        }
        let mut terminals: Vec<CommandId> = self
            .messages
            .values()
            .map(|message| message.row.typed.command_id)
            .collect();
        terminals.sort_unstable();
        terminals.dedup();
        for command_id in terminals {
            self.type_on(command_id);
        }
    }

    /// A program has put something out.
    pub(in super::super) fn note_echo(&mut self, command_id: CommandId, data: &[u8]) {
        let now = self.now;
        if let Some(command) = self.commands.get_mut(&command_id) {
            command.typing.put_out = now;
            // A terminal echoes the end of a line by itself, whether anybody reads or not.
            command.typing.reacted |= data.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
        }
        self.type_on(command_id);
    }

    /// One step; returns whether there may be another.
    fn type_step(&mut self, command_id: CommandId) -> bool {
        let Some(command) = self.commands.get(&command_id) else {
            return self.end_orphans(command_id);
        };
        let Some(key) = command.typing.active.clone() else {
            return self.begin_next(command_id);
        };
        let Some(stage) = self.messages.get(&key).map(|message| message.stage.clone()) else {
            return false;
        };
        if command.row.summary.state.is_final() {
            return self.end_with_program(&key, &stage);
        }
        match stage {
            Stage::Resuming => self.resume(command_id, &key),
            Stage::Text(at) => self.text_arrives(command_id, &key, at),
            Stage::Settling(at) => self.enter(command_id, &key, at),
            Stage::Enter(reaction) => self.enter_arrives(command_id, &key, reaction),
            Stage::Watching(reaction, until) => {
                self.reaction_comes(command_id, &key, reaction, until)
            }
            Stage::Recalling
            | Stage::Journaling
            | Stage::Waiting
            | Stage::Looking
            | Stage::Placing
            | Stage::Returning
            | Stage::Ending => false,
        }
    }

    /// Messages for a command that ended while the daemon was away.
    fn end_orphans(&mut self, command_id: CommandId) -> bool {
        let open = self.messages.iter().filter(|(_, message)| {
            message.row.typed.command_id == command_id
                && !matches!(message.stage, Stage::Ending | Stage::Recalling)
        });
        let keys: Vec<(String, bool)> = open
            .map(|(key, message)| (key.clone(), message.row.sent.is_some()))
            .collect();
        for (key, was_sent) in keys {
            let why = if was_sent {
                "the program has ended; whether it was typed isn't known"
            } else {
                "the program has ended"
            };
            self.end_message(&key, TypedState::Refused, Some(Obstacle::Ended), why);
        }
        false
    }

    /// The program has ended, with a message on its way to it.
    fn end_with_program(&mut self, key: &str, stage: &Stage) -> bool {
        let (outcome, why) = match stage {
            Stage::Looking => (TypedState::Refused, "the program has ended"),
            Stage::Resuming | Stage::Text(_) => (
                TypedState::Refused,
                "the program has ended; the text may have been typed before",
            ),
            Stage::Settling(_) => (TypedState::Typed, "the program ended before Enter"),
            Stage::Enter(_) | Stage::Watching(..) => {
                (TypedState::Typed, "the program has ended since")
            }
            _ => return false,
        };
        let refused = (outcome == TypedState::Refused).then_some(Obstacle::Ended);
        self.end_message(key, outcome, refused, why);
        false
    }

    /// The next message of a terminal at which none is being typed.
    fn begin_next(&mut self, command_id: CommandId) -> bool {
        let Some(command) = self.commands.get(&command_id) else {
            return false;
        };
        let ended = command.row.summary.state.is_final();
        let keys: Vec<String> = command.typing.queue.iter().cloned().collect();
        for key in &keys {
            let Some(message) = self.messages.get(key) else {
                continue;
            };
            let expires = message.row.typed.expires_at;
            if ended {
                let why = "the program has ended";
                self.end_message(key, TypedState::Refused, Some(Obstacle::Ended), why);
            } else if expires.is_some_and(|at| at <= self.now) {
                let why = "it waited longer than its time to live";
                self.end_message(key, TypedState::Expired, None, why);
            } else if let Some(at) = expires {
                self.typing_due.insert((at, command_id));
            }
        }
        let asked = |hub: &Self, key: &String| {
            let message = hub.messages.get(key)?;
            let (row, is_restored) = (&message.row, message.is_restored);
            (message.stage == Stage::Waiting).then(|| {
                (
                    key.clone(),
                    row.asked.clone(),
                    is_restored,
                    row.typed.created_at.0,
                )
            })
        };
        let waiting: Vec<_> = keys.iter().filter_map(|key| asked(self, key)).collect();
        let at_once = waiting.iter().find(|(_, asked, ..)| !asked.when_idle);
        let Some((key, asked, is_restored, since)) = at_once.or(waiting.first()) else {
            return false;
        };
        let still_at = self
            .commands
            .get(&command_id)
            .map_or(0, |command| command.typing.put_out.0 + STILL_MS);
        if asked.when_idle {
            if let Some((_, at)) = self.not_ready(command_id, asked) {
                self.typing_due.extend(at.map(|at| (at, command_id)));
                return false;
            }
        } else if self.now.0 < still_at.min(*since + BEGIN_AFTER_MS) {
            let due = Timestamp(still_at.min(*since + BEGIN_AFTER_MS));
            self.typing_due.insert((due, command_id));
            return false;
        } else if let Some((obstacle, why)) = self.obstacle(command_id, asked) {
            if !(*is_restored && obstacle == Obstacle::Offline) {
                self.end_message(key, TypedState::Refused, Some(obstacle), why);
            }
            return false;
        }
        self.begin(command_id, key, asked);
        true
    }

    /// A message's turn has come.
    fn begin(&mut self, command_id: CommandId, key: &str, asked: &TerminalType) {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        command.typing.queue.retain(|waiting| waiting != key);
        command.typing.active = Some(key.to_owned());
        let (agent_id, end) = (command.row.summary.agent_id.clone(), command.end);
        if let Some(answer) = &asked.answer {
            let data = answer.keys().as_bytes().to_vec();
            return self.place(command_id, key, data);
        }
        let clean = text::clean(asked.text.as_deref().unwrap_or_default());
        if !text::needs_paste(&clean) {
            return self.place(command_id, key, clean.into_bytes());
        }
        let Some(channel) = self.channels.get(&Channel::Command(command_id)) else {
            return;
        };
        self.effects.push(Effect::Probe(Box::new(Probe {
            key: key.to_owned(),
            agent_id,
            command_id,
            stream: Arc::clone(&channel.stream),
            end,
        })));
        if let Some(message) = self.messages.get_mut(key) {
            message.stage = Stage::Looking;
        }
    }

    /// It is known whether the program takes a paste.
    pub(in super::super) fn handle_probed(&mut self, key: &str, takes_paste: bool) {
        let Some(message) = self.messages.get(key) else {
            return;
        };
        if message.stage != Stage::Looking {
            return;
        }
        let (asked, command_id) = (&message.row.asked, message.row.typed.command_id);
        if !takes_paste && !asked.lines {
            let why = "the program takes no paste, and each line would be a message of its own";
            return self.end_message(key, TypedState::Refused, Some(Obstacle::Lines), why);
        }
        let clean = text::clean(asked.text.as_deref().unwrap_or_default());
        self.place(command_id, key, text::bytes(&clean, takes_paste));
    }

    /// Writes down where a message will stand. Nothing else is typed from here on.
    fn place(&mut self, command_id: CommandId, key: &str, data: Vec<u8>) {
        let Some(command) = self.commands.get(&command_id) else {
            return;
        };
        if !command.keys.counts() {
            let why = "its agent doesn't say what its terminals have been given";
            return self.end_message(key, TypedState::Refused, Some(Obstacle::Unconfirmed), why);
        }
        let from = command.keys.next();
        let Some(message) = self.messages.get_mut(key) else {
            return;
        };
        message.stage = Stage::Placing;
        message.row.sent = Some(Sent { from, data });
        let row = Box::new(message.row.clone());
        self.effects.push(Effect::Message(row, false));
    }

    /// The store has what a message has come to.
    pub(super) fn message_saved(&mut self, key: &str) {
        let Some(message) = self.messages.get_mut(key) else {
            return;
        };
        let command_id = message.row.typed.command_id;
        match message.stage {
            Stage::Placing => self.send_placed(command_id, key),
            Stage::Returning => {
                message.stage = Stage::Waiting;
                if let Some(command) = self.commands.get_mut(&command_id) {
                    command.typing.active = None;
                    command.typing.queue.push_front(key.to_owned());
                }
                self.let_go(command_id);
                self.type_on(command_id);
                self.tell_queued(key);
            }
            Stage::Ending => self.tell_end(key),
            _ => {}
        }
    }

    /// A message's place is on disk: it is sent, unless something has come in its way meanwhile.
    fn send_placed(&mut self, command_id: CommandId, key: &str) {
        let Some(message) = self.messages.get(key) else {
            return;
        };
        let asked = message.row.asked.clone();
        let Some(sent) = message.row.sent.clone() else {
            return;
        };
        if asked.when_idle {
            if self.not_ready(command_id, &asked).is_some() {
                return self.give_back(key);
            }
        } else if let Some((obstacle, why)) = self.obstacle(command_id, &asked) {
            return self.end_message(key, TypedState::Refused, Some(obstacle), why);
        }
        let place = self
            .commands
            .get(&command_id)
            .map(|command| command.keys.next());
        if place != Some(sent.from) {
            return self.place(command_id, key, sent.data);
        }
        if !sent.data.is_empty() && !self.send_keys(command_id, &sent.data) {
            if asked.when_idle {
                return self.give_back(key);
            }
            let why = "its agent takes no more input now";
            return self.end_message(key, TypedState::Refused, Some(Obstacle::Offline), why);
        }
        self.text_sent(command_id, key, &asked, &sent.data);
    }

    /// A message's text is on its way.
    fn text_sent(&mut self, command_id: CommandId, key: &str, asked: &TerminalType, data: &[u8]) {
        let now = self.now;
        if let Some(command) = self.commands.get_mut(&command_id)
            && asked.answer.is_none()
        {
            let who = self.messages.get(key);
            command.typing.typist = who.map(|who| (who.row.typed.requested_by.clone(), now));
            command.typing.draft.typed(data);
        }
        if asked.answer.is_some() {
            self.forget_reactions(command_id);
        }
        if let Some(message) = self.messages.get_mut(key) {
            message.stage = Stage::Text(now);
        }
        self.type_on(command_id);
    }

    /// A message that was about to be typed waits again.
    fn give_back(&mut self, key: &str) {
        if let Some(message) = self.messages.get_mut(key) {
            message.stage = Stage::Returning;
            message.row.sent = None;
            let row = Box::new(message.row.clone());
            self.effects.push(Effect::Message(row, false));
        }
    }

    /// Sends keys of a message; `false` when they were not taken.
    fn send_keys(&mut self, command_id: CommandId, data: &[u8]) -> bool {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return false;
        };
        let link = self
            .agents
            .get(&command.row.summary.agent_id)
            .and_then(|agent| agent.link.as_ref());
        let Some(link) = link.filter(|_| command.keys.counts()) else {
            return false;
        };
        let input = CommandInput {
            command_id,
            data: Payload(Bytes::copy_from_slice(data)),
            offset: None,
            eof: false,
        };
        let typist = Typist {
            conn: NOBODY,
            id: None,
        };
        let Added::Numbered(numbered) = command.keys.add(input, typist) else {
            return false;
        };
        let sent = link.port.input(&numbered);
        if !sent {
            command.keys.take_back();
        }
        sent
    }

    /// After a restart: the agent has said how much of the input it has.
    fn resume(&mut self, command_id: CommandId, key: &str) -> bool {
        let (Some(command), Some(message)) =
            (self.commands.get(&command_id), self.messages.get(key))
        else {
            return false;
        };
        let Some(sent) = message.row.sent.clone().filter(|_| command.keys.counts()) else {
            return false;
        };
        let (arrived, asked) = (command.keys.arrived(), message.row.asked.clone());
        if arrived > sent.end() {
            // Only Enter can stand behind the text: nothing else is typed before it.
            let why = "the daemon was restarted meanwhile";
            self.end_message(key, TypedState::Typed, None, why);
            return false;
        }
        if arrived < sent.from {
            let why = "its agent has lost count; whether it was typed isn't known";
            self.end_message(key, TypedState::Refused, Some(Obstacle::Unconfirmed), why);
            return false;
        }
        if arrived == sent.from && !sent.data.is_empty() {
            // Nothing was typed: it goes the same way once more.
            if let Some(message) = self.messages.get_mut(key) {
                message.stage = Stage::Placing;
            }
            self.send_placed(command_id, key);
            return false;
        }
        let rest = &sent.data[(arrived - sent.from) as usize..];
        if rest.is_empty() || self.send_keys(command_id, rest) {
            self.text_sent(command_id, key, &asked, &sent.data);
        }
        false
    }

    /// Whether all of the text is there.
    fn text_arrives(&mut self, command_id: CommandId, key: &str, at: Timestamp) -> bool {
        let (Some(command), Some(message)) =
            (self.commands.get(&command_id), self.messages.get_mut(key))
        else {
            return false;
        };
        let until = message.row.sent.as_ref().map_or(0, Sent::end);
        if command.keys.next() < until {
            let why = "its terminal took no more input; a part may have been typed";
            self.end_message(key, TypedState::Refused, Some(Obstacle::Offline), why);
            return false;
        }
        if command.keys.arrived() < until {
            return false;
        }
        if message.row.asked.answer.is_some() {
            let reaction = reaction(&command.row.summary, true);
            message.stage = Stage::Watching(reaction, Timestamp(self.now.0 + REACT_MS));
        } else if message.row.asked.submit {
            message.stage = Stage::Settling(at);
        } else {
            self.end_message(key, TypedState::Typed, None, "");
            return false;
        }
        true
    }

    /// Types Enter, once the terminal is still.
    fn enter(&mut self, command_id: CommandId, key: &str, at: Timestamp) -> bool {
        let Some(command) = self.commands.get(&command_id) else {
            return false;
        };
        let echoed = command.typing.put_out > at;
        let still_at = if echoed {
            command.typing.put_out.0 + STILL_MS
        } else {
            at.0 + ECHO_MS
        };
        let last = at.0 + ENTER_AFTER_MS;
        if self.now.0 < still_at.min(last) {
            let due = Timestamp(still_at.min(last));
            self.typing_due.insert((due, command_id));
            return false;
        }
        let asked = self.messages.get(key).map(|message| &message.row.asked);
        if asked.is_some_and(|asked| !asked.at_approval)
            && let Some(why) = asks(&command.row.summary)
        {
            let why = format!("Enter was withheld: {why}");
            self.end_message(key, TypedState::Typed, None, why);
            return false;
        }
        let reaction = reaction(&command.row.summary, self.now.0 >= still_at);
        self.forget_reactions(command_id);
        if !self.send_keys(command_id, b"\r") {
            // Its agent is away, and will be back.
            return false;
        }
        if let Some(message) = self.messages.get_mut(key) {
            message.stage = Stage::Enter(reaction);
        }
        if let Some(command) = self.commands.get_mut(&command_id) {
            command.typing.draft.clear();
        }
        self.let_go(command_id);
        true
    }

    fn forget_reactions(&mut self, command_id: CommandId) {
        if let Some(command) = self.commands.get_mut(&command_id) {
            command.typing.reacted = false;
            command.typing.disturbed = false;
        }
    }

    /// Whether Enter is there.
    fn enter_arrives(&mut self, command_id: CommandId, key: &str, reaction: Reaction) -> bool {
        let (Some(command), Some(message)) =
            (self.commands.get(&command_id), self.messages.get_mut(key))
        else {
            return false;
        };
        let until = message.row.sent.as_ref().map_or(0, Sent::end) + 1;
        if command.keys.next() < until {
            let why = "its terminal took no more input: Enter was not typed";
            self.end_message(key, TypedState::Typed, None, why);
            return false;
        }
        if command.keys.arrived() < until {
            return false;
        }
        message.stage = Stage::Watching(reaction, Timestamp(self.now.0 + REACT_MS));
        true
    }

    /// Whether the program has reacted.
    fn reaction_comes(
        &mut self,
        command_id: CommandId,
        key: &str,
        reaction: Reaction,
        until: Timestamp,
    ) -> bool {
        let (Some(command), Some(message)) =
            (self.commands.get(&command_id), self.messages.get_mut(key))
        else {
            return false;
        };
        let (summary, typing) = (&command.row.summary, &command.typing);
        let works = is_known(summary) && summary.activity == Activity::Working;
        let evidence = match &message.row.asked.answer {
            Some(answer) => {
                (summary.approval.as_ref() != Some(&answer.seen)).then_some(Evidence::Answered)
            }
            None if reaction.was_still && typing.reacted && !typing.disturbed => {
                Some(Evidence::Output)
            }
            None => (works && !reaction.was_working).then_some(Evidence::Working),
        };
        if evidence.is_some() {
            message.row.typed.evidence = evidence;
            self.end_message(key, TypedState::Submitted, None, "");
        } else if self.now >= until {
            let why = "the program has shown no reaction";
            self.end_message(key, TypedState::Typed, None, why);
        } else {
            self.typing_due.insert((until, command_id));
        }
        false
    }
}

/// What will count as a reaction of a program that stands so.
fn reaction(summary: &opsctl_protocol::message::CommandSummary, was_still: bool) -> Reaction {
    Reaction {
        was_still,
        was_working: is_known(summary) && summary.activity == Activity::Working,
    }
}
