//! Messages for which there is no terminal: one that was typed before gets the word on it all the same, also when its program
//! has ended since. So the store is asked for its key before it is refused.

use opsctl_protocol::message::{ErrorCode, TerminalType};

use super::super::request::key_reused;
use super::super::steer::Refusal;
use super::super::{ConnId, Effect, Hub, Written};
use super::{MAX_ASKING, MAX_MESSAGES};

/// A message that the store is asked for.
#[derive(Debug)]
pub(in crate::hub) struct Recall {
    asked: TerminalType,
    /// Why it is refused when the store doesn't know it.
    refusal: Refusal,
    /// Who waits for a word, with the `id` to answer; at most [`MAX_ASKING`].
    asked_by: Vec<(ConnId, Option<String>)>,
}

impl Hub {
    /// Asks the store for a message that cannot be typed. At most [`MAX_MESSAGES`] are asked for at once; further ones are
    /// put off.
    pub(super) fn recall(
        &mut self,
        conn: ConnId,
        id: Option<String>,
        asked: TerminalType,
        refusal: Refusal,
    ) {
        if self.recalls.len() >= MAX_MESSAGES {
            let why = format!("{MAX_MESSAGES} messages are looked for");
            return self.postpone(conn, id, &why);
        }
        self.effects.push(Effect::Recall(asked.key.clone()));
        let recall = Recall {
            refusal,
            asked_by: vec![(conn, id)],
            asked,
        };
        self.recalls.insert(recall.asked.key.clone(), recall);
    }

    /// The same key once more, before the store has answered.
    pub(super) fn recall_again(&mut self, conn: ConnId, id: Option<String>, asked: &TerminalType) {
        let Some(known) = self.recalls.get_mut(&asked.key) else {
            return;
        };
        if known.asked != *asked {
            return self.refuse(conn, id, ErrorCode::KeyReused, key_reused(&asked.key));
        }
        if known.asked_by.len() >= MAX_ASKING {
            let why = format!("{MAX_ASKING} connections ask for this message");
            return self.postpone(conn, id, &why);
        }
        known.asked_by.push((conn, id));
    }

    /// The store has answered.
    pub(super) fn recalled(&self, recall: Recall, written: Written) {
        let (code, why) = recall.refusal;
        let (code, why) = match written {
            Written::Known(row) if row.asked == recall.asked => {
                for (conn, id) in recall.asked_by {
                    self.answer(conn, id, row.typed.clone());
                }
                return;
            }
            Written::Known(row) => (ErrorCode::KeyReused, key_reused(&row.asked.key)),
            Written::Done => (code, why),
            Written::Failed(why) => {
                let why = format!("nothing was typed: {why}");
                (ErrorCode::StorageFailed, why)
            }
        };
        for (conn, id) in recall.asked_by {
            self.refuse(conn, id, code, why.clone());
        }
    }
}
