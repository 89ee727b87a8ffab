//! A network that lets no WebSocket through: long-polling stands for one, and gives way to it again.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::daemon_with;
use crate::harness::{Opsctl, Process, TestAgent, TestDaemon};
use crate::raw::{http, numbers};

/// What a proxy does that knows no WebSocket.
const NO_UPGRADE: &[u8] =
    b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A proxy that lets plain HTTP through, and a WebSocket once it is told to.
struct Network {
    address: SocketAddr,
    open: Arc<AtomicBool>,
    /// Answers that are still to be lost, with their connections.
    losing: Arc<AtomicUsize>,
}

impl Network {
    fn before(daemon: &TestDaemon) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let network = Self {
            address: listener.local_addr().unwrap(),
            open: Arc::default(),
            losing: Arc::default(),
        };
        let target = daemon.address();
        let (open, losing) = (Arc::clone(&network.open), Arc::clone(&network.losing));
        thread::spawn(move || {
            for near in listener.incoming() {
                let Ok(near) = near else { return };
                let (open, losing) = (Arc::clone(&open), Arc::clone(&losing));
                // A connection that breaks is no matter.
                thread::spawn(move || pass(near, target, &open, &losing));
            }
        });
        network
    }

    fn lets_websockets_through(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    fn loses_answers(&self, count: usize) {
        self.losing.store(count, Ordering::SeqCst);
    }

    fn opsctl<const N: usize>(&self, daemon: &TestDaemon, args: [&str; N]) -> Opsctl {
        let token = daemon.token(["--role", "operator"]);
        let file = daemon.file("operator.token", &token);
        daemon
            .opsctl(args)
            .env("OPSCTL_URL", format!("ws://{}", self.address))
            .env("OPSCTL_TOKEN_FILE", file)
    }
}

fn pass(
    mut near: TcpStream,
    target: SocketAddr,
    open: &AtomicBool,
    losing: &AtomicUsize,
) -> std::io::Result<()> {
    let mut head = vec![0; 16 * 1024];
    let read = near.read(&mut head)?;
    let text = String::from_utf8_lossy(&head[..read]).to_lowercase();
    if text.contains("upgrade: websocket") && !open.load(Ordering::SeqCst) {
        return near.write_all(NO_UPGRADE);
    }
    let mut far = TcpStream::connect(target)?;
    far.write_all(&head[..read])?;
    let (mut from, mut to) = (near.try_clone()?, far.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut bytes = [0; 16 * 1024];
    while let Ok(read @ 1..) = far.read(&mut bytes) {
        let lost = losing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
        if lost.is_ok() || near.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = far.shutdown(Shutdown::Both);
    near.shutdown(Shutdown::Both)
}

#[test]
fn output_comes_whole_without_a_websocket_and_the_user_is_told() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let network = Network::before(&daemon);
    let line = "seq 1 400000; echo e >&2; exit 7";
    let sent = network
        .opsctl(&daemon, ["send", "a", "--", "sh", "-c", line])
        .run()
        .expect_code(7)
        .expect_err(&["e", "(HTTP 426)", "using HTTP long-polling"]);
    assert!(sent.out() == numbers(400_000), "{} bytes", sent.out().len());
    assert_eq!(sent.err().matches("long-polling").count(), 1);
}

#[test]
fn input_goes_up_whole_and_once_though_answers_are_lost() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let network = Network::before(&daemon);
    let mut sending = network
        .opsctl(&daemon, ["send", "a", "--", "cat"])
        .open_stdin()
        .spawn();
    sending.write(b"0\n");
    sending.wait_stdout("0\n");
    network.loses_answers(3);
    let input = numbers(200_000);
    sending.write(input.as_bytes());
    sending.close_stdin();
    let sent = sending.wait().expect_code(0).expect_err(&["long-polling"]);
    assert!(
        sent.out() == format!("0\n{input}"),
        "{} bytes",
        sent.out().len()
    );
    assert_eq!(network.losing.load(Ordering::SeqCst), 0);
    assert!(!sent.err().contains("lost"), "{}", sent.err());
}

/// A `send` behind the network, whose command has said 0, counts to 100,000 once the file is there, and ends with 3.
fn counting(network: &Network, daemon: &TestDaemon) -> (Process, PathBuf) {
    let go = daemon.path("go");
    let line = format!(
        "echo 0; until [ -e {} ]; do sleep 0.05; done; seq 1 100000; exit 3",
        go.display()
    );
    let sending = network
        .opsctl(daemon, ["send", "a", "--", "sh", "-c", &line])
        .spawn();
    sending.wait_stdout("0\n");
    (sending, go)
}

