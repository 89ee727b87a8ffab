//! The palette: everything that can be done or gone to, found by a few of its letters.

use std::cmp::Reverse;

use crossterm::event::KeyEvent;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use opsctl_protocol::message::State as CommandState;
use opsctl_protocol::{AgentId, CommandId};

use super::command_line::COMMANDS;
use super::{Effect, Focus, Overlay, Prompt, Purpose, State, View};
use crate::keys::{Action, Key, Keymap, Mode, text};

/// Choices that are remembered, newest last; the oldest go.
const RECENT_LIMIT: usize = 50;

/// Rows of a page.
const PAGE: i64 = 10;

/// What is only ever meant as a key: to look for "up" by name helps nobody.
const KEYS_ONLY: [Action; 9] = [
    Action::Up,
    Action::Down,
    Action::PageUp,
    Action::PageDown,
    Action::First,
    Action::Last,
    Action::Left,
    Action::Right,
    Action::Palette,
];

/// The palette while it is open.
#[derive(Debug, Clone)]
pub struct Palette {
    /// What is typed.
    pub line: Prompt,
    /// What fits it, the best first.
    pub found: Vec<Item>,
    /// Which of them is selected.
    pub selected: usize,
}

/// Something to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What kind of thing it is.
    pub kind: &'static str,
    /// What it is called.
    pub label: String,
    /// Its short name, where it has one: a view's title, or what the configuration calls an action.
    pub name: &'static str,
    /// What else is to be seen: a key, a state.
    pub detail: String,
    /// What choosing it does.
    pub what: What,
}

/// What choosing something does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum What {
    /// What a key does.
    Act(Action),
    /// The agent is selected.
    Agent(AgentId),
    /// The pane gets the focus.
    Pane(CommandId),
    /// The command is shown.
    Command(CommandId),
    /// The theme is shown.
    Theme(String),
    /// The command line is begun with this command, which takes something more.
    Line(&'static str),
}

/// How a few letters fit, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// They are its name.
    Whole,
    /// It starts with them.
    Start,
    /// One of its words does.
    Word,
    /// They stand in it, side by side.
    Within,
    /// They stand in it, one after the other.
    Scattered,
}

/// The order of what is found.
type Rank = (Fit, Reverse<Option<usize>>, Reverse<u32>);

impl Fit {
    /// How `letters`, in lower case, fit.
    fn of(letters: &str, item: &Item) -> Self {
        if letters.is_empty() {
            return Self::Whole;
        }
        let label = item.label.to_lowercase();
        let short = item.name.to_lowercase();
        let names = [label.as_str(), short.as_str()];
        let any = |fits: &dyn Fn(&str) -> bool| names.iter().any(|name| fits(name));
        let words = |name: &str| {
            let mut words = name.split(|c: char| !c.is_alphanumeric());
            words.any(|word| word.starts_with(letters))
        };
        if any(&|name| name == letters) {
            Self::Whole
        } else if any(&|name| name.starts_with(letters)) {
            Self::Start
        } else if any(&words) {
            Self::Word
        } else if any(&|name| name.contains(letters)) {
            Self::Within
        } else {
            Self::Scattered
        }
    }
}

impl State {
    /// Opens the palette.
    pub(super) fn open_palette(&mut self) {
        let palette = Palette {
            line: Prompt::new(Purpose::Palette, ""),
            found: self.find(""),
            selected: 0,
        };
        self.overlay = Some(Overlay::Palette(Box::new(palette)));
    }

    /// Finds anew after the line has changed.
    pub(super) fn find_again(&mut self) {
        let Some(Overlay::Palette(palette)) = &self.overlay else {
            return;
        };
        let found = self.find(&palette.line.text);
        if let Some(Overlay::Palette(palette)) = &mut self.overlay {
            palette.found = found;
            palette.selected = 0;
        }
    }

    /// Takes a key while the palette is open.
    pub(super) fn palette_key(&mut self, event: KeyEvent, action: Option<Action>) -> Vec<Effect> {
        match action {
            Some(Action::Accept) => return self.choose(),
            Some(Action::Back) => self.overlay = None,
            Some(Action::Up) => self.step_palette(-1),
            Some(Action::Down) => self.step_palette(1),
            Some(Action::PageUp) => self.step_palette(-PAGE),
            Some(Action::PageDown) => self.step_palette(PAGE),
            other => {
                if let Some(Overlay::Palette(palette)) = &mut self.overlay {
                    match other {
                        Some(action) => palette.line.edit(action),
                        None => palette.line.typed(event),
                    }
                }
                self.find_again();
            }
        }
        Vec::new()
    }

    pub(super) fn step_palette(&mut self, by: i64) {
        if let Some(Overlay::Palette(palette)) = &mut self.overlay {
            let last = palette.found.len().saturating_sub(1) as i64;
            palette.selected = (palette.selected as i64).saturating_add(by).clamp(0, last) as usize;
        }
    }

