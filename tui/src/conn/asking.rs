//! Questions to the daemon that have an answer, which comes back as a message.

use opsctl_client::RequestError;
use opsctl_protocol::CommandId;
use opsctl_protocol::message::{
    CommandCancel, CommandInterrupt, CommandQuery, CommandRequest, CommandSpec, ConnectionQuery,
    DashboardMessage, Program, Signal, Target, TerminalType, ToDashboard,
};

use super::Conn;
use crate::state::commands::Again;
use crate::state::saying::{Saying, Words};
use crate::state::{Answer, Message};

impl Conn {
    pub(super) fn run(&self, request: CommandRequest) -> Option<Message> {
        self.ask("run", request, |answer| match answer {
            ToDashboard::Accepted(accepted) => Some(Answer::Accepted(accepted)),
            _ => None,
        })
    }

    pub(super) fn history(&self, query: CommandQuery) -> Option<Message> {
        self.ask("history", query, |answer| match answer {
            ToDashboard::CommandList(list) => Some(Answer::History(list)),
            _ => None,
        })
    }

    pub(super) fn connections(&self, query: ConnectionQuery) -> Option<Message> {
        self.ask("connections", query, |answer| match answer {
            ToDashboard::ConnectionList(list) => Some(Answer::Connections(list)),
            _ => None,
        })
    }

    pub(super) fn cancel(&self, command_id: CommandId) -> Option<Message> {
        self.ask(
            "cancel",
            CommandCancel { command_id },
            |answer| match answer {
                ToDashboard::CommandList(list) => Some(Answer::Cancelled(list.commands.len())),
                _ => None,
            },
        )
    }

    pub(super) fn query(&self, query: CommandQuery) -> Option<Message> {
        let id = query.id_prefix.clone();
        self.ask("commands", query, move |answer| match (answer, id) {
            (ToDashboard::CommandList(list), Some(id)) => Some(Answer::Found {
                id,
                commands: list.commands,
            }),
            (ToDashboard::CommandList(list), None) => Some(Answer::Commands(list.commands)),
            _ => None,
        })
    }

    pub(super) fn signal(&self, command: CommandId, signal: Signal) -> Option<Message> {
        let interrupt = CommandInterrupt {
            command_id: Some(command),
            agent_id: None,
            signal,
            escalate: false,
        };
        self.ask("signal", interrupt, move |answer| match answer {
            ToDashboard::CommandList(list) => Some(Answer::Signalled {
                signal,
                command,
                reached: !list.commands.is_empty(),
            }),
            _ => None,
        })
    }

    pub(super) fn say(&self, saying: Saying) -> Option<Message> {
        let (client, answers) = (self.client.clone(), self.answers.clone());
        let key = saying.key.clone();
        tokio::spawn(async move {
            let word = match client.request(type_request(saying)).await {
                Ok(ToDashboard::Typed(typed)) => Ok(typed),
                Ok(_) => Err("the daemon answered something else".to_owned()),
                Err(RequestError::Closed) => return,
                Err(error) => Err(error.to_string()),
            };
            // Nobody listens any more when the console is being left.
            let _ = answers.send(Message::Answer(Answer::Said(key, word))).await;
        });
        None
    }

    /// Asks, and has the answer delivered as a message.
    fn ask(
        &self,
        what: &'static str,
        question: impl Into<DashboardMessage>,
        read: impl FnOnce(ToDashboard) -> Option<Answer> + Send + 'static,
    ) -> Option<Message> {
        let (client, answers, question) =
            (self.client.clone(), self.answers.clone(), question.into());
        tokio::spawn(async move {
            let refused = |why: String| Answer::Refused { what, why };
            let answer = match client.request(question).await {
                Ok(answer) => read(answer)
                    .unwrap_or_else(|| refused("the daemon answered something else".to_owned())),
                Err(RequestError::Closed) => return,
                Err(error) => refused(error.to_string()),
            };
            // Nobody listens any more when the console is being left.
            let _ = answers.send(Message::Answer(answer)).await;
        });
        None
    }
}

/// A message as the daemon takes it: it gives way to whatever a person should look at first.
fn type_request(saying: Saying) -> TerminalType {
    let Saying { key, to, words } = saying;
    let (text, answer, when_idle) = match words {
        Words::Text { text, when_idle } => (Some(text), None, when_idle),
        Words::Answer(answer) => (None, Some(answer), false),
    };
    TerminalType {
        key,
        command_id: to.command,
        agent_id: to.command.is_none().then_some(to.agent),
        submit: text.is_some(),
        text,
        answer,
        lines: false,
        when_idle,
        ttl_ms: None,
        at_approval: false,
        while_working: false,
        over_draft: false,
    }
}

pub(super) fn run_request(
    target: Target,
    program: Program,
    (cols, rows): (u16, u16),
) -> CommandRequest {
    let mut spec = CommandSpec::new(program);
    spec.pty = true;
    spec.cols = cols;
    spec.rows = rows;
    CommandRequest {
        key: CommandId::random().to_string(),
        target,
        spec,
        ttl_ms: None,
        fanout: None,
        limit: None,
    }
}

pub(super) fn again_request(again: Again) -> CommandRequest {
    let mut request = run_request(Target::Agent(again.agent), again.program, again.size);
    request.spec.pty = again.pty;
    request.spec.cwd = again.cwd;
    request
}
