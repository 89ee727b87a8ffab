//! The reading side: short queries only.

use std::fmt::Write as _;

use opsctl_protocol::message::{CommandSpec, CommandSummary, State};
use opsctl_protocol::{AgentId, CommandId, Timestamp};
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde::de::DeserializeOwned;

use crate::store::row::{AgentRow, CommandRow, DraftRow, MessageRow, RequestRow, Sent};
use crate::store::{CommandFilter, CommandPage};

/// A command's columns in the order in which [`command_row`] reads them.
const COMMAND: &str = "SELECT command_id, agent_id, request_key, requested_by, created_at, main, spec, ttl_ms, expires_at,
    cols, rows, state, exit_code, signal, timed_out, reason, started_at, finished_at, output_bytes, draft_count, draft_to FROM commands";

pub(super) fn agents(connection: &Connection) -> rusqlite::Result<Vec<AgentRow>> {
    connection
        .prepare_cached(
            "SELECT agent_id, labels, facts, capabilities, max_commands, activity, since, last_seen
             FROM agents ORDER BY agent_id",
        )?
        .query_map([], |row| {
            Ok(AgentRow {
                agent_id: parsed(row, 0)?,
                labels: json(row, 1)?,
                facts: json(row, 2)?,
                capabilities: json(row, 3)?,
                max_commands: row.get(4)?,
                activity: json(row, 5)?,
                since: time(row, 6)?,
                last_seen: time(row, 7)?,
            })
        })?
        .collect()
}

pub(super) fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<CommandRow>> {
    connection
        .prepare_cached(&format!(
            "{COMMAND} WHERE state IN ('queued', 'delivered', 'running') ORDER BY created_at, position"
        ))?
        .query_map([], command_row)?
        .collect()
}

pub(super) fn command(
    connection: &Connection,
    id: CommandId,
) -> rusqlite::Result<Option<CommandRow>> {
    connection
        .prepare_cached(&format!("{COMMAND} WHERE command_id = $1"))?
        .query_row([id.to_string()], command_row)
        .optional()
}

pub(super) fn request(connection: &Connection, key: &str) -> rusqlite::Result<Option<RequestRow>> {
    // One snapshot for both queries.
    let transaction = connection.unchecked_transaction()?;
    let found = transaction
        .prepare_cached(
            "SELECT request_key, fingerprint, subject, created_at, fanout, offline FROM requests WHERE request_key = $1",
        )?
        .query_row(params![key], |row| {
            Ok(RequestRow {
                key: row.get(0)?,
                fingerprint: row.get(1)?,
                subject: row.get(2)?,
                created_at: time(row, 3)?,
                fanout: row.get(4)?,
                commands: Vec::new(),
                offline: json(row, 5)?,
            })
        })
        .optional()?;
    let Some(mut request) = found else {
        return Ok(None);
    };
    request.commands = transaction
        .prepare_cached(&format!(
            "{COMMAND} WHERE request_key = $1 ORDER BY position"
        ))?
        .query_map(params![key], command_row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(request))
}

pub(super) fn commands(
    connection: &Connection,
    filter: &CommandFilter,
) -> rusqlite::Result<CommandPage> {
    let mut values: Vec<Value> = Vec::new();
    let mut sql = format!("{COMMAND} WHERE 1 = 1");
    if let Some(prefix) = &filter.id_prefix {
        // A range uses the primary key, which LIKE would not. Ids have only hex digits, so that `g` follows them all.
        let prefix = prefix.to_ascii_lowercase();
        values.extend([
            Value::Text(prefix.clone()),
            Value::Text(format!("{prefix}g")),
        ]);
        sql.push_str(" AND command_id >= $1 AND command_id < $2");
    }
    if let Some(agents) = &filter.agents {
        let names = agents.iter().map(|agent| agent.as_str().to_owned());
        push_in(&mut sql, &mut values, "agent_id", names);
    }
    if !filter.states.is_empty() {
        let words = filter.states.iter().map(|state| state.as_str().to_owned());
        push_in(&mut sql, &mut values, "state", words);
    }
    if let Some((time, id)) = &filter.before {
        let time = i64::try_from(time.0).unwrap_or(i64::MAX);
        values.extend([Value::Integer(time), Value::Text(id.to_string())]);
        let (at, id) = (values.len() - 1, values.len());
        // The first condition is the index's.
        let _ = write!(
            sql,
            " AND created_at <= ${at} AND (created_at < ${at} OR command_id < ${id})"
        );
    }
    // One more than wanted tells whether there are more.
    values.push(Value::Integer(i64::from(filter.limit) + 1));
    let _ = write!(
        sql,
        " ORDER BY created_at DESC, command_id DESC LIMIT ${}",
        values.len()
    );
    let mut commands: Vec<CommandRow> = connection
        .prepare(&sql)?
        .query_map(params_from_iter(values), command_row)?
        .collect::<rusqlite::Result<_>>()?;
    let more = commands.len() > filter.limit as usize;
    commands.truncate(filter.limit as usize);
    Ok(CommandPage { commands, more })
}

