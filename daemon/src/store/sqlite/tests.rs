//! The store against a real file.

use opsctl_protocol::message::{Activity, CommandSpec, CommandSummary, Program, State};
use opsctl_protocol::{AgentId, Timestamp};

use super::*;
use crate::store::DraftRow;

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn command(agent_name: &str, key: &str, created: u64) -> CommandRow {
    let mut spec = CommandSpec::new(Program::Argv(vec!["echo".to_owned(), "ä 'b'".to_owned()]));
    spec.pty = true;
    spec.cwd = Some("/tmp".to_owned());
    spec.env.insert("A".to_owned(), "1".to_owned());
    let summary = CommandSummary {
        requested_by: "ada".to_owned(),
        created_at: Timestamp(created),
        main: key.is_empty(),
        expires_at: Some(Timestamp(created + 500)),
        ..CommandSummary::queued(CommandId::random(), agent(agent_name), &spec)
    };
    CommandRow {
        summary,
        spec,
        key: key.to_owned(),
        ttl_ms: Some(500),
        draft: Some(DraftRow { count: 4, to: 99 }),
    }
}

fn request(key: &str, created: u64, agents: &[&str]) -> RequestRow {
    RequestRow {
        key: key.to_owned(),
        fingerprint: format!("print of {key}"),
        subject: "ada".to_owned(),
        created_at: Timestamp(created),
        fanout: Some(2),
        commands: agents
            .iter()
            .map(|agent| command(agent, key, created))
            .collect(),
        offline: vec![agent("z-9"), agent("a-1")],
    }
}

