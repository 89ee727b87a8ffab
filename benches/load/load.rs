//! A steady load: sources that publish by a timetable, watchers that note when each record came.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::hubs::{Hub, Peer, Source};
use crate::net::{Ear, Ending, Heard, Id, Net};
use crate::support::samples::Samples;
use crate::support::stop;
use crate::wire::record::{Clock, Finder, Record};

/// How long connections may take to get ready. Far longer than needed: only a failure waits so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long the last records may take, once all are sent. What is later counts as lost.
const DRAIN: Duration = Duration::from_secs(5);

/// How often a slow watcher reads.
const SIP_EVERY: Duration = Duration::from_millis(50);

/// Sources and watchers of one hub.
pub struct Load {
    net: Net,
    ends: Ends,
    /// What every source has published.
    sent: u64,
    /// One who reads slowly, and how many bytes at a time.
    slow: Option<(Id, usize)>,
}

/// Whose connection is whose; apart from [`Net`], which calls it.
struct Ends {
    clock: Clock,
    sources: Vec<(Id, Box<dyn Source>)>,
    watchers: Vec<Watcher>,
    /// Sources and watchers by their connections.
    whose: HashMap<Id, End>,
    /// Connections that ended, with why.
    endings: Vec<String>,
}

#[derive(Clone, Copy)]
enum End {
    Source(usize),
    Watcher(usize),
}

/// A watcher and what it has seen.
struct Watcher {
    id: Id,
    peer: Box<dyn Peer>,
    finder: Finder,
    /// The next record of each source.
    next: Vec<u64>,
    /// Records that came.
    received: u64,
    /// Records that were left out.
    missing: u64,
    /// How long each took, in microseconds.
    latencies: Vec<u32>,
}

/// What a step of the load found.
pub struct Found {
    /// From when a record was due to when a watcher had it, of all watchers but a slow one.
    pub latencies: Samples,
    /// Records that watchers got, a slow one's not counted.
    pub delivered: u64,
    /// Records that they should have got and did not.
    pub missing: u64,
    /// Gaps that were announced to them.
    pub gaps: u64,
    /// Records that a slow watcher got.
    pub slow: u64,
    /// Connections that ended, with why.
    pub endings: Vec<String>,
    /// How long the timetable was.
    pub time: Duration,
}

/// How watchers that joined went.
pub struct Joined {
    /// How long each took until it had caught up.
    pub times: Samples,
    /// Records that they were not given.
    pub missing: u64,
}

/// When which record is due.
struct Timetable {
    start: Instant,
    /// Records a second.
    rate: f64,
    published: u64,
}

impl Timetable {
    fn new(rate: f64) -> Self {
        Self {
            start: Instant::now(),
            rate,
            published: 0,
        }
    }

    /// When the next record is due.
    fn due(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.published as f64 / self.rate)
    }
}

impl Load {
    /// Connects everything; returns when all are ready.
    pub fn connect(hub: &dyn Hub, sources: usize, watchers: usize) -> Result<Self> {
        let ends = Ends {
            clock: Clock::new(),
            sources: Vec::new(),
            watchers: Vec::new(),
            whose: HashMap::new(),
            endings: Vec::new(),
        };
        let mut load = Self {
            net: Net::new()?,
            ends,
            sent: 0,
            slow: None,
        };
        for number in 0..sources {
            let (id, source) = hub.source(&mut load.net, number)?;
            load.ends.whose.insert(id, End::Source(number));
            load.ends.sources.push((id, source));
        }
        load.until_ready()?;
        for number in 0..watchers {
            let (id, peer) = hub.watcher(&mut load.net)?;
            load.ends.whose.insert(id, End::Watcher(number));
            load.ends.watchers.push(Watcher::new(id, peer));
        }
        load.until_ready()?;
        Ok(load)
    }

