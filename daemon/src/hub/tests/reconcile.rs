//! Hub and agents as pure state machines, driven through drops, crashes, full queues and time: whatever happens, every
//! command starts at most once, every sequence of statuses is legal, and in the end everybody agrees.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use opsctl_protocol::message::{
    AgentForget, CommandCancel, CommandInterrupt, CommandRequest, DashboardConnect, Role, State,
    Target,
};
use opsctl_protocol::{
    AgentId, Channel, CommandId, DashboardMessage, Header, Timestamp, ToDashboard,
};
use proptest::prelude::*;

use super::far_agent::{FarAgent, Said};
use super::{FakePort, FakeWire, Heard, drain, request, rights};
use crate::fanout::channel::Body;
use crate::fanout::{Outbox, Stream};
use crate::hub::{
    ConnId, Effect, Event, Hub, HubOptions, Journaled, Recalled, Save, Withdrawal, settle,
};
use crate::log::Room;
use crate::ring::Bounds;
use crate::store::{AgentRow, CommandRow, RequestRow};

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    Ask {
        agent: usize,
        ttl: Option<u64>,
    },
    AskAll {
        fanout: u32,
    },
    AskAgain(usize),
    Cancel(usize),
    Interrupt(usize),
    /// Somebody says that an agent will not come back.
    Forget(usize),
    Connect(usize),
    /// The connection breaks; the daemon hears of it at once, or only when the agent is back.
    Drop {
        agent: usize,
        heard: bool,
    },
    CrashAgent {
        agent: usize,
        holders_die: bool,
    },
    /// Messages arrive.
    ToAgent(usize),
    ToHub(usize),
    /// Something happens to a program.
    Work {
        agent: usize,
        which: usize,
        ends: bool,
    },
    /// The disk finishes what it has been given longest.
    Disk,
    /// The disk is full for a moment: what it was given longest fails.
    DiskFails,
    /// `kill -9` of the daemon; it starts again on what the disk has.
    CrashDaemon,
    Time(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let agent = 0..2_usize;
    let ttl = prop_oneof![Just(None), Just(Some(200)), Just(Some(100_000))];
    prop_oneof![
        3 => (agent.clone(), ttl).prop_map(|(agent, ttl)| Step::Ask { agent, ttl }),
        1 => (1..3_u32).prop_map(|fanout| Step::AskAll { fanout }),
        1 => (0..8_usize).prop_map(Step::AskAgain),
        2 => (0..8_usize).prop_map(Step::Cancel),
        1 => (0..8_usize).prop_map(Step::Interrupt),
        1 => agent.clone().prop_map(Step::Forget),
        4 => agent.clone().prop_map(Step::Connect),
        2 => (agent.clone(), any::<bool>()).prop_map(|(agent, heard)| Step::Drop { agent, heard }),
        1 => (agent.clone(), any::<bool>())
            .prop_map(|(agent, holders_die)| Step::CrashAgent { agent, holders_die }),
        8 => agent.clone().prop_map(Step::ToAgent),
        8 => agent.clone().prop_map(Step::ToHub),
        6 => (agent, 0..4_usize, any::<bool>())
            .prop_map(|(agent, which, ends)| Step::Work { agent, which, ends }),
        8 => Just(Step::Disk),
        1 => Just(Step::DiskFails),
        2 => Just(Step::CrashDaemon),
        3 => prop_oneof![Just(1_u64), Just(60), Just(300)].prop_map(Step::Time),
    ]
}

/// Work that the disk was given and has not done.
enum Pending {
    Journal(RequestRow),
    Recall(String),
    Save(Vec<Save>),
    Withdraw(Withdrawal),
    Log(CommandId, u64),
}

/// What survives a crash of the daemon.
#[derive(Default)]
struct Disk {
    agents: BTreeMap<AgentId, AgentRow>,
    requests: BTreeMap<String, RequestRow>,
    commands: BTreeMap<CommandId, CommandRow>,
    log: BTreeMap<CommandId, u64>,
}

