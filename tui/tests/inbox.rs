//! The view Inbox: what needs a person, and the screen of the selected one.
#![allow(clippy::unwrap_used, reason = "a test")]

mod world;

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use opsctl_protocol::message::State as CommandState;
use opsctl_protocol::message::{
    Activity, AgentList, Approval, Presence, Role, Signal, TerminalSnapshot,
};
use opsctl_protocol::{AgentId, Timestamp};
use opsctl_tui::keys::Mode;
use opsctl_tui::state::doing::Doing;
use opsctl_tui::state::{Effect, Input, Message, State};
use world::*;

fn inbox(cols: u16, rows: u16) -> State {
    let mut agents = one_of_each();
    // The two that finished: the one that waits longer comes first.
    agents[0].activity = opsctl_protocol::message::Activity::Done;
    agents[0].activity_since = Some(Timestamp(NOW.0 - 500_000));
    agents[1].commands[0].approval = Some(Approval {
        asked: "Bash command\nrm -rf build".to_owned(),
        approve: "1".to_owned(),
        deny: "\u{1b}".to_owned(),
    });
    let mut state = console(cols, rows);
    state.message(Message::Connected(connected(Role::Admin)), NOW);
    let more = false;
    state.message(Message::Agents(AgentList { agents, more }), NOW);
    state
}

/// The selection stays where it is until its terminal is heard.
fn rest(state: &mut State) -> Vec<Effect> {
    let due = state.next_change().unwrap();
    state.input(Input::Tick, due).effects
}

fn selected(state: &State) -> &str {
    state.inbox.selected.as_ref().map_or("", AgentId::as_str)
}

fn screen(number: u8, text: &str) -> Message {
    Message::Snapshot(TerminalSnapshot {
        agent_id: AgentId::new("coder-2").unwrap(),
        command_id: id(number),
        offset: 100,
        cols: 60,
        rows: 12,
        data: opsctl_protocol::message::Payload(bytes::Bytes::copy_from_slice(text.as_bytes())),
    })
}

#[test]
fn what_it_looks_like() {
    for (cols, rows) in [(40, 10), (80, 24), (120, 40), (200, 60)] {
        let mut state = inbox(cols, rows);
        keys(&mut state, "2");
        let text_of = "Bash command\r\n\r\n  rm -rf build\r\n\r\nDo you want to proceed?\r\n> 1. Yes\r\n  2. No";
        state.message(screen(2, text_of), NOW);
        insta::assert_snapshot!(format!("inbox_{cols}x{rows}"), text(&state));
    }
    for (cols, rows) in [(1, 1), (10, 3), (101, 4), (3, 40), (60, 8)] {
        let mut state = inbox(cols, rows);
        keys(&mut state, "2");
        text(&state);
        keys(&mut state, "xxxxx");
        text(&state);
    }
}

#[test]
fn what_is_urgent_comes_first_and_gives_way_to_the_next() {
    let mut state = inbox(120, 40);
    // The fleet's filter doesn't hide what needs a person.
    keys(&mut state, "/web\n2");
    let order: Vec<&str> = state.fleet.roster().inbox().map(AgentId::as_str).collect();
    assert_eq!(order, ["coder-2", "coder-4", "coder-1", "coder-3"]);
    assert_eq!(selected(&state), "coder-2");
    keys(&mut state, "jj");
    assert_eq!(selected(&state), "coder-1");
    keys(&mut state, "x");
    assert_eq!(selected(&state), "coder-3");
    keys(&mut state, "x");
    assert_eq!(selected(&state), "coder-4");
    // Somebody else answers: what is selected stays so.
    let mut answered = one_of_each().swap_remove(1);
    answered.activity = opsctl_protocol::message::Activity::Working;
    state.message(Message::Agent(answered), NOW);
    assert_eq!(selected(&state), "coder-4");
    keys(&mut state, "xx");
    assert_eq!(selected(&state), "");
    assert!(text(&state).contains("nothing needs you"));
}

