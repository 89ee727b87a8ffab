//! The hub alone: events in, messages and effects out, no disk and no sockets.

mod bounds;
mod far_agent;
mod keys;
mod others;
mod reconcile;
mod withdraw;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use opsctl_protocol::close::CloseCode;
use opsctl_protocol::message::{
    AgentConnect, AgentForget, CommandInput, CommandReport, CommandRequest, CommandSpec,
    CommandStatus, CommandSummary, DashboardConnect, ErrorCode, Gap, Kind, Program, Rights, Role,
    State, Subscribe, Target, Traffic,
};
use opsctl_protocol::{
    AgentId, AgentMessage, CommandId, DashboardMessage, Header, OutputFrame, Pattern, Timestamp,
    ToAgent, ToDashboard,
};

use super::{
    AgentPort, ConnId, Effect, Event, Hub, HubOptions, Journaled, Save, Survey, Version, Wire,
    Written,
};
use crate::fanout::Outbox;
use crate::fanout::outbox::Next;
use crate::log::Room;
use crate::store::{MessageRow, RequestRow};

/// What an agent was told, for a test to look at.
type Heard = Arc<Mutex<Vec<ToAgent>>>;

struct FakePort(Heard);

impl AgentPort for FakePort {
    fn control(&self, _: &Header, message: ToAgent) -> bool {
        self.0.lock().unwrap().push(message);
        true
    }

    fn input(&self, input: &CommandInput) -> bool {
        self.0.lock().unwrap().push(ToAgent::Input(input.clone()));
        true
    }

    fn close(&self, _: CloseCode, _: &str) {}
}

/// A connection over which so much went.
#[derive(Default)]
struct FakeWire(Traffic);

impl Wire for FakeWire {
    fn address(&self) -> String {
        "192.0.2.7:51234".to_owned()
    }

    fn received(&self) -> Traffic {
        self.0
    }

    fn sent(&self) -> Traffic {
        Traffic::default()
    }
}

/// A hub with a clock that the test moves, and a disk that always succeeds at once.
struct World {
    hub: Hub,
    now: u64,
    journaled: Vec<RequestRow>,
    logged: Vec<(u64, Bytes)>,
    /// Ends that were saved.
    saved: Vec<CommandId>,
    /// The log takes output and does not say that it is durable.
    log_is_slow: bool,
    /// How messages stood, each time that one was written.
    messages: Vec<MessageRow>,
    /// Every program takes a paste.
    takes_paste: bool,
    next_conn: u64,
}

impl World {
    fn new() -> Self {
        let options = HubOptions {
            ring_lines: 100,
            max_agents: 100,
            heartbeat: std::time::Duration::from_secs(15),
            agent_limits: opsctl_protocol::message::LimitsInfo::default(),
            dashboard_limits: opsctl_protocol::message::LimitsInfo::default(),
            ring_bytes: 10_000,
            version: "test".to_owned(),
            rules: Arc::new(crate::activity::Rules::new(&[]).0),
        };
        let hub = Hub::new(options, "epoch".into(), Arc::default());
        Self {
            hub,
            now: 1_000_000,
            journaled: Vec::new(),
            logged: Vec::new(),
            saved: Vec::new(),
            log_is_slow: false,
            messages: Vec::new(),
            takes_paste: true,
            next_conn: 0,
        }
    }

