//! The keys as they are here: the table's, with what the configuration says instead.

use std::collections::{BTreeMap, HashMap};

use super::{Action, Binding, Key, Mode, TABLE};

/// Which keys do what. Rows are those of [`TABLE`].
#[derive(Debug, Clone)]
pub struct Keymap {
    /// The keys of each row, the one to show first.
    rows: Vec<Vec<Key>>,
    /// What each key does in each mode, as an index into the table.
    found: HashMap<(Mode, Key), usize>,
}

/// Why a configuration's keys can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// No row has that name.
    #[error("{name:?} is no action{hint}; docs/keys.md and the console's help (?) list them")]
    NoAction {
        /// What was written.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// A text names no key.
    #[error("{name}: {why}")]
    NoKey {
        /// The action.
        name: String,
        /// What is wrong with its key.
        why: super::NoKey,
    },
    /// A key would do two things.
    #[error(
        "{key} would be both {first} and {second} {place}: give one of them another key, or none with []"
    )]
    Twice {
        /// The key.
        key: String,
        /// The row that comes first in the table.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Where both hold.
        place: &'static str,
    },
    /// A terminal couldn't be left any more.
    #[error("{0} needs a key: without one there is no way out")]
    NoWayOut(&'static str),
}

/// Rows that must keep a key.
const WAYS_OUT: [Action; 2] = [Action::Detach, Action::Quit];

impl Default for Keymap {
    fn default() -> Self {
        Self::new(&BTreeMap::new()).expect("a test holds that the table has no key twice")
    }
}

impl Keymap {
    /// The table's keys with others for the actions named.
    ///
    /// # Errors
    /// A name or a key that doesn't exist, or a key with two meanings in one mode.
    pub fn new(chosen: &BTreeMap<String, Vec<String>>) -> Result<Self, KeysError> {
        let mut rows: Vec<Vec<Key>> = TABLE.iter().map(|row| row.keys.to_vec()).collect();
        for (name, keys) in chosen {
            let at = TABLE.iter().position(|row| row.name == name);
            let at = at.ok_or_else(|| KeysError::NoAction {
                name: name.clone(),
                hint: nearest(name),
            })?;
            let read: Result<Vec<Key>, _> = keys.iter().map(|key| key.parse()).collect();
            rows[at] = read.map_err(|why| KeysError::NoKey {
                name: name.clone(),
                why,
            })?;
            if rows[at].is_empty() && WAYS_OUT.contains(&TABLE[at].action) {
                return Err(KeysError::NoWayOut(TABLE[at].name));
            }
        }
        let mut found = HashMap::new();
        for (at, row) in TABLE.iter().enumerate() {
            for (mode, key) in row
                .modes
                .each()
                .flat_map(|mode| rows[at].iter().map(move |key| (mode, *key)))
            {
                let before = found.insert((mode, key), at);
                if let Some(first) = before.filter(|before| *before != at) {
                    return Err(KeysError::Twice {
                        key: key.to_string(),
                        first: TABLE[first].name,
                        second: row.name,
                        place: mode.place(),
                    });
                }
            }
        }
        Ok(Self { rows, found })
    }

    /// What `key` does in `mode`.
    pub fn action(&self, mode: Mode, key: Key) -> Option<Action> {
        self.found.get(&(mode, key)).map(|at| TABLE[*at].action)
    }

    /// The key to show for `action` in `mode`, where it has one.
    pub fn shown(&self, mode: Mode, action: Action) -> Option<Key> {
        let mut rows = TABLE.iter().zip(&self.rows);
        let (_, keys) = rows.find(|(row, _)| row.action == action && row.modes.contains(mode))?;
        keys.first().copied()
    }

    /// Every row with its keys, in the table's order.
    pub fn rows(&self) -> impl Iterator<Item = (&'static Binding, &[Key])> {
        TABLE.iter().zip(self.rows.iter().map(Vec::as_slice))
    }
}

/// Keys as people read them, one after the other.
pub fn text(keys: &[Key]) -> String {
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    keys.join(" ")
}

/// A hint at the names that share most with what was written.
fn nearest(name: &str) -> String {
    let word = name.split(['-', '_', '.']).next().unwrap_or(name);
    let alike: Vec<&str> = TABLE
        .iter()
        .map(|row| row.name)
        .filter(|known| !word.is_empty() && known.contains(word))
        .take(4)
        .collect();
    if alike.is_empty() {
        String::new()
    } else {
        format!(" (did you mean {}?)", alike.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(name: &str, keys: &[&str]) -> Result<Keymap, KeysError> {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Keymap::new(&BTreeMap::from([(name.to_owned(), keys)]))
    }

    #[test]
    fn a_chosen_key_takes_the_place_of_the_tables() {
        let map = chosen("zoom", &["f5", "alt-z"]).unwrap();
        let does = |key: &str| map.action(Mode::Pane, key.parse().unwrap());
        assert_eq!(does("f5"), Some(Action::Zoom));
        assert_eq!(does("alt-z"), Some(Action::Zoom));
        assert_eq!(does("z"), None);
        assert_eq!(
            map.shown(Mode::Pane, Action::Zoom).unwrap().to_string(),
            "F5"
        );
        assert_eq!(
            chosen("zoom", &[]).unwrap().shown(Mode::Pane, Action::Zoom),
            None
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_to_do() {
        for (name, keys, words) in [
            ("zoon", &["f5"][..], "\"zoon\" is no action"),
            ("view", &["f5"], "did you mean view-fleet"),
            ("zoom", &["hyper-x"], "zoom: \"hyper-x\" names no key"),
            (
                "zoom",
                &["q"],
                "q would be both zoom and quit in the list of agents",
            ),
            ("detach", &[], "detach needs a key"),
        ] {
            let error = chosen(name, keys).expect_err(name).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
