//! The spool against a simple model: the bytes that were put in, and nothing else.

use std::path::Path;

use opsctl_protocol::BinaryFrame;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A small chunk: a handful of small records.
const SMALL: u64 = 512;

fn limits(chunks: u32, when_full: WhenFull) -> SpoolLimits {
    SpoolLimits {
        chunks,
        reserved: 1,
        chunk_bytes: SMALL,
        when_full,
    }
}

/// A directory of chunks, and spools in it.
struct World(TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn slots(&self, id: u8, limits: SpoolLimits) -> Slots {
        let dir = self.0.path().join("chunks");
        std::fs::create_dir_all(&dir).unwrap();
        Slots::new(dir, self.0.path().join(format!("fresh-{id}")), limits)
    }

    fn spool(&self, id: u8, limits: SpoolLimits) -> Spool {
        Spool::new(CommandId([id; 16]), self.slots(id, limits))
    }

    fn chunks(&self) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.0.path().join("chunks")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }
}

fn put(spool: &mut Spool, bytes: &[u8]) {
    spool.space()[..bytes.len()].copy_from_slice(bytes);
    let size = bytes.is_empty().then_some((90, 30));
    spool.commit(bytes.len(), Kind::Output, size, Timestamp(1));
}

/// What the stream gives from where it is to the end: bytes by offset, and gaps.
fn read_on(spool: &mut Spool, mut at: u64, most: usize) -> (u64, Vec<(u64, Vec<u8>)>, u64) {
    let (mut got, mut gaps) = (Vec::new(), 0);
    for _ in 0..most {
        match spool.next() {
            Some(Item::Piece(message)) => {
                let length = u32::from_be_bytes(*message.first_chunk().unwrap());
                assert_eq!(length as usize, message.len() - PREFIX);
                let frame = BinaryFrame::decode(&message.slice(PREFIX..)).unwrap();
                let BinaryFrame::Output(frame) = frame else {
                    panic!("{frame:?}")
                };
                assert_eq!(frame.offset, at, "a hole or a repeat");
                at = frame.end();
                got.push((frame.offset, frame.data.to_vec()));
            }
            Some(Item::Gap { from, to }) => {
                assert_eq!(from, at);
                assert!(to > from);
                gaps += to - from;
                at = to;
            }
            None => break,
        }
    }
    (at, got, gaps)
}

/// Everything from an offset on; bytes that are gone are counted.
fn all_from(spool: &mut Spool, from: u64) -> (Vec<(u64, Vec<u8>)>, u64) {
    let start = spool.seek(from);
    let (at, got, gaps) = read_on(spool, start, usize::MAX);
    assert_eq!(at, spool.end(), "a stream ends where the output does");
    (got, gaps)
}

fn assert_from(whole: &[u8], got: &[(u64, Vec<u8>)]) {
    for (offset, bytes) in got {
        let at = *offset as usize;
        assert_eq!(&whole[at..at + bytes.len()], &bytes[..]);
    }
}

