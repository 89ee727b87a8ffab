//! Disks that refuse.

use std::fs::OpenOptions;
use std::sync::LazyLock;

use bytes::Bytes;
use opsctl_protocol::Timestamp;
use opsctl_protocol::message::Kind;
use tokio::sync::Semaphore;

use super::*;
use crate::log::recovery::recover;
use crate::log::segment::{OnDamage, scan};

/// The queue's room; the writer joins what it holds of it.
static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1000)));

/// A writer whose file is `file` instead of its segment, with a record of ten bytes in its hands.
fn writer_on(dir: &std::path::Path, file: &str, command: CommandId) -> Writer {
    let recovered = recover(dir).unwrap();
    let (shared, _) = Shared::new(dir.to_owned(), recovered.sealed, recovered.active);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .unwrap();
    let mut writer = Writer::new(Arc::new(shared), LogOptions::default(), file);
    give(&mut writer, command, 0);
    writer
}

fn give(writer: &mut Writer, command: CommandId, offset: u64) {
    writer.take(append(command, offset));
}

fn append(command: CommandId, offset: u64) -> Job {
    let room = Arc::clone(&ROOM).try_acquire_many_owned(1).unwrap();
    let record = Record {
        command,
        kind: Kind::Output,
        offset,
        time: Timestamp(1),
        size: None,
        data: Bytes::from_static(b"0123456789"),
    };
    Job::Append(record, room)
}

/// Gives the writer its real segment, lets it try again, and looks at what is on the disk.
fn recover_and_check(mut writer: Writer, dir: &std::path::Path, command: CommandId) {
    let path = segment::path(dir, 1);
    writer.file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let (answer, mut answered) = oneshot::channel();
    writer.take(Job::Sync(answer));
    writer.step().unwrap();
    writer.report(&Ok(()));
    assert_eq!(answered.try_recv(), Ok(Ok(())));
    let scan = scan(&path, OnDamage::Stop).unwrap();
    assert_eq!(scan.good, scan.length);
    assert_eq!(scan.extents.get(command).map(|extent| extent.to), Some(20));
    assert_eq!(writer.shared.segments().active.bytes, scan.length);
}

#[test]
fn a_full_disk_keeps_what_was_taken() {
    let dir = tempfile::tempdir().unwrap();
    let command = CommandId::random();
    let mut writer = writer_on(dir.path(), "/dev/full", command);
    for _ in 0..2 {
        let error = writer.step().unwrap_err();
        let error = LogError::io("write", dir.path(), &error);
        assert_eq!(
            error,
            LogError::Full {
                path: dir.path().to_owned()
            }
        );
        let (answer, mut answered) = oneshot::channel();
        writer.take(Job::Sync(answer));
        writer.report(&Err(error.clone()));
        assert_eq!(
            answered.try_recv(),
            Ok(Err(error.clone())),
            "who waits for a sync is told"
        );
        assert_eq!(writer.shared.failure(), Err(error), "and who appends");
        assert!(
            writer.shared.place(command, 1).unwrap().is_none(),
            "readers see nothing of it"
        );
    }
    give(&mut writer, command, 10);
    recover_and_check(writer, dir.path(), command);
}

#[test]
fn a_failed_sync_writes_again() {
    let dir = tempfile::tempdir().unwrap();
    let command = CommandId::random();
    // Takes every byte, and cannot be synced.
    let mut writer = writer_on(dir.path(), "/dev/null", command);
    let (answer, mut answered) = oneshot::channel();
    writer.take(Job::Sync(answer));
    writer.step().unwrap_err();
    assert!(
        answered.try_recv().is_err(),
        "nobody is told that it is durable"
    );
    give(&mut writer, command, 10);
    recover_and_check(writer, dir.path(), command);
}

/// Whoever waits for a sync waits for the disk, and not for what else may come: that alone would take an hour here.
#[tokio::test]
async fn a_sync_waits_for_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let recovered = recover(dir.path()).unwrap();
    let (shared, _) = Shared::new(dir.path().to_owned(), recovered.sealed, recovered.active);
    let mut writer = Writer::new(Arc::new(shared), LogOptions::default(), recovered.file);
    writer.linger = Duration::from_hours(1);
    let (jobs, queue) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || writer.run(&queue));
    let command = CommandId::random();
    // Often enough that the writer lingers now and then when the sync is asked for.
    for offset in 0..200 {
        let (answer, answered) = oneshot::channel();
        jobs.send(append(command, offset * 10)).unwrap();
        jobs.send(Job::Sync(answer)).unwrap();
        thread.thread().unpark();
        let answered = tokio::time::timeout(Duration::from_secs(30), answered);
        assert_eq!(answered.await.unwrap(), Ok(Ok(())));
    }
    drop(jobs);
    thread.thread().unpark();
    thread.join().unwrap();
}
