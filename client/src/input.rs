//! Bulk input for a command: a window beyond what the agent has reported, held back until the command runs, sent again
//! after a reconnect from what was reported.

mod window;

use std::time::Duration;

use bytes::Bytes;
use opsctl_protocol::CommandId;
use opsctl_protocol::message::{CommandStatus, State};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::event::ConnState;
use crate::handle::Client;
use window::{STALL, Window};

/// Pieces of input that may wait for the window.
const WAITING_PIECES: usize = 2;

/// The command takes no more input: it has ended, or its pump has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the command takes no more input")]
pub struct InputEnded;

/// What is known of the command's end of the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Progress {
    /// The command has been started.
    running: bool,
    /// Nothing more will be read.
    ended: bool,
    /// How often the daemon said that it did not take input.
    rejections: u64,
    /// Bytes that the program has been given.
    taken: u64,
}

/// Sends a stream of input to one command. Dropping it without [`InputPump::finish`] leaves the input open.
#[derive(Debug)]
pub struct InputPump {
    pieces: mpsc::Sender<Piece>,
    progress: watch::Sender<Progress>,
}

/// What goes into the pump.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
}

impl InputPump {
    /// Starts a task that sends to `command` over `client`.
    pub fn start(client: Client, command: CommandId) -> Self {
        let (pieces, pieces_in) = mpsc::channel(WAITING_PIECES);
        let (progress, progress_in) = watch::channel(Progress::default());
        let states = client.states();
        let pump = Pump {
            client,
            pieces: pieces_in,
            progress: progress_in,
            states,
            window: Window::new(command),
        };
        tokio::spawn(pump.run());
        Self { pieces, progress }
    }

    /// Hands over bytes of any length; waits while the window is full or the command does not run yet.
    ///
    /// # Errors
    /// When the command has ended.
    pub async fn send(&self, bytes: Bytes) -> Result<(), InputEnded> {
        self.pieces
            .send(Piece::Bytes(bytes))
            .await
            .map_err(|_| InputEnded)
    }

    /// Closes the input after what was handed over; waits for room in the queue only.
    ///
    /// # Errors
    /// When the command has ended.
    pub async fn finish(&self) -> Result<(), InputEnded> {
        self.pieces.send(Piece::End).await.map_err(|_| InputEnded)
    }

    /// Tells that the daemon said `input_rejected`; it does not say about which input. What was not taken is sent again.
    pub fn rejected(&self) {
        self.progress
            .send_modify(|progress| progress.rejections += 1);
    }

    /// Tells what a `command:status` of the command said.
    pub fn status(&self, status: &CommandStatus) {
        self.progress.send_if_modified(|progress| {
            let before = *progress;
            progress.running |= status.state == State::Running;
            progress.ended |= status.state.is_final();
            progress.taken = progress.taken.max(status.input_offset.unwrap_or_default());
            *progress != before
        });
    }
}

/// How long to wait at first before input that was refused is sent again; doubles with each refusal that follows.
const REFUSED: Duration = Duration::from_millis(50);

/// The longest such wait. A refusal after as long a peace is the first one again.
const REFUSED_MOST: Duration = Duration::from_secs(2);

/// The task behind an [`InputPump`].
struct Pump {
    client: Client,
    pieces: mpsc::Receiver<Piece>,
    progress: watch::Receiver<Progress>,
    states: watch::Receiver<ConnState>,
    window: Window,
}

impl Pump {
    async fn run(mut self) {
        let mut stalled = Stall::new();
        let mut refused = Refused::default();
        let mut rejections = 0;
        loop {
            let progress = *self.progress.borrow_and_update();
            if self.window.taken(progress.taken) {
                stalled = Stall::new();
            }
            if std::mem::replace(&mut rejections, progress.rejections) != progress.rejections {
                refused.again(Instant::now());
            }
            if progress.ended || self.window.is_done() {
                return;
            }
            match self.states.has_changed() {
                // Also one that came while something was sent: part of that went with the old connection.
                Ok(true) => {
                    self.window.rewind();
                    refused = Refused::default();
                }
                Ok(false) => {}
                Err(_) => return,
            }
            let connected = *self.states.borrow_and_update() == ConnState::Connected;
            if progress.running && connected && refused.until.is_none() {
                self.send().await;
            }
            tokio::select! {
                piece = self.pieces.recv(), if self.window.wants_more() => match piece {
                    Some(Piece::Bytes(bytes)) => self.window.push(bytes),
                    Some(Piece::End) => self.window.finish(),
                    // Without an end the input stays open; what was handed over is still sent.
                    None => self.window.abandon(),
                },
                changed = self.progress.changed() => if changed.is_err() {
                    // Nobody tells of progress any more, so nobody waits for this either.
                    return;
                },
                changed = self.states.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.window.rewind();
                    refused = Refused::default();
                }
                () = reached(refused.until) => {
                    refused.until = None;
                    self.window.rewind();
                }
                () = sleep_until(stalled.until), if progress.running && self.window.is_waiting() => {
                    // The agent may have been away when the input passed through the daemon.
                    self.window.rewind();
                    stalled.again();
                }
            }
        }
    }

    /// Sends what the window permits, until the connection or what is known of the command changes.
    async fn send(&mut self) {
        while let Some(input) = self.window.next() {
            tokio::select! {
                biased;
                sent = self.client.input(input) => if sent.is_err() {
                    // The change of state that follows rewinds the window.
                    return;
                },
                // The lane of a half-open connection may stay full for minutes after the connection was given up.
                changed = self.states.changed() => {
                    // An end is seen by the loop too.
                    let _ = changed;
                    self.window.rewind();
                    return;
                }
            }
            // What follows something that was refused would be refused too.
            if self.progress.has_changed().unwrap_or(true) {
                return;
            }
        }
    }
}

/// Waits for a time; for ever where there is none.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// How long nothing is sent because the daemon or the agent took something not.
#[derive(Debug, Default)]
struct Refused {
    /// Until then.
    until: Option<Instant>,
    /// When the last wait ended, or ends, and how long it was.
    last: Option<(Instant, Duration)>,
}

impl Refused {
    /// Something was not taken. What was sent with it was not either, and says so too: that is no other refusal.
    fn again(&mut self, now: Instant) {
        if self.until.is_some() {
            return;
        }
        let wait = match self.last {
            Some((ended, wait)) if now < ended + REFUSED_MOST => (wait * 2).min(REFUSED_MOST),
            _ => REFUSED,
        };
        self.until = Some(now + wait);
        self.last = Some((now + wait, wait));
    }
}

/// When to send again what was not reported as taken; doubles, because a program may simply not read.
struct Stall {
    until: Instant,
    wait: Duration,
}

impl Stall {
    fn new() -> Self {
        Self {
            until: Instant::now() + STALL,
            wait: STALL,
        }
    }

    fn again(&mut self) {
        self.wait = (self.wait * 2).min(STALL * 12);
        self.until = Instant::now() + self.wait;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_again_and_again_asks_less_and_less_often() {
        let mut refused = Refused::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..8 {
            refused.again(now);
            refused.again(now);
            let until = refused.until.take().unwrap();
            waits.push((until - now).as_millis());
            now = until + Duration::from_millis(10);
        }
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        refused.again(now + REFUSED_MOST);
        assert_eq!(refused.until, Some(now + REFUSED_MOST + REFUSED));
    }
}
