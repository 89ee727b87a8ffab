//! What clicks and the wheel do outside of panes.

mod world;

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use opsctl_protocol::Timestamp;
use opsctl_protocol::message::State as CommandState;
use opsctl_tui::keys::Mode;
use opsctl_tui::state::{Effect, Focus, Input, Message, Overlay, State, View};
use world::*;

const PRESS: MouseEventKind = MouseEventKind::Down(MouseButton::Left);

fn mouse(state: &mut State, kind: MouseEventKind, at: (usize, usize), after: u64) -> Vec<Effect> {
    let event = MouseEvent {
        kind,
        column: u16::try_from(at.0).expect("a column"),
        row: u16::try_from(at.1).expect("a row"),
        modifiers: KeyModifiers::NONE,
    };
    let now = Timestamp(NOW.0 + after);
    state.input(Input::Mouse(event), now).effects
}

/// Where the screen shows a text first.
fn place(state: &State, wanted: &str) -> (usize, usize) {
    let screen = text(state);
    let found = screen.lines().enumerate().find_map(|(row, line)| {
        let (before, _) = line.split_once(wanted)?;
        Some((before.chars().count(), row))
    });
    found.unwrap_or_else(|| panic!("{wanted:?} is not shown:\n{screen}"))
}

fn click(state: &mut State, wanted: &str, after: u64) -> Vec<Effect> {
    let at = place(state, wanted);
    mouse(state, PRESS, at, after)
}

/// Two clicks on the same place; what the second does.
fn double_click(state: &mut State, wanted: &str, after: u64) -> Vec<Effect> {
    let at = place(state, wanted);
    mouse(state, PRESS, at, after);
    mouse(state, PRESS, at, after + 100)
}

/// A console with this many commands that have ended.
fn with_history(cols: u16, rows: u16, count: u8) -> State {
    let mut state = console(cols, rows);
    for number in 10..10 + count {
        let line = format!("job {number}");
        let ended = command(number, "web-1", &line, CommandState::Exited);
        state.message(status(ended), NOW);
    }
    state
}

#[test]
fn a_click_selects_an_agent_and_a_second_one_opens_it() {
    let mut state = console(120, 40);
    click(&mut state, "web-1", 0);
    assert_eq!(state.target_agent().unwrap().as_str(), "web-1");
    assert_eq!(state.mode(), Mode::Agents);
    // A click elsewhere, and the same row of another view, are no second one; nor is one after a key.
    let at = place(&state, "web-1");
    mouse(&mut state, PRESS, at, 0);
    keys(&mut state, "3");
    mouse(&mut state, PRESS, at, 10);
    assert_eq!(state.mode(), Mode::AllCommands);
    keys(&mut state, "1");
    mouse(&mut state, PRESS, at, 20);
    assert_eq!(state.mode(), Mode::Agents);
    // Long after, it is another first click.
    click(&mut state, "web-1", 5000);
    assert_eq!(state.mode(), Mode::Agents);
    double_click(&mut state, "build-1", 10_000);
    assert_eq!(state.mode(), Mode::Commands);
    click(&mut state, "● running   ", 20_000);
    assert_eq!(state.list.command, Some(id(1)));
    double_click(&mut state, "● running   ", 30_000);
    assert_eq!(state.panes.current().unwrap().command, id(1));
    assert_eq!(state.mode(), Mode::Pane);
    // A click in the list takes the focus back, and one on its title opens nothing.
    double_click(&mut state, "commands (", 40_000);
    assert_eq!((state.focus, state.mode()), (Focus::List, Mode::Commands));
}

