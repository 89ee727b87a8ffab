//! What the agent says.

use std::time::Duration;

use bytes::Bytes;
use opsctl_protocol::message::{CommandInput, Kind, Signal};
use opsctl_protocol::{BinaryFrame, Timestamp};
use tokio::time::Instant;

use super::Life;
use crate::holder::peer::Received;
use crate::holder::signals::{self, Escalation};
use crate::wire::{FromHolder, Incoming, ToHolder};

impl Life {
    /// Takes what the agent has sent. Returns whether life goes on.
    pub(super) fn receive(&mut self) -> bool {
        while let Some(peer) = &mut self.peer {
            match peer.receive() {
                Ok(Received::Message(Incoming::Control(ToHolder::Settle)))
                    if self.end.is_some() =>
                {
                    return false;
                }
                Ok(Received::Message(message)) => self.obey(message),
                Ok(Received::Empty) => break,
                Err(_) => self.lose_peer(),
            }
        }
        true
    }

    fn obey(&mut self, message: Incoming<ToHolder>) {
        match message {
            Incoming::Input(frame) => self.take_input(&frame),
            Incoming::Output(_) => {}
            Incoming::Control(message) => match message {
                // A program that runs has its job, and isn't settled.
                ToHolder::Job(_) | ToHolder::Settle => {}
                ToHolder::Stream { generation, from } => self.stream(generation, from),
                ToHolder::Pause => {
                    if let Some(peer) = &mut self.peer {
                        peer.pause(&mut self.spool);
                    }
                }
                ToHolder::Ack { offset } => self.ack(offset),
                ToHolder::Resize { cols, rows } => self.resize(cols, rows),
                ToHolder::Signal { signal, escalate } => self.signal(signal, escalate),
                ToHolder::Noticed { number } => self.reports.passed_on(number),
            },
        }
    }

    fn stream(&mut self, generation: u64, from: u64) {
        // A peer that asks for output from here on has what comes before.
        self.ack(from);
        if let Some(peer) = &mut self.peer {
            peer.stream(generation, from, &mut self.spool);
        }
        if self.end.is_some() {
            self.tell_end();
        }
    }

    fn take_input(&mut self, frame: &Bytes) {
        let Ok(BinaryFrame::Input(CommandInput {
            data, offset, eof, ..
        })) = BinaryFrame::decode(frame)
        else {
            return;
        };
        if let Err(refused) = self.input.accept(offset, data.0, eof)
            && self.input.is_news(&refused)
        {
            let message = FromHolder::InputRefused {
                reason: refused.to_string(),
                received: Some(self.input.received()),
            };
            self.tell(|peer| peer.say(&message));
        }
    }

    fn resize(&mut self, cols: u16, rows: u16) {
        let terminal = self
            .running
            .as_ref()
            .and_then(|running| running.terminal.as_ref());
        let resized = terminal
            .is_some_and(|terminal| terminal.resize(pty_process::Size::new(rows, cols)).is_ok());
        if resized {
            self.size = None;
            self.screen = Some((cols, rows));
            self.spool
                .commit(0, Kind::Output, Some((cols, rows)), Timestamp::now());
        }
    }

    pub(super) fn grace(&self) -> Duration {
        Duration::from_millis(
            self.job
                .spec
                .kill_grace_ms
                .unwrap_or(self.job.kill_grace_ms),
        )
    }

    /// Sends a signal to the program; with `escalate`, stronger ones follow unless it goes.
    pub(super) fn signal(&mut self, signal: Signal, escalate: bool) {
        let Some(running) = &self.running else {
            return;
        };
        signals::send(running, signal);
        if escalate && self.exit.is_none() {
            let follows = Escalation::after(signal, Instant::now(), self.grace());
            // Who asks again doesn't put off what follows.
            let under_way = self.escalation.filter(|step| {
                step.next == Signal::Kill || follows.is_some_and(|new| new.next == step.next)
            });
            self.escalation = under_way.or(follows);
        }
    }
}