struct World {
    hub: Hub,
    now: u64,
    epoch: u64,
    disk: Disk,
    pending: VecDeque<Pending>,
    agents: [FarAgent; 2],
    next_conn: u64,
    dashboard: (ConnId, Arc<Outbox>),
    asked: Vec<CommandRequest>,
    /// Every status that was told, with the epoch of its telling.
    told: BTreeMap<CommandId, Vec<(u64, State)>>,
    /// Commands that were given up with their agent, whose programs may go on.
    forgotten: BTreeSet<CommandId>,
    /// Up to which push each command's channel has been looked at in this epoch.
    seen: BTreeMap<CommandId, u64>,
}

fn hub(epoch: u64) -> Hub {
    let options = HubOptions {
        max_agents: 100,
        heartbeat: std::time::Duration::from_secs(15),
        agent_limits: opsctl_protocol::message::LimitsInfo::default(),
        dashboard_limits: opsctl_protocol::message::LimitsInfo::default(),
        ring_lines: 1000,
        ring_bytes: 100_000,
        version: "test".to_owned(),
        rules: Arc::new(crate::activity::Rules::new(&[]).0),
    };
    Hub::new(options, epoch.to_string().into(), Arc::default())
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            hub: hub(0),
            now: 1_000_000,
            epoch: 0,
            disk: Disk::default(),
            pending: VecDeque::new(),
            agents: [FarAgent::new("a"), FarAgent::new("b")],
            next_conn: 0,
            dashboard: (ConnId(0), Arc::default()),
            asked: Vec::new(),
            told: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            seen: BTreeMap::new(),
        };
        world.join();
        for agent in 0..2 {
            world.step(&Step::Connect(agent));
        }
        world
    }

    fn conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    /// A person looks at the daemon.
    fn join(&mut self) {
        self.dashboard = (self.conn(), Arc::default());
        self.handle(Event::DashboardJoined {
            conn: self.dashboard.0,
            rights: rights(Role::Admin),
            hello: DashboardConnect::default(),
            id: None,
            outbox: Arc::clone(&self.dashboard.1),
            wire: Arc::new(FakeWire::default()),
        });
    }

    fn say(&mut self, message: impl Into<DashboardMessage>) {
        let event = Event::DashboardSaid(self.dashboard.0, Header::asking("1"), message.into());
        self.handle(event);
    }

    fn handle(&mut self, event: Event) {
        for effect in self.hub.handle(event, Timestamp(self.now)) {
            match effect {
                Effect::Journal(row) => self.pending.push_back(Pending::Journal(*row)),
                Effect::Save(rows) => self.pending.push_back(Pending::Save(rows)),
                Effect::Withdraw(one) => self.pending.push_back(Pending::Withdraw(*one)),
                Effect::Log(_, record) => {
                    let done = Pending::Log(record.command, record.end());
                    self.pending.push_back(done);
                }
                Effect::RecallRequest(key) => self.pending.push_back(Pending::Recall(key)),
                Effect::Recall(..)
                | Effect::Message(..)
                | Effect::Probe(_)
                | Effect::Look(_)
                | Effect::Find(..)
                | Effect::Query(_)
                | Effect::Survey(_)
                | Effect::Forget(_) => {}
            }
        }
        drain(&self.dashboard.1);
        self.look();
    }

    /// Notes every status that was pushed since the last look.
    fn look(&mut self) {
        for (channel, state) in &self.hub.channels {
            let Channel::Command(id) = channel else {
                continue;
            };
            let seen = self.seen.entry(*id).or_default();
            for entry in state.stream.ring().iter().filter(|entry| entry.seq > *seen) {
                if let Body::Message(message) = &entry.body
                    && let ToDashboard::Status(status) = &**message
                {
                    let told = self.told.entry(*id).or_default();
                    told.push((self.epoch, status.state));
                }
            }
            *seen = state.stream.ring().next() - 1;
        }
    }

    /// The disk does what it was given longest; true when there was something.
    fn disk(&mut self) -> bool {
        let Some(work) = self.pending.pop_front() else {
            return false;
        };
        let answer = match work {
            Pending::Journal(row) => Event::Journaled(row.key.clone(), self.disk.journal(row)),
            Pending::Recall(key) => {
                let known = self.disk.requests.get(&key).cloned();
                let outcome = known.map_or(Journaled::Unknown, |known| {
                    Journaled::Known(Box::new(known))
                });
                Event::Journaled(key, outcome)
            }
            Pending::Save(rows) => Event::Saved(self.disk.save(rows)),
            Pending::Withdraw(one) => {
                for (row, _) in &one.rows {
                    self.disk.put(row);
                    if one.forgotten.is_some() && row.summary.state == State::Lost {
                        self.forgotten.insert(row.summary.command_id);
                    }
                }
                if let Some(agent_id) = &one.forgotten {
                    self.disk.agents.remove(agent_id);
                }
                Event::Withdrawn(Box::new(one), Ok(()))
            }
            Pending::Log(id, end) => {
                self.disk.log.insert(id, end);
                Event::Durable(vec![(id, end)])
            }
        };
        self.handle(answer);
        true
    }

    /// What is tried again waits for its next turn; who waits for an answer gets one.
    fn disk_fails(&mut self) {
        let full = || "full".to_owned();
        match self.pending.pop_front() {
            Some(Pending::Journal(row)) => {
                self.handle(Event::Journaled(row.key, Journaled::Failed(full())));
            }
            Some(Pending::Recall(key)) => {
                self.handle(Event::Journaled(key, Journaled::Failed(full())));
            }
            Some(Pending::Withdraw(one)) if one.asked.is_some() => {
                self.handle(Event::Withdrawn(Box::new(one), Err(full())));
            }
            Some(work) => self.pending.push_front(work),
            None => {}
        }
    }

    /// `kill -9`, and a start on what the disk has.
    fn crash_daemon(&mut self) {
        self.epoch += 1;
        self.pending.clear();
        self.seen.clear();
        for agent in &mut self.agents {
            agent.disconnect();
        }
        let mut hub = hub(self.epoch);
        for row in self.disk.agents.values() {
            hub.restore_agent(row.clone());
        }
        let living = |row: &&CommandRow| !row.summary.state.is_final();
        let mut rows: Vec<_> = self
            .disk
            .commands
            .values()
            .filter(living)
            .cloned()
            .collect();
        rows.sort_by_key(|row| row.summary.created_at);
        for row in &rows {
            let request = self.disk.requests.get(&row.key).cloned();
            if let Some(request) = request.filter(|request| request.fanout.is_some()) {
                hub.restore_request(request);
            }
        }
        for row in rows {
            let id = row.summary.command_id;
            let end = self.disk.log.get(&id).copied().unwrap_or_default();
            let bounds = Bounds {
                entries: 1000,
                bytes: 1000,
                lines: 1000,
                reserve: 0,
            };
            let epoch = self.epoch.to_string().into();
            let owner = Some(row.summary.agent_id.clone());
            let stream = Stream::new(Channel::Command(id), epoch, owner, bounds);
            hub.restore_command(row, end, Arc::new(stream));
        }
        self.hub = hub;
        self.join();
    }

    fn connect(&mut self, agent: usize) {
        let (conn, heard) = (self.conn(), Heard::default());
        let hello = self.agents[agent].connect(conn, Arc::clone(&heard));
        let recall = |id: CommandId| match self.disk.commands.get(&id) {
            Some(row) if row.summary.state.is_final() => Some((id, Recalled::Settled)),
            Some(_) => None,
            None => Some((id, Recalled::Logged(0))),
        };
        let ids = hello.commands.iter().map(|report| report.status.command_id);
        let recalled = ids.filter_map(recall).collect();
        self.handle(Event::AgentJoined {
            conn,
            rights: rights(Role::Agent),
            hello,
            id: None,
            port: Box::new(FakePort(heard)),
            wire: Arc::new(FakeWire::default()),
            recalled,
        });
    }

    /// The daemon gets one message of an agent; true when there was one.
    fn hub_hears(&mut self, agent: usize) -> bool {
        let far = &mut self.agents[agent];
        let Some((conn, _)) = far.link else {
            return false;
        };
        match far.outgoing.pop_front() {
            Some(Said::Message(message)) => {
                self.handle(Event::AgentSaid(conn, Header::default(), *message));
            }
            Some(Said::Output(frame)) => {
                self.handle(Event::AgentOutput(conn, frame, Room::for_tests()));
            }
            None => return false,
        }
        true
    }

    fn ask(&mut self, request: CommandRequest) {
        self.asked.push(request.clone());
        self.say(request);
    }

    fn nth_command(&self, which: usize) -> Option<CommandId> {
        let ids: Vec<CommandId> = self.told.keys().copied().collect();
        (!ids.is_empty()).then(|| ids[which % ids.len()])
    }

    fn step(&mut self, step: &Step) {
        let key = format!("k{}", self.asked.len());
        match *step {
            Step::Ask { agent, ttl } => {
                let target = Target::Agent(self.agents[agent].name.clone());
                self.ask(CommandRequest {
                    target,
                    ttl_ms: ttl,
                    ..request(&key, "*")
                });
            }
            Step::AskAll { fanout } => self.ask(CommandRequest {
                fanout: Some(fanout),
                ttl_ms: Some(100_000),
                ..request(&key, "*")
            }),
            Step::AskAgain(which) => {
                if let Some(again) = self.asked.get(which).cloned() {
                    self.say(again);
                }
            }
            Step::Cancel(which) => {
                if let Some(command_id) = self.nth_command(which) {
                    self.say(CommandCancel { command_id });
                }
            }
            Step::Interrupt(which) => {
                let command_id = self.nth_command(which);
                if command_id.is_some() {
                    self.say(CommandInterrupt {
                        command_id,
                        ..CommandInterrupt::default()
                    });
                }
            }
            Step::Forget(agent) => self.say(AgentForget {
                agent_id: self.agents[agent].name.clone(),
            }),
            Step::Connect(agent) => self.connect(agent),
            Step::Drop { agent, heard } => {
                let link = self.agents[agent].link.clone();
                self.agents[agent].disconnect();
                if let Some((conn, _)) = link.filter(|_| heard) {
                    self.handle(Event::AgentLeft(conn, "cut".to_owned()));
                }
            }
            Step::CrashAgent { agent, holders_die } => self.agents[agent].crash(holders_die),
            Step::ToAgent(agent) => drop(self.agents[agent].hear()),
            Step::ToHub(agent) => drop(self.hub_hears(agent)),
            Step::Work { agent, which, ends } => self.agents[agent].work(which, ends),
            Step::Disk => drop(self.disk()),
            Step::DiskFails => self.disk_fails(),
            Step::CrashDaemon => self.crash_daemon(),
            Step::Time(ms) => {
                self.now += ms;
                self.handle(Event::Tick);
            }
        }
    }

    /// Nothing breaks any more: everything that can happen does, but that programs which run go on.
    fn heal(&mut self) {
        for agent in 0..2 {
            self.connect(agent);
        }
        for _ in 0..4 {
            self.settle();
            self.now += settle::SAVE_AFTER_MS;
            self.handle(Event::Tick);
        }
    }

    /// Until nothing is on its way.
    fn settle(&mut self) {
        loop {
            let mut moved = self.disk();
            for agent in 0..2 {
                moved |= self.agents[agent].hear();
                moved |= self.hub_hears(agent);
            }
            if !moved {
                return;
            }
        }
    }

    /// As `heal`, and every program comes to its end.
    fn finish(&mut self) {
        self.heal();
        for _ in 0..100 {
            for agent in 0..2 {
                self.agents[agent].work(0, true);
            }
            self.heal();
        }
    }
}

