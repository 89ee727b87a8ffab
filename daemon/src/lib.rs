//! The middle: every agent connects to the daemon, every dashboard watches it, and what either says goes through one hub.
//!
//! In the order in which data flows:
//!
//! - [`state_dir`]: the daemon's directory and its lock; only one daemon works on it.
//! - [`auth`]: the secret, tokens, and what they permit.
//! - [`drain`]: how the daemon stops.
//! - [`ingress`]: listeners, routes, upgrades; bytes become hub events.
//! - [`activity`]: what programs are doing, as far as it can be known.
//! - [`hub`]: who is online, which command is where, who watches; pure state.
//! - [`core`]: the task that owns the hub and performs its effects.
//! - [`saver`]: rows on their way to the store.
//! - [`ring`]: a bounded history of numbered entries.
//! - [`fanout`]: from channels to sockets, a cursor for each subscriber.
//! - [`log`]: the output log behind the rings.
//! - [`store`]: agents, requests and commands in a database.
//! - [`cold`]: commands that are no longer in memory.
//! - [`retention`]: rows that nobody wants to know of any more.
//! - [`premises`]: what all of it takes of the disk.

pub mod activity;
pub mod auth;
pub mod cold;
pub mod core;
pub mod drain;
pub mod fanout;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod hub;
pub mod ingress;
pub mod log;
pub mod premises;
pub mod retention;
pub mod ring;
pub mod saver;
pub mod state_dir;
pub mod store;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use opsctl_link::Patience;
use opsctl_protocol::CommandId;
use opsctl_protocol::limits::silence;

use crate::activity::{Rules, Screens};
use crate::auth::{Secret, SecretError};
use crate::core::{Core, EVENT_QUEUE};
use crate::drain::Edges;
use crate::fanout::delivery::{Sources, Streams};
use crate::fanout::departures::Departures;
use crate::fanout::keyframe::Keyframes;
use crate::hub::{Hub, HubOptions};
use crate::ingress::limits::{Limits, announced};
use crate::ingress::listen::{self, ListenError};
use crate::ingress::{Lobby, Serving};
use crate::log::{Durable, Log, LogError, LogOptions, Opened};
use crate::premises::Premises;
use crate::ring::Bounds;
use crate::state_dir::{StateDir, StateDirError};
use crate::store::{Sqlite, Store, StoreError};

/// How long the hub and the log may take to write what is behind when the daemon stops. What they don't manage has not
/// been acknowledged, and comes again.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// Into how many segments the output log is divided at least, where their bounds permit it: what goes at once when it
/// reaches its size is one of them.
const SEGMENTS: u64 = 16;

/// Smaller segments, in bytes, would only make more files.
const SMALLEST_SEGMENT: u64 = 256 << 10;

/// Larger ones, in bytes, would make a start slow: the last one is read whole.
const LARGEST_SEGMENT: u64 = 64 << 20;

/// How the daemon runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where secret, database and output log are.
    pub state_dir: PathBuf,
    /// The unix socket.
    pub socket: PathBuf,
    /// The TCP address; none for the unix socket alone.
    pub listen: Option<SocketAddr>,
    /// Whether an address that other hosts can reach may be listened on without TLS.
    pub allow_plaintext: bool,
    /// How long a fresh connection may take to say who it is.
    pub hello_timeout: Duration,
    /// How long output may wait for more before it goes out to a dashboard.
    pub batch_limit: Duration,
    /// How long connections may take over what.
    pub patience: Patience,
    /// What peers may ask of the daemon.
    pub limits: Limits,
    /// Lines of output that a command's ring holds.
    pub ring_lines: usize,
    /// Bytes of output that a command's ring holds.
    pub ring_bytes: usize,
    /// Bytes that the output log keeps; the oldest go first.
    pub log_max_bytes: u64,
    /// How long the output log keeps output; zero for as long as there is room.
    pub log_max_age: Duration,
    /// How long the store keeps commands that have ended, and keys of requests; zero for ever.
    pub history_max_age: Duration,
    /// The program's version, as peers are told.
    pub version: &'static str,
    /// What is made of programs' screens.
    pub rules: Arc<Rules>,
}

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The daemon cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The output log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A defect ended the hub; its message is in the log.
    #[error("the daemon has a defect and must be restarted, nothing is lost by that: {0}")]
    Hub(String),
}

