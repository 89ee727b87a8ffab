//! What is in front in a terminal, as its agent tells: whose rules count, and whether a shell waits at its prompt.

use opsctl_protocol::message::{Activity, Foreground};
use opsctl_protocol::{AgentId, CommandId};

use super::super::Hub;
use super::{Doing, QUIET_AFTER_MS};
use crate::activity::front::{is_opsctl, is_prompt};

impl Hub {
    /// Something else is in front in a terminal, or an agent that has come back tells what is.
    pub(super) fn handle_foreground(
        &mut self,
        agent_id: &AgentId,
        command_id: CommandId,
        front: Foreground,
    ) {
        let now = self.now;
        let own = self.commands.get_mut(&command_id).filter(|command| {
            let summary = &command.row.summary;
            summary.agent_id == *agent_id && !summary.state.is_final() && summary.pty
        });
        let Some(command) = own else {
            return;
        };
        let doing = &mut command.doing;
        let was_prompt = doing.is_at_prompt();
        let before = doing.front.replace(front.bounded());
        if before == doing.front {
            return;
        }
        if doing.is_at_prompt() {
            doing.is_busy = false;
            doing.standing.shows(Activity::Idle, now);
            if std::mem::take(&mut doing.has_reported) {
                doing.standing.left();
            }
        } else if was_prompt {
            doing.is_busy = now.0 < doing.put_out.0 + QUIET_AFTER_MS;
            let shown = if doing.is_busy {
                Activity::Working
            } else {
                Activity::Unknown
            };
            doing.standing.shows(shown, now);
        }
        command.choose_rules(&self.options.rules, now);
        command.doing.is_untold |= command.show_doing();
        self.schedule_doing(command_id);
    }
}

impl Doing {
    /// Whether a shell that waits for a command is in front.
    pub(super) fn is_at_prompt(&self) -> bool {
        self.front.as_ref().is_some_and(is_prompt)
    }

    /// Whether it is what is in front that reports now, rather than the person who types `opsctl report` at a prompt.
    pub(super) fn is_front_speaking(&self) -> bool {
        self.front
            .as_ref()
            .is_some_and(|front| !is_prompt(front) && !is_opsctl(front))
    }
}