/// A message's columns in the order in which [`message_row`] reads them.
const MESSAGE: &str = "SELECT asked, typed, sent_from, sent FROM messages";

pub(super) fn open_messages(connection: &Connection) -> rusqlite::Result<Vec<MessageRow>> {
    connection
        .prepare_cached(&format!(
            "{MESSAGE} WHERE is_open ORDER BY created_at, rowid"
        ))?
        .query_map([], message_row)?
        .collect()
}

pub(super) fn message(connection: &Connection, key: &str) -> rusqlite::Result<Option<MessageRow>> {
    connection
        .prepare_cached(&format!("{MESSAGE} WHERE message_key = $1"))?
        .query_row([key], message_row)
        .optional()
}

fn message_row(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    let from: Option<i64> = row.get(2)?;
    let data: Option<Vec<u8>> = row.get(3)?;
    Ok(MessageRow {
        asked: json(row, 0)?,
        typed: json(row, 1)?,
        sent: from.zip(data).map(|(from, data)| Sent {
            from: from.cast_unsigned(),
            data,
        }),
    })
}

/// Some of what retention removes: commands, and keys of requests that have none left.
pub(super) fn outdated(
    connection: &Connection,
    before: Timestamp,
    most: u32,
) -> rusqlite::Result<(Vec<CommandId>, Vec<String>)> {
    let before = i64::try_from(before.0).unwrap_or(i64::MAX);
    let commands = connection
        .prepare_cached(
            "SELECT command_id FROM commands
             WHERE created_at < $1 AND COALESCE(finished_at, 0) < $1
                 AND state NOT IN ('queued', 'delivered', 'running')
             ORDER BY created_at LIMIT $2",
        )?
        .query_map(params![before, most], |row| parsed(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    let requests = connection
        .prepare_cached(
            "SELECT request_key FROM requests
             WHERE created_at < $1
                 AND NOT EXISTS (SELECT 1 FROM commands WHERE commands.request_key = requests.request_key)
             ORDER BY created_at LIMIT $2",
        )?
        .query_map(params![before, most], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok((commands, requests))
}

/// Adds `AND column IN ($n, …)`; an empty list covers nothing.
fn push_in(
    sql: &mut String,
    values: &mut Vec<Value>,
    column: &str,
    words: impl Iterator<Item = String>,
) {
    let from = values.len();
    values.extend(words.map(Value::Text));
    if values.len() == from {
        sql.push_str(" AND 1 = 0");
        return;
    }
    let marks: Vec<String> = (from + 1..=values.len())
        .map(|number| format!("${number}"))
        .collect();
    let _ = write!(sql, " AND {column} IN ({})", marks.join(", "));
}

fn command_row(row: &Row<'_>) -> rusqlite::Result<CommandRow> {
    let spec: CommandSpec = json(row, 6)?;
    let word: String = row.get(11)?;
    let state = State::from_word(&word)
        .ok_or_else(|| unreadable(11, format!("{word:?} is no state").into()))?;
    let summary = CommandSummary {
        cols: row.get(9)?,
        rows: row.get(10)?,
        requested_by: row.get(3)?,
        created_at: time(row, 4)?,
        main: row.get(5)?,
        state,
        exit_code: row.get(12)?,
        signal: row.get(13)?,
        timed_out: row.get(14)?,
        reason: row.get(15)?,
        started_at: optional_time(row, 16)?,
        finished_at: optional_time(row, 17)?,
        output_bytes: row.get::<_, i64>(18)?.cast_unsigned(),
        expires_at: optional_time(row, 8)?,
        ..CommandSummary::queued(parsed(row, 0)?, parsed::<AgentId>(row, 1)?, &spec)
    };
    let ttl_ms = row.get::<_, Option<i64>>(7)?.map(i64::cast_unsigned);
    Ok(CommandRow {
        summary,
        spec,
        key: row.get(2)?,
        ttl_ms,
        draft: draft(row)?,
    })
}

fn draft(row: &Row<'_>) -> rusqlite::Result<Option<DraftRow>> {
    let count: Option<u32> = row.get(19)?;
    let to: Option<i64> = row.get(20)?;
    Ok(count.zip(to).map(|(count, to)| DraftRow {
        count,
        to: to.cast_unsigned(),
    }))
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get::<_, i64>(column)
        .map(|ms| Timestamp(ms.cast_unsigned()))
}

fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row
        .get::<_, Option<i64>>(column)?
        .map(|ms| Timestamp(ms.cast_unsigned())))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error.into()))
}

fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.get(column)?;
    text.parse()
        .map_err(|error: T::Err| unreadable(column, error.into()))
}

fn unreadable(column: usize, error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error)
}