    fn until_ready(&mut self) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        while !self.ends.are_ready() {
            stop::check()?;
            let endings = &self.ends.endings;
            ensure!(endings.is_empty(), "a connection ended: {endings:?}");
            ensure!(Instant::now() < end, "connections did not get ready");
            self.net.turn(Instant::now() + SIP_EVERY, &mut self.ends)?;
        }
        Ok(())
    }

    /// Lets the last watcher read only so many bytes a second from now on.
    pub fn slow_down_one(&mut self, bytes_per_second: usize) -> Result<()> {
        if let Some(watcher) = self.ends.watchers.last() {
            let share = 1.0 / SIP_EVERY.as_secs_f64();
            self.slow = Some((watcher.id, (bytes_per_second as f64 / share) as usize));
            self.net.slow_down(watcher.id)?;
        }
        Ok(())
    }

    /// Publishes so many records a second, all sources together and by turns, for a while; watchers note them.
    pub fn run(&mut self, rate: f64, time: Duration) -> Result<Found> {
        self.ends.reset();
        let count = self.publish_for(rate, time)?;
        self.finish(time, count)
    }

    /// Publishes so many records a second for a while; returns how many that were.
    pub fn publish_for(&mut self, rate: f64, time: Duration) -> Result<u64> {
        let mut timetable = Timetable::new(rate);
        let count = (rate * time.as_secs_f64()) as u64;
        let mut sip = timetable.start;
        while timetable.published < count {
            stop::check()?;
            self.publish_due(&mut timetable, count);
            self.turn(timetable.due(), &mut sip)?;
        }
        Ok(count)
    }

    /// Adds watchers, all at once, that have seen what was published before `seen` and nothing since; returns how long
    /// each took until it had all that was published before this call. The load goes on meanwhile.
    pub fn join(
        &mut self,
        rate: f64,
        watchers: usize,
        seen: u64,
        dial: impl Fn(&mut Net) -> Result<(Id, Box<dyn Peer>)>,
    ) -> Result<Joined> {
        let sources = self.ends.sources.len() as u64;
        let (wanted, mut timetable) = (self.sent / sources, Timetable::new(rate));
        let (start, mut sip) = (timetable.start, timetable.start);
        for _ in 0..watchers {
            let (id, peer) = dial(&mut self.net)?;
            let mut watcher = Watcher::new(id, peer);
            watcher.next = vec![seen / sources; sources as usize];
            let number = self.ends.watchers.len();
            self.ends.whose.insert(id, End::Watcher(number));
            self.ends.watchers.push(watcher);
        }
        let mut times = vec![None; watchers];
        while times.iter().any(Option::is_none) {
            stop::check()?;
            let endings = &self.ends.endings;
            ensure!(endings.is_empty(), "a connection ended: {endings:?}");
            ensure!(start.elapsed() < DEADLINE, "not all caught up");
            self.publish_due(&mut timetable, u64::MAX);
            self.turn(timetable.due(), &mut sip)?;
            for (watcher, time) in self.ends.watchers.iter().zip(&mut times) {
                if time.is_none() && watcher.next.iter().all(|next| *next >= wanted) {
                    *time = Some(start.elapsed());
                }
            }
        }
        Ok(Joined {
            times: Samples::new(times.into_iter().flatten().collect()),
            missing: self
                .ends
                .watchers
                .iter()
                .map(|watcher| watcher.missing)
                .sum(),
        })
    }

    /// How many records were published, of all sources together.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    fn publish_due(&mut self, timetable: &mut Timetable, most: u64) {
        let now = Instant::now();
        while timetable.published < most && timetable.due() <= now {
            self.publish(timetable.due());
            timetable.published += 1;
        }
        for (id, _) in &self.ends.sources {
            self.net.flush(*id);
        }
    }

    /// Watches what sources elsewhere publish: `count` records, all of them together.
    pub fn watch(&mut self, time: Duration, count: u64) -> Result<Found> {
        self.ends.reset();
        let start = Instant::now();
        let mut sip = start;
        while start.elapsed() < time {
            stop::check()?;
            self.turn(start + time, &mut sip)?;
        }
        self.finish(time, count)
    }

    fn publish(&mut self, due: Instant) {
        let count = self.ends.sources.len();
        let number = (self.sent % count as u64) as usize;
        let record = Record {
            source: number,
            number: self.sent / count as u64,
            due: self.ends.clock.at(due),
        };
        let (id, source) = &mut self.ends.sources[number];
        source.publish(&mut self.net, *id, &record.write());
        self.sent += 1;
    }

    fn turn(&mut self, until: Instant, sip: &mut Instant) -> Result<()> {
        let now = Instant::now();
        if let Some((id, bytes)) = self.slow
            && *sip <= now
        {
            *sip = now + SIP_EVERY;
            self.net.sip(id, bytes, &mut self.ends);
        }
        self.net.turn(until.min(now + SIP_EVERY), &mut self.ends)
    }

    /// Waits for the last records and sums up.
    fn finish(&mut self, time: Duration, count: u64) -> Result<Found> {
        let (end, mut sip) = (Instant::now() + DRAIN, Instant::now());
        let slow = self.slow.map(|(id, _)| id);
        while Instant::now() < end && !self.ends.have_all(count, slow) {
            stop::check()?;
            self.turn(end, &mut sip)?;
        }
        let mut latencies = Vec::new();
        let (mut delivered, mut missing, mut gaps, mut slow_got) = (0, 0, 0, 0);
        for watcher in &mut self.ends.watchers {
            if Some(watcher.id) == slow {
                slow_got = watcher.received;
                continue;
            }
            latencies.append(&mut watcher.latencies);
            delivered += watcher.received;
            missing += count.saturating_sub(watcher.received).max(watcher.missing);
            gaps += watcher.peer.gaps();
        }
        ensure!(!latencies.is_empty(), "no record came");
        let micros = |micros| Duration::from_micros(u64::from(micros));
        Ok(Found {
            latencies: Samples::new(latencies.into_iter().map(micros).collect()),
            delivered,
            missing,
            gaps,
            slow: slow_got,
            endings: self.ends.endings.clone(),
            time,
        })
    }
}

