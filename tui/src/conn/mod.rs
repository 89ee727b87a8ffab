//! The connection to the daemon: effects become requests, its events become messages.
//!
//! - `asking`: questions that have an answer.
//! - `in_order`: what is typed and subscribed, one after the other.
//! - `work`: what takes its time beside everything else.
//! - [`events`]: what comes from the daemon.

mod asking;
mod events;
mod in_order;
mod work;

use std::collections::HashMap;

use bytes::Bytes;
use opsctl_client::{Client, Events};
use opsctl_protocol::CommandId;
use opsctl_protocol::message::{CommandInput, CommandResize, Payload};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::state::work::Job;
use crate::state::{Effect, Message};
use asking::{again_request, run_request};
pub(crate) use events::message;
use in_order::{Subscription, subscribe_in_order, type_in_order};
use work::{load_older, record, write};

/// Answers that may wait for the loop, which takes them before anything else of the daemon's.
const WAITING_ANSWERS: usize = 64;

/// Events that may wait for the loop, which takes some milliseconds of them at a time: what a flood brings meanwhile is shown
/// later by as much, and what is not read waits with the daemon, which skips ahead when that lasts.
const WAITING_EVENTS: usize = 4;

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
        let (client, events) = opsctl_client::start_with_room(options.clone(), WAITING_EVENTS);
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
}