impl DaemonError {
    /// Whether another program has what this daemon wants: the directory, the socket, the address.
    pub fn is_taken(&self) -> bool {
        matches!(
            self,
            Self::StateDir(StateDirError::Held { .. })
                | Self::Listen(ListenError::SocketInUse(_) | ListenError::AddressInUse(_))
        )
    }
}

/// Runs the daemon until `stop`. Everything that can be wrong is found before the first connection is taken.
pub async fn run(options: Options, stop: CancellationToken) -> Result<(), DaemonError> {
    let state_dir = StateDir::open(&options.state_dir)?;
    let secret = Arc::new(Secret::load_or_create(&state_dir.secret_path())?);
    let tcp = match options.listen {
        Some(address) => Some(listen::tcp(address, options.allow_plaintext)?),
        None => None,
    };
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&state_dir.db_path())?);
    let (log, durable) = open_log(&options, &state_dir)?;
    let (events, queue) = mpsc::channel(EVENT_QUEUE);
    let sources = sources(log.clone());
    let premises = Premises::new(&state_dir, log.clone(), options.log_max_bytes);
    let core = restore(
        &options,
        &store,
        premises,
        (log.clone(), durable),
        &sources,
        events.clone(),
    )
    .await?;
    // Last of all that can fail, so that no failed start leaves a socket behind.
    let unix = listen::unix(&options.socket)?;
    let edges = Edges::new(Lobby::new(options.limits.caps));
    let closing = Arc::clone(&store);
    let history = retention::run(Arc::clone(&store), options.history_max_age, stop.clone());
    edges.doors.tasks.spawn(history);
    let departures = Departures::new(options.batch_limit);
    let context = ingress::Context {
        events: events.clone(),
        store,
        sources,
        secret,
        hello_timeout: options.hello_timeout,
        departures: departures.clone(),
        patience: options.patience,
        agent_rates: Arc::new(options.limits.agent()),
        dashboard_rates: Arc::new(options.limits.dashboard()),
        edges: edges.clone(),
        conns: Arc::new(AtomicU64::new(0)),
        polls: Arc::default(),
        version: options.version,
    };
    let hub_stop = CancellationToken::new();
    let mut hub = tokio::spawn(core.run(queue, hub_stop.clone()));
    tokio::spawn(departures.run(hub_stop.clone()));
    let serving = Serving::new(
        ingress::router(context),
        edges.clone(),
        options.hello_timeout,
        silence(options.patience.heartbeat),
    );
    edges.doors.tasks.spawn(serving.clone().unix(unix));
    tracing::info!(socket = %options.socket.display(), state_dir = %options.state_dir.display(), "listening");
    if let Some(tcp) = tcp {
        announce(&state_dir, &tcp);
        edges.doors.tasks.spawn(serving.tcp(tcp));
    }
    wait_for_the_end(&stop, &mut hub).await?;
    tracing::info!(connections = edges.lobby.len(), "stopping");
    edges
        .drain(&events, || {
            // Connecting to a socket that nobody serves says "refused"; without the file it says that there is no daemon.
            let _ = std::fs::remove_file(&options.socket);
        })
        .await;
    drop(events);
    hub_stop.cancel();
    write_the_rest(hub, log, closing).await?;
    tracing::info!("stopped");
    Ok(())
}

fn open_log(options: &Options, state_dir: &StateDir) -> Result<(Log, Durable), LogError> {
    let log_options = LogOptions {
        segment_bytes: (options.log_max_bytes / SEGMENTS).clamp(SMALLEST_SEGMENT, LARGEST_SEGMENT),
        max_bytes: options.log_max_bytes,
        max_age: options.log_max_age,
        ..LogOptions::default()
    };
    let Opened { log, durable, cut } = Log::open(state_dir.log_dir(), log_options)?;
    if let Some(cut) = cut {
        tracing::warn!(
            ?cut,
            "the output log ended in an unfinished record, which was cut off"
        );
    }
    Ok((log, durable))
}

