//! The writing side: group commit.

use opsctl_protocol::{AgentId, CommandId};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::explain;
use crate::store::StoreError;
use crate::store::row::{AgentRow, CommandRow, MessageRow, RequestRow, Write};

/// Callers whose writes share one transaction: enough that the sync's cost disappears, few enough that none waits long.
const MAX_GROUP: usize = 256;

/// One caller's writes: all of them happen or none.
pub(super) struct Job {
    /// What to write, in order; nothing to close the database.
    pub(super) writes: Option<Vec<Write>>,
    /// Where to say that it is durable.
    pub(super) answer: oneshot::Sender<Result<(), StoreError>>,
}

/// Writes until every sender is gone, or until told to close.
pub(super) fn run(mut connection: Connection, mut queue: mpsc::Receiver<Job>, path: &str) {
    let mut group = Vec::new();
    let mut next = queue.blocking_recv();
    while let Some(job) = next.take() {
        let Some(writes) = job.writes else {
            // Who asked may have gone; the database is closed all the same.
            let _ = job.answer.send(close(&connection, path));
            return;
        };
        group.push((writes, job.answer));
        while group.len() < MAX_GROUP
            && let Ok(job) = queue.try_recv()
        {
            if let Some(writes) = job.writes {
                group.push((writes, job.answer));
            } else {
                next = Some(job);
                break;
            }
        }
        commit(&mut connection, &mut group, path);
        next = next.or_else(|| queue.blocking_recv());
    }
}

/// Brings all of the write-ahead log into the database and empties it.
fn close(connection: &Connection, path: &str) -> Result<(), StoreError> {
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(|error| explain(path, &error))
}

/// One caller's writes in a group, and where to answer.
type Member = (Vec<Write>, oneshot::Sender<Result<(), StoreError>>);

/// Writes a group in one transaction and answers each caller; the group is empty afterwards.
fn commit(connection: &mut Connection, group: &mut Vec<Member>, path: &str) {
    let mut results = Vec::with_capacity(group.len());
    let committed = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .and_then(|mut transaction| {
            for (writes, _) in group.iter() {
                results.push(apply_alone(&mut transaction, writes)?);
            }
            transaction.commit()
        });
    if let Err(error) = &committed {
        tracing::error!(%error, path, callers = group.len(), "the database did not take a transaction");
        results.clear();
        results.resize_with(group.len(), || Err(explain(path, error)));
    }
    for ((_, answer), result) in group.drain(..).zip(results) {
        // Who asked may have gone; what was written stays.
        let _ = answer.send(result);
    }
}

/// One caller's writes inside the group's transaction. A row that is refused takes back only this caller's writes; an
/// error of the disk ends the whole transaction, which is the outer result.
fn apply_alone(
    transaction: &mut Transaction<'_>,
    writes: &[Write],
) -> rusqlite::Result<Result<(), StoreError>> {
    let savepoint = transaction.savepoint()?;
    match writes.iter().try_for_each(|write| apply(&savepoint, write)) {
        Ok(()) => savepoint.commit().map(Ok),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
        {
            // Dropping the savepoint rolls it back.
            Ok(Err(StoreError::Duplicate {
                message: error.to_string(),
            }))
        }
        Err(error) => Err(error),
    }
}

fn apply(connection: &Connection, write: &Write) -> rusqlite::Result<()> {
    match write {
        Write::Agent(agent) => put_agent(connection, agent),
        Write::Request(request) => add_request(connection, request),
        Write::Command(command) => put_command(connection, command),
        Write::AddMessage(message) => add_message(connection, message),
        Write::Message(message) => put_message(connection, message),
        Write::RemoveMessages(before) => connection
            .execute(
                "DELETE FROM messages WHERE NOT is_open AND created_at < $1",
                [big(before.0)],
            )
            .map(drop),
        Write::ForgetAgent(agent) => connection
            .execute("DELETE FROM agents WHERE agent_id = $1", [agent.as_str()])
            .map(drop),
        Write::Remove(commands, requests) => remove(connection, commands, requests),
    }
}

fn put_agent(connection: &Connection, agent: &AgentRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO agents (agent_id, labels, facts, capabilities, max_commands, activity, since, last_seen)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (agent_id) DO UPDATE SET labels = excluded.labels, facts = excluded.facts,
                 capabilities = excluded.capabilities, max_commands = excluded.max_commands,
                 activity = excluded.activity, since = excluded.since, last_seen = excluded.last_seen",
        )?
        .execute(params![
            agent.agent_id.as_str(),
            json(&agent.labels)?,
            json(&agent.facts)?,
            json(&agent.capabilities)?,
            agent.max_commands,
            json(&agent.activity)?,
            big(agent.since.0),
            big(agent.last_seen.0),
        ])
        .map(drop)
}

