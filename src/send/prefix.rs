//! Several agents live: whole lines, each with its agent's name before it. A line without an end is shown after a short
//! while, and what others say then starts on a line of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use opsctl_protocol::OutputFrame;

use super::form::{Form, Out, descriptor, own_line};
use super::job::Job;
use crate::output::color::{RESET, Style};
use crate::output::printer::To;

/// How long a line may be without an end before it is shown as it is: a prompt, or a progress bar.
const PARTIAL_AFTER: Duration = Duration::from_millis(100);

/// A line is shown in parts above this.
const LONGEST_LINE: usize = 64 * 1024;

/// Several agents live.
#[derive(Debug)]
pub(super) struct Prefixed {
    /// What comes before each line, by command and descriptor.
    prefixes: Vec<[Bytes; 2]>,
    /// Lines without an end, by command and descriptor.
    partial: BTreeMap<(usize, To), Partial>,
    /// Whose line stands open on each screen: shown in part, without an end.
    open: [Option<(usize, To)>; 2],
    /// Both descriptors lead to the same screen.
    one_screen: bool,
}

/// A line without an end.
#[derive(Debug)]
struct Partial {
    bytes: BytesMut,
    since: Instant,
}

impl Prefixed {
    /// `names` in the order of commands, empty for none; `color` for stdout and stderr.
    pub(super) fn new(names: &[&str], color: [bool; 2], one_screen: bool) -> Self {
        let prefix = |name: &str, style: Style, color: bool| match (name, color) {
            ("", _) => Bytes::new(),
            (name, true) => Bytes::from(format!("{}{name}:{RESET} ", style.code())),
            (name, false) => Bytes::from(format!("{name}: ")),
        };
        let prefixes = names
            .iter()
            .map(|name| {
                [
                    prefix(name, Style::Name, color[0]),
                    prefix(name, Style::Bad, color[1]),
                ]
            })
            .collect();
        Self {
            prefixes,
            partial: BTreeMap::new(),
            open: [None; 2],
            one_screen,
        }
    }

    /// Takes bytes of one command and puts out every line that they end.
    fn feed(&mut self, at: usize, to: To, data: &[u8], now: Instant, out: &mut Out) {
        let whole = data
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let (lines, rest) = data.split_at(whole);
        if !lines.is_empty() {
            let mut text = self
                .partial
                .remove(&(at, to))
                .map_or_else(BytesMut::new, |partial| partial.bytes);
            text.extend_from_slice(lines);
            self.put(at, to, &text, out);
        }
        if !rest.is_empty() {
            let fresh = || Partial {
                bytes: BytesMut::new(),
                since: now,
            };
            let partial = self.partial.entry((at, to)).or_insert_with(fresh);
            partial.bytes.extend_from_slice(rest);
            if partial.bytes.len() > LONGEST_LINE {
                self.put_partial(at, to, out);
            }
        }
    }

    /// Puts out text of one command, each line with its name.
    fn put(&mut self, at: usize, to: To, text: &[u8], out: &mut Out) {
        let screen = self.screen(to);
        let goes_on = self.open[screen] == Some((at, to));
        if !goes_on {
            self.close(screen, out);
        }
        let prefix = &self.prefixes[at][usize::from(to == To::Stderr)];
        let mut lines = BytesMut::with_capacity(text.len() + text.len() / 8 + prefix.len());
        for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if number > 0 || !goes_on {
                lines.extend_from_slice(prefix);
            }
            lines.extend_from_slice(line);
        }
        let ended = text.last() == Some(&b'\n');
        self.open[screen] = (!ended).then_some((at, to));
        out.push_back((to, lines.freeze()));
    }

    fn put_partial(&mut self, at: usize, to: To, out: &mut Out) {
        if let Some(partial) = self.partial.remove(&(at, to)) {
            self.put(at, to, &partial.bytes, out);
        }
    }

    /// Ends the line that stands open on a screen.
    fn close(&mut self, screen: usize, out: &mut Out) {
        if let Some((_, to)) = self.open[screen].take() {
            out.push_back((to, Bytes::from_static(b"\n")));
        }
    }

    fn screen(&self, to: To) -> usize {
        usize::from(to == To::Stderr && !self.one_screen)
    }
}

impl Form for Prefixed {
    fn output(&mut self, at: usize, _job: &Job, frame: OutputFrame, out: &mut Out) {
        self.feed(at, descriptor(frame.kind), &frame.data, Instant::now(), out);
    }

