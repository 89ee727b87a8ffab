//! The loop over everything that happens while commands run: output and states, this process's signals, a reader of
//! stdout that goes away, a daemon that does.

use std::collections::HashMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use opsctl_client::{Client, ConnState, Event, Events, InputPump, RequestError};
use opsctl_protocol::message::command::DEFAULT_KILL_GRACE_MS;
use opsctl_protocol::message::{
    CommandAccepted, CommandInterrupt, CommandStatus, ErrorCode, Signal, Since, Subscribe,
    Subscribed, ToDashboard,
};
use opsctl_protocol::{Channel, CommandId, Pattern};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::SendArgs;
use super::form::{self, Form, Out};
use super::job::{Job, code_of_all};
use super::json::Lines;
use super::{input, request};
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use crate::output::printer::{Printer, To};

/// Pieces that may wait for a slow stdout: 1 MiB of output.
const WAITING_PIECES: usize = 32;

/// Commands that are followed at once, below the bound of a connection; further ones are followed as these end.
const FOLLOWED: usize = 256;

/// After an interrupt: how long to wait for the end beyond the two steps of the escalation.
const PATIENCE: Duration = Duration::from_secs(2);

/// Output that is still shown after an interrupt when the command has ended; what is more is left at the daemon.
const BACKLOG: u64 = 256 * 1024;

/// How long the daemon may take to answer an interrupt when this process ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// The code of a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

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
    jobs: Vec<Job>,
    by_id: HashMap<CommandId, usize>,
    /// Commands from here on are not followed yet.
    next_job: usize,
    /// Commands that are followed and have not ended.
    following: usize,
    subscriptions: JoinSet<Answer>,
    form: Box<dyn Form>,
    out: Out,
    /// Ctrl-C was pressed; the time after which nothing is waited for any more.
    interrupted: Option<Instant>,
    /// Interrupts that the daemon has not answered yet.
    interrupts: JoinSet<()>,
    /// The connection was lost and that was said.
    lost: bool,
}

/// Follows what was accepted to its end; returns the exit code.
pub(super) async fn run(
    args: &SendArgs,
    context: &Context,
    client: Client,
    events: Events,
    accepted: CommandAccepted,
    missing: Vec<String>,
    streams_input: bool,
) -> Result<u8> {
    let mut out = Out::new();
    let mut form = form::choose(args, &accepted, &missing);
    if args.jsonl {
        Lines::accepted(&accepted, &mut out);
    }
    for line in form::absent(&accepted, &missing) {
        form.note(&line, &mut out);
    }
    let absent = request::absence_code(&accepted, &missing);
    let jobs: Vec<Job> = accepted
        .commands
        .into_iter()
        .map(|command| Job::new(command.agent_id, command.command_id))
        .collect();
    let by_id = jobs
        .iter()
        .enumerate()
        .map(|(at, job)| (job.id, at))
        .collect();
    let mut watch = Watch {
        context,
        client,
        jobs,
        by_id,
        next_job: 0,
        following: 0,
        subscriptions: JoinSet::new(),
        form,
        out,
        interrupted: None,
        interrupts: JoinSet::new(),
        lost: false,
    };
    if streams_input {
        watch.take_input();
    }
    let local = tokio::task::LocalSet::new();
    if streams_input {
        let pumps = watch
            .jobs
            .iter()
            .filter_map(|job| job.input.clone())
            .collect();
        local.spawn_local(input::feed(pumps));
    }
    local.run_until(watch.to_the_end(events, absent)).await
}

