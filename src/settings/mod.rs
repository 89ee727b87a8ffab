//! Settings: plain values, complete before anything starts. A flag wins over the environment, that over the file, that
//! over the defaults here; `config.example.toml` shows every setting with its default.
//!
//! - [`sections`]: what can be set, with its defaults.
//! - [`mod@file`]: finding and reading the file; errors with their line and column.
//! - [`bounds`]: what single settings may be.
//! - [`environment`]: the `OPSCTL_*` variables.
//! - [`places`]: where sockets and state live when nobody says.
//! - [`values`]: the forms that single settings take.

mod bounds;
mod environment;
mod file;
mod places;
mod sections;
pub mod values;

use std::path::{Path, PathBuf};

use opsctl_link::Endpoint;
use opsctl_protocol::AgentId;
use serde::{Deserialize, Serialize};

use crate::exit_code::{ExitCode, Failure};
use file::Source;

pub use sections::{Agent, Client, Daemon, Format, Limits, Log, Tui};

/// Everything that can be set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The daemon.
    pub daemon: Daemon,
    /// What peers may ask of the daemon.
    pub limits: Limits,
    /// Agents on this host.
    pub agent: Agent,
    /// How clients and agents reach the daemon.
    pub client: Client,
    /// The console.
    pub tui: Tui,
    /// What daemon and agents write about themselves.
    pub log: Log,
    /// The token from `OPSCTL_TOKEN`; never in the file, where others might read it.
    #[serde(skip)]
    pub token: Option<Secret>,
    /// The file that was read, so that a later check can still name a line of it.
    #[serde(skip)]
    source: Option<Source>,
}

