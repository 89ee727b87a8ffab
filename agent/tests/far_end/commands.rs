//! Starting, ending, interrupting.

use std::time::Instant;

use opsctl_protocol::message::{CommandExecute, Kind, Signal, State};

use crate::daemon::{World, argv, sh};

pub(crate) async fn an_exit_code_comes_after_the_output() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    for pty in [false, true] {
        let mut spec = sh("seq 1 20000; exit 7");
        spec.pty = pty;
        let id = conn.execute(spec);
        let status = conn.end(id).await;
        assert_eq!(
            (status.state, status.exit_code, status.signal),
            (State::Exited, Some(7), None)
        );
        assert!(status.started_at.is_some() && status.finished_at >= status.started_at);
        assert_eq!(conn.text(id).lines().count(), 20_000);
    }
    let id = conn.execute(sh("echo out; echo err >&2"));
    conn.end(id).await;
    assert_eq!(conn.text(id).len(), 8);
    assert!(
        conn.pieces
            .iter()
            .any(|piece| piece.kind == Kind::Error && piece.length == 4)
    );
}

pub(crate) async fn signals_and_failures_have_names() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    let id = conn.execute(sh("kill -9 $$"));
    assert_eq!(conn.end(id).await.signal, Some(9));
    for pty in [false, true] {
        for (words, cwd, reason) in [
            (
                &["nosuch-program"][..],
                None,
                "nosuch-program: command not found",
            ),
            (&["/etc/passwd"], None, "/etc/passwd: permission denied"),
            (&["./nosuch"], None, "./nosuch: no such file"),
            (
                &["true"],
                Some("/nosuch"),
                "working directory /nosuch: no such file or directory",
            ),
            (
                &["true"],
                Some("/etc/passwd"),
                "working directory /etc/passwd: not a directory",
            ),
        ] {
            let mut spec = argv(words);
            spec.cwd = cwd.map(str::to_owned);
            spec.pty = pty;
            let id = conn.execute(spec);
            let status = conn.end(id).await;
            assert_eq!(
                (status.state, status.reason.as_deref()),
                (State::Failed, Some(reason))
            );
        }
    }
}

pub(crate) async fn interrupts_reach_the_right_processes() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    // In a terminal, the foreground job gets it and the interactive shell lives on.
    let mut spec = argv(&["bash", "--norc", "-i"]);
    spec.pty = true;
    let shell = conn.execute(spec);
    conn.until_running(shell).await;
    conn.input(
        shell,
        None,
        b"sh -c 'echo be''gun; while :; do sleep 0.1; done'\n",
        false,
    )
    .await;
    conn.until_output(shell, "begun").await;
    conn.interrupt(shell, Signal::Int, false);
    conn.input(shell, None, b"echo after $?\n", false).await;
    conn.until_output(shell, "after 130").await;
    // TERM reaches background jobs, which are groups of their own, too; an interactive shell ignores it.
    conn.input(shell, None, b"sleep 1000 & wait; echo go''ne\n", false)
        .await;
    conn.until_output(shell, "[1]").await;
    conn.interrupt(shell, Signal::Term, false);
    conn.until_output(shell, "gone").await;
    conn.interrupt(shell, Signal::Kill, false);
    assert_eq!(conn.end(shell).await.signal, Some(9));
    // Between pipes, the program's group gets it.
    let id = conn.execute(sh("echo begun; while :; do sleep 0.1; done"));
    conn.until_output(id, "begun").await;
    conn.interrupt(id, Signal::Int, false);
    assert_eq!(conn.end(id).await.signal, Some(2));
}

pub(crate) async fn a_stubborn_program_is_killed() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    for pty in [false, true] {
        let mut spec = sh("trap '' INT TERM; echo begun; while :; do sleep 0.1; done");
        spec.pty = pty;
        spec.kill_grace_ms = Some(100);
        let id = conn.execute(spec);
        conn.until_output(id, "begun").await;
        conn.interrupt(id, Signal::Int, true);
        let status = conn.end(id).await;
        assert_eq!((status.signal, status.timed_out), (Some(9), false));
    }
}

