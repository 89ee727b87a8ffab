//! The hub's way to the store for what changes all the time: rows wait here until the store has taken them.
//!
//! Of each agent and each command only the newest row waits, so that what waits is bounded by what the hub itself has in
//! memory, however long the disk takes nothing. All that waits goes into one transaction, which is tried again until it
//! works; only a withdrawal that somebody waits for is given up after one attempt, and he is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opsctl_protocol::{AgentId, CommandId};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::hub::{Event, Save, Version, Withdrawal};
use crate::store::{AgentRow, CommandRow, Store, StoreError, Write};

/// How long the store is left alone after it failed.
const RETRY: Duration = Duration::from_secs(1);

/// Rows that wait for the store.
#[derive(Debug, Default)]
pub struct Saver {
    waiting: Mutex<Waiting>,
    /// Wakes the task; remembers one call.
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    agents: HashMap<AgentId, AgentRow>,
    commands: HashMap<CommandId, (CommandRow, Version)>,
    /// Each holds commands in a queue, and few twice.
    withdrawals: Vec<Withdrawal>,
    /// Nothing more comes.
    closed: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.agents.is_empty() && self.commands.is_empty() && self.withdrawals.is_empty()
    }

    /// Adds a command's row, unless a newer one waits.
    fn add(&mut self, row: CommandRow, version: Version) {
        let command_id = row.summary.command_id;
        let newest = self.commands.get(&command_id).map(|(_, known)| *known);
        if newest.is_none_or(|known| known < version) {
            self.commands.insert(command_id, (row, version));
        }
    }

    /// Puts back what could not be written. What came meanwhile is newer.
    fn put_back(&mut self, tried: Self) {
        for (agent_id, row) in tried.agents {
            self.agents.entry(agent_id).or_insert(row);
        }
        for (row, version) in tried.commands.into_values() {
            self.add(row, version);
        }
        self.withdrawals.splice(0..0, tried.withdrawals);
    }

    /// What the store has to do: each command's newest row once.
    fn writes(&self) -> Vec<Write> {
        let mut newest: HashMap<CommandId, (&CommandRow, Version)> = HashMap::new();
        let withdrawn = self.withdrawals.iter().flat_map(|one| &one.rows);
        for (row, version) in self.commands.values().chain(withdrawn) {
            let known = newest
                .entry(row.summary.command_id)
                .or_insert((row, *version));
            if known.1 < *version {
                *known = (row, *version);
            }
        }
        let agents = self.agents.values().cloned().map(Write::Agent);
        let commands = newest
            .into_values()
            .map(|(row, _)| Write::Command(row.clone()));
        // Behind what was known of them.
        let forgotten = self
            .withdrawals
            .iter()
            .filter_map(|one| one.forgotten.clone());
        let forgotten = forgotten.map(Write::ForgetAgent);
        agents.chain(commands).chain(forgotten).collect()
    }

    /// Which commands' rows are durable once this is written.
    fn saved(&self) -> Vec<(CommandId, Version)> {
        let version = |(command_id, (_, version)): (&CommandId, &(CommandRow, Version))| {
            (*command_id, *version)
        };
        self.commands.iter().map(version).collect()
    }
}

impl Saver {
    /// Adds rows.
    pub fn save(&self, rows: Vec<Save>) {
        let mut waiting = self.waiting();
        for row in rows {
            match row {
                Save::Agent(row) => drop(waiting.agents.insert(row.agent_id.clone(), row)),
                Save::Command(row, version) => waiting.add(row, version),
            }
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Adds a withdrawal.
    pub fn withdraw(&self, withdrawal: Withdrawal) {
        self.waiting().withdrawals.push(withdrawal);
        self.wake.notify_one();
    }

    /// Nothing more comes: [`Saver::run`] ends once what waits has been written, or has failed once more.
    pub fn close(&self) {
        self.waiting().closed = true;
        self.wake.notify_one();
    }

    /// Writes until [`Saver::close`].
    pub async fn run(self: Arc<Self>, store: Arc<dyn Store>, events: mpsc::Sender<Event>) {
        loop {
            let (batch, closed) = {
                let mut waiting = self.waiting();
                let closed = waiting.closed;
                (std::mem::take(&mut *waiting), closed)
            };
            // Taking it has reset the mark.
            self.waiting().closed |= closed;
            if batch.is_empty() {
                if closed {
                    return;
                }
                self.wake.notified().await;
                continue;
            }
            match store.commit(batch.writes()).await {
                Ok(()) => tell(&events, batch).await,
                Err(error) => {
                    tracing::error!(%error, "the database takes nothing; trying again");
                    let batch = give_up(&events, batch, &error).await;
                    self.waiting().put_back(batch);
                    if closed || error == StoreError::Closed {
                        return;
                    }
                    // Whoever closes or asks meanwhile is not kept waiting.
                    let _ = timeout(RETRY, self.wake.notified()).await;
                }
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the hub what is durable. Without a hub there is nobody to tell.
async fn tell(events: &mpsc::Sender<Event>, batch: Waiting) {
    let saved = batch.saved();
    if !saved.is_empty() {
        let _ = events.send(Event::Saved(saved)).await;
    }
    for withdrawal in batch.withdrawals {
        let _ = events
            .send(Event::Withdrawn(Box::new(withdrawal), Ok(())))
            .await;
    }
}

/// Tells those who wait that it failed; returns what is tried again.
async fn give_up(events: &mpsc::Sender<Event>, mut batch: Waiting, error: &StoreError) -> Waiting {
    let all = std::mem::take(&mut batch.withdrawals);
    for withdrawal in all {
        if withdrawal.asked.is_some() {
            let _ = events
                .send(Event::Withdrawn(
                    Box::new(withdrawal),
                    Err(error.to_string()),
                ))
                .await;
        } else {
            batch.withdrawals.push(withdrawal);
        }
    }
    batch
}
