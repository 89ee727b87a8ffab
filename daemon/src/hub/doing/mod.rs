//! What commands and agents are doing, brought together from what programs, terminals, screens and processes tell.
//!
//! - [`front`]: what is in front in a terminal.
//! - [`look`]: looks at screens.

mod front;
mod look;

use opsctl_protocol::message::{
    Activity, ActivitySource, AgentInfo, AgentReport, Foreground, Notification, Priority, State,
};
use opsctl_protocol::{AgentId, Channel, CommandId, Timestamp};
use opsctl_terminal::{Signal, Signals};

use super::Hub;
use super::clock::earlier;
use super::command::Command;
use crate::activity::{Standing, Word};

/// After how long without output a program no longer counts as busy by that alone. What it does then isn't known.
const QUIET_AFTER_MS: u64 = 10_000;

/// How long after a change another one is told at the soonest: a person sees no faster, and a program could change more
/// often than anybody can be told.
const TELL_EVERY_MS: u64 = 50;

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
    /// Its terminal's title.
    title: String,
    /// What is in front in its terminal, where its agent tells.
    front: Option<Foreground>,
    /// What came to the front since its shell last showed a prompt has reported.
    has_reported: bool,
    /// When it last put something out.
    put_out: Timestamp,
    /// It counts as busy because it puts something out.
    is_busy: bool,
    /// Rules exist for it.
    is_watched: bool,
    /// Since when there is something on its screen that no rule has seen.
    unseen: Option<Timestamp>,
    /// Rules have seen its screen up to here.
    seen_to: u64,
    /// When people were last told what it does.
    told: Timestamp,
    /// What it does has changed since.
    is_untold: bool,
    /// When the next of all this is due.
    due: Option<Timestamp>,
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
    /// Whether that is the agent's main program.
    pub(super) is_main: bool,
}

impl Said {
    /// What is told of several: the greatest of these.
    pub(super) fn need(&self) -> impl Ord + use<> {
        (self.word.activity.need(), self.word.since, self.command_id)
    }
}

