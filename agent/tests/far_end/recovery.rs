//! Lost links, killed agents, killed holders, main programs.

use std::process::{Child, Command, ExitCode, Stdio};

use opsctl_agent::{AgentError, Ended};
use opsctl_protocol::message::{CommandExecute, Signal, State, Stdin};

use crate::daemon::{TestAgent, World, argv, has_ended, sh, within};

/// An agent in a process of its own, which can be killed.
pub(crate) struct AgentProcess(Child);

impl AgentProcess {
    pub(crate) fn start(world: &World) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let child = command
            .arg("agent")
            .arg(world.dir.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        // It may have been killed by its test.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process `agent DIR`: an agent of the world in that directory.
pub(crate) fn agent_main(dir: &str) -> ExitCode {
    let options = crate::daemon::options_in(std::path::Path::new(dir));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match runtime.block_on(opsctl_agent::run(
        options,
        tokio_util::sync::CancellationToken::new(),
    )) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) async fn a_lost_link_resumes_where_the_daemon_stands() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    let mut spec = sh("seq 1 300000; cat; echo end; exit 4");
    spec.stdin = Stdin::Stream;
    let id = conn.execute(spec);
    let mut whole: Vec<u8> = Vec::new();
    for kept in [100_000, 300_001, 900_000] {
        conn.until("some output", |conn| {
            conn.output
                .get(&id)
                .is_some_and(|output| output.len() > kept)
        })
        .await;
        whole.extend_from_slice(&conn.output[&id][whole.len()..]);
        // The daemon lost what it had not written yet.
        whole.truncate(kept);
        drop(conn);
        conn = world.accept().await;
        let report = &conn.hello.commands[0];
        assert_eq!(
            (report.status.command_id, report.status.state),
            (id, State::Running)
        );
        conn.resume_at(id, whole.len() as u64);
    }
    conn.until_running(id).await;
    conn.input(id, Some(0), b"", true).await;
    conn.until("the end", |conn| {
        conn.statuses
            .iter()
            .any(|status| status.state == State::Exited)
    })
    .await;
    whole.extend_from_slice(&conn.output[&id][whole.len()..]);
    let lines: Vec<String> = (1..=300_000).map(|n| n.to_string()).collect();
    let expected = lines.join("\n") + "\nend\n";
    assert!(whole == expected.as_bytes());
    // Not settled: the end is told again to a daemon that comes back.
    drop(conn);
    let mut conn = world.accept().await;
    conn.resume_at(id, whole.len() as u64);
    assert_eq!(conn.end(id).await.exit_code, Some(4));
    conn.ack(id, whole.len() as u64, true);
    drop(conn);
    let conn = world.accept().await;
    assert_eq!(conn.hello.commands, []);
}

pub(crate) async fn a_killed_agents_programs_go_on() {
    let world = World::new();
    let process = AgentProcess::start(&world);
    let mut conn = world.accept().await;
    conn.welcome([]);
    let log = world.dir.path().join("starts");
    let mut spec = sh(&format!(
        "echo started >> {}; echo one; cat; echo three; exit 5",
        log.display()
    ));
    spec.stdin = Stdin::Stream;
    let id = conn.execute(spec.clone());
    conn.until_output(id, "one").await;
    conn.input(id, Some(0), b"two\n", false).await;
    conn.until_output(id, "two").await;
    let mut spec2 = argv(&["sh"]);
    spec2.pty = true;
    let shell = conn.execute(spec2);
    conn.until_running(shell).await;
    process.kill();
    let _process = AgentProcess::start(&world);
    let mut conn = world.accept().await;
    assert_eq!(conn.hello.commands.len(), 2);
    assert!(
        conn.hello
            .commands
            .iter()
            .all(|report| report.status.state == State::Running)
    );
    conn.resume_all([(id, 4), (shell, 0)]);
    // A daemon that isn't sure asks again; nothing is started twice.
    conn.send(CommandExecute {
        command_id: id,
        spec,
    });
    conn.input(id, Some(0), b"two\n", true).await;
    assert_eq!(conn.end(id).await.exit_code, Some(5));
    assert!(conn.text(id).ends_with("two\nthree\n"));
    assert_eq!(std::fs::read_to_string(log).unwrap(), "started\n");
    conn.input(shell, None, b"exit 6\n", false).await;
    assert_eq!(conn.end(shell).await.exit_code, Some(6));
}

/// A process id that a program has written.
pub(crate) fn number_in(text: &str) -> i32 {
    text.lines().next().unwrap().trim().parse().unwrap()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub(crate) async fn a_killed_holder_is_a_lost_command() {
    for pty in [false, true] {
        let world = World::new();
        let (_agent, mut conn) = world.agent().await;
        // It doesn't mind TERM, and has a child in the background that nothing of it remembers.
        let mut spec = sh(
            "echo $PPID $$; trap '' TERM HUP; sleep 1000 & echo $!; while true; do sleep 1000; done",
        );
        spec.pty = pty;
        spec.kill_grace_ms = Some(100);
        let id = conn.execute(spec);
        let lines = |conn: &crate::daemon::Conn| conn.text(id).matches('\n').count() == 2;
        conn.until("two lines", lines).await;
        let numbers: Vec<i32> = conn
            .text(id)
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect();
        kill(numbers[0]);
        let status = conn.end(id).await;
        assert_eq!(status.state, State::Lost);
        assert!(status.reason.unwrap().contains("still ran and was ended"));
        assert!(has_ended(numbers[1]) && has_ended(numbers[2]), "pty {pty}");
    }
}

pub(crate) async fn an_end_outlives_its_holder() {
    let world = World::new();
    let (agent, mut conn) = world.agent().await;
    let id = conn.execute(sh("echo here; exit 7"));
    assert_eq!(conn.end(id).await.exit_code, Some(7));
    agent.stop().await.unwrap();
    world.kill_holders().await;
    let _agent = TestAgent::start(world.options());
    let mut conn = world.accept().await;
    conn.resume_at(id, 0);
    let status = conn.end(id).await;
    assert_eq!((status.state, status.exit_code), (State::Exited, Some(7)));
    assert_eq!(conn.text(id), "here\n");
}

/// The agent is killed as soon as it was told to start something, each time a little later.
pub(crate) async fn a_command_starts_once_however_often_its_agent_dies() {
    let world = World::new();
    let marks = world.dir.path().join("marks");
    for round in 0..12 {
        let process = AgentProcess::start(&world);
        let mut conn = world.accept().await;
        conn.welcome([]);
        let line = format!("echo {round} >> {}", marks.display());
        let id = conn.execute(sh(&line));
        // When it dies is the fault, not what is waited for.
        tokio::time::sleep(std::time::Duration::from_micros(round * round * 150)).await;
        process.kill();
        drop(conn);
        let process = AgentProcess::start(&world);
        let mut conn = world.accept().await;
        conn.resume_at(id, 0);
        // The daemon can't know whether it had arrived.
        conn.send(CommandExecute {
            command_id: id,
            spec: sh(&line),
        });
        let status = conn.end(id).await;
        assert_eq!(
            (status.state, status.exit_code),
            (State::Exited, Some(0)),
            "{:?}",
            status.reason
        );
        let written = std::fs::read_to_string(&marks).unwrap();
        let marks: Vec<u64> = written.lines().map(|mark| mark.parse().unwrap()).collect();
        assert_eq!(marks, (0..=round).collect::<Vec<_>>());
        conn.ack(id, 0, true);
        process.kill();
    }
}

pub(crate) async fn a_journal_that_was_cut_short_is_good_up_to_there() {
    let world = World::new();
    let (agent, mut conn) = world.agent().await;
    let mut spec = sh("cat");
    spec.stdin = Stdin::Stream;
    let id = conn.execute(spec);
    conn.until_running(id).await;
    agent.stop().await.unwrap();
    let path = world.state_dir().join("journal");
    let mut journal = std::fs::read(&path).unwrap();
    journal.extend_from_slice(b"0badc0de {\"record\":\"sett");
    std::fs::write(&path, journal).unwrap();
    let _agent = TestAgent::start(world.options());
    let mut conn = world.accept().await;
    assert_eq!(conn.hello.commands.len(), 1);
    conn.resume_at(id, 0);
    conn.input(id, None, b"", true).await;
    assert_eq!(conn.end(id).await.exit_code, Some(0));
}

pub(crate) async fn programs_may_be_bound_to_their_agent() {
    let world = World::new();
    let mut options = world.options();
    options.alone = Some(std::time::Duration::from_millis(200));
    let agent = TestAgent::start(options.clone());
    let mut conn = world.accept().await;
    conn.welcome([]);
    let id = conn.execute(sh("echo $$; exec sleep 1000"));
    conn.until_output(id, "\n").await;
    let program = number_in(&conn.text(id));
    agent.stop().await.unwrap();
    within("the program's end", async {
        while !has_ended(program) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    let _agent = TestAgent::start(options);
    let mut conn = world.accept().await;
    conn.resume_at(id, 0);
    let status = conn.end(id).await;
    assert_eq!(status.state, State::Lost);
    assert!(status.reason.unwrap().contains("live_restore"));
}

pub(crate) async fn a_forgotten_holder_ends() {
    let world = World::new();
    let (agent, mut conn) = world.agent().await;
    let id = conn.execute(argv(&["true"]));
    conn.end(id).await;
    agent.stop().await.unwrap();
    std::fs::remove_dir_all(world.state_dir().join("holders")).unwrap();
    world.until_no_holders().await;
}

pub(crate) async fn an_agent_that_stops_waits_for_last_acks() {
    let world = World::new();
    let (agent, mut conn) = world.agent().await;
    let id = conn.execute(argv(&["true"]));
    conn.end(id).await;
    let stopping = tokio::spawn(agent.stop());
    conn.ack(id, 0, true);
    stopping.await.unwrap().unwrap();
    world.until_no_holders().await;
    let _agent = TestAgent::start(world.options());
    assert_eq!(world.accept().await.hello.commands, []);
}

pub(crate) async fn a_warm_holder_that_died_costs_nothing() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    let id = conn.execute(argv(&["true"]));
    conn.end(id).await;
    conn.ack(id, 0, true);
    // The settled one goes, and another waits for a job.
    let settled = conn.execute(argv(&["true"]));
    conn.end(settled).await;
    conn.ack(settled, 0, true);
    world.kill_holders().await;
    let id = conn.execute(sh("exit 3"));
    assert_eq!(conn.end(id).await.exit_code, Some(3));
}

pub(crate) async fn what_was_taken_back_meanwhile_does_not_start() {
    let world = World::new();
    let mut options = world.options();
    options.max_commands = 1;
    let _agent = TestAgent::start(options);
    let mut conn = world.accept().await;
    conn.welcome([]);
    let mut spec = sh("cat; echo done");
    spec.stdin = Stdin::Stream;
    let first = conn.execute(spec);
    conn.until_running(first).await;
    let log = world.dir.path().join("starts");
    let waiting = conn.execute(sh(&format!("echo started > {}", log.display())));
    let last = conn.execute(sh("echo last"));
    // The agent has read all three once it refuses what comes after them.
    conn.input(waiting, None, b"x", false).await;
    conn.until("a refusal", |conn| !conn.errors.is_empty())
        .await;
    drop(conn);
    let mut conn = world.accept().await;
    assert_eq!(conn.hello.commands.len(), 3);
    conn.welcome([(first, 0), (last, 0)]);
    conn.input(first, Some(0), b"", true).await;
    assert_eq!(conn.end(first).await.exit_code, Some(0));
    assert_eq!(conn.end(last).await.exit_code, Some(0));
    assert!(!log.exists());
}

pub(crate) async fn a_second_agent_is_refused() {
    let world = World::new();
    let (_agent, _conn) = world.agent().await;
    let second = TestAgent::start(world.options()).ended().await;
    assert!(
        matches!(second, Err(AgentError::AlreadyRunning { .. })),
        "{second:?}"
    );
}

pub(crate) async fn close_codes_are_obeyed() {
    let world = World::new();
    let (agent, conn) = world.agent().await;
    conn.close(4001, "restart; retry-after-ms=10");
    let mut conn = world.accept().await;
    conn.welcome([]);
    conn.close(4009, "replaced");
    assert!(matches!(agent.ended().await, Err(AgentError::Replaced)));
    let (agent, conn) = world.agent().await;
    conn.close(4506, "too new");
    assert!(matches!(
        agent.ended().await,
        Err(AgentError::Closed { code: 4506, .. })
    ));
}

pub(crate) async fn the_main_program_lives_and_ends_with_the_agent() {
    let world = World::new();
    let mut options = world.options();
    options.main = Some(sh("read line; echo got $line; exit 9"));
    let agent = TestAgent::start(options.clone());
    let mut conn = world.accept().await;
    let report = conn.hello.commands[0].clone();
    assert!(report.main && report.spec.is_some_and(|spec| spec.pty));
    let id = report.status.command_id;
    conn.welcome([(id, 0)]);
    conn.until_running(id).await;
    conn.input(id, None, b"this\n", false).await;
    assert_eq!(conn.end(id).await.exit_code, Some(9));
    assert!(conn.text(id).contains("got this"));
    conn.ack(id, conn.received, true);
    assert_eq!(agent.ended().await.unwrap(), Ended::MainExited(9));
    // Without a daemon it ends too, a little later.
    let away = World::new();
    let mut options = away.options();
    options.main = Some(argv(&["false"]));
    drop(std::fs::remove_file(away.dir.path().join("daemon.sock")));
    assert_eq!(
        TestAgent::start(options.clone()).ended().await.unwrap(),
        Ended::MainExited(1)
    );
    options.main = Some(argv(&["nosuch"]));
    let failed = TestAgent::start(options).ended().await;
    assert!(
        matches!(&failed, Err(AgentError::MainFailed { reason }) if reason == "nosuch: command not found")
    );
}

pub(crate) async fn a_shutdown_leaves_programs_running() {
    let world = World::new();
    let (agent, mut conn) = world.agent().await;
    let id = conn.execute(sh("echo here; exec sleep 1000"));
    conn.until_output(id, "here").await;
    assert_eq!(agent.stop().await.unwrap(), Ended::Shutdown);
    let agent = TestAgent::start(world.options());
    let mut conn = within("the next agent", world.accept()).await;
    conn.resume_at(id, 0);
    conn.until_output(id, "here").await;
    conn.interrupt(id, Signal::Term, false);
    assert_eq!(conn.end(id).await.signal, Some(15));
    conn.ack(id, 5, true);
    // The end of a later command shows that the agent has read this.
    let later = conn.execute(argv(&["true"]));
    conn.end(later).await;
    agent.stop().await.unwrap();
    let agent = TestAgent::start(world.options());
    let hello = world.accept().await.hello;
    assert!(
        hello
            .commands
            .iter()
            .all(|report| report.status.command_id == later)
    );
    agent.stop().await.unwrap();
}
