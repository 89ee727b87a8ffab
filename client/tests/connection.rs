//! The client against a daemon that does what each test tells it: drops connections, repeats, refuses, doesn't read.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test binary exports nothing"
)]

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fake::{Fake, deadline, next_event, next_output};
use opsctl_client::{ConnState, Event, InputPump, Outcome, RequestError, Typist};
use opsctl_protocol::codec::Header;
use opsctl_protocol::limits::INPUT_WINDOW;
use opsctl_protocol::message::{
    CommandInput, CommandList, CommandQuery, CommandStatus, DashboardMessage, ErrorCode,
    ErrorPayload, Nothing, Payload, Since, State, Subscribe, Subscribed, SubscribedStream,
    ToDashboard,
};
use opsctl_protocol::{Channel, CommandId, Pattern};

const COMMAND: CommandId = CommandId([9; 16]);

fn subscribe() -> Subscribe {
    let channel = Pattern::exactly(&Channel::Command(COMMAND));
    let since = Some(Since {
        offset: Some(0),
        ..Since::default()
    });
    Subscribe {
        channel,
        since,
        lossless: true,
        no_output: false,
    }
}

fn subscribed(offset: u64) -> Subscribed {
    let channel = Channel::Command(COMMAND);
    let pattern = Pattern::exactly(&channel);
    let stream = SubscribedStream {
        channel,
        epoch: "e".into(),
        seq: 0,
        offset: Some(offset),
        recovered: true,
    };
    Subscribed {
        channel: pattern,
        streams: vec![stream],
    }
}

fn keys(text: &'static str) -> CommandInput {
    CommandInput {
        command_id: COMMAND,
        data: Payload(Bytes::from_static(text.as_bytes())),
        offset: None,
        eof: false,
    }
}

#[tokio::test]
async fn a_request_without_an_answer_is_sent_again() {
    let fake = Fake::start();
    let (client, events) = opsctl_client::start(fake.options());
    drop(events);
    let asking = tokio::spawn({
        let client = client.clone();
        async move {
            client
                .request(CommandQuery {
                    limit: Some(7),
                    ..CommandQuery::default()
                })
                .await
        }
    });
    let mut first = fake.greeted().await;
    let once = first.message().await;
    drop(first);
    let mut second = fake.greeted().await;
    let again = second.message().await;
    assert_eq!(
        (&again.message, &again.header.id),
        (&once.message, &once.header.id)
    );
    second
        .send(Header::answering(again.header.id), CommandList::default())
        .await;
    assert!(deadline(asking).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_subscription_goes_on_where_it_stood() {
    let fake = Fake::start();
    let (client, mut events) = opsctl_client::start(fake.options());
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.subscribe(subscribe()).await }
    });
    let mut first = fake.greeted().await;
    let asked = first.message().await;
    first
        .send(Header::answering(asked.header.id), subscribed(0))
        .await;
    first.output(COMMAND, 0, b"0123456789").await;
    assert_eq!(deadline(asking).await.unwrap().unwrap(), subscribed(0));
    assert_eq!(
        next_output(&mut events).await,
        (0, Bytes::from_static(b"0123456789"))
    );
    drop(first);

    let mut second = fake.greeted().await;
    let resumed = second.message().await;
    let DashboardMessage::Subscribe(resumed_with) = &resumed.message else {
        panic!("{resumed:?}")
    };
    assert_eq!(
        resumed_with.since.as_ref().and_then(|since| since.offset),
        Some(10)
    );
    assert!(resumed_with.lossless);
    second
        .send(Header::answering(resumed.header.id), subscribed(4))
        .await;
    second.output(COMMAND, 4, b"456789ab").await;
    assert_eq!(
        next_output(&mut events).await,
        (10, Bytes::from_static(b"ab"))
    );
}

#[tokio::test]
async fn a_screen_begins_anew_with_each_connection_and_once() {
    let fake = Fake::start();
    let (client, mut events) = opsctl_client::start(fake.options());
    let asking = tokio::spawn(async move { client.screen(COMMAND).await.map(|_| client) });
    let mut first = fake.greeted().await;
    let asked = first.message().await;
    first
        .send(Header::answering(asked.header.id.clone()), subscribed(0))
        .await;
    first.output(COMMAND, 0, b"0123456789").await;
    let client = deadline(asking).await.unwrap().unwrap();
    assert_eq!(next_output(&mut events).await.1, &b"0123456789"[..]);
    drop(first);

    let mut second = fake.greeted().await;
    let again = second.message().await;
    assert_eq!(again.message, asked.message, "from its start, as at first");
    second
        .send(Header::answering(again.header.id), subscribed(0))
        .await;
    second.output(COMMAND, 0, b"0123456789ab").await;
    let connected = |event| matches!(event, Event::Connected(_)).then_some(());
    next_event(&mut events, connected).await;
    assert_eq!(
        next_output(&mut events).await,
        (0, Bytes::from_static(b"0123456789ab"))
    );
    // Nothing else was asked meanwhile.
    let _asking = tokio::spawn(async move { client.request(CommandQuery::default()).await });
    let next = second.message().await.message;
    assert!(matches!(next, DashboardMessage::Query(_)), "{next:?}");
}

