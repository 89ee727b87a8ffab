//! The loop over everything that happens while commands run: output and states, this process's signals, a reader of
//! stdout that goes away, a daemon that does.
//!
//! - [`news`]: what comes from the daemon.
//! - [`interrupts`]: interrupts on their way, also to agents that are away.
//! - [`leaving`]: Ctrl-C, other signals, and what is said at the end.

mod interrupts;
mod leaving;
mod news;

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;
use opsctl_client::{Client, Events, InputPump, RequestError};
use opsctl_protocol::message::{CommandAccepted, Since, Subscribe, Subscribed};
use opsctl_protocol::{Channel, CommandId, Pattern};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep_until;

use super::SendArgs;
use super::form::{self, Form, Out};
use super::job::Job;
use super::json::Lines;
use super::skim::Skim;
use super::{input, request};
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use crate::output::printer::Printer;
use crate::stalled::Stalled;
use interrupts::Interrupts;

/// Pieces that may wait for a slow stdout: 512 KiB of output.
const WAITING_PIECES: usize = 16;

/// Commands that are followed at once, below the bound of a connection; further ones are followed as these end.
const FOLLOWED: usize = 256;

/// Why the loop ends before the commands do.
enum Stop {
    /// Let go of what still runs, with this code.
    LetGo(u8),
    /// Nobody reads stdout.
    Quiet,
    /// There is no daemon any more.
    Failed(Failure),
}

/// What a subscription was answered.
type Answer = (usize, Result<Subscribed, RequestError>);

struct Watch<'a> {
    context: &'a Context,
    client: Client,
    printer: Printer,
    jobs: Vec<Job>,
    by_id: HashMap<CommandId, usize>,
    /// Commands from here on are not followed yet.
    next_job: usize,
    /// Commands that are followed and have not ended.
    following: usize,
    subscriptions: JoinSet<Answer>,
    form: Box<dyn Form>,
    out: Out,
    /// Output is skipped, because the terminal is behind and Ctrl-C was pressed.
    skim: Option<Skim>,
    /// Ctrl-C was pressed; the time after which nothing is waited for any more.
    interrupted: Option<Instant>,
    interrupts: Interrupts,
    /// The connection was lost and that was said.
    lost: bool,
    stalled: Stalled,
}

/// Signals that this process listens for.
struct Listening {
    int: Signals,
    term: Signals,
    hup: Signals,
}

/// What was accepted, and what of the selection was not.
pub(super) struct Started {
    pub(super) accepted: CommandAccepted,
    /// Names that were spelt out and that nothing runs on.
    pub(super) missing: Vec<String>,
    /// The commands take this process's stdin.
    pub(super) streams_input: bool,
}

/// Follows what was accepted to its end; returns the exit code.
pub(super) async fn run(
    args: &SendArgs,
    context: &Context,
    client: Client,
    events: Events,
    started: Started,
) -> Result<u8> {
    let Started {
        accepted,
        missing,
        streams_input,
    } = started;
    let mut out = Out::new();
    let mut form = form::choose(args, &accepted, &missing);
    if args.jsonl {
        Lines::accepted(&accepted, &mut out);
    }
    for line in form::absent(&accepted, &missing) {
        form.note(&line, &mut out);
    }
    let absent = request::absence_code(&accepted, &missing);
    let job = |command: opsctl_protocol::message::AcceptedCommand| {
        let input =
            streams_input.then(|| Rc::new(InputPump::start(client.clone(), command.command_id)));
        Job::new(command.agent_id, command.command_id, input)
    };
    let jobs: Vec<Job> = accepted.commands.into_iter().map(job).collect();
    let pumps: Vec<Rc<InputPump>> = jobs.iter().filter_map(|job| job.input.clone()).collect();
    let watch = Watch {
        context,
        stalled: Stalled::new(client.clone()),
        client,
        printer: Printer::new(WAITING_PIECES),
        by_id: jobs
            .iter()
            .enumerate()
            .map(|(at, job)| (job.id, at))
            .collect(),
        jobs,
        next_job: 0,
        following: 0,
        subscriptions: JoinSet::new(),
        form,
        out,
        skim: None,
        interrupted: None,
        interrupts: Interrupts::default(),
        lost: false,
    };
    let local = LocalSet::new();
    if streams_input {
        local.spawn_local(input::feed(pumps));
    }
    local.run_until(watch.until_all_ended(events, absent)).await
}

