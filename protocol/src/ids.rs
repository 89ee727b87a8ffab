//! Names and numbers on the wire, each a type of its own.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::{MAX_INTEGER, MAX_NAME};

/// Milliseconds since the Unix epoch, by the clock of whoever wrote it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bounded(deserializer).map(Self)
    }
}

/// Reads a number that JSON readers in any language hold exactly, and that sums and databases have room above.
pub(crate) fn bounded<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number > MAX_INTEGER {
        return Err(serde::de::Error::custom(format!(
            "{number} is more than 2^53 - 1"
        )));
    }
    Ok(number)
}

/// The same for a number that may be absent.
pub(crate) fn bounded_option<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    /// A number that is there.
    #[derive(Deserialize)]
    struct Bounded(#[serde(deserialize_with = "bounded")] u64);
    Ok(Option::<Bounded>::deserialize(deserializer)?.map(|Bounded(number)| number))
}

impl Timestamp {
    /// The present; a clock before 1970 reads as zero.
    pub fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(since.as_millis() as u64)
    }
}

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name has no characters.
    #[error("a name cannot be empty")]
    Empty,
    /// The name is longer than [`MAX_NAME`] bytes.
    #[error("a name has at most {MAX_NAME} bytes, this one has {0}")]
    TooLong(usize),
    /// A character that selectors, channels or file names give a meaning.
    #[error("a name has letters, digits and . _ - @ only, this one has {0:?}")]
    Character(char),
    /// A name that file systems give a meaning; agents have directories of their name.
    #[error("{0:?} cannot be a name, because it means a directory")]
    Directory(String),
    /// A word of the selector's language.
    #[error("{0:?} is a word of the selector's language and cannot be a name")]
    Reserved(String),
}

/// An agent's name: 1 to 128 letters, digits, `.`, `_`, `-`, `@`; unique within a fleet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct AgentId(String);

impl AgentId {
    /// Checks a name.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        check_name(&name)?;
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME {
        return Err(NameError::TooLong(name.len()));
    }
    if let Some(c) = name
        .chars()
        .find(|c| !c.is_alphanumeric() && !"._-@".contains(*c))
    {
        return Err(NameError::Character(c));
    }
    if matches!(name, "." | "..") {
        return Err(NameError::Directory(name.to_owned()));
    }
    if matches!(name, "not" | "and" | "or") {
        return Err(NameError::Reserved(name.to_owned()));
    }
    Ok(())
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for AgentId {
    type Err = NameError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(s)
    }
}

impl<'de> Deserialize<'de> for AgentId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A command's id: 128 random bits, written as 32 lower-case hex digits. People may shorten it to any unique prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub [u8; 16]);

/// What is not a command id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a command id has 32 hex digits")]
pub struct BadCommandId;

impl CommandId {
    /// A fresh id.
    ///
    /// # Panics
    /// When the system has no randomness to give, which leaves nothing sensible to do.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        Self(bytes)
    }

    /// The first eight digits, which is what people see.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
            pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        f.pad(std::str::from_utf8(&text).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandId({self})")
    }
}

impl FromStr for CommandId {
    type Err = BadCommandId;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s.len() != 32 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BadCommandId);
        }
        let mut bytes = [0; 16];
        for (byte, at) in bytes.iter_mut().zip((0..32).step_by(2)) {
            *byte = u8::from_str_radix(&s[at..at + 2], 16).map_err(|_| BadCommandId)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for CommandId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CommandId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for CommandId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CommandId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-fA-F]{32}$" })
    }
}

/// A concrete channel: `agent:ID`, `command:ID`, `task:ID`, `issue:ID`, `project:ID` or `system`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// One agent's status, its commands' statuses and their output.
    Agent(AgentId),
    /// One command's status and output.
    Command(CommandId),
    /// A channel that only carries what others publish: its kind (`task`, `issue`, `project`) and id.
    Topic(Topic, String),
    /// The daemon's own news, and whatever belongs to nobody else.
    System,
}

/// The kinds of channels that carry only what others publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `task:ID`
    Task,
    /// `issue:ID`
    Issue,
    /// `project:ID`
    Project,
}

/// What is not a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a channel; channels are agent:ID, command:ID, task:ID, issue:ID, project:ID and system"
)]
pub struct BadChannel(pub String);

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Command(id) => write!(f, "command:{id}"),
            Self::Topic(Topic::Task, id) => write!(f, "task:{id}"),
            Self::Topic(Topic::Issue, id) => write!(f, "issue:{id}"),
            Self::Topic(Topic::Project, id) => write!(f, "project:{id}"),
            Self::System => f.write_str("system"),
        }
    }
}

