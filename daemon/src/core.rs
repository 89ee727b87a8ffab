//! The task that owns the hub: events in, the disk's work out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use opsctl_protocol::message::Subscribe;
use opsctl_protocol::{CommandId, Header, Timestamp};

use crate::activity::{Look, Screens};
use crate::cold;
use crate::fanout::keyframe::Keyframes;
use crate::hub::{ConnId, Effect, Event, Hub, Journaled, Probe, Query, Survey, Written};
use crate::log::{Durable, Log, LogError};
use crate::premises::Premises;
use crate::ring::Bounds;
use crate::saver::Saver;
use crate::store::{CommandFilter, MessageRow, RequestRow, Store, StoreError, Write};

/// Events that may wait for the hub; whoever has one more waits with it.
pub const EVENT_QUEUE: usize = 4096;

/// The hub with what it works on.
pub struct Core {
    /// The state.
    pub hub: Hub,
    /// To the hub.
    pub events: mpsc::Sender<Event>,
    /// Rows.
    pub store: Arc<dyn Store>,
    /// Output.
    pub log: Log,
    /// What has reached the disk of it.
    pub durable: Durable,
    /// Screens for those who come late.
    pub keyframes: Arc<Keyframes>,
    /// Screens that rules are held against.
    pub screens: Arc<Screens>,
    /// Where everything lies.
    pub premises: Premises,
    /// What a command's ring holds.
    pub bounds: Bounds,
    /// Names this run of the daemon.
    pub epoch: Arc<str>,
}

impl Core {
    /// Runs the hub until `stop`; then writes what is behind. The queue is drained first.
    pub async fn run(mut self, mut events: mpsc::Receiver<Event>, stop: CancellationToken) {
        let saver = Arc::new(Saver::default());
        let writer = Arc::clone(&saver).run(Arc::clone(&self.store), self.events.clone());
        let writer = tokio::spawn(writer);
        let tasks = TaskTracker::new();
        loop {
            let event = tokio::select! {
                biased;
                event = events.recv() => event,
                durable = self.durable.next() => durable.map(Event::Durable),
                () = tick(self.hub.next_deadline()) => Some(Event::Tick),
                () = stop.cancelled() => None,
            };
            let Some(event) = event else { break };
            for effect in self.hub.handle(event, Timestamp::now()) {
                self.perform(effect, &saver, &tasks);
            }
        }
        if let Some(effect) = self.hub.save_at_end() {
            self.perform(effect, &saver, &tasks);
        }
        // Nobody listens any more: those who still have something to say must not wait for it.
        drop(events);
        tasks.close();
        tasks.wait().await;
        drop(self.hub);
        saver.close();
        if let Err(error) = writer.await {
            tracing::error!(%error, "the store's writer failed");
        }
    }

    fn perform(&self, effect: Effect, saver: &Saver, tasks: &TaskTracker) {
        match effect {
            Effect::Journal(row) => {
                let health = self.log.health();
                let (store, events) = (Arc::clone(&self.store), self.events.clone());
                tasks.spawn(journal(store, health, row, events));
            }
            Effect::Save(rows) => saver.save(rows),
            Effect::Withdraw(withdrawal) => saver.withdraw(*withdrawal),
            Effect::Log(room, record) => {
                if let Err(error) = self.log.put(room, record) {
                    tracing::error!(%error, "output could not be logged");
                }
            }
            Effect::Find(conn, id, subscribe, command_id) => {
                let find = Find {
                    store: Arc::clone(&self.store),
                    log: self.log.clone(),
                    bounds: self.bounds,
                    epoch: Arc::clone(&self.epoch),
                    events: self.events.clone(),
                };
                tasks.spawn(find.run(conn, id, subscribe, command_id));
            }
            Effect::Query(query) => {
                tasks.spawn(answer_query(Arc::clone(&self.store), *query));
            }
            Effect::Survey(survey) => {
                tasks.spawn(answer_survey(self.premises.clone(), survey));
            }
            Effect::Message(row, is_new) => {
                let (store, events) = (Arc::clone(&self.store), self.events.clone());
                tasks.spawn(write_message(store, row, is_new, events));
            }
            Effect::RecallRequest(key) => {
                let (store, events) = (Arc::clone(&self.store), self.events.clone());
                tasks.spawn(recall_request(store, key, events));
            }
            Effect::Recall(key) => {
                let (store, events) = (Arc::clone(&self.store), self.events.clone());
                tasks.spawn(recall_message(store, key, events));
            }
            Effect::Probe(probe) => {
                let (keyframes, events) = (Arc::clone(&self.keyframes), self.events.clone());
                tasks.spawn(find_paste(keyframes, *probe, events));
            }
            Effect::Look(look) => {
                tasks.spawn(look_at(
                    Arc::clone(&self.screens),
                    look,
                    self.events.clone(),
                ));
            }
            Effect::Forget(command_id) => {
                self.keyframes.forget(command_id);
                self.screens.forget(command_id);
            }
        }
    }
}

