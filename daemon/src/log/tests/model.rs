//! The log against a list of records: whatever is appended, cut, damaged and opened again, reading gives what the list
//! says.

use std::path::Path;

use proptest::prelude::*;

use super::*;

/// Commands that take turns.
const COMMANDS: usize = 3;

/// A segment's size in bytes: some ten records.
const SEGMENT: u64 = 4000;

/// What can happen to a log.
#[derive(Debug, Clone)]
enum Step {
    /// A command says something.
    Append {
        command: usize,
        kind: u8,
        size: Option<(u16, u16)>,
        data: Vec<u8>,
    },
    /// All must be durable.
    Sync,
    /// The daemon ends and starts again.
    Reopen,
    /// The daemon dies; the last segment ends after this part of its length.
    Cut(f64),
    /// The daemon dies; a byte at this part of the last segment's length is wrong.
    Flip(f64),
    /// A client reads a command from this part of its output on, and wants so many lines.
    Read {
        command: usize,
        from: f64,
        lines: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let size = proptest::option::weighted(0.2, (1_u16..300, 1_u16..100));
    let data = prop_oneof![
        proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..80),
        (0_usize..3000).prop_map(|length| vec![b'z'; length]),
    ];
    prop_oneof![
        12 => (0..COMMANDS, 0_u8..3, size, data)
            .prop_map(|(command, kind, size, data)| Step::Append { command, kind, size, data }),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
        1 => (0.0..1.0).prop_map(Step::Cut),
        1 => (0.0..1.0).prop_map(Step::Flip),
        5 => (0..COMMANDS, 0.0..1.1, 0_u64..20).prop_map(|(command, from, lines)| Step::Read { command, from, lines }),
    ]
}

/// What the log should hold.
struct Model {
    ids: Vec<CommandId>,
    records: Vec<Record>,
}

impl Model {
    fn of(&self, command: usize) -> impl Iterator<Item = &Record> {
        let id = self.ids[command];
        self.records
            .iter()
            .filter(move |record| record.command == id)
    }

    fn end(&self, command: usize) -> Option<u64> {
        self.of(command).last().map(Record::end)
    }

    fn output(&self, command: usize) -> Vec<u8> {
        self.of(command)
            .flat_map(|record| record.data.to_vec())
            .collect()
    }

    /// Forgets what the last segment lost: all from the record on that holds the byte at `at`.
    fn lose(&mut self, length: u64, at: u64) {
        let mut start = length;
        while start > segment::FIRST_RECORD.max(at) {
            start -= self.records.pop().unwrap().stored_bytes() as u64;
        }
    }

    async fn check(&self, log: &Log, command: usize, from: u64, lines: u64) {
        let id = self.ids[command];
        assert_eq!(log.end(id).unwrap(), self.end(command));
        assert_eq!(log.start(id).unwrap(), self.end(command).map(|_| 0));
        let expected: Vec<Record> = self
            .of(command)
            .filter(|record| record.offset >= from || record.end() > from)
            .map(|record| {
                let skip = from.saturating_sub(record.offset);
                Record {
                    offset: record.offset + skip,
                    data: record.data.slice(skip as usize..),
                    ..record.clone()
                }
            })
            .collect();
        assert_eq!(read_all(log, id, from).await, expected);
        let offset = log.tail_offset(id, lines).await.unwrap();
        assert_eq!(
            offset,
            self.end(command)
                .map(|_| tail(&self.output(command), lines))
        );
    }
}

/// Where the last `lines` lines start, the plain way.
fn tail(output: &[u8], lines: u64) -> u64 {
    let mut starts: Vec<usize> = output
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::len)
        .collect();
    starts.reverse();
    let kept: usize = starts.iter().take(lines as usize).sum();
    (output.len() - kept) as u64
}

/// The file that is written.
fn last_segment(dir: &Path) -> std::path::PathBuf {
    segment::path(dir, *segment::list(dir, "seg").unwrap().last().unwrap())
}

/// A log and what it should hold.
struct Pair {
    dir: tempfile::TempDir,
    log: Log,
    model: Model,
}

impl Pair {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), small(SEGMENT)).unwrap().log;
        let ids = (0..COMMANDS).map(|_| CommandId::random()).collect();
        Self {
            dir,
            log,
            model: Model {
                ids,
                records: Vec::new(),
            },
        }
    }

    async fn perform(&mut self, step: Step) {
        match step {
            Step::Append {
                command,
                kind,
                size,
                data,
            } => {
                let offset = self.model.end(command).unwrap_or(0);
                let kind = Kind::from_number(kind).unwrap();
                let record = Record {
                    kind,
                    size,
                    ..record(self.model.ids[command], offset, data)
                };
                self.model.records.push(record.clone());
                self.log.append(record).await.unwrap();
            }
            Step::Sync => self.log.sync().await.unwrap(),
            Step::Reopen => assert_eq!(self.reopen(|_| ()).await, None),
            Step::Cut(part) => self.cut(part).await,
            Step::Flip(part) => self.flip(part).await,
            Step::Read {
                command,
                from,
                lines,
            } => {
                self.log.sync().await.unwrap();
                let from = (self.model.end(command).unwrap_or(10) as f64 * from) as u64;
                self.model.check(&self.log, command, from, lines).await;
            }
        }
    }

    /// Closes the log, does something to its last segment, and opens it again.
    async fn reopen(&mut self, spoil: impl FnOnce(&Path)) -> Option<Cut> {
        self.log.close().await.unwrap();
        spoil(&last_segment(self.dir.path()));
        let opened = Log::open(self.dir.path(), small(SEGMENT)).unwrap();
        self.log = opened.log;
        opened.cut
    }

    async fn cut(&mut self, part: f64) {
        let (mut length, mut at) = (0, 0);
        self.reopen(|path| {
            length = path.metadata().unwrap().len();
            at = (length as f64 * part) as u64;
            std::fs::OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(at)
                .unwrap();
        })
        .await;
        self.model.lose(length, at);
    }

    async fn flip(&mut self, part: f64) {
        let (mut length, mut at) = (0, 0);
        let cut = self
            .reopen(|path| {
                let mut bytes = std::fs::read(path).unwrap();
                length = bytes.len() as u64;
                at =
                    segment::FIRST_RECORD + ((length - segment::FIRST_RECORD) as f64 * part) as u64;
                if let Some(byte) = bytes.get_mut(at as usize) {
                    *byte ^= 0x55;
                    std::fs::write(path, bytes).unwrap();
                }
            })
            .await;
        assert_eq!(
            cut.map(|cut| cut.at + cut.bytes),
            (at < length).then_some(length)
        );
        self.model.lose(length, at);
    }
}

async fn run(steps: Vec<Step>) {
    let mut pair = Pair::new();
    for step in steps {
        pair.perform(step).await;
    }
    pair.log.sync().await.unwrap();
    for command in 0..COMMANDS {
        pair.model.check(&pair.log, command, 0, 3).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_log_gives_back_what_was_appended(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
