//! What `opsctl send --jsonl` printed, held against what each agent's program did.

use std::collections::BTreeMap;
use std::path::PathBuf;

use opsctl_protocol::message::{CommandStatus, Kind, State, TerminalOutput};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::program::Script;
use crate::work::{NO_STATUS, Run};

/// What was printed of one agent's command.
#[derive(Default)]
struct Printed {
    /// stdout and stderr.
    outputs: [Vec<u8>; 2],
    /// The offset of the next byte, of both together.
    next: u64,
    end: Option<CommandStatus>,
}

/// Every byte of each agent, in order, and how its command ended. Returns the exit code of all together, the highest.
pub fn check(lines: &[u8], runs: &[Run]) -> Result<i32, String> {
    let mut printed = read(lines)?;
    let mut highest = 0;
    for run in runs {
        let printed = printed.remove(&run.agent);
        let printed = printed.ok_or_else(|| format!("nothing of {}", run.agent))?;
        let end = printed.end.as_ref();
        let end = end.ok_or_else(|| format!("no end of {}", run.agent))?;
        let (lost, code) = match (end.state, end.exit_code) {
            (State::Exited, Some(code)) if code == i32::from(run.script.code) => (false, code),
            (State::Lost, _) if run.may_be_lost => (true, NO_STATUS),
            (State::Failed, _) if run.may_fail => (true, NO_STATUS),
            _ => return Err(format!("{} ended as {end:?}", run.agent)),
        };
        run.check_output(&printed.outputs, lost)?;
        highest = highest.max(code);
    }
    match printed.keys().next() {
        Some(agent) => Err(format!("{agent} was not asked")),
        None => Ok(highest),
    }
}

fn read(lines: &[u8]) -> Result<BTreeMap<String, Printed>, String> {
    let mut all: BTreeMap<String, Printed> = BTreeMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        let line: Value = parse(serde_json::from_slice(line))?;
        let kind = line["type"].as_str().unwrap_or_default().to_owned();
        let agent = line["agentId"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "terminal:output" => {
                let output: TerminalOutput = typed(line)?;
                let printed = all.entry(agent).or_default();
                if output.offset != printed.next {
                    let (at, next) = (output.offset, printed.next);
                    return Err(format!("output at {at}, {next} was next"));
                }
                printed.next += output.data.0.len() as u64;
                let to = usize::from(output.kind == Kind::Error);
                printed.outputs[to].extend_from_slice(&output.data.0);
            }
            "command:status" => {
                let status: CommandStatus = typed(line)?;
                let printed = all.entry(agent).or_default();
                if status.state.is_final() && printed.end.replace(status).is_some() {
                    return Err("a command ended twice".to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(all)
}

fn typed<T: DeserializeOwned>(line: Value) -> Result<T, String> {
    parse(serde_json::from_value(line))
}

fn parse<T>(parsed: serde_json::Result<T>) -> Result<T, String> {
    parsed.map_err(|error| format!("a bad line: {error}"))
}

/// A missing, a doubled and a damaged byte are found, and an end that is not the program's.
pub fn check_self() {
    let script = Script {
        id: "self".to_owned(),
        seed: 1,
        lines: 9,
        burst: 1,
        pause_ms: 0,
        errors: 20,
        binary: false,
        pty: false,
        stdin: false,
        code: 7,
        everywhere: true,
        marks: PathBuf::new(),
    };
    let runs = ["a", "b"].map(|agent| Run {
        agent: agent.to_owned(),
        script: script.on(agent),
        may_be_lost: agent == "b",
        may_fail: false,
    });
    let highest = runs.iter().map(|run| i32::from(run.script.code)).max();
    let lines = |edit: &dyn Fn(&mut Vec<u8>), end: &Value| {
        let mut lines = Vec::new();
        for run in &runs {
            let [mut out, err] = run.script.expected();
            edit(&mut out);
            let pieces = [(0, "output", &out), (out.len(), "error", &err)];
            for (offset, kind, data) in pieces {
                let data = String::from_utf8_lossy(data);
                let id = "00c0ffee00c0ffee00c0ffee00c0ffee";
                let line = json!({"type": "terminal:output", "agentId": run.agent, "commandId": id, "offset": offset, "kind": kind, "data": data});
                lines.push(line.to_string());
            }
            let mut end = end.clone();
            if end["state"] == "exited" {
                end["exitCode"] = run.script.code.into();
            }
            end["type"] = "command:status".into();
            end["agentId"] = run.agent.as_str().into();
            end["commandId"] = "00c0ffee00c0ffee00c0ffee00c0ffee".into();
            lines.push(end.to_string());
        }
        check(lines.join("\n").as_bytes(), &runs)
    };
    let (exited, lost) = (json!({"state": "exited"}), json!({"state": "lost"}));
    assert_eq!(lines(&|_| {}, &exited).ok(), highest);
    assert!(lines(&|out| out.truncate(20), &exited).is_err());
    assert!(lines(&|out| out.insert(20, out[20]), &exited).is_err());
    assert!(lines(&|out| out[20] ^= 1, &exited).is_err());
    assert!(lines(&|_| {}, &lost).is_err(), "a's program is never lost");
}
