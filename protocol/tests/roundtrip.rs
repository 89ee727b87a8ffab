//! Any message survives the round trip; any bytes give a value or an error, never a panic.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod generate;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use opsctl_protocol::codec::{DecodeError, EncodeError};
use opsctl_protocol::frame::{encode_envelope, encode_input};
use opsctl_protocol::limits::{COMPRESS_ABOVE, MAX_MESSAGE};
use opsctl_protocol::message::{Direction, TerminalOutput};
use opsctl_protocol::selector::Selector;
use opsctl_protocol::{
    AgentId, AgentMessage, BinaryFrame, Channel, CommandId, DashboardMessage, Header, OutputFrame,
    Pattern, ToAgent, ToDashboard, decode, encode,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Writes, checks what the contract says of the written form, and reads back.
fn survives<M: Direction + std::fmt::Debug + PartialEq>(
    header: &Header,
    message: &M,
) -> Result<(), TestCaseError> {
    let text = match encode(header, message) {
        Ok(text) => text,
        // Several large texts at once can pass the limit; then the sender hears so.
        Err(EncodeError::TooBig(size)) => {
            prop_assert!(size > MAX_MESSAGE);
            return Ok(());
        }
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    let envelope: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut payload = Vec::new();
    message.write_payload(&mut payload).unwrap();
    let plain = payload.len();
    prop_assert_eq!(envelope["type"].as_str(), Some(message.kind()));
    prop_assert_eq!(
        envelope["encoding"].as_str(),
        (plain > COMPRESS_ABOVE).then_some("gzip")
    );
    prop_assert!(text.len() <= MAX_MESSAGE);

    let decoded =
        decode::<M>(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
    prop_assert_eq!(&decoded.header, header);
    prop_assert_eq!(&decoded.message, message);

    // The whole envelope as one compressed binary frame says the same.
    let frame = BinaryFrame::decode(&encode_envelope(&text)).unwrap();
    prop_assert_eq!(frame, BinaryFrame::Envelope(text));
    Ok(())
}

/// Gives a text to every reader; what they make of it is their affair, as long as they come back.
fn read_everything(text: &str) {
    fn read<M: Direction>(text: &str) {
        if let Err(error) = decode::<M>(text) {
            let (_, answer) = error.answer();
            assert!(!answer.message.is_empty());
        }
    }
    read::<DashboardMessage>(text);
    read::<ToDashboard>(text);
    read::<AgentMessage>(text);
    read::<ToAgent>(text);
}

/// What happens to bytes on a bad line: some flip, the end may be missing.
fn damage(
    mut bytes: Vec<u8>,
    flips: &[(prop::sample::Index, u8)],
    cut: Option<&prop::sample::Index>,
) -> Vec<u8> {
    for (at, with) in flips {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] ^= with;
        }
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len() + 1));
    }
    bytes
}

fn damages() -> impl Strategy<Value = (Vec<(prop::sample::Index, u8)>, Option<prop::sample::Index>)>
{
    (
        vec((any::<prop::sample::Index>(), 1..=255_u8), 0..6),
        proptest::option::of(any::<prop::sample::Index>()),
    )
}

fn any_message() -> impl Strategy<Value = String> {
    fn text<M: Direction>((header, message): (Header, M)) -> Option<String> {
        encode(&header, &message).ok()
    }
    let fits = "fits into a message";
    prop_oneof![
        (generate::header(), generate::dashboard_message())
            .prop_filter_map(fits, text)
            .boxed(),
        (generate::header(), generate::to_dashboard())
            .prop_filter_map(fits, text)
            .boxed(),
        (generate::header(), generate::agent_message())
            .prop_filter_map(fits, text)
            .boxed(),
        (generate::header(), generate::to_agent())
            .prop_filter_map(fits, text)
            .boxed(),
    ]
}

fn any_binary() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        generate::output_frame().prop_map(|frame| frame.encode()),
        generate::input().prop_map(|input| encode_input(&input)),
        "[ -~]{0,200}".prop_map(|text| encode_envelope(&text)),
    ]
}