    fn conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    /// Handles an event and everything that the disk answers to it.
    fn handle(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.hub.handle(event, Timestamp(self.now)) {
                match effect {
                    Effect::Journal(row) => {
                        let known = self.journaled.iter().find(|known| known.key == row.key);
                        let outcome = known.map_or(Journaled::New, |known| {
                            Journaled::Known(Box::new(known.clone()))
                        });
                        events.push_back(Event::Journaled(row.key.clone(), outcome));
                        self.journaled.push(*row);
                    }
                    Effect::Save(rows) => {
                        self.saved.extend(ended(&rows));
                        events.push_back(Event::Saved(saved(&rows)));
                    }
                    Effect::Withdraw(withdrawal) => {
                        events.push_back(Event::Withdrawn(withdrawal, Ok(())));
                    }
                    Effect::Log(_, record) => {
                        self.logged.push((record.offset, record.data.clone()));
                        let durable = (record.command, record.end());
                        if !self.log_is_slow {
                            events.push_back(Event::Durable(vec![durable]));
                        }
                    }
                    Effect::RecallRequest(key) => {
                        let known = self.journaled.iter().find(|known| known.key == key);
                        let outcome = known.map_or(Journaled::Unknown, |known| {
                            Journaled::Known(Box::new(known.clone()))
                        });
                        events.push_back(Event::Journaled(key, outcome));
                    }
                    Effect::Recall(key) => {
                        let known = self.messages.iter().rev().find(|row| row.asked.key == key);
                        let written = known
                            .map_or(Written::Done, |row| Written::Known(Box::new(row.clone())));
                        events.push_back(Event::MessageWritten(key, written));
                    }
                    Effect::Message(row, _) => {
                        let key = row.asked.key.clone();
                        self.messages.push(*row);
                        events.push_back(Event::MessageWritten(key, Written::Done));
                    }
                    Effect::Probe(probe) => {
                        events.push_back(Event::Probed(probe.key, self.takes_paste));
                    }
                    Effect::Find(..)
                    | Effect::Query(_)
                    | Effect::Survey(_)
                    | Effect::Look(_)
                    | Effect::Forget(_) => {}
                }
            }
        }
    }

    /// Lets enough time pass for rows that are behind to be saved.
    fn settle(&mut self) {
        self.now += super::settle::SAVE_AFTER_MS;
        self.handle(Event::Tick);
    }

    fn agent(
        &mut self,
        name: &str,
        max: Option<u32>,
        reports: Vec<CommandReport>,
    ) -> (ConnId, Heard) {
        let conn = self.conn();
        let heard = Heard::default();
        let hello = AgentConnect {
            agent_id: AgentId::new(name).unwrap(),
            labels: std::collections::BTreeMap::default(),
            facts: std::collections::BTreeMap::default(),
            capabilities: Vec::new(),
            max_commands: max,
            commands: reports,
        };
        self.handle(Event::AgentJoined {
            conn,
            rights: rights(Role::Agent),
            hello,
            id: None,
            port: Box::new(FakePort(Arc::clone(&heard))),
            wire: Arc::new(FakeWire::default()),
            recalled: HashMap::new(),
        });
        (conn, heard)
    }

    fn dashboard(&mut self, role: Role) -> (ConnId, Arc<Outbox>) {
        let conn = self.conn();
        let outbox = Arc::new(Outbox::default());
        self.handle(Event::DashboardJoined {
            conn,
            rights: rights(role),
            hello: DashboardConnect::default(),
            id: None,
            outbox: Arc::clone(&outbox),
            wire: Arc::new(FakeWire::default()),
        });
        drain(&outbox);
        (conn, outbox)
    }

    fn say(&mut self, conn: ConnId, message: impl Into<DashboardMessage>) {
        self.handle(Event::DashboardSaid(
            conn,
            Header::asking("1"),
            message.into(),
        ));
    }

    fn status(&mut self, conn: ConnId, status: CommandStatus) {
        let message = AgentMessage::Status(status);
        self.handle(Event::AgentSaid(conn, Header::default(), message));
    }

    fn output(&mut self, conn: ConnId, command_id: CommandId, offset: u64, text: &'static str) {
        let frame = OutputFrame {
            command_id,
            kind: Kind::Output,
            via: opsctl_protocol::frame::Via::Direct,
            seq: 0,
            offset,
            time: Timestamp(1),
            size: None,
            data: Bytes::from_static(text.as_bytes()),
        };
        self.handle(Event::AgentOutput(conn, frame, Room::for_tests()));
    }
}

fn ended(rows: &[Save]) -> Vec<CommandId> {
    let ended = |row: &Save| match row {
        Save::Command(row, _) if row.summary.state.is_final() => Some(row.summary.command_id),
        _ => None,
    };
    rows.iter().filter_map(ended).collect()
}

fn saved(rows: &[Save]) -> Vec<(CommandId, Version)> {
    let saved = |row: &Save| match row {
        Save::Command(row, version) => Some((row.summary.command_id, *version)),
        Save::Agent(_) => None,
    };
    rows.iter().filter_map(saved).collect()
}

fn rights(role: Role) -> Rights {
    Rights {
        role,
        subject: "tester".to_owned(),
        agent: None,
    }
}

