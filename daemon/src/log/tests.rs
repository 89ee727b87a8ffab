//! The log over real files: against a model, and one matter at a time.

mod model;

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use opsctl_protocol::Timestamp;
use opsctl_protocol::message::Kind;
use tokio::time::timeout;

use super::*;

/// Nothing here takes longer, also on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(30);

fn small(segment_bytes: u64) -> LogOptions {
    LogOptions {
        segment_bytes,
        ..LogOptions::default()
    }
}

fn record(command: CommandId, offset: u64, data: impl Into<Bytes>) -> Record {
    Record {
        command,
        kind: Kind::Output,
        offset,
        time: Timestamp(offset),
        size: None,
        data: data.into(),
    }
}

/// All that the log has from an offset on.
async fn read_all(log: &Log, command: CommandId, from: u64) -> Vec<Record> {
    let mut reader = log.read(command, from);
    let mut records = Vec::new();
    while let Some(record) = reader.next().await.unwrap() {
        records.push(record);
    }
    assert_eq!(reader.offset(), records.last().map_or(from, Record::end));
    records
}

/// Appends `count` pieces of `size` bytes, numbered lines, and waits until they are durable.
async fn fill(log: &Log, command: CommandId, count: u64, size: usize) {
    let start = log.end(command).unwrap().unwrap_or(0);
    for n in 0..count {
        let mut data = format!("line {n}");
        data.push_str(&".".repeat(size - data.len() - 1));
        data.push('\n');
        log.append(record(command, start + n * size as u64, data))
            .await
            .unwrap();
    }
    log.sync().await.unwrap();
}

#[tokio::test]
async fn sizes_kinds_and_times_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), LogOptions::default()).unwrap().log;
    let command = CommandId::random();
    let records = [
        Record {
            size: Some((80, 24)),
            ..record(command, 0, "")
        },
        record(command, 0, "ab"),
        Record {
            kind: Kind::Error,
            ..record(command, 2, "cd")
        },
        Record {
            size: Some((132, 50)),
            kind: Kind::Info,
            ..record(command, 4, "ef")
        },
        Record {
            size: Some((1, 1)),
            ..record(command, 6, "")
        },
    ];
    for record in &records {
        log.append(record.clone()).await.unwrap();
    }
    log.sync().await.unwrap();
    assert_eq!(read_all(&log, command, 0).await, records);
    let half = Record {
        offset: 5,
        data: "f".into(),
        ..records[3].clone()
    };
    assert_eq!(read_all(&log, command, 5).await, [half, records[4].clone()]);
    assert_eq!(
        read_all(&log, command, 6).await,
        [records[4].clone()],
        "a size at the wanted offset counts"
    );
    assert_eq!(read_all(&log, CommandId::random(), 0).await, []);
    assert_eq!(log.end(CommandId::random()), Ok(None));
}

#[tokio::test]
async fn a_reader_follows() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), small(300)).unwrap().log;
    let (command, other) = (CommandId::random(), CommandId::random());
    let mut reader = log.read(command, 0);
    assert_eq!(reader.next().await, Ok(None));
    for n in 0..20 {
        log.append(record(other, n * 100, vec![b'x'; 100]))
            .await
            .unwrap();
        log.append(record(command, n, "y")).await.unwrap();
        let found = timeout(DEADLINE, async {
            loop {
                match reader.next().await.unwrap() {
                    Some(record) => return record,
                    None => reader.grown().await.unwrap(),
                }
            }
        });
        assert_eq!(found.await.unwrap().offset, n);
    }
    assert!(
        dir.path().join("00000005.seg").exists(),
        "over several segments"
    );
}

