//! What reading a pane does: search, copy mode, prompts, the editor, export.

use std::path::PathBuf;
use std::sync::Arc;

use super::copy::{Copy, Kind, Step};
use super::lines::{self, Place};
use super::search::Search;
use super::{Effect, Focus, Purpose, State};
use crate::keys::Action;
use crate::layout::Layout;
use crate::{export, state::Pane};

impl State {
    /// The focused pane and the size of its view.
    fn reading(&mut self) -> Option<(&mut Pane, (u16, u16))> {
        let size = Layout::of(self).inner(self.panes.focused);
        let pane = self.panes.list.get_mut(self.panes.focused)?;
        let size = pane.size_beside_times(size);
        Some((pane, size))
    }

    /// Asks what to search for in the pane.
    pub(super) fn ask_search(&mut self) {
        let text = self.panes.current().and_then(|pane| pane.search.as_ref());
        let text = text.map(|search| search.text.clone()).unwrap_or_default();
        self.ask(Purpose::Search, &text);
    }

    /// Searches for what was typed, from the newest line that is seen upwards. Nothing ends the search.
    pub(super) fn search(&mut self, text: &str) {
        let search = if text.is_empty() {
            Ok(None)
        } else {
            Search::new(text).map(Some)
        };
        let Some((pane, size)) = self.reading() else {
            return;
        };
        match search {
            Ok(search) => {
                let ends = search.is_none();
                pane.search = search;
                if !ends {
                    let below = pane.top_line(size) + u64::from(size.1);
                    pane.go_match(
                        Place {
                            line: below,
                            col: 0,
                        },
                        true,
                        size,
                    );
                    self.tell_match();
                }
            }
            Err(why) => self.notify(why, true),
        }
    }

    /// The next match, towards older lines or newer ones.
    pub(super) fn next_match(&mut self, older: bool) {
        let Some((pane, size)) = self.reading() else {
            return;
        };
        if pane.search.is_none() {
            self.ask_search();
            return;
        }
        let top = Place {
            line: pane.top_line(size),
            col: 0,
        };
        let current = pane.search.as_ref().and_then(Search::current);
        let from = pane.copy.map(|copy| copy.cursor);
        let from = from.or(current.map(|found| found.start)).unwrap_or(top);
        pane.go_match(from, older, size);
        self.tell_match();
    }

    fn tell_match(&mut self) {
        let search = self.panes.current().and_then(|pane| pane.search.as_ref());
        if let Some(search) = search.filter(|search| search.current().is_none()) {
            self.notify(format!("nothing matches {}", search.text), false);
        }
    }

    /// Shows the prompt (OSC 133) before or after the line at the top.
    pub(super) fn next_prompt(&mut self, older: bool) {
        let Some((pane, size)) = self.reading() else {
            return;
        };
        let from = pane
            .copy
            .map_or(pane.top_line(size), |copy| copy.cursor.line);
        let found = if older {
            lines::prompts(&pane.screen)
                .filter(|line| *line < from)
                .last()
        } else {
            lines::prompts(&pane.screen).find(|line| *line > from)
        };
        let Some(line) = found else {
            let text = if lines::prompts(&pane.screen).next().is_some() {
                "no further prompt that way"
            } else {
                "the shell marks no prompts (OSC 133)"
            };
            self.notify(text, false);
            return;
        };
        if let Some(copy) = &mut pane.copy {
            copy.cursor = Place { line, col: 0 };
        }
        let top = pane.top_line(size);
        pane.scroll(line as i64 - top as i64, size);
    }

    /// Starts copy mode at the cursor of the terminal, or at the bottom of what is looked at.
    pub(super) fn copy_mode(&mut self) {
        let Some((pane, size)) = self.reading() else {
            return;
        };
        let top = pane.top_line(size);
        let cursor = pane.screen.cursor();
        let place = if pane.follows() {
            Place {
                line: lines::top(&pane.screen) + u64::from(cursor.row),
                col: cursor.col,
            }
        } else {
            Place {
                line: (top + u64::from(size.1) - 1).min(*lines::all(&pane.screen).end()),
                col: 0,
            }
        };
        pane.start_copy(Copy::at(place), size);
        self.focus = Focus::Pane;
    }

