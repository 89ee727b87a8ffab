//! Requests of commands that must not wait for a daemon that isn't there. One that was there and went away is waited for:
//! it is being restarted, and what was asked may have been done already.

use std::convert::Infallible;

use opsctl_client::{Client, ConnState, Events, RequestError};
use opsctl_protocol::message::{
    CommandList, CommandQuery, CommandSummary, DashboardMessage, State, ToDashboard,
};

use crate::connect::request_failure;
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};

/// Commands in the answer to a query for an id's prefix: enough to name what it could mean.
const CANDIDATES: u32 = 5;

/// Asks and waits for the answer, or for the first sign that there is no daemon.
///
/// # Errors
/// What the daemon refused, or why there is no connection.
pub async fn ask(
    context: &Context,
    client: &Client,
    message: impl Into<DashboardMessage>,
) -> Result<ToDashboard, Failure> {
    tokio::select! {
        biased;
        answer = client.request(message) => answer.map_err(|error| refusal(context, client, error)),
        state = client.trouble() => Err(no_connection(context, state)),
        never = tell_of_losses(client) => match never {},
    }
}

/// Waits for an answer while nothing is subscribed: what comes meanwhile is for nobody, and must not stand in its way.
pub async fn beside<T>(events: &mut Events, answer: impl Future<Output = T>) -> T {
    let unheard = async {
        while events.next().await.is_some() {}
        std::future::pending().await
    };
    let answer = tokio::select! {
        biased;
        answer = answer => answer,
        never = unheard => match never {},
    };
    while events.try_next().is_some() {}
    answer
}

/// Says on stderr when the connection is lost and when it is there again.
async fn tell_of_losses(client: &Client) -> Infallible {
    let mut states = client.states();
    loop {
        let lost = states.wait_for(|state| matches!(state, ConnState::Waiting { .. }));
        if let Ok(ConnState::Waiting { reason, .. }) = lost.await.map(|state| state.clone()) {
            eprintln!("opsctl: the connection to the daemon was lost ({reason}); reconnecting");
        }
        let back = states.wait_for(|state| *state == ConnState::Connected);
        if back.await.is_err() {
            // The connection's task has ended, which the request is told too.
            std::future::pending::<()>().await;
        }
        eprintln!("opsctl: connected again");
    }
}

fn refusal(context: &Context, client: &Client, error: RequestError) -> Failure {
    match error {
        RequestError::Refused(_) => request_failure(context, error),
        RequestError::Connection { .. } | RequestError::Closed => {
            no_connection(context, client.state())
        }
    }
}

/// The failure that a connection's state amounts to for somebody who needs it now.
pub fn no_connection(context: &Context, state: ConnState) -> Failure {
    match state {
        ConnState::Waiting { reason, .. } => context.unreachable(&reason),
        ConnState::Refused { code, message } => context.not_let_in(code, message),
        ConnState::Connecting { .. } | ConnState::Connected | ConnState::Closed => {
            context.unreachable("the connection was closed")
        }
    }
}

/// The commands that fit a query.
///
/// # Errors
/// As [`ask`].
pub async fn query(
    context: &Context,
    client: &Client,
    query: CommandQuery,
) -> Result<CommandList, Failure> {
    match ask(context, client, query).await? {
        ToDashboard::CommandList(list) => Ok(list),
        _ => Err(Failure::new(
            ExitCode::General,
            "the daemon answered a query for commands with something else",
        )),
    }
}

/// The only command whose id starts so.
///
/// # Errors
/// There is none, or there are several: the message names them.
pub async fn by_prefix(
    context: &Context,
    client: &Client,
    given: &str,
) -> Result<CommandSummary, Failure> {
    let prefix = given.to_ascii_lowercase();
    let unknown = || {
        Failure::new(
            ExitCode::UnknownCommand,
            format!("no command has the id {given:?}"),
        )
        .hint("`opsctl ps --all` lists the commands")
    };
    if prefix.is_empty() || prefix.len() > 32 || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(unknown());
    }
    let id_prefix = Some(prefix);
    let asked = CommandQuery {
        id_prefix,
        limit: Some(CANDIDATES),
        ..CommandQuery::default()
    };
    let mut found = query(context, client, asked).await?.commands;
    match found.len() {
        0 => Err(unknown()),
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<String> = found
                .iter()
                .map(|command| {
                    format!(
                        "{}  {}  {}",
                        command.command_id, command.agent_id, command.program
                    )
                })
                .collect();
            let message = format!("several commands have an id that starts with {given:?}");
            Err(Failure::new(ExitCode::UnknownCommand, message).hint(names.join("\n")))
        }
    }
}

/// The states of commands that have not ended.
pub fn unfinished() -> Vec<State> {
    vec![State::Queued, State::Delivered, State::Running]
}