#[tokio::test]
async fn durable_offsets_are_merged_and_never_lost() {
    let dir = tempfile::tempdir().unwrap();
    let Opened {
        log,
        mut durable,
        cut,
    } = Log::open(dir.path(), LogOptions::default()).unwrap();
    assert_eq!(cut, None);
    let (a, b) = (CommandId::random(), CommandId::random());
    for n in 0..500 {
        log.append(record(a, n, "a")).await.unwrap();
    }
    let mut ends = std::collections::HashMap::new();
    while ends.get(&a) != Some(&500) {
        // Without a call of sync: the time alone makes it durable.
        ends.extend(timeout(DEADLINE, durable.next()).await.unwrap().unwrap());
    }
    assert_eq!(durable.next().now_or_never(), None, "no news, nothing said");
    fill(&log, a, 10, 50).await;
    fill(&log, b, 10, 50).await;
    fill(&log, a, 10, 50).await;
    let mut news = durable.next().await.unwrap();
    news.sort_unstable_by_key(|(_, end)| *end);
    assert_eq!(news, [(b, 500), (a, 1500)]);
    log.close().await.unwrap();
    assert_eq!(timeout(DEADLINE, durable.next()).await.unwrap(), None);
    assert_eq!(
        log.append(record(a, 1500, "x")).await,
        Err(LogError::Closed)
    );
}

#[tokio::test]
async fn who_floods_waits() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        queue_bytes: 64 * 1024,
        ..LogOptions::default()
    };
    let log = Log::open(dir.path(), options).unwrap().log;
    let command = CommandId::random();
    let piece = |n: u64| record(command, n * 32_768, vec![b'x'; 32_768]);
    // The writer cannot show what it wrote while this is held, so that it keeps the room of what it took.
    let held = log.shared.segments();
    assert_eq!(log.append(piece(0)).now_or_never(), Some(Ok(())));
    let mut second = Box::pin(log.append(piece(1)));
    assert_eq!(
        second.as_mut().now_or_never(),
        None,
        "there is no room for a second piece and its header"
    );
    drop(held);
    timeout(DEADLINE, second).await.unwrap().unwrap();
    let giant = record(command, 65_536, vec![b'x'; 500_000]);
    timeout(DEADLINE, log.append(giant)).await.unwrap().unwrap();
    log.sync().await.unwrap();
    assert_eq!(log.end(command), Ok(Some(565_536)));
    let too_big = record(command, 0, vec![0; record::MAX_DATA_BYTES + 1]);
    assert_eq!(
        log.append(too_big).await,
        Err(LogError::TooBig(record::MAX_DATA_BYTES + 1))
    );
}

#[tokio::test]
async fn a_disk_that_refuses_is_told_and_overcome() {
    let dir = tempfile::tempdir().unwrap();
    let (path, away) = (dir.path().join("log"), dir.path().join("away"));
    let log = Log::open(&path, small(1000)).unwrap().log;
    let command = CommandId::random();
    fill(&log, command, 3, 100).await;
    // The next segment cannot be made.
    std::fs::rename(&path, &away).unwrap();
    let mut end = 300;
    let refused = timeout(DEADLINE, async {
        loop {
            match log.append(record(command, end, vec![b'y'; 100])).await {
                Ok(()) => end += 100,
                Err(error) => return error,
            }
            let _ = log.sync().await;
        }
    });
    let refused = refused.await.unwrap();
    assert!(matches!(&refused, LogError::Io { .. }), "{refused}");
    assert!(refused.to_string().contains(path.to_str().unwrap()));
    std::fs::rename(&away, &path).unwrap();
    timeout(DEADLINE, async { while log.sync().await.is_err() {} })
        .await
        .unwrap();
    log.append(record(command, end, "again")).await.unwrap();
    log.close().await.unwrap();
    let log = Log::open(&path, small(1000)).unwrap().log;
    let data: usize = read_all(&log, command, 0)
        .await
        .iter()
        .map(|record| record.data.len())
        .sum();
    assert_eq!(data as u64, end + 5, "what was taken is there, once");
}

#[tokio::test]
async fn the_oldest_output_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 1000,
        max_bytes: 5000,
        ..LogOptions::default()
    };
    let log = Log::open(dir.path(), options).unwrap().log;
    let (old, new) = (CommandId::random(), CommandId::random());
    fill(&log, old, 10, 100).await;
    let mut early = log.read(new, 0);
    fill(&log, new, 5, 100).await;
    assert_eq!(early.next().await.unwrap().unwrap().offset, 0);
    fill(&log, new, 100, 100).await;
    let total: u64 = dir
        .path()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().unwrap() == "seg")
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    assert!(total <= 6000, "{total}");
    assert_eq!(log.end(old), Ok(None));
    let start = log.start(new).unwrap().unwrap();
    assert!(start > 0);
    let records = read_all(&log, new, 0).await;
    assert_eq!(records[0].offset, start, "the first that is still there");
    assert_eq!(records.last().unwrap().end(), 10_500);
    let mut last = 0;
    while let Some(record) = early.next().await.unwrap() {
        assert!(record.offset >= last);
        last = record.end();
    }
    assert_eq!(last, 10_500, "a reader that was overtaken goes on");
    let indexes = segment::list(dir.path(), "idx").unwrap();
    let mut segments = segment::list(dir.path(), "seg").unwrap();
    segments.pop();
    assert_eq!(indexes, segments, "each index goes with its segment");
}

