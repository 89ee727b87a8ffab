//! A draft over a restart of the daemon. What is known of it stands with its command on disk, together with how much input
//! that takes in: where the agent has another amount of it after the restart, keys came that nobody has followed, and a
//! draft may be open.

use opsctl_protocol::{CommandId, Timestamp};

use super::super::Hub;
use super::super::command::Command;
use super::restart::{self, Stands};
use crate::store::DraftRow;

/// How long after a draft was written down it is again at the soonest. What is typed in between is in doubt after a crash,
/// which is on the safe side; a drain loses nothing.
const KEEP_EVERY_MS: u64 = 1000;

impl Hub {
    /// Has what is known of a terminal's draft written down, where it has opened or closed.
    pub(super) fn note_draft(&mut self, command_id: CommandId) {
        let Some(command) = self.commands.get(&command_id) else {
            return;
        };
        if is_behind(command.row.draft, command.draft()) {
            let at = Timestamp(command.typing.draft_kept.0 + KEEP_EVERY_MS);
            self.drafts_due.insert((at, command_id));
        }
    }

    /// The same at once, for what becomes of a message, which is written down too.
    pub(super) fn note_draft_now(&mut self, command_id: CommandId) {
        self.keep_draft(command_id);
        self.save_now(command_id);
    }

    /// Writes down what is due.
    pub(in super::super) fn keep_drafts(&mut self) {
        while let Some((at, command_id)) = self.drafts_due.first().copied()
            && at <= self.now
        {
            self.drafts_due.pop_first();
            self.keep_draft(command_id);
        }
    }

    /// Writes down what isn't due yet too: nothing follows.
    pub(in super::super) fn keep_all_drafts(&mut self) {
        for (_, command_id) in std::mem::take(&mut self.drafts_due) {
            self.keep_draft(command_id);
        }
    }

    fn keep_draft(&mut self, command_id: CommandId) {
        let now = self.now;
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        let known = command.draft();
        if is_behind(command.row.draft, known) {
            command.row.draft = Some(known);
            command.typing.draft_kept = now;
            self.mark_unsaved(command_id);
        }
    }

    /// An agent has said how much input a terminal has. The first time in this run of the daemon, whether a draft stands
    /// there follows from it.
    pub(in super::super) fn recall_draft(&mut self, command_id: CommandId) {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        let Some(before) = command.typing.draft_before.take() else {
            return;
        };
        let active = command.typing.active.as_ref();
        let under_way = active.and_then(|key| self.messages.get(key));
        let under_way = under_way.map(|message| &message.row);
        match restart::stands(before, under_way, command.keys.arrived()) {
            Stands::Known(count) => command.typing.draft.restore(count),
            Stands::InDoubt => command.typing.draft.doubt(),
        }
        self.note_draft(command_id);
    }
}

impl Command {
    /// What is known of the draft in its terminal. One that is in doubt is one.
    fn draft(&self) -> DraftRow {
        let draft = &self.typing.draft;
        DraftRow {
            count: draft.count().max(draft.is_open().into()),
            to: self.keys.next(),
        }
    }
}

/// Whether the store must be told: a draft has opened or closed, or more came after which there is none. One that only grows
/// is in doubt after a crash, and open all the same.
fn is_behind(kept: Option<DraftRow>, known: DraftRow) -> bool {
    kept.is_none_or(|kept| {
        let was_open = kept.count > 0;
        let is_open = known.count > 0;
        was_open != is_open || (!is_open && kept.to != known.to)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_or_closes_a_draft_is_written_down() {
        let row = |count, to| DraftRow { count, to };
        assert!(is_behind(None, row(0, 0)));
        assert!(is_behind(Some(row(0, 5)), row(1, 6)));
        assert!(is_behind(Some(row(1, 5)), row(0, 6)));
        assert!(is_behind(Some(row(0, 5)), row(0, 6)));
        assert!(!is_behind(Some(row(0, 5)), row(0, 5)));
        assert!(!is_behind(Some(row(1, 5)), row(2, 6)));
    }
}
