//! What to run, and how.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::bounded_option;

/// What to run: exactly one of a list of arguments and a line for the shell.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Program {
    /// Program and arguments; no shell takes part.
    Argv(Vec<String>),
    /// A line for `/bin/sh -c`.
    Shell(String),
}

impl<'de> Deserialize<'de> for Program {
    /// By hand, because a derived enum that is flattened into its message takes whichever key comes first when both
    /// stand, and runs what the sender may not have meant.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        #[derive(Deserialize)]
        struct Either {
            argv: Option<Vec<String>>,
            shell: Option<String>,
        }
        let either = Either::deserialize(deserializer)?;
        match (either.argv, either.shell) {
            (Some(argv), None) => Ok(Self::Argv(argv)),
            (None, Some(line)) => Ok(Self::Shell(line)),
            (Some(_), Some(_)) => Err(D::Error::custom("argv and shell cannot stand together")),
            (None, None) => Err(D::Error::custom("a command has argv or shell")),
        }
    }
}

/// Bytes of a program that summaries show; the whole of it can be 500 times as long.
const ABRIDGED_BYTES: usize = 512;

impl Program {
    /// Whether this may be what [`Self::abridged`] left of a longer program.
    pub fn is_abridged(&self) -> bool {
        let bytes = match self {
            Self::Shell(line) => line.len(),
            Self::Argv(argv) => argv.iter().map(|word| word.len() + 1).sum(),
        };
        bytes >= ABRIDGED_BYTES
    }

    /// The program as summaries show it: what passes 512 bytes is cut off, with an ellipsis.
    #[must_use]
    pub fn abridged(&self) -> Self {
        let mut left = ABRIDGED_BYTES;
        match self {
            Self::Shell(line) => Self::Shell(abridge(line, &mut left)),
            Self::Argv(argv) => {
                let mut words = Vec::new();
                for word in argv {
                    if left == 0 {
                        break;
                    }
                    words.push(abridge(word, &mut left));
                }
                Self::Argv(words)
            }
        }
    }
}

/// `text`, or as much of it as is left; then nothing is left.
fn abridge(text: &str, left: &mut usize) -> String {
    if text.len() < *left {
        // An empty word takes room too.
        *left -= text.len() + 1;
        return text.to_owned();
    }
    let mut end = std::mem::take(left).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

impl std::fmt::Display for Program {
    /// The command as a person would type it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shell(line) => f.write_str(line),
            Self::Argv(argv) => {
                for (at, word) in argv.iter().enumerate() {
                    if at > 0 {
                        f.write_str(" ")?;
                    }
                    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
                    if !word.is_empty() && word.chars().all(plain) {
                        f.write_str(word)?;
                    } else {
                        write!(f, "'{}'", word.replace('\'', r"'\''"))?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Where a command's standard input comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stdin {
    /// Nowhere: it is empty.
    #[default]
    None,
    /// From `command:input`.
    Stream,
}

/// How to run a command; shared by the request, the execution and the journals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandSpec {
    /// `argv` or `shell`.
    #[serde(flatten)]
    pub program: Program,
    /// In a terminal of its own; else stdout and stderr are kept apart.
    #[serde(default)]
    pub pty: bool,
    /// The terminal's columns.
    #[serde(default = "default_cols")]
    pub cols: u16,
    /// The terminal's rows.
    #[serde(default = "default_rows")]
    pub rows: u16,
    /// The working directory; the agent's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Variables set on top of the agent's environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Where standard input comes from. With `pty`, the terminal takes input either way.
    #[serde(default)]
    pub stdin: Stdin,
    /// Interrupt the command when it has run this long, in milliseconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub timeout_ms: Option<u64>,
    /// How long each step of an escalation (interrupt, terminate, kill) waits, in milliseconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounded_option"
    )]
    pub kill_grace_ms: Option<u64>,
}

pub(super) fn default_cols() -> u16 {
    80
}

pub(super) fn default_rows() -> u16 {
    24
}

/// How long each step of an escalation waits when the request doesn't say, in milliseconds.
pub const DEFAULT_KILL_GRACE_MS: u64 = 5000;

impl CommandSpec {
    /// A command with its defaults: no terminal, no input, no timeout.
    pub fn new(program: Program) -> Self {
        Self {
            program,
            pty: false,
            cols: default_cols(),
            rows: default_rows(),
            cwd: None,
            env: BTreeMap::new(),
            stdin: Stdin::None,
            timeout_ms: None,
            kill_grace_ms: None,
        }
    }

    /// What is wrong with the command, for people.
    pub fn check(&self) -> Result<(), String> {
        use crate::limits::{MAX_COMMAND_BYTES, MAX_TERMINAL_SIDE};
        let (words, empty) = match &self.program {
            Program::Argv(argv) => (argv.clone(), argv.first().is_none_or(String::is_empty)),
            Program::Shell(line) => (vec![line.clone()], line.trim().is_empty()),
        };
        if empty {
            return Err("the command is empty".to_owned());
        }
        let bytes: usize = words
            .iter()
            .chain(self.env.keys())
            .chain(self.env.values())
            .map(|word| word.len() + 1)
            .sum();
        if bytes > MAX_COMMAND_BYTES {
            return Err(format!(
                "arguments and environment have {bytes} bytes, at most {MAX_COMMAND_BYTES} are possible"
            ));
        }
        if words
            .iter()
            .chain(self.env.values())
            .chain(&self.cwd)
            .any(|word| word.contains('\0'))
        {
            return Err("arguments, environment and directory cannot hold a NUL byte".to_owned());
        }
        if let Some(name) = self
            .env
            .keys()
            .find(|name| name.is_empty() || name.contains(['=', '\0']))
        {
            return Err(format!("{name:?} cannot name an environment variable"));
        }
        let side = 1..=MAX_TERMINAL_SIDE;
        if !side.contains(&self.cols) || !side.contains(&self.rows) {
            return Err(format!(
                "a terminal has 1 to {MAX_TERMINAL_SIDE} columns and rows, not {}x{}",
                self.cols, self.rows
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_programs_are_abridged() {
        let short = Program::Argv(vec!["echo".to_owned(), "hi".to_owned()]);
        assert_eq!(short.abridged(), short);
        let long = Program::Argv(vec!["echo".to_owned(), "é".repeat(9000), "more".to_owned()]);
        let Program::Argv(words) = long.abridged() else {
            panic!("it stays what it was")
        };
        assert_eq!(words.len(), 2);
        assert!(words[1].len() < 520 && words[1].ends_with('…'));
        let Program::Shell(line) = Program::Shell("x".repeat(600)).abridged() else {
            panic!("it stays what it was")
        };
        assert_eq!(line.chars().count(), 513);
        let Program::Argv(words) = Program::Argv(vec![String::new(); 100_000]).abridged() else {
            panic!("it stays what it was")
        };
        assert!(words.len() <= 512);
    }
}