#[tokio::test]
async fn a_subscription_that_cannot_be_resumed_is_dropped_aloud() {
    let fake = Fake::start();
    let (client, mut events) = opsctl_client::start(fake.options());
    let asking = tokio::spawn(async move { client.subscribe(subscribe()).await.map(|_| client) });
    let mut first = fake.greeted().await;
    let asked = first.message().await;
    first
        .send(Header::answering(asked.header.id), subscribed(0))
        .await;
    let _client = deadline(asking).await.unwrap().unwrap();
    drop(first);
    let mut second = fake.greeted().await;
    let resumed = second.message().await;
    let error = ErrorPayload::new(ErrorCode::UnknownCommand, "gone");
    second
        .send(Header::answering(resumed.header.id), error.clone())
        .await;
    let dropped = next_event(&mut events, |event| match event {
        Event::Dropped { pattern, error } => Some((pattern, error)),
        _ => None,
    });
    assert_eq!(dropped.await, (subscribe().channel, error));
}

#[tokio::test]
async fn a_refusal_is_for_good_until_somebody_asks_again() {
    let fake = Fake::start();
    let (client, events) = opsctl_client::start(fake.options());
    drop(events);
    fake.refuse(401, "token_invalid", "the token is wrong")
        .await;
    let state = deadline(client.trouble()).await;
    let ConnState::Refused { code, message } = state else {
        panic!("{state:?}")
    };
    assert_eq!(code, Some(ErrorCode::TokenInvalid));
    assert!(message.contains("the token is wrong"), "{message}");
    let refused = deadline(client.request(CommandQuery::default())).await;
    assert!(
        matches!(refused, Err(RequestError::Connection { .. })),
        "{refused:?}"
    );
    client.reconnect_now();
    let mut states = client.states();
    let _connection = fake.greeted().await;
    deadline(states.wait_for(|state| *state == ConnState::Connected))
        .await
        .unwrap();
}

#[tokio::test]
async fn nobody_there_shows_at_once() {
    let fake = Fake::start();
    let options = fake.options();
    drop(fake);
    let (client, _events) = opsctl_client::start(options);
    let state = deadline(client.trouble()).await;
    assert!(matches!(state, ConnState::Waiting { .. }), "{state:?}");
    deadline(client.close()).await;
}

#[tokio::test]
async fn a_connection_that_was_there_is_no_trouble_when_it_is_lost() {
    let fake = Fake::start();
    let (client, mut events) = opsctl_client::start(fake.options());
    drop(fake.greeted().await);
    let waits = |event| matches!(event, Event::State(ConnState::Waiting { .. })).then_some(());
    next_event(&mut events, waits).await;
    tokio::select! {
        biased;
        state = client.trouble() => panic!("{state:?}"),
        () = std::future::ready(()) => {}
    }
    fake.refuse(403, "forbidden", "no").await;
    let state = deadline(client.trouble()).await;
    assert!(matches!(state, ConnState::Refused { .. }), "{state:?}");
}

#[tokio::test]
async fn keys_are_told_of_and_never_sent_twice() {
    let fake = Fake::start();
    let (client, events) = opsctl_client::start(fake.options());
    drop(events);
    assert!(
        client.keys(keys("early")).await.is_err(),
        "nothing is connected"
    );
    let mut first = fake.greeted().await;
    let mut states = client.states();
    let connected = states.wait_for(|state| *state == ConnState::Connected);
    deadline(connected).await.unwrap();
    let arrived = client.keys(keys("a")).await.unwrap();
    let doubtful = client.keys(keys("b")).await.unwrap();
    assert_eq!(first.keys().await, "a");
    let ping = first.message().await;
    let answer = ToDashboard::Pong(Nothing {});
    first.send(Header::answering(ping.header.id), answer).await;
    assert_eq!(deadline(arrived.outcome()).await, Outcome::Arrived);
    assert_eq!(first.keys().await, "b");
    drop(first);
    assert_eq!(deadline(doubtful.outcome()).await, Outcome::Unknown);
    let mut second = fake.greeted().await;
    let connected = states.wait_for(|state| *state == ConnState::Connected);
    deadline(connected).await.unwrap();
    let _receipt = client.keys(keys("c")).await.unwrap();
    assert_eq!(second.keys().await, "c", "nothing else comes before it");
}