proptest! {
    #[test]
    fn what_dashboards_say_survives(header in generate::header(), message in generate::dashboard_message()) {
        survives(&header, &message)?;
    }

    #[test]
    fn what_dashboards_hear_survives(header in generate::header(), message in generate::to_dashboard()) {
        survives(&header, &message)?;
    }

    #[test]
    fn what_agents_say_survives(header in generate::header(), message in generate::agent_message()) {
        survives(&header, &message)?;
    }

    #[test]
    fn what_agents_hear_survives(header in generate::header(), message in generate::to_agent()) {
        survives(&header, &message)?;
    }

    #[test]
    fn output_frames_survive(frame in generate::output_frame()) {
        let bytes = frame.encode();
        prop_assert_eq!(BinaryFrame::decode(&bytes).unwrap(), BinaryFrame::Output(frame));
    }

    #[test]
    fn input_frames_survive(input in generate::input()) {
        let bytes = encode_input(&input);
        prop_assert_eq!(BinaryFrame::decode(&bytes).unwrap(), BinaryFrame::Input(input));
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        read_everything(&text);
    }

    #[test]
    fn any_envelope_is_read_or_refused(
        version in "1\\.[0-9.]{0,4}|\\PC{0,5}",
        kind in "(command|agent|terminal|dashboard):[a-z]{1,9}|[a-z_]{1,15}",
        payload in generate::json(),
        encoding in proptest::option::of("gzip|\\PC{0,5}"),
    ) {
        let mut envelope = serde_json::json!({
            "version": version, "type": kind, "timestamp": 1, "payload": payload,
        });
        if let Some(encoding) = encoding {
            envelope["encoding"] = encoding.into();
        }
        read_everything(&envelope.to_string());
    }

    #[test]
    fn gzipped_garbage_is_read_or_refused(bytes in vec(any::<u8>(), 0..300), gzip_magic in any::<bool>()) {
        let mut packed = if gzip_magic { vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0] } else { Vec::new() };
        packed.extend(&bytes);
        for kind in ["ping", "connected", "command:status", "terminal:output"] {
            read_everything(&serde_json::json!({
                "version": "1.0.0", "type": kind, "timestamp": 1, "encoding": "gzip",
                "payload": STANDARD.encode(&packed),
            }).to_string());
        }
        let mut frame = vec![3];
        frame.extend(packed);
        let _ = BinaryFrame::decode(&frame.into());
    }

    #[test]
    fn damaged_messages_are_read_or_refused(text in any_message(), (flips, cut) in damages()) {
        let bytes = damage(text.into_bytes(), &flips, cut.as_ref());
        read_everything(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn damaged_frames_are_read_or_refused(frame in any_binary(), (flips, cut) in damages()) {
        let bytes = Bytes::from(damage(frame.to_vec(), &flips, cut.as_ref()));
        if let Ok(BinaryFrame::Output(output)) = BinaryFrame::decode(&bytes) {
            prop_assert!(output.end() >= output.offset);
            prop_assert_eq!(output.encode().len(), bytes.len());
        }
    }

    #[test]
    fn any_bytes_are_a_frame_or_not(bytes in vec(any::<u8>(), 0..200), kind in 0..5_u8) {
        let _ = BinaryFrame::decode(&Bytes::from(bytes.clone()));
        let mut typed = vec![kind];
        typed.extend(bytes);
        if let Ok(BinaryFrame::Output(output)) = BinaryFrame::decode(&typed.into()) {
            let _ = output.end();
        }
    }

    #[test]
    fn text_output_becomes_a_frame(bytes in generate::bytes(), offset in any::<u64>(), cols: u16, rows: u16) {
        let json = serde_json::json!({
            "commandId": CommandId([7; 16]), "offset": offset, "cols": cols, "rows": rows, "data": "x",
        });
        let Ok(mut output) = serde_json::from_value::<TerminalOutput>(json) else { return Ok(()) };
        output.data = bytes;
        let frame = OutputFrame::from(output);
        prop_assert!(frame.end() >= frame.offset);
        if offset <= u64::MAX / 2 {
            prop_assert_eq!(BinaryFrame::decode(&frame.encode()).unwrap(), BinaryFrame::Output(frame));
        }
    }

    #[test]
    fn any_name_is_checked(text in "[.@_-]{0,3}|\\PC{0,140}") {
        if let Ok(id) = text.parse::<AgentId>() {
            prop_assert!(std::path::Path::new(id.as_str()).file_name().is_some_and(|name| name == id.as_str()));
            prop_assert_eq!(Channel::Agent(id.clone()).to_string().parse(), Ok(Channel::Agent(id)));
        }
        let _ = text.parse::<CommandId>();
    }

    #[test]
    fn any_channel_is_checked(text in "(agent|command|task|issue|project|system):?\\PC{0,40}|\\PC{0,20}") {
        if let Ok(channel) = text.parse::<Channel>() {
            prop_assert_eq!(channel.to_string().parse(), Ok(channel.clone()));
            prop_assert!(Pattern::exactly(&channel).matches(&channel));
            prop_assert!(Pattern::new(channel.to_string()).is_ok());
        }
        if let Ok(pattern) = Pattern::new(text) {
            let _ = (pattern.concrete(), pattern.matches(&Channel::System));
        }
    }

    #[test]
    fn any_selector_keeps_its_meaning(
        text in "([a-c*]|[a-c]!{0,2}=[a-c]|not|and|or|[(),]| ){0,25}",
        name in "[a-c]{1,2}",
        value in "[a-c]{0,2}",
    ) {
        let Ok(selector) = text.parse::<Selector>() else { return Ok(()) };
        let again: Selector = selector.to_string().parse()
            .map_err(|error| TestCaseError::fail(format!("{selector}: {error}")))?;
        let labels = ["a", "b", "a!"].map(|key| (key.to_owned(), value.clone())).into();
        let agent = AgentId::new(name).unwrap();
        prop_assert_eq!(again.matches(&agent, &labels), selector.matches(&agent, &labels), "{}", selector);
    }
}

#[test]
fn a_deep_selector_keeps_its_meaning() {
    let deep = format!("{}x,y{}", "(a or b and ".repeat(60), ")".repeat(60));
    let selector: Selector = deep.parse().unwrap();
    let again: Selector = selector.to_string().parse().unwrap();
    assert_eq!(again.to_string(), selector.to_string());
}

#[test]
fn a_command_is_argv_or_shell_but_not_both() {
    let both = r#"{"version":"1.0.0","type":"command:request","timestamp":1,"payload":
        {"key":"k","target":{"agent":"a"},"argv":["true"],"shell":"false"}}"#;
    assert!(matches!(
        decode::<DashboardMessage>(both),
        Err(DecodeError::Payload { .. })
    ));
    let neither = both.replace(r#","argv":["true"],"shell":"false""#, "");
    assert!(matches!(
        decode::<DashboardMessage>(&neither),
        Err(DecodeError::Payload { .. })
    ));
}

#[test]
fn deep_nesting_is_refused() {
    let data = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = format!(
        r#"{{"version":"1.0.0","type":"publish","timestamp":1,"payload":{{"channel":"system","event":"e","data":{data}}}}}"#
    );
    assert!(matches!(
        decode::<DashboardMessage>(&text),
        Err(DecodeError::Payload { .. })
    ));
}

#[test]
fn a_terminal_too_large_to_allocate_is_refused() {
    let text = r#"{"version":"1.0.0","type":"terminal:output","timestamp":1,"payload":
        {"commandId":"00112233445566778899aabbccddeeff","offset":0,"cols":65535,"rows":65535,"data":""}}"#;
    assert!(matches!(
        decode::<AgentMessage>(text),
        Err(DecodeError::Payload { .. })
    ));
}