/// Waits for `stop`. Only a defect ends the hub before; a daemon without one serves nobody, but would look as if it did.
async fn wait_for_the_end(
    stop: &CancellationToken,
    hub: &mut JoinHandle<()>,
) -> Result<(), DaemonError> {
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = hub => Err(hub_failed(ended.err())),
    }
}

/// Lets hub, log and store write what is behind, for a while.
async fn write_the_rest(
    hub: JoinHandle<()>,
    log: Log,
    store: Arc<dyn Store>,
) -> Result<(), DaemonError> {
    let written = async {
        hub.await.map_err(|error| hub_failed(Some(error)))?;
        log.close().await?;
        if let Err(error) = store.close().await {
            // What was committed is in the write-ahead log; the next start takes it from there.
            tracing::warn!(%error, "the database could not be tidied up");
        }
        Ok(())
    };
    timeout(LAST_WRITES, written).await.unwrap_or_else(|_| {
        tracing::warn!("the hub, the store or the log did not write all of it in time");
        Ok(())
    })
}

fn hub_failed(error: Option<JoinError>) -> DaemonError {
    DaemonError::Hub(error.map_or_else(|| "it ended early".to_owned(), |error| error.to_string()))
}

/// Writes the TCP address into the state directory, for those who asked for any free port.
fn announce(state_dir: &StateDir, tcp: &tokio::net::TcpListener) {
    match tcp.local_addr() {
        Ok(address) => {
            tracing::info!(%address, "listening");
            if let Err(error) = std::fs::write(state_dir.path().join("listen"), address.to_string())
            {
                tracing::warn!(%error, "the address could not be written into the state directory");
            }
        }
        Err(error) => tracing::warn!(%error, "the address cannot be told"),
    }
}

fn sources(log: Log) -> Sources {
    Sources {
        keyframes: Arc::new(Keyframes::new(log.clone())),
        log,
        streams: Streams::default(),
    }
}

/// A hub that knows what the last run of the daemon knew.
async fn restore(
    options: &Options,
    store: &Arc<dyn Store>,
    premises: Premises,
    (log, durable): (Log, Durable),
    sources: &Sources,
    events: mpsc::Sender<hub::Event>,
) -> Result<Core, DaemonError> {
    let epoch: Arc<str> = CommandId::random().short().into();
    let hub_options = HubOptions {
        ring_lines: options.ring_lines,
        ring_bytes: options.ring_bytes,
        max_agents: options.limits.agents,
        heartbeat: options.patience.heartbeat,
        agent_limits: announced(&options.limits.agent()),
        dashboard_limits: announced(&options.limits.dashboard()),
        version: options.version.to_owned(),
        rules: Arc::clone(&options.rules),
    };
    let bounds = Bounds::of_command(options.ring_lines, options.ring_bytes);
    let mut hub = Hub::new(
        hub_options,
        Arc::clone(&epoch),
        Arc::clone(&sources.streams),
    );
    for row in store.agents().await? {
        hub.restore_agent(row);
    }
    let unfinished = store.unfinished().await?;
    let keys: HashSet<&str> = unfinished.iter().map(|row| row.key.as_str()).collect();
    for key in keys.into_iter().filter(|key| !key.is_empty()) {
        let request = store.request(key.to_owned()).await?;
        // Without a bound on its fan-out a request has nothing more to say: the store still knows its key.
        if let Some(request) = request.filter(|request| request.fanout.is_some()) {
            hub.restore_request(request);
        }
    }
    for mut row in unfinished {
        let end = log.end(row.summary.command_id)?.unwrap_or_default();
        row.summary.output_bytes = end;
        let stream = cold::stream(&log, &row, Arc::clone(&epoch), bounds).await?;
        hub.restore_command(row, end, Arc::new(stream));
    }
    for row in store.open_messages().await? {
        hub.restore_message(row);
    }
    let keyframes = Arc::clone(&sources.keyframes);
    let screens = Arc::new(Screens::new(log.clone(), Arc::clone(&options.rules)));
    Ok(Core {
        hub,
        events,
        store: Arc::clone(store),
        log,
        durable,
        keyframes,
        screens,
        premises,
        bounds,
        epoch,
    })
}
