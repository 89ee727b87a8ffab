//! Interrupts on their way to commands. One whose agent is away is owed: it is sent again until the agent is back, for as
//! long as this process waits.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use opsctl_client::RequestError;
use opsctl_protocol::message::{CommandInterrupt, ErrorCode, Signal, ToDashboard};
use tokio::task::JoinSet;

use super::Watch;
use super::leaving::patience_ends;

/// How often an interrupt is tried again whose agent is away.
const AGAIN: Duration = Duration::from_secs(1);

/// What the daemon made of the interrupt of the command with this place in the list.
type Answer = (usize, Result<ToDashboard, RequestError>);

/// Interrupts that were asked for; at most one of each command is under way.
#[derive(Default)]
pub(super) struct Interrupts {
    /// Those that the daemon has not answered yet.
    pub(super) asked: JoinSet<Answer>,
    /// Commands whose agent was away.
    owed: BTreeSet<usize>,
    /// When these are tried again.
    pub(super) retry: Option<Instant>,
}

impl Interrupts {
    /// Whether a command waits for its agent to come back and interrupt it.
    pub(super) fn is_owed(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Whether this one does.
    pub(super) fn owes(&self, at: usize) -> bool {
        self.owed.contains(&at)
    }

    /// A command has ended.
    pub(super) fn forget(&mut self, at: usize) {
        self.owed.remove(&at);
    }
}

impl Watch<'_> {
    pub(super) fn interrupt_all(&mut self) {
        let jobs = self.jobs.iter().enumerate();
        let open: Vec<usize> = jobs
            .filter(|(_, job)| !job.done)
            .map(|(at, _)| at)
            .collect();
        for at in open {
            self.interrupt(at);
        }
    }

    fn interrupt(&mut self, at: usize) {
        let interrupt = CommandInterrupt {
            command_id: Some(self.jobs[at].id),
            agent_id: None,
            signal: Signal::Int,
            escalate: true,
        };
        let client = self.client.clone();
        self.interrupts
            .asked
            .spawn(async move { (at, client.request(interrupt).await) });
    }

    /// Tries once more what could not be delivered.
    pub(super) fn interrupt_owed(&mut self) {
        self.interrupts.retry = None;
        for at in self.interrupts.owed.clone() {
            self.interrupt(at);
        }
    }

    pub(super) fn interrupt_answered(
        &mut self,
        at: usize,
        outcome: Result<ToDashboard, RequestError>,
    ) {
        let job = &self.jobs[at];
        if job.done {
            return;
        }
        match outcome {
            Err(RequestError::Refused(error)) if error.code == ErrorCode::AgentOffline => {
                self.interrupts.retry = Some(Instant::now() + AGAIN);
                if self.interrupts.owed.insert(at) {
                    let text = format!(
                        "{} is not connected: the interrupt will be delivered when it returns; Ctrl-C again lets go",
                        job.agent
                    );
                    self.form.note(&text, &mut self.out);
                }
            }
            Ok(_) if self.interrupts.owed.remove(&at) => {
                let text = format!("{} is back: its command is interrupted", job.agent);
                self.form.note(&text, &mut self.out);
                self.interrupted = Some(patience_ends());
            }
            // Another refusal says that the command has ended, which its status says too.
            Ok(_) | Err(_) => self.interrupts.forget(at),
        }
    }
}
