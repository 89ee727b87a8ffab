//! How often a connection may say what, and how many connections there may be.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use opsctl_client::{Options, RequestError};
use opsctl_link::{Endpoint, Target};
use opsctl_protocol::message::CommandQuery;
use serde_json::{Value, json};

use super::daemon_with;
use crate::harness::{DEADLINE, TestAgent, TestDaemon, skip, wait_until};
use crate::raw::{Dial, Raw, http};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn too_many_messages_of_a_type_are_refused_until_the_time_that_is_told() {
    let daemon = daemon_with("[limits]\nevents_per_second = 1\n");
    let mut raw = Dial::local(&daemon, "/ws/dashboard").open().0;
    let connected = raw.ask("dashboard:connect", &json!({}));
    let rates = &connected["payload"]["limits"]["rates"];
    assert_eq!(rates["publish"], json!({"perSecond": 1, "burst": 10}));
    assert!(rates["terminal:output"].is_null());
    let event = json!({"channel": "task:x", "event": "e"});
    let refused = std::iter::repeat_with(|| raw.ask("publish", &event))
        .find(|answer| answer["type"] == "error")
        .unwrap();
    assert_eq!(refused["payload"]["code"], "rate_limited", "{refused}");
    let first = refused["payload"]["retryAfterMs"].as_u64().unwrap();
    let second = raw.ask("publish", &event)["payload"]["retryAfterMs"]
        .as_u64()
        .unwrap();
    assert!(first <= 1001 && second > first, "{first} {second}");
    // The floor: nothing else is refused for it.
    assert_eq!(raw.ask("ping", &json!({}))["type"], "pong");
    assert_eq!(
        raw.ask("subscribe", &json!({"channel": "task:x"}))["type"],
        "subscribed"
    );
    wait_until("the event to pass", || {
        (raw.ask("publish", &event)["type"] == "event").then_some(())
    });
}

#[test]
fn whoever_never_keeps_to_a_limit_is_closed_and_nobody_else_is() {
    let daemon = daemon_with("[limits]\nevents_per_second = 1\n");
    let agent = TestAgent::start(&daemon, "web-1");
    let mut polite = Raw::dashboard(&daemon);
    let mut flood = Raw::dashboard(&daemon);
    let event = json!({"channel": "task:x", "event": "e"});
    // The connection may end while the flood is still being sent.
    while flood.try_say("publish", &event) {}
    let (code, reason) = flood.closed();
    assert_eq!(code, 4013, "{reason}");
    assert!(reason.contains("retry-after-ms="), "{reason}");
    assert_eq!(polite.ask("ping", &json!({}))["type"], "pong");
    daemon
        .opsctl(["send", agent.name(), "--", "true"])
        .run()
        .expect_code(0);
}

#[test]
fn an_agent_is_bounded_in_its_events_and_never_in_its_output() {
    let daemon = daemon_with("[limits]\nevents_per_second = 1\n");
    let own = "00000000000000000000000000000007";
    let running = json!([{"commandId": own, "state": "running", "spec": {"argv": ["x"]}}]);
    let (mut agent, connected) = Raw::agent(&daemon, "raw", &running);
    assert_eq!(connected["limits"]["rates"]["notification"]["burst"], 10);
    for n in 0..50 {
        agent.say(
            "activity_log",
            &json!({"level": "info", "message": n.to_string()}),
        );
    }
    for n in 0..5000_u64 {
        agent.say(
            "terminal:output",
            &json!({"commandId": own, "offset": n, "data": "x"}),
        );
    }
    agent.until("the last byte's ack", |message| {
        message["type"] == "terminal:ack" && message["payload"]["offset"] == 5000
    });
    let refused = |message: &&Value| message["payload"]["code"] == "rate_limited";
    assert!(agent.seen.iter().filter(refused).count() >= 30);
    assert_eq!(agent.ask("ping", &json!({}))["type"], "pong");
}

#[test]
fn our_own_client_waits_and_asks_again() {
    let daemon = daemon_with("[limits]\nqueries_per_second = 2\n");
    let target = Target {
        endpoint: Endpoint::Unix(daemon.socket()),
        token: None,
        connect_timeout: DEADLINE,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, mut events) = opsctl_client::start(Options::new(target, "test"));
        tokio::spawn(async move { while events.next().await.is_some() {} });
        // More than the burst of twenty.
        let queries = (0..24).map(|_| client.request(CommandQuery::default()));
        let answers: Vec<Result<_, RequestError>> = futures_util::future::join_all(queries).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        client.close().await;
    });
}

/// Takes so many places and says nothing.
fn fill(daemon: &TestDaemon, places: usize) -> Vec<TcpStream> {
    let connect = || TcpStream::connect(daemon.address()).unwrap();
    std::iter::repeat_with(connect).take(places).collect()
}

#[test]
fn connections_are_counted_also_those_that_say_nothing() {
    let daemon = daemon_with("[limits]\nconnections = 5\n");
    let open = fill(&daemon, 5);
    // The kernel has connected them before the daemon knows them.
    wait_until("all places to be taken", || {
        (http(&daemon, HEALTH).0 == 503).then_some(())
    });
    let token = daemon.token(["--role", "viewer"]);
    let (status, body) = Dial::remote(&daemon, "/ws/dashboard")
        .token(&token)
        .refused();
    assert_eq!(status, 503, "{body}");
    assert_eq!(body["error"]["code"], "too_many_connections");
    assert!(body["error"]["retryAfterMs"].is_u64(), "{body}");
    // The owner gets in, and so do those who come when others have left.
    daemon.opsctl(["status"]).run().expect_code(0);
    drop(open);
    wait_until("a free place", || {
        (http(&daemon, HEALTH).0 == 200).then_some(())
    });
}

#[test]
fn silent_connections_give_their_places_back() {
    let daemon = daemon_with("[daemon]\nhello_timeout = \"300ms\"\n[limits]\nconnections = 5\n");
    let _open = fill(&daemon, 5);
    wait_until("a free place", || {
        (http(&daemon, HEALTH).0 == 200).then_some(())
    });
}

/// An address of this host that other hosts could dial.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && TcpListener::bind((address, 0)).is_ok()).then_some(address)
}

#[test]
fn an_address_takes_its_own_places_only() {
    let Some(address) = own_address() else {
        return skip("this host has no address but loopback");
    };
    let sandbox = crate::harness::Sandbox::new();
    sandbox.file(
        "config.toml",
        "[daemon]\nallow_plaintext = true\n[limits]\nconnections_per_address = 2\n",
    );
    let daemon = TestDaemon::start_in(sandbox, ["--listen", "0.0.0.0:0"]);
    let remote = SocketAddr::new(address, daemon.address().port());
    let _open = [(); 2].map(|()| {
        let mut open = TcpStream::connect(remote).unwrap();
        open.write_all(HEALTH.as_bytes()).unwrap();
        open.set_read_timeout(Some(DEADLINE)).unwrap();
        let read = open.read(&mut [0; 12]).unwrap();
        assert!(read > 0);
        open
    });
    let mut third = TcpStream::connect(remote).unwrap();
    third.set_read_timeout(Some(DEADLINE)).unwrap();
    third.write_all(HEALTH.as_bytes()).unwrap();
    let mut answer = String::new();
    third.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("too_many_connections"), "{answer}");
    assert_eq!(http(&daemon, HEALTH).0, 200, "others have theirs");
}
