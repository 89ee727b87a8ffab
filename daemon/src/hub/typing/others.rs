//! What people type themselves, beside the messages: it waits while one is being typed, and is followed as a draft.

use opsctl_protocol::CommandId;
use opsctl_protocol::message::{Activity, CommandInput, ErrorCode};

use super::super::{ConnId, Hub};
use super::MAX_HELD;
use super::stage::Stage;

impl Hub {
    /// Whether input has to wait until a message has been typed; then it does, or is refused.
    pub(in super::super) fn holds(
        &mut self,
        conn: ConnId,
        id: Option<&String>,
        input: &CommandInput,
    ) -> bool {
        let command_id = input.command_id;
        let Some(command) = self.commands.get_mut(&command_id) else {
            return false;
        };
        let typing = &mut command.typing;
        let stage = typing
            .active
            .as_ref()
            .and_then(|key| self.messages.get(key))
            .map(|message| &message.stage);
        if !stage.is_some_and(Stage::excludes) {
            typing.disturbed |= !input.data.0.is_empty();
            return false;
        }
        if typing.held.len() < MAX_HELD {
            typing.held.push_back((conn, id.cloned(), input.clone()));
        } else {
            let why = "a message is being typed; what came last was not sent";
            self.refuse_input(
                conn,
                id.cloned(),
                input,
                (ErrorCode::InputRejected, why.to_owned()),
            );
        }
        true
    }

    /// Passes on what has waited for a message.
    pub(super) fn let_go(&mut self, command_id: CommandId) {
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        for (conn, id, input) in std::mem::take(&mut command.typing.held) {
            self.handle_input(conn, id, &input);
        }
    }

    /// Somebody has typed something, and it is on its way.
    pub(in super::super) fn note_keys(&mut self, conn: ConnId, input: &CommandInput) {
        let subject = self
            .dashboards
            .get(&conn)
            .map(|dashboard| dashboard.rights.subject.clone());
        let now = self.now;
        if let Some(command) = self.commands.get_mut(&input.command_id)
            && command.is_terminal()
            && !input.data.0.is_empty()
        {
            let summary = &command.row.summary;
            // What answers a question is no draft.
            if summary.approval.is_none() && summary.activity != Activity::Blocked {
                command.typing.draft.typed(&input.data.0);
            }
            command.typing.typist = subject.map(|subject| (subject, now));
            self.note_draft(input.command_id);
        }
    }
}
