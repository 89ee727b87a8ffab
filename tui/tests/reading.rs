//! Reading a pane: search, copy mode, prompts, the mouse.

mod world;

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use opsctl_protocol::message::{Payload, State as CommandState, TerminalSnapshot};
use opsctl_protocol::{AgentId, Timestamp};
use opsctl_tui::export::Form;
use opsctl_tui::keys::Mode;
use opsctl_tui::layout::inner;
use opsctl_tui::state::older::Older;
use opsctl_tui::state::{Answer, Effect, Input, Message, State};
use world::*;

/// A pane with this output, focused.
fn reading(text: &str) -> State {
    let mut state = console(80, 24);
    keys(&mut state, "\n\n");
    state.message(output(1, 0, text), NOW);
    state
}

/// What the last line says.
fn footer(state: &State) -> String {
    text(state)
        .lines()
        .last()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn copied(effects: &[Effect]) -> Option<&str> {
    effects.iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text.as_str()),
        _ => None,
    })
}

fn click(state: &mut State, kind: MouseEventKind, line: u16, col: u16, after: u64) -> Vec<Effect> {
    click_holding(KeyModifiers::NONE, state, kind, (line, col), after)
}

/// The same while keys are held.
fn click_holding(
    modifiers: KeyModifiers,
    state: &mut State,
    kind: MouseEventKind,
    (line, col): (u16, u16),
    after: u64,
) -> Vec<Effect> {
    let view = inner(state.layout.panes[0].1);
    let event = MouseEvent {
        kind,
        column: view.x + col,
        row: view.y + line,
        modifiers,
    };
    let now = Timestamp(NOW.0 + after);
    state.input(Input::Mouse(event), now).effects
}

const DOWN: MouseEventKind = MouseEventKind::Down(MouseButton::Left);
const DRAG: MouseEventKind = MouseEventKind::Drag(MouseButton::Left);
const UP: MouseEventKind = MouseEventKind::Up(MouseButton::Left);

#[test]
fn a_drag_with_alt_or_ctrl_selects_a_block() {
    for held in [KeyModifiers::ALT, KeyModifiers::CONTROL] {
        let mut state = reading("one two\r\nsix ten\r\nmay day\r\n");
        let mut at = |kind, place| click_holding(held, &mut state, kind, place, 0);
        at(DOWN, (0, 4));
        at(DRAG, (2, 5));
        let effects = at(UP, (2, 5));
        assert_eq!(copied(&effects), Some("tw\nte\nda"));
    }
}

#[test]
fn a_search_goes_upwards_and_around() {
    let mut state = reading(&numbered(200));
    keys(&mut state, "/line 1?5\\b\n");
    let pane = state.panes.current().unwrap();
    let count = |state: &State| {
        state
            .panes
            .current()
            .unwrap()
            .search
            .as_ref()
            .unwrap()
            .count()
    };
    assert_eq!((count(&state).as_str(), pane.follows()), ("2/2", false));
    assert!(text(&state).contains("line 15\n"), "{}", text(&state));
    assert!(text(&state).contains("match 2/2"), "{}", text(&state));
    keys(&mut state, "n");
    assert_eq!(count(&state), "1/2");
    assert!(text(&state).contains("line 5\n"), "{}", text(&state));
    keys(&mut state, "n");
    assert_eq!(count(&state), "2/2");
    keys(&mut state, "N");
    assert_eq!(count(&state), "1/2");
    // Without capitals, case doesn't matter.
    keys(&mut state, "/");
    press(&mut state, KeyCode::Char('u'), KeyModifiers::CONTROL);
    keys(&mut state, "LINE\n");
    assert_eq!(count(&state), "0");
    assert!(footer(&state).contains("nothing matches LINE"));
    keys(&mut state, "/");
    press(&mut state, KeyCode::Char('u'), KeyModifiers::CONTROL);
    keys(&mut state, "(\n");
    assert!(
        footer(&state).contains("not a regular expression"),
        "{}",
        footer(&state)
    );
}

