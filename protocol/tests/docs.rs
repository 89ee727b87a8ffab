//! Holds docs/protocol.md and the types together: every message, field, error code and close code is described, and
//! every example is a real message.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use opsctl_protocol::close::{CloseCode, Retry, retry};
use opsctl_protocol::message::{Direction, ErrorCode, Kind, LimitsInfo, ToDashboard, schema};
use opsctl_protocol::poll::{Cursor, Polled};
use opsctl_protocol::{
    AgentMessage, BinaryFrame, DashboardMessage, Timestamp, ToAgent, VERSION, decode,
};
use serde_json::Value;

const REFERENCE: &str = include_str!("../../docs/protocol.md");

/// The info string of an example's fence, and the schema's name for the direction.
const DIRECTIONS: [(&str, &str); 4] = [
    ("json dashboard→daemon", "dashboardToDaemon"),
    ("json daemon→dashboard", "daemonToDashboard"),
    ("json agent→daemon", "agentToDaemon"),
    ("json daemon→agent", "daemonToAgent"),
];

/// The fenced blocks with their info strings.
fn blocks() -> Vec<(&'static str, String)> {
    let mut blocks = Vec::new();
    let mut lines = REFERENCE.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((info, body.join("\n")));
        }
    }
    blocks
}

/// The names between backticks in the first column of the tables, by the heading that they stand under.
fn table_names() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut heading = "";
    for line in REFERENCE.lines() {
        if line.starts_with('#') {
            heading = line.trim_start_matches('#').trim();
        } else if let Some(row) = line.strip_prefix("| ") {
            let cell = row.split(" | ").next().unwrap();
            names
                .entry(heading)
                .or_default()
                .extend(cell.split('`').skip(1).step_by(2));
        }
    }
    names
}

/// Reads an example in its direction, and gives the payload as the types write it.
fn read(info: &str, text: &str) -> Result<Value, String> {
    fn payload<M: Direction>(text: &str) -> Result<Value, String> {
        let decoded = decode::<M>(text).map_err(|error| error.to_string())?;
        let mut written = Vec::new();
        let done = decoded.message.write_payload(&mut written);
        done.and_then(|()| serde_json::from_slice(&written))
            .map_err(|error| error.to_string())
    }
    match info {
        "json dashboard→daemon" => payload::<DashboardMessage>(text),
        "json daemon→dashboard" => payload::<ToDashboard>(text),
        "json agent→daemon" => payload::<AgentMessage>(text),
        "json daemon→agent" => payload::<ToAgent>(text),
        other => Err(format!("no direction {other:?}")),
    }
}

/// What the example says and the types don't know: they ignore unknown fields, so a misspelt one would pass.
fn unknown(example: &Value, written: &Value, path: &str, found: &mut Vec<String>) {
    match (example, written) {
        (Value::Object(example), Value::Object(written)) => {
            for (key, value) in example {
                match written.get(key) {
                    Some(known) => unknown(value, known, &format!("{path}.{key}"), found),
                    None => found.push(format!("{path}.{key}")),
                }
            }
        }
        (Value::Array(example), Value::Array(written)) if example.len() == written.len() => {
            for (one, known) in example.iter().zip(written) {
                unknown(one, known, path, found);
            }
        }
        _ if example == written => {}
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn every_example_is_a_message() {
    for (info, text) in blocks() {
        if !info.starts_with("json ") {
            continue;
        }
        let written = read(info, &text).unwrap_or_else(|error| panic!("{error}\n{info}: {text}"));
        let envelope: Value = serde_json::from_str(&text).unwrap();
        if envelope.get("encoding").is_none() {
            let mut found = Vec::new();
            unknown(&envelope["payload"], &written, "payload", &mut found);
            assert!(found.is_empty(), "the types don't know {found:?} in {text}");
        }
        assert_eq!(envelope["version"], VERSION);
        let (channel, seq) = (envelope.get("channel"), envelope.get("seq"));
        assert_eq!(channel.is_some(), seq.is_some(), "a push has both: {text}");
    }
}

#[test]
fn every_message_has_an_example() {
    let shown: BTreeSet<(&str, String)> = blocks()
        .into_iter()
        .filter(|(info, _)| info.starts_with("json "))
        .map(|(info, text)| {
            let envelope: Value = serde_json::from_str(&text).unwrap();
            (info, envelope["type"].as_str().unwrap().to_owned())
        })
        .collect();
    let schema = schema();
    let missing: Vec<(&str, &String)> = DIRECTIONS
        .iter()
        .flat_map(|(info, name)| {
            let types = schema["properties"][*name].as_object().unwrap();
            types.keys().map(move |kind| (*info, kind))
        })
        .filter(|(info, kind)| !shown.contains(&(*info, (*kind).clone())))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/protocol.md shows no example of {missing:?}"
    );
}

/// The names of a schema's own fields, those of flattened objects included.
fn fields<'a>(schema: &'a Value, all: &'a Value, into: &mut BTreeSet<&'a str>) {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix("#/$defs/"))
    {
        fields(&all["$defs"][name], all, into);
    }
    if let Some(properties) = schema["properties"].as_object() {
        into.extend(properties.keys().map(String::as_str));
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        for part in schema[key].as_array().into_iter().flatten() {
            fields(part, all, into);
        }
    }
}

