//! The connection to the daemon: its events become messages, effects become requests.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use opsctl_client::{Client, ConnState, Event, Events, Outcome, RequestError};
use opsctl_protocol::message::{
    CommandCancel, CommandInput, CommandInterrupt, CommandQuery, CommandRequest, CommandResize,
    CommandSpec, ConnectionQuery, DashboardMessage, Payload, Program, Signal, Subscribe, Target,
    TerminalType, ToDashboard,
};
use opsctl_protocol::{AgentId, Channel, CommandId, Pattern, Timestamp};
use opsctl_terminal::Lines;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::export::Form;
use crate::state::activity::Told;
use crate::state::commands::Again;
use crate::state::hidden::From;
use crate::state::older::Older;
use crate::state::saying::{Saying, Words};
use crate::state::work::Job;
use crate::state::{Answer, Effect, Link, Message};

/// Answers that may wait for the loop, which takes them before anything else of the daemon's.
const WAITING_ANSWERS: usize = 64;

/// Pieces of input that may wait for the connection. When it is full, what is typed is refused with
/// a message, so that nothing arrives much later, where it would no longer be meant.
const WAITING_INPUT: usize = 256;

/// Subscriptions that may wait for the daemon; they are made in order.
const WAITING_SUBSCRIPTIONS: usize = 256;

/// Speaks to the daemon for the console.
pub(crate) struct Conn {
    client: Client,
    /// For further connections.
    options: opsctl_client::Options,
    answers: mpsc::Sender<Message>,
    input: mpsc::Sender<CommandInput>,
    subscriptions: mpsc::Sender<Subscription>,
    /// Work that goes on, to be stopped by its name.
    work: HashMap<Job, AbortHandle>,
}

/// Bytes of older output between two words about how far it is.
const PROGRESS: u64 = 256 * 1024;

enum Subscription {
    Start(Subscribe),
    Stop(Pattern),
    /// Of a command, for who has seen the output before this byte.
    Resume(CommandId, u64),
}

/// What the console hears.
pub(crate) struct Heard {
    /// What comes from the daemon by itself.
    pub(crate) events: Events,
    /// What comes of effects.
    pub(crate) answers: mpsc::Receiver<Message>,
}

impl Conn {
    /// Connects, and starts the tasks that keep things in order. Must be called within a runtime.
    pub(crate) fn start(options: opsctl_client::Options) -> (Self, Heard) {
        let (client, events) = opsctl_client::start(options.clone());
        let (answers, answers_out) = mpsc::channel(WAITING_ANSWERS);
        let (input, input_out) = mpsc::channel(WAITING_INPUT);
        let (subscriptions, subscriptions_out) = mpsc::channel(WAITING_SUBSCRIPTIONS);
        tokio::spawn(type_in_order(client.clone(), input_out, answers.clone()));
        tokio::spawn(subscribe_in_order(
            client.clone(),
            subscriptions_out,
            answers.clone(),
        ));
        let conn = Self {
            client,
            options,
            answers,
            input,
            subscriptions,
            work: HashMap::new(),
        };
        (
            conn,
            Heard {
                events,
                answers: answers_out,
            },
        )
    }

    /// Has a command do what the terminal may not, and says so only where it fails.
    pub(crate) fn copy_by(&self, command: String, text: String) {
        let answers = self.answers.clone();
        tokio::spawn(async move {
            if let Err(why) = crate::hand_over::copy_by(&command, text).await {
                // Nobody listens any more when the console is being left.
                let _ = answers.send(Message::Error(why)).await;
            }
        });
    }

    /// Says goodbye to the daemon.
    pub(crate) async fn close(self) {
        self.client.close().await;
    }