#[tokio::test]
async fn indexes_that_are_lost_or_damaged_are_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let commands = [
        CommandId::random(),
        CommandId::random(),
        CommandId::random(),
    ];
    let log = Log::open(dir.path(), small(1000)).unwrap().log;
    for _ in 0..5 {
        for command in commands {
            fill(&log, command, 2, 100).await;
        }
    }
    log.close().await.unwrap();
    let indexes = segment::list(dir.path(), "idx").unwrap();
    assert!(indexes.len() >= 3);
    for spoil in 0..4 {
        for number in &indexes {
            let path = index::path(dir.path(), *number);
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            match spoil {
                0 => std::fs::remove_file(&path).unwrap(),
                1 => std::fs::write(&path, "").unwrap(),
                2 => std::fs::write(&path, &bytes[..middle]).unwrap(),
                _ => {
                    bytes[middle..].iter_mut().for_each(|byte| *byte ^= 1);
                    std::fs::write(&path, bytes).unwrap();
                }
            }
        }
        let log = Log::open(dir.path(), small(1000)).unwrap().log;
        for command in commands {
            assert_eq!(log.end(command), Ok(Some(1000)), "spoil {spoil}");
            assert_eq!(read_all(&log, command, 0).await.len(), 10, "spoil {spoil}");
        }
        assert_eq!(segment::list(dir.path(), "idx").unwrap(), indexes);
        log.close().await.unwrap();
    }
}

#[tokio::test]
async fn damage_in_the_past_is_a_gap_and_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), small(2000)).unwrap().log;
    let command = CommandId::random();
    fill(&log, command, 40, 100).await;
    log.close().await.unwrap();
    let path = segment::path(dir.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    // A byte of the third record's data, and the seventh's length.
    let starts: Vec<usize> = (0..10).map(|n| 8 + n * 145).collect();
    bytes[starts[2] + 60] ^= 1;
    bytes[starts[6]] = 0xff;
    std::fs::write(&path, bytes).unwrap();
    for with_index in [true, false] {
        if !with_index {
            std::fs::remove_file(index::path(dir.path(), 1)).unwrap();
        }
        let log = Log::open(dir.path(), small(2000)).unwrap().log;
        let records = read_all(&log, command, 0).await;
        let offsets: Vec<u64> = records.iter().map(|record| record.offset).collect();
        let second = log.shared.place(command, 2).unwrap().unwrap();
        let mut expected = vec![0, 100, 300, 400, 500];
        expected.extend((700..second.extent.from).step_by(100));
        expected.extend((second.extent.from..4000).step_by(100));
        assert_eq!(offsets, expected, "with its index: {with_index}");
        log.close().await.unwrap();
    }
}

#[tokio::test]
async fn damage_far_from_the_end_costs_only_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), LogOptions::default()).unwrap().log;
    let command = CommandId::random();
    fill(&log, command, 600, 10_000).await;
    log.close().await.unwrap();
    let path = segment::path(dir.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    for (at, lost) in [(8 + 3, 0), (8 + 10_045 * 7 + 5000, 7)] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        std::fs::write(&path, bytes).unwrap();
        let opened = Log::open(dir.path(), LogOptions::default()).unwrap();
        assert_eq!(opened.cut, None, "nothing is cut");
        let records = read_all(&opened.log, command, 0).await;
        let expected = (0..600).filter(|n| *n != lost).map(|n| n * 10_000);
        let offsets = records.iter().map(|record| record.offset);
        assert!(offsets.eq(expected), "only record {lost} is missing");
        opened.log.close().await.unwrap();
    }
}