#[test]
fn every_field_is_described() {
    let schema = schema();
    let tables = table_names();
    for (_, direction) in DIRECTIONS {
        for (kind, payload) in schema["properties"][direction].as_object().unwrap() {
            let mut wanted = BTreeSet::new();
            fields(payload, &schema, &mut wanted);
            // A type that several directions share is described under one of its headings.
            let title = format!("`{kind}`");
            let described: BTreeSet<&str> = tables
                .iter()
                .filter(|(heading, _)| heading.starts_with(&title))
                .flat_map(|(_, names)| names.iter().copied())
                .collect();
            let missing: Vec<_> = wanted.difference(&described).collect();
            assert!(
                missing.is_empty(),
                "docs/protocol.md: {kind} lacks {missing:?}"
            );
        }
    }
}

#[test]
fn every_field_of_the_objects_is_described() {
    let schema = schema();
    let tables = table_names();
    let objects = [
        ("CommandSpec", "Command"),
        ("AgentInfo", "Agent"),
        ("CommandSummary", "Command summary"),
        ("CommandReport", "Command report"),
        ("Approval", "Approval"),
        ("ApprovalAnswer", "Approval answer"),
        ("Since", "Since"),
        ("SubscribedStream", "Stream"),
        ("ConnectionInfo", "`connection:list`"),
        ("AgentConnection", "Agent connection"),
        ("Traffic", "Traffic"),
        ("AgentCounts", "`daemon:status`"),
        ("QueueCounts", "`daemon:status`"),
        ("LogStatus", "`daemon:status`"),
        ("DiskStatus", "`daemon:status`"),
    ];
    for (definition, heading) in objects {
        let mut wanted = BTreeSet::new();
        fields(&schema["$defs"][definition], &schema, &mut wanted);
        assert!(!wanted.is_empty(), "{definition}");
        let mut described = tables[heading].clone();
        if definition == "CommandReport" {
            described.extend(&tables["`command:status`"]);
        }
        let missing: Vec<_> = wanted.difference(&described).collect();
        assert!(
            missing.is_empty(),
            "docs/protocol.md: {heading} lacks {missing:?}"
        );
    }
}

#[test]
fn every_word_is_described() {
    let schema = schema();
    for definition in [
        "State",
        "Signal",
        "Kind",
        "Activity",
        "ActivitySource",
        "Presence",
        "Priority",
        "Level",
        "Role",
        "Stdin",
        "TypedState",
        "Obstacle",
        "Evidence",
        "Verdict",
    ] {
        let words = schema["$defs"][definition].to_string();
        let words: Value = serde_json::from_str(&words).unwrap();
        let listed = words["enum"].as_array().into_iter().flatten();
        let single = words["oneOf"].as_array().into_iter().flatten();
        let mut count = 0;
        for word in listed
            .chain(single.map(|one| &one["const"]))
            .filter_map(Value::as_str)
        {
            assert!(
                REFERENCE.contains(&format!("`{word}`")),
                "docs/protocol.md lacks {definition} {word}"
            );
            count += 1;
        }
        assert!(count > 0, "{definition} has no words in the schema");
    }
}

#[test]
fn every_code_is_described() {
    let tables = table_names();
    let errors: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(tables["Error codes"], errors);
    for code in CloseCode::ALL {
        let row = REFERENCE
            .lines()
            .find(|line| line.starts_with(&format!("| {} |", code.number())));
        let row =
            row.unwrap_or_else(|| panic!("docs/protocol.md lacks close code {}", code.number()));
        let advice = match retry(code.number()) {
            Retry::Yes => "| yes",
            Retry::Replaced => "| not by yourself |",
            Retry::No => "| no |",
        };
        assert!(row.contains(advice), "{row}");
    }
}

#[test]
fn the_limits_are_those_of_the_types() {
    let (info, text) = blocks()
        .into_iter()
        .find(|(_, text)| text.contains(r#""type":"connected""#))
        .unwrap();
    let connected = read(info, &text).unwrap();
    // The rates are the daemon's settings; the page shows some.
    let mut limits = connected["limits"].clone();
    let rates = limits.as_object_mut().unwrap().remove("rates").unwrap();
    assert!(rates["ping"]["perSecond"].is_u64(), "{rates}");
    assert_eq!(limits, serde_json::to_value(LimitsInfo::default()).unwrap());
}

#[test]
fn the_answer_to_a_poll_is_one() {
    let (_, text) = blocks()
        .into_iter()
        .find(|(_, text)| text.contains(r#""cursor""#))
        .unwrap();
    let polled: Polled = serde_json::from_str(&text).unwrap();
    assert_eq!(
        polled.cursor.parse::<Cursor>().unwrap().to_string(),
        polled.cursor
    );
    for message in polled.messages {
        decode::<ToDashboard>(message.get()).unwrap();
    }
}

#[test]
fn the_binary_example_is_a_frame() {
    let (_, text) = blocks()
        .into_iter()
        .find(|(info, _)| *info == "hex output")
        .unwrap();
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let bytes: Bytes = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let BinaryFrame::Output(frame) = BinaryFrame::decode(&bytes).unwrap() else {
        panic!("not an output frame");
    };
    assert_eq!(
        frame.command_id.to_string(),
        "7b1f0c2a9d3e4f5061728394a5b6c7d8"
    );
    assert_eq!(
        (frame.offset, frame.kind, &frame.data[..]),
        (0, Kind::Output, &b"hi\n"[..])
    );
    assert_eq!(frame.time, Timestamp(1_763_680_000_119));
}
