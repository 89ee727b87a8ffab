//! How output is shown: a form turns events into pieces for stdout and stderr. Forms are pure but for the clock that
//! they are handed.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Instant;

use bytes::Bytes;
use opsctl_protocol::OutputFrame;
use opsctl_protocol::message::{CommandAccepted, CommandStatus, Kind};

use super::SendArgs;
use super::gather::Gather;
use super::job::Job;
use super::json::{Document, Lines};
use super::prefix::Prefixed;
use crate::output::printer::{Piece, To};

/// Pieces on their way to the printer.
pub(super) type Out = VecDeque<Piece>;

/// How output is shown.
pub(super) trait Form {
    /// A piece of output came.
    fn output(&mut self, at: usize, job: &Job, frame: OutputFrame, out: &mut Out);

    /// A command's state changed.
    fn status(&mut self, _job: &Job, _status: &CommandStatus, _out: &mut Out) {}

    /// A command has ended, all of its output has come.
    fn ended(&mut self, at: usize, job: &Job, out: &mut Out);

    /// opsctl has something to say itself.
    fn note(&mut self, text: &str, out: &mut Out);

    /// Whether people read along, who have no use for what is out of date.
    fn is_live(&self) -> bool {
        false
    }

    /// When [`Form::tick`] wants to be called, if nothing else happens.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Time has passed.
    fn tick(&mut self, _now: Instant, _out: &mut Out) {}

    /// Everything has ended.
    fn finish(&mut self, jobs: &[Job], code: u8, out: &mut Out);
}

/// The form that the arguments ask for.
pub(super) fn choose(
    args: &SendArgs,
    accepted: &CommandAccepted,
    missing: &[String],
) -> Box<dyn Form> {
    if args.jsonl {
        return Box::new(Lines);
    }
    if args.json {
        return Box::new(Document::new(accepted, missing));
    }
    let color = args.color.on(&std::io::stdout());
    if args.gather {
        return Box::new(Gather::new(color));
    }
    match &accepted.commands[..] {
        [_] => Box::new(Raw::default()),
        commands => {
            let names = commands.iter().map(|command| command.agent_id.as_str());
            let names: Vec<&str> = if args.no_prefix {
                vec![""; commands.len()]
            } else {
                names.collect()
            };
            let stderr_color = args.color.on(&std::io::stderr());
            let one_screen = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
            Box::new(Prefixed::new(&names, [color, stderr_color], one_screen))
        }
    }
}

/// Where output of a kind goes.
pub(super) fn descriptor(kind: Kind) -> To {
    match kind {
        Kind::Output => To::Stdout,
        Kind::Error | Kind::Info => To::Stderr,
    }
}

/// A line of opsctl's own on stderr.
pub(super) fn own_line(text: &str) -> Piece {
    (To::Stderr, Bytes::from(format!("opsctl: {text}\n")))
}

/// Says which agents nothing runs on.
pub(super) fn absent(accepted: &CommandAccepted, missing: &[String]) -> Vec<String> {
    let offline = accepted
        .offline
        .iter()
        .map(|agent| format!("{agent} is offline"));
    offline
        .chain(
            missing
                .iter()
                .map(|name| format!("no agent is named {name}")),
        )
        .collect()
}

/// The same, printed at once.
pub(super) fn report_absent(accepted: &CommandAccepted, missing: &[String]) {
    for line in absent(accepted, missing) {
        eprintln!("opsctl: {line}");
    }
}

/// One command, byte for byte.
#[derive(Debug, Default)]
pub(super) struct Raw {
    /// Stdout stands in the middle of a line.
    mid_line: bool,
}

impl Form for Raw {
    fn output(&mut self, _at: usize, _job: &Job, frame: OutputFrame, out: &mut Out) {
        let to = descriptor(frame.kind);
        if to == To::Stdout
            && let Some(last) = frame.data.last()
        {
            self.mid_line = *last != b'\n';
        }
        out.push_back((to, frame.data));
    }

    fn ended(&mut self, _at: usize, job: &Job, out: &mut Out) {
        if let Some(trouble) = job.trouble() {
            self.note(&format!("{}: {trouble}", job.agent), out);
        }
    }

    fn note(&mut self, text: &str, out: &mut Out) {
        // On a terminal a word of ours starts its own line; elsewhere stderr is apart anyway.
        if std::mem::take(&mut self.mid_line)
            && std::io::stderr().is_terminal()
            && std::io::stdout().is_terminal()
        {
            out.push_back((To::Stderr, Bytes::from_static(b"\n")));
        }
        out.push_back(own_line(text));
    }

    fn is_live(&self) -> bool {
        true
    }

    fn finish(&mut self, _jobs: &[Job], _code: u8, _out: &mut Out) {}
}
