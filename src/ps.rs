//! `opsctl ps`: commands, those under way and those of late.

mod queued;

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use opsctl_client::Client;
use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{
    Activity, AgentInfo, CommandQuery, CommandSummary, State, TerminalTyped,
};
use opsctl_protocol::selector::Selector;

use crate::agents::{Fleet, fleet, no_match, selected};
use crate::ask::{query, unfinished};
use crate::context::Context;
use crate::exit_code::{self, ExitCode, Failure};
use crate::output::color::{ColorChoice, Style};
use crate::output::table::{Cell, Column, render, terminal_width};
use crate::output::time::{age, span};

/// Without `--all`: commands that ended longer ago are left out.
const RECENT: Duration = Duration::from_hours(1);

/// Without `--all`: at most so many that have ended.
const RECENT_COUNT: usize = 20;

/// The daemon's bound for one answer.
const MOST: u32 = 1000;

/// List commands
///
/// Shows those under way and the newest of the last hour; with --queued those that wait for their agent, each with its
/// place, and the messages that wait for a terminal.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Only those of these agents: names and globs (web-*), labels (env=prod), not, and, or, parentheses
    #[arg(value_name = "SELECT")]
    select: Vec<String>,
    /// Also older ones
    #[arg(short, long)]
    all: bool,
    /// Only those that wait: by agent, in the order in which they will go
    #[arg(long, conflicts_with_all = ["all", "state"])]
    queued: bool,
    /// Only those in this state; can be repeated
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Vec<State>,
    /// At most so many, newest first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: Option<u32>,
    /// Print one JSON document
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Only the ids
    #[arg(short, long)]
    quiet: bool,
    /// Colour states
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorChoice,
}

const COLUMNS: [Column; 8] = [
    Column::fixed("ID"),
    Column::flexible("AGENT"),
    Column::fixed("STATE"),
    Column::fixed("EXIT"),
    Column::fixed("AGE"),
    Column::fixed("TIME"),
    Column::flexible("DOING"),
    Column::flexible("COMMAND"),
];

fn state(word: &str) -> Result<State, String> {
    State::from_word(word).ok_or_else(|| {
        "expected queued, delivered, running, exited, failed, cancelled, expired or lost".to_owned()
    })
}

/// Asks and prints.
pub async fn run(args: PsArgs, context: &Context) -> Result<u8> {
    let selector = (!args.select.is_empty()).then(|| args.select.join(" "));
    let selected = selected(selector.as_deref())?;
    let Fleet {
        client,
        events,
        agents,
        at,
    } = fleet(context, context.client("ps")?).await?;
    // From here on only answers are wanted.
    drop(events);
    let (commands, more) = find(&args, selector.as_deref(), context, &client).await?;
    let messages = if args.queued {
        queued::messages(context, &client, selector.clone()).await?
    } else {
        Vec::new()
    };
    print(&args, &commands, &messages, at)?;
    if more {
        let choose = if args.queued {
            "the first in long queues are left out; SELECT chooses agents"
        } else {
            "older ones are left out; --limit, --state and SELECT choose"
        };
        eprintln!("opsctl: {choose}");
    }
    let covered = |agent: &AgentInfo| {
        let covers = |of: &Selector| of.matches(&agent.agent_id, &agent.labels);
        selected.as_ref().is_none_or(covers)
    };
    Ok(if selected.is_none() || agents.iter().any(covered) {
        ExitCode::Ok.into()
    } else {
        no_match(&args.select)
    })
}