#[test]
fn numbers_that_cannot_be_counted_on_are_refused() {
    for at in [8, 16, 24] {
        let mut frame = vec![0; 49];
        frame[0] = 1;
        frame[at] = 0x7f;
        assert!(
            matches!(
                BinaryFrame::decode(&frame.into()),
                Err(DecodeError::Envelope(_))
            ),
            "{at}"
        );
    }
    let id = "00112233445566778899aabbccddeeff";
    let far = 1_u64 << 53;
    for (kind, payload) in [
        (
            "terminal:output",
            format!(r#"{{"commandId":"{id}","offset":{far},"data":"x"}}"#),
        ),
        (
            "gap",
            format!(r#"{{"commandId":"{id}","from":0,"to":{far},"reason":"x"}}"#),
        ),
        (
            "command:status",
            format!(r#"{{"commandId":"{id}","state":"exited","offset":{far}}}"#),
        ),
        (
            "command:status",
            format!(r#"{{"commandId":"{id}","state":"exited","startedAt":{far}}}"#),
        ),
        (
            "agent:connect",
            format!(
                r#"{{"agentId":"a","commands":[{{"commandId":"{id}","state":"exited","to":{far}}}]}}"#
            ),
        ),
    ] {
        let text =
            format!(r#"{{"version":"1.0.0","type":"{kind}","timestamp":1,"payload":{payload}}}"#);
        assert!(
            matches!(
                decode::<AgentMessage>(&text),
                Err(DecodeError::Payload { .. })
            ),
            "{text}"
        );
        assert!(
            decode::<AgentMessage>(&text.replace(&far.to_string(), "7")).is_ok(),
            "{text}"
        );
    }
}