    /// What a key does in copy mode.
    pub(super) fn copy_action(&mut self, action: Action) -> Vec<Effect> {
        let lines = self.page();
        let Some((pane, size)) = self.reading() else {
            return Vec::new();
        };
        let far = i64::from(i32::MAX);
        let step = match action {
            Action::Up => Step::Lines(-1),
            Action::Down => Step::Lines(1),
            Action::PageUp => Step::Lines(-lines),
            Action::PageDown => Step::Lines(lines),
            Action::First => Step::Lines(-far),
            Action::Last => Step::Lines(far),
            Action::Left => Step::Cols(-1),
            Action::Right => Step::Cols(1),
            Action::LineStart => Step::LineStart,
            Action::LineEnd => Step::LineEnd,
            Action::WordForward => Step::Word(true),
            Action::WordBack => Step::Word(false),
            _ => return self.copy_command(action),
        };
        pane.step_copy(step, size);
        Vec::new()
    }

    fn copy_command(&mut self, action: Action) -> Vec<Effect> {
        let Some(pane) = self.panes.list.get_mut(self.panes.focused) else {
            return Vec::new();
        };
        let kind = match action {
            Action::SelectChar => Kind::Char,
            Action::SelectLine => Kind::Line,
            Action::SelectBlock => Kind::Block,
            Action::Yank => return self.yank(),
            Action::Search => {
                self.ask_search();
                return Vec::new();
            }
            Action::NextMatch | Action::PreviousMatch => {
                self.next_match(action == Action::NextMatch);
                return Vec::new();
            }
            Action::PreviousPrompt | Action::NextPrompt => {
                self.next_prompt(action == Action::PreviousPrompt);
                return Vec::new();
            }
            _ => {
                pane.copy = None;
                return Vec::new();
            }
        };
        if let Some(copy) = &mut pane.copy {
            copy.select(kind);
        }
        Vec::new()
    }

    /// Copies what is selected; without a selection the link under the cursor, or its line.
    pub(super) fn yank(&mut self) -> Vec<Effect> {
        let Some(pane) = self.panes.list.get_mut(self.panes.focused) else {
            return Vec::new();
        };
        let Some(mut copy) = pane.copy.take() else {
            return Vec::new();
        };
        let link = pane.link(copy.cursor).filter(|_| copy.anchor.is_none());
        if copy.anchor.is_none() {
            copy.select(Kind::Line);
        }
        let text = link.or_else(|| copy.text(&pane.screen)).unwrap_or_default();
        if text.is_empty() {
            self.notify("nothing is selected", false);
            return Vec::new();
        }
        let lines = text.lines().count();
        let what = match lines {
            1 => format!("copied: {text}"),
            _ => format!("copied {lines} lines"),
        };
        self.notify(what, false);
        vec![Effect::Copy(text)]
    }

    /// Opens what the pane holds in the editor.
    pub(super) fn edit(&mut self) -> Vec<Effect> {
        let pane = self.panes.current().filter(|pane| !pane.is_hidden());
        pane.map_or_else(Vec::new, |pane| {
            vec![Effect::Edit(export::text(&pane.screen))]
        })
    }

    /// Writes the pane's lines to a file, or all of the command's output as a recording.
    pub(super) fn export(&mut self, form: export::Form, path: &str) -> Vec<Effect> {
        let Some(pane) = self.panes.current() else {
            self.notify("no pane is open", false);
            return Vec::new();
        };
        if pane.is_hidden() && form != export::Form::Cast {
            self.notify(
                "the pane isn't shown: Tab or z shows it, then export again",
                true,
            );
            return Vec::new();
        }
        let path = PathBuf::from(path);
        let (effect, all) = if form == export::Form::Cast {
            let summary = self.summary(&pane.command);
            let to = summary
                .map_or(0, |summary| summary.output_bytes)
                .max(pane.seen());
            let record = Effect::Record {
                command: pane.command,
                to,
                size: pane.screen.size(),
                path: path.clone(),
            };
            (record, to)
        } else {
            let lines = Arc::new(pane.screen.lines());
            let all = lines.len() as u64;
            let write = Effect::Write {
                path: path.clone(),
                lines,
                form,
            };
            (write, all)
        };
        if self.begin_export(path, form, all) {
            vec![effect]
        } else {
            Vec::new()
        }
    }

    /// Shows when the pane's lines arrived, or no longer. What is looked at stays.
    pub(super) fn toggle_times(&mut self) {
        if let Some((pane, _)) = self.reading() {
            pane.shows_times = !pane.shows_times;
        }
    }

    /// Gives up the lines above the screen.
    pub(super) fn clear_pane(&mut self) {
        if let Some((pane, _)) = self.reading() {
            pane.clear();
        }
    }
}
