//! What the long-running subcommands write about themselves: to stderr, for people on a terminal and as JSON otherwise, or
//! to a file a day. Writing never delays the program: lines that nobody takes are dropped.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context as _, Result};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::settings::values::Level;
use crate::settings::{Format, Log};

/// Lines that may wait for a slow disk or terminal; further ones are dropped. A few seconds of a busy log, and small
/// beside the daemon's memory.
const WAITING_LINES: usize = 4096;

/// The log of this process; lines that still wait are written when it is dropped.
pub struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    _worker: WorkerGuard,
}

impl Logging {
    /// Changes what goes into the log from now on.
    pub fn set_level(&self, level: &Level) {
        // Fails only when the subscriber is gone, which is when nobody logs any more.
        let _ = self.filter.reload(level.filter());
    }
}

/// Starts logging. `part` (`daemon`, `agent`) names the files when they go to a directory.
///
/// # Errors
/// The directory cannot be made or written to.
pub fn start(log: &Log, part: &str) -> Result<Logging> {
    let (writer, worker) = match &log.dir.0 {
        Some(dir) => non_blocking(daily_files(dir, part, log.keep)?),
        None => non_blocking(std::io::stderr()),
    };
    let to_terminal = log.dir.0.is_none() && std::io::stderr().is_terminal();
    let (filter, handle) = reload::Layer::new(log.level.filter());
    let human = match log.format {
        Format::Auto => to_terminal,
        Format::Human => true,
        Format::Json => false,
    };
    let colours = to_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = fmt::layer().with_writer(writer).with_ansi(colours);
    let lines = if human {
        lines.boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
    Ok(Logging {
        filter: handle,
        _worker: worker,
    })
}

fn non_blocking(writer: impl std::io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .finish(writer)
}

fn daily_files(dir: &Path, part: &str, keep: u32) -> Result<RollingFileAppender> {
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(part)
        .filename_suffix("log")
        .max_log_files(keep.max(1) as usize)
        .build(dir)
        .with_context(|| {
            format!(
                "cannot write log files to {} (setting log.dir)",
                dir.display()
            )
        })
}