/// Ends when the deadline has come; never without one.
async fn tick(deadline: Option<Timestamp>) {
    match deadline {
        Some(deadline) => {
            let wait = deadline.0.saturating_sub(Timestamp::now().0);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        None => std::future::pending().await,
    }
}

/// Looks at a screen for the hub.
async fn look_at(screens: Arc<Screens>, look: Box<Look>, events: mpsc::Sender<Event>) {
    match screens.look(&look).await {
        Ok(found) => {
            let looked = Event::Looked(look.command_id, look.end, found);
            // Without a hub there is nobody to tell.
            let _ = events.send(looked).await;
        }
        Err(error) => {
            tracing::warn!(command = %look.command_id, %error, "a screen cannot be looked at");
        }
    }
}

/// Nothing is taken whose output could not be: the database may still have room in its own files when the log has none.
async fn journal(
    store: Arc<dyn Store>,
    health: Result<(), LogError>,
    row: Box<RequestRow>,
    events: mpsc::Sender<Event>,
) {
    let key = row.key.clone();
    let written = match health {
        Ok(()) => store.commit(vec![Write::Request(*row)]).await,
        Err(error) => Err(StoreError::NoLog(error.to_string())),
    };
    let outcome = match written {
        Ok(()) => Journaled::New,
        // A request that was accepted before gets its answer again, also now.
        Err(why @ (StoreError::Duplicate { .. } | StoreError::NoLog(_))) => {
            match store.request(key.clone()).await {
                Ok(Some(known)) => Journaled::Known(Box::new(known)),
                Ok(None) => Journaled::Failed(why.to_string()),
                Err(error) => Journaled::Failed(error.to_string()),
            }
        }
        Err(error) => Journaled::Failed(error.to_string()),
    };
    // Without a hub there is nobody to tell.
    let _ = events.send(Event::Journaled(key, outcome)).await;
}

/// Looks whether a request with this key is known.
async fn recall_request(store: Arc<dyn Store>, key: String, events: mpsc::Sender<Event>) {
    let outcome = match store.request(key.clone()).await {
        Ok(Some(known)) => Journaled::Known(Box::new(known)),
        Ok(None) => Journaled::Unknown,
        Err(error) => Journaled::Failed(error.to_string()),
    };
    // Without a hub there is nobody to tell.
    let _ = events.send(Event::Journaled(key, outcome)).await;
}

/// How long the store is left alone after it did not take how a message stands.
const RETRY: Duration = Duration::from_secs(1);

/// Writes a message down. A new one is tried once, since somebody waits; what has become of one is tried until it works.
async fn write_message(
    store: Arc<dyn Store>,
    row: Box<MessageRow>,
    is_new: bool,
    events: mpsc::Sender<Event>,
) {
    let key = row.asked.key.clone();
    let outcome = if is_new {
        match store.commit(vec![Write::AddMessage(row)]).await {
            Ok(()) => Written::Done,
            Err(why @ StoreError::Duplicate { .. }) => match store.message(key.clone()).await {
                Ok(Some(known)) => Written::Known(Box::new(known)),
                Ok(None) => Written::Failed(why.to_string()),
                Err(error) => Written::Failed(error.to_string()),
            },
            Err(error) => Written::Failed(error.to_string()),
        }
    } else {
        while let Err(error) = store.commit(vec![Write::Message(row.clone())]).await {
            tracing::error!(%error, "how a message stands cannot be written; trying again");
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                // The daemon stops: what is in the store is older, and is what the next run goes on from.
                () = events.closed() => return,
            }
        }
        Written::Done
    };
    let _ = events.send(Event::MessageWritten(key, outcome)).await;
}