fn add_request(connection: &Connection, request: &RequestRow) -> rusqlite::Result<()> {
    let offline: Vec<&str> = request.offline.iter().map(AgentId::as_str).collect();
    connection
        .prepare_cached(
            "INSERT INTO requests (request_key, fingerprint, subject, created_at, fanout, offline)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )?
        .execute(params![
            request.key,
            request.fingerprint,
            request.subject,
            big(request.created_at.0),
            request.fanout,
            json(&offline)?,
        ])?;
    request
        .commands
        .iter()
        .zip(0_i64..)
        .try_for_each(|(command, position)| add_command(connection, command, position))
}

/// Updates first: a command is added once and changes several times, and its spec may be large.
fn put_command(connection: &Connection, row: &CommandRow) -> rusqlite::Result<()> {
    let summary = &row.summary;
    let changed = connection
        .prepare_cached(
            "UPDATE commands SET cols = $1, rows = $2, state = $3, exit_code = $4, signal = $5, timed_out = $6,
                 reason = $7, started_at = $8, finished_at = $9, output_bytes = $10, expires_at = $11,
                 draft_count = $12, draft_to = $13
             WHERE command_id = $14",
        )?
        .execute(params![
            summary.cols,
            summary.rows,
            summary.state.as_str(),
            summary.exit_code,
            summary.signal,
            summary.timed_out,
            summary.reason,
            summary.started_at.map(|time| big(time.0)),
            summary.finished_at.map(|time| big(time.0)),
            big(summary.output_bytes),
            summary.expires_at.map(|time| big(time.0)),
            row.draft.map(|draft| draft.count),
            row.draft.map(|draft| big(draft.to)),
            summary.command_id.to_string(),
        ])?;
    if changed == 0 {
        add_command(connection, row, 0)
    } else {
        Ok(())
    }
}

fn add_command(connection: &Connection, row: &CommandRow, position: i64) -> rusqlite::Result<()> {
    let summary = &row.summary;
    connection
        .prepare_cached(
            "INSERT INTO commands (command_id, agent_id, request_key, position, requested_by, created_at, main, spec,
                 ttl_ms, expires_at, cols, rows, state, exit_code, signal, timed_out, reason, started_at, finished_at,
                 output_bytes, draft_count, draft_to)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)",
        )?
        .execute(params![
            summary.command_id.to_string(),
            summary.agent_id.as_str(),
            row.key,
            position,
            summary.requested_by,
            big(summary.created_at.0),
            summary.main,
            json(&row.spec)?,
            row.ttl_ms.map(big),
            summary.expires_at.map(|time| big(time.0)),
            summary.cols,
            summary.rows,
            summary.state.as_str(),
            summary.exit_code,
            summary.signal,
            summary.timed_out,
            summary.reason,
            summary.started_at.map(|time| big(time.0)),
            summary.finished_at.map(|time| big(time.0)),
            big(summary.output_bytes),
            row.draft.map(|draft| draft.count),
            row.draft.map(|draft| big(draft.to)),
        ])
        .map(drop)
}

fn add_message(connection: &Connection, message: &MessageRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO messages (message_key, created_at, is_open, asked, typed) VALUES ($1, $2, $3, $4, $5)",
        )?
        .execute(params![
            message.asked.key,
            big(message.typed.created_at.0),
            !message.typed.state.is_final(),
            json(&message.asked)?,
            json(&message.typed)?,
        ])
        .map(drop)
}

fn put_message(connection: &Connection, message: &MessageRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE messages SET is_open = $1, typed = $2, sent_from = $3, sent = $4 WHERE message_key = $5",
        )?
        .execute(params![
            !message.typed.state.is_final(),
            json(&message.typed)?,
            message.sent.as_ref().map(|sent| big(sent.from)),
            message.sent.as_ref().map(|sent| &sent.data),
            message.asked.key,
        ])
        .map(drop)
}

fn remove(
    connection: &Connection,
    commands: &[CommandId],
    requests: &[String],
) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM commands WHERE command_id = $1")?;
    for command in commands {
        delete.execute([command.to_string()])?;
    }
    let mut delete = connection.prepare_cached("DELETE FROM requests WHERE request_key = $1")?;
    for key in requests {
        delete.execute([key])?;
    }
    Ok(())
}

/// A number as the database holds it; no real time or size comes near the bound.
fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
