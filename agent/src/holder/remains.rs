//! What is left of a program whose holder died: it is ended before anybody may call its command lost.

use std::time::Duration;

use opsctl_protocol::CommandId;
use opsctl_protocol::message::Signal;
use rustix::process::{Pid, Signal as Number, getpid};
use tokio::time::Instant;

use super::processes::{self, Name, Process};
use super::record::Past;
use super::signals::{Escalation, number, to_process};

/// How often is looked whether anything is left.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a program is recognised.
#[derive(Debug)]
struct Marks {
    /// During which run of the system it was started.
    boot_id: String,
    /// The program itself.
    program: Option<Name>,
    /// The process whose session it is in: itself in a terminal, its holder between pipes.
    leader: Option<Name>,
    /// Its variable, where nobody wrote down which process it is.
    variable: Option<Vec<u8>>,
}

/// A program that may still run, on its way out.
#[derive(Debug)]
pub(super) struct Remains {
    marks: Marks,
    /// What comes next when it stays.
    next: Option<Escalation>,
    /// When is looked again.
    look: Instant,
    /// It did still run.
    ran: bool,
}

impl Remains {
    /// Sends TERM to what is left; KILL follows after `grace`.
    pub(super) fn end(past: &Past, grace: Duration) -> Self {
        let program = past.started.map(|started| started.program);
        let leader = if past.job.spec.pty {
            program
        } else {
            past.holder
        };
        let unknown = program.is_none() && past.ended.is_none();
        let mut remains = Self {
            marks: Marks {
                boot_id: past.boot_id.clone(),
                program,
                leader,
                variable: unknown.then(|| variable(past.job.command_id)),
            },
            next: None,
            look: Instant::now(),
            ran: false,
        };
        let left = remains.marks.find();
        remains.ran = !left.is_empty();
        send(&left, Signal::Term);
        remains.next = Escalation::after(Signal::Term, Instant::now(), grace);
        remains
    }

    /// When [`Self::look`] is due.
    pub(super) fn due(&self) -> Instant {
        self.look
    }

    /// Whether it did still run when its holder was found dead.
    pub(super) fn ran(&self) -> bool {
        self.ran
    }

    /// Looks for what is left, and goes on to end it. Returns whether nothing is.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let left = self.marks.find();
        if left.is_empty() {
            return true;
        }
        self.look = now + LOOK_EVERY;
        match self.next.filter(|step| step.at <= now) {
            Some(step) => {
                send(&left, step.next);
                self.next = step.step(now);
            }
            // Whoever forked while the session was walked.
            None if self.next.is_none() => send(&left, Signal::Kill),
            None => {}
        }
        false
    }
}

fn variable(id: CommandId) -> Vec<u8> {
    format!("OPSCTL_COMMAND_ID={id}").into_bytes()
}

fn send(left: &[Process], signal: Signal) {
    for process in left {
        to_process(process, number(signal));
        // A stopped process would get it only when it is continued.
        to_process(process, Number::CONT);
    }
}

impl Marks {
    /// Its processes that haven't ended.
    fn find(&self) -> Vec<Process> {
        if self.boot_id != processes::boot_id() {
            return Vec::new();
        }
        let session = self.session();
        processes::all()
            .filter(|process| !process.dead && process.pid != getpid())
            .filter(|process| {
                self.program == Some(process.name())
                    || session == Some(process.session)
                    || self
                        .variable
                        .as_ref()
                        .is_some_and(|variable| processes::has_variable(process.pid, variable))
            })
            .collect()
    }

    /// The session, unless its number means another by now: it is not given to a new process as long as the session has
    /// any, so a process with that number that isn't the leader shows that all are gone.
    fn session(&self) -> Option<i32> {
        let leader = self.leader?;
        let now = processes::of(Pid::from_raw(leader.pid)?);
        now.is_none_or(|now| now.name() == leader)
            .then_some(leader.pid)
    }
}
