//! `opsctl logs`: a command's output from the daemon's log, perhaps followed to its end.

use std::pin::pin;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use clap::Args;
use opsctl_client::{ConnState, Event, Events};
use opsctl_protocol::message::{
    CommandStatus, CommandSummary, Kind, Since, State, Subscribe, ToDashboard,
};
use opsctl_protocol::{Channel, CommandId, OutputFrame, Pattern, Timestamp};

use crate::ask::{beside, by_prefix, no_connection};
use crate::context::Context;
use crate::exit_code::{self, ExitCode, Failure};
use crate::output::printer::{Piece, Printer, To};
use crate::output::time::{moment, rfc3339};
use crate::stalled::Stalled;

/// Pieces that may wait for a slow stdout: 1 MiB of output.
const WAITING_PIECES: usize = 32;

/// Show a command's output
///
/// Its stdout goes to stdout, its stderr to stderr. With -f it ends with the command, and with its exit code.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// The command's id, or what it starts with
    #[arg(value_name = "ID")]
    id: String,
    /// Stay until the command ends
    #[arg(short, long)]
    follow: bool,
    /// Only about so many of the last lines
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    /// Only what came since then: a span (10m) or a time (2026-11-21T01:31:24Z)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The time before each line
    #[arg(short, long)]
    timestamps: bool,
    /// Only stdout
    #[arg(long, conflicts_with = "stderr_only")]
    stdout_only: bool,
    /// Only stderr
    #[arg(long)]
    stderr_only: bool,
}

/// Prints, and follows where asked to.
pub async fn run(args: LogsArgs, context: &Context) -> Result<u8> {
    let since = args
        .since
        .as_deref()
        .map(|text| moment(text, Timestamp::now()))
        .transpose();
    let since = since.map_err(|why| Failure::new(ExitCode::Usage, why))?;
    let (client, mut events) = opsctl_client::start(context.client("logs")?);
    let command = beside(&mut events, by_prefix(context, &client, &args.id)).await?;
    let id = command.command_id;
    if !args.follow && matches!(command.state, State::Expired | State::Cancelled) {
        let (id, state) = (id.short(), command.state);
        let reason = command.reason.as_deref();
        let reason = reason.filter(|why| *why != state.to_string());
        let reason = reason.map(|why| format!(" ({why})")).unwrap_or_default();
        eprintln!("opsctl: {id} was not run: {state}{reason}");
    }
    // Beside the events, which the answer may be behind; a refusal shows as the end of events.
    let asked = subscribe(id, args.tail);
    let subscribed = pin!(client.subscribe(asked));
    let mut log = Log {
        view: View::new(&args, since),
        follow: args.follow,
        until: command.output_bytes,
        command,
        seen: None,
        ended: false,
        lost: false,
        gone: false,
        out: Vec::new(),
    };
    let stalled = Stalled::new(client.clone());
    log.run(events, subscribed, stalled, context).await
}

fn subscribe(id: CommandId, tail: Option<u64>) -> Subscribe {
    let since = match tail {
        None => Since {
            offset: Some(0),
            ..Since::default()
        },
        Some(lines) => Since {
            tail_lines: Some(lines),
            ..Since::default()
        },
    };
    Subscribe {
        channel: Pattern::exactly(&Channel::Command(id)),
        since: Some(since),
        lossless: true,
        no_output: false,
    }
}

/// A log on its way to stdout.
struct Log {
    view: View,
    follow: bool,
    command: CommandSummary,
    /// Without `follow`: output from this offset on is not waited for.
    until: u64,
    /// The offset after the last byte that came, once it is known where the output starts.
    seen: Option<u64>,
    /// The command has ended and all of its output has come.
    ended: bool,
    /// The connection was lost and that was said.
    lost: bool,
    /// Some of the output that was asked for is not kept.
    gone: bool,
    out: Vec<Piece>,
}

impl Log {
    async fn run(
        &mut self,
        mut events: Events,
        mut subscribed: std::pin::Pin<
            &mut impl Future<
                Output = Result<opsctl_protocol::message::Subscribed, opsctl_client::RequestError>,
            >,
        >,
        mut stalled: Stalled,
        context: &Context,
    ) -> Result<u8> {
        let printer = Printer::new(WAITING_PIECES);
        let mut answered = false;
        while !self.is_over() {
            tokio::select! {
                biased;
                answer = &mut subscribed, if !answered => {
                    answered = true;
                    let answer = answer.map_err(|error| crate::connect::request_failure(context, error))?;
                    let start = answer.streams.first().and_then(|stream| stream.offset);
                    self.seen = self.seen.or(start);
                }
                event = events.next() => match event {
                    Some(event) => {
                        stalled.heard();
                        self.event(event, context)?;
                    }
                    None => return Err(no_connection(context, ConnState::Closed).into()),
                },
                text = stalled.news() => {
                    self.out.push((To::Stderr, format!("opsctl: {text}\n").into()));
                }
            }
            for piece in std::mem::take(&mut self.out) {
                if printer.print(piece).await.is_err() {
                    return Ok(ExitCode::Ok.into());
                }
            }
        }
        if let Some(rest) = self.view.rest() {
            // A reader that has gone needs no rest.
            let _ = printer.print(rest).await;
        }
        printer.finish().await?;
        let code = if self.follow { self.code() } else { 0 };
        Ok(if code == 0 && self.gone {
            ExitCode::OutputGone.into()
        } else {
            code
        })
    }