fn finished(row: &CommandRow) -> CommandRow {
    let mut row = row.clone();
    row.summary.state = State::Exited;
    row.summary.exit_code = Some(-1);
    row.summary.signal = Some(9);
    row.summary.timed_out = true;
    row.summary.reason = Some("why not".to_owned());
    row.summary.started_at = Some(Timestamp(5));
    row.summary.finished_at = Some(Timestamp(6));
    row.summary.output_bytes = 1 << 40;
    row.summary.cols = 132;
    row.summary.expires_at = None;
    row.draft = None;
    row
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("opsctl.db");
    let row = AgentRow {
        agent_id: agent("web-1"),
        labels: [("env".to_owned(), "prod".to_owned())].into(),
        facts: [("os".to_owned(), "linux".to_owned())].into(),
        capabilities: vec!["pty".to_owned()],
        max_commands: Some(4),
        activity: Activity::Blocked,
        since: Timestamp(1),
        last_seen: Timestamp(2),
    };
    let asked = request(
        "k1",
        10,
        &["web-2", "web-1", "web-4", "web-3", "web-6", "web-5"],
    );
    let main = command("web-1", "", 11);
    let ended = finished(&asked.commands[0]);
    {
        let store = Sqlite::open(&path).unwrap();
        store
            .commit(vec![Write::Agent(AgentRow {
                max_commands: None,
                ..row.clone()
            })])
            .await
            .unwrap();
        let writes = vec![
            Write::Agent(row.clone()),
            Write::Request(asked.clone()),
            Write::Command(main.clone()),
        ];
        store.commit(writes).await.unwrap();
        store
            .commit(vec![Write::Command(ended.clone())])
            .await
            .unwrap();
    }
    let store = Sqlite::open(&path).unwrap();
    assert_eq!(store.agents().await.unwrap(), [row]);
    let waiting = [&asked.commands[1..], std::slice::from_ref(&main)].concat();
    assert_eq!(store.unfinished().await.unwrap(), waiting, "oldest first");
    assert_eq!(
        store.command(ended.summary.command_id).await.unwrap(),
        Some(ended.clone())
    );
    assert_eq!(store.command(CommandId::random()).await.unwrap(), None);
    let again = RequestRow {
        commands: [&[ended][..], &asked.commands[1..]].concat(),
        ..asked
    };
    assert_eq!(
        store.request("k1".to_owned()).await.unwrap(),
        Some(again),
        "in the same order"
    );
    assert_eq!(store.request("k2".to_owned()).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_is_taken_once_and_takes_nothing_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("opsctl.db");
    let store = Sqlite::open(&path).unwrap();
    store
        .commit(vec![Write::Request(request("k1", 1, &["a"]))])
        .await
        .unwrap();
    let (before, after) = (command("b", "", 2), command("b", "", 4));
    let twice = vec![
        Write::Command(command("c", "", 3)),
        Write::Request(request("k1", 2, &["b"])),
    ];
    // All wait before the writer starts, so that they share a transaction.
    let (writes, queue) = mpsc::channel(4);
    let mut answers = Vec::new();
    for job in [
        vec![Write::Command(before.clone())],
        twice,
        vec![Write::Command(after.clone())],
    ] {
        let (answer, answered) = oneshot::channel();
        assert!(
            writes
                .send(write::Job {
                    writes: Some(job),
                    answer
                })
                .await
                .is_ok()
        );
        answers.push(answered);
    }
    drop(writes);
    let connection = connect(&path).unwrap();
    std::thread::spawn(move || write::run(connection, queue, "opsctl.db"))
        .join()
        .unwrap();
    let refused = answers.remove(1).await.unwrap();
    assert!(
        matches!(refused, Err(StoreError::Duplicate { .. })),
        "{refused:?}"
    );
    for answered in answers {
        assert_eq!(
            answered.await.unwrap(),
            Ok(()),
            "neighbours in the same transaction are not touched"
        );
    }
    let page = store.commands(ALL).await.unwrap();
    assert_eq!(
        page.commands.len(),
        3,
        "nothing of the refused writes is left"
    );
    assert_eq!(page.commands[..2], [after, before]);
}

const ALL: CommandFilter = CommandFilter {
    id_prefix: None,
    agents: None,
    states: Vec::new(),
    before: None,
    limit: 100,
};

/// A store with ten commands, of which one has ended.
async fn ten_commands(dir: &Path) -> (Sqlite, Vec<RequestRow>, CommandRow) {
    let store = Sqlite::open(&dir.join("opsctl.db")).unwrap();
    let asked: Vec<RequestRow> = (0..5)
        .map(|n| request(&format!("k{n}"), n, &["a", "b"]))
        .collect();
    store
        .commit(asked.iter().cloned().map(Write::Request).collect())
        .await
        .unwrap();
    let ended = finished(&asked[2].commands[1]);
    store
        .commit(vec![Write::Command(ended.clone())])
        .await
        .unwrap();
    (store, asked, ended)
}

#[tokio::test]
async fn pages_are_newest_first_and_say_that_there_is_more() {
    let dir = tempfile::tempdir().unwrap();
    let (store, asked, _) = ten_commands(dir.path()).await;
    let page = store
        .commands(CommandFilter { limit: 3, ..ALL })
        .await
        .unwrap();
    assert!(page.more);
    let key = |row: &CommandRow| (row.summary.created_at, row.summary.command_id);
    let mut newest: Vec<CommandRow> = asked
        .iter()
        .flat_map(|request| request.commands.clone())
        .collect();
    newest.sort_by_key(|row| std::cmp::Reverse(key(row)));
    assert_eq!(
        page.commands.iter().map(key).collect::<Vec<_>>(),
        newest[..3].iter().map(key).collect::<Vec<_>>()
    );
    // The third page begins within a millisecond that two commands share.
    let next = store
        .commands(CommandFilter {
            limit: 4,
            before: Some(key(&newest[2])),
            ..ALL
        })
        .await
        .unwrap();
    assert!(next.more);
    assert_eq!(
        next.commands.iter().map(key).collect::<Vec<_>>(),
        newest[3..7].iter().map(key).collect::<Vec<_>>()
    );
    let page = store
        .commands(CommandFilter { limit: 10, ..ALL })
        .await
        .unwrap();
    assert!(!page.more && page.commands.len() == 10);
}

#[tokio::test]
async fn filters_narrow() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _, ended) = ten_commands(dir.path()).await;
    let count = async |filter| store.commands(filter).await.unwrap().commands.len();
    assert_eq!(
        count(CommandFilter {
            agents: Some(vec![agent("b")]),
            ..ALL
        })
        .await,
        5
    );
    assert_eq!(
        count(CommandFilter {
            agents: Some(vec![]),
            ..ALL
        })
        .await,
        0
    );
    assert_eq!(
        count(CommandFilter {
            states: vec![State::Exited, State::Lost],
            ..ALL
        })
        .await,
        1
    );
    for (prefix, expected) in [("zz", 0), ("%", 0), ("'", 0), ("", 10)] {
        assert_eq!(
            count(CommandFilter {
                id_prefix: Some(prefix.to_owned()),
                ..ALL
            })
            .await,
            expected,
            "{prefix:?}"
        );
    }
    let all_at_once = CommandFilter {
        id_prefix: Some(ended.summary.command_id.to_string()[..9].to_uppercase()),
        agents: Some(vec![agent("a"), agent("b")]),
        states: vec![State::Exited],
        before: None,
        limit: 1,
    };
    let page = store.commands(all_at_once).await.unwrap();
    assert_eq!(
        page,
        CommandPage {
            commands: vec![ended],
            more: false
        }
    );
}