#[test]
fn what_the_terminal_wraps_is_found_and_copied_whole() {
    let long = format!("{}needle{}", "x".repeat(77), "y".repeat(20));
    let mut state = reading(&format!("{long}\r\nend\r\n"));
    keys(&mut state, "/needle\n");
    let search = state.panes.current().unwrap().search.as_ref().unwrap();
    assert_eq!(search.count(), "1/1");
    keys(&mut state, "v/\nVj");
    assert_eq!(copied(&keys(&mut state, "y")), Some(long.as_str()));
    assert_eq!(state.mode(), Mode::Pane);
}

#[test]
fn text_is_selected_by_keys() {
    let mut state = reading("one two/three four\r\nsecond line\r\nthird 界 line");
    keys(&mut state, "vg0wv");
    key(&mut state, KeyCode::End);
    assert_eq!(copied(&keys(&mut state, "y")), Some("two/three four"));
    keys(&mut state, "vgvj0");
    key(&mut state, KeyCode::Right);
    // From where the terminal's cursor is to the second column, in whichever order.
    assert!(copied(&keys(&mut state, "y")).is_some());
    keys(&mut state, "vg0");
    press(&mut state, KeyCode::Char('v'), KeyModifiers::CONTROL);
    keys(&mut state, "jjll");
    assert_eq!(copied(&keys(&mut state, "y")), Some("one\nsec\nthi"));
    keys(&mut state, "vgjV");
    assert_eq!(copied(&keys(&mut state, "\n")), Some("second line"));
    // Nothing selected: the line.
    keys(&mut state, "vg");
    assert_eq!(copied(&keys(&mut state, "y")), Some("one two/three four"));
    keys(&mut state, "v");
    key(&mut state, KeyCode::Esc);
    assert_eq!(state.mode(), Mode::Pane);
}

#[test]
fn output_does_not_move_what_is_being_selected() {
    let first = numbered(50);
    let mut state = reading(&first);
    keys(&mut state, "vkkV");
    state.message(output(1, first.len() as u64, &numbered(500)), NOW);
    assert!(text(&state).contains("500 new lines"), "{}", text(&state));
    assert_eq!(copied(&keys(&mut state, "y")), Some("line 48"));
    keys(&mut state, "G");
    assert!(state.panes.current().unwrap().follows());
}

#[test]
fn text_is_selected_by_the_mouse() {
    let mut state = reading("one two/three four\r\nsecond line\r\n");
    click(&mut state, DOWN, 0, 4, 0);
    click(&mut state, DRAG, 1, 5, 10);
    assert_eq!(
        copied(&click(&mut state, UP, 1, 5, 20)),
        Some("two/three four\nsecond")
    );
    // A double click takes a word, a third the line; a click alone takes nothing.
    click(&mut state, DOWN, 0, 6, 10_000);
    assert_eq!(copied(&click(&mut state, UP, 0, 6, 10_010)), None);
    click(&mut state, DOWN, 0, 6, 10_100);
    assert_eq!(
        copied(&click(&mut state, UP, 0, 6, 10_110)),
        Some("two/three")
    );
    click(&mut state, DOWN, 0, 6, 10_200);
    assert_eq!(
        copied(&click(&mut state, UP, 0, 6, 10_210)),
        Some("one two/three four")
    );
    keys(&mut state, "m");
    assert!(!state.mouse && footer(&state).contains("m takes it back"));
}

#[test]
fn the_wheel_scrolls_and_an_attached_program_gets_the_mouse() {
    let first = numbered(100);
    let mut state = reading(&first);
    click(&mut state, MouseEventKind::ScrollUp, 3, 3, 0);
    assert!(!state.panes.current().unwrap().follows());
    click(&mut state, MouseEventKind::ScrollDown, 3, 3, 0);
    assert!(state.panes.current().unwrap().follows());
    state.message(output(1, first.len() as u64, "\x1b[?1000h\x1b[?1006h"), NOW);
    assert_eq!(click(&mut state, DOWN, 2, 3, 0), [], "only watched");
    keys(&mut state, "a");
    // The view shows the last 21 of 24 rows.
    let expected = Effect::Input(id(1), "\x1b[<0;4;6M".into());
    assert_eq!(click(&mut state, DOWN, 2, 3, 0), [expected]);
}

