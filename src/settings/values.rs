//! The forms that settings take as text. Each reads the same from the file, the environment and the command line, and
//! each refusal says what is expected.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use opsctl_link::Endpoint;
use opsctl_protocol::AgentId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tracing_subscriber::EnvFilter;

/// Why a text is not a value of its setting; names the text and what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(String);

fn bad(given: &str, expected: impl fmt::Display) -> BadValue {
    BadValue(format!("{given:?} is not valid here: expected {expected}"))
}

/// Gives a type its TOML form from [`FromStr`] and [`fmt::Display`].
macro_rules! as_text {
    ($($name:ty),+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

as_text!(Listen, Time, Size, Place, Url, Name, Level, ThemeName);

/// A TCP address to listen on, or none: `127.0.0.1:7600`, `[::1]:7600`, `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

impl FromStr for Listen {
    type Err = BadValue;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        match given.trim() {
            "" | "none" => Ok(Self(None)),
            text => text
                .parse()
                .map(|address| Self(Some(address)))
                .map_err(|_| {
                    bad(
                        given,
                        "IP:PORT, such as \"127.0.0.1:7600\", or \"none\" for no TCP at all",
                    )
                }),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("none"),
        }
    }
}

/// A span of time: a whole number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Duration);

/// Milliseconds in each unit, longest first, so that printing takes the longest that divides.
const TIME_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

impl FromStr for Time {
    type Err = BadValue;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let text = given.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = TIME_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, ms)| *ms);
        number
            .parse::<u64>()
            .ok()
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor))
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(|| {
                bad(
                    given,
                    "a whole number and ms, s, m, h or d, such as \"10s\"",
                )
            })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis() as u64;
        let fits = |(_, factor): &&(&str, u64)| ms > 0 && ms.is_multiple_of(*factor);
        match TIME_UNITS.iter().find(fits) {
            Some((unit, factor)) => write!(f, "{}{unit}", ms / factor),
            None => f.write_str("0s"),
        }
    }
}

/// A span of time from the command line; shared by every `--timeout`, `--ttl` and their like.
pub fn duration(given: &str) -> Result<Duration, BadValue> {
    given.parse::<Time>().map(|time| time.0)
}

/// A number of bytes: a whole number, perhaps with `KiB`, `MiB` or `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// Bytes in each unit, largest first, so that printing takes the largest that divides.
const SIZE_UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("", 1),
];

impl FromStr for Size {
    type Err = BadValue;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let text = given.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = SIZE_UNITS
            .iter()
            .find(|(name, _)| *name == unit.trim())
            .map(|(_, bytes)| *bytes);
        number
            .parse::<u64>()
            .ok()
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| {
                bad(
                    given,
                    "a number of bytes, such as \"64MiB\" (KiB, MiB, GiB)",
                )
            })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = SIZE_UNITS
            .iter()
            .find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor))
            .unwrap_or(&("", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// A path; empty leaves the choice to opsctl.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place(pub Option<PathBuf>);

impl FromStr for Place {
    type Err = BadValue;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let path = PathBuf::from(given);
        match given {
            "" => Ok(Self(None)),
            // A daemon and a client started in two directories must mean the same place.
            _ if path.is_relative() => {
                Err(bad(given, "an absolute path, or \"\" for the usual place"))
            }
            _ => Ok(Self(Some(path))),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .as_ref()
            .map_or(Ok(()), |path| write!(f, "{}", path.display()))
    }
}

/// The name of a theme: `auto`, a built-in one's, or a file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThemeName(pub String);

impl Default for ThemeName {
    fn default() -> Self {
        Self("auto".to_owned())
    }
}

impl FromStr for ThemeName {
    type Err = BadValue;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        if opsctl_tui::themes::is_name(given) {
            return Ok(Self(given.to_owned()));
        }
        let all = opsctl_tui::view::theme::BUILT_IN.join(", ");
        Err(bad(
            given,
            format!("auto, {all}, or the name of a theme of your own (letters, digits, - and _)"),
        ))
    }
}

impl fmt::Display for ThemeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A daemon's address; empty means the local socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Url(pub Option<Endpoint>);

impl FromStr for Url {
    type Err = BadValue;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        if given.is_empty() {
            return Ok(Self(None));
        }
        given
            .parse()
            .map(|endpoint| Self(Some(endpoint)))
            .map_err(|_| {
                bad(
                    given,
                    "ws://HOST:PORT, wss://HOST:PORT, unix:/PATH, or \"\" for the local socket",
                )
            })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .as_ref()
            .map_or(Ok(()), |endpoint| write!(f, "{endpoint}"))
    }
}

