//! From the arguments to a `command:request`.

use std::io::IsTerminal;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use opsctl_protocol::message::{
    CommandAccepted, CommandRequest, CommandSpec, Program, Stdin, Target,
};
use opsctl_protocol::selector::Selector;
use opsctl_protocol::{AgentId, CommandId};

use super::SendArgs;
use crate::exit_code::{ExitCode, Failure};

/// The device number of `/dev/null` on Linux: major 1, minor 3.
const NULL_DEVICE: (u32, u32) = (1, 3);

/// Whom the arguments mean.
///
/// # Errors
/// Nobody is named, or the selector cannot be read.
pub(super) fn selector(args: &SendArgs) -> Result<Selector, Failure> {
    if args.select.is_empty() {
        return Err(Failure::new(ExitCode::Usage, "whom? Name an agent, or select some")
            .hint("opsctl send web-1 -- uptime\nopsctl send '*' -- uptime      (all)\n`opsctl agents` lists them"));
    }
    let selector = read(&args.select.join(" "))?;
    args.exclude.iter().try_fold(selector, |selector, exclude| {
        Ok(selector.without(read(exclude)?))
    })
}

fn read(text: &str) -> Result<Selector, Failure> {
    text.parse()
        .map_err(|error: opsctl_protocol::selector::SelectorError| {
            let failure = Failure::new(ExitCode::Usage, format!("{text:?}: {error}"));
            if text.contains(' ') {
                failure.hint("a command comes after `--`: opsctl send web-1 -- uptime")
            } else {
                failure
            }
        })
}

/// The request.
///
/// # Errors
/// There is no command, or it cannot be one.
pub(super) fn build(args: &SendArgs, selector: &Selector) -> Result<CommandRequest, Failure> {
    let program = match &args.shell {
        Some(line) => Program::Shell(line.clone()),
        None if args.command.is_empty() => {
            return Err(Failure::new(
                ExitCode::Usage,
                "what? Give a command after `--`, or a line with --shell",
            )
            .hint("opsctl send web-1 -- uptime"));
        }
        None => Program::Argv(args.command.clone()),
    };
    let mut spec = CommandSpec::new(program);
    spec.pty = args.pty;
    spec.cwd.clone_from(&args.cwd);
    spec.env = args.env.iter().cloned().collect();
    spec.timeout_ms = args.timeout.map(|timeout| timeout.as_millis() as u64);
    spec.stdin = stdin(args);
    if args.pty {
        take_terminal(&mut spec);
    }
    spec.check()
        .map_err(|why| Failure::new(ExitCode::Usage, why))?;
    let single = selector.single().and_then(|name| AgentId::new(name).ok());
    let (target, fanout) = match single {
        Some(agent) => (Target::Agent(agent), None),
        None => (Target::Selector(selector.to_string()), Some(args.fanout)),
    };
    Ok(CommandRequest {
        key: args
            .key
            .clone()
            .unwrap_or_else(|| CommandId::random().to_string()),
        target,
        spec,
        ttl_ms: args.ttl.map(|ttl| ttl.as_millis() as u64),
        fanout,
        limit: args.limit,
    })
}

/// A terminal of this one's size and kind, where this is one.
fn take_terminal(spec: &mut CommandSpec) {
    if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdout())
        && size.ws_col > 0
        && size.ws_row > 0
    {
        (spec.cols, spec.rows) = (size.ws_col, size.ws_row);
        if let Ok(term) = std::env::var("TERM") {
            spec.env.entry("TERM".to_owned()).or_insert(term);
        }
    }
}

/// Whether this process's stdin is the command's: not a terminal's, and not one that has nothing in it.
fn stdin(args: &SendArgs) -> Stdin {
    if args.no_stdin || args.detach || std::io::stdin().is_terminal() || is_null(0) {
        Stdin::None
    } else {
        Stdin::Stream
    }
}

/// Whether a descriptor is `/dev/null`, which the standard library also puts in the place of a closed stdin.
fn is_null(descriptor: u32) -> bool {
    std::fs::metadata(format!("/proc/self/fd/{descriptor}")).is_ok_and(|file| {
        let device = file.rdev();
        file.file_type().is_char_device()
            && (rustix::fs::major(device), rustix::fs::minor(device)) == NULL_DEVICE
    })
}

/// Names that were spelt out and that nothing runs on; only where naming means wanting (not beside `and` or `not`).
pub(super) fn missing(selector: &Selector, accepted: &CommandAccepted) -> Vec<String> {
    let Selector::Any(of) = selector else {
        return Vec::new();
    };
    let reached = |name: &str| {
        accepted
            .commands
            .iter()
            .any(|command| command.agent_id.as_str() == name)
            || accepted.offline.iter().any(|agent| agent.as_str() == name)
    };
    let names = of
        .iter()
        .filter_map(Selector::single)
        .filter(|name| !reached(name));
    names.map(str::to_owned).collect()
}

/// The code for agents that were meant and not reached.
pub(super) fn absence_code(accepted: &CommandAccepted, missing: &[String]) -> u8 {
    if !accepted.offline.is_empty() {
        ExitCode::AgentOffline.into()
    } else if !missing.is_empty() {
        ExitCode::NoMatch.into()
    } else {
        ExitCode::Ok.into()
    }
}

#[cfg(test)]
mod tests {
    use opsctl_protocol::message::AcceptedCommand;

    use super::*;

    #[test]
    fn misspelt_names_are_found_only_where_naming_means_wanting() {
        let agent = |name: &str| AgentId::new(name).unwrap();
        let accepted = CommandAccepted {
            key: "k".into(),
            commands: vec![AcceptedCommand {
                agent_id: agent("web-1"),
                command_id: CommandId::random(),
            }],
            offline: vec![agent("db")],
        };
        let missing = |text: &str| super::missing(&text.parse().unwrap(), &accepted);
        assert_eq!(missing("web-1,db,wbe-2"), ["wbe-2"]);
        assert!(missing("web-*").is_empty());
        assert!(missing("web-1 and env=prod").is_empty());
        assert_eq!(absence_code(&accepted, &[]), 241);
    }
}