    /// Does an effect that concerns the daemon. The result is a message where it came to nothing at once.
    pub(crate) fn perform(&mut self, effect: Effect) -> Option<Message> {
        match effect {
            Effect::Subscribe(subscribe) => self.subscription(Subscription::Start(subscribe)),
            Effect::Unsubscribe(pattern) => self.subscription(Subscription::Stop(pattern)),
            Effect::Resume { command, next } => {
                self.subscription(Subscription::Resume(command, next))
            }
            Effect::Run {
                target,
                program,
                size,
            } => self.run(run_request(target, program, size)),
            Effect::Again(again) => self.run(again_request(*again)),
            Effect::Query(query) => self.query(query),
            Effect::History(query) => self.history(query),
            Effect::Connections(query) => self.connections(query),
            Effect::Cancel(command) => self.cancel(command),
            Effect::Signal(command, signal) => self.signal(command, signal),
            Effect::Say(saying) => self.say(*saying),
            Effect::Input(command_id, data) => self.type_in(command_id, data),
            Effect::Resize(command_id, cols, rows) => {
                // Without a connection there is nothing to tell: the size is told on attaching anew.
                let _ = self.client.post(CommandResize {
                    command_id,
                    cols,
                    rows,
                });
                None
            }
            Effect::Reconnect => {
                self.client.reconnect_now();
                None
            }
            Effect::Record {
                command,
                to,
                size,
                path,
            } => {
                let to_whom = (self.options.clone(), self.answers.clone());
                let job = Job::Export(path.clone());
                self.begin(job, record(to_whom, command, to, size, path))
            }
            Effect::Write { path, lines, form } => {
                let answers = self.answers.clone();
                let job = Job::Export(path.clone());
                self.begin(job, write(answers, path, lines, form))
            }
            Effect::LoadOlder(older) => {
                let (options, answers) = (self.options.clone(), self.answers.clone());
                let job = Job::Older(older.command.command_id);
                self.begin(job, load_older(options, *older, answers))
            }
            Effect::Abandon(job) => {
                if let Some(work) = self.work.remove(&job) {
                    work.abort();
                }
                None
            }
            Effect::Copy(_)
            | Effect::Alert(_)
            | Effect::Edit(_)
            | Effect::Remember(_)
            | Effect::Mouse(_)
            | Effect::Suspend
            | Effect::Redraw
            | Effect::Theme(_)
            | Effect::Quit => None,
        }
    }

    /// Sends what was typed for a command.
    fn type_in(&self, command_id: CommandId, data: Bytes) -> Option<Message> {
        let input = CommandInput {
            command_id,
            data: Payload(data),
            offset: None,
            eof: false,
        };
        let full = self.input.try_send(input).is_err();
        full.then(|| Message::Error("the daemon doesn't take input: not sent".to_owned()))
    }