fn request(key: &str, selector: &str) -> CommandRequest {
    CommandRequest {
        key: key.to_owned(),
        target: Target::Selector(selector.to_owned()),
        spec: CommandSpec::new(Program::Argv(vec!["true".to_owned()])),
        ttl_ms: None,
        fanout: None,
        limit: None,
    }
}

/// The answers that wait for a dashboard.
fn drain(outbox: &Outbox) -> Vec<ToDashboard> {
    let mut messages = Vec::new();
    while let Some(next) = outbox.try_next() {
        if let Next::Control(_, message) = next {
            messages.push(*message);
        }
    }
    messages
}

fn executed(heard: &Heard) -> Vec<CommandId> {
    let heard = heard.lock().unwrap();
    let executed = |message: &ToAgent| match message {
        ToAgent::Execute(execute) => Some(execute.command_id),
        _ => None,
    };
    heard.iter().filter_map(executed).collect()
}

fn exited(command_id: CommandId) -> CommandStatus {
    CommandStatus {
        exit_code: Some(0),
        ..CommandStatus::new(command_id, State::Exited)
    }
}

fn summary(hub: &Hub, command_id: CommandId) -> CommandSummary {
    hub.commands[&command_id].row.summary.clone()
}

#[test]
fn the_same_key_starts_nothing_twice() {
    let mut world = World::new();
    let (agent, heard) = world.agent("a", None, Vec::new());
    let (conn, outbox) = world.dashboard(Role::Operator);
    world.say(conn, request("k", "a"));
    world.say(conn, request("k", "a"));
    let answers = drain(&outbox);
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0], answers[1]);
    assert_eq!(executed(&heard).len(), 1);

    // Also when it has ended and only the store remembers.
    world.status(agent, exited(executed(&heard)[0]));
    world.hub.requests.clear();
    world.say(conn, request("k", "a"));
    assert_eq!(drain(&outbox)[0], answers[0]);
    assert_eq!(executed(&heard).len(), 1);

    world.say(
        conn,
        CommandRequest {
            limit: Some(3),
            ..request("k", "a")
        },
    );
    let ToDashboard::Error(error) = &drain(&outbox)[0] else {
        panic!("an error is due")
    };
    assert_eq!(error.code, ErrorCode::KeyReused);
}

#[test]
fn an_agent_gets_as_many_as_it_takes_in_order() {
    let mut world = World::new();
    let (agent, heard) = world.agent("a", Some(2), Vec::new());
    let (conn, _) = world.dashboard(Role::Operator);
    for key in ["1", "2", "3", "4"] {
        world.say(conn, request(key, "a"));
    }
    let first = executed(&heard);
    assert_eq!(first.len(), 2);
    world.status(agent, exited(first[1]));
    let then = executed(&heard);
    assert_eq!(then.len(), 3);
    assert_eq!(summary(&world.hub, then[2]).state, State::Delivered);
    let keys: Vec<&str> = then
        .iter()
        .map(|id| world.hub.commands[id].row.key.as_str())
        .collect();
    assert_eq!(keys, ["1", "2", "3"]);
}

#[test]
fn fanout_holds_back_the_rest_of_a_request() {
    let mut world = World::new();
    let (a, heard_a) = world.agent("a", None, Vec::new());
    let (_, heard_b) = world.agent("b", None, Vec::new());
    let (conn, _) = world.dashboard(Role::Operator);
    world.say(
        conn,
        CommandRequest {
            fanout: Some(1),
            ..request("k", "*")
        },
    );
    assert_eq!((executed(&heard_a).len(), executed(&heard_b).len()), (1, 0));
    world.status(a, exited(executed(&heard_a)[0]));
    assert_eq!(executed(&heard_b).len(), 1);
}

#[test]
fn a_viewer_may_watch_but_not_operate() {
    let mut world = World::new();
    world.agent("a", None, Vec::new());
    let (conn, outbox) = world.dashboard(Role::Viewer);
    world.say(conn, request("k", "a"));
    let ToDashboard::Error(error) = &drain(&outbox)[0] else {
        panic!("an error is due")
    };
    assert_eq!(error.code, ErrorCode::Forbidden);
    let subscribe = Subscribe {
        channel: Pattern::new("agent:*").unwrap(),
        since: None,
        lossless: false,
        no_output: false,
    };
    world.say(conn, subscribe);
    assert!(matches!(drain(&outbox)[0], ToDashboard::Subscribed(_)));
}