/// Looks whether a message with this key is known.
async fn recall_message(store: Arc<dyn Store>, key: String, events: mpsc::Sender<Event>) {
    let outcome = match store.message(key.clone()).await {
        Ok(Some(known)) => Written::Known(Box::new(known)),
        Ok(None) => Written::Done,
        Err(error) => Written::Failed(error.to_string()),
    };
    let _ = events.send(Event::MessageWritten(key, outcome)).await;
}

/// Finds out whether a program takes a paste.
async fn find_paste(keyframes: Arc<Keyframes>, probe: Probe, events: mpsc::Sender<Event>) {
    let found = keyframes
        .takes_paste(&probe.agent_id, probe.command_id, &probe.stream, probe.end)
        .await;
    let takes_paste = found.unwrap_or_else(|error| {
        tracing::error!(command = %probe.command_id, %error, "a screen cannot be read");
        false
    });
    let _ = events.send(Event::Probed(probe.key, takes_paste)).await;
}

/// Looks for a command that is not in memory.
struct Find {
    store: Arc<dyn Store>,
    log: Log,
    bounds: Bounds,
    epoch: Arc<str>,
    events: mpsc::Sender<Event>,
}

impl Find {
    async fn run(
        self,
        conn: ConnId,
        id: Option<String>,
        subscribe: Subscribe,
        command_id: CommandId,
    ) {
        let found = match self.store.command(command_id).await {
            Ok(Some(row)) => {
                // A client that says where it stands is served from the log from there.
                let whole = subscribe
                    .since
                    .as_ref()
                    .is_none_or(|since| since.offset.is_none());
                let bounds = if whole {
                    self.bounds
                } else {
                    Bounds {
                        bytes: 0,
                        reserve: 0,
                        ..self.bounds
                    }
                };
                match cold::stream(&self.log, &row, self.epoch, bounds).await {
                    Ok(stream) => Some((Box::new(row), Arc::new(stream.read_back()))),
                    Err(error) => {
                        tracing::error!(command = %command_id, %error, "output cannot be read");
                        None
                    }
                }
            }
            Ok(None) => None,
            Err(error) => {
                tracing::error!(command = %command_id, %error, "a command cannot be looked up");
                None
            }
        };
        let _ = self
            .events
            .send(Event::Found {
                conn,
                id,
                subscribe,
                found,
            })
            .await;
    }
}

async fn answer_survey(premises: Premises, survey: Box<Survey>) {
    let answered = tokio::task::spawn_blocking(move || {
        let status = premises.complete(&survey);
        survey
            .outbox
            .control(Header::answering(survey.id.clone()), status);
    });
    if let Err(error) = answered.await {
        tracing::error!(%error, "a question how the daemon is was not answered");
    }
}

async fn answer_query(store: Arc<dyn Store>, query: Query) {
    let filter = CommandFilter {
        id_prefix: query
            .query
            .id_prefix
            .as_ref()
            .map(|prefix| prefix.to_ascii_lowercase()),
        agents: query.agents.clone(),
        states: query.query.states.clone(),
        before: query
            .query
            .before
            .map(|before| (before, query.query.before_id.unwrap_or(CommandId([0; 16])))),
        limit: query.query.limit.unwrap_or(u32::MAX),
    };
    let (outbox, id) = (Arc::clone(&query.outbox), query.id.clone());
    let header = Header::answering(id);
    match store.commands(filter).await {
        Ok(page) => {
            let stored = page.commands.into_iter().map(|row| row.summary).collect();
            outbox.control(header, query.answer(stored, page.more));
        }
        Err(error) => {
            use opsctl_protocol::message::{ErrorCode, ErrorPayload};
            outbox.control(
                header,
                ErrorPayload::new(ErrorCode::StorageFailed, error.to_string()),
            );
        }
    }
}
