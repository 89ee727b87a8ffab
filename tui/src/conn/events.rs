//! What comes from the daemon, as the reducer takes it.

use std::time::Instant;

use opsctl_client::{ConnState, Event};
use opsctl_protocol::message::{ErrorCode, ErrorPayload, ToDashboard};
use opsctl_protocol::{AgentId, Channel, Timestamp};

use crate::state::activity::Told;
use crate::state::{Link, Message};

/// An event as the reducer takes it; none for what the console has no place for.
pub(crate) fn message(event: Event) -> Option<Message> {
    Some(match event {
        Event::State(state) => Message::Link(link(state)),
        Event::Transport(transport) => Message::Travels(transport.to_string(), transport.is_slow()),
        Event::Connected(connected) => Message::Connected(connected),
        Event::Output(frame) => Message::Output(frame),
        Event::Dropped { pattern, error } => Message::Dropped { pattern, error },
        Event::Message(decoded) => {
            let from = match decoded.header.channel {
                Some(Channel::Agent(agent)) => Some(agent),
                Some(Channel::Command(_)) if is_told_by_agent(&decoded.message) => return None,
                _ => None,
            };
            return told(from, decoded.header.timestamp, decoded.message);
        }
    })
}

/// Whether a push on a command's channel comes on its agent's as well, which the console always hears, each time once. Who
/// begins to hear a command gets what was pushed on its channel long ago: that is no news, and how the command stands by
/// now has been told.
fn is_told_by_agent(message: &ToDashboard) -> bool {
    matches!(message, ToDashboard::Status(_) | ToDashboard::Typed(_))
}

/// A message from the daemon, of a time by its clock, which an agent's channel may have brought.
fn told(from: Option<AgentId>, at: Timestamp, message: ToDashboard) -> Option<Message> {
    Some(match message {
        ToDashboard::AgentList(list) => Message::Agents(list),
        ToDashboard::AgentStatus(agent) => Message::Agent(agent),
        ToDashboard::AgentConnected(connected) => Message::Agent(connected.agent),
        ToDashboard::AgentDisconnected(gone) => Message::Agent(gone.agent),
        ToDashboard::AgentForgotten(forgotten) => Message::Forgotten(forgotten.agent_id),
        ToDashboard::Status(status) => Message::Status(status),
        ToDashboard::Snapshot(snapshot) => Message::Snapshot(snapshot),
        ToDashboard::Gap(gap) => Message::Gap(gap),
        // Of keys it is said by name what became of them, and of a size nothing needs to be said.
        ToDashboard::Error(ErrorPayload {
            code: ErrorCode::AgentOffline | ErrorCode::InputRejected,
            ..
        }) => return None,
        ToDashboard::Error(error) => Message::Error(error.message),
        ToDashboard::Notification(note) => Message::Told(from, at, Told::Notification(note)),
        ToDashboard::ActivityLog(line) => Message::Told(from, at, Told::Line(line)),
        ToDashboard::Typed(typed) => Message::Typed(typed),
        ToDashboard::TaskStatus(task) => Message::Told(from, at, Told::Task(task)),
        _ => return None,
    })
}

fn link(state: ConnState) -> Link {
    match state {
        ConnState::Connecting { attempt } => Link::Connecting { attempt },
        ConnState::Connected => Link::Connected,
        ConnState::Waiting {
            attempt,
            until,
            reason,
        } => {
            let left = until.saturating_duration_since(Instant::now());
            let until = Timestamp(Timestamp::now().0 + left.as_millis() as u64);
            Link::Waiting {
                attempt,
                until,
                reason,
            }
        }
        ConnState::Refused { message, .. } => Link::Refused { message },
        ConnState::Closed => Link::Closed,
    }
}

#[cfg(test)]
mod tests {
    use opsctl_protocol::message::{CommandStatus, Gap, State, TaskStatus};
    use opsctl_protocol::{CommandId, Decoded, Header};

    use super::*;

    const COMMAND: CommandId = CommandId([1; 16]);

    fn heard(channel: Option<Channel>, message: impl Into<ToDashboard>) -> Option<Message> {
        let header = Header {
            channel,
            ..Header::default()
        };
        let message = message.into();
        super::message(Event::Message(Box::new(Decoded { header, message })))
    }

    #[test]
    fn what_an_agent_tells_as_well_is_not_taken_from_its_commands_past() {
        let status = || CommandStatus::new(COMMAND, State::Queued);
        let own = || Some(Channel::Command(COMMAND));
        assert!(heard(own(), status()).is_none());
        let agent = AgentId::new("coder-1").expect("a name");
        let told = heard(Some(Channel::Agent(agent)), status());
        assert!(matches!(told, Some(Message::Status(_))), "{told:?}");
        // How it stands now, which has no channel, and what its output needs.
        assert!(matches!(heard(None, status()), Some(Message::Status(_))));
        // What somebody told everyone has the daemon's time, whatever clock this console has.
        let header = Header {
            timestamp: Timestamp(5),
            ..Header::default()
        };
        let message = TaskStatus {
            task_id: "42".to_owned(),
            status: "done".to_owned(),
        };
        let message = message.into();
        let told = super::message(Event::Message(Box::new(Decoded { header, message })));
        assert!(
            matches!(told, Some(Message::Told(None, Timestamp(5), _))),
            "{told:?}"
        );
        let gap = Gap {
            command_id: COMMAND,
            from: 0,
            to: 1,
            reason: String::new(),
        };
        assert!(matches!(heard(own(), gap), Some(Message::Gap(_))));
    }
}
