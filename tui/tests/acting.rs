//! Whom a key acts on: always what is seen, and it is named.

mod world;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{Activity, AgentList, Role, Signal, State as CommandState};
use opsctl_tui::keys::Mode;
use opsctl_tui::state::{Answer, Effect, Focus, Input, Link, Message, State};
use world::*;

/// What somebody does, and how.
type Way = (&'static str, fn(&mut State));

/// The build's pane on the whole screen.
fn zoomed(cols: u16, rows: u16) -> State {
    let mut state = console(cols, rows);
    keys(&mut state, "\n\nz");
    assert!(state.panes.zoomed, "{}", text(&state));
    state
}

#[test]
fn no_way_out_of_a_zoomed_pane_ends_in_a_hidden_list() {
    let ways: [Way; 5] = [
        ("Esc", |state| {
            key(state, KeyCode::Esc);
        }),
        (":agents", |state| {
            keys(state, ":agents\n");
        }),
        ("another view and Esc", |state| {
            keys(state, "2");
            key(state, KeyCode::Esc);
            key(state, KeyCode::Esc);
        }),
        ("the log", |state| {
            keys(state, "4\n");
        }),
        ("Tab", |state| {
            key(state, KeyCode::Tab);
            key(state, KeyCode::Esc);
        }),
    ];
    for (cols, rows) in [(80, 24), (120, 40)] {
        for (way, go) in ways {
            let mut state = zoomed(cols, rows);
            go(&mut state);
            let in_list = matches!(state.mode(), Mode::Agents | Mode::Commands);
            assert_eq!(in_list, state.layout.list.is_some(), "{way}");
            assert!(way != "Esc" || in_list, "{way}: {}", text(&state));
        }
    }
}

#[test]
fn a_signal_names_whom_it_was_for() {
    let mut state = zoomed(120, 40);
    let effects = keys(&mut state, "x");
    assert!(
        matches!(effects[..], [Effect::Signal(command, Signal::Int)] if command == id(1)),
        "{effects:?}"
    );
    for (reached, told) in [
        (true, "INT sent to build-1: `cargo build --release`"),
        (
            false,
            "INT: it no longer runs: build-1: `cargo build --release`",
        ),
    ] {
        let answer = Answer::Signalled {
            signal: Signal::Int,
            command: id(1),
            reached,
        };
        state.message(Message::Answer(answer), NOW);
        assert!(text(&state).contains(told), "{}", text(&state));
    }
    keys(&mut state, "4");
    assert!(
        text(&state).contains("INT sent to build-1: `cargo build"),
        "{}",
        text(&state)
    );
}

/// Three agents, each with a command, all marked.
fn marked(cols: u16, rows: u16) -> State {
    let mut state = bare(cols, rows);
    let named = [("web-1", "make"), ("web-2", "sleep 9"), ("web-3", "top")];
    let agents = (1..).zip(named).map(|(number, (name, line))| {
        let command = command(number, name, line, CommandState::Running);
        doing(agent(name, &[], vec![command]), Activity::Working, None)
    });
    let agents = AgentList {
        agents: agents.collect(),
        more: false,
    };
    state.message(Message::Link(Link::Connected), NOW);
    state.message(Message::Connected(connected(Role::Admin)), NOW);
    state.message(Message::Agents(agents), NOW);
    key(&mut state, KeyCode::Home);
    keys(&mut state, "   ");
    state
}

#[test]
fn who_kills_or_runs_on_several_sees_all_of_them_first() {
    for (cols, rows) in [(40, 10), (80, 24), (120, 40)] {
        let mut state = marked(cols, rows);
        keys(&mut state, "K");
        let asked = text(&state);
        for named in [
            "web-1: `make`",
            "web-2: `sleep 9`",
            "web-3: `top`",
            "kill 3 commands? [y/N]",
        ] {
            assert!(asked.contains(named), "{named}: {asked}");
        }
        assert_eq!(keys(&mut state, "y").len(), 3);
        keys(&mut state, "rls\n");
        let asked = text(&state);
        let listed = asked.rsplit("where it runs").next().unwrap_or_default();
        for named in ["web-1", "web-2", "web-3", "run `ls` on 3 agents? [y/N]"] {
            assert!(listed.contains(named), "{named}: {asked}");
        }
    }
}

#[test]
fn more_than_fit_are_scrolled_to() {
    let mut state = marked(40, 5);
    keys(&mut state, "K");
    assert!(text(&state).contains("lines 1-2 of 3"), "{}", text(&state));
    keys(&mut state, "j");
    assert!(text(&state).contains("web-3: `top`"), "{}", text(&state));
}

#[test]
fn what_went_wrong_is_not_told_for_longer_than_it_lasts() {
    let mut state = zoomed(120, 40);
    keys(&mut state, "a");
    let at = |ms| Timestamp(NOW.0 + ms);
    let typed = |state: &mut State, now| {
        let event = KeyEvent::new(KeyCode::Char('l'), KeyModifiers::NONE);
        state.input(Input::Key(event), now);
        state.input(Input::Tick, now);
    };
    let lost = "\"ls\": was not sent";
    state.message(Message::Link(Link::Connecting { attempt: 1 }), NOW);
    state.message(Message::Error(lost.to_owned()), NOW);
    typed(&mut state, at(100));
    assert!(text(&state).contains(lost), "{}", text(&state));
    state.message(Message::Link(Link::Connected), at(500));
    assert!(text(&state).contains(lost), "it could not be read yet");
    state.input(Input::Tick, at(2000));
    assert!(!text(&state).contains(lost), "{}", text(&state));

    // What is heard of lost keys only afterwards stays until something was typed that went.
    state.message(Message::Error(lost.to_owned()), at(3000));
    state.input(Input::Tick, at(5500));
    assert!(text(&state).contains(lost), "{}", text(&state));
    typed(&mut state, at(5600));
    assert!(!text(&state).contains(lost), "{}", text(&state));
}

#[test]
fn the_title_counts_what_is_listed() {
    let mut state = marked(120, 40);
    let working = text(&state);
    let sign = working
        .split(" agents (3) ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let sign = sign.unwrap_or_default().replace('3', "1");
    assert!(sign.ends_with('1'), "{working}");
    keys(&mut state, "/web-2\n");
    let told = text(&state);
    assert!(
        told.contains(&format!("(1 of 3) /web-2 {sign}")),
        "{sign}: {told}"
    );
}

#[test]
fn the_way_into_the_panes_begins_at_the_one_just_opened() {
    let mut state = marked(160, 40);
    key(&mut state, KeyCode::Esc);
    key(&mut state, KeyCode::Home);
    keys(&mut state, "+j+");
    assert_eq!((state.panes.len(), state.focus), (2, Focus::List));
    key(&mut state, KeyCode::Tab);
    assert_eq!((state.panes.focused, state.focus), (1, Focus::Pane));
    key(&mut state, KeyCode::Tab);
    key(&mut state, KeyCode::Tab);
    assert_eq!((state.panes.focused, state.focus), (0, Focus::Pane));
}

#[test]
fn a_match_that_is_out_of_sight_is_no_longer_the_one_shown() {
    let mut state = console(120, 40);
    keys(&mut state, "\n\n");
    state.message(output(1, 0, &numbered(200)), NOW);
    keys(&mut state, "/17\n");
    keys(&mut state, "nnnnnnnnnnn");
    assert!(text(&state).contains("match 1/"), "{}", text(&state));
    keys(&mut state, "G");
    let told = text(&state);
    assert!(
        told.contains("match ") && !told.contains("match 1/"),
        "{told}"
    );
}
