//! Deliveries against a simple model: whoever watches gets every byte in its place, or a gap that says which are missing,
//! however far the rings have moved on meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::Message;

use opsctl_protocol::close::CloseCode;
use opsctl_protocol::message::{CommandStatus, ErrorCode, ErrorPayload, Kind, State};
use opsctl_protocol::{
    AgentId, Channel, CommandId, Header, Pattern, Timestamp, ToDashboard, decode, limits,
};

use super::channel::{Body, Piece, Stream};
use super::delivery::{Delivery, Gathered, Sources, Streams};
use super::departures::Departures;
use super::keyframe::Keyframes;
use super::outbox::{Begin, Cursor, Next, Options, Outbox, Subscription};
use crate::log::{Log, LogOptions, Opened, Record};
use crate::ring::Bounds;

/// Rings so small that a few pieces push each other out.
const COMMAND_RING: Bounds = Bounds {
    entries: 8,
    bytes: 60_000,
    lines: 1_000,
    reserve: 40_000,
};
/// See above; the agent's ring holds less, as in life.
const AGENT_RING: Bounds = Bounds {
    entries: 4,
    bytes: 30_000,
    lines: usize::MAX,
    reserve: 0,
};

/// Commands of the one agent: the first has a terminal.
const COMMANDS: [CommandId; 2] = [CommandId([1; 16]), CommandId([2; 16])];

#[derive(Debug, Clone)]
enum Step {
    /// A command puts out so many bytes.
    Output(usize, usize),
    /// A watcher's socket takes what there is, up to a flush.
    Turn(usize),
    /// Who follows the agent loses its connection, and comes back with the number that it has seen last.
    Return,
    /// A command says something about itself.
    Status(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let output = (0..COMMANDS.len(), 1..20_000_usize);
    let step = prop_oneof![
        3 => output.prop_map(|(command, bytes)| Step::Output(command, bytes)),
        2 => (0..WATCHERS).prop_map(Step::Turn),
        1 => Just(Step::Turn(0)),
        1 => Just(Step::Return),
        1 => (0..COMMANDS.len()).prop_map(Step::Status),
    ];
    prop::collection::vec(step, 1..60)
}

/// The byte at an offset of a command's output.
fn byte(command: CommandId, offset: u64) -> u8 {
    b'a' + ((offset / 7 + u64::from(command.0[0])) % 26) as u8
}

/// Follows the agent, follows each command and may be lapped, follows each command without loss.
const WATCHERS: usize = 1 + 2 * COMMANDS.len();

struct World {
    log: Log,
    agent: Arc<Stream>,
    commands: Vec<Arc<Stream>>,
    ends: Vec<u64>,
    /// How much input each command was last said to have been given.
    input: HashMap<CommandId, u64>,
    watchers: Vec<Watcher>,
    sources: Sources,
}

struct Watcher {
    outbox: Arc<Outbox>,
    subscription: Arc<Subscription>,
    delivery: Delivery,
    seen: Seen,
    /// Its numbers follow each other.
    counts: bool,
}

/// What a watcher has got.
#[derive(Default)]
struct Seen {
    next: HashMap<CommandId, u64>,
    gaps: usize,
    ended: usize,
    runs: bool,
    /// How much input each command was last said to have been given.
    input: HashMap<CommandId, u64>,
    /// The last push's number.
    seq: u64,
    /// Output has come since that had no number.
    was_read_back: bool,
}

/// Runs a test in a world of its own.
fn in_world(test: impl AsyncFnOnce(World)) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let Opened { log, .. } = Log::open(dir.path(), LogOptions::default()).unwrap();
        test(World::new(log)).await;
    });
}

impl World {
    fn new(log: Log) -> Self {
        let agent_id: AgentId = "a".parse().unwrap();
        let stream =
            |channel, bounds| Stream::new(channel, Arc::from("e"), Some(agent_id.clone()), bounds);
        let agent = Arc::new(stream(Channel::Agent(agent_id.clone()), AGENT_RING));
        let commands: Vec<Arc<Stream>> = COMMANDS
            .into_iter()
            .enumerate()
            .map(|(number, id)| {
                let own = stream(Channel::Command(id), COMMAND_RING);
                Arc::new(own.of_command(number == 0, 0))
            })
            .collect();
        let streams = COMMANDS.into_iter().zip(commands.iter().cloned());
        let sources = Sources {
            log: log.clone(),
            keyframes: Arc::new(Keyframes::new(log.clone())),
            streams: Streams::new(std::sync::Mutex::new(streams.collect())),
        };
        let mut watchers = vec![Watcher::new(&agent, false, &sources)];
        for lossless in [false, true] {
            let of = |stream| Watcher::new(stream, lossless, &sources);
            watchers.extend(commands.iter().map(of));
        }
        Self {
            log,
            agent,
            commands,
            ends: vec![0; COMMANDS.len()],
            input: HashMap::new(),
            watchers,
            sources,
        }
    }

