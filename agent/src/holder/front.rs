//! What is in front in the program's terminal: who the keys go to. It can only be looked at, and is while there is output,
//! because hardly anything comes to the front or leaves it without any.

use std::collections::VecDeque;
use std::time::Duration;

use opsctl_protocol::message::Foreground;
use pty_process::Pty;
use rustix::process::Pid;
use rustix::termios::{LocalModes, tcgetattr, tcgetpgrp};
use tokio::time::Instant;

use super::peer::Peer;
use super::processes::{self, Process};
use crate::wire::FromHolder;

/// How long output must have rested before a look: what a program puts out last may be followed by its end.
const REST: Duration = Duration::from_millis(100);

/// How long after one look the next comes at the soonest, and during output that never rests at the latest.
const EVERY: Duration = Duration::from_millis(250);

/// The longest wait for another look without any output between, where the last one has found the command's own process at
/// work: a shell that edits no lines may only not have got round to wait for the next. The first is [`EVERY`], each further one
/// twice as long.
const AGAIN: Duration = Duration::from_secs(4);

/// Processes that are looked through for one that stands for a group whose leader has ended.
const SEARCHED: usize = 64;

/// What is in front, as the last look showed it, and when the next is due.
#[derive(Debug, Default)]
pub(super) struct Front {
    /// What the last look showed.
    last: Option<Foreground>,
    /// The agent that is there hasn't been told.
    untold: bool,
    /// When that look was.
    looked: Option<Instant>,
    /// When the first output since it came, and the last.
    put_out: Option<(Instant, Instant)>,
    /// How long after it another follows without any output.
    again: Option<Duration>,
}

impl Front {
    /// The program has put something out.
    pub(super) fn put_out(&mut self, now: Instant) {
        let first = self.put_out.map_or(now, |(first, _)| first);
        self.put_out = Some((first, now));
        self.again = None;
    }

    /// When a look is due; never, while nothing happens.
    pub(super) fn due(&self) -> Option<Instant> {
        let again = self.again.zip(self.looked);
        self.due_for_output()
            .or(again.map(|(wait, looked)| looked + wait))
    }

    fn due_for_output(&self) -> Option<Instant> {
        let (first, last) = self.put_out?;
        let rested = (last + REST).min(first + EVERY);
        Some(
            self.looked
                .map_or(rested, |looked| rested.max(looked + EVERY)),
        )
    }

    /// Takes what a look has shown.
    pub(super) fn seen(&mut self, front: Option<Foreground>, now: Instant) {
        self.looked = Some(now);
        self.put_out = self
            .put_out
            .filter(|(_, last)| *last + REST > now)
            .map(|(_, last)| (now, last));
        let works = front
            .as_ref()
            .is_some_and(|front| front.own && !front.reads);
        let wait = self.again.map_or(EVERY, |wait| wait * 2);
        self.again = (works && wait <= AGAIN).then_some(wait);
        if front.is_some() && front != self.last {
            self.last = front;
            self.untold = true;
        }
    }

    /// Another agent is there, who knows nothing.
    pub(super) fn tell_again(&mut self) {
        self.untold = self.last.is_some();
    }

    /// Tells the agent what is new, when there is room for it.
    pub(super) fn tell(&mut self, peer: &mut Peer) {
        if self.untold
            && peer.has_room()
            && let Some(last) = &self.last
        {
            self.untold = false;
            peer.say(&FromHolder::Foreground(last.clone()));
        }
    }
}

/// Looks who is in front in a terminal whose command is this process. `None` where the system doesn't say.
pub(super) fn look(terminal: &Pty, own: Pid) -> Option<Foreground> {
    let group = tcgetpgrp(terminal).ok()?;
    let process = stands_for(group, own);
    let canonical = tcgetattr(terminal).ok()?.local_modes;
    let reads_keys = !canonical.contains(LocalModes::ICANON);
    let front = Foreground {
        argv: process.map_or_else(Vec::new, |process| processes::words(process.pid)),
        own: group == own,
        reads: process.is_some_and(|process| reads_keys || waits(&process)),
    };
    Some(front.bounded())
}

/// The leader of a group, or another of its processes where that has ended, as the first of a pipe often has.
fn stands_for(group: Pid, own: Pid) -> Option<Process> {
    let alive = |pid| processes::of(pid).filter(|process| !process.dead);
    if let Some(leader) = alive(group) {
        return Some(leader);
    }
    let mut queue: VecDeque<Pid> = processes::children(own).into();
    let mut left = SEARCHED;
    while let Some(pid) = queue.pop_front()
        && left > 0
    {
        left -= 1;
        match alive(pid) {
            Some(found) if found.group == group.as_raw_pid() => return Some(found),
            Some(_) => queue.extend(processes::children(pid)),
            None => {}
        }
    }
    None
}

