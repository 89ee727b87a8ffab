//! Peers that take their time.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use super::daemon_with;
use crate::harness::{DEADLINE, TestAgent, TestDaemon};
use crate::raw::{Dial, Raw};

/// Text that no compression makes much smaller.
pub struct Noise(pub u64);

impl Noise {
    /// So many characters.
    pub fn text(&mut self, bytes: usize) -> String {
        const DIGITS: &[u8; 64] =
            b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
        let digit = || {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            char::from(DIGITS[(self.0 >> 58) as usize])
        };
        std::iter::repeat_with(digit).take(bytes).collect()
    }
}

/// A text frame of ten bytes, without its end.
const HALF: [u8; 9] = [0x81, 0x8a, 0, 0, 0, 0, b'a', b'b', b'c'];

#[test]
fn a_message_that_never_ends_ends_its_connection() {
    let daemon = daemon_with("[daemon]\nmessage_timeout = \"300ms\"\n");
    let mut dashboard = Raw::dashboard(&daemon);
    let (mut agent, _) = Raw::agent(&daemon, "raw", &json!([]));
    for raw in [&mut dashboard, &mut agent] {
        raw.socket.get_mut().write_all(&HALF).unwrap();
        let (code, reason) = raw.closed();
        assert_eq!(code, 4008, "{reason}");
        assert!(reason.contains("did not end"), "{reason}");
    }
}

#[test]
fn an_agent_that_takes_nothing_is_closed() {
    let daemon = daemon_with("[daemon]\nstall_timeout = \"500ms\"\n");
    let own = "00000000000000000000000000000007";
    let running =
        json!([{"commandId": own, "state": "running", "spec": {"argv": ["x"], "stdin": "stream"}}]);
    let (_deaf, _) = Raw::agent(&daemon, "deaf", &running);
    let mut watcher = Raw::dashboard(&daemon);
    watcher.ask("subscribe", &json!({"channel": "agent:deaf"}));
    // More than any socket's buffer holds.
    let mut noise = Noise(7);
    for _ in 0..256 {
        let data = noise.text(32 * 1024);
        watcher.say("command:input", &json!({"commandId": own, "data": data}));
    }
    let left = watcher.until("the agent's end", |message| {
        message["type"] == "agent:disconnected"
    });
    let reason = left["payload"]["reason"].as_str().unwrap();
    assert!(reason.contains("stopped reading"), "{reason}");
}

#[test]
fn a_dashboard_that_takes_nothing_is_closed_and_nobody_else_waits() {
    let settings = "[log]\nlevel = \"debug\"\n[daemon]\nstall_timeout = \"500ms\"\n";
    let daemon = daemon_with(settings);
    let agent = TestAgent::start(&daemon, "web-1");
    let token = daemon.token(["--role", "viewer"]);
    // It asks for everything and reads nothing.
    let mut deaf = Raw::greeted(Dial::remote(&daemon, "/ws/dashboard").token(&token));
    deaf.say("subscribe", &json!({"channel": "*"}));
    let flood = "head -c 20000000 /dev/urandom | base64 -w0; echo; echo end";
    let sent = daemon
        .opsctl(["send", agent.name(), "--", "sh", "-c", flood])
        .run()
        .expect_code(0);
    assert!(sent.out().ends_with("\nend\n"));
    // Its own end: that of `send` may be told with more words.
    daemon
        .process()
        .wait_stderr("\"reason\":\"the connection broke\"");
    // What was in the pipe comes first; then the end, with or without a word.
    let (code, reason) = deaf.closed();
    assert!([1006, 4008].contains(&code), "{code} {reason}");
}

/// Sends a request's beginning and reads until the daemon hangs up.
fn hung_up_on(daemon: &TestDaemon, request: &str, more: impl Fn(&mut TcpStream) -> bool) {
    let mut io = TcpStream::connect(daemon.address()).unwrap();
    io.set_read_timeout(Some(DEADLINE)).unwrap();
    io.write_all(request.as_bytes()).unwrap();
    while more(&mut io) {}
    // Closed or reset, as long as it ends.
    let ended = io.read_to_end(&mut Vec::new());
    let waited = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!waited, "{request:?} was never hung up on");
}

#[test]
fn connections_that_never_become_a_websocket_end() {
    let daemon = daemon_with("[daemon]\nhello_timeout = \"300ms\"\n");
    let once = |_: &mut TcpStream| false;
    // Nothing at all; half a head; a whole request, and then nothing.
    hung_up_on(&daemon, "", once);
    hung_up_on(&daemon, "GET /healthz HTTP/1.1\r\nHo", once);
    hung_up_on(&daemon, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", once);
    // A body that comes for ever, a head that does, and requests whose answers nobody reads.
    let endless = "POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    hung_up_on(&daemon, endless, |io| io.write_all(b"1\r\nx\r\n").is_ok());
    hung_up_on(&daemon, "GET /healthz HTTP/1.1\r\n", |io| {
        io.write_all(b"X-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n")
            .is_ok()
    });
    hung_up_on(&daemon, "", |io| {
        io.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .is_ok()
    });
}