#[test]
fn only_the_terminal_that_is_looked_at_is_heard() {
    let mut state = inbox(120, 40);
    let looked = keys(&mut state, "2");
    assert_eq!(heard(&looked), [format!("+command:{}", id(2))]);
    state.message(screen(2, "Do you want to proceed?"), NOW);
    assert!(text(&state).contains("Do you want to proceed?"));
    let asked = state.message(output(2, 100, "\x1b[6n"), NOW).effects;
    assert_eq!(asked, [], "who only looks answers no questions");
    let moved = keys(&mut state, "j");
    assert_eq!(heard(&moved), [format!("-command:{}", id(2))]);
    let rested = rest(&mut state);
    assert_eq!(heard(&rested), [format!("+command:{}", id(4))]);
    assert!(!text(&state).contains("Do you want to proceed?"));
    let left = keys(&mut state, "1");
    let preview = [format!("-command:{}", id(4)), format!("+command:{}", id(2))];
    assert_eq!(heard(&left), preview, "the fleet has a look of its own");
}

#[test]
fn it_is_acted_on_from_here() {
    let mut state = inbox(120, 40);
    keys(&mut state, "2");
    assert_eq!(keys(&mut state, "i"), [Effect::Signal(id(2), Signal::Int)]);
    // It is heard already: asked for anew, a screen that is still on its way would be taken for the answer.
    let opened = key(&mut state, KeyCode::Enter);
    assert_eq!(heard(&opened), [] as [String; 0]);
    assert_eq!(state.mode(), Mode::Pane);
    state.message(screen(2, "still on its way"), NOW);
    assert!(text(&state).contains("still on its way"));
    key(&mut state, KeyCode::Esc);
    assert_eq!(state.mode(), Mode::Inbox);
    // It has a pane now, whose screen is shown; nothing else is heard.
    let back = keys(&mut state, "jk");
    assert_eq!(heard(&back).last(), Some(&format!("-command:{}", id(4))));
    state.message(screen(2, "from the pane"), NOW);
    assert!(text(&state).contains("from the pane"));
    assert_eq!(heard(&keys(&mut state, "1")), [] as [String; 0]);
}

#[test]
fn the_mouse_points_at_what_is_seen() {
    for (cols, rows) in [(80, 24), (200, 60)] {
        let mut state = inbox(cols, rows);
        keys(&mut state, "2");
        let screen = text(&state);
        let row = screen
            .lines()
            .position(|line| line.contains("coder-4"))
            .unwrap();
        let press = MouseEvent {
            kind: MouseEventKind::Down(MouseButton::Left),
            column: 5,
            row: u16::try_from(row).unwrap(),
            modifiers: KeyModifiers::NONE,
        };
        state.input(Input::Mouse(press), NOW);
        assert_eq!(selected(&state), "coder-4", "at {cols}x{rows}");
        let heard_now = heard(&rest(&mut state));
        assert_eq!(heard_now.last(), Some(&format!("+command:{}", id(4))));
    }
}

#[test]
fn who_left_because_its_main_program_failed_waits_to_be_seen() {
    let mut state = console(120, 40);
    let running = command(9, "web-1", "build", CommandState::Running);
    let at_work = agent("web-1", &[], vec![running]);
    state.message(Message::Agent(at_work.clone()), NOW);
    // What was seen of it before is not this.
    state.fleet.see(&at_work.agent_id);
    let (_, connected) = state.fleet.counts();
    let mut gone = doing(at_work.clone(), Activity::Error, Some("exit 3"));
    gone.commands.clear();
    gone.status = Presence::Disconnected;
    let away = gone.clone();
    gone.failed = true;
    state.message(Message::Agent(gone), NOW);
    assert_eq!(state.fleet.counts().1, connected - 1);
    keys(&mut state, "2");
    let waits = |state: &State| state.fleet.roster().inbox().any(|a| a.as_str() == "web-1");
    assert!(waits(&state), "{}", text(&state));
    state.inbox.selected = Some(at_work.agent_id.clone());
    assert!(text(&state).contains("exit 3"), "{}", text(&state));
    keys(&mut state, "x");
    assert!(!waits(&state));
    assert_eq!(state.fleet.doing(&at_work.agent_id), Doing::Disconnected);
    // One that only lost its connection needs nobody.
    state.message(Message::Agent(at_work), NOW);
    state.message(Message::Agent(away), NOW);
    assert!(!waits(&state));
}
