//! What programs tell of themselves, on its way from their holders to the daemon.
//!
//! What a program is doing is told anew to each connection: the last word is all that counts. A notification or a task's
//! status is kept by the holder until the daemon has handled it, which the answer to a ping shows that was sent right
//! behind: both travel in the same lane. So none is lost with an agent or a connection; one may be told twice.

use opsctl_protocol::message::{ActivitySource, AgentMessage, AgentReport, Foreground, Nothing};
use opsctl_protocol::{CommandId, Header, encode};

use super::Agent;
use crate::command::{Held, Phase};
use crate::report::{Report, Said};
use crate::wire::ToHolder;

impl Agent {
    /// A program says what it is doing.
    pub(super) fn program_reports(&mut self, id: CommandId, report: Report) {
        self.send(told(id, &report));
        if let Some(held) = self.held_mut(id) {
            held.report = Some(report);
        }
    }

    /// Something else has come to the front in a program's terminal.
    pub(super) fn has_in_front(&mut self, id: CommandId, foreground: Foreground) {
        self.send(in_front(id, &foreground));
        if let Some(held) = self.held_mut(id) {
            held.foreground = Some(foreground);
        }
    }

    /// A program says something else.
    pub(super) fn program_says(&mut self, id: CommandId, number: u64, said: Said) {
        self.send_notice(id, number, &said);
        if let Some(held) = self.held_mut(id) {
            held.notices.push_back((number, said));
        }
    }

    /// Tells a new connection what programs have said.
    pub(super) fn tell_reports(&self) {
        for (id, command) in &self.commands {
            let Phase::Held(held) = &command.phase else {
                continue;
            };
            // First, so that the report is known to be of it.
            if let Some(foreground) = &held.foreground {
                self.send(in_front(*id, foreground));
            }
            if let Some(report) = &held.report {
                self.send(told(*id, report));
            }
            for (number, said) in &held.notices {
                self.send_notice(*id, *number, said);
            }
        }
    }

    /// Sends a notice, and a ping behind it.
    fn send_notice(&self, id: CommandId, number: u64, said: &Said) {
        match said.clone() {
            Said::Notification(notification) => self.send(notification),
            Said::TaskStatus(status) => self.send(status),
            // Reports come apart.
            Said::Activity { .. } => {}
        }
        let header = Header {
            id: Some(format!("{id}/{number}")),
            ..Header::default()
        };
        if let (Some(link), Ok(ping)) =
            (&self.link, encode(&header, &AgentMessage::Ping(Nothing {})))
        {
            // A lane that takes nothing belongs to a link that is about to end; the next one gets it all again.
            let _ = link.control(ping);
        }
    }

    /// The daemon has answered a ping: it has handled the notice before it.
    pub(super) fn passed_on(&mut self, re: &str) {
        let Some((id, number)) = re.split_once('/') else {
            return;
        };
        let (Ok(id), Ok(number)) = (id.parse::<CommandId>(), number.parse::<u64>()) else {
            return;
        };
        if let Some(held) = self.held_mut(id) {
            held.notices.retain(|(waiting, _)| *waiting > number);
            held.holder.tell(&ToHolder::Noticed { number });
        }
    }

    fn held_mut(&mut self, id: CommandId) -> Option<&mut Held> {
        match &mut self.commands.get_mut(&id)?.phase {
            Phase::Held(held) => Some(held),
            _ => None,
        }
    }
}

/// A report for the daemon.
fn told(id: CommandId, report: &Report) -> AgentReport {
    AgentReport {
        activity: Some(report.activity),
        reason: report.reason.clone(),
        source: Some(ActivitySource::Program),
        command_id: Some(id),
        since: Some(report.since),
        ..AgentReport::default()
    }
}

/// What is in front, for the daemon.
fn in_front(id: CommandId, foreground: &Foreground) -> AgentReport {
    AgentReport {
        command_id: Some(id),
        foreground: Some(foreground.clone()),
        ..AgentReport::default()
    }
}