#[test]
fn repeated_output_is_cut_and_missing_output_is_said() {
    let mut world = World::new();
    let (agent, heard) = world.agent("a", None, Vec::new());
    let (conn, _) = world.dashboard(Role::Operator);
    world.say(conn, request("k", "a"));
    let id = executed(&heard)[0];
    world.output(agent, id, 0, "hello ");
    world.output(agent, id, 3, "lo world");
    world.output(agent, id, 0, "hello ");
    assert_eq!(world.logged, [(0, "hello ".into()), (6, "world".into())]);
    world.output(agent, id, 15, "!");
    assert_eq!(world.hub.commands[&id].end, 16);
    let stream = &world.hub.channels[&opsctl_protocol::Channel::Command(id)].stream;
    let gaps = stream.ring().iter().filter(|entry| {
        matches!(&entry.body, crate::fanout::channel::Body::Message(message) if matches!(**message, ToDashboard::Gap(_)))
    }).count();
    assert_eq!(gaps, 1);
}

#[test]
fn who_sends_bulk_hears_that_it_was_refused_and_the_agent_gets_no_more_of_it_until_it_takes_some() {
    let mut world = World::new();
    let (agent, heard) = world.agent("a", None, Vec::new());
    let (conn, outbox) = world.dashboard(Role::Operator);
    world.say(conn, request("k", "a"));
    let id = executed(&heard)[0];
    world.status(agent, CommandStatus::new(id, State::Running));
    drain(&outbox);
    let bulk = CommandInput {
        command_id: id,
        data: opsctl_protocol::message::Payload(bytes::Bytes::from_static(b"line\n")),
        offset: Some(0),
        eof: false,
    };
    let passed = |heard: &Heard| {
        let heard = heard.lock().unwrap();
        let inputs = heard.iter().filter(|to| matches!(to, ToAgent::Input(_)));
        inputs.count()
    };
    let rejections = |outbox: &Outbox| {
        let answers = drain(outbox).into_iter();
        let rejected = |answer: &ToDashboard| matches!(answer, ToDashboard::Error(error) if error.code == ErrorCode::InputRejected);
        answers.filter(rejected).count()
    };
    world.say(conn, bulk.clone());
    assert_eq!((passed(&heard), rejections(&outbox)), (1, 0));
    let refused = CommandStatus {
        input_refused: true,
        ..CommandStatus::new(id, State::Running)
    };
    world.status(agent, refused);
    assert_eq!(rejections(&outbox), 1, "it is to be sent again");
    world.say(conn, bulk.clone());
    assert_eq!((passed(&heard), rejections(&outbox)), (1, 1));
    let takes = CommandStatus {
        input_received: Some(0),
        ..CommandStatus::new(id, State::Running)
    };
    world.status(agent, takes);
    world.say(conn, bulk);
    assert_eq!((passed(&heard), rejections(&outbox)), (2, 0));
}

#[test]
fn an_agents_gap_starts_where_the_output_ends() {
    let mut world = World::new();
    let (agent, heard) = world.agent("a", None, Vec::new());
    let (conn, _) = world.dashboard(Role::Operator);
    world.say(conn, request("k", "a"));
    let id = executed(&heard)[0];
    world.output(agent, id, 0, "hello");
    // The agent doesn't know what has arrived: it tells what it has dropped.
    for (from, to) in [(0, 3), (0, 8), (2, 8), (9, 20)] {
        let gap = Gap {
            command_id: id,
            from,
            to,
            reason: "full".to_owned(),
        };
        let message = AgentMessage::Gap(gap);
        world.handle(Event::AgentSaid(agent, Header::default(), message));
    }
    world.output(agent, id, 8, "!");
    let stream = &world.hub.channels[&opsctl_protocol::Channel::Command(id)].stream;
    let gap = |entry: &Arc<crate::fanout::channel::Entry>| match &entry.body {
        crate::fanout::channel::Body::Message(message) => match &**message {
            ToDashboard::Gap(gap) => Some((gap.from, gap.to)),
            _ => None,
        },
        crate::fanout::channel::Body::Output(_) => None,
    };
    let gaps: Vec<(u64, u64)> = stream.ring().iter().filter_map(gap).collect();
    assert_eq!(gaps, [(5, 8)]);
    assert_eq!(world.hub.commands[&id].end, 9);
}

