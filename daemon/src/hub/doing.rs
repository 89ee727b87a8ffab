//! What commands and agents are doing, brought together from what programs, terminals, screens and processes tell.

use opsctl_protocol::message::{
    Activity, ActivitySource, AgentInfo, AgentReport, Notification, Priority, State,
};
use opsctl_protocol::{AgentId, Channel, CommandId, Timestamp};
use opsctl_terminal::{Signal, Signals};

use super::Hub;
use super::command::Command;
use crate::activity::{Standing, Word};

/// After how long without output a program no longer counts as busy by that alone. What it does then isn't known.
const QUIET_AFTER_MS: u64 = 10_000;

/// Notifications that a terminal's signals make in [`NOTIFY_EVERY_MS`]; further ones are dropped.
const NOTIFY_MOST: u32 = 10;

/// Over how long notifications are counted.
const NOTIFY_EVERY_MS: u64 = 10_000;

/// The longest reason, in bytes; the rest is cut off.
const MAX_REASON: usize = 256;

/// What is known of what a command does.
#[derive(Debug, Default)]
pub(super) struct Doing {
    /// Its sources.
    standing: Standing,
    /// Finds what its program tells its terminal.
    signals: Signals,
    /// When it last put something out.
    put_out: Timestamp,
    /// When it is looked whether it still does, while it counts as busy.
    quiet_at: Option<Timestamp>,
    /// Since when notifications are counted, and how many there were.
    notified: (Timestamp, u32),
}

/// What an agent says of itself, or what its last terminal came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// The word.
    pub(super) word: Word,
    /// How it is known.
    pub(super) source: ActivitySource,
    /// Of which command.
    pub(super) command_id: Option<CommandId>,
}

impl Hub {
    /// An agent tells what it, or one of its commands, is doing.
    pub(super) fn handle_activity(&mut self, agent_id: &AgentId, report: &AgentReport) {
        let Some(activity) = report.activity else {
            return;
        };
        let word = Word {
            activity,
            reason: report.reason.as_deref().and_then(reason),
            since: report.since.unwrap_or(self.now),
        };
        let source = report.source.unwrap_or(ActivitySource::Program);
        let Some(command_id) = report.command_id else {
            if let Some(agent) = self.agents.get_mut(agent_id) {
                let said = Said {
                    word,
                    source,
                    command_id: None,
                };
                agent.said = (activity != Activity::Unknown).then_some(said);
            }
            return;
        };
        let own = self.commands.get_mut(&command_id).filter(|command| {
            let summary = &command.row.summary;
            summary.agent_id == *agent_id && !summary.state.is_final()
        });
        match own {
            Some(command) => {
                command.doing.standing.said(source, word);
                command.show_doing();
            }
            None => {
                tracing::debug!(agent = %agent_id, command = %command_id, "a report of a command that doesn't run");
            }
        }
    }

    /// A command has another state.
    pub(super) fn note_state(&mut self, command_id: CommandId) {
        let now = self.now;
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        let state = command.row.summary.state;
        if state.is_final() {
            if let Some(at) = command.doing.quiet_at.take() {
                self.quiet.remove(&(at, command_id));
            }
            let summary = &command.row.summary;
            // A program between pipes has an outcome only where somebody waits for it.
            if command.is_terminal() {
                command.doing.standing.ended(summary, now);
            } else {
                command.doing.standing = Standing::default();
            }
            command.show_doing();
            let ended = command.said();
            if let Some(agent) = self.agents.get_mut(&command.row.summary.agent_id)
                && ended.is_some()
            {
                agent.ended = ended;
            }
        } else if state == State::Running {
            if command.is_terminal() && command.row.summary.output_bytes == 0 {
                command.doing.standing.shows(Activity::Starting, now);
                command.show_doing();
            }
            if let Some(agent) = self.agents.get_mut(&command.row.summary.agent_id) {
                agent.ended = None;
            }
        }
    }