    async fn output(&mut self, number: usize, bytes: usize) {
        let (command_id, offset) = (COMMANDS[number], self.ends[number]);
        let end = offset + bytes as u64;
        self.ends[number] = end;
        let data: Vec<u8> = (offset..end).map(|at| byte(command_id, at)).collect();
        let piece = Piece {
            agent_id: "a".parse().unwrap(),
            command_id,
            offset,
            kind: Kind::Output,
            time: Timestamp(1),
            size: None,
            data: Bytes::from(data),
        };
        let record = Record {
            command: command_id,
            kind: piece.kind,
            offset,
            time: piece.time,
            size: None,
            data: piece.data.clone(),
        };
        self.log.append(record).await.unwrap();
        self.push(number, &Body::Output(Arc::new(piece)));
    }

    /// A command puts out so much that its ring drops what it held.
    async fn flood(&mut self, number: usize) {
        for _ in 0..3 * COMMAND_RING.entries {
            self.output(number, 10_000).await;
        }
    }

    /// Somebody begins to watch a command from its first byte on, and misses none.
    fn late(&self, number: usize) -> Watcher {
        let late = Watcher::new(&self.commands[number], true, &self.sources);
        late.outbox.wake(&late.subscription);
        late
    }

    fn push_state(&self, number: usize, state: State) {
        let status = CommandStatus::new(COMMANDS[number], state);
        let status = Arc::new(ToDashboard::Status(status));
        self.push(number, &Body::Message(status));
    }

    fn push(&self, number: usize, body: &Body) {
        for stream in [&self.agent, &self.commands[number]] {
            stream.push(body.clone(), Timestamp(1));
            for watcher in &self.watchers {
                if Arc::ptr_eq(&watcher.subscription.stream, stream) {
                    watcher.outbox.wake(&watcher.subscription);
                }
            }
        }
    }

    /// Subscribes the one who follows the agent again, as the hub does it for a number that the ring still has.
    fn come_back(&mut self) {
        let watcher = &mut self.watchers[0];
        let next = watcher.seen.seq + 1;
        let held = {
            let ring = self.agent.ring();
            (ring.first()..=ring.next()).contains(&next)
        };
        if !held {
            return;
        }
        let mut cursor = Cursor {
            seq: next,
            offsets: COMMANDS.into_iter().zip(self.ends.clone()).collect(),
            ..Cursor::default()
        };
        cursor.offsets.extend(self.agent.offsets_at(next));
        let pattern = Pattern::exactly(&self.agent.channel);
        let options = Options::default();
        watcher.outbox = Arc::new(Outbox::default());
        watcher.subscription = Subscription::new(pattern, Arc::clone(&self.agent), options, cursor);
        let (outbox, sources) = (
            Arc::clone(&watcher.outbox),
            watcher.delivery.sources.clone(),
        );
        watcher.delivery = Delivery::new(outbox, false, sources, Departures::new(Duration::ZERO));
        watcher.outbox.wake(&watcher.subscription);
    }

    /// A command says that it runs, and that it was given more input.
    fn status(&mut self, number: usize) {
        let input = self.input.entry(COMMANDS[number]).or_default();
        *input += 1;
        let status = CommandStatus {
            input_offset: Some(*input),
            ..CommandStatus::new(COMMANDS[number], State::Running)
        };
        let status = Arc::new(ToDashboard::Status(status));
        self.push(number, &Body::Message(status));
    }

    /// Lets everybody read all that there is.
    async fn settle(&mut self) {
        for watcher in &mut self.watchers {
            watcher.read().await;
        }
    }

    /// Ends all commands and lets everybody read to the end.
    async fn finish(&mut self) {
        for number in 0..COMMANDS.len() {
            self.push_state(number, State::Exited);
        }
        self.settle().await;
    }
}

impl Watcher {
    fn new(stream: &Arc<Stream>, lossless: bool, sources: &Sources) -> Self {
        let outbox = Arc::new(Outbox::default());
        let options = Options {
            lossless,
            ..Options::default()
        };
        let own = matches!(stream.channel, Channel::Command(_));
        let cursor = Cursor {
            seq: 1,
            begin: own.then_some(Begin::Offset { offset: 0, end: 0 }),
            ..Cursor::default()
        };
        let pattern = Pattern::exactly(&stream.channel);
        let subscription = Subscription::new(pattern, Arc::clone(stream), options, cursor);
        let pace = Departures::new(Duration::ZERO);
        let delivery = Delivery::new(Arc::clone(&outbox), false, sources.clone(), pace);
        Self {
            outbox,
            subscription,
            delivery,
            counts: own && !lossless,
            seen: Seen::default(),
        }
    }

