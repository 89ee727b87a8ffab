//! For programs: `--json`, one document when all have ended, and `--jsonl`, a line for each event as it happens. Lines
//! carry the payloads of the wire contract with their `type`.

use bytes::{BufMut, Bytes, BytesMut};
use opsctl_protocol::OutputFrame;
use opsctl_protocol::message::{CommandAccepted, CommandStatus, Payload, TerminalOutput};
use opsctl_protocol::{AgentId, Timestamp};
use serde::Serialize;

use super::form::{Form, Out, own_line};
use super::gather::Held;
use super::job::Job;
use crate::output::printer::To;

/// A line of `--jsonl`.
#[derive(Serialize)]
struct Line<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    payload: T,
}

/// The last line of `--jsonl`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct End {
    exit_code: u8,
}

/// A note of opsctl's own.
#[derive(Serialize)]
struct Note<'a> {
    message: &'a str,
}

/// `--jsonl`.
#[derive(Debug)]
pub(super) struct Lines;

impl Lines {
    /// The first line: what was accepted.
    pub(super) fn accepted(accepted: &CommandAccepted, out: &mut Out) {
        push("command:accepted", accepted, out);
    }
}

/// What `--detach` prints: the answer to the request, and which names it does not cover.
pub(super) fn detached(accepted: &CommandAccepted, missing: &[String], pretty: bool) -> String {
    let mut document = serde_json::to_value(accepted).unwrap_or_default();
    if !missing.is_empty() {
        document["missing"] = missing.into();
    }
    document_text(&document, pretty)
}

/// What `--dry-run` prints: whom it would reach, and who is offline.
pub(super) fn reach(agents: &[AgentId], offline: &[AgentId], pretty: bool) -> String {
    let mut document = serde_json::json!({ "agents": agents });
    if !offline.is_empty() {
        document["offline"] = serde_json::json!(offline);
    }
    document_text(&document, pretty)
}

fn document_text(document: &serde_json::Value, pretty: bool) -> String {
    if pretty {
        format!("{document:#}\n")
    } else {
        format!("{document}\n")
    }
}

fn push(kind: &str, payload: impl Serialize, out: &mut Out) {
    let mut line = BytesMut::new().writer();
    // Strings and numbers always have a JSON form.
    if serde_json::to_writer(&mut line, &Line { kind, payload }).is_ok() {
        let mut line = line.into_inner();
        line.put_u8(b'\n');
        out.push_back((To::Stdout, line.freeze()));
    }
}

impl Form for Lines {
    fn output(&mut self, _at: usize, job: &Job, frame: OutputFrame, out: &mut Out) {
        let payload = TerminalOutput {
            agent_id: Some(job.agent.clone()),
            command_id: frame.command_id,
            offset: frame.offset,
            kind: frame.kind,
            data: Payload(frame.data),
            time: (frame.time.0 > 0).then_some(frame.time),
            cols: frame.size.map(|size| size.0),
            rows: frame.size.map(|size| size.1),
        };
        push("terminal:output", payload, out);
    }

    fn status(&mut self, job: &Job, status: &CommandStatus, out: &mut Out) {
        let agent_id = Some(job.agent.clone());
        push(
            "command:status",
            CommandStatus {
                agent_id,
                command: None,
                ..status.clone()
            },
            out,
        );
    }

    fn ended(&mut self, _at: usize, _job: &Job, _out: &mut Out) {}

    fn note(&mut self, text: &str, out: &mut Out) {
        push("note", Note { message: text }, out);
        out.push_back(own_line(text));
    }

    fn finish(&mut self, _jobs: &[Job], code: u8, out: &mut Out) {
        push("end", End { exit_code: code }, out);
    }
}

/// `--json`.
#[derive(Debug)]
pub(super) struct Document {
    offline: Vec<AgentId>,
    missing: Vec<String>,
    held: Held,
    /// Something did not fit.
    cut: bool,
}

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    /// What this process exits with.
    exit_code: u8,
    commands: Vec<CommandReport<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    offline: &'a [AgentId],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    missing: &'a [String],
    /// Output above the bound was left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// A command in the document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CommandReport<'a> {
    agent_id: &'a AgentId,
    command_id: String,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    timed_out: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<String>,
    /// In the place of `stdout` where that is not UTF-8.
    #[serde(rename = "stdoutB64", skip_serializing_if = "Option::is_none")]
    stdout_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<String>,
    /// In the place of `stderr` where that is not UTF-8.
    #[serde(rename = "stderrB64", skip_serializing_if = "Option::is_none")]
    stderr_base64: Option<String>,
}

/// Bytes as text where they are UTF-8, else in base64: the same choice as on the wire.
fn text_or_base64(bytes: Bytes) -> (Option<String>, Option<String>) {
    let json = serde_json::to_value(Payload(bytes)).unwrap_or_default();
    let field = |name: &str| json.get(name)?.as_str().map(str::to_owned);
    (field("data"), field("dataB64"))
}

impl Document {
    pub(super) fn new(accepted: &CommandAccepted, missing: &[String]) -> Self {
        Self {
            offline: accepted.offline.clone(),
            missing: missing.to_vec(),
            held: Held::default(),
            cut: false,
        }
    }
}

impl Form for Document {
    fn output(&mut self, at: usize, _job: &Job, frame: OutputFrame, _out: &mut Out) {
        self.cut |= !self.held.push(at, &frame);
    }

    fn ended(&mut self, _at: usize, _job: &Job, _out: &mut Out) {}

    fn note(&mut self, text: &str, out: &mut Out) {
        out.push_back(own_line(text));
    }

    fn finish(&mut self, jobs: &[Job], code: u8, out: &mut Out) {
        let mut commands = Vec::with_capacity(jobs.len());
        for (at, job) in jobs.iter().enumerate() {
            let [stdout, stderr] = self.held.take(at).map(text_or_base64);
            commands.push(CommandReport {
                agent_id: &job.agent,
                command_id: job.id.to_string(),
                state: job.status.state.as_str(),
                exit_code: job.status.exit_code,
                signal: job.status.signal,
                timed_out: job.status.timed_out,
                reason: job.status.reason.as_deref(),
                started_at: job.status.started_at,
                finished_at: job.status.finished_at,
                stdout: stdout.0,
                stdout_base64: stdout.1,
                stderr: stderr.0,
                stderr_base64: stderr.1,
            });
        }
        let report = Report {
            exit_code: code,
            commands,
            offline: &self.offline,
            missing: &self.missing,
            truncated: self.cut,
        };
        let mut text = serde_json::to_vec_pretty(&report).unwrap_or_default();
        text.push(b'\n');
        out.push_back((To::Stdout, Bytes::from(text)));
    }
}