impl Disk {
    fn journal(&mut self, row: RequestRow) -> Journaled {
        if let Some(known) = self.requests.get(&row.key) {
            return Journaled::Known(Box::new(known.clone()));
        }
        for command in &row.commands {
            self.put(command);
        }
        self.requests.insert(row.key.clone(), row);
        Journaled::New
    }

    fn save(&mut self, rows: Vec<Save>) -> Vec<(CommandId, settle::Version)> {
        let mut saved = Vec::new();
        for row in rows {
            match row {
                Save::Agent(row) => drop(self.agents.insert(row.agent_id.clone(), row)),
                Save::Command(row, version) => {
                    self.put(&row);
                    saved.push((row.summary.command_id, version));
                }
            }
        }
        saved
    }

    fn put(&mut self, row: &CommandRow) {
        self.commands.insert(row.summary.command_id, row.clone());
    }
}

/// Whether a state may follow another one, told by the same run of the daemon.
fn may_follow(before: State, after: State) -> bool {
    use State::{Cancelled, Delivered, Exited, Expired, Failed, Lost, Queued, Running};
    before == after && !before.is_final()
        || matches!(
            (before, after),
            (Queued, Delivered | Running | Cancelled | Expired)
                | (
                    Delivered,
                    Queued | Running | Exited | Failed | Cancelled | Expired | Lost
                )
                | (Running, Exited | Failed | Lost)
        )
}