#[tokio::test]
async fn callers_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&dir.path().join("opsctl.db")).unwrap();
    let began = std::time::Instant::now();
    let all = (0..2000).map(|n| store.commit(vec![Write::Command(command("a", "", n))]));
    for result in futures_util::future::join_all(all).await {
        result.unwrap();
    }
    eprintln!("2000 commits by 2000 callers: {:?}", began.elapsed());
    let began = std::time::Instant::now();
    for n in 0..50 {
        store
            .commit(vec![Write::Command(command("a", "", n))])
            .await
            .unwrap();
    }
    eprintln!("one commit by one caller: {:?}", began.elapsed() / 50);
    let page = store
        .commands(CommandFilter {
            limit: 5000,
            ..CommandFilter::default()
        })
        .await
        .unwrap();
    assert_eq!(page.commands.len(), 2050);
}

#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("opsctl.db");
    let _store = Sqlite::open(&path).unwrap();
    for entry in dir.path().read_dir().unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{:?}",
            entry.file_name()
        );
    }
}

#[test]
fn what_cannot_be_opened_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let denied = Sqlite::open(&dir.path().join("missing/opsctl.db")).unwrap_err();
    assert!(matches!(denied, StoreError::Denied { .. }), "{denied}");

    let garbage = dir.path().join("garbage.db");
    std::fs::write(&garbage, "this is no database ".repeat(500)).unwrap();
    let corrupt = Sqlite::open(&garbage).unwrap_err();
    assert!(matches!(corrupt, StoreError::Corrupt { .. }), "{corrupt}");
    assert!(corrupt.to_string().contains("garbage.db"));

    let newer = dir.path().join("newer.db");
    drop(Sqlite::open(&newer).unwrap());
    Connection::open(&newer)
        .unwrap()
        .execute("UPDATE schema_version SET version = 99", [])
        .unwrap();
    let newer = Sqlite::open(&newer).unwrap_err();
    assert!(
        matches!(
            newer,
            StoreError::Newer {
                found: 99,
                known: 4,
                ..
            }
        ),
        "{newer}"
    );
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("opsctl.db");
    drop(Sqlite::open(&path).unwrap());
    let connection = connect(&path).unwrap();
    let pages: i64 = connection
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    connection
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    let mut big = command("a", "", 1);
    big.spec.env.insert("BIG".to_owned(), "x".repeat(100_000));
    let (writes, queue) = mpsc::channel(4);
    let thread = std::thread::spawn(move || write::run(connection, queue, "opsctl.db"));
    let commit = async |row: &CommandRow| {
        let (answer, answered) = oneshot::channel();
        assert!(
            writes
                .send(write::Job {
                    writes: Some(vec![Write::Command(row.clone())]),
                    answer
                })
                .await
                .is_ok()
        );
        answered.await.unwrap()
    };
    assert_eq!(
        commit(&big).await,
        Err(StoreError::Full {
            path: "opsctl.db".to_owned()
        })
    );
    assert_eq!(
        commit(&command("a", "", 2)).await,
        Ok(()),
        "what fits is still taken"
    );
    drop(writes);
    thread.join().unwrap();
}

#[tokio::test]
async fn what_is_old_goes_and_what_may_be_asked_for_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&dir.path().join("opsctl.db")).unwrap();
    let ended = |row: &CommandRow, at: u64| {
        let mut row = finished(row);
        row.summary.finished_at = Some(Timestamp(at));
        Write::Command(row)
    };
    let [gone, lives, late, young] = [("gone", 10), ("lives", 20), ("late", 30), ("young", 500)]
        .map(|(key, created)| request(key, created, &["a"]));
    for row in [&gone, &lives, &late, &young] {
        store
            .commit(vec![Write::Request(row.clone())])
            .await
            .unwrap();
    }
    let ends = vec![
        ended(&gone.commands[0], 50),
        // Asked for long ago and just ended.
        ended(&late.commands[0], 600),
        ended(&young.commands[0], 510),
    ];
    store.commit(ends).await.unwrap();
    assert_eq!(store.prune(Timestamp(100)).await, Ok(1), "a command");
    assert_eq!(store.prune(Timestamp(100)).await, Ok(1), "its request");
    assert_eq!(store.prune(Timestamp(100)).await, Ok(0));
    assert_eq!(store.request("gone".to_owned()).await, Ok(None));
    for row in [lives, late, young] {
        let kept = store.request(row.key.clone()).await.unwrap().unwrap();
        assert_eq!(kept.commands.len(), 1, "{}", row.key);
    }
}
