//! An agent's output on its way into the log, and what becomes of it while the log takes none.
//!
//! Then it stays with the agent, which keeps what is not acknowledged: pieces that come are let go, and so are ends, which
//! must not overtake them. Everything else is heard as always, so that a full disk costs no connection. Once the log can
//! be written again the agent is asked to come back, and sends what is missing.

use opsctl_protocol::{AgentMessage, OutputFrame};

use crate::hub::{ConnId, Event};
use crate::log::Log;

/// One connection's way into the log.
pub(super) struct Intake {
    log: Log,
    conn: ConnId,
    /// Something was let go: the agent has to come back before anything more of its output is taken.
    is_behind: bool,
}

impl Intake {
    pub(super) fn new(log: Log, conn: ConnId) -> Self {
        Self {
            log,
            conn,
            is_behind: false,
        }
    }

    /// Output with its room in the log; waits for that. None where it stays with the agent.
    pub(super) async fn output(&mut self, frame: OutputFrame) -> Option<Event> {
        if self.is_behind {
            return None;
        }
        match self.log.room(frame.data.len()).await {
            Ok(room) => Some(Event::AgentOutput(self.conn, frame, room)),
            Err(error) => {
                tracing::warn!(conn = %self.conn, %error, "output waits at its agent");
                self.is_behind = true;
                None
            }
        }
    }

    /// Whether a message may pass the output that was let go.
    pub(super) fn may_pass(&self, message: &AgentMessage) -> bool {
        let follows_output = match message {
            AgentMessage::Status(status) => status.state.is_final(),
            AgentMessage::Gap(_) => true,
            _ => false,
        };
        !(self.is_behind && follows_output)
    }

    /// Waits until the log takes again what was let go; never where nothing was.
    pub(super) async fn recovered(&self) {
        if self.is_behind {
            self.log.recovered().await;
        } else {
            std::future::pending::<()>().await;
        }
    }
}
