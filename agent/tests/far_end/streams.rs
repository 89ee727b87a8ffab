//! Terminals, input, bulk.

use opsctl_protocol::message::{CommandResize, Signal, State, Stdin};

use crate::daemon::{TestAgent, World, argv, sh};

/// Bytes that compress badly and repeat late, the same on every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) async fn a_terminal_has_a_size_and_changes_it() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    let mut spec = sh("trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done");
    (spec.pty, spec.cols, spec.rows) = (true, 100, 40);
    let id = conn.execute(spec);
    conn.until_output(id, "40 100").await;
    assert_eq!(conn.pieces[0].size, Some((100, 40)));
    conn.send(CommandResize {
        command_id: id,
        cols: 90,
        rows: 30,
    });
    conn.until_output(id, "30 90").await;
    let change = conn
        .pieces
        .iter()
        .position(|piece| piece.size == Some((90, 30)))
        .unwrap();
    let told: usize = conn.pieces[..change].iter().map(|piece| piece.length).sum();
    assert_eq!(conn.pieces[change].offset, told as u64);
    assert!(
        !conn.text(id)[..told].contains("30 90"),
        "the size comes before what is drawn in it"
    );
    conn.interrupt(id, Signal::Kill, false);
    conn.end(id).await;
}

pub(crate) async fn a_terminal_outlasts_being_closed() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    let mut spec =
        sh("exec <&- >&- 2>&-; sleep 0.3; exec </dev/tty >/dev/tty; echo back; read x; exit $x");
    spec.pty = true;
    let id = conn.execute(spec);
    conn.until_output(id, "back").await;
    conn.input(id, None, b"8\n", false).await;
    assert_eq!(conn.end(id).await.exit_code, Some(8));
}

pub(crate) async fn input_reaches_the_program_once() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    let mut spec = argv(&["cat"]);
    spec.stdin = Stdin::Stream;
    let id = conn.execute(spec);
    conn.until_running(id).await;
    conn.input(id, Some(0), b"hello ", false).await;
    conn.input(id, Some(0), b"hello w", false).await;
    conn.input(id, Some(9), b"hole", false).await;
    conn.until("a refusal", |conn| {
        conn.errors.iter().any(|error| error.contains("hole"))
    })
    .await;
    conn.input(id, Some(4), b"o world", true).await;
    let status = conn.end(id).await;
    assert_eq!(
        (conn.text(id).as_str(), status.exit_code),
        ("hello world", Some(0))
    );
    assert!(
        conn.statuses
            .iter()
            .any(|status| status.input_offset == Some(11))
    );
}

pub(crate) async fn a_terminals_input_ends_with_its_own_sign() {
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    for text in ["line\n", "no line"] {
        let mut spec = sh("stty -echo; echo ready; wc -c");
        spec.pty = true;
        let id = conn.execute(spec);
        conn.until_output(id, "ready").await;
        conn.input(id, Some(0), text.as_bytes(), true).await;
        assert_eq!(conn.end(id).await.exit_code, Some(0));
        assert_eq!(conn.text(id), format!("ready\r\n{}\r\n", text.len()));
    }
}

pub(crate) async fn bulk_passes_byte_for_byte() {
    const LENGTH: usize = 20_000_000;
    let world = World::new();
    let (_agent, mut conn) = world.agent().await;
    let bytes = noise(LENGTH);
    let mut spec = argv(&["cat"]);
    spec.stdin = Stdin::Stream;
    let id = conn.execute(spec);
    conn.until_running(id).await;
    let mut sent = 0;
    while conn.received < LENGTH as u64 {
        let consumed = conn
            .statuses
            .iter()
            .filter_map(|status| status.input_offset)
            .max()
            .unwrap_or(0);
        if sent < LENGTH && sent as u64 + 32_768 <= consumed + opsctl_protocol::limits::INPUT_WINDOW
        {
            let end = (sent + 32_768).min(LENGTH);
            conn.input(id, Some(sent as u64), &bytes[sent..end], end == LENGTH)
                .await;
            sent = end;
        } else {
            let acked = conn.received;
            conn.step().await;
            if conn.received >> 20 != acked >> 20 {
                conn.ack(id, conn.received, false);
            }
        }
    }
    assert_eq!(conn.end(id).await.exit_code, Some(0));
    assert!(conn.output[&id] == bytes);
    assert_eq!(conn.errors, [""; 0]);
}

pub(crate) async fn an_unread_flood_stays_bounded_and_can_be_stopped() {
    let world = World::new();
    let mut options = world.options();
    options.spool_bytes = 8 << 20;
    let agent = TestAgent::start(options);
    let mut conn = world.accept().await;
    conn.welcome([]);
    let mut spec = argv(&["yes"]);
    spec.pty = true;
    let id = conn.execute(spec);
    conn.until_running(id).await;
    // Nothing is acknowledged: the flood comes to rest at the spool's bound.
    conn.keep = false;
    conn.until("a full spool", |conn| conn.received > 4_000_000)
        .await;
    let rest = std::time::Duration::from_millis(500);
    while let Ok(()) = tokio::time::timeout(rest, conn.step()).await {}
    assert!(conn.received < 8_400_000, "{}", conn.received);
    // Acknowledged, it goes on, and can be stopped while it does.
    let before = conn.received;
    conn.ack(id, before, false);
    conn.until("more", |conn| conn.received > before + 1_000_000)
        .await;
    conn.interrupt(id, Signal::Int, false);
    conn.ack(id, conn.received, false);
    let at = conn.received;
    let status = conn.end(id).await;
    assert_eq!((status.state, status.signal), (State::Exited, Some(2)));
    assert!(conn.received - at < 10_000_000, "{}", conn.received - at);
    agent.stop().await.unwrap();
}