    /// Reads all that there is.
    async fn read(&mut self) {
        while self.outbox.has_ready() {
            self.turn().await;
        }
    }

    async fn turn(&mut self) {
        // What is ready may have been read before it was told of; a ping is always there to be sent.
        self.outbox.ping();
        let Gathered::Frames(frames) = self.delivery.gather().await else {
            panic!("nothing closes a connection here");
        };
        let bytes: usize = frames.iter().map(Message::len).sum();
        // A flush's worth, one piece more, and a screen: what is missed never gathers in memory.
        assert!(bytes < 4 * limits::MAX_OUTPUT_PIECE + 64 * 1024, "{bytes}");
        for frame in frames.into_iter().filter(Message::is_text) {
            let text = frame.into_text().unwrap();
            let decoded = decode(&text).unwrap();
            if self.counts {
                self.seen.number(decoded.header.seq, &decoded.message);
            }
            self.seen.seq = decoded.header.seq.unwrap_or(self.seen.seq);
            self.seen.note(decoded.message);
        }
    }
}

impl Seen {
    /// Numbers follow each other, from where the watcher has begun, but for those that a gap stands for and those of output
    /// that was read back.
    fn number(&mut self, seq: Option<u64>, message: &ToDashboard) {
        let is_output = matches!(message, ToDashboard::Output(_));
        let is_gap = matches!(message, ToDashboard::Gap(_));
        if let Some(seq) = seq {
            let jumps = is_gap || std::mem::take(&mut self.was_read_back) || self.seq == 0;
            assert!(
                seq == self.seq + 1 || jumps && seq > self.seq,
                "{seq} after {}",
                self.seq
            );
        }
        self.was_read_back |= is_output && seq.is_none();
    }

