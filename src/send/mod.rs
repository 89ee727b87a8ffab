//! `opsctl send`: run a command on one agent or many, show what it says as it says it, and end as it ends.
//!
//! - [`request`]: from the arguments to a `command:request`.
//! - [`dry_run`]: whom it would reach.
//! - [`job`]: one command on one agent.
//! - [`watch`]: the loop over everything that happens meanwhile; [`skim`] brings a slow terminal to the present.
//! - [`typing`]: instead, a message into a terminal that runs.
//! - [`input`]: this process's stdin to all of them.
//! - [`form`]: how output is shown; [`prefix`], [`gather`] and [`json`] are such forms.

mod dry_run;
mod form;
mod gather;
mod input;
mod job;
mod json;
mod prefix;
mod request;
mod skim;
mod typing;
mod watch;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use opsctl_protocol::message::{CommandAccepted, ToDashboard};

use crate::ask::{ask, beside};
use crate::attach;
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use crate::output::color::ColorChoice;
use crate::output::printer::print_once;
use crate::settings::values::duration;
use typing::TypeArgs;
use watch::Started;

/// Run a command on one agent or many
///
/// Output comes live, stderr on stderr; with several agents each line starts with its agent's name. Ends with the
/// command's own exit code, with several the highest. Ctrl-C interrupts the command, whose own code still counts; a
/// second one lets go of it, with 130. SIGTERM interrupts it too and lets go of it, with 143. When this terminal is
/// closed (SIGHUP), the command goes on. A daemon that goes away is waited for.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(
    override_usage = "opsctl send SELECT... [OPTIONS] -- COMMAND [ARGS]...\n       \
                            opsctl send SELECT... [OPTIONS] --shell LINE\n       \
                            opsctl send SELECT... [OPTIONS] --type TEXT\n       \
                            opsctl send SELECT... --approve | --deny"
)]
pub struct SendArgs {
    /// Agents: names and globs (web-*, several with commas), labels (env=prod), not, and, or, parentheses
    #[arg(value_name = "SELECT")]
    select: Vec<String>,
    /// The command and its arguments; no shell takes part
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// A line for /bin/sh instead of a command
    #[arg(long, value_name = "LINE", conflicts_with = "command")]
    shell: Option<String>,
    /// Leave these agents out; reads like SELECT
    #[arg(short = 'x', long, value_name = "SELECT")]
    exclude: Vec<String>,
    /// At most so many agents, first by name
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Only list whom it would reach
    #[arg(long)]
    dry_run: bool,
    /// So many agents run it at once
    #[arg(short, long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    fanout: u32,
    /// Interrupt the command after this time (10s, 5m, 500ms; a bare number is seconds)
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    timeout: Option<Duration>,
    /// How long reaching the daemon may take [default: the settings', 10s]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    connect_timeout: Option<Duration>,
    /// Wait this long for agents that are offline or busy
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    ttl: Option<Duration>,
    /// The working directory
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// Set a variable; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// In a terminal of its own; with this one a terminal too, keys go there as with ssh -t
    #[arg(long, overrides_with = "no_pty")]
    pty: bool,
    /// Without a terminal, stdout and stderr apart (default)
    #[arg(long)]
    no_pty: bool,
    /// Leave this process's stdin alone; the command's is empty
    #[arg(short = 'n', long)]
    no_stdin: bool,
    /// The idempotency key: the same request with the same key runs once
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Print the commands' ids and leave them running
    #[arg(long, conflicts_with = "gather")]
    detach: bool,
    /// No names before the lines
    #[arg(short = 'N', long)]
    no_prefix: bool,
    /// Gather equal outputs with equal exit codes, when all have ended
    #[arg(short = 'b', long, conflicts_with_all = ["json", "jsonl"])]
    gather: bool,
    /// One JSON document, when all have ended
    #[arg(long, conflicts_with = "jsonl")]
    json: bool,
    /// A JSON line for each event, as it happens
    #[arg(long)]
    jsonl: bool,
    /// Colour names and stderr's lines
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorChoice,
    #[command(flatten)]
    typing: TypeArgs,
}

const EXAMPLES: &str = "Examples:
  opsctl send web-1 -- uptime
  opsctl send 'web-*' -x web-3 -b -- uname -r
  opsctl send env=prod and not db-1 --shell 'journalctl -n 20 | grep -i error'
  opsctl send coder-1 --type 'now run the tests' --when-idle
  tar c . | opsctl send build --cwd /srv -- tar x";

/// A span of time in which a bare number counts seconds, as timeout(1) and ssh read it.
fn seconds(given: &str) -> Result<Duration, String> {
    if let Ok(seconds) = given.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    duration(given).map_err(|error| error.to_string())
}

fn variable(given: &str) -> Result<(String, String), String> {
    match given.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// Sends, watches, and returns the exit code.
pub async fn run(args: SendArgs, context: &Context) -> Result<u8> {
    let selector = request::selector(&args)?;
    if args.typing.is_wanted() {
        return typing::run(&args, &selector, context).await;
    }
    let mut options = context.client("send")?;
    if let Some(timeout) = args.connect_timeout {
        options.target.connect_timeout = timeout;
    }
    if args.dry_run {
        return dry_run::run(&args, &selector, context, options).await;
    }
    let request = request::build(&args, &selector)?;
    let streams_input = request.spec.stdin == opsctl_protocol::message::Stdin::Stream;
    let (client, mut events) = if args.pty {
        opsctl_client::start_with_room(options, attach::WAITING_EVENTS)
    } else {
        opsctl_client::start(options)
    };
    let answer = beside(&mut events, ask(context, &client, request)).await?;
    let ToDashboard::Accepted(accepted) = answer else {
        return Err(unexpected_answer().into());
    };
    let missing = request::missing(&selector, &accepted);
    if args.detach {
        print_once(&if args.json || args.jsonl {
            json::detached(&accepted, &missing, args.json)
        } else {
            ids(&accepted)
        })?;
        form::report_absent(&accepted, &missing);
        return Ok(request::absence_code(&accepted, &missing));
    }
    if is_interactive(&args, &accepted) {
        let id = accepted.commands[0].command_id;
        return attach::to_started(client, events, id).await;
    }
    let started = Started {
        accepted,
        missing,
        streams_input,
    };
    watch::run(&args, context, client, events, started).await
}

fn unexpected_answer() -> Failure {
    Failure::new(
        ExitCode::General,
        "the daemon answered a request with something else",
    )
}

/// Whether this terminal becomes the command's.
fn is_interactive(args: &SendArgs, accepted: &CommandAccepted) -> bool {
    let plain = !(args.gather || args.json || args.jsonl || args.no_stdin);
    args.pty
        && plain
        && accepted.commands.len() == 1
        && std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal()
}

/// What `--detach` prints: the id alone, or each with its agent.
fn ids(accepted: &CommandAccepted) -> String {
    match &accepted.commands[..] {
        [one] => format!("{}\n", one.command_id),
        many => {
            let line = |one: &opsctl_protocol::message::AcceptedCommand| {
                format!("{}\t{}\n", one.agent_id, one.command_id)
            };
            many.iter().map(line).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_variables_are_read() {
        assert_eq!(seconds("10"), Ok(Duration::from_secs(10)));
        assert_eq!(seconds("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("5m"), Ok(Duration::from_mins(5)));
        assert!(seconds("soon").is_err());
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(variable("=x").is_err() && variable("A").is_err());
    }
}