#[test]
fn a_websocket_is_used_again_once_one_gets_through() {
    let daemon = daemon_with("[client]\nwebsocket_retry = \"100ms\"\n");
    let _agent = TestAgent::start(&daemon, "a");
    let network = Network::before(&daemon);
    let (sending, go) = counting(&network, &daemon);
    assert!(
        sending.stderr().contains("long-polling"),
        "{}",
        sending.stderr()
    );
    network.lets_websockets_through();
    sending.wait_stderr("a WebSocket gets through again");
    std::fs::write(go, "").unwrap();
    let sent = sending.wait().expect_code(3);
    assert!(
        sent.out() == format!("0\n{}", numbers(100_000)),
        "{} bytes",
        sent.out().len()
    );
    assert!(!sent.err().contains("lost"), "{}", sent.err());
}

/// Polls and posts by hand, each over a connection of its own.
struct ByHand<'a> {
    daemon: &'a TestDaemon,
    token: String,
}

impl<'a> ByHand<'a> {
    fn new(daemon: &'a TestDaemon) -> Self {
        let token = daemon.token(["--role", "operator"]);
        Self { daemon, token }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (token, length) = (&self.token, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let (status, body) = http(self.daemon, &request);
        (status, serde_json::from_str(&body).unwrap())
    }

    #[track_caller]
    fn poll(&self, query: &str) -> (String, Vec<Value>) {
        let (status, answer) = self.ask("GET", &format!("/poll?{query}"), "");
        assert_eq!(status, 200, "{answer}");
        let messages = answer["messages"].as_array().unwrap().clone();
        (answer["cursor"].as_str().unwrap().to_owned(), messages)
    }

    /// Polls until a message is there, which may be among those that have come; returns where to go on.
    #[track_caller]
    fn until(
        &self,
        polled: (String, Vec<Value>),
        wanted: impl Fn(&Value) -> bool,
    ) -> (String, Value) {
        let (mut cursor, mut messages) = polled;
        loop {
            if let Some(found) = messages.into_iter().find(&wanted) {
                return (cursor, found);
            }
            (cursor, messages) = self.poll(&format!("cursor={cursor}&wait=20"));
            assert!(!messages.is_empty(), "nothing comes any more");
        }
    }
}

fn is(kind: &str) -> impl Fn(&Value) -> bool {
    move |message| message["type"] == kind
}

#[test]
fn a_poll_is_repeated_without_loss_and_a_post_without_effect() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let by_hand = ByHand::new(&daemon);
    let opened = by_hand.poll("channel=agent:a");
    assert_eq!(opened.1[0]["type"], "connected");
    assert_eq!(opened.1[0]["payload"]["rights"]["role"], "operator");
    let (cursor, subscribed) = by_hand.until(opened, is("subscribed"));
    assert_eq!(subscribed["re"], "agent:a");

    let file = daemon.path("ran");
    let line = format!("echo x >> {}", file.display());
    let request = json!({
        "version": "1.0.0", "type": "command:request", "timestamp": 1, "id": "r",
        "payload": {"key": "k", "target": {"agent": "a"}, "shell": line},
    });
    // Another key: it is the number that tells a repeat.
    let again = request.to_string().replace("\"k\"", "\"l\"");
    let post = format!("/messages?cursor={cursor}&number=1");
    for body in [format!("[{request}]"), again] {
        assert_eq!(by_hand.ask("POST", &post, &body), (200, json!({})));
    }
    let ended = |message: &Value| message["payload"]["state"] == "exited";
    let (next, _) = by_hand.until((cursor.clone(), Vec::new()), ended);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x\n");

    let request =
        json!({"version": "1.0.0", "type": "ping", "timestamp": 1, "id": "p", "payload": {}});
    let post = format!("/messages?cursor={cursor}&number=2");
    assert_eq!(by_hand.ask("POST", &post, &request.to_string()).0, 200);
    let once = by_hand.poll(&format!("cursor={next}"));
    assert!(!once.1.is_empty());
    let twice = by_hand.poll(&format!("cursor={next}"));
    assert_eq!(
        twice.1[..once.1.len()],
        once.1[..],
        "an answer that was lost"
    );
    let (_, pong) = by_hand.until(twice, is("pong"));
    assert_eq!(pong["re"], "p");
}

