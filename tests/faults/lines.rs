//! What `opsctl send --jsonl` printed, held against what each agent's program did.

use std::collections::BTreeMap;

use opsctl_protocol::message::{CommandStatus, Kind, State, TerminalOutput};
use serde::de::DeserializeOwned;
use serde_json::Value;

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
