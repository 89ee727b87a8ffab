//! A pane that is hidden and shown at random ends as one that was always shown.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use crossterm::event::KeyCode;
use opsctl_protocol::message::{
    AcceptedCommand, CommandAccepted, Payload, State as CommandState, TerminalSnapshot,
};
use opsctl_protocol::{AgentId, CommandId, OutputFrame, Timestamp};
use opsctl_terminal::Screen;
use opsctl_tui::export;
use opsctl_tui::state::hidden::From;
use opsctl_tui::state::older::Older;
use opsctl_tui::state::{Answer, Effect, Input, Message, State};
use proptest::prelude::*;
use world::{NOW, command, console, id, key, output, status};

/// The command whose pane is looked at, and the one that hides it.
const WATCHED: u8 = 1;
/// See above.
const OTHER: u8 = 2;

/// Bytes of a piece on the wire.
const PIECE: usize = 16 * 1024;

/// Long enough for a hidden pane to give its scrollback up.
const LATER_MS: u64 = 60_000;

/// A console with two panes side by side, and what the daemon has sent it.
struct Console {
    state: State,
    now: Timestamp,
    /// Sent and not taken yet.
    wire: VecDeque<Message>,
    /// How much of the output was sent; `None` while it isn't subscribed.
    sent: Option<usize>,
}

/// The daemon's side: all of the output, and its screen.
struct Daemon {
    log: Vec<u8>,
    screen: Screen,
    pty: bool,
}

impl Daemon {
    fn new(pty: bool) -> Self {
        Self {
            log: Vec::new(),
            screen: Screen::new(80, 24, 0),
            pty,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.log.extend_from_slice(bytes);
        if self.pty {
            self.screen.feed(bytes);
        }
    }

    fn frames(&self, from: usize) -> impl Iterator<Item = OutputFrame> {
        let starts = (from..self.log.len()).step_by(PIECE);
        starts.map(|at| {
            let end = self.log.len().min(at + PIECE);
            let Message::Output(frame) = output(WATCHED, at as u64, "") else {
                unreachable!("it is output");
            };
            OutputFrame {
                data: Bytes::copy_from_slice(&self.log[at..end]),
                ..frame
            }
        })
    }
}

impl Console {
    fn new(daemon: &Daemon) -> Self {
        let mut state = console(140, 40);
        for number in [WATCHED, OTHER] {
            let mut summary = command(number, "build-1", "make", CommandState::Running);
            summary.pty = daemon.pty;
            state.message(status(summary), NOW);
        }
        let agent_id = AgentId::new("build-1").unwrap();
        let commands = [WATCHED, OTHER].map(|number| AcceptedCommand {
            agent_id: agent_id.clone(),
            command_id: id(number),
        });
        let accepted = CommandAccepted {
            key: "k".to_owned(),
            commands: commands.into(),
            offline: Vec::new(),
        };
        state.message(Message::Answer(Answer::Accepted(accepted)), NOW);
        Self {
            state,
            now: NOW,
            wire: VecDeque::new(),
            sent: Some(0),
        }
    }

    /// The daemon sends what is new to who hears it.
    fn send(&mut self, daemon: &Daemon) {
        if let Some(sent) = self.sent {
            self.wire.extend(daemon.frames(sent).map(Message::Output));
            self.sent = Some(daemon.log.len());
        }
    }

    /// Takes so many messages.
    fn take(&mut self, count: usize, daemon: &mut Daemon) {
        for _ in 0..count {
            let Some(message) = self.wire.pop_front() else {
                return;
            };
            let outcome = self.state.message(message, self.now);
            self.perform(outcome.effects, daemon);
        }
    }

    fn zoom(&mut self, daemon: &mut Daemon) {
        let effects = key(&mut self.state, KeyCode::Char('z'));
        self.perform(effects, daemon);
    }

    fn wait(&mut self, daemon: &mut Daemon) {
        self.now = Timestamp(self.now.0 + LATER_MS);
        let outcome = self.state.input(Input::Tick, self.now);
        self.perform(outcome.effects, daemon);
    }

    /// What the connection does.
    fn perform(&mut self, effects: Vec<Effect>, daemon: &mut Daemon) {
        for effect in effects {
            let answer = match effect {
                Effect::Unsubscribe(pattern) => {
                    assert_eq!(pattern.as_str(), format!("command:{}", id(WATCHED)));
                    self.sent = None;
                    continue;
                }
                Effect::Resume { command, next } => self.resume(command, next, daemon),
                Effect::LoadOlder(older) => load(&older, daemon),
                _ => continue,
            };
            let outcome = self.state.message(Message::Answer(answer), self.now);
            self.perform(outcome.effects, daemon);
        }
    }

    fn resume(&mut self, command: CommandId, next: u64, daemon: &mut Daemon) -> Answer {
        let end = daemon.log.len();
        let from = From::after(next, end as u64, daemon.pty);
        match from {
            From::Offset(offset) => self.sent = Some(offset as usize),
            From::Screen => {
                self.wire.push_back(Message::Snapshot(TerminalSnapshot {
                    command_id: command,
                    agent_id: AgentId::new("build-1").unwrap(),
                    offset: end as u64,
                    cols: 80,
                    rows: 24,
                    data: Payload(daemon.screen.snapshot().into()),
                }));
                self.sent = Some(end);
            }
        }
        self.send(daemon);
        Answer::Resuming(command, from)
    }

    fn hides(&self) -> bool {
        self.state.panes.get(0).unwrap().is_hidden()
    }

