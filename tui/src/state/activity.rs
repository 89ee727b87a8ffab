//! What happened: notifications, tasks, what agents log, trouble with the connection, and the console's own errors; and
//! which of it is told at once.

use std::collections::VecDeque;

use opsctl_protocol::message::{
    ActivityLog, Level as LogLevel, Notification, Priority, TaskStatus,
};
use opsctl_protocol::{AgentId, Timestamp};

use super::filter::Filter;
use super::link::{Grade, Link};
use super::{Effect, State, View};

/// Lines that are kept; the oldest go.
const LIMIT: usize = 2000;

/// Characters of a line that are kept: one line of a list and one of detail show no more.
const LINE_CHARS: usize = 500;

/// News that wait to be told; those that matter least go first, and all are in the log.
const TOASTS: usize = 16;

/// How long news are told, in milliseconds: usually, and where somebody should act now.
const TOAST_MS: u64 = 6000;
const URGENT_MS: u64 = 30_000;

/// The shortest time between two calls of the operator's own terminal, in milliseconds: a program that never stops to
/// call must not make it ring without end.
const ALERT_MS: u64 = 1000;

/// How much something matters, in the words that the filter knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// Nice to know.
    Low,
    /// The usual.
    Info,
    /// Worth an interruption, or odd.
    High,
    /// Something failed.
    Error,
    /// Act now.
    Urgent,
}

impl Level {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Low => "low",
            Self::Info => "info",
            Self::High => "high",
            Self::Error => "error",
            Self::Urgent => "urgent",
        }
    }

    /// How grave it is, for its look; none for what isn't.
    pub fn grade(self) -> Option<Grade> {
        match self {
            Self::Debug | Self::Low | Self::Info => None,
            Self::High => Some(Grade::Warning),
            Self::Error | Self::Urgent => Some(Grade::Bad),
        }
    }
}

impl From<Priority> for Level {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Info,
            Priority::High => Self::High,
            Priority::Urgent => Self::Urgent,
        }
    }
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warn => Self::High,
            LogLevel::Error => Self::Error,
        }
    }
}

/// Where a line comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An agent.
    Agent(AgentId),
    /// A task, whose latest status the line is.
    Task(String),
    /// Somebody who is no agent, by the channel `system`.
    System,
    /// The connection to the daemon.
    Link,
    /// This console.
    Console,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Agent(agent) => f.write_str(agent.as_str()),
            Self::Task(task) => write!(f, "task:{task}"),
            Self::System => f.write_str("system"),
            Self::Link => f.write_str("connection"),
            Self::Console => f.write_str("console"),
        }
    }
}

/// A line of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number, from 1.
    pub number: u64,
    /// When it came, the last of several alike: by the daemon's clock where it came from there, so that all consoles show the
    /// same; by this host's of what happened here.
    pub at: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// Where it comes from.
    pub source: Source,
    /// What happened.
    pub text: String,
    /// How often it came in a row.
    pub times: u32,
}

/// Something that is told at once.
#[derive(Debug, Clone)]
pub struct Toast {
    /// How much it matters.
    pub level: Level,
    /// What happened, and where.
    pub text: String,
    /// When it goes away.
    pub until: Timestamp,
}

/// What somebody told everyone.
#[derive(Debug, Clone)]
pub enum Told {
    /// Something that a person should notice.
    Notification(Notification),
    /// A line for the log.
    Line(ActivityLog),
    /// How a task stands.
    Task(TaskStatus),
}

/// The log, and what of it is told at once.
#[derive(Debug, Default)]
pub struct Activity {
    /// The oldest first; bounded by [`LIMIT`], the oldest go.
    entries: VecDeque<Entry>,
    /// The number of the newest line.
    last: u64,
    /// The line that is selected; the newest when there is none.
    pub selected: Option<u64>,
    /// Only what fits this is listed.
    pub filter: String,
    /// What is told at once, in the order in which it came.
    toasts: VecDeque<Toast>,
    /// Lines worth an interruption that came since the view was looked at.
    pub unseen: u32,
    /// When the operator's terminal was called last.
    alerted: Option<Timestamp>,
}

impl Activity {
    /// Adds a line. One that repeats the newest counts there; a task has one line, the latest.
    fn add(&mut self, at: Timestamp, level: Level, source: Source, text: &str) {
        let text: String = text.chars().take(LINE_CHARS).collect();
        if let Some(newest) = self.entries.back_mut()
            && (newest.level, &newest.source, &newest.text) == (level, &source, &text)
        {
            (newest.at, newest.times) = (at, newest.times.saturating_add(1));
            return;
        }
        if matches!(source, Source::Task(_)) {
            self.entries.retain(|entry| entry.source != source);
        }
        if self.entries.len() >= LIMIT {
            self.entries.pop_front();
        }
        self.last += 1;
        self.entries.push_back(Entry {
            number: self.last,
            at,
            level,
            source,
            text,
            times: 1,
        });
    }

    fn toast(&mut self, now: Timestamp, level: Level, text: String) {
        let time = if level == Level::Urgent {
            URGENT_MS
        } else {
            TOAST_MS
        };
        self.toasts.push_back(Toast {
            level,
            text,
            until: Timestamp(now.0 + time),
        });
        if self.toasts.len() > TOASTS {
            let least = self
                .toasts
                .iter()
                .enumerate()
                .min_by_key(|(_, toast)| toast.level);
            if let Some(at) = least.map(|(at, _)| at) {
                self.toasts.remove(at);
            }
        }
        self.unseen = self.unseen.saturating_add(1);
    }