    fn ended(&mut self, at: usize, job: &Job, out: &mut Out) {
        for to in [To::Stdout, To::Stderr] {
            self.put_partial(at, to, out);
            let screen = self.screen(to);
            if self.open[screen] == Some((at, to)) {
                self.close(screen, out);
            }
        }
        if let Some(verdict) = job.verdict() {
            self.note(&format!("{}: {verdict}", job.agent), out);
        }
    }

    fn note(&mut self, text: &str, out: &mut Out) {
        self.close(self.screen(To::Stderr), out);
        out.push_back(own_line(text));
    }

    fn is_live(&self) -> bool {
        true
    }

    fn deadline(&self) -> Option<Instant> {
        self.partial
            .values()
            .map(|partial| partial.since + PARTIAL_AFTER)
            .min()
    }

    fn tick(&mut self, now: Instant, out: &mut Out) {
        let due: Vec<(usize, To)> = self
            .partial
            .iter()
            .filter(|(_, partial)| partial.since + PARTIAL_AFTER <= now)
            .map(|(key, _)| *key)
            .collect();
        for (at, to) in due {
            self.put_partial(at, to, out);
        }
    }

    fn finish(&mut self, _jobs: &[Job], _code: u8, out: &mut Out) {
        for (at, to) in self.partial.keys().copied().collect::<Vec<_>>() {
            self.put_partial(at, to, out);
        }
        for screen in 0..self.open.len() {
            self.close(screen, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader of stdout and one of stderr would see.
    fn seen(out: &mut Out) -> [String; 2] {
        let mut seen = [String::new(), String::new()];
        for (to, data) in out.drain(..) {
            seen[usize::from(to == To::Stderr)].push_str(std::str::from_utf8(&data).unwrap());
        }
        seen
    }

    fn two() -> (Prefixed, Out, Instant) {
        (
            Prefixed::new(&["a", "b"], [false; 2], false),
            Out::new(),
            Instant::now(),
        )
    }

    #[test]
    fn lines_are_whole() {
        let (mut form, mut out, now) = two();
        form.feed(0, To::Stdout, b"one\ntw", now, &mut out);
        form.feed(1, To::Stdout, b"x\n", now, &mut out);
        form.feed(0, To::Stdout, b"o\n\nthree\n", now, &mut out);
        form.feed(0, To::Stderr, b"oops\n", now, &mut out);
        assert_eq!(
            seen(&mut out),
            ["a: one\nb: x\na: two\na: \na: three\n", "a: oops\n"]
        );
    }

    #[test]
    fn a_line_without_an_end_is_shown_after_a_while_and_never_mixed() {
        let (mut form, mut out, now) = two();
        form.feed(0, To::Stdout, b"name? ", now, &mut out);
        assert!(out.is_empty());
        assert_eq!(form.deadline(), Some(now + PARTIAL_AFTER));
        form.tick(now + PARTIAL_AFTER, &mut out);
        assert_eq!(seen(&mut out)[0], "a: name? ");
        form.feed(0, To::Stdout, b"x\ny", now, &mut out);
        assert_eq!(
            seen(&mut out)[0],
            "x\n",
            "the same agent goes on where it stood"
        );
        form.tick(now + PARTIAL_AFTER, &mut out);
        form.feed(1, To::Stdout, b"z\n", now, &mut out);
        form.feed(0, To::Stdout, b"!\n", now, &mut out);
        assert_eq!(seen(&mut out)[0], "a: y\nb: z\na: !\n");
        assert_eq!(form.deadline(), None);
    }

    #[test]
    fn on_one_screen_stderr_ends_what_stdout_left_open() {
        let mut form = Prefixed::new(&["a", ""], [true; 2], true);
        let (mut out, now) = (Out::new(), Instant::now());
        form.feed(0, To::Stdout, b"50%", now, &mut out);
        form.tick(now + PARTIAL_AFTER, &mut out);
        form.feed(1, To::Stderr, b"bad\n", now, &mut out);
        assert_eq!(seen(&mut out), ["\x1b[36ma:\x1b[0m 50%\n", "bad\n"]);
    }

    #[test]
    fn the_end_ends_lines_and_long_ones_come_in_parts() {
        let (mut form, mut out, now) = two();
        form.feed(0, To::Stdout, &vec![b'x'; LONGEST_LINE + 1], now, &mut out);
        assert_eq!(seen(&mut out)[0].len(), 3 + LONGEST_LINE + 1);
        form.feed(1, To::Stdout, b"last", now, &mut out);
        form.finish(&[], 0, &mut out);
        assert_eq!(seen(&mut out)[0], "\nb: last\n");
    }
}