#[test]
fn rows_of_every_view_are_selected_and_opened() {
    for (cols, rows) in [(60, 20), (80, 24), (200, 60)] {
        let mut state = with_history(cols, rows, 30);
        keys(&mut state, "3");
        for _ in 0..12 {
            key(&mut state, KeyCode::Down);
        }
        let screen = text(&state);
        let shown = |number: &u8| screen.contains(&format!("job {number}"));
        let numbers: Vec<u8> = (10..40).filter(shown).collect();
        assert!(numbers.len() > 5, "{screen}");
        for number in numbers {
            let mut state = with_history(cols, rows, 30);
            keys(&mut state, "3");
            for _ in 0..12 {
                key(&mut state, KeyCode::Down);
            }
            let wanted = format!("job {number}");
            let at = place(&state, &wanted);
            mouse(&mut state, PRESS, at, 0);
            assert_eq!(state.commands.selected, Some(id(number)), "{cols}x{rows}");
            // The list has moved below the pointer; the second click means the same row.
            mouse(&mut state, PRESS, at, 100);
            assert_eq!(state.panes.current().unwrap().command, id(number));
        }
    }
    let mut state = console(80, 24);
    for text in ["one", "two", "three"] {
        state.message(Message::Error(text.to_owned()), NOW);
    }
    keys(&mut state, "4");
    let newest = state.activity.listed()[0].number;
    click(&mut state, "  two", 0);
    assert_eq!(state.activity.selected, Some(newest - 1));
    // Below the last line is nothing.
    mouse(&mut state, PRESS, (5, 12), 1000);
    assert_eq!(state.activity.selected, Some(newest - 1));
}

#[test]
fn the_names_of_the_views_are_clicked() {
    let mut state = console(140, 40);
    for (name, view) in [
        ("Inbox", View::Inbox),
        ("Commands", View::Commands),
        ("Activity", View::Activity),
        ("Connections", View::Connections),
        ("Fleet", View::Fleet),
    ] {
        click(&mut state, name, 0);
        assert_eq!(state.view, view, "{name}");
    }
    click(&mut state, "connected", 0);
    assert_eq!(state.view, View::Fleet);
    let mut narrow = console(80, 24);
    mouse(&mut narrow, PRESS, (30, 0), 0);
    assert_eq!(narrow.view, View::Fleet);
}

#[test]
fn the_palette_and_the_help_take_the_mouse_and_questions_do_not() {
    let mut state = console(120, 40);
    let palette = |state: &mut State| press(state, KeyCode::Char('k'), KeyModifiers::CONTROL);
    palette(&mut state);
    keys(&mut state, "web-1");
    double_click(&mut state, "agent   web-1", 0);
    assert_eq!(state.target_agent().unwrap().as_str(), "web-1");
    assert!(state.overlay.is_none());
    palette(&mut state);
    let down = MouseEventKind::ScrollDown;
    mouse(&mut state, down, (60, 12), 1000);
    let selected = |state: &State| match &state.overlay {
        Some(Overlay::Palette(palette)) => Some(palette.selected),
        _ => None,
    };
    assert_eq!(selected(&state), Some(1));
    mouse(&mut state, PRESS, (2, 38), 2000);
    assert_eq!(selected(&state), None, "a click beside it closes it");
    keys(&mut state, "?");
    mouse(&mut state, down, (60, 12), 3000);
    assert!(matches!(state.overlay, Some(Overlay::Help(1..))));
    mouse(&mut state, PRESS, (60, 12), 4000);
    assert!(state.overlay.is_none());
    // What destroys is asked for, and only a key answers.
    click(&mut state, "build-1", 5000);
    keys(&mut state, "K");
    assert_eq!(state.mode(), Mode::Confirm, "{}", text(&state));
    for row in 0..40 {
        assert_eq!(mouse(&mut state, PRESS, (3, row), 6000), []);
    }
    assert_eq!(state.mode(), Mode::Confirm);
}

#[test]
fn the_wheel_goes_through_the_list_wherever_the_keys_go() {
    let mut state = console(120, 40);
    let at = place(&state, "build-1");
    keys(&mut state, "\n\n");
    assert_eq!(state.focus, Focus::Pane);
    key(&mut state, KeyCode::Esc);
    key(&mut state, KeyCode::Esc);
    key(&mut state, KeyCode::Tab);
    assert_eq!(state.focus, Focus::Pane);
    let before = state.list.agent.clone();
    mouse(&mut state, MouseEventKind::ScrollDown, at, 0);
    assert_ne!(state.list.agent, before);
    assert_eq!(state.focus, Focus::Pane);
}
