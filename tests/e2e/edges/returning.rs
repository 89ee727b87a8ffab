//! A fleet comes back. Its agents are simulated by one program, over real sockets, and wait as the real ones do: by the same
//! back-off, and by the same reading of a close.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use opsctl_link::{Endpoint, Frame, LinkError, Target, dial, split};
use opsctl_protocol::close::retry_after_ms;
use opsctl_protocol::message::{AgentConnect, AgentMessage, ToAgent};
use opsctl_protocol::reconnect::{Backoff, noise};
use opsctl_protocol::{Header, decode, encode};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::harness::{DEADLINE, TestDaemon};

const FLEET: usize = 300;

/// What the simulated agents tell.
enum Told {
    /// The daemon has this one.
    Connected(usize),
    /// The daemon has sent one away, with this hint in milliseconds.
    Left(Option<u64>),
}

/// A fleet, and what it tells.
struct Fleet {
    runtime: tokio::runtime::Runtime,
    told: mpsc::UnboundedReceiver<Told>,
}

impl Fleet {
    /// Half of the fleet comes over the unix socket, half over TCP.
    fn start(daemon: &TestDaemon) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let token = daemon.token(["--role", "agent"]);
        let (tell, told) = mpsc::unbounded_channel();
        for number in 0..FLEET {
            let (endpoint, token) = if number % 2 == 0 {
                (Endpoint::Unix(daemon.socket()), None)
            } else {
                (daemon.url().parse().unwrap(), Some(token.clone()))
            };
            let target = Target {
                endpoint,
                token,
                connect_timeout: DEADLINE,
            };
            runtime.spawn(agent(number, target, tell.clone()));
        }
        Self { runtime, told }
    }

    /// Waits until all are connected; returns the hints of those that were sent away before.
    fn wait_all(&mut self) -> Vec<Option<u64>> {
        let (mut missing, mut hints): (BTreeSet<usize>, _) = ((0..FLEET).collect(), Vec::new());
        let all = async {
            while !missing.is_empty() {
                match self.told.recv().await.unwrap() {
                    Told::Connected(number) => drop(missing.remove(&number)),
                    Told::Left(hint) => hints.push(hint),
                }
            }
        };
        let in_time = self
            .runtime
            .block_on(async { timeout(DEADLINE, all).await });
        assert!(in_time.is_ok(), "{} never came back", missing.len());
        hints
    }
}

/// An agent without commands.
async fn agent(number: usize, target: Target, tell: mpsc::UnboundedSender<Told>) {
    let mut backoff = Backoff::default();
    loop {
        let mut hint = None;
        match dial(&target, "/ws/agent").await {
            Ok(socket) => {
                let (mut reader, sender) = split(socket);
                let name = format!("sim-{number}").parse().unwrap();
                let hello = AgentConnect {
                    agent_id: name,
                    labels: BTreeMap::new(),
                    facts: BTreeMap::new(),
                    capabilities: Vec::new(),
                    max_commands: None,
                    commands: Vec::new(),
                };
                let hello = encode(&Header::default(), &AgentMessage::Connect(hello)).unwrap();
                sender.control(hello).unwrap();
                let since = Instant::now();
                let error = loop {
                    match reader.next().await {
                        Ok(Frame::Text(text)) => {
                            let decoded = decode::<ToAgent>(&text).unwrap();
                            if matches!(decoded.message, ToAgent::Connected(_)) {
                                let _ = tell.send(Told::Connected(number));
                            }
                        }
                        Ok(_) => {}
                        Err(error) => break error,
                    }
                };
                backoff.lived(since.elapsed());
                if let LinkError::Closed { reason, .. } = error {
                    hint = retry_after_ms(&reason);
                    let _ = tell.send(Told::Left(hint));
                }
            }
            Err(error) => assert!(error.retryable(), "{error}"),
        }
        let hint = hint.map(Duration::from_millis);
        tokio::time::sleep(backoff.next_hinted(hint, noise())).await;
    }
}

#[test]
fn a_fleet_is_sent_away_with_a_hint_each_and_comes_back() {
    let mut daemon = TestDaemon::start();
    let mut fleet = Fleet::start(&daemon);
    fleet.wait_all();
    let (mut daemon, mut fleet) = std::thread::scope(|scope| {
        // The fleet lives while the daemon goes and comes.
        let restart = scope.spawn(move || {
            daemon.stop().expect_code(0);
            daemon.start_again();
            daemon
        });
        let hints: Vec<u64> = fleet.wait_all().into_iter().flatten().collect();
        assert_eq!(hints.len(), FLEET, "each has a hint");
        assert!(
            hints.iter().collect::<BTreeSet<_>>().len() > FLEET / 4,
            "spread: {hints:?}"
        );
        assert!(
            hints.iter().all(|hint| (250..=3250).contains(hint)),
            "{hints:?}"
        );
        (restart.join().unwrap(), fleet)
    });
    // The daemon's own count.
    let connected = || {
        let status = daemon.opsctl(["agents", "--json"]).run().expect_code(0);
        status.out().matches("sim-").count()
    };
    assert!(connected() >= FLEET);
    // A crash gives no hints.
    daemon.kill();
    let (daemon, hints) = std::thread::scope(|scope| {
        let restart = scope.spawn(move || {
            daemon.start_again();
            daemon
        });
        let hints = fleet.wait_all();
        (restart.join().unwrap(), hints)
    });
    assert!(hints.iter().all(Option::is_none), "{hints:?}");
    drop((daemon, fleet));
}
