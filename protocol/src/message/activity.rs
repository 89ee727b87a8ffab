//! What a program is doing, how that is known, and what it asks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::Program;

/// What an agent or one of its commands is doing, as a person would put it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// Has been started and has shown nothing yet.
    Starting,
    /// Busy.
    Working,
    /// Waits for a person.
    Blocked,
    /// Nothing to do.
    Idle,
    /// Finished, not yet looked at.
    Done,
    /// Failed.
    Error,
    /// Not known, and not guessed.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Activity {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Working => "working",
            Self::Blocked => "blocked",
            Self::Idle => "idle",
            Self::Done => "done",
            Self::Error => "error",
            Self::Unknown => "unknown",
        }
    }

    /// All of them, what needs a person most first: the order of lists and counts.
    pub const ALL: [Self; 7] = [
        Self::Blocked,
        Self::Error,
        Self::Done,
        Self::Working,
        Self::Starting,
        Self::Idle,
        Self::Unknown,
    ];

    /// How much it needs a person: larger, the sooner it stands in [`Self::ALL`]. Of an agent's commands the one with the
    /// largest speaks for it.
    pub fn need(self) -> usize {
        let at = Self::ALL.iter().position(|activity| *activity == self);
        Self::ALL.len() - at.unwrap_or(Self::ALL.len())
    }
}

impl std::fmt::Display for Activity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How an activity is known, the most trusted first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ActivitySource {
    /// The program said it itself.
    Program,
    /// From what the program tells its terminal: prompt marks, progress, notifications.
    Signal,
    /// From the text on its screen.
    Rule,
    /// From its process alone: it has started, puts something out, has ended.
    Process,
    /// Never sent; how a reader of this version sees the word of a newer one.
    #[serde(other)]
    Other,
}

impl ActivitySource {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Signal => "signal",
            Self::Rule => "rule",
            Self::Process => "process",
            Self::Other => "other",
        }
    }
}

/// What a program asks a person for, and which keys answer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// What is asked, as it stands on the screen, one line or several.
    pub asked: String,
    /// What to type to approve it.
    pub approve: String,
    /// What to type to deny it.
    pub deny: String,
}

/// What is in front in a terminal: the process group that the keys go to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Foreground {
    /// The words that its leader was started with; empty where nobody can read them. Beyond 512 bytes they are cut off.
    pub argv: Vec<String>,
    /// It is the command's own process, not one that was started from it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// It waits for input, as far as its host can see: it reads single keys (its terminal is not in canonical mode), or
    /// it sleeps and has no children.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reads: bool,
}

impl Foreground {
    /// The same within its bound.
    #[must_use]
    pub fn bounded(self) -> Self {
        let argv = match Program::Argv(self.argv).abridged() {
            Program::Argv(argv) => argv,
            Program::Shell(line) => vec![line],
        };
        Self { argv, ..self }
    }
}