/// Whether a process can only go on when something comes from outside.
fn waits(process: &Process) -> bool {
    process.sleeps && processes::children(process.pid).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(word: &str) -> Foreground {
        Foreground {
            argv: vec![word.to_owned()],
            ..Foreground::default()
        }
    }

    #[test]
    fn a_look_is_due_when_output_has_rested_and_never_without_any() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Front::default();
        assert_eq!(watch.due(), None);
        watch.put_out(at(0));
        assert_eq!(watch.due(), Some(at(100)));
        watch.put_out(at(60));
        assert_eq!(watch.due(), Some(at(160)), "it hasn't rested");
        watch.seen(Some(front("a")), at(160));
        assert_eq!(watch.due(), None);
        watch.put_out(at(200));
        assert_eq!(watch.due(), Some(at(410)), "250 ms after the last look");
    }

    #[test]
    fn output_that_never_rests_is_looked_at_four_times_a_second_and_once_more_behind_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Front::default();
        let mut looks = Vec::new();
        for ms in 0..3000 {
            if ms < 1000 {
                watch.put_out(at(ms));
            }
            if watch.due().is_some_and(|due| due <= at(ms)) {
                watch.seen(Some(front("a")), at(ms));
                looks.push(ms);
            }
        }
        assert_eq!(looks, [250, 500, 750, 1000, 1250]);
    }

    #[test]
    fn what_works_without_a_word_is_looked_at_a_few_times_more() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let works = Foreground {
            own: true,
            ..front("dash")
        };
        let mut watch = Front::default();
        watch.put_out(at(0));
        let mut looks = Vec::new();
        for ms in 0..20_000 {
            if watch.due().is_some_and(|due| due <= at(ms)) {
                watch.seen(Some(works.clone()), at(ms));
                looks.push(ms);
            }
        }
        assert_eq!(looks, [100, 350, 850, 1850, 3850, 7850]);
        let waits = Foreground {
            reads: true,
            ..works
        };
        watch.put_out(at(20_000));
        watch.seen(Some(waits), at(20_100));
        assert_eq!(watch.due(), None);
    }

    #[test]
    fn only_what_has_changed_is_told_and_all_of_it_to_another_agent() {
        let now = Instant::now();
        let mut watch = Front::default();
        watch.seen(Some(front("a")), now);
        assert!(std::mem::take(&mut watch.untold));
        watch.seen(Some(front("a")), now);
        watch.seen(None, now);
        assert!(!watch.untold);
        watch.tell_again();
        assert!(std::mem::take(&mut watch.untold));
        watch.seen(Some(front("b")), now);
        assert!(watch.untold);
    }

    #[tokio::test]
    async fn a_child_comes_to_the_front_and_goes() {
        let (terminal, end) = pty_process::open().unwrap();
        let mut shell = pty_process::Command::new("bash")
            .args(["--norc", "--noprofile", "-i"])
            .env("PS1", "> ")
            .spawn_borrowed(&end)
            .unwrap();
        let own = Pid::from_raw(shell.id().unwrap().cast_signed()).unwrap();
        let wait_for = async |wanted: &dyn Fn(&Foreground) -> bool| {
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                match look(&terminal, own) {
                    Some(front) if wanted(&front) => return front,
                    front => assert!(Instant::now() < deadline, "{front:?}"),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let type_in = |keys: &str| rustix::io::write(&terminal, keys.as_bytes()).unwrap();
        let prompt = wait_for(&|front| front.own && front.reads).await;
        assert_eq!(prompt.argv[0], "bash");
        type_in("sleep 1000\r");
        // That it doesn't read isn't seen.
        let child = |front: &Foreground| front.argv == ["sleep", "1000"] && front.reads;
        wait_for(&|front| !front.own && child(front)).await;
        type_in("\x03");
        wait_for(&|front| front.own && front.reads).await;
        // The leader of this group ends at once.
        type_in("true | sleep 1000\r");
        wait_for(&|front| !front.own && child(front)).await;
        type_in("\x03while :; do :; done\r");
        wait_for(&|front| front.own && !front.reads).await;
        shell.start_kill().unwrap();
        shell.wait().await.unwrap();
    }
}