impl FromStr for Channel {
    type Err = BadChannel;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bad = || BadChannel(s.to_owned());
        if s == "system" {
            return Ok(Self::System);
        }
        let (kind, id) = s.split_once(':').ok_or_else(bad)?;
        match kind {
            "agent" => AgentId::new(id).map(Self::Agent).map_err(|_| bad()),
            "command" => id.parse().map(Self::Command).map_err(|_| bad()),
            "task" | "issue" | "project"
                if !id.is_empty() && id.len() <= MAX_NAME && !id.contains('*') =>
            {
                let topic = match kind {
                    "task" => Topic::Task,
                    "issue" => Topic::Issue,
                    _ => Topic::Project,
                };
                Ok(Self::Topic(topic, id.to_owned()))
            }
            _ => Err(bad()),
        }
    }
}

impl Serialize for Channel {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A channel or a pattern over channels: `*` matches any run of characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Checks that the pattern can match a channel at all.
    pub fn new(text: impl Into<String>) -> Result<Self, BadChannel> {
        let text = text.into();
        let kinds = ["agent:", "command:", "task:", "issue:", "project:"];
        let possible = text.len() <= 2 * MAX_NAME
            && (text.parse::<Channel>().is_ok()
                || text.contains('*')
                    && (text.starts_with('*')
                        || kinds.iter().any(|kind| text.starts_with(kind))
                        || text.split('*').next().is_some_and(|head| {
                            "system".starts_with(head)
                                || kinds.iter().any(|kind| kind.starts_with(head))
                        })));
        if possible {
            Ok(Self(text))
        } else {
            Err(BadChannel(text))
        }
    }

    /// The pattern that matches exactly this channel.
    pub fn exactly(channel: &Channel) -> Self {
        Self(channel.to_string())
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The channel, when the pattern has no wildcard.
    pub fn concrete(&self) -> Option<Channel> {
        if self.0.contains('*') {
            None
        } else {
            self.0.parse().ok()
        }
    }

    /// Whether the pattern covers this channel.
    pub fn matches(&self, channel: &Channel) -> bool {
        glob_matches(&self.0, &channel.to_string())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Pattern {
    type Err = BadChannel;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(s)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Whether `pattern` covers all of `text`; `*` matches any run of characters, nothing else is special. Linear in
/// practice: on a mismatch it goes back to the last star only.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            last_star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = last_star {
            p = star + 1;
            t = from + 1;
            last_star = Some((star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(AgentId::new("web-1.example@eu").is_ok());
        assert_eq!(AgentId::new(""), Err(NameError::Empty));
        assert_eq!(AgentId::new("a b"), Err(NameError::Character(' ')));
        assert_eq!(AgentId::new("x".repeat(129)), Err(NameError::TooLong(129)));
        assert!(matches!(AgentId::new("not"), Err(NameError::Reserved(_))));
        assert!(matches!(AgentId::new(".."), Err(NameError::Directory(_))));
    }

    #[test]
    fn command_ids_survive_text() {
        let id = CommandId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("xyz".parse::<CommandId>(), Err(BadCommandId));
        assert_eq!("é".repeat(16).parse::<CommandId>(), Err(BadCommandId));
    }

    #[test]
    fn channels_survive_text() {
        for text in [
            "agent:web-1",
            "command:00112233445566778899aabbccddeeff",
            "task:7",
            "system",
        ] {
            assert_eq!(text.parse::<Channel>().unwrap().to_string(), text);
        }
        for text in [
            "agent:",
            "agent:*",
            "command:7",
            "planet:x",
            "",
            "system:x",
            "task:",
        ] {
            assert!(text.parse::<Channel>().is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_cover_runs_of_characters() {
        let web: Channel = "agent:web-1".parse().unwrap();
        for pattern in ["*", "agent:*", "agent:web-*", "a*1", "agent:web-1", "*web*"] {
            assert!(Pattern::new(pattern).unwrap().matches(&web), "{pattern}");
        }
        for pattern in ["agent:db-*", "system", "agent:web", "s*"] {
            assert!(!Pattern::new(pattern).unwrap().matches(&web), "{pattern}");
        }
        assert!(Pattern::new("planet:*").is_err());
        assert!(glob_matches("a*b*c", "aXbXbXc"));
        assert!(!glob_matches("a*b*c", "aXbXb"));
    }
}