#[test]
fn an_agent_that_comes_back_and_the_hub_agree() {
    let mut world = World::new();
    let (agent, heard) = world.agent("a", None, Vec::new());
    let (conn, _) = world.dashboard(Role::Operator);
    for key in ["runs", "lost", "never-came"] {
        world.say(conn, request(key, "a"));
    }
    let [runs, lost, never] = executed(&heard)[..] else {
        panic!("three commands went out")
    };
    world.status(agent, CommandStatus::new(runs, State::Running));
    world.status(agent, CommandStatus::new(lost, State::Running));
    world.output(agent, runs, 0, "12345");
    world.handle(Event::AgentLeft(agent, "cut".to_owned()));

    let unknown = CommandId::random();
    let report = |id| CommandReport {
        status: CommandStatus::new(id, State::Running),
        from: 0,
        to: 9,
        spec: None,
        main: false,
    };
    let (_, heard) = world.agent("a", None, vec![report(runs), report(unknown)]);
    let ToAgent::Connected(connected) = heard.lock().unwrap()[0].clone() else {
        panic!("connected comes first")
    };
    assert_eq!(connected.commands.get(&runs), Some(&5));
    assert_eq!(connected.commands.get(&unknown), Some(&0));
    assert_eq!(summary(&world.hub, runs).state, State::Running);
    assert_eq!(summary(&world.hub, lost).state, State::Lost);
    assert_eq!(
        executed(&heard),
        [never],
        "what never started goes out again, once"
    );
}

#[test]
fn an_end_is_settled_once_it_is_durable() {
    let mut world = World::new();
    let (agent, heard) = world.agent("a", None, Vec::new());
    let (conn, _) = world.dashboard(Role::Operator);
    world.say(conn, request("k", "a"));
    let id = executed(&heard)[0];
    world.output(agent, id, 0, "x");
    world.status(agent, exited(id));
    let settled = |heard: &Heard| {
        let heard = heard.lock().unwrap();
        heard
            .iter()
            .any(|message| matches!(message, ToAgent::Ack(ack) if ack.settled))
    };
    assert!(!settled(&heard), "the row is still behind");
    world.settle();
    assert!(settled(&heard));
}

#[test]
fn an_end_is_not_saved_before_its_output() {
    let mut world = World::new();
    world.log_is_slow = true;
    let (agent, heard) = world.agent("a", None, Vec::new());
    let (conn, _) = world.dashboard(Role::Operator);
    world.say(conn, request("k", "a"));
    let id = executed(&heard)[0];
    world.output(agent, id, 0, "x");
    world.status(agent, exited(id));
    world.settle();
    assert_eq!(
        world.saved,
        [],
        "a crash now would lose the output for good"
    );
    world.handle(Event::Durable(vec![(id, 1)]));
    world.settle();
    assert_eq!(world.saved, [id]);
}

#[test]
fn what_waits_too_long_expires() {
    let mut world = World::new();
    let (agent, _) = world.agent("a", None, Vec::new());
    world.handle(Event::AgentLeft(agent, "gone".to_owned()));
    let (conn, outbox) = world.dashboard(Role::Operator);
    world.say(conn, request("refused", "a"));
    let ToDashboard::Error(error) = &drain(&outbox)[0] else {
        panic!("an error is due")
    };
    assert_eq!(error.code, ErrorCode::AgentOffline);

    world.say(
        conn,
        CommandRequest {
            ttl_ms: Some(500),
            ..request("waits", "a")
        },
    );
    let ToDashboard::Accepted(accepted) = drain(&outbox).remove(0) else {
        panic!("it is accepted")
    };
    let id = accepted.commands[0].command_id;
    assert_eq!(world.hub.next_deadline(), Some(Timestamp(world.now + 500)));
    world.now += 500;
    world.handle(Event::Tick);
    assert_eq!(summary(&world.hub, id).state, State::Expired);
    let (_, heard) = world.agent("a", None, Vec::new());
    assert!(executed(&heard).is_empty());
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    let mut world = World::new();
    let (agent, _) = world.agent("a", None, Vec::new());
    let (conn, outbox) = world.dashboard(Role::Operator);
    world.say(conn, request("ends", "a"));
    let ToDashboard::Accepted(accepted) = drain(&outbox).remove(0) else {
        panic!("it is accepted")
    };
    let id = accepted.commands[0].command_id;
    world.settle();
    world.status(agent, exited(id));
    world.now -= 600_000;
    world.handle(Event::Tick);
    assert!(world.saved.is_empty());
    world.settle();
    assert_eq!(world.saved, [id], "its end is saved as soon as ever");
}

