//! The selected agent's terminal, looked at without a pane.
#![allow(clippy::unwrap_used, reason = "a test")]

mod world;

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use opsctl_protocol::message::{
    Activity, AgentList, Kind, Payload, State as CommandState, TerminalSnapshot,
};
use opsctl_protocol::{AgentId, Timestamp};
use opsctl_tui::keys::Mode;
use opsctl_tui::state::{Answer, Effect, Input, Message, State};
use world::*;

const LONG: &str =
    "a line of a terminal that is far wider than what shows it, and so on and on and on 1234567890";

fn fleet_of_coders(cols: u16, rows: u16) -> State {
    let mut state = console(cols, rows);
    let (agents, more) = (one_of_each(), false);
    state.message(Message::Agents(AgentList { agents, more }), NOW);
    state
}

/// Selects an agent on the way to another.
fn pass(state: &mut State, agent: &str) -> Vec<Effect> {
    state.list.agent = AgentId::new(agent).ok();
    state.input(Input::Tick, state.now).effects
}

/// Selects an agent and stays there.
fn select(state: &mut State, agent: &str) -> Vec<Effect> {
    let mut effects = pass(state, agent);
    let rested = later(state, 120);
    effects.extend(state.input(Input::Tick, rested).effects);
    effects
}

fn later(state: &State, ms: u64) -> Timestamp {
    Timestamp(state.now.0 + ms)
}

fn screen(number: u8, (cols, rows): (u16, u16), text: &str) -> Message {
    Message::Snapshot(TerminalSnapshot {
        agent_id: AgentId::new(format!("coder-{number}")).unwrap(),
        command_id: id(number),
        offset: 100,
        cols,
        rows,
        data: Payload(bytes::Bytes::copy_from_slice(text.as_bytes())),
    })
}

#[test]
fn what_it_looks_like() {
    for (cols, rows) in [(40, 10), (60, 24), (80, 24), (120, 40), (200, 60)] {
        let mut state = fleet_of_coders(cols, rows);
        select(&mut state, "coder-2");
        let lines: Vec<String> = (1..=30).map(|n| format!("{n:2} {LONG}\r\n")).collect();
        state.message(screen(2, (132, 40), &lines.concat()), NOW);
        insta::assert_snapshot!(format!("preview_{cols}x{rows}"), text(&state));
    }
    for (cols, rows) in [(1, 1), (10, 3), (79, 18), (101, 4), (3, 40), (60, 8)] {
        text(&fleet_of_coders(cols, rows));
    }
}

#[test]
fn it_keeps_the_last_lines_and_the_first_columns_and_resizes_nothing() {
    let mut state = fleet_of_coders(80, 24);
    select(&mut state, "coder-2");
    let lines: Vec<String> = (1..=30).map(|n| format!("{n:2} {LONG}\r\n")).collect();
    let told = state.message(screen(2, (132, 40), &lines.concat()), NOW);
    assert!(
        !told.effects.iter().any(Effect::changes),
        "{:?}",
        told.effects
    );
    let shown = text(&state);
    assert!(shown.contains("30 a line of a terminal"), "{shown}");
    assert!(!shown.contains("\n 1 a line"), "{shown}");
    assert!(shown.contains("132x40"), "{shown}");
    let asked = state.message(output(2, 100, "\x1b[6n"), NOW).effects;
    assert_eq!(asked, [], "who only looks answers no questions");
}

#[test]
fn lines_of_pipes_are_cut_and_not_folded() {
    let mut state = console(120, 40);
    let mut piped = command(9, "web-1", "tail -f log", CommandState::Running);
    piped.pty = false;
    state.message(status(piped), NOW);
    select(&mut state, "web-1");
    for number in 0..60_u64 {
        let line = format!("{number} {LONG}\n");
        let frame = opsctl_protocol::OutputFrame {
            command_id: id(9),
            kind: Kind::Output,
            via: opsctl_protocol::frame::Via::Command,
            seq: number,
            offset: number * 1000,
            time: NOW,
            size: None,
            data: bytes::Bytes::from(line),
        };
        state.message(Message::Output(frame), NOW);
    }
    let shown = text(&state);
    assert!(shown.contains("59 a line") && shown.contains("40 a line"));
    assert!(!shown.contains("1234567890"), "{shown}");
}

#[test]
fn only_where_the_selection_rests_is_heard() {
    let mut state = fleet_of_coders(120, 40);
    let at = later(&state, 1000);
    state.input(Input::Tick, at);
    let mut moved = Vec::new();
    for agent in ["coder-4", "coder-3", "coder-1", "coder-2"] {
        moved.extend(heard(&pass(&mut state, agent)));
    }
    // What is heard already is left at once; of the others, nobody asks on the way.
    let asked = moved.iter().filter(|heard| heard.starts_with('+'));
    assert!(asked.count() <= 1, "{moved:?}");
    let at = later(&state, 120);
    let rested = state.input(Input::Tick, at).effects;
    assert_eq!(heard(&rested).last(), Some(&format!("+command:{}", id(2))));
    // With a pane, nothing else is heard.
    let opened = keys(&mut state, "+");
    assert_eq!(heard(&opened), [] as [String; 0], "it goes on there");
    let at = later(&state, 1000);
    state.input(Input::Tick, at);
    assert_eq!(heard(&select(&mut state, "coder-4")), [] as [String; 0]);
}

#[test]
fn how_it_ended_is_asked_for_where_nobody_knows() {
    let mut state = console(120, 40);
    let mut done = agent("coder-9", &[], Vec::new());
    done = doing(done, Activity::Done, None);
    done.activity_command_id = Some(id(9));
    state.message(Message::Agent(done), NOW);
    let at = later(&state, 1000);
    state.input(Input::Tick, at);
    let asked = select(&mut state, "coder-9");
    assert!(
        matches!(asked.last(), Some(Effect::Query(query)) if query.selector.as_deref() == Some("coder-9")),
        "{asked:?}"
    );
    assert_eq!(select(&mut state, "coder-9"), [], "nobody asks twice");
    let ended = command(9, "coder-9", "make test", CommandState::Exited);
    let now = state.now;
    let told = state.message(Message::Answer(Answer::Commands(vec![ended])), now);
    assert_eq!(heard(&told.effects), [format!("+command:{}", id(9))]);
    assert!(text(&state).contains("make test"));
}

#[test]
fn the_mouse_opens_it() {
    let mut state = fleet_of_coders(120, 40);
    select(&mut state, "coder-2");
    let press = MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column: 100,
        row: 5,
        modifiers: KeyModifiers::NONE,
    };
    state.input(Input::Mouse(press), NOW);
    assert_eq!(state.mode(), Mode::Pane);
    assert_eq!(state.panes.current().map(|pane| pane.command), Some(id(2)));
    key(&mut state, KeyCode::Esc);
    assert_eq!(state.mode(), Mode::Agents);
}

#[test]
fn small_screens_have_the_list_alone() {
    for (cols, rows) in [(39, 9), (40, 10), (79, 17)] {
        let mut state = fleet_of_coders(cols, rows);
        select(&mut state, "coder-2");
        let shown = text(&state);
        assert!(
            shown.contains("coder-2") && !shown.contains("preview"),
            "{shown}"
        );
        assert!(!shown.contains("all keys"), "{shown}");
    }
}