/// A request, and how it is refused: the status, the code, words of the message.
type Case<'a> = (&'a str, &'a str, u16, &'a str, &'a str);

#[track_caller]
fn all_refused(by_hand: &ByHand, method: &str, cases: &[Case]) {
    for (path, body, status, code, words) in cases {
        let (found, answer) = by_hand.ask(method, path, body);
        assert_eq!(found, *status, "{path}: {answer}");
        assert_eq!(answer["error"]["code"], *code, "{path}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{path}: {message}");
    }
}

/// The cursor of a session that nobody has.
const UNKNOWN: &str = "00000000000000000000000000000000.0";

#[test]
fn what_cannot_be_polled_is_refused_with_the_reason() {
    let daemon = TestDaemon::start();
    let by_hand = ByHand::new(&daemon);
    let (cursor, _) = by_hand.poll("wait=0");
    let ahead = format!("/poll?cursor={}", cursor.replace(".0", ".9"));
    let unknown = format!("/poll?cursor={UNKNOWN}");
    let here = format!("/poll?cursor={cursor}");
    let channel = format!("{here}&channel=agent:a");
    let cases = [
        ("/poll?cursor=x", "", 400, "bad_request", "no cursor"),
        (&ahead, "", 400, "bad_request", "ahead"),
        (&unknown, "", 404, "unknown_session", "open another"),
        ("/poll?wait=61", "", 400, "bad_request", "at most 60"),
        ("/poll?wait=-1", "", 400, "bad_request", "wait=-1"),
        ("/poll?channel=what", "", 400, "bad_request", "channel=what"),
        (&channel, "", 400, "bad_request", "POST /messages"),
    ];
    all_refused(&by_hand, "GET", &cases);
    let others = [
        ("none".to_owned(), 401, "token_invalid", "token"),
        (daemon.token(["--role", "agent"]), 403, "forbidden", "role"),
        (
            daemon.token(["--role", "viewer"]),
            403,
            "forbidden",
            "somebody else",
        ),
    ];
    for (token, status, code, words) in others {
        let daemon = &daemon;
        let other = ByHand { daemon, token };
        all_refused(&other, "GET", &[(&here, "", status, code, words)]);
    }
    // None of that has done it harm.
    assert_eq!(by_hand.poll(&format!("cursor={cursor}&wait=0")).0, cursor);
}

#[test]
fn what_cannot_be_posted_is_refused_with_the_reason() {
    let daemon = TestDaemon::start();
    let by_hand = ByHand::new(&daemon);
    let (cursor, _) = by_hand.poll("wait=0");
    let large = " ".repeat(1024 * 1024 + 1);
    let here = format!("/messages?cursor={cursor}");
    let hole = format!("{here}&number=2");
    let unknown = format!("/messages?cursor={UNKNOWN}");
    let cases = [
        ("/messages", "", 400, "bad_request", "?cursor="),
        (&here, "{", 400, "bad_request", "JSON"),
        (&here, &large, 413, "bad_request", "at most 1048576 bytes"),
        (&hole, "[]", 409, "bad_request", "number 1"),
        (&unknown, "[]", 404, "unknown_session", "open another"),
    ];
    all_refused(&by_hand, "POST", &cases);
    let close = format!("{here}&number=1&close=1000");
    assert_eq!(by_hand.ask("POST", &close, "").0, 200);
    all_refused(
        &by_hand,
        "POST",
        &[(&close, "", 404, "unknown_session", "open another")],
    );
}

#[test]
fn a_restart_of_the_daemon_is_survived_without_a_websocket() {
    let mut daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let network = Network::before(&daemon);
    let (sending, go) = counting(&network, &daemon);
    daemon.stop().expect_code(0);
    daemon.start_again();
    sending.wait_stderr("connected again");
    std::fs::write(go, "").unwrap();
    let sent = sending.wait().expect_code(3);
    assert!(
        sent.out() == format!("0\n{}", numbers(100_000)),
        "{} bytes",
        sent.out().len()
    );
}

#[test]
fn the_console_shows_how_it_is_connected() {
    let daemon = daemon_with("[client]\nwebsocket_retry = \"100ms\"\n");
    let _agent = TestAgent::start(&daemon, "a");
    let network = Network::before(&daemon);
    let console = network.opsctl(&daemon, ["tui"]).pty(120, 30);
    console.wait_text("connected by polling");
    network.lets_websockets_through();
    console.wait_screen("a WebSocket", |screen| {
        screen.contains("● connected") && !screen.contains("polling")
    });
}