    fn note(&mut self, message: ToDashboard) {
        match message {
            ToDashboard::Output(output) => {
                let next = self.next.entry(output.command_id).or_default();
                assert_eq!(output.offset, *next, "a silent hole, or something twice");
                for (at, found) in (output.offset..).zip(output.data.0.iter()) {
                    assert_eq!(*found, byte(output.command_id, at), "at {at}");
                }
                *next += output.data.0.len() as u64;
            }
            ToDashboard::Gap(gap) => {
                let next = self.next.entry(gap.command_id).or_default();
                assert_eq!(gap.from, *next);
                *next = gap.to;
                self.gaps += 1;
            }
            ToDashboard::Snapshot(snapshot) => {
                let next = self.next.entry(snapshot.command_id).or_default();
                assert_eq!(snapshot.offset, *next, "a screen stands where the gap ends");
            }
            ToDashboard::Status(status) if status.state.is_final() => self.ended += 1,
            ToDashboard::Status(status) => {
                self.runs |= status.state == State::Running;
                let input = status.input_offset.unwrap_or_default();
                self.input.insert(status.command_id, input);
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_missing_without_a_word(steps in steps()) {
        in_world(async |mut world| {
            for step in steps {
                match step {
                    Step::Output(command, bytes) => world.output(command, bytes).await,
                    Step::Status(number) => world.status(number),
                    Step::Return => world.come_back(),
                    Step::Turn(number) => {
                        let watcher = &mut world.watchers[number];
                        if watcher.outbox.has_ready() {
                            watcher.turn().await;
                        }
                    }
                }
            }
            // Whoever sends input waits for how far it has come: the last word on that reaches everybody.
            world.settle().await;
            for (number, watcher) in world.watchers.iter().enumerate() {
                for (command, input) in &world.input {
                    let channel = &watcher.subscription.stream.channel;
                    if !matches!(channel, Channel::Command(id) if id != command) {
                        let told = watcher.seen.input.get(command);
                        assert_eq!(told, Some(input), "watcher {number} of {command}");
                    }
                }
            }
            world.finish().await;
            for (number, watcher) in world.watchers.iter().enumerate() {
                for (command, end) in COMMANDS.into_iter().zip(&world.ends) {
                    let watches = match &watcher.subscription.stream.channel {
                        Channel::Command(id) => *id == command,
                        _ => true,
                    };
                    let wanted = if watches { *end } else { 0 };
                    let got = watcher.seen.next.get(&command).copied().unwrap_or_default();
                    assert_eq!(got, wanted, "watcher {number} of {command}");
                }
                assert!(watcher.seen.ended > 0, "watcher {number} was told an end");
                if watcher.subscription.lossless {
                    assert_eq!(watcher.seen.gaps, 0, "watcher {number} skips nothing");
                }
            }
        });
    }
}

/// The screen that stood for what it had missed was of the past by the time it was made.
#[test]
fn who_skips_gets_a_newer_screen_rather_than_the_past_from_the_log() {
    in_world(async |mut world| {
        world.output(0, 1000).await;
        world.watchers[1].turn().await;
        let screen = world.ends[0];
        for _ in 0..50 {
            world.output(0, 20_000).await;
        }
        let watcher = &mut world.watchers[1];
        let mut cursor = watcher.subscription.take_cursor();
        assert!(cursor.was_live);
        watcher.delivery.follow_from(
            &watcher.subscription,
            &mut cursor,
            COMMANDS[0],
            screen..screen,
        );
        assert!(cursor.replay.is_some(), "the ring has moved on");
        watcher.subscription.put_cursor(cursor);
        watcher.turn().await;
        assert_eq!(watcher.seen.next[&COMMANDS[0]], world.ends[0]);
        assert_eq!(watcher.seen.gaps, 1);
    });
}

#[test]
fn whoever_comes_late_with_an_offset_hears_that_the_command_runs() {
    in_world(async |mut world| {
        world.push_state(1, State::Running);
        // At first the ring has it still, before the offset; at last it has moved past it.
        for _ in 0..2 * COMMAND_RING.entries {
            world.output(1, 100).await;
            let end = world.ends[1];
            let offset = end - 50;
            let mut late = Watcher::new(&world.commands[1], false, &world.sources);
            late.seen.next.insert(COMMANDS[1], offset);
            late.subscription.put_cursor(Box::new(Cursor {
                seq: 1,
                begin: Some(Begin::Offset { offset, end }),
                ..Cursor::default()
            }));
            late.outbox.wake(&late.subscription);
            late.read().await;
            assert!(late.seen.runs, "from {offset} of {end}");
            assert_eq!(late.seen.next[&COMMANDS[1]], end);
        }
    });
}

#[test]
fn whoever_reads_the_log_while_the_ring_drops_the_state_hears_it_all_the_same() {
    in_world(async |mut world| {
        world.flood(1).await;
        world.push_state(1, State::Running);
        let mut late = world.late(1);
        late.turn().await;
        assert!(
            !late.seen.runs,
            "the ring has it, behind what is read first"
        );
        world.flood(1).await;
        late.read().await;
        assert!(late.seen.runs);
        assert_eq!(late.seen.next[&COMMANDS[1]], world.ends[1]);
    });
}

/// It was told an older state before the output that it reads from the log; `opsctl send` would keep its input for ever.
#[test]
fn whoever_was_told_a_state_before_the_log_hears_the_one_that_the_ring_has_dropped_since() {
    in_world(async |mut world| {
        world.push_state(1, State::Delivered);
        world.flood(1).await;
        let mut late = world.late(1);
        late.turn().await;
        world.status(1);
        world.flood(1).await;
        late.read().await;
        assert!(late.seen.runs);
        assert_eq!(late.seen.next[&COMMANDS[1]], world.ends[1]);
    });
}

#[test]
fn answers_that_nobody_reads_are_bounded_in_bytes_too() {
    let megabyte = || -> ToDashboard {
        let message = "x".repeat(1024 * 1024);
        ErrorPayload::new(ErrorCode::Internal, message).into()
    };
    let outbox = Outbox::default();
    // The state of a large fleet goes in whole, where there is any room.
    let fleet = (0..40).map(|_| (Header::default(), megabyte()));
    outbox.control_all(fleet.collect());
    assert_eq!(std::iter::from_fn(|| outbox.try_next()).count(), 40);
    // What has been read is not counted any more.
    (0..33).for_each(|_| outbox.control(Header::default(), megabyte()));
    let next: Vec<Next> = std::iter::from_fn(|| outbox.try_next()).take(33).collect();
    assert!(matches!(next[31], Next::Control(..)));
    assert!(matches!(next[32], Next::Close(CloseCode::TooSlow, _)));
}

#[test]
fn whoever_misses_statuses_alone_hears_that_their_numbers_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let Opened { log, .. } = Log::open(dir.path(), LogOptions::default()).unwrap();
        let mut world = World::new(log);
        world.output(1, 100).await;
        world.settle().await;
        for _ in 0..3 * COMMAND_RING.entries {
            world.status(1);
        }
        world.settle().await;
        // The one that may skip, and whose numbers are looked at.
        let watcher = &world.watchers[2];
        assert!(watcher.counts);
        assert_eq!(watcher.seen.gaps, 1);
        assert_eq!(watcher.seen.next[&COMMANDS[1]], 100);
    });
}
