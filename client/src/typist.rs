//! A person who types: keys go out at once and once, and those that did not arrive come back as lines to be told.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use opsctl_protocol::message::CommandInput;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::handle::{Client, NotTyped, Outcome};
use crate::lost::{Gathered, Lost};

/// Lost keys that follow each other within this are told together: longer than a key that is held down takes to come again,
/// and than people take between the letters of a word.
const PAUSE: Duration = Duration::from_millis(300);

/// Who types on without a pause hears so often of what is lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is said of keys that were on their way when the connection to the daemon was lost.
const UNKNOWN: &str = "may not have arrived";

/// What is said of keys of which nothing was heard in time.
const UNHEARD: &str = "was still under way";

/// Sends keys, and gathers what is to be said of those that are lost. What is under way is bounded by the receipts that a
/// [`Client`] waits for; keys beyond that are lost.
#[derive(Debug)]
pub struct Typist {
    client: Client,
    /// Keys whose arrival is waited for, by their place among all that was typed.
    under_way: BTreeMap<u64, Bytes>,
    receipts: JoinSet<(u64, Outcome)>,
    /// How often was typed.
    typed: u64,
    /// Lost keys that were not told of.
    gathered: Gathered,
    /// When the first and the last of those were found lost.
    since: Option<(Instant, Instant)>,
}

impl Typist {
    /// Somebody who types over this connection.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            under_way: BTreeMap::new(),
            receipts: JoinSet::new(),
            typed: 0,
            gathered: Gathered::default(),
            since: None,
        }
    }

    /// Sends keys; waits for room in their lane.
    pub async fn send(&mut self, input: CommandInput) {
        // Who types without a pause must not pile up what has come of it.
        while let Some(Ok((place, outcome))) = self.receipts.try_join_next() {
            self.came(place, outcome);
        }
        let place = self.typed;
        self.typed += 1;
        let keys = input.data.0.clone();
        match self.client.keys(input).await {
            Ok(receipt) => {
                self.under_way.insert(place, keys);
                self.receipts
                    .spawn(async move { (place, receipt.outcome().await) });
            }
            Err(NotTyped::NotConnected(_)) => self.lose(place, &keys, "was not sent"),
            Err(error @ NotTyped::TooMany) => {
                self.lose(place, &keys, format!("was not sent, for {error}"));
            }
        }
    }

    /// Waits until there is something to be said of lost keys. Cancel-safe.
    pub async fn lost(&mut self) -> Vec<Lost> {
        loop {
            let due = self.due();
            tokio::select! {
                Some(Ok((place, outcome))) = self.receipts.join_next() => self.came(place, outcome),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    return self.take();
                }
                else => std::future::pending().await,
            }
        }
    }

    /// What is to be said when nobody types any more, after so long at most: also of keys of which nothing was heard.
    pub async fn rest(&mut self, within: Duration) -> Vec<Lost> {
        let until = Instant::now() + within;
        while let Ok(Some(Ok((place, outcome)))) =
            timeout_at(until, self.receipts.join_next()).await
        {
            self.came(place, outcome);
        }
        self.receipts.abort_all();
        for (place, keys) in std::mem::take(&mut self.under_way) {
            self.lose(place, &keys, UNHEARD);
        }
        self.take()
    }

    /// When what was gathered is to be told.
    fn due(&self) -> Option<Instant> {
        self.since
            .map(|(first, last)| (first + PATIENCE).min(last + PAUSE))
    }

    fn take(&mut self) -> Vec<Lost> {
        self.since = None;
        self.gathered.take()
    }

    /// It is known what became of keys.
    fn came(&mut self, place: u64, outcome: Outcome) {
        let Some(keys) = self.under_way.remove(&place) else {
            return;
        };
        match outcome {
            Outcome::Arrived => {}
            // The daemon knows whether nothing was sent, or whether that is not known.
            Outcome::Lost(why) => self.lose(place, &keys, why),
            Outcome::Unknown => self.lose(place, &keys, UNKNOWN),
        }
    }

    fn lose(&mut self, place: u64, keys: &Bytes, why: impl Into<String>) {
        self.gathered.add(Lost::new(place, keys, why));
        let now = Instant::now();
        let first = self.since.map_or(now, |(first, _)| first);
        self.since = Some((first, now));
    }
}