/// A text that must not be seen: its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Settings {
    /// Reads the file (`chosen`, else `$OPSCTL_CONFIG`, else the usual place when there is one) and lays the environment
    /// over it.
    ///
    /// # Errors
    /// A [`Failure`] with [`ExitCode::Usage`] that names file, line and column, or the variable, and what is expected.
    pub fn load(chosen: Option<&Path>) -> Result<Self, Failure> {
        let variable = std::env::var_os("OPSCTL_CONFIG").filter(|path| !path.is_empty());
        let mut settings = match chosen.map(PathBuf::from).or(variable.map(PathBuf::from)) {
            Some(path) => file::read(&path)?,
            None => match places::config_file().filter(|path| path.exists()) {
                Some(path) => file::read(&path)?,
                None => Self::default(),
            },
        };
        environment::apply(&mut settings, |name| std::env::var_os(name))?;
        Ok(settings)
    }

    /// Checks that nobody else could have put the socket's directory there. To be called before the socket is used.
    ///
    /// # Errors
    /// The usual place is a temporary directory that is somebody else's.
    pub fn check_socket_dir(&self) -> Result<(), Failure> {
        if self.daemon.socket.0.is_some() {
            return Ok(());
        }
        places::check_socket_dir().map_err(|why| {
            Failure::new(ExitCode::NotAllowed, why)
                .hint("remove it, or choose another socket with OPSCTL_SOCKET")
        })
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.daemon.socket.0.clone().unwrap_or_else(places::socket)
    }

    /// Where daemon and agents keep what outlives them.
    pub fn state_dir(&self) -> PathBuf {
        self.daemon
            .state_dir
            .0
            .clone()
            .unwrap_or_else(places::state_dir)
    }

    /// Where clients and agents look for the daemon.
    pub fn endpoint(&self) -> Endpoint {
        self.client
            .url
            .0
            .clone()
            .unwrap_or_else(|| Endpoint::Unix(self.socket()))
    }

    /// The token for [`Self::endpoint`]: the variable's, else the file's.
    ///
    /// # Errors
    /// The token file cannot be read or is empty.
    pub fn token(&self) -> Result<Option<String>, Failure> {
        if let Some(token) = &self.token {
            return Ok(Some(token.reveal().to_owned()));
        }
        let Some(path) = &self.client.token_file.0 else {
            return Ok(None);
        };
        let unusable = |why: String| {
            Failure::new(
                ExitCode::Usage,
                format!("the token file {} {why}", path.display()),
            )
            .hint("`opsctl token issue` on the daemon's host prints a token to put there")
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| unusable(format!("cannot be read: {error}")))?;
        match text.trim() {
            "" => Err(unusable("is empty".to_owned())),
            token => Ok(Some(token.to_owned())),
        }
    }

    /// The name of an agent on this host: the setting, else the host's own name.
    ///
    /// # Errors
    /// The host's name leaves nothing that could name an agent.
    pub fn agent_name(&self) -> Result<AgentId, Failure> {
        if let Some(name) = &self.agent.name.0 {
            return Ok(name.clone());
        }
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let plain = host.replace(|c: char| !c.is_alphanumeric() && !"._-@".contains(c), "-");
        AgentId::new(plain).map_err(|error| {
            let message = format!("this host's name {host:?} cannot name an agent: {error}");
            Failure::new(ExitCode::Usage, message)
                .hint("choose one with --name, or with name in [agent] of the settings")
        })
    }

    /// The settings (`section.key`) that differ.
    pub fn changes(&self, other: &Self) -> Vec<String> {
        let table = |settings: &Self| toml::Table::try_from(settings).unwrap_or_default();
        let (old, new) = (table(self), table(other));
        let keys = |section: &str| {
            new.get(section)
                .and_then(toml::Value::as_table)
                .cloned()
                .unwrap_or_default()
        };
        new.keys()
            .flat_map(|section| {
                keys(section)
                    .into_iter()
                    .map(move |(key, value)| (section, key, value))
            })
            .filter(|(section, key, value)| {
                old.get(*section).and_then(|old| old.get(key)) != Some(value)
            })
            .map(|(section, key, _)| format!("{section}.{key}"))
            .collect()
    }

    /// Where rule books of the person's own are: beside the settings file, in `rules`.
    pub fn rules_dir(&self) -> Option<PathBuf> {
        let settings = self
            .file()
            .map(Path::to_owned)
            .or_else(places::config_file)?;
        Some(settings.parent()?.join("rules"))
    }

    /// Where themes of the person's own are: beside the settings file, in `themes`.
    pub fn themes_dir(&self) -> Option<PathBuf> {
        let settings = self
            .file()
            .map(Path::to_owned)
            .or_else(places::config_file)?;
        Some(settings.parent()?.join("themes"))
    }

    /// The file that was read.
    pub fn file(&self) -> Option<&Path> {
        self.source.as_ref().map(Source::path)
    }

    /// Where the file sets a key, as `FILE:LINE:COLUMN`; `None` when it doesn't.
    pub fn position(&self, section: &str, key: &str) -> Option<String> {
        self.source.as_ref()?.position(section, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the repository shows people.
    const EXAMPLE: &str = include_str!("../../config.example.toml");

    #[test]
    fn the_example_has_every_setting_with_its_default_and_no_other() {
        let shown: toml::Table = EXAMPLE.parse().unwrap();
        let defaults = toml::Table::try_from(Settings::default()).unwrap();
        assert_eq!(shown, defaults);
    }

    #[test]
    fn the_example_explains_every_setting() {
        let lines: Vec<&str> = EXAMPLE.lines().collect();
        for (at, line) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.contains(" = "))
        {
            if !line.starts_with('#') {
                assert!(
                    lines[at - 1].starts_with("# "),
                    "no explanation above {line:?}"
                );
            }
        }
    }

    #[test]
    fn changes_are_named_by_their_keys() {
        let old = Settings::default();
        let mut new = old.clone();
        assert!(old.changes(&new).is_empty());
        new.log.level = "debug".parse().unwrap();
        new.daemon.ring_lines = 5;
        assert_eq!(old.changes(&new), ["daemon.ring_lines", "log.level"]);
    }

    #[test]
    fn a_token_hides_itself() {
        let settings = Settings {
            token: Some(Secret("eyJ".to_owned())),
            ..Settings::default()
        };
        assert!(!format!("{settings:?}").contains("eyJ"));
    }
}