impl Ends {
    fn are_ready(&self) -> bool {
        self.sources.iter().all(|(_, source)| source.is_ready())
            && self.watchers.iter().all(|watcher| watcher.peer.is_ready())
    }

    fn reset(&mut self) {
        for watcher in &mut self.watchers {
            watcher.received = 0;
            watcher.missing = 0;
            watcher.latencies.clear();
        }
    }

    fn have_all(&self, count: u64, but: Option<Id>) -> bool {
        self.watchers
            .iter()
            .filter(|watcher| Some(watcher.id) != but)
            .all(|watcher| watcher.received >= count)
    }
}

impl Ear for Ends {
    fn heard(&mut self, net: &mut Net, id: Id, heard: Heard<'_>) {
        if let Heard::Closed(Ending { code, reason }) = heard {
            self.endings.push(match code {
                Some(code) => format!("{code} {reason}"),
                None => reason.clone(),
            });
        }
        match self.whose.get(&id) {
            Some(End::Source(number)) => self.sources[*number].1.heard(net, id, heard),
            Some(End::Watcher(number)) => {
                let watcher = &mut self.watchers[*number];
                let ours = match heard {
                    Heard::Text(message) | Heard::Binary(message) => {
                        watcher.note(message, &self.clock)
                    }
                    Heard::Opened | Heard::Closed(_) => false,
                };
                if !ours {
                    watcher.peer.heard(net, id, heard);
                }
            }
            None => {}
        }
    }
}

impl Watcher {
    fn new(id: Id, peer: Box<dyn Peer>) -> Self {
        Self {
            id,
            peer,
            finder: Finder::default(),
            next: Vec::new(),
            received: 0,
            missing: 0,
            latencies: Vec::new(),
        }
    }

    /// Notes the records in a message; false when there is none.
    fn note(&mut self, message: &[u8], clock: &Clock) -> bool {
        let now = clock.nanos();
        self.finder.each(message, |record| {
            if self.next.len() <= record.source {
                self.next.resize(record.source + 1, 0);
            }
            let next = &mut self.next[record.source];
            self.missing += record.number.saturating_sub(*next);
            *next = record.number + 1;
            self.received += 1;
            let micros = now.saturating_sub(record.due) / 1000;
            self.latencies
                .push(u32::try_from(micros).unwrap_or(u32::MAX));
        })
    }
}