/// An agent's name; empty means this host's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Name(pub Option<AgentId>);

impl FromStr for Name {
    type Err = BadValue;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        if given.is_empty() {
            return Ok(Self(None));
        }
        let refused = |why| BadValue(format!("{given:?} cannot name an agent: {why}"));
        AgentId::new(given)
            .map(|name| Self(Some(name)))
            .map_err(refused)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |name| write!(f, "{name}"))
    }
}

/// A label from the command line, `KEY=VALUE`.
pub fn label(given: &str) -> Result<(String, String), BadValue> {
    let (key, value) = given
        .split_once('=')
        .ok_or_else(|| bad(given, "KEY=VALUE"))?;
    check_label(key, value)?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Reads a table of labels, each checked.
pub(super) fn labels<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let labels = BTreeMap::<String, String>::deserialize(deserializer)?;
    for (key, value) in &labels {
        check_label(key, value).map_err(serde::de::Error::custom)?;
    }
    Ok(labels)
}

/// Labels share the alphabet of names, so that selectors can tell them from their own words.
fn check_label(key: &str, value: &str) -> Result<(), BadValue> {
    let refused = |what: &str, text: &str, why| {
        BadValue(format!("{text:?} cannot be a label's {what}: {why}"))
    };
    AgentId::new(key).map_err(|why| refused("key", key, why))?;
    if !value.is_empty() {
        AgentId::new(value).map_err(|why| refused("value", value, why))?;
    }
    Ok(())
}

/// What goes into the log: a level, or tracing's directives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level(String);

impl Level {
    /// The filter that the text describes.
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::builder().parse_lossy(&self.0)
    }
}

impl Default for Level {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for Level {
    type Err = BadValue;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "off, error, warn, info, debug or trace, or directives such as \
                                \"info,opsctl_daemon=debug\"";
        let names_a_level = given.split(',').all(|directive| {
            let level = directive.rsplit('=').next().unwrap_or(directive).trim();
            ["off", "error", "warn", "info", "debug", "trace"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(level))
        });
        // A lone word that is no level would silently become a target that matches nothing.
        if names_a_level && EnvFilter::builder().parse(given).is_ok() {
            Ok(Self(given.to_owned()))
        } else {
            Err(bad(given, EXPECTED))
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a text and prints it again.
    fn round<T: FromStr<Err = BadValue> + fmt::Display>(text: &str) -> Result<String, BadValue> {
        text.parse::<T>().map(|value| value.to_string())
    }

    #[test]
    fn values_survive_text() {
        for text in ["127.0.0.1:7600", "[::1]:80", "none"] {
            assert_eq!(round::<Listen>(text).unwrap(), text);
        }
        for text in ["0s", "10s", "1500ms", "30d", "90m"] {
            assert_eq!(round::<Time>(text).unwrap(), text);
        }
        for text in ["0", "64MiB", "1000", "3GiB"] {
            assert_eq!(round::<Size>(text).unwrap(), text);
        }
        for text in ["", "/run/x.sock"] {
            assert_eq!(round::<Place>(text).unwrap(), text);
        }
        for text in ["", "ws://h:1", "unix:/x"] {
            assert_eq!(round::<Url>(text).unwrap(), text);
        }
        for text in ["info", "info,opsctl_daemon=debug", "off"] {
            assert_eq!(round::<Level>(text).unwrap(), text);
        }
    }

    #[test]
    fn refusals_say_what_is_expected() {
        let refusals = [
            (round::<Listen>("nonsense"), "IP:PORT"),
            (round::<Time>("10"), "\"10s\""),
            (round::<Time>("99999999999999999d"), "\"10s\""),
            (round::<Size>("many"), "64MiB"),
            (round::<Place>("here"), "absolute path"),
            (round::<Url>("ftp://x"), "wss://HOST:PORT"),
            (round::<Name>("a b"), "letters, digits"),
            (round::<Level>("loud"), "debug or trace"),
        ];
        for (refusal, expected) in refusals {
            let message = refusal.unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
