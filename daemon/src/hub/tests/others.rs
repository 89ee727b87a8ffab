//! Who is connected, and how the daemon is.

use std::sync::Arc;

use opsctl_protocol::message::{
    AgentCounts, ConnectionList, ConnectionQuery, DaemonQuery, DashboardConnect, ErrorCode, Role,
    Traffic,
};
use opsctl_protocol::{DashboardMessage, Header, ToDashboard};

use super::{Effect, Event, FakeWire, Outbox, Survey, Timestamp, World, drain, rights};

/// So much has gone, and goes.
const BUSY: Traffic = Traffic {
    messages: 7,
    bytes: 700,
    messages_per_second: 2,
    bytes_per_second: 200,
};

impl World {
    /// Somebody comes over a busy connection.
    fn busy(&mut self, role: Role) -> (super::ConnId, Arc<Outbox>) {
        let (conn, outbox) = (self.conn(), Arc::new(Outbox::default()));
        self.handle(Event::DashboardJoined {
            conn,
            rights: rights(role),
            hello: DashboardConnect::default(),
            id: None,
            outbox: Arc::clone(&outbox),
            wire: Arc::new(FakeWire(BUSY)),
        });
        drain(&outbox);
        (conn, outbox)
    }

    fn survey(&mut self, conn: super::ConnId) -> Box<Survey> {
        let asked = Event::DashboardSaid(
            conn,
            Header::asking("1"),
            DashboardMessage::Daemon(DaemonQuery {}),
        );
        let effects = self.hub.handle(asked, Timestamp(self.now));
        let surveys = effects.into_iter().filter_map(|effect| match effect {
            Effect::Survey(survey) => Some(survey),
            _ => None,
        });
        surveys.last().unwrap()
    }
}

#[test]
fn operators_hear_from_where_everybody_comes_and_viewers_dont() {
    let mut world = World::new();
    world.agent("a", None, Vec::new());
    let (viewer, heard) = world.dashboard(Role::Viewer);
    world.say(viewer, ConnectionQuery::default());
    let answers = drain(&heard);
    let [ToDashboard::Error(error)] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(error.code, ErrorCode::Forbidden);
    let (operator, heard) = world.busy(Role::Operator);
    world.say(operator, ConnectionQuery::default());
    let answers = drain(&heard);
    let [ToDashboard::ConnectionList(list)] = &answers[..] else {
        panic!("{answers:?}");
    };
    let ConnectionList {
        connections,
        agents,
        more: false,
    } = list
    else {
        panic!("{list:?}");
    };
    assert_eq!(agents.len(), 1);
    assert_eq!(agents[0].agent_id.as_str(), "a");
    assert_eq!(agents[0].address, "192.0.2.7:51234");
    assert_eq!(connections.len(), 2);
    assert_eq!(connections[1].address, "192.0.2.7:51234");
    assert_eq!(connections[1].received, BUSY);
}

#[test]
fn a_list_never_outgrows_a_message() {
    let mut world = World::new();
    for _ in 0..200 {
        let (conn, _) = world.dashboard(Role::Viewer);
        for channel in 0..16 {
            world.follow(conn, &format!("task:{channel}-{}", "x".repeat(100)));
        }
    }
    let (operator, heard) = world.dashboard(Role::Operator);
    world.say(operator, ConnectionQuery { limit: Some(1000) });
    let answers = drain(&heard);
    let [ToDashboard::ConnectionList(list)] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert!(list.more);
    let bytes = serde_json::to_vec(list).unwrap().len();
    assert!(bytes < opsctl_protocol::limits::MAX_MESSAGE / 2, "{bytes}");
}

#[test]
fn what_went_over_ended_connections_counts_and_their_rates_dont() {
    let mut world = World::new();
    world.agent("here", None, Vec::new());
    let (gone, _) = world.agent("gone", None, Vec::new());
    world.handle(Event::AgentLeft(gone, "why".to_owned()));
    let (left, _) = world.busy(Role::Operator);
    world.handle(Event::DashboardLeft(left));
    let (asks, _) = world.busy(Role::Viewer);
    let survey = world.survey(asks);
    assert!(!survey.names_paths, "a viewer hears of no directories");
    let status = survey.status;
    assert_eq!(status.dashboards, 1);
    let expected = AgentCounts {
        connected: 1,
        disconnected: 1,
        unknown: 1,
        ..AgentCounts::default()
    };
    assert_eq!(status.agents, expected);
    let expected = Traffic {
        messages: 14,
        bytes: 1400,
        ..BUSY
    };
    assert_eq!(status.received, expected);
    let (operator, _) = world.dashboard(Role::Operator);
    assert!(world.survey(operator).names_paths);
}