    /// The screen, and all lines above it, with their looks.
    fn seen(&self) -> String {
        export::ansi(&self.state.panes.get(0).unwrap().screen)
    }
}

/// Reads older output from the log, as a connection of its own does.
fn load(older: &Older, daemon: &Daemon) -> Answer {
    let mut pane = older.pane();
    let mut begun = false;
    for frame in daemon.frames(older.from as usize) {
        if frame.offset < older.to {
            pane.output(&older.part(frame, &mut begun));
        }
    }
    Answer::Older(Arc::new(pane), Box::new(older.clone()))
}

#[derive(Debug, Clone)]
enum Step {
    /// The program writes so many lines of a kind, from this number on.
    Write(usize, usize),
    /// The other pane gets the whole screen, or gives it back.
    Zoom,
    /// So many messages are taken.
    Take(usize),
    /// Time passes.
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6_usize, 1..1500_usize).prop_map(|(kind, lines)| Step::Write(kind, lines)),
        1 => Just(Step::Write(1, 60_000)),
        4 => Just(Step::Zoom),
        4 => (1..20_usize).prop_map(Step::Take),
        2 => Just(Step::Wait),
    ]
}

/// Lines as programs write them; some draw over what is there, or leave a sequence unfinished.
fn lines(kind: usize, count: usize, number: usize) -> Vec<u8> {
    let line = |n: usize| match kind {
        0 => format!("{n} a plain line\r\n"),
        1 => format!(
            "\x1b[3{}m{n} {}\x1b[m of some length, coloured, 界 and e\u{301}\r\n",
            n % 8,
            "x".repeat(n % 90)
        ),
        2 => format!("{n}%\r"),
        3 => format!("\x1b[{};{}H{n}\x1b[K", n % 24 + 1, n % 80 + 1),
        4 => format!("\x1b[?1049h{n}\x1b[?1049l"),
        _ => format!("{n}\r\n\x1b[3"),
    };
    let text: String = (0..count).map(|n| line(number + n)).collect();
    text.into_bytes()
}

fn compare(pty: bool, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut daemon = Daemon::new(pty);
    let (mut shown, mut hidden) = (Console::new(&daemon), Console::new(&daemon));
    for (at, step) in steps.into_iter().enumerate() {
        match step {
            Step::Write(kind, count) => {
                // Through pipes come lines.
                let kind = if pty { kind } else { kind % 2 };
                daemon.write(&lines(kind, count, at * 100_000));
                shown.send(&daemon);
                shown.take(usize::MAX, &mut daemon);
                hidden.send(&daemon);
            }
            Step::Zoom => hidden.zoom(&mut daemon),
            Step::Take(count) => hidden.take(count, &mut daemon),
            Step::Wait => hidden.wait(&mut daemon),
        }
    }
    // Back to where a line can be read.
    daemon.write(b"\x1b[m\x1b[?1049l\r\nthe end\r\n");
    if hidden.hides() {
        hidden.zoom(&mut daemon);
    }
    for console in [&mut shown, &mut hidden] {
        console.send(&daemon);
        console.take(usize::MAX, &mut daemon);
        console.wait(&mut daemon);
    }
    let (shown, hidden) = (shown.seen(), hidden.seen());
    if shown != hidden {
        let differs = shown
            .lines()
            .zip(hidden.lines())
            .position(|(one, other)| one != other);
        let at = differs.unwrap_or_default();
        return Err(TestCaseError::fail(format!(
            "{} and {} lines, of {} bytes of output; line {at}:\n{:?}\n{:?}",
            shown.lines().count(),
            hidden.lines().count(),
            daemon.log.len(),
            shown.lines().nth(at),
            hidden.lines().nth(at),
        )));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_is_hidden_comes_back(steps in prop::collection::vec(step(), 1..16)) {
        compare(true, steps)?;
    }

    #[test]
    fn output_of_pipes_too(steps in prop::collection::vec(step(), 1..16)) {
        compare(false, steps)?;
    }
}

#[test]
fn what_is_kept_while_a_pane_rests_is_all_there_when_it_is_shown() {
    // Few lines before it rests, and more than it may keep then.
    let steps = vec![
        Step::Write(0, 31),
        Step::Take(1),
        Step::Zoom,
        Step::Write(1, 1212),
        Step::Take(17),
        Step::Wait,
    ];
    compare(false, steps.clone()).unwrap();
    compare(true, steps).unwrap();
}

#[test]
fn a_hidden_pane_keeps_little_and_then_nothing() {
    let mut daemon = Daemon::new(true);
    let mut console = Console::new(&daemon);
    daemon.write(&lines(1, 20_000, 0));
    console.send(&daemon);
    console.take(usize::MAX, &mut daemon);
    let bytes = |console: &Console| console.state.panes.get(0).unwrap().screen.history_bytes();
    let before = bytes(&console);
    assert!(before > 500_000, "{before}");
    console.zoom(&mut daemon);
    assert!(console.hides());
    assert_eq!(
        bytes(&console),
        before,
        "who comes back at once loads nothing"
    );
    assert!(console.state.next_change().is_some());
    console.wait(&mut daemon);
    assert!(bytes(&console) <= 256 * 1024, "{}", bytes(&console));
    daemon.write(&lines(1, 20_000, 20_000));
    console.send(&daemon);
    let screen = console.state.panes.get(0).unwrap().screen.generation();
    console.take(usize::MAX, &mut daemon);
    assert_eq!(console.sent, None, "its output stays with the daemon");
    let after = console.state.panes.get(0).unwrap().screen.generation();
    assert_eq!(after, screen, "nothing of it was parsed");
}
