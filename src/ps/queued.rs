//! `opsctl ps --queued`: what waits for each agent, in the order in which it will go: commands, and messages for terminals.

use std::time::Duration;

use opsctl_client::Client;
use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{CommandSummary, TerminalQueue, TerminalTyped, ToDashboard};

use crate::ask::ask;
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use crate::output::table::{Cell, Column};
use crate::output::time::{age, span};

/// What is shown of each.
pub(super) const COLUMNS: [Column; 7] = [
    Column::flexible("AGENT"),
    Column::fixed("POS"),
    Column::fixed("ID"),
    Column::flexible("ASKED BY"),
    Column::fixed("AGE"),
    Column::fixed("LEFT"),
    Column::flexible("COMMAND"),
];

/// What is shown of each message.
pub(super) const MESSAGES: [Column; 7] = [
    Column::flexible("AGENT"),
    Column::fixed("POS"),
    Column::flexible("KEY"),
    Column::flexible("ASKED BY"),
    Column::fixed("LEFT"),
    Column::flexible("WAITS"),
    Column::flexible("MESSAGE"),
];

/// The messages that wait for terminals.
///
/// # Errors
/// As [`ask`].
pub(super) async fn messages(
    context: &Context,
    client: &Client,
    selector: Option<String>,
) -> Result<Vec<TerminalTyped>, Failure> {
    match ask(context, client, TerminalQueue { selector }).await? {
        ToDashboard::TypingQueue(list) => Ok(list.messages),
        _ => Err(Failure::new(
            ExitCode::General,
            "the daemon answered a query for messages with something else",
        )),
    }
}

/// The place in the queue, where it has one.
fn position(position: Option<u32>) -> Cell {
    let text = position.map(|position| position.to_string());
    text.unwrap_or_default().into()
}

/// The time that is left to live.
fn left(expires_at: Option<Timestamp>, now: Timestamp) -> Cell {
    let left = |at: Timestamp| span(Duration::from_millis(at.0.saturating_sub(now.0)));
    expires_at.map_or("-".to_owned(), left).into()
}

pub(super) fn message_row(message: &TerminalTyped, now: Timestamp) -> Vec<Cell> {
    vec![
        message.agent_id.as_str().into(),
        position(message.queue_position),
        message.key.as_str().into(),
        message.requested_by.as_str().into(),
        left(message.expires_at, now),
        message.reason.clone().unwrap_or_default().into(),
        message.text.as_str().into(),
    ]
}

/// By agent, and in each agent's order.
pub(super) fn sort(commands: &mut [CommandSummary]) {
    let place = |command: &CommandSummary| {
        let position = command.queue_position.unwrap_or(u32::MAX);
        (command.agent_id.clone(), position, command.created_at)
    };
    commands.sort_by_cached_key(place);
}

pub(super) fn row(command: &CommandSummary, now: Timestamp) -> Vec<Cell> {
    vec![
        command.agent_id.as_str().into(),
        position(command.queue_position),
        command.command_id.short().into(),
        command.requested_by.as_str().into(),
        age(command.created_at, now).into(),
        left(command.expires_at, now),
        command.program.to_string().into(),
    ]
}
