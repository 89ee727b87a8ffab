//! The root command: global flags, the table of subcommands, and the way from arguments to an exit code.

use std::fmt::Write as _;
use std::io;
use std::num::NonZero;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use crate::agent::{self, AgentArgs};
use crate::agents::{self, AgentsArgs};
use crate::attach::{self, AttachArgs};
use crate::cancel::{self, CancelArgs};
use crate::context::Context;
use crate::daemon::{self, DaemonArgs};
use crate::down::{self, DownArgs};
use crate::exit_code::{self, ExitCode};
use crate::forget::{self, ForgetArgs};
use crate::interrupt::{self, InterruptArgs};
use crate::logs::{self, LogsArgs};
use crate::notify::{self, NotifyArgs};
use crate::ps::{self, PsArgs};
use crate::report::{self, ReportArgs};
use crate::schema::{self, SchemaArgs};
use crate::send::{self, SendArgs};
use crate::settings::Settings;
use crate::settings::values::{Place, Url};
use crate::status::{self, StatusArgs};
use crate::task::{self, TaskArgs};
use crate::token::{self, TokenArgs};
use crate::tui::{self, TuiArgs};
use crate::up::{self, UpArgs};

/// Watch and drive a fleet of agents from a terminal.
#[derive(Debug, Parser)]
#[command(
    name = "opsctl",
    version,
    disable_help_subcommand = true,
    subcommand_required = true
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every subcommand takes.
#[derive(Debug, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "these are the flags' help, where backticks would show"
)]
#[command(next_help_heading = "Global options")]
struct GlobalArgs {
    /// Settings file [env: OPSCTL_CONFIG] [default: the usual place]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The daemon's address: ws://HOST:PORT, wss://HOST:PORT [env: OPSCTL_URL] [default: the local socket]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<Url>,
    /// The daemon's local socket [env: OPSCTL_SOCKET]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Where daemon and agents on this host keep what outlives them [env: OPSCTL_STATE_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// A file with the token for the daemon's address [env: OPSCTL_TOKEN_FILE, OPSCTL_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Every subcommand. `opsctl holder`, which agents start for themselves, is not among them: see [`main`].
#[derive(Debug, Subcommand)]
enum Command {
    Up(UpArgs),
    Down(DownArgs),
    Daemon(DaemonArgs),
    Agent(AgentArgs),
    Tui(TuiArgs),
    Send(Box<SendArgs>),
    Agents(AgentsArgs),
    Ps(PsArgs),
    Logs(LogsArgs),
    Attach(AttachArgs),
    Interrupt(InterruptArgs),
    Cancel(CancelArgs),
    Forget(ForgetArgs),
    Status(StatusArgs),
    Report(ReportArgs),
    Notify(NotifyArgs),
    Task(TaskArgs),
    Token(TokenArgs),
    Schema(SchemaArgs),
}

/// The subcommands as `--help` groups them.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Start here", &["up", "down", "status"]),
    (
        "Watch and drive",
        &[
            "tui",
            "send",
            "attach",
            "agents",
            "ps",
            "logs",
            "interrupt",
            "cancel",
            "forget",
        ],
    ),
    ("From within a terminal", &["report", "notify", "task"]),
    ("Run the parts", &["daemon", "agent"]),
    ("Access and contract", &["token", "schema"]),
];

/// Runs the program, from the process's arguments to the code it exits with.
pub fn main() -> u8 {
    let cli = match command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to tell it to when this fails.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::Usage.into()
            } else {
                ExitCode::Ok.into()
            };
        }
    };
    match execute(cli) {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::Ok.into(),
        Err(error) => exit_code::report(&error),
    }
}

