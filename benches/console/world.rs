//! A console in this process, with panes or a fleet.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use opsctl_protocol::frame::Via;
use opsctl_protocol::message::{
    AcceptedCommand, AgentInfo, AgentList, CommandAccepted, CommandStatus, CommandSummary, Kind,
};
use opsctl_protocol::{AgentId, CommandId, OutputFrame, Timestamp};
use opsctl_tui::canvas::Canvas;
use opsctl_tui::state::{Answer, Input, Link, Message, Redraw, State};
use opsctl_tui::view::theme::palette::Palette;
use opsctl_tui::view::theme::{Depth, Theme};
use opsctl_tui::view::{self, Kept};
use ratatui::backend::CrosstermBackend;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::viewer::SIZE;

/// The time at which everything happens; nothing in it depends on the clock.
pub const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// The largest piece of output that the contract allows.
const PIECE: usize = 32 * 1024;

/// The CPU time of this thread from a moment on.
#[derive(Clone, Copy, Debug)]
pub struct Cpu(Duration);

impl Cpu {
    /// Now.
    pub fn start() -> Self {
        Self(Self::now())
    }

    /// What has been used since.
    pub fn elapsed(self) -> Duration {
        Self::now().saturating_sub(self.0)
    }

    fn now() -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

/// A console that draws into memory.
pub struct World {
    pub state: State,
    theme: Theme,
    kept: Kept,
    canvas: Canvas<CrosstermBackend<Counter>>,
    /// What the next frame has to show.
    changed: Redraw,
    written: Rc<Cell<usize>>,
    offsets: Vec<u64>,
}

fn id(number: usize) -> CommandId {
    CommandId([number as u8 + 1; 16])
}

impl World {
    /// A console with so many panes, shown all at once.
    pub fn with_panes(panes: usize) -> Self {
        let mut world = Self::new();
        let agent_id = AgentId::new("build-1").expect("a name of the contract");
        let ids = 0..panes;
        for number in ids.clone() {
            let summary = summary(id(number), &agent_id);
            let status = Message::Status(CommandStatus::of(&summary));
            world.state.message(status, NOW);
        }
        let commands = ids.map(|number| AcceptedCommand {
            agent_id: agent_id.clone(),
            command_id: id(number),
        });
        let accepted = CommandAccepted {
            key: "k".to_owned(),
            commands: commands.collect(),
            offline: Vec::new(),
        };
        let accepted = Message::Answer(Answer::Accepted(accepted));
        world.state.message(accepted, NOW);
        assert_eq!(world.state.panes.len(), panes, "every pane is open");
        world.offsets = vec![0; panes];
        world
    }

    /// A console that shows a fleet.
    pub fn with_agents(agents: usize) -> Self {
        let mut world = Self::new();
        let agents = (0..agents).map(agent).collect();
        let list = AgentList {
            agents,
            more: false,
        };
        world.state.message(Message::Agents(list), NOW);
        world
    }

    fn new() -> Self {
        let mut state = State::new(SIZE, NOW, "unix:/run/opsctl.sock".to_owned(), false);
        state.message(Message::Link(Link::Connected), NOW);
        let palette = Palette::named("dark").expect("a built-in theme");
        let written = Rc::new(Cell::new(0));
        let backend = CrosstermBackend::new(Counter(written.clone()));
        Self {
            state,
            theme: Theme::new(|role| palette.style(role), Depth::True, false),
            kept: Kept::default(),
            canvas: Canvas::new(backend, SIZE),
            changed: Redraw::Everything,
            written,
            offsets: Vec::new(),
        }
    }

    /// Gives a pane a piece of output.
    pub fn output(&mut self, pane: usize, data: Bytes) {
        self.output_at(pane, data, NOW);
    }

    /// Gives a pane a piece of output that was written at this time.
    pub fn output_at(&mut self, pane: usize, data: Bytes, time: Timestamp) {
        let offset = self.offsets[pane];
        self.offsets[pane] += data.len() as u64;
        let frame = OutputFrame {
            command_id: id(pane),
            kind: Kind::Output,
            via: Via::Command,
            seq: 1,
            offset,
            time,
            size: None,
            data,
        };
        self.message(Message::Output(frame));
    }

    /// Gives the reducer a message.
    pub fn message(&mut self, message: Message) {
        let outcome = self.state.message(message, NOW);
        self.changed = self.changed.max(outcome.redraw);
    }

    /// Gives the reducer what a person does.
    pub fn input(&mut self, input: Input, now: Timestamp) {
        let outcome = self.state.input(input, now);
        self.changed = self.changed.max(outcome.redraw);
    }

    /// Draws a frame; how many bytes the terminal gets.
    pub fn draw(&mut self) -> usize {
        let (state, theme, kept) = (&self.state, &self.theme, &mut self.kept);
        let changed = std::mem::take(&mut self.changed);
        self.canvas
            .draw(|frame| view::draw(state, theme, kept, changed, frame))
            .expect("a counter takes everything");
        self.written.replace(0)
    }
}

/// Counts what the terminal would get.
struct Counter(Rc<Cell<usize>>);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An agent of a fleet, by its number, as the daemon would tell of it.
pub fn agent(number: usize) -> AgentInfo {
    let name = format!("agent-{number:04}");
    let agent_id = AgentId::new(&name).expect("a name of the contract");
    let agent = json!({
        "agentId": name, "status": "connected", "since": NOW, "lastSeen": NOW,
        "labels": {"project": format!("project-{}", number % 20)},
        "commands": [summary(CommandId::random(), &agent_id)],
    });
    serde_json::from_value(agent).expect("the contract's form")
}

fn summary(command_id: CommandId, agent_id: &AgentId) -> CommandSummary {
    let summary = json!({
        "commandId": command_id, "agentId": agent_id, "shell": "make", "pty": true,
        "cols": SIZE.0, "rows": SIZE.1, "requestedBy": "uid:1000", "state": "running",
        "createdAt": NOW, "startedAt": NOW, "outputBytes": 0,
    });
    serde_json::from_value(summary).expect("the contract's form")
}

/// What a program prints, line by line.
pub type Line = fn(usize) -> String;

/// Pieces with such lines, some megabytes of them.
pub fn pieces(line: Line) -> Vec<Bytes> {
    let mut text = String::new();
    let mut number = 0;
    while text.len() < 8 << 20 {
        text.push_str(&line(number));
        number += 1;
    }
    let text = Bytes::from(text);
    let starts = (0..text.len()).step_by(PIECE);
    starts
        .map(|at| text.slice(at..text.len().min(at + PIECE)))
        .collect()
}