    /// A program has put something out in its terminal.
    pub(super) fn note_output(&mut self, command_id: CommandId, data: &[u8]) {
        let now = self.now;
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        let doing = &mut command.doing;
        let mut heard = Vec::new();
        doing.signals.scan(data, |signal| heard.push(signal));
        doing.put_out = now;
        if doing.quiet_at.is_none() {
            let at = Timestamp(now.0 + QUIET_AFTER_MS);
            doing.quiet_at = Some(at);
            self.quiet.insert((at, command_id));
            doing.standing.shows(Activity::Working, now);
        } else if heard.is_empty() {
            return;
        }
        for signal in &heard {
            doing.standing.heard(signal, now);
        }
        let agent_id = command.row.summary.agent_id.clone();
        let notices: Vec<Notification> = heard
            .into_iter()
            .filter_map(|signal| doing.notice(signal, now))
            .collect();
        if command.show_doing() {
            self.push_agent(&agent_id);
        }
        for notice in notices {
            self.push(&Channel::Agent(agent_id.clone()), notice);
        }
    }

    /// Takes up the end of the output of a command that the last run of the daemon knew.
    pub(super) fn restore_doing(command: &mut Command, data: &[u8], at: Timestamp) {
        let doing = &mut command.doing;
        let standing = &mut doing.standing;
        doing
            .signals
            .scan(data, |signal| standing.heard(&signal, at));
    }

    /// Programs that have put out nothing for a while no longer count as busy.
    pub(super) fn note_quiet(&mut self) {
        while let Some((at, command_id)) = self.quiet.first().copied()
            && at <= self.now
        {
            self.quiet.pop_first();
            let Some(command) = self.commands.get_mut(&command_id) else {
                continue;
            };
            let doing = &mut command.doing;
            let again = Timestamp(doing.put_out.0 + QUIET_AFTER_MS);
            if again > self.now {
                doing.quiet_at = Some(again);
                self.quiet.insert((again, command_id));
                continue;
            }
            doing.quiet_at = None;
            doing.standing.shows(Activity::Unknown, self.now);
            let agent_id = command.row.summary.agent_id.clone();
            if command.show_doing() {
                self.push_agent(&agent_id);
            }
        }
    }

    /// Fills in what an agent is doing: what it says itself, else the one of its commands that needs a person most.
    pub(super) fn show_agent_doing(&self, info: &mut AgentInfo) {
        let Some(agent) = self.agents.get(&info.agent_id) else {
            return;
        };
        let most = || {
            self.commands
                .values()
                .filter(|command| {
                    let summary = &command.row.summary;
                    summary.agent_id == info.agent_id && !summary.state.is_final()
                })
                .filter_map(Command::said)
                .chain(agent.ended.clone())
                .max_by_key(|said| (said.word.activity.need(), said.word.since, said.command_id))
        };
        let Some(said) = agent.said.clone().or_else(most) else {
            return;
        };
        info.activity = said.word.activity;
        info.activity_reason = said.word.reason;
        info.activity_source = Some(said.source);
        info.activity_since = Some(said.word.since);
        info.activity_command_id = said.command_id;
    }
}

impl Command {
    /// Shows what it does. Returns whether that is another thing than before.
    pub(super) fn show_doing(&mut self) -> bool {
        self.doing.standing.show(&mut self.row.summary)
    }

    /// What it does, where that is known.
    fn said(&self) -> Option<Said> {
        let summary = &self.row.summary;
        Some(Said {
            source: summary.activity_source?,
            word: Word {
                activity: summary.activity,
                reason: summary.activity_reason.clone(),
                since: summary.activity_since?,
            },
            command_id: Some(summary.command_id),
        })
    }
}

impl Doing {
    /// What a signal has to tell a person, unless there were too many.
    fn notice(&mut self, signal: Signal, now: Timestamp) -> Option<Notification> {
        let Signal::Notification { title, message } = signal else {
            return None;
        };
        let (since, count) = &mut self.notified;
        if now.0 >= since.0 + NOTIFY_EVERY_MS {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        (*count <= NOTIFY_MOST).then_some(Notification {
            title,
            message,
            priority: Priority::Normal,
        })
    }
}

/// A reason as it is shown: one line, within its bound.
fn reason(text: &str) -> Option<String> {
    const ELLIPSIS: &str = "…";
    let mut line: String = text
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    if line.len() > MAX_REASON {
        line.truncate(line.floor_char_boundary(MAX_REASON - ELLIPSIS.len()));
        line.push_str(ELLIPSIS);
    }
    let line = line.trim().to_owned();
    (!line.is_empty()).then_some(line)
}
