//! Settings: plain values, complete before anything starts. A flag wins over the environment, that over the file, that
//! over the defaults here; `config.example.toml` shows every setting with its default.
//!
//! - [`mod@file`]: finding and reading the file; errors with their line and column.
//! - [`bounds`]: what single settings may be.
//! - [`environment`]: the `OPSCTL_*` variables.
//! - [`places`]: where sockets and state live when nobody says.
//! - [`values`]: the forms that single settings take.

mod bounds;
mod environment;
mod file;
mod places;
pub mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use opsctl_agent::WhenFull;
use opsctl_link::Endpoint;
use opsctl_protocol::message::command::DEFAULT_KILL_GRACE_MS;
use opsctl_protocol::{AgentId, limits};
use opsctl_tui::alert::Alert;
use opsctl_tui::view::theme::{Ascii, Colors};
use serde::{Deserialize, Serialize};

use crate::exit_code::{ExitCode, Failure};
use file::Source;
use values::{Level, Listen, Name, Place, Size, ThemeName, Time, Url};

/// How long output and history are kept when nobody says.
const MONTH: Duration = Duration::from_hours(30 * 24);

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

/// Settings of the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Daemon {
    /// The TCP address for agents and dashboards of other hosts.
    pub listen: Listen,
    /// The local socket.
    pub socket: Place,
    /// Where everything that outlives the daemon is kept.
    pub state_dir: Place,
    /// Whether `listen` may be an address that other hosts can reach, without encryption.
    pub allow_plaintext: bool,
    /// How long a new connection may take to say who it is.
    pub hello_timeout: Time,
    /// How often each side of a connection must be heard.
    pub heartbeat: Time,
    /// How long a peer may take nothing of what is sent to it.
    pub stall_timeout: Time,
    /// How long a message may take from its first byte to its last.
    pub message_timeout: Time,
    /// How long output may wait for more before it goes out to a dashboard.
    pub batch_limit: Time,
    /// Lines of each command's output that are kept at hand.
    pub ring_lines: u64,
    /// Bytes of each command's output that are kept at hand.
    pub ring_bytes: Size,
    /// The size of all commands' output on disk above which the oldest goes.
    pub log_max_bytes: Size,
    /// The age of output on disk above which it goes; zero keeps it.
    pub log_max_age: Time,
    /// The age above which ended commands and the keys of their requests are forgotten; zero keeps them.
    pub history_max_age: Time,
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            listen: Listen(Some(([127, 0, 0, 1], 7600).into())),
            socket: Place(None),
            state_dir: Place(None),
            allow_plaintext: false,
            hello_timeout: Time(limits::HELLO_TIMEOUT),
            heartbeat: Time(limits::HEARTBEAT),
            stall_timeout: Time(limits::FLUSH_STALL),
            message_timeout: Time(limits::MESSAGE_DEADLINE),
            batch_limit: Time(Duration::from_millis(10)),
            ring_lines: 10_000,
            ring_bytes: Size(4 << 20),
            log_max_bytes: Size(10 << 30),
            log_max_age: Time(MONTH),
            history_max_age: Time(MONTH),
        }
    }
}

/// What peers may ask of the daemon. Rates are for one connection and one type of message; ten seconds' worth may come at
/// once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections in all.
    pub connections: u32,
    /// Connections from one address of another host.
    pub connections_per_address: u32,
    /// Known agents, before new names need tokens of their own.
    pub agents: u32,
    /// `command:request`.
    pub requests_per_second: u32,
    /// `command:query`.
    pub queries_per_second: u32,
    /// `subscribe` and `unsubscribe`.
    pub subscriptions_per_second: u32,
    /// What is published or told.
    pub events_per_second: u32,
    /// What steers: interrupt, cancel, resize, ping.
    pub control_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_address: 2000,
            agents: 20_000,
            requests_per_second: 500,
            queries_per_second: 100,
            subscriptions_per_second: 200,
            events_per_second: 1000,
            control_per_second: 200,
        }
    }
}

/// Settings of agents on this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// The agent's name.
    pub name: Name,
    /// Labels that selectors match.
    #[serde(deserialize_with = "values::labels")]
    pub labels: BTreeMap<String, String>,
    /// How many commands run at once.
    pub max_commands: u32,
    /// How long each step of an escalation (interrupt, terminate, kill) waits when the request doesn't say.
    pub kill_grace: Time,
    /// How much output may wait for the daemon, of all commands together.
    pub spool_bytes: Size,
    /// What happens to programs whose output finds no room there.
    pub spool: WhenFull,
    /// Whether programs outlive the agent.
    pub live_restore: bool,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            name: Name(None),
            labels: BTreeMap::new(),
            max_commands: opsctl_agent::DEFAULT_MAX_COMMANDS,
            kill_grace: Time(Duration::from_millis(DEFAULT_KILL_GRACE_MS)),
            spool_bytes: Size(opsctl_agent::DEFAULT_SPOOL_BYTES),
            spool: WhenFull::default(),
            live_restore: true,
        }
    }
}

/// How clients and agents reach the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    /// The daemon's address.
    pub url: Url,
    /// A file with the token for that address.
    pub token_file: Place,
    /// How long reaching the daemon may take.
    pub connect_timeout: Time,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            url: Url(None),
            token_file: Place(None),
            connect_timeout: Time(Duration::from_secs(10)),
        }
    }
}

/// The console.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tui {
    /// Which theme: `auto`, a built-in one, or one of the person's own.
    pub theme: ThemeName,
    /// How many colours the terminal has.
    pub colors: Colors,
    /// Whether only ASCII is drawn.
    pub ascii: Ascii,
    /// Whether nothing moves by itself.
    pub reduced_motion: bool,
    /// Whether everything is drawn also while the terminal's window has no focus.
    pub draw_unfocused: bool,
    /// What puts its standard input into the clipboard; by the terminal when empty.
    pub copy_command: String,
    /// How the operator's own terminal is called by what is urgent.
    pub alert: Alert,
    /// Other keys for actions of the key table, by their names.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// What daemon and agents write about themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How much.
    pub level: Level,
    /// In what form.
    pub format: Format,
    /// The directory for daily files; stderr when empty.
    pub dir: Place,
    /// How many daily files are kept.
    pub keep: u32,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: Level::default(),
            format: Format::default(),
            dir: Place(None),
            keep: 14,
        }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Human,
    /// An object a line.
    Json,
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