#[tokio::test]
async fn a_slow_consumer_slows_the_socket_and_loses_nothing() {
    const PIECES: u64 = 2000;
    const SIZE: usize = 32 * 1024;
    const TURNS: u32 = 100;
    let fake = Fake::start();
    let (client, mut events) = opsctl_client::start_with_room(fake.options(), 4);
    let asking = tokio::spawn(async move { client.subscribe(subscribe()).await.map(|_| client) });
    let mut connection = fake.greeted().await;
    let asked = connection.message().await;
    connection
        .send(Header::answering(asked.header.id), subscribed(0))
        .await;
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    let flood = tokio::spawn(async move {
        for piece in 0..PIECES {
            connection
                .output(COMMAND, piece * SIZE as u64, &vec![piece as u8; SIZE])
                .await;
            counter.store(piece + 1, Ordering::Relaxed);
        }
        connection
    });
    let _client = deadline(asking).await.unwrap().unwrap();
    for piece in 0..PIECES {
        // Everybody else has their turns before a piece is taken: a client that hoards would take all of the flood.
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        let ahead = sent.load(Ordering::Relaxed) - piece;
        assert!(ahead < PIECES / 10, "{ahead} pieces went into memory");
        let (offset, data) = next_output(&mut events).await;
        assert_eq!(
            (offset, data[0], data.len()),
            (piece * SIZE as u64, piece as u8, SIZE)
        );
    }
    deadline(flood).await.unwrap();
}

#[tokio::test]
async fn a_program_that_took_nothing_for_long_hears_that_this_was_the_reason() {
    let fake = Fake::start();
    let (client, mut events) = opsctl_client::start_with_room(fake.options(), 1);
    let connection = fake.greeted().await;
    // There is room for the first attempt's beginning; that it succeeded waits.
    let mut states = client.states();
    let connected = states.wait_for(|state| *state == ConnState::Connected);
    deadline(connected).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(14)).await;
    tokio::time::resume();
    drop(connection);
    let why = |event| match event {
        Event::State(ConnState::Waiting { reason, .. }) => Some(reason),
        _ => None,
    };
    let reason = next_event(&mut events, why).await;
    assert!(reason.contains("was taken here for 14 s"), "{reason}");
    // Whoever takes what comes hears what happened to the connection.
    drop(fake.greeted().await);
    let reason = next_event(&mut events, why).await;
    assert!(reason.contains("broke"), "{reason}");
}

#[tokio::test]
async fn a_typist_hears_of_lost_keys_together_and_of_the_rest_at_the_end() {
    let fake = Fake::start();
    let (client, events) = opsctl_client::start(fake.options());
    drop(events);
    let mut typist = Typist::new(client.clone());
    for key in ["l", "s", "\r"] {
        typist.send(keys(key)).await;
    }
    let lost = deadline(typist.lost()).await;
    let lines: Vec<String> = lost.iter().map(ToString::to_string).collect();
    assert_eq!(lines, [r#""ls\r": was not sent"#]);
    let mut connection = fake.greeted().await;
    let mut states = client.states();
    let connected = states.wait_for(|state| *state == ConnState::Connected);
    deadline(connected).await.unwrap();
    let mut questions = Vec::new();
    for key in ["a", "b", "c"] {
        typist.send(keys(key)).await;
        assert_eq!(connection.keys().await, key);
        questions.push(Header::answering(connection.message().await.header.id));
    }
    let refused = ErrorPayload::new(ErrorCode::AgentOffline, "nothing was sent");
    connection.send(questions.swap_remove(1), refused).await;
    let lost = deadline(typist.lost()).await;
    assert_eq!(lost[0].to_string(), r#""b": nothing was sent"#);
    let arrived = ToDashboard::Pong(Nothing {});
    connection.send(questions.swap_remove(0), arrived).await;
    let rest = typist.rest(Duration::from_secs(1)).await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].to_string(), r#""c": was still under way"#);
}

#[tokio::test]
async fn input_keeps_to_its_window_and_survives_a_lost_connection() {
    let fake = Fake::start();
    let (client, mut events) = opsctl_client::start(fake.options());
    let pump = Arc::new(InputPump::start(client.clone(), COMMAND));
    let input: Bytes = (0..3 * INPUT_WINDOW).map(|n| (n % 251) as u8).collect();
    let mut first = fake.greeted().await;
    next_event(&mut events, |event| {
        matches!(event, Event::Connected(_)).then_some(())
    })
    .await;
    let told = |taken: usize| {
        let mut status = CommandStatus::new(COMMAND, State::Running);
        status.input_offset = Some(taken as u64);
        status
    };
    pump.status(&told(0));
    let (feeder, source) = (pump.clone(), input.clone());
    let feeding = tokio::spawn(async move {
        for piece in source.chunks(50_000) {
            feeder.send(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        feeder.finish().await.unwrap();
    });
    // The first connection takes a window and reports nothing; what it took is lost with it.
    let mut got = 0;
    while got + 32 * 1024 <= INPUT_WINDOW {
        let (offset, data, _) = first.input().await;
        assert_eq!(offset, got);
        got += data.len() as u64;
        assert!(got <= INPUT_WINDOW, "beyond the window");
    }
    drop(first);

    let mut second = fake.greeted().await;
    let mut seen = Vec::new();
    let mut ended = false;
    while !ended {
        let (offset, data, eof) = second.input().await;
        // What was taken may come again; a hole may not.
        let repeated = seen.len() - offset as usize;
        seen.extend_from_slice(&data[repeated.min(data.len())..]);
        pump.status(&told(seen.len()));
        ended = eof;
    }
    deadline(feeding).await.unwrap();
    assert_eq!(seen, input);
}
