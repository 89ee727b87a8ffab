//! The sections of the settings file, with their defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use opsctl_agent::WhenFull;
use opsctl_protocol::limits;
use opsctl_protocol::message::command::DEFAULT_KILL_GRACE_MS;
use opsctl_tui::alert::Alert;
use opsctl_tui::view::theme::{Ascii, Colors};
use serde::{Deserialize, Serialize};

use super::values::{self, Level, Listen, Name, Place, Size, ThemeName, Time, Url};

/// How long output and history are kept when nobody says.
const MONTH: Duration = Duration::from_hours(30 * 24);

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
    /// How often a WebSocket is tried while long-polling stands for one.
    pub websocket_retry: Time,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            url: Url(None),
            token_file: Place(None),
            connect_timeout: Time(Duration::from_secs(10)),
            websocket_retry: Time(opsctl_client::WEBSOCKET_RETRY),
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
