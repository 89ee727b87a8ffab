//! Requests whose answer is still to come.

use std::collections::{BTreeMap, BTreeSet};

use opsctl_protocol::Pattern;
use opsctl_protocol::message::{ToDashboard, Unsubscribe};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

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
    /// Those that the daemon wants to hear again later, and when.
    put_off: BTreeSet<(Instant, u64)>,
}

impl Pending {
    pub(crate) fn insert(&mut self, id: u64, waiting: Waiting) {
        self.waiting.insert(id, waiting);
    }

    /// The request that an answer's `re` names.
    pub(crate) fn take(&mut self, re: &str) -> Option<Waiting> {
        self.waiting.remove(&number(re)?)
    }

    /// The daemon had no time for the request that `re` names: it is to be sent again at `due`.
    pub(crate) fn put_off(&mut self, re: &str, due: Instant) {
        if let Some(id) = number(re)
            && self.waiting.contains_key(&id)
        {
            self.put_off.insert((due, id));
        }
    }

    /// When the next request that was put off is to be sent again.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.put_off.first().map(|(due, _)| *due)
    }

    /// A request that is to be sent again now, if there is one that somebody still waits for.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<u64> {
        while let Some((due, id)) = self.put_off.first().copied()
            && due <= now
        {
            self.put_off.remove(&(due, id));
            match self.waiting.get(&id) {
                Some(request) if request.is_abandoned() => drop(self.waiting.remove(&id)),
                Some(_) => return Some(id),
                None => {}
            }
        }
        None
    }

    /// A connection was lost: what is left is to be sent again over the next one. Subscriptions that nobody waits for are
    /// made anew from what is subscribed then; ends of subscriptions have come true.
    pub(crate) fn lost(&mut self) {
        // All that is left goes out with the next connection anyway.
        self.put_off.clear();
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

/// The number in a request's id.
fn number(re: &str) -> Option<u64> {
    re.strip_prefix('c')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn request(
        pending: &mut Pending,
        id: u64,
    ) -> oneshot::Receiver<Result<ToDashboard, RequestError>> {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting {
            about: About::Plain(id.to_string()),
            reply: Some(reply),
            _permit: None,
        };
        pending.insert(id, waiting);
        answer
    }

    #[test]
    fn what_was_put_off_is_due_in_its_time_and_once() {
        let mut pending = Pending::default();
        let _answers: Vec<_> = (1..=3).map(|id| request(&mut pending, id)).collect();
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        pending.put_off("c2", later);
        pending.put_off("c1", now);
        pending.put_off("c9", now);
        assert_eq!(pending.next_due(), Some(now));
        assert_eq!(pending.take_due(now), Some(1));
        assert_eq!(pending.take_due(now), None);
        assert_eq!(pending.take_due(later), Some(2));
        assert_eq!(pending.next_due(), None);
    }

    #[test]
    fn nobody_is_asked_again_for_what_nobody_waits_for() {
        let mut pending = Pending::default();
        let now = Instant::now();
        let given_up = request(&mut pending, 1);
        let _answered = request(&mut pending, 2);
        pending.put_off("c1", now);
        pending.put_off("c2", now);
        drop(given_up);
        assert!(pending.take("c2").is_some());
        assert_eq!(pending.take_due(now), None);
        assert!(pending.waiting.is_empty());
    }

    #[test]
    fn a_new_connection_is_asked_everything_at_once() {
        let mut pending = Pending::default();
        let now = Instant::now();
        let _answer = request(&mut pending, 1);
        pending.put_off("c1", now);
        pending.lost();
        assert_eq!(pending.take_due(now), None);
        assert_eq!(pending.texts().collect::<Vec<_>>(), ["1"]);
    }
}
