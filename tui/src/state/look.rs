//! Which theme is shown. A person may change it while the console runs; what it looks like is the loop's.

use serde::{Deserialize, Serialize};

use super::{Effect, State};

/// The theme that is shown, and those that there are.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The names of all, in the order in which they come one after another.
    pub names: Vec<String>,
    /// What the settings say.
    pub setting: String,
    /// What is shown.
    pub shown: String,
    /// Whether it was asked for at the start, and nothing that is remembered wins over it.
    pub asked: bool,
    /// Whether the terminal has colours for it to show.
    pub colours: bool,
}

/// A theme that was chosen while the console ran. It lasts until the setting is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chosen {
    /// Its name.
    pub name: String,
    /// What the setting was.
    pub instead_of: String,
}

impl Look {
    /// What is to be remembered of it.
    pub(super) fn chosen(&self) -> Option<Chosen> {
        (self.shown != self.setting).then(|| Chosen {
            name: self.shown.clone(),
            instead_of: self.setting.clone(),
        })
    }

    /// The theme that was chosen the last time, where it still holds: whoever changes the setting, or asks for a theme at
    /// the start, means that one.
    pub(super) fn recall(&mut self, chosen: Option<&Chosen>) {
        let holds = |chosen: &&Chosen| !self.asked && chosen.instead_of == self.setting;
        if let Some(chosen) = chosen.filter(holds) {
            self.shown.clone_from(&chosen.name);
        }
    }
}

impl State {
    /// Shows the theme after the one that is shown.
    pub(super) fn next_theme(&self) -> Vec<Effect> {
        let names = &self.look.names;
        let at = names.iter().position(|name| *name == self.look.shown);
        let next = at.map_or(0, |at| at + 1);
        let name = names.get(next).or(names.first());
        name.cloned().map(Effect::Theme).into_iter().collect()
    }

    /// Another theme is shown now.
    pub(super) fn themed(&mut self, name: String) {
        let text = if self.look.colours {
            format!("theme: {name}")
        } else {
            format!("theme: {name}; this terminal has no colours to show it in")
        };
        self.look.shown = name;
        self.notify(text, false);
        self.may_remember();
    }
}
