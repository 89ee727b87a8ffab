//! Output that the daemon hasn't acknowledged: it survives every process, and its bound.

use std::path::{Path, PathBuf};
use std::process::Command;

use opsctl_agent::{AgentOptions, WhenFull};
use opsctl_protocol::CommandId;
use opsctl_protocol::message::{CommandSpec, State};

use crate::daemon::{Conn, TestAgent, World, argv, has_ended, sh, within};
use crate::recovery::{AgentProcess, number_in};

/// What `seq 1 COUNT` prints.
fn numbers(count: usize) -> Vec<u8> {
    (1..=count)
        .flat_map(|n| format!("{n}\n").into_bytes())
        .collect()
}

/// Which processes are killed.
#[derive(Clone, Copy)]
struct Killed {
    agent: bool,
    holder: bool,
}

pub(crate) async fn output_outlives_agent() {
    survives(Killed {
        agent: true,
        holder: false,
    })
    .await;
}

pub(crate) async fn output_outlives_holder() {
    survives(Killed {
        agent: false,
        holder: true,
    })
    .await;
}

pub(crate) async fn output_outlives_agent_and_holder() {
    survives(Killed {
        agent: true,
        holder: true,
    })
    .await;
}

async fn survives(killed: Killed) {
    let world = World::new();
    let mut process = AgentProcess::start(&world);
    let mut conn = world.accept().await;
    conn.welcome([]);
    let id = conn.execute(sh("seq 1 200000; exec sleep 1000"));
    let whole = numbers(200_000);
    conn.until("all output", |conn| conn.received == whole.len() as u64)
        .await;
    // The daemon has lost what it had not written.
    let kept = 300_000;
    conn.ack(id, kept, false);
    if killed.agent {
        process.kill();
        if killed.holder {
            world.kill_holders().await;
        }
        process = AgentProcess::start(&world);
    } else {
        drop(conn);
        world.kill_holders().await;
    }
    let mut conn = world.accept().await;
    conn.resume_at(id, kept);
    if killed.holder {
        let status = conn.end(id).await;
        assert_eq!(status.state, State::Lost);
        assert_eq!(status.offset, Some(whole.len() as u64));
    } else {
        conn.until("the rest", |conn| {
            conn.received + kept == whole.len() as u64
        })
        .await;
    }
    assert!(conn.output[&id][kept as usize..] == whole[kept as usize..]);
    assert_eq!(conn.gaps, []);
    process.kill();
}

pub(crate) async fn a_flood_is_cut_where_its_holder_was_killed() {
    for both in [false, true] {
        let world = World::new();
        let mut process = AgentProcess::start(&world);
        let mut conn = world.accept().await;
        conn.welcome([]);
        let id = conn.execute(sh("echo $$; exec seq 1 1000000000"));
        conn.until("a flood", |conn| conn.received > 3_000_000)
            .await;
        let program = number_in(&conn.text(id));
        if both {
            process.kill();
            world.kill_holders().await;
            process = AgentProcess::start(&world);
            let before = conn.received;
            conn = world.accept().await;
            conn.resume_at(id, 0);
            conn.until("what was there before", |conn| conn.received >= before)
                .await;
        } else {
            world.kill_holders().await;
        }
        let status = conn.end(id).await;
        assert_eq!(status.state, State::Lost);
        assert!(has_ended(program));
        let text = conn.text(id);
        let flood = text.split_once('\n').unwrap().1;
        let expected = numbers(flood.len() / 6);
        assert!(expected.starts_with(flood.as_bytes()) && conn.gaps.is_empty());
        process.kill();
    }
}

/// An agent whose daemon went away, and a program that has written more since than finds room, or is about to.
struct Flooded {
    agent: TestAgent,
    id: CommandId,
    /// Is there once the program has written everything.
    done: PathBuf,
}

/// The program prints so many numbers, in a terminal of this size if there is one.
async fn flooded(
    world: &World,
    options: &AgentOptions,
    count: usize,
    terminal: Option<(u16, u16)>,
) -> Flooded {
    let (mut spec, go, done) = patient(world, count);
    if let Some(size) = terminal {
        spec.pty = true;
        (spec.cols, spec.rows) = size;
    }
    let agent = TestAgent::start(options.clone());
    let mut conn = world.accept().await;
    conn.welcome([]);
    let id = conn.execute(spec);
    conn.until_running(id).await;
    drop(conn);
    std::fs::write(go, "").unwrap();
    Flooded { agent, id, done }
}

/// Takes all output of [`flooded`], which had to wait, and acknowledges it by and by; `look` looks after each step.
async fn take_all(conn: &mut Conn, id: CommandId, look: impl Fn()) {
    let mut acked = 0;
    while conn.final_status(id).is_none() {
        conn.step().await;
        if conn.received >= acked + 100_000 {
            acked = conn.received;
            conn.ack(id, acked, false);
        }
        look();
    }
    assert_eq!(conn.end(id).await.exit_code, Some(3));
    assert!(conn.output[&id] == numbers(1_000_000) && conn.gaps.is_empty());
}

fn small(world: &World, when_full: WhenFull) -> AgentOptions {
    let mut options = world.options();
    options.spool_bytes = 1 << 20;
    options.when_full = when_full;
    options
}

/// A program that waits for a file, then writes a lot, and says that it is done.
fn patient(world: &World, count: usize) -> (CommandSpec, PathBuf, PathBuf) {
    let (go, done) = (world.dir.path().join("go"), world.dir.path().join("done"));
    let line = format!(
        "while ! [ -e {} ]; do sleep 0.01; done; seq 1 {count}; touch {}; exit 3",
        go.display(),
        done.display()
    );
    (sh(&line), go, done)
}

