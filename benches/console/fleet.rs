//! A fleet of 1,000 agents that is scrolled, filtered and changes.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use opsctl_tui::state::{Input, Message};

use crate::options::Options;
use crate::support::report::{Bar, Section, times};
use crate::support::samples::Samples;
use crate::world::{Cpu, NOW, World, agent};

const AGENTS: usize = 1000;

/// Of each kind of change.
const CHANGES: u32 = 500;

/// The time between two frames.
const FRAME: Duration = Duration::from_millis(16);

/// CPU time of a change and the frame that shows it.
pub fn measure(options: &Options) -> Section {
    let mut world = World::with_agents(AGENTS);
    world.draw();
    let count = options.extent.count(CHANGES);
    let scroll = changes(&mut world, count, |world, at| {
        // Down to the end and up again, by lines and by pages.
        let keys = [
            KeyCode::Down,
            KeyCode::PageDown,
            KeyCode::End,
            KeyCode::Up,
            KeyCode::Home,
        ];
        key(world, keys[at % keys.len()]);
    });
    let filter = changes(&mut world, count, |world, at| match at % 7 {
        0 => key(world, KeyCode::Char('/')),
        6 => key(world, KeyCode::Esc),
        typed => key(world, KeyCode::Char(char::from(b"agent-"[typed - 1]))),
    });
    let change = changes(&mut world, count, |world, at| {
        // An agent that goes or comes stands elsewhere in the list.
        let mut agent = agent(at * 7 % AGENTS);
        agent.status = if at % 2 == 0 {
            opsctl_protocol::message::Presence::Disconnected
        } else {
            opsctl_protocol::message::Presence::Connected
        };
        world.message(Message::Agent(agent));
    });
    let all = [&scroll, &filter, &change];
    Section {
        title: "The console: 1,000 agents",
        how: "In this process, in CPU time: a key or a message, and the frame that shows what came of it.",
        head: vec!["", "times", "median", "p99"],
        bars: vec![Bar::new(
            "all within a frame (16 ms) at p99",
            all.iter().all(|samples| samples.p99() < FRAME),
        )],
        rows: vec![
            times("scroll", &scroll),
            times("filter, for each key", &filter),
            times("an agent changes and is sorted in", &change),
        ],
        notes: Vec::new(),
        peers: Vec::new(),
    }
}

fn changes(world: &mut World, count: u32, change: impl Fn(&mut World, usize)) -> Samples {
    let times = (0..count as usize).map(|at| {
        let start = Cpu::start();
        change(world, at);
        world.draw();
        start.elapsed()
    });
    Samples::new(times.collect())
}

fn key(world: &mut World, code: KeyCode) {
    let key = KeyEvent::new(code, KeyModifiers::NONE);
    world.input(Input::Key(key), NOW);
}
