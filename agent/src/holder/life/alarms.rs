//! What is due though nothing happens.

use std::time::Duration;

use opsctl_protocol::message::Signal;
use tokio::time::Instant;

use super::Life;

/// How often a holder that has nothing more to do looks whether somebody has removed its directory: then no agent will
/// ever find it.
const LOOK_FOR_DIRECTORY: Duration = Duration::from_secs(5);

impl Life {
    /// When something is due next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [
            self.program_deadline(),
            self.look_for_room,
            self.patience_ends(),
            self.write_end,
            self.remains.as_ref().map(super::Remains::due),
            self.given_up_at(),
            self.input.report_at(),
            self.look_in_front_at(),
            self.directory_is_looked_for_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What the program's own course makes due.
    fn program_deadline(&self) -> Option<Instant> {
        self.running.as_ref()?;
        match &self.exit {
            // Output that can't be taken now is neither given up nor polled for.
            Some(exit) => (exit.owed == 0 || exit.give_up > Instant::now()).then_some(exit.give_up),
            None => [self.timeout, self.escalation.map(|step| step.at)]
                .into_iter()
                .flatten()
                .min(),
        }
    }

    /// When a program that doesn't outlive its agent has been alone for too long.
    fn given_up_at(&self) -> Option<Instant> {
        let alone = Duration::from_millis(self.job.alone_ms?);
        let runs = self.running.is_some() && self.exit.is_none();
        (self.peer.is_none() && runs && self.lost.is_none()).then(|| self.alone_since + alone)
    }

    fn look_in_front_at(&self) -> Option<Instant> {
        let runs = self.running.is_some() && self.exit.is_none();
        self.front.due().filter(|_| runs)
    }

    fn directory_is_looked_for_at(&self) -> Option<Instant> {
        (self.peer.is_none() && self.end.is_some())
            .then(|| self.alone_since.max(self.looked) + LOOK_FOR_DIRECTORY)
    }

    pub(super) fn deadline_reached(&mut self) {
        let now = Instant::now();
        if self.write_end.is_some_and(|at| at <= now) {
            self.write_end();
        }
        if let Some(remains) = &mut self.remains
            && remains.due() <= now
            && remains.look(now)
        {
            self.remains_are_gone();
        }
        if self.given_up_at().is_some_and(|at| at <= now) {
            self.lost = Some(
                "its agent was away, and programs of this agent don't outlive it (live_restore)"
                    .to_owned(),
            );
            self.signal(Signal::Term, true);
        }
        if self
            .directory_is_looked_for_at()
            .is_some_and(|at| at <= now)
        {
            self.looked = now;
            self.forgotten = !self.dir.exists();
        }
        if self.look_in_front_at().is_some_and(|at| at <= now) {
            self.look_in_front();
        }
        self.program_is_due(now);
    }

    fn program_is_due(&mut self, now: Instant) {
        if self.exit.is_some() {
            return;
        }
        if self.timeout.is_some_and(|at| at <= now) {
            self.timeout = None;
            self.timed_out = true;
            self.signal(Signal::Int, true);
        } else if let Some(step) = self.escalation.filter(|step| step.at <= now) {
            self.signal(step.next, false);
            self.escalation = step.step(now);
        }
    }

    /// Whether nobody will ever ask for the end: the directory is gone.
    pub(super) fn is_forgotten(&self) -> bool {
        self.forgotten
    }
}
