//! Requests whose answer is still to come.

use std::collections::BTreeMap;

use opsctl_protocol::Pattern;
use opsctl_protocol::message::{ToDashboard, Unsubscribe};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::handle::RequestError;

/// What a request without an answer was about.
#[derive(Debug)]
pub(crate) enum About {
    /// Any request: the text to send again.
    Plain(String),
    /// A subscription that the program waits for.
    Subscribe(Pattern),
    /// A subscription that came back by itself after a reconnect; nobody waits.
    Resume(Pattern),
    /// The end of a subscription.
    Unsubscribe(Pattern),
    /// A sign that the daemon has what was sent before on this connection; means nothing on another one.
    Receipt,
}

/// A request without an answer.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) about: About,
    /// Absent where nobody waits.
    pub(crate) reply: Option<oneshot::Sender<Result<ToDashboard, RequestError>>>,
    /// Returned with the answer, which lets the next request in.
    pub(crate) _permit: Option<OwnedSemaphorePermit>,
}

impl Waiting {
    /// Answers it. That the asker has gone is no error.
    pub(crate) fn answer(self, result: Result<ToDashboard, RequestError>) {
        if let Some(reply) = self.reply {
            let _ = reply.send(result);
        }
    }

    /// Whether the asker has given up.
    fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

/// All requests without an answer, in the order in which they were made. Bounded by the client's permits.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    waiting: BTreeMap<u64, Waiting>,
}

impl Pending {
    pub(crate) fn insert(&mut self, id: u64, waiting: Waiting) {
        self.waiting.insert(id, waiting);
    }

    /// The request that an answer's `re` names.
    pub(crate) fn take(&mut self, re: &str) -> Option<Waiting> {
        let id = re.strip_prefix('c')?.parse().ok()?;
        self.waiting.remove(&id)
    }

    /// A connection was lost: what is left is to be sent again over the next one. Subscriptions that nobody waits for are
    /// made anew from what is subscribed then; ends of subscriptions have come true.
    pub(crate) fn lost(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for (id, request) in waiting {
            match request.about {
                _ if request.is_abandoned() => {}
                // Dropping a receipt tells who waits for it.
                About::Resume(_) | About::Receipt => {}
                About::Unsubscribe(ref channel) => {
                    let channel = channel.clone();
                    request.answer(Ok(ToDashboard::Unsubscribed(Unsubscribe { channel })));
                }
                About::Plain(_) | About::Subscribe(_) => {
                    self.waiting.insert(id, request);
                }
            }
        }
    }

    /// The plain requests to send again, in order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.waiting
            .values()
            .filter_map(|request| match &request.about {
                About::Plain(text) => Some(text.as_str()),
                _ => None,
            })
    }

    /// What a request is about.
    pub(crate) fn about(&self, id: u64) -> Option<&About> {
        self.waiting.get(&id).map(|request| &request.about)
    }

    /// The requests that wait for a subscription to this pattern.
    pub(crate) fn subscribers(&self, pattern: &Pattern) -> Vec<u64> {
        let of_it = |about: &About| matches!(about, About::Subscribe(of) if of == pattern);
        self.waiting
            .iter()
            .filter(|(_, request)| of_it(&request.about))
            .map(|(id, _)| *id)
            .collect()
    }

    /// There will be no connection: answers all.
    pub(crate) fn fail(&mut self, error: &RequestError) {
        for (_, request) in std::mem::take(&mut self.waiting) {
            request.answer(Err(error.clone()));
        }
    }
}