async fn until_exists(path: &Path) {
    within("the program's last word", async {
        while !path.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Bytes of the chunks that there are.
fn spooled(options: &AgentOptions) -> u64 {
    let entries = std::fs::read_dir(options.state_dir.join("spool")).unwrap();
    entries
        .map(|entry| entry.unwrap().metadata().map_or(0, |file| file.len()))
        .sum()
}

/// Waits until the spool has taken about `bytes`.
async fn until_spooled(options: &AgentOptions, bytes: u64) {
    within("a full spool", async {
        while spooled(options) < bytes {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(crate) async fn a_full_spool_makes_the_program_wait() {
    let world = World::new();
    let options = small(&world, WhenFull::Wait);
    let Flooded { agent, id, done } = flooded(&world, &options, 1_000_000, None).await;
    // Some chunks are for commands that have none.
    until_spooled(&options, 600_000).await;
    // An agent that comes and goes in between changes nothing.
    agent.stop().await.unwrap();
    let _agent = TestAgent::start(options.clone());
    let mut conn = world.accept().await;
    assert!(!done.exists() && spooled(&options) <= options.spool_bytes);
    conn.resume_at(id, 0);
    take_all(&mut conn, id, || {
        assert!(spooled(&options) <= options.spool_bytes);
    })
    .await;
}

/// Every byte is there or stands in a gap.
fn assert_all_or_gaps(conn: &Conn, id: CommandId, whole: &[u8]) {
    let mut expected = whole.to_vec();
    for gap in &conn.gaps {
        expected[gap.from as usize..gap.to as usize].fill(0);
    }
    assert!(conn.output[&id] == expected, "{:?}", conn.gaps);
}

pub(crate) async fn a_full_spool_may_drop_the_oldest() {
    let world = World::new();
    let options = small(&world, WhenFull::DropOldest);
    let Flooded { agent, id, done } = flooded(&world, &options, 1_000_000, None).await;
    // Nobody takes its output, and still it comes to its end.
    until_exists(&done).await;
    agent.stop().await.unwrap();
    let _agent = TestAgent::start(options.clone());
    let mut conn = world.accept().await;
    conn.resume_at(id, 0);
    let status = conn.end(id).await;
    assert_eq!((status.state, status.exit_code), (State::Exited, Some(3)));
    let whole = numbers(1_000_000);
    assert_all_or_gaps(&conn, id, &whole);
    let gone: u64 = conn.gaps.iter().map(|gap| gap.to - gap.from).sum();
    let kept = whole.len() as u64 - gone;
    assert!((500_000..=options.spool_bytes).contains(&kept), "{kept}");
    assert!(conn.gaps[0].reason.contains("oldest"));
}

pub(crate) async fn a_terminals_size_survives_a_gap() {
    let world = World::new();
    let options = small(&world, WhenFull::DropOldest);
    let flooded = flooded(&world, &options, 400_000, Some((91, 33))).await;
    until_exists(&flooded.done).await;
    let id = flooded.id;
    let mut conn = world.accept().await;
    conn.resume_at(id, 0);
    conn.end(id).await;
    assert!(!conn.gaps.is_empty());
    assert!(conn.pieces.iter().any(|piece| piece.size == Some((91, 33))));
}

/// A small file system, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount anything.
    fn mount(at: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&at)
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            let why = "skipped: no file system can be mounted here";
            let required = std::env::var_os("OPSCTL_REQUIRE_ALL");
            assert!(required.is_none_or(|value| value != "1"), "{why}");
            eprintln!("{why}");
            return None;
        }
        Some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: holders that are about to end may still have files open there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A world whose agent has a disk of 2 MiB, and a spool that is larger.
fn on_small_disk(when_full: WhenFull) -> Option<(World, AgentOptions, SmallDisk)> {
    let world = World::new();
    let mut options = world.options();
    options.when_full = when_full;
    let disk = SmallDisk::mount(options.state_dir.clone(), "2m")?;
    Some((world, options, disk))
}

pub(crate) async fn a_full_disk_makes_the_program_wait() {
    let Some((world, options, _disk)) = on_small_disk(WhenFull::Wait) else {
        return;
    };
    let Flooded { agent, id, done } = flooded(&world, &options, 1_000_000, None).await;
    until_spooled(&options, 1_700_000).await;
    let mut conn = world.accept().await;
    assert!(!done.exists());
    conn.resume_at(id, 0);
    take_all(&mut conn, id, || ()).await;
    conn.ack(id, conn.received, true);
    let later = conn.execute(argv(&["true"]));
    assert_eq!(conn.end(later).await.exit_code, Some(0), "it goes on");
    agent.stop().await.unwrap();
}

pub(crate) async fn a_full_disk_may_drop_the_oldest() {
    let Some((world, options, _disk)) = on_small_disk(WhenFull::DropOldest) else {
        return;
    };
    let Flooded { agent, id, done } = flooded(&world, &options, 1_000_000, None).await;
    until_exists(&done).await;
    let mut conn = world.accept().await;
    conn.resume_at(id, 0);
    assert_eq!(conn.end(id).await.exit_code, Some(3));
    assert_all_or_gaps(&conn, id, &numbers(1_000_000));
    assert!(!conn.gaps.is_empty());
    agent.stop().await.unwrap();
}