/// What must hold at any time.
fn check_always(world: &World) -> Result<(), TestCaseError> {
    for (id, told) in &world.told {
        for pair in told.windows(2) {
            let ((epoch, before), (later, after)) = (pair[0], pair[1]);
            // An agent may come back without it, and go again, while both are being given up.
            let given_up = after == State::Lost && world.forgotten.contains(id);
            prop_assert!(
                epoch != later || given_up || may_follow(before, after),
                "{id}: {before} and then {after}: {told:?}"
            );
        }
        let starts: u32 = world
            .agents
            .iter()
            .filter_map(|agent| agent.starts.get(id))
            .sum();
        prop_assert!(starts <= 1, "{id} was started {starts} times");
        let ends: Vec<State> = told
            .iter()
            .map(|(_, state)| *state)
            .filter(|state| state.is_final())
            .collect();
        prop_assert!(
            ends.windows(2).all(|pair| pair[0] == pair[1]),
            "{id} has ended twice: {told:?}"
        );
        if let Some(State::Cancelled | State::Expired) = ends.first() {
            prop_assert_eq!(starts, 0, "{} was told to be taken back: {:?}", id, told);
            // Its agent had it, and tells its end until it may forget it.
            let is_kept = world.agents.iter().any(|agent| agent.has_ended(*id));
            let stored = world.disk.commands.get(id).map(|row| row.summary.state);
            prop_assert!(
                is_kept || stored == ends.first().copied(),
                "{id} is {stored:?} on disk"
            );
        }
        let given_up = world.agents.iter().any(|agent| agent.given_up.contains(id));
        prop_assert!(
            !given_up || world.forgotten.contains(id),
            "{id} was settled and has not ended"
        );
        if ends.first() == Some(&State::Lost) {
            let died = world.agents.iter().any(|agent| agent.died.contains(id));
            let forgotten = world.forgotten.contains(id);
            prop_assert!(died || forgotten, "{id} was given up and lives");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn whatever_breaks_every_command_starts_once_and_everybody_agrees(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            check_always(&world)?;
        }
        world.heal();
        check_always(&world)?;
        for (id, row) in &world.disk.commands {
            let state = row.summary.state;
            let runs = world.agents.iter().any(|agent| agent.runs(*id));
            let forgotten = world.forgotten.contains(id);
            prop_assert!(forgotten || (state == State::Running) == runs, "{id}: {state}");
        }
        world.finish();
        check_always(&world)?;
        for (id, row) in &world.disk.commands {
            prop_assert!(row.summary.state.is_final(), "{id} is {}", row.summary.state);
            let logged = world.disk.log.get(id).copied().unwrap_or_default();
            // What only its holder had is gone with it; the hub has said so with a gap.
            if row.summary.state == State::Lost {
                prop_assert!(row.summary.output_bytes >= logged);
            } else {
                prop_assert_eq!(row.summary.output_bytes, logged, "{} has lost output", id);
            }
        }
        for key in world.disk.requests.keys() {
            prop_assert!(world.asked.iter().any(|asked| asked.key == *key));
        }
    }
}