pub(crate) async fn time_runs_out() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    let mut spec = sh("trap 'echo stopping; exit 3' INT; echo begun; while :; do sleep 0.05; done");
    // The shell must have set its trap by then, on a busy machine too.
    spec.timeout_ms = Some(2000);
    let id = conn.execute(spec);
    let status = conn.end(id).await;
    assert_eq!(
        (status.state, status.exit_code, status.timed_out),
        (State::Exited, Some(3), true)
    );
    assert_eq!(conn.text(id), "begun\nstopping\n");
}

pub(crate) async fn further_commands_wait_and_can_be_cancelled() {
    let world = World::new();
    let mut options = world.options();
    options.max_commands = 2;
    let _agent = crate::daemon::TestAgent::start(options);
    let mut conn = world.accept().await;
    assert_eq!(conn.hello.max_commands, Some(2));
    conn.welcome([]);
    let first = [
        conn.execute(sh("cat; echo 1")),
        conn.execute(sh("exec sleep 1000")),
    ];
    let waiting = [
        conn.execute(sh("echo 3")),
        conn.execute(sh("echo 4")),
        conn.execute(sh("echo 5")),
    ];
    assert_eq!(conn.end(first[0]).await.exit_code, Some(0));
    conn.until_running(first[1]).await;
    let last = conn.execute(sh("exec sleep 1000"));
    for id in waiting {
        assert_eq!(conn.end(id).await.exit_code, Some(0));
    }
    conn.until_running(last).await;
    let never = conn.execute(sh("echo never"));
    conn.interrupt(never, Signal::Int, false);
    assert_eq!(conn.end(never).await.state, State::Cancelled);
    conn.interrupt(last, Signal::Kill, false);
    conn.interrupt(first[1], Signal::Kill, false);
    assert_eq!(conn.end(last).await.signal, Some(9));
    let order: Vec<_> = conn
        .statuses
        .iter()
        .filter(|status| status.state == State::Exited)
        .collect();
    let at = |id| {
        order
            .iter()
            .position(|status| status.command_id == id)
            .unwrap()
    };
    assert!(at(waiting[0]) < at(waiting[1]) && at(waiting[1]) < at(waiting[2]));
}

pub(crate) async fn a_known_command_is_not_started_again() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    let log = world.dir.path().join("starts");
    let spec = sh(&format!("echo started >> {}", log.display()));
    let command_id = conn.execute(spec.clone());
    conn.end(command_id).await;
    conn.send(CommandExecute { command_id, spec });
    let before = conn.statuses.len();
    conn.until("an answer", |conn| conn.statuses.len() > before)
        .await;
    // A command after it shows that nothing of it is under way.
    let after = conn.execute(sh("true"));
    conn.end(after).await;
    assert_eq!(std::fs::read_to_string(log).unwrap(), "started\n");
}

pub(crate) async fn a_background_process_is_not_waited_for() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    for pty in [false, true] {
        let begin = Instant::now();
        let mut spec = sh("trap '' HUP; sleep 1000 & echo done");
        spec.pty = pty;
        let id = conn.execute(spec);
        assert_eq!(conn.end(id).await.exit_code, Some(0));
        assert!(begin.elapsed().as_secs() >= 2);
        assert!(
            conn.text(id)
                .contains("a background process still holds the"),
            "{}",
            conn.text(id)
        );
        assert_eq!(conn.pieces.last().unwrap().kind, Kind::Info);
    }
}

pub(crate) async fn the_environment_is_clean() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    let mut spec = sh("echo $TERM/$OPSCTL_AGENT/$OPSCTL_COMMAND_ID/$MINE/$PWD; tty");
    spec.pty = true;
    spec.cwd = Some("/usr".to_owned());
    spec.env.insert("MINE".to_owned(), "yes".to_owned());
    let id = conn.execute(spec);
    conn.end(id).await;
    let text = conn.text(id);
    assert!(
        text.starts_with(&format!("xterm-256color/far/{id}/yes//usr\r\n/dev/pts/")),
        "{text}"
    );
    let id = conn.execute(sh("cat; tty; exec 2>/dev/null 3</dev/tty"));
    assert_eq!(conn.end(id).await.exit_code, Some(2));
    assert!(
        conn.text(id).starts_with("not a tty\n"),
        "{}",
        conn.text(id)
    );
}
