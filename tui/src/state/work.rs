//! Long work that goes on meanwhile: files that are written, and older lines that are loaded. It says how far it is, and
//! the key that leads back cancels it first.

use std::path::PathBuf;

use opsctl_protocol::{CommandId, Timestamp};

use super::{Effect, State};
use crate::export::Form;
use crate::keys::{Action, Mode};

/// Files that may be written at once; who wants more is told to wait.
const MOST: usize = 8;

/// How long work goes on before it is told, in milliseconds: what is over in a blink only flickers.
const TOLD_AFTER: u64 = 300;

/// What takes its time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Job {
    /// Writing this file.
    Export(PathBuf),
    /// Reading the older output of this command.
    Older(CommandId),
}

/// How far something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is done of it.
    pub done: u64,
    /// All of it.
    pub all: u64,
    /// When it began.
    pub since: Timestamp,
}

/// A file that is being written.
#[derive(Debug)]
pub struct Export {
    /// Where it is.
    pub path: PathBuf,
    /// As what.
    pub form: Form,
    /// Bytes of output that were read, of a recording; else lines that were written.
    pub progress: Progress,
}

/// Work that the person should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// What it is, for people.
    pub what: String,
    /// How far it is.
    pub progress: Progress,
    /// Whether that is in bytes; else it is in lines.
    pub in_bytes: bool,
    /// What cancels it.
    job: Job,
}

impl Progress {
    /// Of something that begins now.
    pub fn of(all: u64, now: Timestamp) -> Self {
        Self {
            done: 0,
            all,
            since: now,
        }
    }

    /// How much of a hundred is done.
    pub fn percent(self) -> u64 {
        self.done.min(self.all) * 100 / self.all.max(1)
    }
}

impl State {
    /// The work that is told of, and that would be cancelled: loading that the focused pane was asked for, else the file
    /// that was asked for last.
    pub fn work(&self) -> Option<Work> {
        let long = |progress: &Progress| self.now.0 >= progress.since.0 + TOLD_AFTER;
        self.current_work().filter(|work| long(&work.progress))
    }

    fn current_work(&self) -> Option<Work> {
        let shown = matches!(self.mode(), Mode::Pane | Mode::Attached);
        let pane = self.panes.current().filter(|_| shown);
        let loading = pane.and_then(|pane| Some((pane.command, pane.past.asked_for()?)));
        if let Some((command, progress)) = loading {
            return Some(Work {
                what: "loading older lines".to_owned(),
                progress,
                in_bytes: true,
                job: Job::Older(command),
            });
        }
        let export = self.exports.last()?;
        Some(Work {
            what: format!("writing {}", export.path.display()),
            progress: export.progress,
            in_bytes: export.form == Form::Cast,
            job: Job::Export(export.path.clone()),
        })
    }

    /// When work that has just begun is told.
    pub(super) fn work_change(&self) -> Option<Timestamp> {
        let since = self.current_work()?.progress.since;
        let at = Timestamp(since.0 + TOLD_AFTER);
        (at > self.now).then_some(at)
    }

    /// Cancels what is told of, if this action would lead back from somewhere.
    pub(super) fn cancel_work(&mut self, mode: Mode, action: Action) -> Option<Vec<Effect>> {
        let work = self.work()?;
        if action != Action::Back || !cancels(mode) {
            return None;
        }
        match &work.job {
            Job::Export(path) => {
                self.exports.retain(|export| export.path != *path);
                let text = format!("cancelled: {} was not written", path.display());
                self.notify(text, false);
            }
            Job::Older(command) => {
                if let Some((_, pane)) = self.panes.of(*command) {
                    pane.past.give_up();
                }
                self.notify("cancelled: scrolling up loads older lines again", false);
            }
        }
        Some(vec![Effect::Abandon(work.job)])
    }

    /// Begins to write a file. False, and said, where that is too much at once.
    pub(super) fn begin_export(&mut self, path: PathBuf, form: Form, all: u64) -> bool {
        let refusal = if self.exports.iter().any(|export| export.path == path) {
            Some(format!("{} is being written already", path.display()))
        } else if self.exports.len() >= MOST {
            Some(format!(
                "{MOST} files are being written: wait, or cancel one"
            ))
        } else {
            None
        };
        if let Some(why) = refusal {
            self.notify(why, true);
            return false;
        }
        let progress = Progress::of(all, self.now);
        self.exports.push(Export {
            path,
            form,
            progress,
        });
        true
    }

    /// A file is so far.
    pub(super) fn exporting(&mut self, path: &PathBuf, done: u64) {
        let export = self.exports.iter_mut().find(|one| one.path == *path);
        if let Some(export) = export {
            export.progress.done = done;
        }
    }

    /// A file is written, or could not be. Not a word of one that was cancelled.
    pub(super) fn exported(&mut self, path: &PathBuf, came: Result<String, String>) {
        let before = self.exports.len();
        self.exports.retain(|export| export.path != *path);
        if self.exports.len() < before {
            let failed = came.is_err();
            self.notify(came.unwrap_or_else(|why| why), failed);
        }
    }
}

/// Whether the key that leads back cancels work in this mode. Where it leaves something that is open, it does that.
pub fn cancels(mode: Mode) -> bool {
    !matches!(
        mode,
        Mode::Copying | Mode::Attached | Mode::Palette | Mode::Help | Mode::Prompt | Mode::Confirm
    )
}
