//! `opsctl daemon`: the middle of the fleet, under systemd or by hand.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use opsctl_daemon::ingress::limits::Limits;
use opsctl_daemon::ingress::{Caps, LOCAL_RESERVE};
use opsctl_daemon::{DaemonError, Options};
use opsctl_link::Patience;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::background;
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use crate::logging::{self, Logging};
use crate::rules;
use crate::settings::Settings;
use crate::settings::values::{Listen, Place};
use crate::signals::Stops;

/// Run the daemon in the foreground
#[derive(Debug, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "these are the flags' help, where backticks would show"
)]
pub struct DaemonArgs {
    /// The TCP address to listen on, or none [env: OPSCTL_LISTEN] [default: 127.0.0.1:7600]
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<Listen>,
    /// Write the log to a file a day in this directory instead of stderr
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// Leave the caller's session
    #[arg(long, hide = true)]
    detached: bool,
}

/// Runs the daemon until it is told to stop.
pub async fn run(args: DaemonArgs, context: &Context) -> Result<u8> {
    if args.detached {
        background::detach();
    }
    let settings = &context.settings;
    let mut log = settings.log.clone();
    log.dir = args.log_dir.map_or(log.dir, |dir| Place(Some(dir)));
    let listen = args.listen.unwrap_or(settings.daemon.listen);
    settings.check_socket_dir()?;
    check_plaintext(settings, listen, args.listen.is_some())?;
    let logging = logging::start(&log, "daemon")?;
    let stop = CancellationToken::new();
    tokio::spawn(Stops::listen()?.run(stop.clone()));
    let options = Options {
        state_dir: settings.state_dir(),
        socket: settings.socket(),
        listen: listen.0,
        allow_plaintext: settings.daemon.allow_plaintext,
        hello_timeout: settings.daemon.hello_timeout.0,
        batch_limit: settings.daemon.batch_limit.0,
        patience: Patience {
            heartbeat: settings.daemon.heartbeat.0,
            stall: settings.daemon.stall_timeout.0,
            message: settings.daemon.message_timeout.0,
        },
        limits: limits(settings, raise_open_files()),
        ring_lines: settings.daemon.ring_lines as usize,
        ring_bytes: settings.daemon.ring_bytes.0 as usize,
        log_max_bytes: settings.daemon.log_max_bytes.0,
        log_max_age: settings.daemon.log_max_age.0,
        history_max_age: settings.daemon.history_max_age.0,
        version: env!("CARGO_PKG_VERSION"),
        rules: Arc::new(rules::load(settings.rules_dir().as_deref())),
    };
    tokio::select! {
        ended = opsctl_daemon::run(options, stop) => ended.map_err(failure)?,
        failed = reload_on_hangup(context, &logging) => failed?,
    }
    Ok(ExitCode::Ok.into())
}

/// Open files beside the connections: the log's segments, the database, the listeners, the program itself.
const OTHER_FILES: u64 = 256;

/// What peers may ask, with no more connections than there can be open files.
fn limits(settings: &Settings, open_files: u64) -> Limits {
    let limits = &settings.limits;
    let reserve = OTHER_FILES + LOCAL_RESERVE as u64;
    let possible = open_files.saturating_sub(reserve).max(1);
    if possible < u64::from(limits.connections) {
        tracing::warn!(
            possible,
            open_files,
            "the system's limit of open files permits fewer connections than limits.connections"
        );
    }
    Limits {
        caps: Caps {
            total: u64::from(limits.connections).min(possible) as usize,
            per_address: limits.connections_per_address as usize,
        },
        agents: limits.agents as usize,
        requests: limits.requests_per_second,
        queries: limits.queries_per_second,
        subscriptions: limits.subscriptions_per_second,
        events: limits.events_per_second,
        control: limits.control_per_second,
    }
}

/// Lets the process have as many open files as it may: each connection is one. Returns how many.
fn raise_open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            current.unwrap_or(u64::MAX)
        }
    }
}

/// Where the address came from is named here, since the daemon itself cannot know it.
fn check_plaintext(settings: &Settings, listen: Listen, by_flag: bool) -> Result<(), Failure> {
    let exposed = listen.0.is_some_and(|address| !address.ip().is_loopback());
    if !exposed || settings.daemon.allow_plaintext {
        return Ok(());
    }
    let place = match settings.position("daemon", "listen") {
        _ if by_flag => "--listen".to_owned(),
        _ if std::env::var_os("OPSCTL_LISTEN").is_some() => "OPSCTL_LISTEN".to_owned(),
        Some(position) => position,
        None => "daemon.listen".to_owned(),
    };
    let message =
        format!("{place}: other hosts can reach {listen}, and opsctl doesn't encrypt by itself");
    Err(Failure::new(ExitCode::Usage, message).hint(
        "listen on a loopback address behind a proxy that encrypts, or set allow_plaintext = true in [daemon]",
    ))
}

/// A daemon's failure with its exit code.
fn failure(error: DaemonError) -> Failure {
    let code = if error.is_taken() {
        ExitCode::InUse
    } else {
        ExitCode::General
    };
    Failure::new(code, format!("{:#}", anyhow::Error::from(error)))
}

/// Reads the settings anew at each SIGHUP, applies what can be applied, and says what cannot. Ends only with an error.
async fn reload_on_hangup(context: &Context, logging: &Logging) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut current = context.settings.clone();
    loop {
        if hangup.recv().await.is_none() {
            // Nothing can be heard any more; the daemon goes on without.
            std::future::pending::<()>().await;
        }
        match (context.reload)() {
            Ok(new) => {
                apply(&current, &new, logging);
                current = new;
            }
            Err(error) => tracing::error!("SIGHUP: nothing was reloaded: {error:#}"),
        }
    }
}

/// The only setting that takes effect at once is what goes into the log.
fn apply(old: &Settings, new: &Settings, logging: &Logging) {
    let changed = old.changes(new);
    let (now, later): (Vec<String>, Vec<String>) =
        changed.into_iter().partition(|key| key == "log.level");
    if !now.is_empty() {
        logging.set_level(&new.log.level);
    }
    tracing::info!(applied = now.join(", "), "SIGHUP: settings reloaded");
    if !later.is_empty() {
        tracing::warn!(
            settings = later.join(", "),
            "SIGHUP: these settings take effect at the next start"
        );
    }
}