    /// Starts work that goes on beside everything else, until it ends or is abandoned.
    fn begin(
        &mut self,
        job: Job,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Option<Message> {
        self.work.retain(|_, work| !work.is_finished());
        let handle = tokio::spawn(work).abort_handle();
        self.work.insert(job, handle);
        None
    }

    fn subscription(&self, subscription: Subscription) -> Option<Message> {
        let full = self.subscriptions.try_send(subscription).is_err();
        full.then(|| Message::Error("too many changes wait for the daemon".to_owned()))
    }

    fn run(&self, request: CommandRequest) -> Option<Message> {
        self.ask("run", request, |answer| match answer {
            ToDashboard::Accepted(accepted) => Some(Answer::Accepted(accepted)),
            _ => None,
        })
    }

    fn history(&self, query: CommandQuery) -> Option<Message> {
        self.ask("history", query, |answer| match answer {
            ToDashboard::CommandList(list) => Some(Answer::History(list)),
            _ => None,
        })
    }

    fn connections(&self, query: ConnectionQuery) -> Option<Message> {
        self.ask("connections", query, |answer| match answer {
            ToDashboard::ConnectionList(list) => Some(Answer::Connections(list)),
            _ => None,
        })
    }

    fn cancel(&self, command_id: CommandId) -> Option<Message> {
        self.ask(
            "cancel",
            CommandCancel { command_id },
            |answer| match answer {
                ToDashboard::CommandList(list) => Some(Answer::Cancelled(list.commands.len())),
                _ => None,
            },
        )
    }

    fn query(&self, query: CommandQuery) -> Option<Message> {
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

    fn signal(&self, command: CommandId, signal: Signal) -> Option<Message> {
        let interrupt = CommandInterrupt {
            command_id: Some(command),
            agent_id: None,
            signal,
            escalate: false,
        };
        self.ask("signal", interrupt, move |answer| match answer {
            ToDashboard::CommandList(list) => Some(Answer::Signalled(signal, list.commands.len())),
            _ => None,
        })
    }

    fn say(&self, saying: Saying) -> Option<Message> {
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

fn run_request(target: Target, program: Program, (cols, rows): (u16, u16)) -> CommandRequest {
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

fn again_request(again: Again) -> CommandRequest {
    let mut request = run_request(Target::Agent(again.agent), again.program, again.size);
    request.spec.pty = again.pty;
    request.spec.cwd = again.cwd;
    request
}

/// Sends what is typed, in the order in which it was typed.
async fn type_in_order(
    client: Client,
    mut input: mpsc::Receiver<CommandInput>,
    answers: mpsc::Sender<Message>,
) {
    while let Some(piece) = input.recv().await {
        match client.keys(piece).await {
            Ok(receipt) => {
                let answers = answers.clone();
                tokio::spawn(async move {
                    let text = match receipt.outcome().await {
                        Outcome::Arrived => return,
                        Outcome::Lost(why) => why,
                        Outcome::Unknown => {
                            "the connection was lost: what you typed last may not have arrived"
                                .to_owned()
                        }
                    };
                    // Nobody listens any more when the console is being left.
                    let _ = answers.send(Message::Error(text)).await;
                });
            }
            Err(error) => {
                let text = format!("{error}: what you typed was not sent");
                if answers.send(Message::Error(text)).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Subscribes and unsubscribes in order, so that a pane that is closed and opened again is heard.
async fn subscribe_in_order(
    client: Client,
    mut subscriptions: mpsc::Receiver<Subscription>,
    answers: mpsc::Sender<Message>,
) {
    while let Some(subscription) = subscriptions.recv().await {
        let (pattern, result) = match subscription {
            Subscription::Start(subscribe) => {
                let pattern = subscribe.channel.clone();
                (pattern, client.subscribe(subscribe).await.map(|_| ()))
            }
            Subscription::Stop(pattern) => (pattern.clone(), client.unsubscribe(pattern).await),
            Subscription::Resume(command, next) => {
                let from = resume_from(&client, command, next).await;
                let resuming = Message::Answer(Answer::Resuming(command, from));
                if answers.send(resuming).await.is_err() {
                    return;
                }
                let pattern = Pattern::exactly(&Channel::Command(command));
                let subscribe = Subscribe {
                    channel: pattern.clone(),
                    since: from.since(),
                    lossless: false,
                    no_output: false,
                };
                (pattern, client.subscribe(subscribe).await.map(|_| ()))
            }
        };
        let message = match result {
            Ok(()) | Err(RequestError::Closed) => continue,
            Err(RequestError::Refused(error)) => Message::Dropped { pattern, error },
            Err(error) => Message::Error(error.to_string()),
        };
        if answers.send(message).await.is_err() {
            return;
        }
    }
}

/// From where to hear a command's output again: how much was missed decides. Where the daemon can't tell, all of it is
/// asked for.
async fn resume_from(client: &Client, command: CommandId, next: u64) -> From {
    let query = CommandQuery {
        id_prefix: Some(command.to_string()),
        ..CommandQuery::default()
    };
    match client.request(query).await {
        Ok(ToDashboard::CommandList(list)) => match list.commands.as_slice() {
            [one] => From::after(next, one.output_bytes, one.pty),
            _ => From::Offset(next),
        },
        _ => From::Offset(next),
    }
}

/// Records a command's output, and says what came of it.
async fn record(
    (options, answers): (opsctl_client::Options, mpsc::Sender<Message>),
    command: CommandId,
    to: u64,
    size: (u16, u16),
    path: PathBuf,
) {
    let mut written = 0;
    let told = |done| {
        // Where there is no room the next one tells it.
        if done - written >= PROGRESS
            && answers
                .try_send(Message::Answer(Answer::Exporting(path.clone(), done)))
                .is_ok()
        {
            written = done;
        }
    };
    let came = crate::log::record(options, command, to, size, &path, told).await;
    // Nobody listens any more when the console is being left.
    let _ = answers
        .send(Message::Answer(Answer::Exported(path, came)))
        .await;
}

/// Writes lines to a file, and says what came of it.
async fn write(answers: mpsc::Sender<Message>, path: PathBuf, lines: Arc<Lines>, form: Form) {
    let told = |done| {
        // Where there is no room the next one tells it.
        let _ = answers.try_send(Message::Answer(Answer::Exporting(path.clone(), done)));
    };
    let came = crate::export::write(&path, &lines, form, told).await;
    // Nobody listens any more when the console is being left.
    let _ = answers
        .send(Message::Answer(Answer::Exported(path, came)))
        .await;
}

/// Reads older output and emulates it aside, telling how far it is.
async fn load_older(options: opsctl_client::Options, older: Older, answers: mpsc::Sender<Message>) {
    let command = older.command.command_id;
    let mut pane = older.pane();
    let (mut begun, mut told) = (false, 0);
    let read = crate::log::read(options, command, older.from, older.to, |frame| {
        let read = frame.end() - older.from;
        pane.output(&older.part(frame, &mut begun));
        // Where there is no room the next one tells it.
        let due = read - told >= PROGRESS;
        if due
            && answers
                .try_send(Message::Answer(Answer::Loading(command, read)))
                .is_ok()
        {
            told = read;
        }
        Ok(())
    });
    let answer = match read.await {
        Ok(()) => Answer::Older(Arc::new(pane), Box::new(older)),
        Err(why) => Answer::NotLoaded(command, why),
    };
    // Nobody listens any more when the console is being left.
    let _ = answers.send(Message::Answer(answer)).await;
}

/// An event as the reducer takes it; none for what the console has no place for.
pub(crate) fn message(event: Event) -> Option<Message> {
    Some(match event {
        Event::State(state) => Message::Link(link(state)),
        Event::Connected(connected) => Message::Connected(connected),
        Event::Output(frame) => Message::Output(frame),
        Event::Dropped { pattern, error } => Message::Dropped { pattern, error },
        Event::Message(decoded) => {
            let from = match decoded.header.channel {
                Some(Channel::Agent(agent)) => Some(agent),
                Some(Channel::Command(_)) if is_told_by_agent(&decoded.message) => return None,
                _ => None,
            };
            return told(from, decoded.message);
        }
    })
}

/// Whether a push on a command's channel comes on its agent's as well, which the console always hears, each time once. Who
/// begins to hear a command gets what was pushed on its channel long ago: that is no news, and how the command stands by
/// now has been told.
fn is_told_by_agent(message: &ToDashboard) -> bool {
    matches!(message, ToDashboard::Status(_) | ToDashboard::Typed(_))
}

/// A message from the daemon, which an agent's channel may have brought.
fn told(from: Option<AgentId>, message: ToDashboard) -> Option<Message> {
    Some(match message {
        ToDashboard::AgentList(list) => Message::Agents(list),
        ToDashboard::AgentStatus(agent) => Message::Agent(agent),
        ToDashboard::AgentConnected(connected) => Message::Agent(connected.agent),
        ToDashboard::AgentDisconnected(gone) => Message::Agent(gone.agent),
        ToDashboard::AgentForgotten(forgotten) => Message::Forgotten(forgotten.agent_id),
        ToDashboard::Status(status) => Message::Status(status),
        ToDashboard::Snapshot(snapshot) => Message::Snapshot(snapshot),
        ToDashboard::Gap(gap) => Message::Gap(gap),
        ToDashboard::Error(error) => Message::Error(error.message),
        ToDashboard::Notification(note) => Message::Told(from, Told::Notification(note)),
        ToDashboard::ActivityLog(line) => Message::Told(from, Told::Line(line)),
        ToDashboard::Typed(typed) => Message::Typed(typed),
        ToDashboard::TaskStatus(task) => Message::Told(from, Told::Task(task)),
        _ => return None,
    })
}

fn link(state: ConnState) -> Link {
    match state {
        ConnState::Connecting { attempt } => Link::Connecting { attempt },
        ConnState::Connected => Link::Connected,
        ConnState::Waiting {
            attempt,
            until,
            reason,
        } => {
            let left = until.saturating_duration_since(Instant::now());
            let until = Timestamp(Timestamp::now().0 + left.as_millis() as u64);
            Link::Waiting {
                attempt,
                until,
                reason,
            }
        }
        ConnState::Refused { message, .. } => Link::Refused { message },
        ConnState::Closed => Link::Closed,
    }
}

#[cfg(test)]
mod tests {
    use opsctl_protocol::message::{CommandStatus, Gap, State};
    use opsctl_protocol::{Decoded, Header};

    use super::*;

    const COMMAND: CommandId = CommandId([1; 16]);

    fn heard(channel: Option<Channel>, message: impl Into<ToDashboard>) -> Option<Message> {
        let header = Header {
            channel,
            ..Header::default()
        };
        let message = message.into();
        super::message(Event::Message(Box::new(Decoded { header, message })))
    }

    #[test]
    fn what_an_agent_tells_as_well_is_not_taken_from_its_commands_past() {
        let status = || CommandStatus::new(COMMAND, State::Queued);
        let own = || Some(Channel::Command(COMMAND));
        assert!(heard(own(), status()).is_none());
        let agent = AgentId::new("coder-1").expect("a name");
        let told = heard(Some(Channel::Agent(agent)), status());
        assert!(matches!(told, Some(Message::Status(_))), "{told:?}");
        // How it stands now, which has no channel, and what its output needs.
        assert!(matches!(heard(None, status()), Some(Message::Status(_))));
        let gap = Gap {
            command_id: COMMAND,
            from: 0,
            to: 1,
            reason: String::new(),
        };
        assert!(matches!(heard(own(), gap), Some(Message::Gap(_))));
    }
}