#[test]
fn prompts_are_jumped_to() {
    let run = |n: usize| format!("\x1b]133;A\x07$ command {n}\r\n{}", numbered(30));
    let all = (0..5).map(run).collect::<Vec<_>>().concat();
    let mut state = reading(&all);
    // The mark may come in pieces.
    let cut = all.len() as u64;
    state.message(output(1, cut, "\x1b]13"), NOW);
    state.message(output(1, cut + 4, "3;A;k=i\x07$ last"), NOW);
    keys(&mut state, "{");
    keys(&mut state, "{");
    let shown = text(&state);
    assert!(shown.contains("$ command 3"), "{shown}");
    keys(&mut state, "}");
    assert!(text(&state).contains("$ command 4"), "{}", text(&state));
    let mut plain = reading("no marks");
    keys(&mut plain, "{");
    assert!(footer(&plain).contains("marks no prompts"));
}

#[test]
fn links_are_shown_and_copied() {
    let mut state = reading("see \x1b]8;;https://example.org/x\x1b\\here\x1b]8;;\x1b\\.");
    click(&mut state, DOWN, 0, 5, 0);
    assert!(
        footer(&state).contains("https://example.org/x"),
        "{}",
        footer(&state)
    );
    keys(&mut state, "vg0w");
    assert_eq!(
        copied(&keys(&mut state, "y")),
        Some("https://example.org/x")
    );
}

#[test]
fn what_is_held_is_edited_exported_and_forgotten() {
    let mut state = reading(&numbered(60));
    assert_eq!(
        keys(&mut state, "e"),
        [Effect::Edit(numbered(60).replace('\r', ""))]
    );
    let effects = keys(&mut state, ":export ansi /tmp/x\n");
    let [Effect::Write { path, lines, form }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(
        (path.to_str(), *form, lines.len()),
        (Some("/tmp/x"), Form::Ansi, 61)
    );
    let effects = keys(&mut state, ":export cast /tmp/y\n");
    assert!(matches!(&effects[..], [Effect::Record { command, .. }] if *command == id(1)));
    assert_eq!(Form::named("nonsense"), None);
    keys(&mut state, "c");
    assert_eq!(state.panes.current().unwrap().screen.history(), 0);
}

#[test]
fn selecting_says_so_in_the_title() {
    let mut state = reading("one two\r\n");
    assert!(!text(&state).contains("COPY"));
    keys(&mut state, "vgv");
    insta::assert_snapshot!("copying_80x24", text(&state));
    state.message(
        status(command(1, "build-1", "x", CommandState::Exited)),
        NOW,
    );
    assert!(text(&state).contains("COPY chars"));
}

/// The older output that is asked for.
fn asked(effects: &[Effect]) -> Option<Older> {
    effects.iter().find_map(|effect| match effect {
        Effect::LoadOlder(older) => Some((**older).clone()),
        _ => None,
    })
}

/// The answer to what is asked for, of output from the first byte on.
fn read(older: &Older, all: &str) -> Message {
    let Message::Output(frame) = output(1, 0, all) else {
        unreachable!("that is what it makes");
    };
    let mut pane = older.pane();
    pane.output(&older.part(frame, &mut false));
    Message::Answer(Answer::Older(Arc::new(pane), Box::new(older.clone())))
}

#[test]
fn older_lines_for_a_screen_that_was_replaced_are_left_out() {
    let mut state = console(80, 24);
    keys(&mut state, "\n\n");
    let all = numbered(3000);
    let replace = |state: &mut State, offset: u64, text: &'static str| {
        let snapshot = TerminalSnapshot {
            agent_id: AgentId::new("build-1").unwrap(),
            command_id: id(1),
            cols: 80,
            rows: 24,
            offset,
            data: Payload(text.into()),
        };
        state.message(Message::Snapshot(snapshot), NOW);
    };
    let asked_by = |state: &mut State, ms| {
        asked(&state.input(Input::Tick, Timestamp(NOW.0 + ms)).effects).unwrap()
    };
    // Too much has come at once, and goes on; then what is above the screen is asked for.
    let first = all.find("line 1000\r\n").unwrap();
    replace(&mut state, first as u64, "");
    state.message(output(1, first as u64, &all[first..]), NOW);
    let before = asked_by(&mut state, 10_000);
    assert!(before.until > 1000);
    // It is not there yet when another screen comes, at which there is nothing above.
    replace(&mut state, all.len() as u64, "the end");
    let anew = asked_by(&mut state, 20_000);
    assert_eq!(
        (anew.from, anew.to),
        (before.from, before.to),
        "the same output"
    );
    state.message(read(&before, &all), NOW);
    assert_eq!(state.panes.current().unwrap().screen.history(), 0);
    state.message(read(&anew, &all), NOW);
    assert!(state.panes.current().unwrap().screen.history() > 2900);
    assert!(text(&state).contains("the end"), "{}", text(&state));
}