impl Watch<'_> {
    /// Follows everything until it has ended.
    async fn follow(&mut self, events: &mut Events) -> Result<(), Stop> {
        let mut signals = Listening::start()?;
        self.subscribe_more();
        while !self.all_done() || !self.out.is_empty() {
            let tick = self.form.deadline();
            let caught_up = self.skim.as_ref().map(Skim::deadline);
            let give_up = self.interrupted.filter(|_| !self.interrupts.is_owed());
            let retry = self.interrupts.retry;
            tokio::select! {
                biased;
                _ = signals.int.recv() => self.ctrl_c()?,
                _ = signals.term.recv() => return Err(self.terminated(15)),
                // Whoever watched has gone; what runs goes on.
                _ = signals.hup.recv() => return Err(Stop::LetGo(128 + 1)),
                () = self.printer.closed() => return Err(Stop::Quiet),
                Some(answer) = self.interrupts.asked.join_next(), if !self.interrupts.asked.is_empty() => {
                    if let Ok((at, outcome)) = answer {
                        self.interrupt_answered(at, outcome);
                    }
                }
                () = at(retry) => self.interrupt_owed(),
                () = at(give_up) => return Err(Stop::LetGo(leaving::INTERRUPTED)),
                printed = self.printer.print_first(&mut self.out), if !self.out.is_empty() => {
                    printed.map_err(|_| Stop::Quiet)?;
                }
                Some(answer) = self.subscriptions.join_next(), if !self.subscriptions.is_empty() => {
                    if let Ok((at, Err(error))) = answer {
                        self.lose(at, error.to_string());
                    }
                }
                // While something waits for stdout nothing more is taken from the daemon.
                event = events.next(), if self.out.is_empty() => match event {
                    Some(event) => {
                        self.stalled.heard();
                        self.event(event)?;
                    }
                    None => return Err(Stop::Failed(self.context.unreachable("the connection was closed"))),
                },
                () = at(caught_up) => self.stop_skimming(),
                text = self.stalled.news(), if self.out.is_empty() => self.form.note(&text, &mut self.out),
                () = at(tick) => self.form.tick(Instant::now(), &mut self.out),
            }
        }
        Ok(())
    }

    fn all_done(&self) -> bool {
        self.next_job == self.jobs.len() && self.following == 0
    }

    /// Follows as many commands as may be followed at once.
    fn subscribe_more(&mut self) {
        while self.following < FOLLOWED && self.next_job < self.jobs.len() {
            let at = self.next_job;
            self.next_job += 1;
            self.following += 1;
            let subscribe = Subscribe {
                channel: Pattern::exactly(&Channel::Command(self.jobs[at].id)),
                since: Some(Since {
                    offset: Some(0),
                    ..Since::default()
                }),
                lossless: true,
                no_output: false,
            };
            let client = self.client.clone();
            self.subscriptions
                .spawn(async move { (at, client.subscribe(subscribe).await) });
        }
    }
}

impl Listening {
    fn start() -> Result<Self, Stop> {
        Ok(Self {
            int: listen(SignalKind::interrupt())?,
            term: listen(SignalKind::terminate())?,
            hup: listen(SignalKind::hangup())?,
        })
    }
}

fn listen(kind: SignalKind) -> Result<Signals, Stop> {
    signal(kind).map_err(|error| {
        Stop::Failed(Failure::new(
            ExitCode::General,
            format!("cannot listen for signals: {error}"),
        ))
    })
}

/// Waits until a time; for ever where there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