impl Hub {
    /// An agent tells what it, or one of its commands, is doing.
    pub(super) fn handle_activity(&mut self, agent_id: &AgentId, report: &AgentReport) {
        if let (Some(command_id), Some(front)) = (report.command_id, &report.foreground) {
            self.handle_foreground(agent_id, command_id, front.clone());
        }
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
                    is_main: false,
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
                command.doing.has_reported |= command.doing.is_front_speaking();
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
            if let Some(at) = command.doing.due.take() {
                self.doing_due.remove(&(at, command_id));
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

    /// A program has put something out in its terminal. What it tells thereby holds since the agent read it: the output log
    /// keeps that time, so that after a restart it is the same occurrence, and what somebody has seen stays seen.
    pub(super) fn note_output(&mut self, command_id: CommandId, data: &[u8], read: Timestamp) {
        let now = self.now;
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        let doing = &mut command.doing;
        let mut heard = Vec::new();
        doing.signals.scan(data, |signal| heard.push(signal));
        doing.put_out = now;
        let was_busy = doing.is_busy;
        let mut changed = !heard.is_empty();
        // What a shell puts out at its prompt is what somebody types there, until something else comes to the front.
        if !doing.is_busy && !doing.is_at_prompt() {
            doing.is_busy = true;
            doing.standing.shows(Activity::Working, now);
        }
        let mut notices = Vec::new();
        for signal in heard {
            doing.standing.heard(&signal, read);
            match signal {
                Signal::Title(title) if title != doing.title => {
                    // Another program may be at work.
                    doing.title = title;
                    doing.unseen = None;
                }
                signal => notices.extend(doing.notice(signal, now)),
            }
        }
        changed |= doing.is_busy != was_busy;
        if doing.unseen.is_none() {
            command.choose_rules(&self.options.rules, now);
            changed |= command.doing.is_watched;
        }
        let agent_id = command.row.summary.agent_id.clone();
        if changed {
            command.doing.is_untold |= command.show_doing();
            self.schedule_doing(command_id);
        }
        for notice in notices {
            self.push(&Channel::Agent(agent_id.clone()), notice);
        }
    }

    /// Tells what is to be told at once, and notes when the next thing is due.
    pub(super) fn schedule_doing(&mut self, command_id: CommandId) {
        let now = self.now;
        let Some(command) = self.commands.get_mut(&command_id) else {
            return;
        };
        let doing = &mut command.doing;
        let tell = doing.is_untold && now.0 >= doing.told.0 + TELL_EVERY_MS;
        if tell {
            doing.is_untold = false;
            doing.told = now;
        }
        let next = doing.next();
        if next != doing.due {
            if let Some(old) = doing.due {
                self.doing_due.remove(&(old, command_id));
            }
            doing.due = next;
            self.doing_due.extend(next.map(|at| (at, command_id)));
        }
        let agent_id = command.row.summary.agent_id.clone();
        if tell {
            self.push_agent(&agent_id);
        }
    }

    /// Takes up the end of the output of a command that the last run of the daemon knew.
    pub(super) fn restore_doing(command: &mut Command, data: &[u8], at: Timestamp) {
        let doing = &mut command.doing;
        let (standing, title) = (&mut doing.standing, &mut doing.title);
        doing.signals.scan(data, |signal| {
            standing.heard(&signal, at);
            if let Signal::Title(new) = signal {
                *title = new;
            }
        });
    }

    /// Does what is due: screens that rest are looked at, and programs that are quiet no longer count as busy.
    pub(super) fn note_due(&mut self) {
        while let Some((at, command_id)) = self.doing_due.first().copied()
            && at <= self.now
        {
            self.doing_due.pop_first();
            let now = self.now;
            let Some(command) = self.commands.get_mut(&command_id) else {
                continue;
            };
            let doing = &mut command.doing;
            doing.due = None;
            if doing.is_busy && now.0 >= doing.put_out.0 + QUIET_AFTER_MS {
                doing.is_busy = false;
                doing.standing.shows(Activity::Unknown, now);
            }
            let looks = doing.is_watched && doing.look_at().is_some_and(|at| at <= now);
            if looks {
                doing.unseen = None;
            }
            doing.is_untold |= doing.standing.show(&mut command.row.summary);
            if looks {
                self.look(command_id);
            }
            self.schedule_doing(command_id);
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
                .max_by_key(Said::need)
        };
        let failure = agent.failure().filter(|_| !info.is_connected());
        info.failed = failure.is_some();
        let Some(said) = failure.or(agent.said.as_ref()).cloned().or_else(most) else {
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
    pub(super) fn said(&self) -> Option<Said> {
        let summary = &self.row.summary;
        Some(Said {
            source: summary.activity_source?,
            word: Word {
                activity: summary.activity,
                reason: summary.activity_reason.clone(),
                since: summary.activity_since?,
            },
            command_id: Some(summary.command_id),
            is_main: summary.main,
        })
    }
}

impl Doing {
    /// The host's clock was set back: what is waited for is as far ahead as before.
    pub(super) fn set_back(&mut self, by: std::time::Duration) {
        for at in [&mut self.put_out, &mut self.told, &mut self.notified.0] {
            *at = earlier(*at, by);
        }
        self.unseen = self.unseen.map(|at| earlier(at, by));
        self.due = self.due.map(|at| earlier(at, by));
    }

    /// When something is due next.
    fn next(&self) -> Option<Timestamp> {
        let quiet = Timestamp(self.put_out.0 + QUIET_AFTER_MS);
        let tell = Timestamp(self.told.0 + TELL_EVERY_MS);
        [
            self.is_busy.then_some(quiet),
            self.look_at(),
            self.is_untold.then_some(tell),
        ]
        .into_iter()
        .flatten()
        .min()
    }

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
