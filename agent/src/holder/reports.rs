//! What the program tells of itself, until the agent has passed it on.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use opsctl_protocol::Timestamp;
use opsctl_protocol::message::Activity;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::peer::Peer;
use crate::report::{MAX_LINE, Report, Said, TAKEN};
use crate::wire::FromHolder;

/// Callers that are served at once; further ones wait in the socket's own queue.
const CALLERS: usize = 16;

/// How long a caller may take for its line.
const PATIENCE: Duration = Duration::from_secs(1);

/// Notifications and task statuses that wait for the daemon; further ones are refused, so that their sender knows.
const WAITING: usize = 64;

/// Something said, and where its answer goes: the empty text, or why it was refused.
pub(super) type Call = (Said, oneshot::Sender<String>);

/// Listens at the report socket until the receiver is dropped.
pub(super) fn listen(listener: UnixListener) -> mpsc::Receiver<Call> {
    // Whoever serves a caller waits here for the holder, with its place among the callers.
    let (calls, receiver) = mpsc::channel(CALLERS);
    tokio::spawn(accept(listener, calls));
    receiver
}

async fn accept(listener: UnixListener, calls: mpsc::Sender<Call>) {
    let places = Arc::new(Semaphore::new(CALLERS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let socket = tokio::select! {
            accepted = listener.accept() => accepted,
            () = calls.closed() => return,
        };
        match socket {
            Ok((socket, _)) => {
                let calls = calls.clone();
                tokio::spawn(async move {
                    // A caller that is slow or gone is told nothing.
                    let _ = timeout(PATIENCE, serve(socket, calls)).await;
                    drop(place);
                });
            }
            // The process has no file descriptors left; some come back.
            Err(_) => tokio::time::sleep(PATIENCE).await,
        }
    }
}

async fn serve(mut socket: UnixStream, calls: mpsc::Sender<Call>) -> io::Result<()> {
    let (reader, mut writer) = socket.split();
    let mut line = Vec::new();
    BufReader::new(reader.take(MAX_LINE))
        .read_until(b'\n', &mut line)
        .await?;
    let mut answer = match serde_json::from_slice::<Said>(&line) {
        Ok(said) => {
            let (answer, answered) = oneshot::channel();
            calls
                .send((said.bounded(), answer))
                .await
                .map_err(io::Error::other)?;
            answered.await.map_err(io::Error::other)?
        }
        Err(error) => format!(
            "one line of JSON is wanted, such as {{\"type\":\"activity\",\"activity\":\"idle\"}}: {error}"
        ),
    };
    answer.push('\n');
    writer.write_all(answer.as_bytes()).await
}

/// What the program has said and the agent may not have passed on.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// What it said last about what it does.
    last: Option<Report>,
    /// The agent that is there hasn't been told.
    untold: bool,
    /// The rest, numbered from 1, oldest first; bounded by [`WAITING`].
    waiting: VecDeque<(u64, Said)>,
    /// Those that the agent that is there has been told.
    told: usize,
    /// The number of the newest.
    number: u64,
}

impl Reports {
    /// Takes what the program says. The answer is for it.
    pub(super) fn take(&mut self, said: Said) -> String {
        match said {
            Said::Activity { activity, reason } => {
                let same = |last: &Report| last.activity == activity && last.reason == reason;
                // Saying the same again doesn't make it any newer.
                if !self.last.as_ref().is_some_and(same) {
                    self.last = Some(Report {
                        activity,
                        reason,
                        since: Timestamp::now(),
                    });
                    self.untold = true;
                }
            }
            _ if self.waiting.len() >= WAITING => {
                return format!(
                    "{WAITING} notifications wait for the daemon already; try again when the agent is connected"
                );
            }
            said => {
                self.number += 1;
                self.waiting.push_back((self.number, said));
            }
        }
        TAKEN.to_owned()
    }

    /// Another agent is there, who knows nothing.
    pub(super) fn tell_again(&mut self) {
        let says = |last: &Report| last.activity != Activity::Unknown;
        self.untold = self.last.as_ref().is_some_and(says);
        self.told = 0;
    }

    /// Tells the agent what is new, as far as there is room for it.
    pub(super) fn tell(&mut self, peer: &mut Peer) {
        if self.untold
            && peer.has_room()
            && let Some(last) = &self.last
        {
            self.untold = false;
            peer.say(&FromHolder::Report(last.clone()));
        }
        while peer.has_room()
            && let Some((number, said)) = self.waiting.get(self.told)
        {
            self.told += 1;
            peer.say(&FromHolder::Notice {
                number: *number,
                said: said.clone(),
            });
        }
    }

    /// The daemon has everything up to this number.
    pub(super) fn passed_on(&mut self, number: u64) {
        while self
            .waiting
            .front()
            .is_some_and(|(first, _)| *first <= number)
        {
            self.waiting.pop_front();
            self.told = self.told.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opsctl_protocol::message::TaskStatus;

    fn task(status: &str) -> Said {
        Said::TaskStatus(TaskStatus {
            task_id: "7".to_owned(),
            status: status.to_owned(),
        })
    }

    #[test]
    fn what_waits_is_bounded_and_goes_when_it_was_passed_on() {
        let mut reports = Reports::default();
        for _ in 0..WAITING {
            assert_eq!(reports.take(task("open")), TAKEN);
        }
        assert_ne!(reports.take(task("one too many")), TAKEN);
        reports.passed_on(60);
        assert_eq!(reports.waiting.len(), 4);
        assert_eq!(reports.waiting[0].0, 61);
        assert_eq!(reports.take(task("done")), TAKEN);
    }

    #[test]
    fn the_same_word_keeps_its_time() {
        let mut reports = Reports::default();
        let blocked = Said::Activity {
            activity: Activity::Blocked,
            reason: None,
        };
        reports.take(blocked.clone());
        assert!(std::mem::take(&mut reports.untold));
        reports.take(blocked);
        assert!(!reports.untold);
        reports.tell_again();
        assert!(reports.untold, "another agent must be told");
    }
}
