//! What must reach the daemon in the order in which it came: what is typed, and what is subscribed.

use opsctl_client::{Client, Lately, Lost, RequestError, Typist};
use opsctl_protocol::message::{CommandInput, CommandQuery, Subscribe, ToDashboard};
use opsctl_protocol::{Channel, CommandId, Pattern};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::state::hidden::From;
use crate::state::{Answer, Message};

/// What is to be heard, or no longer.
pub(super) enum Subscription {
    /// Hear this.
    Start(Subscribe),
    /// No longer hear this.
    Stop(Pattern),
    /// Of a command, for who has seen the output before this byte.
    Resume(CommandId, u64),
}

/// Sends what is typed, in the order in which it was typed, and says of keys that they were lost.
pub(super) async fn type_in_order(
    client: Client,
    mut input: mpsc::Receiver<CommandInput>,
    answers: mpsc::Sender<Message>,
) {
    let mut typist = Typist::new(client);
    let mut lately = Lately::default();
    loop {
        let lost = tokio::select! {
            piece = input.recv() => match piece {
                Some(piece) => {
                    typist.send(piece).await;
                    continue;
                }
                None => return,
            },
            lost = typist.lost() => lost,
        };
        // The console has one line, so it says all that was lost lately.
        let now = Instant::now();
        for lost in lost {
            lately.note(lost, now);
        }
        let lines: Vec<String> = lately.lines(now).iter().map(Lost::to_string).collect();
        if answers
            .send(Message::Error(lines.join("; ")))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Subscribes and unsubscribes in order, so that a pane that is closed and opened again is heard.
pub(super) async fn subscribe_in_order(
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
