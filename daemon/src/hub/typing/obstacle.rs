//! What stands in the way of a message.

use opsctl_protocol::message::{
    Activity, ActivitySource, Approval, CommandSummary, Obstacle, State, TerminalType,
};
use opsctl_protocol::{CommandId, Timestamp};

use super::super::Hub;
use super::super::command::Command;
use super::pace;

impl Hub {
    /// Why a message can't be typed now, unless it permits it.
    pub(super) fn obstacle(
        &self,
        command_id: CommandId,
        asked: &TerminalType,
    ) -> Option<(Obstacle, String)> {
        let Some(command) = self.commands.get(&command_id) else {
            return Some((Obstacle::Ended, "the program has ended".to_owned()));
        };
        let summary = &command.row.summary;
        if summary.state.is_final() {
            let why = format!("the program has ended ({})", summary.state);
            return Some((Obstacle::Ended, why));
        }
        let agent = self.agents.get(&summary.agent_id);
        if agent.is_none_or(|agent| agent.link.is_none()) {
            let why = format!("{} is not connected", summary.agent_id);
            return Some((Obstacle::Offline, why));
        }
        if summary.state != State::Running {
            return Some((Obstacle::Offline, "the program starts only".to_owned()));
        }
        if let Some(answer) = &asked.answer {
            return changed(summary.approval.as_ref(), &answer.seen);
        }
        if !asked.at_approval
            && let Some(why) = asks(summary)
        {
            return Some((Obstacle::Approval, why));
        }
        if !asked.while_working
            && is_known(summary)
            && matches!(summary.activity, Activity::Working | Activity::Starting)
        {
            return Some((Obstacle::Working, "it is working".to_owned()));
        }
        if !asked.over_draft {
            return self.draft(command).map(|why| (Obstacle::Draft, why));
        }
        None
    }

    /// What a message that waits for an idle program still waits for, and when that may be over without anything else that
    /// happens.
    pub(super) fn not_ready(
        &self,
        command_id: CommandId,
        asked: &TerminalType,
    ) -> Option<(String, Option<Timestamp>)> {
        let permitted = TerminalType {
            while_working: true,
            ..asked.clone()
        };
        if let Some((_, why)) = self.obstacle(command_id, &permitted) {
            return Some((why, None));
        }
        let command = self.commands.get(&command_id)?;
        let summary = &command.row.summary;
        if !is_known(summary) {
            let why = "it isn't known whether it is idle".to_owned();
            return Some((why, None));
        }
        let is_idle = match summary.activity {
            Activity::Idle | Activity::Done | Activity::Error => true,
            Activity::Blocked => asked.at_approval,
            Activity::Starting | Activity::Working | Activity::Unknown => false,
        };
        if !is_idle {
            return Some((format!("it is {}", summary.activity), None));
        }
        let typing = &command.typing;
        let at = pace::is_idle_at(typing.put_out, typing.ended);
        (self.now < at).then(|| ("it has just been busy".to_owned(), Some(at)))
    }

    /// What somebody has begun to type.
    fn draft(&self, command: &Command) -> Option<String> {
        let typing = &command.typing;
        if !typing.draft.is_open() {
            return None;
        }
        if typing.draft.is_doubtful() {
            let why = "somebody may have begun to type when the daemon was restarted; Enter or Ctrl-C there clears it";
            return Some(why.to_owned());
        }
        let count = typing.draft.count();
        Some(match &typing.typist {
            Some((who, at)) => {
                let seconds = self.now.0.saturating_sub(at.0) / 1000;
                format!(
                    "{who} has begun to type: about {count} characters, the last {seconds} s ago"
                )
            }
            None => format!(
                "somebody has begun to type: about {count} characters, before the daemon was restarted"
            ),
        })
    }
}

/// Whether what a program does is known by more than that it puts something out. A shell at its prompt is seen in its
/// process alone, and that is enough.
pub(super) fn is_known(summary: &CommandSummary) -> bool {
    match summary.activity_source {
        Some(ActivitySource::Process) => summary.activity == Activity::Idle,
        Some(_) => true,
        None => false,
    }
}

/// What a program waits for a person for, if it does.
pub(super) fn asks(summary: &CommandSummary) -> Option<String> {
    if let Some(approval) = &summary.approval {
        return Some(format!(
            "an approval prompt is open: {:?}",
            last_line(&approval.asked)
        ));
    }
    (summary.activity == Activity::Blocked).then(|| match &summary.activity_reason {
        Some(reason) => format!("it waits for a person: {reason}"),
        None => "it waits for a person".to_owned(),
    })
}

/// The line of a prompt that asks.
fn last_line(asked: &str) -> &str {
    let mut lines = asked.lines().rev();
    lines
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
        .trim()
}

/// Why an answer no longer fits.
fn changed(open: Option<&Approval>, seen: &Approval) -> Option<(Obstacle, String)> {
    match open {
        Some(open) if open == seen => None,
        Some(open) => Some((
            Obstacle::Changed,
            format!("another prompt is open: {:?}", last_line(&open.asked)),
        )),
        None => Some((Obstacle::Changed, "no approval prompt is open".to_owned())),
    }
}
