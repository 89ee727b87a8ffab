//! A stream is seen once and in order, wherever connections end and however much the daemon repeats.

use bytes::Bytes;
use opsctl_protocol::codec::Header;
use opsctl_protocol::ids::Topic;
use opsctl_protocol::message::{Event, Gap, Kind, SubscribedStream};
use opsctl_protocol::{Decoded, Timestamp};
use proptest::prelude::*;

use super::*;

const COMMAND: CommandId = CommandId([7; 16]);

fn piece(stream: &[u8], from: usize, to: usize) -> OutputFrame {
    OutputFrame {
        command_id: COMMAND,
        kind: Kind::Output,
        via: Via::Command,
        seq: 0,
        offset: from as u64,
        time: Timestamp(0),
        size: None,
        data: Bytes::copy_from_slice(&stream[from..to]),
    }
}

fn subscribe_to(channel: &Channel) -> Subscribe {
    let channel = Pattern::exactly(channel);
    Subscribe {
        channel,
        since: None,
        lossless: true,
        no_output: false,
    }
}

fn answer(channel: &Channel, epoch: &str, seq: u64, offset: Option<u64>) -> Subscribed {
    let stream = SubscribedStream {
        channel: channel.clone(),
        epoch: epoch.into(),
        seq,
        offset,
        recovered: true,
    };
    Subscribed {
        channel: Pattern::exactly(channel),
        streams: vec![stream],
    }
}

fn push(channel: &Channel, epoch: &str, seq: u64) -> Decoded<ToDashboard> {
    let message = Event {
        event: seq.to_string(),
        data: serde_json::Value::Null,
        from: "x".into(),
    };
    let header = Header {
        channel: Some(channel.clone()),
        epoch: Some(epoch.into()),
        seq: Some(seq),
        ..Header::default()
    };
    Decoded {
        header,
        message: message.into(),
    }
}

fn command() -> Channel {
    Channel::Command(COMMAND)
}

proptest! {
    /// Each connection delivers some of the stream in pieces, from an offset at or before the one asked for.
    #[test]
    fn output_comes_once_and_in_order(
        stream in prop::collection::vec(any::<u8>(), 0..400),
        connections in prop::collection::vec((0_usize..50, prop::collection::vec(1_usize..60, 0..8)), 1..8),
    ) {
        let mut resume = Resume::default();
        resume.subscribe(&subscribe_to(&command()));
        let mut seen = Vec::new();
        for (repeat, pieces) in connections {
            let asked = resume.resume().remove(0);
            let from = asked.since.and_then(|since| since.offset).unwrap_or(0) as usize;
            prop_assert_eq!(from, seen.len());
            // What an older connection left under way is not taken.
            prop_assert!(resume.output(piece(&stream, 0, stream.len())).is_none());
            let mut at = from.saturating_sub(repeat);
            resume.subscribed(&answer(&command(), "e", 0, Some(at as u64)));
            for length in pieces {
                let end = (at + length).min(stream.len());
                if let Some(news) = resume.output(piece(&stream, at, end)) {
                    prop_assert_eq!(news.offset as usize, seen.len());
                    seen.extend_from_slice(&news.data);
                }
                at = end;
            }
        }
        prop_assert_eq!(&seen[..], &stream[..seen.len()]);
    }

    /// Each connection delivers some pushes, from a number at or before the one asked for; sometimes the epoch changes
    /// and numbers start anew.
    #[test]
    fn pushes_come_once_and_in_order(
        connections in prop::collection::vec((0_u64..5, 0_u64..9, prop::bool::weighted(0.2)), 1..10),
    ) {
        let channel = Channel::Topic(Topic::Task, "7".into());
        let mut resume = Resume::default();
        resume.subscribe(&subscribe_to(&channel));
        let (mut epoch, mut seen) = (0, 0);
        for (at, (repeat, count, restarted)) in connections.into_iter().enumerate() {
            let asked = resume.resume().remove(0);
            let since = asked.since.unwrap_or_default();
            if at > 0 {
                let position = since.streams.get(&channel.to_string()).cloned().unwrap_or_default();
                prop_assert_eq!((position.epoch, position.seq), (epoch.to_string(), seen));
            }
            if restarted {
                epoch += 1;
                seen = 0;
            }
            resume.subscribed(&answer(&channel, &epoch.to_string(), seen, None));
            for seq in seen.saturating_sub(repeat) + 1..=seen + count {
                let news = resume.message(&push(&channel, &epoch.to_string(), seq));
                prop_assert_eq!(news, seq > seen, "push {}", seq);
                seen = seen.max(seq);
            }
        }
    }
}

#[test]
fn a_gap_moves_on_and_a_snapshot_starts_over() {
    let mut resume = Resume::default();
    resume.subscribe(&subscribe_to(&command()));
    resume.subscribed(&answer(&command(), "e", 0, Some(0)));
    let stream = [0; 100];
    assert!(resume.output(piece(&stream, 0, 10)).is_some());
    let gap = Gap {
        command_id: COMMAND,
        from: 10,
        to: 50,
        reason: "gone".into(),
    };
    let copy = |message| Decoded {
        header: Header::default(),
        message,
    };
    assert!(resume.message(&copy(gap.clone().into())));
    assert!(
        !resume.message(&copy(gap.into())),
        "the same gap is no news"
    );
    assert!(resume.output(piece(&stream, 20, 50)).is_none());
    assert_eq!(resume.output(piece(&stream, 45, 60)).unwrap().offset, 50);
    let snapshot = opsctl_protocol::message::TerminalSnapshot {
        agent_id: AgentId::new("a").unwrap(),
        command_id: COMMAND,
        offset: 30,
        cols: 80,
        rows: 24,
        data: opsctl_protocol::message::Payload::default(),
    };
    assert!(resume.message(&copy(snapshot.into())));
    assert_eq!(
        resume.output(piece(&stream, 30, 60)).unwrap().data.len(),
        30
    );
}

#[test]
fn what_an_ended_subscription_left_under_way_is_dropped() {
    let mut resume = Resume::default();
    resume.subscribe(&subscribe_to(&command()));
    resume.subscribed(&answer(&command(), "e", 0, Some(0)));
    resume.remove(&Pattern::exactly(&command()));
    assert!(resume.output(piece(&[0; 9], 0, 9)).is_none());
    assert!(resume.resume().is_empty());
}

#[test]
fn a_state_that_a_reconnect_brings_again_is_no_news() {
    let mut resume = Resume::default();
    resume.subscribe(&subscribe_to(&command()));
    resume.subscribed(&answer(&command(), "e", 0, Some(0)));
    let told = |resume: &mut Resume, state| {
        resume.message(&Decoded {
            header: Header::default(),
            message: CommandStatus::new(COMMAND, state).into(),
        })
    };
    assert!(told(&mut resume, State::Delivered));
    assert!(told(&mut resume, State::Queued), "its agent never got it");
    assert!(told(&mut resume, State::Running));
    resume.resume();
    resume.subscribed(&answer(&command(), "e", 0, Some(0)));
    assert!(!told(&mut resume, State::Queued));
    assert!(
        told(&mut resume, State::Running),
        "perhaps with news of its input"
    );
    assert!(told(&mut resume, State::Exited));
    assert!(!told(&mut resume, State::Running));
}