    /// What is told now, the gravest and then the newest, and how many others wait behind it.
    pub fn told(&self) -> Option<(&Toast, usize)> {
        let toast = self.toasts.iter().max_by_key(|toast| toast.level)?;
        Some((toast, self.toasts.len() - 1))
    }

    /// Stops to tell what was told long enough.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.toasts.retain(|toast| toast.until > now);
    }

    /// When the next one goes away.
    pub(super) fn next_change(&self) -> Option<Timestamp> {
        self.toasts.iter().map(|toast| toast.until).min()
    }

    /// Whether nothing has happened yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The lines that fit the filter, the newest first.
    pub fn listed(&self) -> Vec<&Entry> {
        let filter = Filter::new(&self.filter);
        let fits = |entry: &&Entry| {
            filter.fits_line(entry.level.word(), &entry.source.to_string(), &entry.text)
        };
        self.entries.iter().rev().filter(fits).collect()
    }
}

impl State {
    /// Takes what somebody told everyone, at a time by the daemon's clock. The result calls the operator's own terminal where somebody should act now.
    pub(super) fn told(&mut self, from: Option<AgentId>, at: Timestamp, told: Told) -> Vec<Effect> {
        let source = from.map_or(Source::System, Source::Agent);
        match told {
            Told::Line(line) => {
                self.activity
                    .add(at, line.level.into(), source, &line.message);
            }
            Told::Task(task) => {
                let source = Source::Task(task.task_id);
                self.activity.add(at, Level::Info, source, &task.status);
            }
            Told::Notification(note) => {
                let text = match note.message.as_str() {
                    "" => note.title,
                    message => format!("{}: {message}", note.title),
                };
                let level = Level::from(note.priority);
                self.activity.add(at, level, source.clone(), &text);
                if level > Level::Low {
                    let text = format!("{source}: {text}");
                    self.activity.toast(self.now, level, text.clone());
                    return self.alert(level, text);
                }
            }
        }
        Vec::new()
    }

    fn alert(&mut self, level: Level, text: String) -> Vec<Effect> {
        let lately = |at: Timestamp| self.now.0.saturating_sub(at.0) < ALERT_MS;
        if level < Level::Urgent || self.activity.alerted.is_some_and(lately) {
            return Vec::new();
        }
        self.activity.alerted = Some(self.now);
        vec![Effect::Alert(text)]
    }

    /// Logs what becomes of the connection. The bar shows it as long as it lasts.
    pub(super) fn log_link(&mut self, was: &Link) {
        let (level, text) = match &self.connection.link {
            Link::Connected => (Level::Info, "connected".to_owned()),
            // Without the attempt's number, so that many in a row are one line.
            Link::Waiting { reason, .. } => (Level::Error, reason.clone()),
            Link::Refused { message } => (Level::Error, format!("refused: {message}")),
            Link::Connecting { .. } if *was == Link::Connected => (Level::Error, "lost".to_owned()),
            Link::Connecting { .. } | Link::Closed => return,
        };
        self.activity.add(self.now, level, Source::Link, &text);
    }

    /// Logs how messages travel from now on.
    pub(super) fn log_travel(&mut self, how: &str, is_slow: bool) {
        let level = if is_slow { Level::High } else { Level::Info };
        self.activity.add(self.now, level, Source::Link, how);
    }

    /// Logs what the last line tells.
    pub(super) fn log_notice(&mut self, text: &str, is_error: bool) {
        let level = if is_error { Level::Error } else { Level::Low };
        self.activity.add(self.now, level, Source::Console, text);
    }

    /// Logs what has become of something that was typed into an agent's terminal.
    pub(super) fn log_said(&mut self, agent: AgentId, level: Level, text: &str) {
        self.activity
            .add(self.now, level, Source::Agent(agent), text);
    }

    /// Looking at the view takes note of everything.
    pub(super) fn see_activity(&mut self) {
        if self.view == View::Activity {
            self.activity.unseen = 0;
            self.activity.toasts.clear();
        }
    }

    pub(super) fn step_activity(&mut self, by: i64) {
        let numbers: Vec<u64> = self
            .activity
            .listed()
            .iter()
            .map(|entry| entry.number)
            .collect();
        let selected = self
            .activity
            .selected
            .filter(|number| numbers.contains(number));
        let first = numbers.first().copied();
        self.activity.selected = super::moved(&numbers, selected.or(first).as_ref(), by)
            // At the top, what comes is followed.
            .filter(|number| Some(*number) != first);
    }

    /// Goes to the agent of the selected line.
    pub(super) fn open_from_activity(&mut self) {
        let listed = self.activity.listed();
        let selected = listed
            .iter()
            .find(|entry| Some(entry.number) == self.activity.selected)
            .or(listed.first());
        let agent = match selected.map(|entry| &entry.source) {
            Some(Source::Agent(agent)) => agent.clone(),
            Some(Source::Link) => return self.show(View::Connections),
            _ => return self.notify("this line is of no agent", false),
        };
        if self.fleet.get(&agent).is_none() {
            return self.notify(format!("{agent} is not in the fleet any more"), false);
        }
        self.show(View::Fleet);
        self.list_agents();
        (self.list.agent, self.list.group) = (Some(agent), None);
    }
}