/// The commands that are asked for, and whether others were left out.
async fn find(
    args: &PsArgs,
    selector: Option<&str>,
    context: &Context,
    client: &Client,
) -> Result<(Vec<CommandSummary>, bool), Failure> {
    let asked = |states: Vec<State>, limit: u32| CommandQuery {
        selector: selector.map(str::to_owned),
        states,
        limit: Some(limit),
        ..CommandQuery::default()
    };
    let mut more = false;
    let mut commands = Vec::new();
    if args.queued {
        let list = query(context, client, asked(vec![State::Queued], MOST)).await?;
        more = list.more;
        commands = list.commands;
        queued::sort(&mut commands);
        commands.truncate(args.limit.unwrap_or(u32::MAX) as usize);
    } else if args.all || !args.state.is_empty() {
        let list = query(
            context,
            client,
            asked(args.state.clone(), args.limit.unwrap_or(MOST)),
        )
        .await?;
        more = list.more && args.limit.is_none();
        commands = list.commands;
    } else {
        let ended = [
            State::Exited,
            State::Failed,
            State::Cancelled,
            State::Expired,
            State::Lost,
        ];
        let (live, ended) = tokio::join!(
            query(context, client, asked(unfinished(), MOST)),
            query(context, client, asked(ended.to_vec(), RECENT_COUNT as u32)),
        );
        let since = Timestamp::now().0.saturating_sub(RECENT.as_millis() as u64);
        let recent =
            |command: &CommandSummary| command.finished_at.unwrap_or(command.created_at).0 >= since;
        commands.extend(live?.commands);
        commands.extend(ended?.commands.into_iter().filter(recent));
        commands.sort_by_key(|command| std::cmp::Reverse(command.created_at));
        commands.truncate(args.limit.unwrap_or(u32::MAX) as usize);
    }
    Ok((commands, more))
}

fn print(
    args: &PsArgs,
    commands: &[CommandSummary],
    messages: &[TerminalTyped],
    now: Timestamp,
) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if args.json {
        let document = if args.queued {
            serde_json::json!({ "commands": commands, "messages": messages })
        } else {
            serde_json::json!({ "commands": commands })
        };
        serde_json::to_writer_pretty(&mut out, &document)?;
        writeln!(out)?;
    } else if args.quiet {
        for command in commands {
            writeln!(out, "{}", command.command_id)?;
        }
    } else {
        let color = args.color.on(&std::io::stdout());
        let table = if args.queued {
            let rows: Vec<Vec<Cell>> = commands
                .iter()
                .map(|command| queued::row(command, now))
                .collect();
            let commands = render(&queued::COLUMNS, &rows, terminal_width(), color);
            if messages.is_empty() {
                commands
            } else {
                let rows: Vec<_> = messages
                    .iter()
                    .map(|message| queued::message_row(message, now))
                    .collect();
                let messages = render(&queued::MESSAGES, &rows, terminal_width(), color);
                format!("{commands}\n{messages}")
            }
        } else {
            let rows: Vec<Vec<Cell>> = commands.iter().map(row).collect();
            render(&COLUMNS, &rows, terminal_width(), color)
        };
        out.write_all(table.as_bytes())?;
    }
    Ok(())
}

/// What a program is doing, with the reason; empty where it isn't known.
pub(crate) fn doing(activity: Activity, reason: Option<&str>) -> String {
    match (activity, reason) {
        (Activity::Unknown, _) => String::new(),
        (activity, Some(reason)) => format!("{activity}: {reason}"),
        (activity, None) => activity.to_string(),
    }
}

fn row(command: &CommandSummary) -> Vec<Cell> {
    let now = Timestamp::now();
    let exit = match command.state {
        State::Exited => exit_code::of_end(
            command.state,
            command.timed_out,
            command.exit_code,
            command.signal,
        )
        .to_string(),
        _ => String::new(),
    };
    let failed = command.state.is_final() && exit != "0";
    let style = match command.state {
        State::Queued | State::Delivered => Style::Dim,
        State::Running => Style::Good,
        _ if failed => Style::Bad,
        _ => Style::Dim,
    };
    let ran = command.started_at.map_or(String::new(), |started| {
        let until = command.finished_at.unwrap_or(now);
        span(Duration::from_millis(until.0.saturating_sub(started.0)))
    });
    vec![
        command.command_id.short().into(),
        command.agent_id.as_str().into(),
        Cell::styled(command.state.as_str(), style),
        if failed {
            Cell::styled(exit, Style::Bad)
        } else {
            exit.into()
        },
        age(command.created_at, now).into(),
        ran.into(),
        doing(command.activity, command.activity_reason.as_deref()).into(),
        command.program.to_string().into(),
    ]
}
