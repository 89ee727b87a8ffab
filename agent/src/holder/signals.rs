//! Which processes a signal means, and what follows when they stay.

use std::time::Duration;

use opsctl_protocol::message::Signal;
use rustix::process::{
    PidfdFlags, Signal as Number, getpid, kill_process_group, pidfd_open, pidfd_send_signal,
};
use rustix::termios::tcgetpgrp;
use tokio::time::Instant;

use super::processes::{self, Process};
use super::program::Running;

/// How often the session is walked for KILL: a process may fork while it is walked.
const KILL_ROUNDS: usize = 3;

/// Sends a signal to the program: INT as Ctrl-C would, others to all of its processes.
pub(super) fn send(running: &Running, signal: Signal) {
    match signal {
        Signal::Int => interrupt(running),
        Signal::Kill => {
            for _ in 0..KILL_ROUNDS {
                to_session(running, Number::KILL);
            }
        }
        Signal::Term | Signal::Hup => {
            to_session(running, number(signal));
            // A stopped process would get it only when it is continued.
            to_session(running, Number::CONT);
        }
        _ => to_session(running, number(signal)),
    }
}

pub(super) fn number(signal: Signal) -> Number {
    match signal {
        Signal::Int => Number::INT,
        Signal::Term => Number::TERM,
        Signal::Kill => Number::KILL,
        Signal::Hup => Number::HUP,
        Signal::Quit => Number::QUIT,
        Signal::Usr1 => Number::USR1,
        Signal::Usr2 => Number::USR2,
        Signal::Stop => Number::STOP,
        Signal::Cont => Number::CONT,
    }
}

/// The terminal's foreground group, else the program's own. That a process is gone by now is no error, here and below.
fn interrupt(running: &Running) {
    if running.child.id().is_none() {
        // The group's number may belong to another by now, once the program was waited for.
        return to_session(running, Number::INT);
    }
    let foreground = running
        .terminal
        .as_ref()
        .and_then(|terminal| tcgetpgrp(terminal).ok());
    let _ = kill_process_group(foreground.unwrap_or(running.pid), Number::INT);
}

/// All processes of the program's session, background jobs included. In a terminal the program leads the session;
/// between pipes it is the holder's, which holds nothing else.
fn to_session(running: &Running, signal: Number) {
    let holder = getpid();
    let session = if running.terminal.is_some() {
        running.pid
    } else {
        holder
    };
    let members = processes::all()
        .filter(|process| process.pid != holder && process.session == session.as_raw_pid());
    for member in members {
        to_process(&member, signal);
    }
}

/// Sends a signal to this very process.
pub(super) fn to_process(process: &Process, signal: Number) {
    // The file descriptor is opened first: the number could come to mean another process in between.
    if let Ok(open) = pidfd_open(process.pid, PidfdFlags::empty())
        && processes::of(process.pid).is_some_and(|now| now.name() == process.name())
    {
        let _ = pidfd_send_signal(&open, signal);
    }
}

/// What follows when a program stays: TERM, and then KILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Escalation {
    /// The next step.
    pub(super) next: Signal,
    /// When it is due.
    pub(super) at: Instant,
    /// The wait before each step.
    grace: Duration,
}

impl Escalation {
    /// What follows `sent`; nothing does after KILL.
    pub(super) fn after(sent: Signal, now: Instant, grace: Duration) -> Option<Self> {
        let next = match sent {
            Signal::Kill => return None,
            Signal::Term => Signal::Kill,
            _ => Signal::Term,
        };
        Some(Self {
            next,
            at: now + grace,
            grace,
        })
    }

    /// The step after this one.
    pub(super) fn step(self, now: Instant) -> Option<Self> {
        Self::after(self.next, now, self.grace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escalation_ends_with_kill() {
        let (now, grace) = (Instant::now(), Duration::from_secs(5));
        let term = Escalation::after(Signal::Int, now, grace).unwrap();
        assert_eq!((term.next, term.at), (Signal::Term, now + grace));
        let kill = term.step(term.at).unwrap();
        assert_eq!((kill.next, kill.at), (Signal::Kill, now + 2 * grace));
        assert_eq!(kill.step(kill.at), None);
    }
}
