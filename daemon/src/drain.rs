//! The daemon's end: nobody new is let in, everybody is told when to come back, and what was said is done first.
//!
//! Dashboards go before agents: what a person has asked for an agent is then on its way to it, not lost between the two.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::hub::Event;
use crate::ingress::Lobby;

/// How long the whole of it may take.
const DRAIN: Duration = Duration::from_secs(5);

/// How many of those who overran are named.
const NAMED: usize = 20;

/// How long a restart takes, so that whoever comes back finds somebody.
const RESTART: Duration = Duration::from_millis(250);

/// How far the return of each connection is put off: what letting it in costs.
const RETURN_EACH: Duration = Duration::from_millis(1);

/// The last one comes back no later than this: all are back within five seconds.
const RETURN_ALL: Duration = Duration::from_secs(3);

/// Tasks that end together.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// They are to end.
    pub stop: CancellationToken,
    /// They run.
    pub tasks: TaskTracker,
}

impl Group {
    /// Tells all to end and waits until they have, or until the deadline.
    async fn end(&self, deadline: Instant) {
        self.stop.cancel();
        self.tasks.close();
        // Who overran is named by the lobby.
        let _ = timeout_at(deadline, self.tasks.wait()).await;
    }
}

/// Everything that lets people in and talks to them.
#[derive(Debug, Clone)]
pub struct Edges {
    /// Listeners, and connections that are no WebSocket yet.
    pub doors: Group,
    /// Dashboards.
    pub dashboards: Group,
    /// Agents.
    pub agents: Group,
    /// Who is connected.
    pub lobby: Arc<Lobby>,
}

impl Edges {
    /// Nobody connected, nothing open.
    pub fn new(lobby: Arc<Lobby>) -> Self {
        Self {
            doors: Group::default(),
            dashboards: Group::default(),
            agents: Group::default(),
            lobby,
        }
    }

    /// Ends all of it. `closed` is called when nobody new gets in any more.
    pub async fn drain(&self, events: &mpsc::Sender<Event>, closed: impl FnOnce()) {
        let deadline = Instant::now() + DRAIN;
        self.doors.end(deadline).await;
        closed();
        self.dashboards.end(deadline).await;
        let (told, handled) = oneshot::channel();
        let last_word = async {
            // Without a hub there is nothing to wait for.
            let _ = events.send(Event::Handled(told)).await;
            let _ = handled.await;
        };
        let in_time = timeout_at(deadline, last_word).await.is_ok();
        self.agents.end(deadline).await;
        if !in_time {
            tracing::warn!("the hub did not do in time what it was asked before the end");
        }
        let overran = self.lobby.len();
        if overran > 0 {
            let names = self.lobby.names(NAMED).join(", ");
            tracing::warn!(
                connections = overran,
                names,
                "connections did not end in time"
            );
        }
    }
}

/// How long one of so many connections is to stay away when the daemon stops. `noise` is uniform in `0.0..1.0`.
pub fn stay_away(connections: usize, noise: f64) -> Duration {
    let connections = u32::try_from(connections).unwrap_or(u32::MAX);
    let spread = RETURN_EACH.saturating_mul(connections).min(RETURN_ALL);
    RESTART + spread.mul_f64(noise.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_come_back_at_once_and_many_one_after_the_other() {
        assert!(stay_away(1, 1.0) < Duration::from_millis(300));
        assert_eq!(stay_away(1000, 0.0), RESTART);
        assert_eq!(stay_away(1000, 0.5), RESTART + Duration::from_millis(500));
        assert_eq!(stay_away(usize::MAX, 1.0), RESTART + RETURN_ALL);
        assert!(stay_away(usize::MAX, 1.0).mul_f64(1.2) < Duration::from_secs(5));
    }
}