#[test]
fn a_size_without_bytes_survives_an_ack_up_to_it() {
    let world = World::new();
    let mut spool = world.spool(1, limits(4, WhenFull::Wait));
    put(&mut spool, b"abc");
    put(&mut spool, b"");
    spool.ack(3);
    assert_eq!(all_from(&mut spool, 3), (vec![(3, Vec::new())], 0));
    put(&mut spool, b"d");
    spool.ack(4);
    assert_eq!(world.chunks(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_is_acked_soon_leaves_nothing_behind_and_makes_no_new_files() {
    let world = World::new();
    let mut spool = world.spool(1, limits(8, WhenFull::Wait));
    spool.seek(0);
    let mut at = 0;
    for n in 0..200_u32 {
        put(&mut spool, &n.to_be_bytes());
        at = read_on(&mut spool, at, usize::MAX).0;
        spool.ack(at.saturating_sub(40));
        assert!(world.chunks().len() <= 7, "{n}");
    }
    spool.ack(at);
    assert!(world.chunks().is_empty());
    assert_eq!((spool.start(), spool.end()), (800, 800));
}

#[test]
fn a_full_spool_blocks_until_there_is_room() {
    let world = World::new();
    let limits = limits(2, WhenFull::Wait);
    let mut spool = world.spool(1, limits);
    let mut whole = Vec::new();
    while !spool.is_blocked() {
        put(&mut spool, b"0123456789");
        whole.extend_from_slice(b"0123456789");
    }
    // Its own end waits in memory, and is given out like everything else.
    let (got, gaps) = all_from(&mut spool, 0);
    assert_eq!((got.len() * 10, gaps), (whole.len(), 0));
    assert!(!spool.make_room(false) && spool.is_blocked());
    spool.ack(whole.len() as u64 / 2);
    spool.make_room(false);
    assert!(!spool.is_blocked());
    assert!(all_from(&mut spool, whole.len() as u64 - 10).0.len() == 1);
}

#[test]
fn whoever_has_nothing_gets_a_chunk_while_another_floods() {
    let world = World::new();
    let limits = SpoolLimits {
        reserved: 2,
        ..limits(4, WhenFull::Wait)
    };
    let mut flood = world.spool(1, limits);
    while !flood.is_blocked() {
        put(&mut flood, &[b'x'; 100]);
    }
    let mut quiet = world.spool(2, limits);
    put(&mut quiet, b"here");
    assert!(!quiet.is_blocked() && flood.is_blocked());
    let mut third = world.spool(3, limits);
    put(&mut third, b"too many");
    assert!(third.is_blocked());
    quiet.ack(4);
    third.make_room(false);
    assert!(!third.is_blocked());
    assert!(world.chunks().len() <= 4);
}

#[test]
fn chunks_without_a_command_are_swept() {
    let world = World::new();
    let limits = limits(4, WhenFull::Wait);
    put(&mut world.spool(1, limits), b"one");
    put(&mut world.spool(2, limits), b"two");
    let dir = world.0.path().join("chunks");
    std::fs::write(dir.join("00003"), b"no chunk").unwrap();
    let known = |header: &record::ChunkHeader| header.command_id == CommandId([2; 16]);
    assert_eq!(sweep(&dir, known).unwrap(), 2);
    let slots = world.slots(2, limits);
    let mut spool = Spool::inherit(CommandId([2; 16]), slots).unwrap();
    assert_eq!(all_from(&mut spool, 0).0, [(0, b"two".to_vec())]);
}

#[test]
fn damage_within_a_chunk_is_a_gap_and_said() {
    let world = World::new();
    let mut spool = world.spool(1, limits(8, WhenFull::Wait));
    let piece = [b'y'; 50];
    for _ in 0..20 {
        put(&mut spool, &piece);
    }
    let path = &world.chunks()[1];
    let mut bytes = std::fs::read(path).unwrap();
    bytes[200] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let (got, gaps) = all_from(&mut spool, 0);
    assert_eq!(got.len() as u64 * 50 + gaps, 1000);
    assert!((50..500).contains(&gaps), "{gaps}");
    assert_eq!(spool.remarks().len(), 1);
}

/// What may happen to a spool.
#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>),
    /// A share of what there is, in percent.
    Ack(u64),
    Seek(u64),
    Next(usize),
    Pause,
    MakeRoom,
    /// Another command takes room, or gives it back.
    Other(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..120).prop_map(Step::Put),
        2 => (0_u64..=100).prop_map(Step::Ack),
        1 => (0_u64..=100).prop_map(Step::Seek),
        3 => (1_usize..6).prop_map(Step::Next),
        1 => Just(Step::Pause),
        1 => Just(Step::MakeRoom),
        1 => any::<bool>().prop_map(Step::Other),
    ]
}

/// A spool beside what it should be.
struct Model {
    world: World,
    spool: Spool,
    other: Spool,
    limits: SpoolLimits,
    whole: Vec<u8>,
    acked: u64,
    /// Where the stream is.
    at: Option<u64>,
    /// Bytes that were announced as gone.
    gone: u64,
}

impl Model {
    fn new(when_full: WhenFull) -> Self {
        let (world, limits) = (World::new(), limits(5, when_full));
        Self {
            spool: world.spool(1, limits),
            other: world.spool(2, limits),
            world,
            limits,
            whole: Vec::new(),
            acked: 0,
            at: None,
            gone: 0,
        }
    }

    fn take(&mut self, step: Step) {
        let drop = self.limits.when_full == WhenFull::DropOldest;
        let share = |percent: u64| self.whole.len() as u64 * percent / 100;
        match step {
            Step::Put(bytes) if !self.spool.is_blocked() => {
                put(&mut self.spool, &bytes);
                self.whole.extend_from_slice(&bytes);
                self.spool.make_room(drop);
            }
            Step::Put(_) | Step::MakeRoom => {
                self.spool.make_room(drop);
            }
            Step::Ack(percent) => {
                self.acked = self.acked.max(share(percent));
                self.spool.ack(self.acked);
            }
            Step::Seek(percent) => {
                let from = share(percent).max(self.acked);
                self.at = Some(self.spool.seek(from));
                assert_eq!(self.at, Some(from));
            }
            Step::Next(count) => {
                if let Some(at) = self.at {
                    let (at, got, gaps) = read_on(&mut self.spool, at, count);
                    assert_from(&self.whole, &got);
                    self.gone += gaps;
                    self.at = Some(at);
                }
            }
            Step::Pause => {
                self.spool.pause();
                self.at = None;
            }
            Step::Other(true) if !self.other.is_blocked() => put(&mut self.other, &[7; 200]),
            Step::Other(_) => self.other.ack(self.other.end()),
        }
        self.check(drop);
    }

    fn check(&self, drop: bool) {
        let chunks = self.world.chunks();
        assert!(chunks.len() <= self.limits.chunks as usize);
        for chunk in chunks {
            assert!(std::fs::metadata(chunk).unwrap().len() <= SMALL);
        }
        assert_eq!(self.spool.end(), self.whole.len() as u64);
        if drop {
            assert!(!self.spool.is_blocked(), "nobody waits in this mode");
        } else {
            assert!(self.spool.start() <= self.acked.max(self.at.unwrap_or(0)));
        }
    }

    /// Everything that was not acknowledged, or exactly how much of it is gone.
    fn finish(&mut self) {
        let (got, gaps) = all_from(&mut self.spool, self.acked);
        assert_from(&self.whole, &got);
        let bytes: usize = got.iter().map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(bytes as u64 + gaps, self.whole.len() as u64 - self.acked);
        if self.limits.when_full == WhenFull::Wait {
            assert_eq!(gaps, 0, "nothing is lost in this mode");
        }
    }
}

/// Cuts the newest file of a spool, or what stands in it, as a crash within a write would.
fn tear(dir: &Path, place: usize, garbage: bool) {
    let newest = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        let header = record::ChunkHeader::decode(&bytes);
        header
            .filter(|header| header.command_id == CommandId([1; 16]))
            .map(|header| header.number)
    };
    let entries = std::fs::read_dir(dir.join("chunks")).unwrap();
    let paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    let Some(path) = paths
        .iter()
        .filter(|path| newest(path).is_some())
        .max_by_key(|path| newest(path))
    else {
        return;
    };
    let mut bytes = std::fs::read(path).unwrap();
    let at = record::CHUNK_HEADER + place % (bytes.len() - record::CHUNK_HEADER + 1);
    if garbage {
        bytes[at..].fill(0xa5);
    } else {
        bytes.truncate(at);
    }
    std::fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_waiting_spool_loses_nothing(steps in prop::collection::vec(step(), 0..80)) {
        let mut model = Model::new(WhenFull::Wait);
        for step in steps {
            model.take(step);
        }
        model.finish();
    }

    #[test]
    fn a_dropping_spool_never_waits_and_says_exactly_what_is_gone(steps in prop::collection::vec(step(), 0..80)) {
        let mut model = Model::new(WhenFull::DropOldest);
        for step in steps {
            model.take(step);
        }
        model.finish();
    }

    #[test]
    fn the_bound_is_kept_and_whoever_has_nothing_finds_room(
        steps in prop::collection::vec((0_usize..3, 0_u8..4, 1_usize..150), 0..120),
    ) {
        let world = World::new();
        let limits = SpoolLimits { reserved: 3, ..limits(6, WhenFull::Wait) };
        let id = |who: usize| CommandId([who as u8; 16]);
        let mut spools: Vec<Spool> = (0..3).map(|who| world.spool(who as u8, limits)).collect();
        for (who, what, length) in steps {
            let spool = &mut spools[who];
            match what {
                // It dies; its heir has what it had, and gives it back once that was delivered.
                0 => {
                    let (start, end, blocked) = (spool.start(), spool.end(), spool.is_blocked());
                    let slots = world.slots(who as u8, limits);
                    let mut heir = Spool::inherit(id(who), slots).unwrap();
                    if start < end && !blocked {
                        prop_assert_eq!((heir.start(), heir.end()), (start, end));
                    }
                    heir.clear();
                    *spool = world.spool(who as u8, limits);
                }
                1 => {
                    spool.ack(spool.end());
                    prop_assert!(!spool.is_blocked());
                }
                _ if spool.is_blocked() => {
                    spool.make_room(false);
                }
                _ => {
                    let had_nothing = spool.start() == spool.end();
                    put(spool, &vec![1; length]);
                    prop_assert!(!(had_nothing && spool.is_blocked()));
                }
            }
            prop_assert!(world.chunks().len() <= 6);
        }
    }

    #[test]
    fn a_crash_at_any_byte_leaves_a_beginning(
        steps in prop::collection::vec(step(), 0..60),
        drops in any::<bool>(),
        torn in prop::option::of((any::<usize>(), any::<bool>())),
    ) {
        let mut model = Model::new(if drops { WhenFull::DropOldest } else { WhenFull::Wait });
        for step in steps {
            model.take(step);
        }
        let blocked = model.spool.is_blocked();
        let end = model.spool.end();
        if let Some((place, garbage)) = torn {
            tear(model.world.0.path(), place, garbage);
        }
        let slots = model.world.slots(1, model.limits);
        let mut heir = Spool::inherit(CommandId([1; 16]), slots).unwrap();
        prop_assert!(heir.end() <= end);
        let whole_again = torn.is_none() && !blocked && heir.end() > 0;
        if whole_again {
            prop_assert_eq!(heir.end(), end);
        }
        let (got, gaps) = all_from(&mut heir, model.acked);
        assert_from(&model.whole, &got);
        if !drops && torn.is_none() {
            prop_assert_eq!(gaps, 0);
        }
        heir.clear();
        model.other.clear();
        prop_assert!(model.world.chunks().is_empty());
    }
}
