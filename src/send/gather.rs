//! `-b`: equal outputs with equal exit codes once, under the names of all that gave them, in clush's form.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use opsctl_protocol::OutputFrame;

use super::form::{Form, Out, descriptor, own_line};
use super::job::Job;
use crate::output::color::{RESET, Style};
use crate::output::nodeset;
use crate::output::printer::To;

/// Output that is held until all have ended, all together. What is above stays at the daemon.
pub(super) const HELD: usize = 256 * 1024 * 1024;

/// The output of commands, held until it is shown.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Stdout and stderr, by command.
    outputs: BTreeMap<usize, [BytesMut; 2]>,
    /// Bytes in all of them.
    total: usize,
}

impl Held {
    /// Holds a piece. `false` when there was no room for all of it.
    pub(super) fn push(&mut self, at: usize, frame: &OutputFrame) -> bool {
        let room = HELD - self.total;
        let kept = &frame.data[..frame.data.len().min(room)];
        let outputs = self.outputs.entry(at).or_default();
        outputs[usize::from(descriptor(frame.kind) == To::Stderr)].extend_from_slice(kept);
        self.total += kept.len();
        kept.len() == frame.data.len()
    }

    /// A command's stdout and stderr.
    pub(super) fn take(&mut self, at: usize) -> [Bytes; 2] {
        self.outputs
            .remove(&at)
            .unwrap_or_default()
            .map(BytesMut::freeze)
    }
}

/// `-b`.
#[derive(Debug)]
pub(super) struct Gather {
    held: Held,
    color: bool,
    /// Something did not fit.
    cut: bool,
}

/// What makes two ends the same: the verdict, stdout, stderr.
type Same = (Option<String>, Bytes, Bytes);

impl Gather {
    pub(super) fn new(color: bool) -> Self {
        Self {
            held: Held::default(),
            color,
            cut: false,
        }
    }

    fn show(&self, names: &str, count: usize, same: Same, out: &mut Out) {
        let (verdict, stdout, stderr) = same;
        let who = if count > 1 {
            format!("{names} ({count})")
        } else {
            names.to_owned()
        };
        if !stdout.is_empty() || verdict.is_none() {
            let rule = "-".repeat(15);
            let (on, off) = if self.color {
                (Style::Name.code(), RESET)
            } else {
                ("", "")
            };
            let header = format!("{on}{rule}\n{who}\n{rule}{off}\n");
            out.push_back((To::Stdout, Bytes::from(header)));
            let ended = stdout.last().is_none_or(|last| *last == b'\n');
            out.push_back((To::Stdout, stdout));
            if !ended {
                out.push_back((To::Stdout, Bytes::from_static(b"\n")));
            }
        }
        for line in stderr.split_inclusive(|byte| *byte == b'\n') {
            let mut text = BytesMut::from(format!("{who}: ").as_bytes());
            text.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            text.extend_from_slice(b"\n");
            out.push_back((To::Stderr, text.freeze()));
        }
        if let Some(verdict) = verdict {
            out.push_back(own_line(&format!("{who}: {verdict}")));
        }
    }
}

impl Form for Gather {
    fn output(&mut self, at: usize, _job: &Job, frame: OutputFrame, _out: &mut Out) {
        self.cut |= !self.held.push(at, &frame);
    }

    fn ended(&mut self, _at: usize, _job: &Job, _out: &mut Out) {}

    fn note(&mut self, text: &str, out: &mut Out) {
        out.push_back(own_line(text));
    }

    fn finish(&mut self, jobs: &[Job], _code: u8, out: &mut Out) {
        let mut groups: BTreeMap<Same, Vec<&str>> = BTreeMap::new();
        for (at, job) in jobs.iter().enumerate() {
            let [stdout, stderr] = self.held.take(at);
            let verdict = if job.done {
                job.verdict()
            } else {
                Some("has not ended".to_owned())
            };
            groups
                .entry((verdict, stdout, stderr))
                .or_default()
                .push(job.agent.as_str());
        }
        let mut groups: Vec<(Same, Vec<&str>)> = groups.into_iter().collect();
        groups.sort_by(|a, b| a.1.first().cmp(&b.1.first()));
        for (same, names) in groups {
            let count = names.len();
            self.show(&nodeset::fold(names), count, same, out);
        }
        if self.cut {
            let text = format!(
                "only the first {} MiB of output are shown; see opsctl logs",
                HELD >> 20
            );
            out.push_back(own_line(&text));
        }
    }
}

#[cfg(test)]
mod tests {
    use opsctl_protocol::frame::Via;
    use opsctl_protocol::message::{Kind, State};
    use opsctl_protocol::{AgentId, CommandId, Timestamp};

    use super::*;

    fn ended(name: &str, code: i32) -> Job {
        let mut job = Job::new(AgentId::new(name).unwrap(), CommandId::random(), None);
        job.status.state = State::Exited;
        job.status.exit_code = Some(code);
        job.done = true;
        job
    }

    fn piece(kind: Kind, data: &'static str) -> OutputFrame {
        OutputFrame {
            command_id: CommandId([0; 16]),
            kind,
            via: Via::Command,
            seq: 0,
            offset: 0,
            time: Timestamp(0),
            size: None,
            data: Bytes::from_static(data.as_bytes()),
        }
    }

    #[test]
    fn equal_outputs_with_equal_codes_come_once() {
        let jobs = [
            ended("web-1", 0),
            ended("web-2", 0),
            ended("web-3", 0),
            ended("web-4", 7),
        ];
        let mut form = Gather::new(false);
        let mut out = Out::new();
        for (at, text) in ["5.10\n", "5.10\n", "6.1", "5.10\n"]
            .into_iter()
            .enumerate()
        {
            form.output(at, &jobs[at], piece(Kind::Output, text), &mut out);
        }
        form.output(3, &jobs[3], piece(Kind::Error, "bad\n"), &mut out);
        form.finish(&jobs, 7, &mut out);
        let text = |to: To| {
            let of = out
                .iter()
                .filter(|(of, _)| *of == to)
                .map(|(_, data)| &data[..]);
            String::from_utf8(of.collect::<Vec<_>>().concat()).unwrap()
        };
        let rule = "---------------";
        let expected = format!(
            "{rule}\nweb-[1-2] (2)\n{rule}\n5.10\n{rule}\nweb-3\n{rule}\n6.1\n{rule}\nweb-4\n{rule}\n5.10\n"
        );
        assert_eq!(text(To::Stdout), expected);
        assert_eq!(
            text(To::Stderr),
            "web-4: bad\nopsctl: web-4: exited with exit code 7\n"
        );
    }
}
