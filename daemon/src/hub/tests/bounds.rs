//! What a peer can make the hub hold is bounded.

use opsctl_protocol::Channel;
use opsctl_protocol::ids::Topic;
use opsctl_protocol::message::{AgentReport, CommandQuery, Publish};

use super::*;
use crate::fanout::outbox::Subscription;
use crate::hub::request::MAX_JOURNALING;
use crate::hub::subscribe::MAX_QUERIES;
use crate::hub::topics::{MAX_TOPIC_BYTES, MAX_TOPICS};

fn topic(number: usize) -> Channel {
    Channel::Topic(Topic::Task, number.to_string())
}

impl World {
    fn publish(&mut self, conn: ConnId, channel: Channel, bytes: usize) {
        let publish = Publish {
            channel,
            event: "e".to_owned(),
            data: "x".repeat(bytes).into(),
        };
        self.handle(Event::DashboardSaid(
            conn,
            Header::default(),
            publish.into(),
        ));
    }

    pub(super) fn follow(&mut self, conn: ConnId, pattern: &str) {
        self.say(
            conn,
            Subscribe {
                channel: Pattern::new(pattern).unwrap(),
                since: None,
                lossless: false,
                no_output: false,
            },
        );
    }
}

/// What a delivery that keeps up would have visited.
fn visited(outbox: &Outbox) -> Vec<Arc<Subscription>> {
    let mut visited = Vec::new();
    while let Some(next) = outbox.try_next() {
        match next {
            Next::Ready(subscription) => visited.push(subscription),
            Next::Close(code, reason) => panic!("{code:?} {reason}"),
            _ => {}
        }
    }
    visited
}

fn refusal(answers: &[ToDashboard]) -> &opsctl_protocol::message::ErrorPayload {
    let error = answers.iter().find_map(|answer| match answer {
        ToDashboard::Error(error) => Some(error),
        _ => None,
    });
    error.expect("an error is due")
}

#[test]
fn all_topics_together_hold_so_many_bytes_also_where_a_wildcard_covers_them() {
    let mut world = World::new();
    let (conn, _) = world.dashboard(Role::Operator);
    let (watcher, outbox) = world.dashboard(Role::Viewer);
    world.follow(watcher, "*");
    for number in 0..64 {
        world.publish(conn, topic(number), 1024 * 1024 - 1000);
        visited(&outbox);
    }
    let held: usize = world
        .hub
        .channels
        .values()
        .map(|state| state.stream.ring().bytes())
        .sum();
    assert!(held <= MAX_TOPIC_BYTES, "{held}");
    assert!(world.hub.channels.contains_key(&topic(63)));
    let covered = world.hub.dashboards[&watcher].subscriptions.len();
    assert_eq!(covered, world.hub.channels.len());
}

#[test]
fn a_topic_that_was_let_go_goes_on_with_higher_numbers() {
    let mut world = World::new();
    let (conn, _) = world.dashboard(Role::Operator);
    let (watcher, outbox) = world.dashboard(Role::Viewer);
    world.follow(watcher, "task:*");
    (0..3).for_each(|_| world.publish(conn, topic(0), 1));
    for number in 1..=MAX_TOPICS {
        world.publish(conn, topic(number), 1);
        visited(&outbox);
    }
    assert!(!world.hub.channels.contains_key(&topic(0)));
    world.publish(conn, topic(0), 1);
    let seen = visited(&outbox);
    assert_eq!(seen.len(), 1, "whoever covers it still does");
    assert_eq!(seen[0].stream.channel, topic(0));
    assert!(seen[0].stream.last_seq() > 3);
    assert!(world.hub.channels.len() <= MAX_TOPICS);
}

#[test]
fn whoever_is_behind_when_a_topic_goes_is_told() {
    let mut world = World::new();
    let (conn, _) = world.dashboard(Role::Operator);
    let (watcher, outbox) = world.dashboard(Role::Viewer);
    world.follow(watcher, "task:*");
    drain(&outbox);
    (0..=MAX_TOPICS).for_each(|number| world.publish(conn, topic(number), 1));
    assert!(matches!(
        outbox.try_next(),
        Some(Next::Close(CloseCode::TooSlow, _))
    ));
    assert!(
        !outbox.has_ready(),
        "a mailbox that closes holds no channels"
    );
}