#[test]
fn a_connected_agent_is_known_to_have_been_alive() {
    let mut world = World::new();
    let (agent, _) = world.agent("a", None, Vec::new());
    let joined = world.now;
    world.hub.seen_saved = Timestamp(joined);
    // About as far apart as its signs of life: a daemon that is killed knows no worse when it was there.
    world.now += 16 * 1000;
    let effects = world
        .hub
        .handle(Event::AgentLatency(agent, 3), Timestamp(world.now));
    let [Effect::Save(rows)] = &effects[..] else {
        panic!("it is saved")
    };
    let [Save::Agent(row)] = &rows[..] else {
        panic!("one agent is connected")
    };
    assert_eq!((row.since.0, row.last_seen.0), (joined, world.now));
    world.hub.restore_agent(row.clone());
    let info = world.hub.agent_info(&row.agent_id).unwrap();
    assert_eq!(info.since.0, world.now, "away since it was last heard");
}

#[test]
fn a_forgotten_agent_takes_its_commands_along() {
    let mut world = World::new();
    let (agent, heard) = world.agent("a", Some(1), Vec::new());
    let (operator, refused) = world.dashboard(Role::Operator);
    let (admin, outbox) = world.dashboard(Role::Admin);
    world.say(operator, request("runs", "a"));
    world.say(operator, request("waits", "a"));
    let runs = executed(&heard)[0];
    world.status(agent, CommandStatus::new(runs, State::Running));
    let waits = world.hub.agents.values().next().unwrap().waiting[0];
    let forget = AgentForget {
        agent_id: AgentId::new("a").unwrap(),
    };
    let code = |outbox: &Outbox| match drain(outbox).pop() {
        Some(ToDashboard::Error(error)) => error.code,
        other => panic!("an error is due, not {other:?}"),
    };
    world.say(admin, forget.clone());
    assert_eq!(code(&outbox), ErrorCode::BadRequest, "it is connected");
    world.handle(Event::AgentLeft(agent, "gone".to_owned()));
    world.say(operator, forget.clone());
    assert_eq!(code(&refused), ErrorCode::Forbidden);
    world.say(admin, forget.clone());
    let answers = drain(&outbox);
    assert_eq!(answers, [ToDashboard::AgentForgotten(forget.clone())]);
    assert_eq!(summary(&world.hub, runs).state, State::Lost);
    assert_eq!(summary(&world.hub, waits).state, State::Cancelled);
    assert!(world.hub.agents.is_empty());
    world.say(admin, forget);
    assert_eq!(code(&outbox), ErrorCode::UnknownAgent);
}

#[test]
fn a_repeated_request_has_its_answer_also_while_its_agent_is_away() {
    let mut world = World::new();
    let (agent, heard) = world.agent("a", None, Vec::new());
    let (conn, outbox) = world.dashboard(Role::Operator);
    world.say(conn, request("k", "a"));
    let id = executed(&heard)[0];
    world.handle(Event::AgentLeft(agent, "gone".to_owned()));
    drain(&outbox);
    // As it is known here, and as only the store knows it.
    for forgets in [false, true] {
        if forgets {
            world.hub.requests.clear();
        }
        world.say(conn, request("k", "a"));
        let ToDashboard::Accepted(again) = drain(&outbox).remove(0) else {
            panic!("it was accepted before")
        };
        assert_eq!(again.commands[0].command_id, id);
    }
    let other = CommandRequest {
        ttl_ms: Some(500),
        ..request("k", "a")
    };
    world.say(conn, other);
    let ToDashboard::Error(error) = drain(&outbox).remove(0) else {
        panic!("the key is taken")
    };
    assert_eq!(error.code, ErrorCode::KeyReused);
    assert!(error.message.ends_with("what differs: ttlMs (--ttl)"));
}