impl Watch<'_> {
    fn take_input(&mut self) {
        for job in &mut self.jobs {
            job.input = Some(Rc::new(InputPump::start(self.client.clone(), job.id)));
        }
    }

    async fn to_the_end(mut self, mut events: Events, absent: u8) -> Result<u8> {
        let printer = Printer::new(WAITING_PIECES);
        let stopped = self.follow(&mut events, &printer).await.err();
        let code = match &stopped {
            Some(Stop::Quiet) => {
                // As SIGPIPE would end a local program.
                self.interrupt_all();
                self.farewell(events).await;
                return Ok(ExitCode::Ok.into());
            }
            Some(Stop::LetGo(code)) => *code,
            Some(Stop::Failed(_)) | None if self.interrupted.is_some() => INTERRUPTED,
            Some(Stop::Failed(_)) | None => code_of_all(&self.jobs, absent),
        };
        self.name_unfinished();
        self.form.finish(&self.jobs, code, &mut self.out);
        if matches!(stopped, Some(Stop::LetGo(_))) {
            // What waits for a stdout that nobody reads would hold the process.
            self.out.retain(|(to, _)| *to == To::Stderr);
            self.flush_stderr();
            self.farewell(events).await;
            return Ok(code);
        }
        for piece in std::mem::take(&mut self.out) {
            if printer.print(piece).await.is_err() {
                break;
            }
        }
        tokio::select! {
            written = printer.finish() => written?,
            // Everything has ended but the reader of stdout.
            _ = tokio::signal::ctrl_c() => return Ok(INTERRUPTED),
        }
        match stopped {
            Some(Stop::Failed(failure)) => Err(failure.into()),
            _ => Ok(code),
        }
    }

    /// Follows everything until it has ended.
    async fn follow(&mut self, events: &mut Events, printer: &Printer) -> Result<(), Stop> {
        let mut int = listen(SignalKind::interrupt())?;
        let mut term = listen(SignalKind::terminate())?;
        let mut hup = listen(SignalKind::hangup())?;
        self.subscribe_more();
        while !self.all_done() || !self.out.is_empty() {
            let tick = self.form.deadline();
            let give_up = self.interrupted;
            let closed = pin!(printer.closed());
            tokio::select! {
                biased;
                _ = int.recv() => self.ctrl_c()?,
                _ = term.recv() => return Err(self.terminated(15)),
                _ = hup.recv() => return Err(self.terminated(1)),
                () = closed => return Err(Stop::Quiet),
                () = sleep_until(give_up.unwrap_or_else(Instant::now).into()), if give_up.is_some() => {
                    return Err(Stop::LetGo(INTERRUPTED));
                }
                room = printer.room(), if !self.out.is_empty() => {
                    let room = room.map_err(|_| Stop::Quiet)?;
                    if let Some(piece) = self.out.pop_front() {
                        room.send(piece);
                    }
                }
                Some(answer) = self.subscriptions.join_next(), if !self.subscriptions.is_empty() => {
                    if let Ok((at, result)) = answer {
                        self.subscribed(at, result);
                    }
                }
                // While something waits for stdout nothing more is taken from the daemon.
                event = events.next(), if self.out.is_empty() => match event {
                    Some(event) => self.event(event)?,
                    None => return Err(Stop::Failed(self.context.unreachable("the connection was closed"))),
                },
                () = sleep_until(tick.unwrap_or_else(Instant::now).into()), if tick.is_some() => {
                    self.form.tick(Instant::now(), &mut self.out);
                }
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

    fn subscribed(&mut self, at: usize, result: Result<Subscribed, RequestError>) {
        if let Err(error) = result {
            self.lose(at, error.to_string());
        }
    }

    fn event(&mut self, event: Event) -> Result<(), Stop> {
        match event {
            Event::Output(frame) => {
                if let Some(at) = self.by_id.get(&frame.command_id).copied()
                    && !self.jobs[at].done
                {
                    self.jobs[at].seen = frame.end();
                    self.form.output(at, &self.jobs[at], frame, &mut self.out);
                }
            }
            Event::Message(decoded) => {
                self.message(decoded.header.channel.as_ref(), decoded.message)
            }
            Event::State(state) => self.connection(state)?,
            Event::Connected(_) => {}
            Event::Dropped { pattern, error } => {
                if let Some(Channel::Command(id)) = pattern.concrete()
                    && let Some(at) = self.by_id.get(&id).copied()
                {
                    self.lose(at, error.message);
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, channel: Option<&Channel>, message: ToDashboard) {
        match message {
            ToDashboard::Status(status) => {
                let Some(at) = self.by_id.get(&status.command_id).copied() else {
                    return;
                };
                if !self.jobs[at].done {
                    self.status(at, status, matches!(channel, Some(Channel::Agent(_))));
                }
            }
            ToDashboard::Gap(gap) => {
                if let Some(at) = self.by_id.get(&gap.command_id).copied() {
                    let (agent, bytes) = (&self.jobs[at].agent, gap.to - gap.from);
                    let text = format!("{agent}: {bytes} bytes of output are gone: {}", gap.reason);
                    self.form.note(&text, &mut self.out);
                }
            }
            ToDashboard::Error(error) if error.code == ErrorCode::InputRejected => {
                self.jobs
                    .iter()
                    .filter_map(|job| job.input.as_ref())
                    .for_each(|input| input.rejected());
            }
            _ => {}
        }
    }

    /// A command's state; `ahead` when it may have overtaken output, as on its agent's channel.
    fn status(&mut self, at: usize, status: CommandStatus, ahead: bool) {
        let job = &mut self.jobs[at];
        if let Some(input) = &job.input {
            input.status(&status);
        }
        if ahead {
            let rest = status.offset.unwrap_or_default().saturating_sub(job.seen);
            if status.state.is_final() && rest > BACKLOG {
                job.status = status;
                let text = format!(
                    "{}: {} KiB of output are not shown: {}",
                    job.agent,
                    rest >> 10,
                    job.hint()
                );
                self.form.note(&text, &mut self.out);
                self.end(at);
            }
            return;
        }
        let ended = status.state.is_final();
        let changed = job.status.state != status.state;
        job.status = status;
        if changed {
            let job = &self.jobs[at];
            self.form.status(job, &job.status, &mut self.out);
        }
        if ended {
            self.end(at);
        }
    }

    /// A command's end has been seen.
    fn end(&mut self, at: usize) {
        self.jobs[at].done = true;
        self.jobs[at].input = None;
        self.following -= 1;
        self.form.ended(at, &self.jobs[at], &mut self.out);
        if self.all_done() {
            return;
        }
        let channel = Pattern::exactly(&Channel::Command(self.jobs[at].id));
        let client = self.client.clone();
        // The answer is nobody's concern; without it the daemon holds a subscription more.
        tokio::spawn(async move { client.unsubscribe(channel).await });
        self.subscribe_more();
    }

    /// Nothing more will be heard of a command.
    fn lose(&mut self, at: usize, reason: String) {
        if !self.jobs[at].done {
            self.jobs[at].give_up(reason);
            self.end(at);
        }
    }

    fn connection(&mut self, state: ConnState) -> Result<(), Stop> {
        match state {
            ConnState::Waiting { reason, .. } if !self.lost => {
                self.lost = true;
                let text =
                    format!("the connection to the daemon was lost ({reason}); reconnecting");
                self.form.note(&text, &mut self.out);
            }
            ConnState::Connected if std::mem::take(&mut self.lost) => {
                self.form.note("connected again", &mut self.out);
            }
            ConnState::Refused { .. } => {
                return Err(Stop::Failed(crate::ask::no_connection(self.context, state)));
            }
            _ => {}
        }
        Ok(())
    }

    /// The first one interrupts what runs; the second one lets go of it.
    fn ctrl_c(&mut self) -> Result<(), Stop> {
        if self.interrupted.is_some() {
            return Err(Stop::LetGo(INTERRUPTED));
        }
        let grace = Duration::from_millis(DEFAULT_KILL_GRACE_MS);
        self.interrupted = Some(Instant::now() + 2 * grace + PATIENCE);
        self.interrupt_all();
        // On the agents' channels the end overtakes output that would take long to show.
        let mut agents: Vec<_> = self.unfinished().map(|job| job.agent.clone()).collect();
        agents.dedup();
        for agent in agents.into_iter().take(FOLLOWED) {
            let channel = Pattern::exactly(&Channel::Agent(agent));
            let subscribe = Subscribe {
                channel,
                since: None,
                lossless: false,
                no_output: true,
            };
            let client = self.client.clone();
            tokio::spawn(async move { client.subscribe(subscribe).await });
        }
        Ok(())
    }

    fn interrupt_all(&mut self) {
        let ids: Vec<CommandId> = self.unfinished().map(|job| job.id).collect();
        for id in ids {
            let interrupt = CommandInterrupt {
                command_id: Some(id),
                agent_id: None,
                signal: Signal::Int,
                escalate: true,
            };
            let client = self.client.clone();
            // A refusal says that the command has ended, which its status says too.
            self.interrupts
                .spawn(async move { drop(client.request(interrupt).await) });
        }
    }

    fn unfinished(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(|job| !job.done)
    }

    /// Asked to end: interrupts what runs and lets go of it.
    fn terminated(&mut self, number: u8) -> Stop {
        self.interrupt_all();
        Stop::LetGo(128 + number)
    }

    fn name_unfinished(&mut self) {
        let unfinished: Vec<String> = self
            .unfinished()
            .map(|job| format!("{}: has not ended: {}", job.agent, job.hint()))
            .collect();
        for line in unfinished {
            self.form.note(&line, &mut self.out);
        }
    }

    /// Waits until the daemon has the interrupts: it throws away what it has not read when this process is gone.
    async fn farewell(mut self, events: Events) {
        // Answers may be behind output that nobody wants any more.
        drop(events);
        let answered = async { while self.interrupts.join_next().await.is_some() {} };
        // A daemon that does not answer is not waited for.
        let _ = timeout(FAREWELL, answered).await;
    }

    fn flush_stderr(&mut self) {
        use std::io::Write;
        for (_, data) in self.out.drain(..) {
            // The process ends; there is nobody to tell.
            let _ = std::io::stderr().write_all(&data);
        }
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