#[test]
fn so_many_requests_of_a_connection_are_journaled_at_once() {
    let mut world = World::new();
    world.agent("a", None, Vec::new());
    let (conn, outbox) = world.dashboard(Role::Operator);
    let (other, _) = world.dashboard(Role::Operator);
    let ask = |world: &mut World, conn, key: usize| {
        let message = request(&key.to_string(), "a").into();
        let said = Event::DashboardSaid(conn, Header::asking("1"), message);
        world.hub.handle(said, Timestamp(world.now))
    };
    let journals = |effects: &[Effect]| effects.iter().any(|one| matches!(one, Effect::Journal(_)));
    for key in 0..MAX_JOURNALING {
        assert!(journals(&ask(&mut world, conn, key)));
    }
    assert!(drain(&outbox).is_empty());
    assert!(!journals(&ask(&mut world, conn, 9000)));
    let answers = drain(&outbox);
    let error = refusal(&answers);
    assert_eq!(error.code, ErrorCode::RateLimited);
    assert!(error.retry_after_ms.is_some());
    assert!(
        journals(&ask(&mut world, other, 9001)),
        "nobody else is refused for it"
    );
    world.handle(Event::Journaled("0".to_owned(), Journaled::New));
    assert!(journals(&ask(&mut world, conn, 9000)));
}

#[test]
fn so_many_queries_of_a_connection_are_under_way_at_once() {
    let mut world = World::new();
    let (conn, outbox) = world.dashboard(Role::Viewer);
    let ask = |world: &mut World| {
        let message = CommandQuery::default().into();
        let said = Event::DashboardSaid(conn, Header::asking("1"), message);
        let mut effects = world.hub.handle(said, Timestamp(world.now));
        effects.retain(|one| matches!(one, Effect::Query(_)));
        effects
    };
    let under_way: Vec<_> = (0..MAX_QUERIES).map(|_| ask(&mut world)).collect();
    assert!(under_way.iter().all(|effects| effects.len() == 1));
    assert!(ask(&mut world).is_empty());
    let answers = drain(&outbox);
    assert_eq!(refusal(&answers).code, ErrorCode::RateLimited);
    assert!(refusal(&answers).retry_after_ms.is_some());
    drop(under_way);
    assert_eq!(ask(&mut world).len(), 1);
}

#[test]
fn an_agents_facts_are_bounded_however_they_come() {
    let mut world = World::new();
    let (agent, heard) = world.agent("a", None, Vec::new());
    for number in 0..1000 {
        let report = AgentReport {
            facts: [(number.to_string(), "x".repeat(100))].into(),
            ..AgentReport::default()
        };
        let said = Event::AgentSaid(agent, Header::default(), AgentMessage::Report(report));
        world.handle(said);
    }
    let known = &world.hub.agents[&AgentId::new("a").unwrap()].row.facts;
    assert_eq!(known.len(), opsctl_protocol::limits::MAX_ATTRIBUTES);
    let heard = heard.lock().unwrap();
    let Some(ToAgent::Error(error)) = heard.last() else {
        panic!("an error is due")
    };
    assert_eq!(error.code, ErrorCode::BadRequest);
}

#[test]
fn so_many_agents_are_known_unless_a_token_names_them() {
    let mut world = World::new();
    for number in 0..150 {
        world.agent(&format!("a{number}"), None, Vec::new());
    }
    assert_eq!(world.hub.agents.len(), 100);
    let (_, heard) = world.agent("a0", None, Vec::new());
    assert!(!heard.lock().unwrap().is_empty(), "a known name comes back");
    let named = AgentId::new("named").unwrap();
    let conn = world.conn();
    world.handle(Event::AgentJoined {
        conn,
        rights: Rights {
            agent: Some(named.clone()),
            ..rights(Role::Agent)
        },
        hello: AgentConnect {
            agent_id: named.clone(),
            labels: std::collections::BTreeMap::default(),
            facts: std::collections::BTreeMap::default(),
            capabilities: Vec::new(),
            max_commands: None,
            commands: Vec::new(),
        },
        id: None,
        port: Box::new(FakePort(Heard::default())),
        wire: Arc::new(FakeWire::default()),
        recalled: HashMap::new(),
    });
    assert!(world.hub.agents.contains_key(&named));
}
