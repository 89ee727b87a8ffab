//! What those hear who ask what became of their keys.

use std::sync::Arc;

use bytes::Bytes;
use opsctl_protocol::message::{
    CommandInput, CommandReport, CommandStatus, ErrorCode, Payload, Role, State,
};
use opsctl_protocol::{CommandId, DashboardMessage, Header, ToDashboard};

use super::{ConnId, Event, Next, Outbox, World, executed, request};

/// A command that runs, somebody who types into it, and its agent.
struct Typing {
    world: World,
    agent: ConnId,
    conn: ConnId,
    heard: Arc<Outbox>,
    command: CommandId,
}

impl Typing {
    fn new() -> Self {
        let mut world = World::new();
        let (agent, told) = world.agent("a", None, Vec::new());
        let (conn, heard) = world.dashboard(Role::Operator);
        world.say(conn, request("k", "a"));
        let command = executed(&told)[0];
        let mut typing = Self {
            world,
            agent,
            conn,
            heard,
            command,
        };
        typing.has(0);
        typing.answers();
        typing
    }

    /// The agent has so many bytes of input.
    fn has(&mut self, received: u64) {
        self.world
            .status(self.agent, running(self.command, received));
    }

    fn leaves(&mut self) {
        let left = Event::AgentLeft(self.agent, "killed".to_owned());
        self.world.handle(left);
    }

    fn is_back(&mut self, received: u64) {
        let report = CommandReport {
            status: running(self.command, received),
            from: 0,
            to: 0,
            spec: None,
            main: false,
        };
        (self.agent, _) = self.world.agent("a", None, vec![report]);
    }

    /// Types these without an `id`.
    fn types(&mut self, keys: &'static str) {
        self.say(Header::default(), keys);
    }

    /// Asks what became of what was typed.
    fn asks(&mut self, id: &str) {
        self.say(Header::asking(id), "");
    }

    fn say(&mut self, header: Header, keys: &'static str) {
        let input = CommandInput {
            command_id: self.command,
            data: Payload(Bytes::from_static(keys.as_bytes())),
            offset: None,
            eof: false,
        };
        let message = DashboardMessage::Input(input);
        self.world
            .handle(Event::DashboardSaid(self.conn, header, message));
    }

    /// The answers to questions since the last look, each with the code of an error.
    fn answers(&self) -> Vec<(String, Option<ErrorCode>)> {
        let mut answers = Vec::new();
        while let Some(next) = self.heard.try_next() {
            if let Next::Control(header, message) = next
                && let Some(re) = header.re
            {
                let code = match *message {
                    ToDashboard::Error(error) => Some(error.code),
                    _ => None,
                };
                answers.push((re, code));
            }
        }
        answers
    }
}

fn running(command: CommandId, received: u64) -> CommandStatus {
    CommandStatus {
        input_received: Some(received),
        ..CommandStatus::new(command, State::Running)
    }
}

#[test]
fn keys_that_were_refused_are_not_told_to_have_come_with_earlier_ones() {
    let mut typing = Typing::new();
    typing.types("a");
    typing.asks("of a");
    typing.types("b");
    typing.leaves();
    typing.asks("of b");
    typing.types("c");
    typing.asks("of c");
    let away = Some(ErrorCode::AgentOffline);
    assert_eq!(typing.answers(), [("of c".to_owned(), away)]);
    typing.is_back(0);
    typing.has(2);
    let came = ["of a", "of b"].map(|id| (id.to_owned(), None));
    assert_eq!(typing.answers(), came);
}

#[test]
fn who_asks_of_several_keys_hears_that_one_was_refused_and_once() {
    let mut typing = Typing::new();
    typing.types("a");
    typing.leaves();
    typing.types("b");
    typing.asks("of both");
    let away = Some(ErrorCode::AgentOffline);
    assert_eq!(typing.answers(), [("of both".to_owned(), away)]);
    typing.is_back(1);
    typing.asks("of a");
    assert_eq!(typing.answers(), [("of a".to_owned(), None)]);
}

#[test]
fn keys_that_came_before_the_agent_went_have_come() {
    let mut typing = Typing::new();
    typing.types("a");
    typing.has(1);
    typing.leaves();
    typing.asks("of a");
    assert_eq!(typing.answers(), [("of a".to_owned(), None)]);
}

#[test]
fn keys_that_the_agent_refuses_between_the_key_and_the_question_are_lost() {
    let mut typing = Typing::new();
    typing.types("a");
    let refused = CommandStatus {
        input_refused: true,
        ..running(typing.command, 0)
    };
    typing.world.status(typing.agent, refused);
    typing.asks("of a");
    let lost = Some(ErrorCode::InputRejected);
    assert_eq!(typing.answers(), [("of a".to_owned(), lost)]);
}