#[test]
fn older_lines_are_loaded_where_those_that_are_held_end() {
    let mut state = console(80, 24);
    keys(&mut state, "\n\n");
    let all = numbered(3000);
    let held = all.find("line 2900\r\n").unwrap();
    // Who comes late gets a part only.
    let late = all[held..].to_owned();
    state.message(output(1, held as u64, &late), NOW);
    assert_eq!(asked(&key(&mut state, KeyCode::PageUp)), None);
    let older = asked(&key(&mut state, KeyCode::Home)).unwrap();
    assert_eq!((older.from, older.to), (0, all.len() as u64));
    assert!(
        text(&state).contains("LOADING older 0%"),
        "{}",
        text(&state)
    );
    assert_eq!(
        asked(&key(&mut state, KeyCode::Home)),
        None,
        "once is enough"
    );
    let top = text(&state);
    let mut pane = older.pane();
    let Message::Output(frame) = output(1, 0, &all) else {
        unreachable!("that is what it makes");
    };
    pane.output(&older.part(frame, &mut false));
    // Meanwhile more has come, and the view stays where it is.
    state.message(output(1, all.len() as u64, "more\r\n"), NOW);
    state.message(
        Message::Answer(Answer::Older(Arc::new(pane), Box::new(older))),
        NOW,
    );
    let shown = text(&state);
    assert!(
        shown.contains("line 2900\n") && !shown.contains("LOADING"),
        "{top}\n{shown}"
    );
    key(&mut state, KeyCode::Up);
    assert!(text(&state).contains("line 2899\n"), "{}", text(&state));
    assert_eq!(
        asked(&key(&mut state, KeyCode::Home)),
        None,
        "there is nothing before the start"
    );
    assert!(text(&state).contains("line 0\n"), "{}", text(&state));
    keys(&mut state, "G");
    assert!(text(&state).contains("more"), "{}", text(&state));
}

#[test]
fn a_line_whose_start_was_not_read_is_left_out() {
    let mut state = console(80, 24);
    keys(&mut state, "\n\n");
    state.message(output(1, 10_000_000, &numbered(100)), NOW);
    let mut older = asked(&key(&mut state, KeyCode::Home)).unwrap();
    (older.from, older.to) = (100, 120);
    let mut begun = false;
    let mut parts = Vec::new();
    for (offset, data) in [
        (100, "half"),
        (104, " line\r\nwhole\r\n"),
        (118, "more than asked"),
    ] {
        let Message::Output(frame) = output(1, offset, data) else {
            unreachable!("that is what it makes");
        };
        let part = older.part(frame, &mut begun);
        parts.push((part.offset, String::from_utf8(part.data.to_vec()).unwrap()));
    }
    let expected = [(104, ""), (111, "whole\r\n"), (118, "mo")];
    assert_eq!(
        parts,
        expected.map(|(offset, text)| (offset, text.to_owned()))
    );
}
