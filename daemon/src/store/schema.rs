//! The tables and their versions.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

/// Every migration, in order, with the version that it makes.
const MIGRATIONS: [(i64, &str); 4] = [
    (1, include_str!("../../migrations/0001_start.sql")),
    (2, include_str!("../../migrations/0002_retention.sql")),
    (3, include_str!("../../migrations/0003_messages.sql")),
    (4, include_str!("../../migrations/0004_drafts.sql")),
];

/// What bringing a database up to date came to.
pub(super) enum Migrated {
    /// The tables are as this build wants them.
    Current,
    /// A newer build wrote the database; nothing was touched.
    Newer {
        /// The version found.
        found: i64,
        /// The newest version that this build knows.
        known: i64,
    },
}

/// Brings the tables to this build's version, all or nothing.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<Migrated> {
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")?;
    let found: Option<i64> = transaction
        .query_row("SELECT version FROM schema_version", [], |row| row.get(0))
        .optional()?;
    let from = found.unwrap_or(0);
    if from > known {
        return Ok(Migrated::Newer { found: from, known });
    }
    for (_, migration) in MIGRATIONS.iter().filter(|(version, _)| *version > from) {
        transaction.execute_batch(migration)?;
    }
    match found {
        None => transaction.execute("INSERT INTO schema_version (version) VALUES ($1)", [known])?,
        Some(_) => transaction.execute("UPDATE schema_version SET version = $1", [known])?,
    };
    transaction.commit()?;
    Ok(Migrated::Current)
}
