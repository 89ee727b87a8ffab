use bytes::Bytes;
use opsctl_protocol::CommandId;
use proptest::prelude::*;

use super::*;

fn keys(text: &str) -> CommandInput {
    CommandInput {
        command_id: CommandId([1; 16]),
        data: Payload(Bytes::copy_from_slice(text.as_bytes())),
        offset: None,
        eof: false,
    }
}

fn typist(id: Option<&str>) -> Typist {
    Typist {
        conn: ConnId(1),
        id: id.map(str::to_owned),
    }
}

/// A command of which the agent says so much.
fn known(received: u64) -> Keys {
    let mut keys = Keys::new();
    keys.received(received);
    keys
}

#[test]
fn keys_are_numbered_only_for_an_agent_that_counts_them() {
    let mut input = Keys::new();
    assert_eq!(input.add(keys("a"), typist(None)), Added::Unknown);
    input.received(7);
    let Added::Numbered(sent) = input.add(keys("ab"), typist(None)) else {
        panic!("the agent counts");
    };
    assert_eq!(sent.offset, Some(7));
    input.lose_track();
    assert_eq!(input.add(keys("c"), typist(None)), Added::Full);
    let (there, again) = input.received(8);
    assert!(there.is_empty(), "one of two bytes is there");
    assert_eq!(again, [sent]);
    assert_eq!(input.received(9).0, [typist(None)]);
}

#[test]
fn whoever_asks_is_told_when_his_keys_are_there_or_lost() {
    let mut input = known(0);
    assert!(!input.ask(typist(Some("c1"))), "nothing is under way");
    input.add(keys("a"), typist(None));
    assert!(input.ask(typist(Some("c2"))) && input.ask(typist(Some("c3"))));
    let both = [typist(Some("c2")), typist(Some("c3"))];
    assert_eq!(input.received(1).0, both);
    input.add(keys("b"), typist(Some("c4")));
    assert_eq!(input.refused(1), [typist(Some("c4"))]);
    let Added::Numbered(next) = input.add(keys("c"), typist(None)) else {
        panic!("there is room");
    };
    assert_eq!(next.offset, Some(1), "what was refused leaves no hole");
}

#[test]
fn what_is_under_way_is_bounded() {
    let mut input = known(0);
    for _ in 0..PIECES {
        assert!(matches!(
            input.add(keys("a"), typist(None)),
            Added::Numbered(_)
        ));
    }
    assert_eq!(input.add(keys("a"), typist(None)), Added::Full);
    let mut input = known(0);
    let much = keys(&"x".repeat(INPUT_WINDOW as usize));
    assert!(matches!(input.add(much, typist(None)), Added::Numbered(_)));
    assert_eq!(input.add(keys("a"), typist(None)), Added::Full);
}

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    Type(u8),
    /// The next message arrives, at the agent or at the daemon.
    ToAgent,
    ToDaemon,
    /// The connection is lost with all that is under way, and there is another.
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4_u8).prop_map(Step::Type),
        3 => Just(Step::ToAgent),
        3 => Just(Step::ToDaemon),
        1 => Just(Step::Reconnect),
    ]
}

/// A holder, as far as it counts.
#[derive(Default)]
struct Holder {
    typed: Vec<u8>,
}

impl Holder {
    fn take(&mut self, input: &CommandInput) {
        let skipped = self.typed.len() - input.offset.unwrap() as usize;
        let fresh = input.data.0.get(skipped..).unwrap_or_default();
        self.typed.extend_from_slice(fresh);
    }
}

proptest! {
    /// Whatever is lost, the program gets what was typed, each key once and in order; and everybody is told.
    #[test]
    fn every_key_arrives_once(steps in prop::collection::vec(step(), 0..80)) {
        let (mut input, mut holder) = (known(0), Holder::default());
        let (mut down, mut up): (VecDeque<CommandInput>, VecDeque<u64>) = Default::default();
        let (mut typed, mut asked, mut told) = (Vec::new(), 0, 0);
        let calm = [Step::Reconnect].into_iter().chain((0..400).flat_map(|_| [Step::ToAgent, Step::ToDaemon]));
        for step in steps.into_iter().chain(calm) {
            match step {
                Step::Type(length) => {
                    let bytes: Vec<u8> = (0..length).map(|n| typed.len() as u8 + n).collect();
                    let piece = CommandInput { data: Payload(bytes.clone().into()), ..keys("") };
                    let Added::Numbered(piece) = input.add(piece, typist(Some("c"))) else {
                        panic!("there is room");
                    };
                    down.push_back(piece);
                    typed.extend(bytes);
                    asked += 1;
                }
                Step::ToAgent => if let Some(piece) = down.pop_front() {
                    holder.take(&piece);
                    up.push_back(holder.typed.len() as u64);
                },
                Step::ToDaemon => if let Some(received) = up.pop_front() {
                    let (there, again) = input.received(received);
                    told += there.len();
                    down.extend(again);
                },
                Step::Reconnect => {
                    down.clear();
                    up.clear();
                    input.lose_track();
                    let (there, again) = input.received(holder.typed.len() as u64);
                    told += there.len();
                    down.extend(again);
                }
            }
        }
        prop_assert_eq!(holder.typed, typed);
        prop_assert_eq!(told, asked);
    }
}

#[test]
fn bulk_that_the_agent_would_refuse_does_not_go_there() {
    let bulk = |offset: u64| CommandInput {
        offset: Some(offset),
        ..keys("12345")
    };
    let mut input = Keys::new();
    assert_eq!(
        input.keeps_out(&bulk(9)),
        None,
        "it may be one that never counts"
    );
    input.refused_for_now();
    assert_eq!(input.keeps_out(&bulk(0)), Some(KeptOut::Unheard));
    input.received(3);
    assert_eq!(
        input.keeps_out(&bulk(4)),
        Some(KeptOut::Hole { expected: 3 })
    );
    assert_eq!(input.keeps_out(&bulk(0)), None, "it skips what it has");
    input.passed(&bulk(0));
    assert_eq!(input.keeps_out(&bulk(5)), None);
    input.passed(&bulk(5));
    // Another connection: what was under way is lost with the old one.
    input.lose_track();
    assert_eq!(input.keeps_out(&bulk(10)), Some(KeptOut::Unheard));
    input.received(5);
    assert_eq!(
        input.keeps_out(&bulk(10)),
        Some(KeptOut::Hole { expected: 5 })
    );
    assert_eq!(input.keeps_out(&bulk(5)), None);
    input.passed(&bulk(5));
    // The holder's window was full, and the rest of what was sent is refused here.
    input.refused(7);
    assert_eq!(
        input.keeps_out(&bulk(10)),
        Some(KeptOut::Hole { expected: 7 })
    );
    assert_eq!(input.keeps_out(&bulk(5)), None);
}
