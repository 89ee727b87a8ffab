//! Ctrl-C, other signals, and what is said and done at the end.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use opsctl_client::Events;
use opsctl_protocol::message::Subscribe;
use opsctl_protocol::message::command::DEFAULT_KILL_GRACE_MS;
use opsctl_protocol::{Channel, Pattern};
use tokio::time::timeout;

use super::{FOLLOWED, Stop, Watch};
use crate::exit_code::ExitCode;
use crate::output::printer::To;
use crate::send::job::{Job, code_of_all};
use crate::send::skim::Skim;

/// The code of a process that Ctrl-C ended.
pub(super) const INTERRUPTED: u8 = 130;

/// After an interrupt: how long to wait for the end beyond the two steps of the escalation.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the daemon may take to answer an interrupt when this process ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// When commands that are interrupted now are waited for no longer.
pub(super) fn patience_ends() -> Instant {
    let grace = Duration::from_millis(DEFAULT_KILL_GRACE_MS);
    Instant::now() + 2 * grace + PATIENCE
}

impl Watch<'_> {
    /// Follows everything to its end and says how it ended; returns the exit code.
    pub(super) async fn until_all_ended(mut self, mut events: Events, absent: u8) -> Result<u8> {
        let stopped = self.follow(&mut events).await.err();
        let code = match &stopped {
            Some(Stop::Quiet) => {
                // As SIGPIPE would end a local program.
                self.interrupt_all();
                self.farewell(events).await;
                return Ok(ExitCode::Ok.into());
            }
            Some(Stop::LetGo(code)) => *code,
            Some(Stop::Failed(_)) if self.interrupted.is_some() => INTERRUPTED,
            // As a shell sees it: a program that took the interrupt and ended by itself has its own code.
            Some(Stop::Failed(_)) | None => {
                let interrupted = self.interrupted.is_some();
                code_of_all(&self.jobs, absent, interrupted.then_some(INTERRUPTED))
            }
        };
        self.stop_skimming();
        self.name_unfinished();
        self.form.finish(&self.jobs, code, &mut self.out);
        if matches!(stopped, Some(Stop::LetGo(_))) {
            self.flush_stderr();
            self.farewell(events).await;
            return Ok(code);
        }
        self.print_rest(code).await?;
        match stopped {
            Some(Stop::Failed(failure)) => Err(failure.into()),
            _ => Ok(code),
        }
    }

    /// Waits until everything is printed, unless Ctrl-C says that this is no longer wanted.
    async fn print_rest(mut self, code: u8) -> Result<u8> {
        let out = std::mem::take(&mut self.out);
        let printed = async {
            for piece in out {
                if self.printer.print(piece).await.is_err() {
                    break;
                }
            }
            self.printer.finish().await
        };
        tokio::select! {
            printed = printed => printed?,
            _ = tokio::signal::ctrl_c() => return Ok(INTERRUPTED),
        }
        Ok(code)
    }

    /// The first one interrupts what runs; the second one lets go of it.
    pub(super) fn ctrl_c(&mut self) -> Result<(), Stop> {
        if self.interrupted.is_some() {
            return Err(Stop::LetGo(INTERRUPTED));
        }
        self.interrupted = Some(patience_ends());
        self.interrupt_all();
        self.skip_what_waits();
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

    /// A terminal that is behind is brought to the present. Into a file or a pipe everything goes.
    fn skip_what_waits(&mut self) {
        let behind = !self.out.is_empty() || self.printer.is_behind();
        if behind && self.form.is_live() && std::io::stdout().is_terminal() {
            let waiting = self.out.iter().filter(|(to, _)| *to == To::Stdout);
            let skipped: usize = waiting.map(|(_, data)| data.len()).sum();
            self.out.retain(|(to, _)| *to == To::Stderr);
            let skipped = skipped as u64 + self.printer.discard();
            self.skim = Some(Skim::new(skipped, Instant::now()));
        }
    }

    pub(super) fn unfinished(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(|job| !job.done)
    }

    /// Asked to end: interrupts what runs and lets go of it.
    pub(super) fn terminated(&mut self, number: u8) -> Stop {
        self.interrupt_all();
        Stop::LetGo(128 + number)
    }

    fn name_unfinished(&mut self) {
        let line = |(at, job): (usize, &Job)| {
            if self.interrupts.owes(at) {
                let id = job.id.short();
                let agent = &job.agent;
                return format!("{agent}: not interrupted, it is away: opsctl interrupt {id}");
            }
            format!("{}: has not ended: {}", job.agent, job.hint())
        };
        let jobs = self.jobs.iter().enumerate();
        let unfinished: Vec<String> = jobs.filter(|(_, job)| !job.done).map(line).collect();
        for line in unfinished {
            self.form.note(&line, &mut self.out);
        }
    }

    /// Waits until the daemon has the interrupts: it throws away what it has not read when this process is gone.
    async fn farewell(mut self, events: Events) {
        // Answers may be behind output that nobody wants any more.
        drop(events);
        let answered = async {
            while let Some(answer) = self.interrupts.asked.join_next().await {
                if let Ok((at, Err(error))) = answer
                    && !self.jobs[at].done
                    && !self.interrupts.owes(at)
                {
                    // The process ends; there is nobody else to tell.
                    eprintln!("opsctl: {}: not interrupted: {error}", self.jobs[at].agent);
                }
            }
        };
        // A daemon that does not answer is not waited for.
        let _ = timeout(FAREWELL, answered).await;
    }

    /// What waits for a stdout that nobody reads would hold the process; words of ours do not.
    fn flush_stderr(&mut self) {
        for (_, data) in self.out.drain(..).filter(|(to, _)| *to == To::Stderr) {
            // The process ends; there is nobody to tell.
            let _ = std::io::stderr().write_all(&data);
        }
    }
}
