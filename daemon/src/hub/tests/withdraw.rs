//! Commands that are taken back while the disk is slow, or full.

use std::sync::Arc;

use opsctl_protocol::message::{AgentForget, CommandCancel, CommandRequest, Role, State, Target};
use opsctl_protocol::{AgentId, CommandId, DashboardMessage, Header, Timestamp, ToDashboard};

use super::{Event, Heard, Outbox, World, drain, executed, request, summary};
use crate::hub::{ConnId, Effect, Withdrawal};

/// A command that waits for its agent, which is away, and somebody who may take it back.
struct Waiting {
    world: World,
    command_id: CommandId,
    admin: ConnId,
    answers: Arc<Outbox>,
}

impl Waiting {
    fn new() -> Self {
        let mut world = World::new();
        let (agent, _) = world.agent("a", None, Vec::new());
        world.handle(Event::AgentLeft(agent, "gone".to_owned()));
        let (admin, answers) = world.dashboard(Role::Admin);
        let asked = CommandRequest {
            target: Target::Agent(AgentId::new("a").unwrap()),
            ttl_ms: Some(60_000),
            ..request("k", "*")
        };
        world.say(admin, asked);
        drain(&answers);
        let command_id = world.hub.agents.values().next().unwrap().waiting[0];
        Self {
            world,
            command_id,
            admin,
            answers,
        }
    }

    /// Hands an event to the hub, whose withdrawal stays with the disk.
    fn withdrawal(&mut self, event: Event) -> Withdrawal {
        let effects = self.world.hub.handle(event, Timestamp(self.world.now));
        let mut withdrawals = effects.into_iter().filter_map(|effect| match effect {
            Effect::Withdraw(withdrawal) => Some(*withdrawal),
            _ => None,
        });
        withdrawals.next().expect("something is taken back")
    }

    fn ask(&mut self, message: impl Into<DashboardMessage>) -> Withdrawal {
        let said = Event::DashboardSaid(self.admin, Header::asking("1"), message.into());
        self.withdrawal(said)
    }

    fn cancel(&mut self) -> Withdrawal {
        let command_id = self.command_id;
        self.ask(CommandCancel { command_id })
    }

    fn written(&mut self, withdrawal: Withdrawal) {
        self.world
            .handle(Event::Withdrawn(Box::new(withdrawal), Ok(())));
    }

    fn fails(&mut self, withdrawal: Withdrawal) {
        let full = Err("the disk is full".to_owned());
        self.world
            .handle(Event::Withdrawn(Box::new(withdrawal), full));
    }

    fn agent_comes(&mut self) -> Heard {
        self.world.agent("a", None, Vec::new()).1
    }

    fn state(&self) -> State {
        summary(&self.world.hub, self.command_id).state
    }

    /// The state that the next answer tells of; nothing for an error.
    fn answer(&self) -> Option<State> {
        match drain(&self.answers).remove(0) {
            ToDashboard::CommandList(list) => Some(list.commands[0].state),
            ToDashboard::Error(_) => None,
            other => panic!("a list or an error is due, not {other:?}"),
        }
    }
}

#[test]
fn a_command_that_two_take_back_is_not_given_out_when_only_the_first_write_fails() {
    let mut waiting = Waiting::new();
    let (first, second) = (waiting.cancel(), waiting.cancel());
    let heard = waiting.agent_comes();
    waiting.fails(first);
    assert_eq!(waiting.answer(), None, "that one failed");
    waiting.world.settle();
    assert_eq!(waiting.state(), State::Queued, "nothing else is written");
    waiting.written(second);
    assert_eq!(waiting.answer(), Some(State::Cancelled));
    waiting.world.settle();
    assert!(waiting.world.saved.contains(&waiting.command_id));
    assert_eq!(executed(&heard), []);
}

#[test]
fn a_command_whose_second_withdrawal_fails_has_ended_all_the_same() {
    let mut waiting = Waiting::new();
    let (first, second) = (waiting.cancel(), waiting.cancel());
    let heard = waiting.agent_comes();
    waiting.written(first);
    assert_eq!(waiting.answer(), Some(State::Cancelled));
    waiting.fails(second);
    assert_eq!(waiting.answer(), Some(State::Cancelled), "as it is");
    assert_eq!(executed(&heard), []);
}

#[test]
fn a_command_that_nobody_could_take_back_goes_out() {
    let mut waiting = Waiting::new();
    let (first, second) = (waiting.cancel(), waiting.cancel());
    let heard = waiting.agent_comes();
    waiting.fails(first);
    waiting.fails(second);
    assert_eq!(executed(&heard), [waiting.command_id]);
}

#[test]
fn who_takes_back_what_runs_out_of_time_hears_that_it_has_expired() {
    let mut waiting = Waiting::new();
    waiting.world.now += 60_000;
    let (first, second) = (waiting.withdrawal(Event::Tick), waiting.cancel());
    let written = |one: &Withdrawal| one.rows[0].0.summary.state;
    assert_eq!(written(&second), State::Expired, "both write the same end");
    waiting.written(second);
    assert_eq!(waiting.answer(), Some(State::Expired));
    waiting.written(first);
    assert_eq!(waiting.state(), State::Expired);
}

#[test]
fn what_waits_for_an_agent_that_comes_back_while_it_is_forgotten_goes_out() {
    let mut waiting = Waiting::new();
    let agent_id = AgentId::new("a").unwrap();
    let forget = waiting.ask(AgentForget { agent_id });
    let heard = waiting.agent_comes();
    assert_eq!(executed(&heard), []);
    waiting.written(forget);
    assert_eq!(waiting.answer(), None, "it is there");
    assert_eq!(executed(&heard), [waiting.command_id]);
}