#[tokio::test]
async fn output_goes_when_it_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        max_age: Duration::from_millis(200),
        ..LogOptions::default()
    };
    let log = Log::open(dir.path(), options).unwrap().log;
    let command = CommandId::random();
    fill(&log, command, 3, 100).await;
    let gone = timeout(DEADLINE, async {
        while log.end(command).unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    gone.await.unwrap();
    assert_eq!(read_all(&log, command, 0).await, []);
    log.append(record(command, 300, "more")).await.unwrap();
    log.sync().await.unwrap();
    assert_eq!(read_all(&log, command, 0).await[0].offset, 300);
}

#[tokio::test]
async fn records_may_be_larger_than_what_is_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), LogOptions::default()).unwrap().log;
    let command = CommandId::random();
    let mut records = Vec::new();
    let mut offset = 0;
    for size in [
        1,
        record::MAX_DATA_BYTES,
        600_000,
        3,
        record::MAX_DATA_BYTES,
        2,
    ] {
        records.push(record(command, offset, vec![b'x'; size]));
        offset += size as u64;
    }
    for record in &records {
        log.append(record.clone()).await.unwrap();
    }
    log.close().await.unwrap();
    let opened = Log::open(dir.path(), LogOptions::default()).unwrap();
    assert_eq!(opened.cut, None);
    let read = timeout(DEADLINE, read_all(&opened.log, command, 0))
        .await
        .unwrap();
    assert!(read == records, "they come back as they were");
}

#[tokio::test]
async fn another_programs_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = segment::path(dir.path(), 3);
    std::fs::write(&path, "somebody's diary").unwrap();
    let error = Log::open(dir.path(), LogOptions::default()).unwrap_err();
    assert_eq!(error, LogError::Foreign { path: path.clone() });
    assert_eq!(std::fs::read_to_string(path).unwrap(), "somebody's diary");
}

#[tokio::test]
async fn tails_start_at_lines() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), small(500)).unwrap().log;
    let (command, other) = (CommandId::random(), CommandId::random());
    assert_eq!(log.tail_offset(command, 5).await, Ok(None));
    let mut offset = 0;
    for piece in ["one\ntw", "o\n", "three\n", "", "fo", "ur\nfive\n\nseven\n"] {
        log.append(record(command, offset, piece)).await.unwrap();
        log.append(record(other, offset * 9, vec![b'\n'; 300]))
            .await
            .unwrap();
        offset += piece.len() as u64;
    }
    log.sync().await.unwrap();
    let all = "one\ntwo\nthree\nfour\nfive\n\nseven\n";
    for (lines, rest) in [
        (0, ""),
        (1, "seven\n"),
        (2, "\nseven\n"),
        (4, "four\nfive\n\nseven\n"),
        (6, &all[4..]),
        (7, all),
        (99, all),
    ] {
        let at = log.tail_offset(command, lines).await.unwrap().unwrap();
        assert_eq!(&all[at as usize..], rest, "{lines}");
    }
    log.append(record(command, offset, "open")).await.unwrap();
    log.sync().await.unwrap();
    assert_eq!(
        log.tail_offset(command, 1).await,
        Ok(Some(offset)),
        "an open line is a line"
    );
    assert_eq!(log.tail_offset(command, u64::MAX).await, Ok(Some(0)));
}

#[tokio::test]
async fn much_goes_through() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), LogOptions::default()).unwrap().log;
    let command = CommandId::random();
    let piece = Bytes::from(vec![b'x'; 32 * 1024]);
    let pieces = 3200;
    let began = std::time::Instant::now();
    for n in 0..pieces {
        log.append(record(command, n * piece.len() as u64, piece.clone()))
            .await
            .unwrap();
    }
    log.sync().await.unwrap();
    eprintln!("100 MiB written and synced: {:?}", began.elapsed());
    let began = std::time::Instant::now();
    let (mut reader, mut at) = (log.read(command, 0), 0);
    while let Some(record) = reader.next().await.unwrap() {
        assert_eq!(record.offset, at);
        at = record.end();
    }
    assert_eq!(at, pieces * piece.len() as u64);
    eprintln!("100 MiB read: {:?}", began.elapsed());
}
