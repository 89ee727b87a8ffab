//! Messages that are typed into terminals: whole, once, one at a time, and what is said of them is so.
//!
//! - [`asked`]: what people ask for.
//! - [`others`]: what people type themselves, beside the messages.
//! - [`kept`]: a draft over a restart of the daemon.
//! - [`queue`]: what is said of messages that wait.
//! - [`recall`]: messages that can't be typed and may have been.
//! - [`stored`]: messages and the store.
//! - [`stage`]: the stages of a message, from one event to the next.
//! - [`turn`], [`sending`], [`submit`]: what is done in them: a message's turn comes, its text goes out, Enter follows.
//!
//! What decides there is pure:
//!
//! - [`obstacle`]: what stands in the way of a message.
//! - [`next`]: which one goes next, and which wait no longer.
//! - [`text`]: what of it is typed.
//! - [`pace`]: when something is typed.
//! - [`reaction`]: what shows that the program has taken it.
//! - [`restart`]: what a restart of the daemon means for it, and for a draft.
//! - [`draft`]: what somebody has begun to type.
//!
//! A message is on disk before anything of it is sent, and with it where it will stand in the terminal's input. After a
//! crash the agent says how much of the input has arrived, and so whether the message was typed.

mod asked;
mod draft;
mod kept;
mod next;
mod obstacle;
mod others;
mod pace;
mod queue;
mod reaction;
mod recall;
mod restart;
mod sending;
mod stage;
mod stored;
mod submit;
mod text;
mod turn;

use std::collections::VecDeque;
use std::time::Duration;

use opsctl_protocol::Timestamp;
use opsctl_protocol::message::CommandInput;

use super::ConnId;
use super::clock::earlier;
use crate::store::{DraftRow, MessageRow};
use draft::Draft;
pub(super) use recall::Recall;
use stage::Stage;

/// Messages that may wait for one terminal; further ones are put off.
const MAX_WAITING: usize = 64;

/// Messages that may wait in all; further ones are put off.
const MAX_MESSAGES: usize = 4096;

/// Connections that may wait for a word on the same message; further ones are put off.
const MAX_ASKING: usize = 64;

/// Pieces of input that may wait until a message has been typed; further ones are refused.
const MAX_HELD: usize = 1024;

/// What is typed into one terminal.
#[derive(Debug, Default)]
pub(super) struct Typing {
    /// What people have begun to type.
    draft: Draft,
    /// What the last run of the daemon knew of that, until the agent has said how much input there is.
    draft_before: Option<DraftRow>,
    /// When what is known of it was last written down.
    draft_kept: Timestamp,
    /// Who typed last, and when.
    typist: Option<(String, Timestamp)>,
    /// The messages that wait, by their keys, in the order in which they go; at most [`MAX_WAITING`].
    queue: VecDeque<String>,
    /// The message that is being typed.
    active: Option<String>,
    /// Input that waits until that one has been typed; at most [`MAX_HELD`] pieces.
    held: VecDeque<(ConnId, Option<String>, CommandInput)>,
    /// When the program last put something out.
    put_out: Timestamp,
    /// Since Enter was typed, the program has put out something other than the end of a line.
    reacted: bool,
    /// Since Enter was typed, somebody has typed something else.
    disturbed: bool,
    /// When the last message was done with.
    ended: Timestamp,
}

/// A message that waits or is being typed.
pub(super) struct Message {
    /// As it is, or will be, on disk.
    row: MessageRow,
    stage: Stage,
    /// Who waits for a word, with the `id` to answer; at most [`MAX_ASKING`].
    asked_by: Vec<(ConnId, Option<String>)>,
    /// The last run of the daemon has taken it: its agent gets the time to come back.
    is_restored: bool,
}

impl Typing {
    /// What the store knows of the draft.
    pub(super) fn restore(&mut self, draft: Option<DraftRow>) {
        self.draft_before = draft;
    }

    /// The host's clock was set back: what is waited for is as far ahead as before.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.put_out = earlier(self.put_out, by);
        self.ended = earlier(self.ended, by);
        self.draft_kept = earlier(self.draft_kept, by);
        if let Some((_, at)) = &mut self.typist {
            *at = earlier(*at, by);
        }
    }
}

impl Message {
    /// As [`Typing::set_back`].
    pub(super) fn set_back(&mut self, by: Duration) {
        match &mut self.stage {
            Stage::Text(at) | Stage::Settling(at) | Stage::Watching(_, at) => {
                *at = earlier(*at, by);
            }
            _ => {}
        }
    }
}