    fn is_over(&self) -> bool {
        self.ended || !self.follow && self.seen.is_some_and(|seen| seen >= self.until)
    }

    fn code(&self) -> u8 {
        let command = &self.command;
        exit_code::of_end(
            command.state,
            command.timed_out,
            command.exit_code,
            command.signal,
        )
    }

    fn event(&mut self, event: Event, context: &Context) -> Result<()> {
        match event {
            Event::Output(frame) => {
                self.seen = Some(frame.end());
                self.out.extend(self.view.show(frame));
            }
            Event::Message(decoded) => match decoded.message {
                ToDashboard::Status(status)
                    if status.command_id == self.command.command_id && status.state.is_final() =>
                {
                    self.finished(&status);
                }
                ToDashboard::Gap(gap) => {
                    self.seen = Some(gap.to);
                    self.gone = true;
                    let text = format!(
                        "opsctl: {} bytes are gone: {}\n",
                        gap.to - gap.from,
                        gap.reason
                    );
                    self.out.push((To::Stderr, text.into()));
                }
                _ => {}
            },
            Event::State(state @ ConnState::Refused { .. }) => {
                return Err(no_connection(context, state).into());
            }
            Event::State(ConnState::Waiting { reason, .. }) if !self.lost => {
                self.lost = true;
                let text = format!(
                    "opsctl: the connection to the daemon was lost ({reason}); reconnecting\n"
                );
                self.out.push((To::Stderr, text.into()));
            }
            Event::Dropped { error, .. } => {
                return Err(Failure::new(ExitCode::of_refusal(error.code), error.message).into());
            }
            Event::State(ConnState::Connected) if std::mem::take(&mut self.lost) => {
                self.out
                    .push((To::Stderr, Bytes::from_static(b"opsctl: connected again\n")));
            }
            Event::State(_) | Event::Transport(_) | Event::Connected(_) => {}
        }
        Ok(())
    }

    fn finished(&mut self, status: &CommandStatus) {
        self.ended = true;
        let command = &mut self.command;
        (command.state, command.timed_out) = (status.state, status.timed_out);
        (command.exit_code, command.signal) = (status.exit_code, status.signal);
        if let (true, Some(reason)) = (self.follow, &status.reason) {
            let text = format!("opsctl: {}: {reason}\n", status.state);
            self.out.push((To::Stderr, text.into()));
        }
    }
}

/// What of the output is shown, and how. Pure.
#[derive(Debug)]
struct View {
    since: Option<Timestamp>,
    timestamps: bool,
    stdout: bool,
    stderr: bool,
    /// Stdout and stderr stand in the middle of a line.
    mid_line: [bool; 2],
}

impl View {
    fn new(args: &LogsArgs, since: Option<Timestamp>) -> Self {
        Self {
            since,
            timestamps: args.timestamps,
            stdout: !args.stderr_only,
            stderr: !args.stdout_only,
            mid_line: [false; 2],
        }
    }

    fn show(&mut self, frame: OutputFrame) -> Option<Piece> {
        let to = if frame.kind == Kind::Output {
            To::Stdout
        } else {
            To::Stderr
        };
        let wanted = if to == To::Stdout {
            self.stdout
        } else {
            self.stderr
        };
        let recent = self.since.is_none_or(|since| frame.time >= since);
        if !wanted || !recent || frame.data.is_empty() {
            return None;
        }
        let data = if self.timestamps {
            self.stamped(to, &frame)
        } else {
            frame.data
        };
        Some((to, data))
    }

    /// The time before each line: that of the piece in which the line began.
    fn stamped(&mut self, to: To, frame: &OutputFrame) -> Bytes {
        let stamp = format!("{} ", rfc3339(frame.time));
        let mid_line = &mut self.mid_line[usize::from(to == To::Stderr)];
        let mut text = BytesMut::with_capacity(frame.data.len() + stamp.len());
        for line in frame.data.split_inclusive(|byte| *byte == b'\n') {
            if !*mid_line {
                text.extend_from_slice(stamp.as_bytes());
            }
            text.extend_from_slice(line);
            *mid_line = line.last() != Some(&b'\n');
        }
        text.freeze()
    }

    /// What ends the last line, where the times before the lines are ours anyway.
    fn rest(&self) -> Option<Piece> {
        (self.timestamps && self.mid_line[0]).then(|| (To::Stdout, Bytes::from_static(b"\n")))
    }
}
