//! Typing into many terminals at once, and what asks before it is done.

mod world;

use crossterm::event::{KeyCode, KeyModifiers};
use opsctl_protocol::message::{Role, Signal, State as CommandState};
use opsctl_tui::state::{Effect, Input, Message, State};
use world::*;

/// Two running terminals in panes, of `build-1` and `web-1`.
fn two_panes(cols: u16, rows: u16) -> State {
    let mut state = console(cols, rows);
    let second = command(2, "web-1", "htop", CommandState::Running);
    let list = opsctl_protocol::message::AgentList {
        agents: vec![
            agent(
                "build-1",
                &[],
                vec![command(1, "build-1", "cargo build", CommandState::Running)],
            ),
            agent("web-1", &[], vec![second]),
        ],
        more: false,
    };
    state.message(Message::Connected(connected(Role::Admin)), NOW);
    state.message(Message::Agents(list), NOW);
    // Mark both, and open their terminals.
    key(&mut state, KeyCode::Home);
    keys(&mut state, "  +");
    assert_eq!(state.panes.len(), 2, "{}", text(&state));
    state
}

fn typed(effects: &[Effect]) -> Vec<(u8, String)> {
    let typed = effects.iter().filter_map(|effect| match effect {
        Effect::Input(command, bytes) => {
            Some((command.0[0], String::from_utf8_lossy(bytes).into_owned()))
        }
        _ => None,
    });
    let mut typed: Vec<_> = typed.collect();
    typed.sort();
    typed
}

fn mirroring(cols: u16, rows: u16) -> State {
    let mut state = two_panes(cols, rows);
    keys(&mut state, "M");
    let asked = text(&state);
    assert!(
        cols < 80 || asked.contains("type into 2 terminals at once: build-1, web-1? [y/N]"),
        "{asked}"
    );
    keys(&mut state, "y");
    assert!(state.attached);
    state
}

#[test]
fn what_is_typed_goes_to_all_in_the_form_that_each_asked_for() {
    let mut state = mirroring(120, 40);
    assert_eq!(
        typed(&keys(&mut state, "a")),
        [(1, "a".to_owned()), (2, "a".to_owned())]
    );
    state.message(output(2, 0, "\x1b[?1h\x1b[?2004h"), NOW);
    let up = typed(&key(&mut state, KeyCode::Up));
    assert_eq!(up, [(1, "\x1b[A".to_owned()), (2, "\x1bOA".to_owned())]);
    let pasted = state.input(Input::Paste("x".to_owned()), NOW).effects;
    assert_eq!(
        typed(&pasted),
        [(1, "x".to_owned()), (2, "\x1b[200~x\x1b[201~".to_owned())]
    );
}

#[test]
fn it_is_seen_everywhere_and_ends_with_the_key_that_leaves() {
    for (cols, rows) in [(40, 10), (80, 24), (120, 40)] {
        let mut state = mirroring(cols, rows);
        assert!(text(&state).contains("MIRRORED TO 2"), "{}", text(&state));
        insta::assert_snapshot!(format!("mirror_{cols}x{rows}"), text(&state));
        press(&mut state, KeyCode::Char(']'), KeyModifiers::CONTROL);
        assert!(state.mirrored.is_empty() && !text(&state).contains("MIRRORED"));
        keys(&mut state, "a");
        let effects = keys(&mut state, "x");
        assert_eq!(typed(&effects).len(), 1, "attached to one again");
    }
}

#[test]
fn who_no_longer_takes_it_is_named_and_the_others_still_do() {
    for (ends, agent, stays) in [(2, "web-1", 1), (1, "build-1", 2)] {
        let mut state = mirroring(120, 40);
        let ended = command(ends, agent, "htop", CommandState::Exited);
        state.message(status(ended), NOW);
        assert_eq!(typed(&keys(&mut state, "a")), [(stays, "a".to_owned())]);
        let named = format!("no longer typed to, its command ended: {agent}");
        assert!(text(&state).contains(&named), "{}", text(&state));
    }
}

#[test]
fn no_is_what_is_meant_unless_somebody_says_yes() {
    for answer in ["\n", "n", "q", "x"] {
        let mut state = two_panes(120, 40);
        keys(&mut state, "M");
        keys(&mut state, answer);
        assert!(!state.attached && state.mirrored.is_empty(), "{answer:?}");
        let kill = keys(&mut state, &format!("K{answer}"));
        assert!(kill.is_empty(), "{answer:?}: {kill:?}");
    }
    let mut state = two_panes(120, 40);
    let kill = keys(&mut state, "Ky");
    let killed = [1, 2].map(|number| Effect::Signal(id(number), Signal::Kill));
    assert_eq!(kill, killed);
}

#[test]
fn running_on_many_asks_first_and_on_one_does_not() {
    let mut state = two_panes(120, 40);
    let effects = keys(&mut state, ":send web-* -- reboot\n");
    assert!(
        matches!(effects[..], [Effect::Run { .. }]),
        "one agent: {effects:?}"
    );
    let effects = keys(&mut state, ":send * -- reboot\n");
    assert!(effects.is_empty(), "{effects:?}");
    assert!(
        text(&state).contains("run `reboot` on 2 agents? [y/N]"),
        "{}",
        text(&state)
    );
    assert!(keys(&mut state, "\n").is_empty());
    keys(&mut state, "rreboot\n");
    assert!(
        text(&state).contains("run `reboot` on 2 agents? [y/N]"),
        "{}",
        text(&state)
    );
    assert_eq!(keys(&mut state, "y").len(), 2);
}

#[test]
fn a_large_paste_goes_in_pieces_and_one_too_large_not_at_all() {
    let mut state = console(120, 40);
    keys(&mut state, "\n\na");
    assert!(state.attached, "{}", text(&state));
    let pieces = state.input(Input::Paste("x".repeat(100_000)), NOW).effects;
    let lengths: Vec<usize> = typed(&pieces).iter().map(|(_, text)| text.len()).collect();
    assert!(
        lengths.len() > 1 && lengths.iter().sum::<usize>() == 100_000,
        "{lengths:?}"
    );
    let refused = state.input(Input::Paste("x".repeat(3 << 20)), NOW).effects;
    assert!(refused.is_empty());
    assert!(text(&state).contains("opsctl send"), "{}", text(&state));
}