fn execute(cli: Cli) -> Result<u8> {
    if let Some(done) = cli.command.run_alone() {
        return done;
    }
    let settings = cli.global.settings()?;
    let context = Context {
        settings,
        reload: Box::new(move || cli.global.settings()),
    };
    let runtime = cli.command.runtime().context("cannot start the runtime")?;
    runtime.block_on(async {
        match cli.command {
            Command::Up(args) => up::run(args, &context).await,
            Command::Down(args) => down::run(args, &context).await,
            Command::Daemon(args) => daemon::run(args, &context).await,
            Command::Agent(args) => agent::run(args, &context).await,
            Command::Tui(args) => tui::run(args, &context).await,
            Command::Send(args) => send::run(*args, &context).await,
            Command::Agents(args) => agents::run(args, &context).await,
            Command::Ps(args) => ps::run(args, &context).await,
            Command::Logs(args) => logs::run(args, &context).await,
            Command::Attach(args) => attach::run(args, &context).await,
            Command::Interrupt(args) => interrupt::run(args, &context).await,
            Command::Cancel(args) => cancel::run(args, &context).await,
            Command::Forget(args) => forget::run(args, &context).await,
            Command::Status(args) => status::run(args, &context).await,
            Command::Token(args) => token::run(args, &context),
            Command::Report(args) => report::run(&args),
            Command::Notify(args) => notify::run(&args),
            Command::Task(args) => task::run(&args),
            Command::Schema(_) => schema::run(),
        }
    })
}

/// Threads of the daemon that wait for files at the same time. Few: each has a stack, and an arena of the allocator's that
/// keeps what it once had.
const READERS: usize = 8;

impl Command {
    /// Runs what needs no settings, and so suffers from no bad ones: hooks wait for these.
    fn run_alone(&self) -> Option<Result<u8>> {
        match self {
            Self::Report(args) => Some(report::run(args)),
            Self::Notify(args) => Some(notify::run(args)),
            Self::Task(args) => Some(task::run(args)),
            Self::Schema(_) => Some(schema::run()),
            _ => None,
        }
    }

    /// The daemon serves many at once; everything else waits for one thing at a time. Half the cores are left to the
    /// programs, agents and clients beside it: on two cores a second worker made 100 MB through `send` slower and the
    /// slowest keys slower still, because every piece woke a thread on the other core.
    fn runtime(&self) -> io::Result<Runtime> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        match self {
            Self::Daemon(_) => Builder::new_multi_thread()
                .worker_threads((cores / 2).max(1))
                .max_blocking_threads(READERS)
                .enable_all()
                .build(),
            _ => Builder::new_current_thread().enable_all().build(),
        }
    }
}

impl GlobalArgs {
    /// The settings with these flags on top.
    fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::load(self.config.as_deref())?;
        if let Some(socket) = &self.socket {
            settings.daemon.socket = Place(Some(std::path::absolute(socket)?));
            // A socket on the command line wins over a URL from the environment or the file.
            settings.client.url = Url(None);
        }
        if let Some(state_dir) = &self.state_dir {
            settings.daemon.state_dir = Place(Some(std::path::absolute(state_dir)?));
        }
        if let Some(url) = &self.url {
            settings.client.url = url.clone();
        }
        if let Some(token_file) = &self.token_file {
            settings.client.token_file = Place(Some(std::path::absolute(token_file)?));
            settings.token = None;
        }
        Ok(settings)
    }
}

/// The root command with the groups and the exit codes in its help.
fn command() -> clap::Command {
    let root = Cli::command();
    let mut groups = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(groups, "{title}:");
        for name in names {
            let about = root
                .find_subcommand(name)
                .and_then(clap::Command::get_about);
            let _ = writeln!(
                groups,
                "  {name:<10} {}",
                about.cloned().unwrap_or_default()
            );
        }
        groups.push('\n');
    }
    root.help_template(
        "{about}\n\n{usage-heading} {usage}\n\n{before-help}Options:
{options}\n{after-help}",
    )
    .before_help(groups)
    .after_help(exit_code::table())
}

/// Whether an error only says that nobody reads the output any more, as in `opsctl ps | head -1`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let direct = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        // What serde_json wraps is no link of the chain.
        let json = cause.downcast_ref::<serde_json::Error>();
        let kind = direct.or_else(|| json?.io_error_kind());
        kind == Some(io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_subcommand_is_in_one_group() {
        let root = Cli::command();
        let mut declared: Vec<&str> = root
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        let mut grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().copied())
            .collect();
        declared.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(declared, grouped);
    }

    #[test]
    fn help_shows_groups_and_exit_codes() {
        insta::assert_snapshot!(command().term_width(100).render_help());
    }
}