    /// Does what is selected.
    pub(super) fn choose(&mut self) -> Vec<Effect> {
        let Some(Overlay::Palette(palette)) = self.overlay.take() else {
            return Vec::new();
        };
        let Some(item) = palette.found.into_iter().nth(palette.selected) else {
            return Vec::new();
        };
        self.recent.retain(|known| *known != item.what);
        self.recent.push(item.what.clone());
        if self.recent.len() > RECENT_LIMIT {
            self.recent.remove(0);
        }
        match item.what {
            What::Act(action) => self.act(self.mode(), action),
            What::Theme(name) => vec![Effect::Theme(name)],
            What::Line(name) => {
                self.ask(Purpose::Command, &format!("{name} "));
                Vec::new()
            }
            What::Agent(agent) => {
                self.view = View::Fleet;
                self.list_agents();
                (self.list.agent, self.list.group) = (Some(agent), None);
                Vec::new()
            }
            What::Pane(command) | What::Command(command) => {
                self.view = View::Fleet;
                self.focus = Focus::Pane;
                self.open(command, false)
            }
        }
    }

    /// What fits a few letters: how it fits comes first, then what was chosen last, then how close the letters are.
    /// Without letters, what was chosen last comes first.
    fn find(&self, letters: &str) -> Vec<Item> {
        let items = self.items();
        let place = |item: &Item| self.recent.iter().rposition(|known| *known == item.what);
        let pattern = Pattern::parse(letters, CaseMatching::Smart, Normalization::Smart);
        let mut matcher = Matcher::new(Config::DEFAULT);
        let mut characters = Vec::new();
        let letters = letters.trim().to_lowercase();
        let mut found: Vec<(Rank, Item)> = items
            .into_iter()
            .filter_map(|item| {
                let text = format!("{} {} {}", item.label, item.name, item.kind);
                let score = pattern.score(Utf32Str::new(&text, &mut characters), &mut matcher)?;
                let rank = (
                    Fit::of(&letters, &item),
                    Reverse(place(&item)),
                    Reverse(score),
                );
                Some((rank, item))
            })
            .collect();
        // Stable: what is alike in all of it stays in the order of the table and the lists.
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().map(|(_, item)| item).collect()
    }

    fn items(&self) -> Vec<Item> {
        let mut items = actions(&self.keys, self.mode_below());
        items.extend(lines());
        items.extend(self.panes.list.iter().map(|pane| Item {
            kind: "pane",
            label: format!("{}  {}", pane.agent, pane.program),
            name: "",
            detail: String::new(),
            what: What::Pane(pane.command),
        }));
        items.extend(self.fleet.agents().map(|agent| Item {
            kind: "agent",
            label: agent.agent_id.to_string(),
            name: "",
            detail: self.fleet.doing(&agent.agent_id).word().to_owned(),
            what: What::Agent(agent.agent_id.clone()),
        }));
        let running = self.fleet.commands().filter(|command| {
            command.state == CommandState::Running
                && !self
                    .panes
                    .list
                    .iter()
                    .any(|pane| pane.command == command.command_id)
        });
        items.extend(running.map(|command| Item {
            kind: "command",
            label: format!("{}  {}", command.program, command.agent_id),
            name: "",
            detail: "running".to_owned(),
            what: What::Command(command.command_id),
        }));
        items.extend(self.look.names.iter().map(|name| Item {
            kind: "theme",
            label: format!("theme {name}"),
            name: "",
            detail: if *name == self.look.shown {
                "shown".to_owned()
            } else {
                String::new()
            },
            what: What::Theme(name.clone()),
        }));
        items
    }
}

/// What only the command line does: the others do what keys do.
fn lines() -> impl Iterator<Item = Item> {
    let taking = COMMANDS.iter().filter(|(_, takes, _)| !takes.is_empty());
    taking.map(|&(name, takes, help)| Item {
        kind: "line",
        label: help.to_owned(),
        name,
        detail: format!(":{name} {takes}"),
        what: What::Line(name),
    })
}

/// What keys do in a mode.
fn actions(keys: &Keymap, mode: Mode) -> Vec<Item> {
    let here = keys
        .rows()
        .filter(|(row, _)| row.modes.contains(mode) && !KEYS_ONLY.contains(&row.action));
    let item = |(row, keys): (&crate::keys::Binding, &[Key])| Item {
        kind: if View::of(row.action).is_some() {
            "view"
        } else {
            "action"
        },
        label: row.help.to_owned(),
        name: View::of(row.action).map_or(row.name, View::title),
        detail: text(keys),
        what: What::Act(row.action),
    };
    here.map(item).collect()
}
