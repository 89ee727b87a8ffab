//! A connection for commands that do one thing and end: it is there, or the failure says why not and with which code.

use anyhow::{Context as _, Result};
use opsctl_client::{Client, ConnState, Event, Events, RequestError};
use opsctl_protocol::message::{AgentInfo, Connected, ToDashboard};

use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};

/// A connection to a daemon that has said who it is.
#[derive(Debug)]
pub struct Connection {
    /// For asking.
    pub client: Client,
    /// What comes unasked, from the first message after `connected` on.
    pub events: Events,
    /// How the daemon introduced itself.
    pub connected: Connected,
}

/// Connects once: a daemon that isn't there is a failure, not something to wait for. `command` is the subcommand's name.
///
/// # Errors
/// A [`Failure`]: unreachable, or refused.
pub async fn connect(context: &Context, command: &str) -> Result<Connection> {
    let (client, mut events) = opsctl_client::start(context.client(command)?);
    loop {
        match events.next().await {
            Some(Event::Connected(connected)) => {
                return Ok(Connection {
                    client,
                    events,
                    connected,
                });
            }
            Some(Event::State(ConnState::Waiting { reason, .. })) => {
                return Err(context.unreachable(&reason).into());
            }
            Some(Event::State(ConnState::Refused { code, message })) => {
                return Err(context.not_let_in(code, message).into());
            }
            Some(_) => {}
            None => return Err(context.unreachable("the connection was closed").into()),
        }
    }
}

impl Connection {
    /// The fleet, as the daemon lists it to every newcomer. Only before any other event was taken.
    ///
    /// # Errors
    /// The daemon went away.
    pub async fn agents(&mut self) -> Result<Vec<AgentInfo>> {
        let mut agents = Vec::new();
        loop {
            let event = self
                .events
                .next()
                .await
                .context("the daemon went away before it listed its agents")?;
            match event {
                // Another connection: the list begins anew.
                Event::Connected(_) => agents.clear(),
                Event::Message(message) => {
                    if let ToDashboard::AgentList(list) = message.message {
                        agents.extend(list.agents);
                        if !list.more {
                            return Ok(agents);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// The failure that a request ended in, with its exit code.
pub fn request_failure(context: &Context, error: RequestError) -> Failure {
    match error {
        RequestError::Refused(payload) => {
            Failure::new(ExitCode::of_refusal(payload.code), payload.message)
        }
        RequestError::Connection { message } => context.unreachable(&message),
        RequestError::Closed => context.unreachable("the connection was closed"),
    }
}
