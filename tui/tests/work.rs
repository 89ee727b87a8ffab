//! Long work: how far it is, and how it is cancelled.

mod world;

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use opsctl_protocol::message::{Payload, TerminalSnapshot};
use opsctl_protocol::{AgentId, Timestamp};
use opsctl_tui::keys::Mode;
use opsctl_tui::state::older::Older;
use opsctl_tui::state::work::Job;
use opsctl_tui::state::{Answer, Effect, Focus, Input, Message, State};
use world::*;

/// Later than anything that is over in a blink.
const LATER: Timestamp = Timestamp(NOW.0 + 400);

/// A pane whose first lines have left it.
fn reading(lines: usize) -> State {
    let mut state = console(120, 24);
    keys(&mut state, "\n\n");
    state.message(output(1, 0, &numbered(lines)), NOW);
    state
}

fn later(state: &mut State, code: KeyCode) -> Vec<Effect> {
    let key = KeyEvent::new(code, KeyModifiers::NONE);
    state.input(Input::Key(key), LATER).effects
}

fn footer(state: &State) -> String {
    let text = text(state);
    text.lines().last().unwrap_or_default().trim().to_owned()
}

/// Scrolls to the oldest line: what is asked for.
fn oldest(state: &mut State) -> Older {
    let effects = key(state, KeyCode::Home);
    let mut older = effects.iter().filter_map(|effect| match effect {
        Effect::LoadOlder(older) => Some((**older).clone()),
        _ => None,
    });
    older.next().expect("older lines are asked for")
}

#[test]
fn an_export_says_how_far_it_is_and_is_cancelled() {
    let mut state = reading(100);
    let path = PathBuf::from("/tmp/all.cast");
    keys(&mut state, ":export cast /tmp/all.cast\n");
    assert!(!footer(&state).contains("writing"), "it may be over soon");
    assert_eq!(state.next_change(), Some(Timestamp(NOW.0 + 300)));
    let all = state.exports[0].progress.all;
    state.message(
        Message::Answer(Answer::Exporting(path.clone(), all / 2)),
        LATER,
    );
    assert_eq!(
        footer(&state),
        "writing /tmp/all.cast: 445 B of 890 B (50 %), Esc cancels"
    );
    let effects = later(&mut state, KeyCode::Esc);
    assert_eq!(effects, [Effect::Abandon(Job::Export(path.clone()))]);
    assert_eq!(state.focus, Focus::Pane, "the key has done its work");
    assert!(footer(&state).contains("/tmp/all.cast was not written"));
    // What was on its way already.
    let came = Answer::Exported(path, Ok("written".to_owned()));
    state.message(Message::Answer(came), LATER);
    assert!(!text(&state).contains("written to"));
    later(&mut state, KeyCode::Esc);
    assert_eq!(state.focus, Focus::List);
}

#[test]
fn an_export_of_lines_counts_lines_in_every_view() {
    let mut state = reading(100);
    keys(&mut state, ":export text /tmp/x\n");
    keys(&mut state, ":export ansi /tmp/y\n");
    keys(&mut state, "4");
    let (x, y) = (PathBuf::from("/tmp/x"), PathBuf::from("/tmp/y"));
    state.message(Message::Answer(Answer::Exporting(y.clone(), 50)), LATER);
    assert_eq!(
        footer(&state),
        "writing /tmp/y: 50 of 101 lines (49 %), Esc cancels"
    );
    assert_eq!(
        later(&mut state, KeyCode::Esc),
        [Effect::Abandon(Job::Export(y))]
    );
    assert_eq!(state.mode(), Mode::Activity);
    state.message(
        Message::Answer(Answer::Exported(x, Err("/tmp/x: it is full".to_owned()))),
        LATER,
    );
    assert!(state.exports.is_empty());
}

#[test]
fn no_file_is_written_twice_at_once_and_not_any_number() {
    let mut state = reading(100);
    keys(&mut state, ":export text /tmp/0\n");
    assert_eq!(keys(&mut state, ":export cast /tmp/0\n"), []);
    for number in 1..8 {
        keys(&mut state, &format!(":export text /tmp/{number}\n"));
    }
    assert_eq!(keys(&mut state, ":export text /tmp/8\n"), []);
    assert_eq!(state.exports.len(), 8);
}

#[test]
fn loading_older_lines_is_cancelled_until_they_are_scrolled_to_again() {
    let mut state = reading(20_000);
    let older = oldest(&mut state);
    let read = Answer::Loading(id(1), older.to / 2 + 1);
    state.message(Message::Answer(read), LATER);
    let said = footer(&state);
    assert!(
        said.starts_with("loading older lines: ") && said.ends_with("(50 %), Esc cancels"),
        "{said}"
    );
    let effects = later(&mut state, KeyCode::Esc);
    assert_eq!(effects, [Effect::Abandon(Job::Older(id(1)))]);
    assert_eq!(state.focus, Focus::Pane);
    let loading = |state: &State| state.panes.current().unwrap().past.loading.is_some();
    assert!(!loading(&state));
    // An answer that was on its way already.
    let before = state.panes.current().unwrap().screen.history();
    let mut read = older.pane();
    let Message::Output(frame) = output(1, 0, &numbered(20_000)) else {
        unreachable!()
    };
    read.output(&older.part(frame, &mut true));
    let answer = Answer::Older(std::sync::Arc::new(read), Box::new(older));
    state.message(Message::Answer(answer), LATER);
    assert_eq!(state.panes.current().unwrap().screen.history(), before);
    assert!(later(&mut state, KeyCode::Char('t')).is_empty());
    assert!(!loading(&state), "nobody has asked again");
    later(&mut state, KeyCode::Up);
    assert!(loading(&state));
}

/// What stood above a screen that came in place of a flood is loaded by itself; not for whoever has just cancelled that.
#[test]
fn what_was_cancelled_is_not_loaded_by_itself_either() {
    let mut state = console(120, 24);
    keys(&mut state, "\n\n");
    let snapshot = TerminalSnapshot {
        agent_id: AgentId::new("build-1").unwrap(),
        command_id: id(1),
        cols: 80,
        rows: 24,
        offset: 1_000_000,
        data: Payload("the end".into()),
    };
    state.message(Message::Snapshot(snapshot), NOW);
    state.message(output(1, 1_000_000, &numbered(100)), NOW);
    oldest(&mut state);
    let effects = later(&mut state, KeyCode::Esc);
    assert_eq!(effects, [Effect::Abandon(Job::Older(id(1)))]);
    let calm = Timestamp(NOW.0 + 60_000);
    let effects = state.input(Input::Tick, calm).effects;
    let loads = |effect: &Effect| matches!(effect, Effect::LoadOlder(_));
    assert!(!effects.iter().any(loads), "{effects:?}");
}

#[test]
fn a_console_that_keeps_still_names_the_work_only() {
    let mut state = reading(100);
    state.keep_still(true);
    keys(&mut state, ":export cast /tmp/all.cast\n");
    state.input(Input::Tick, LATER);
    assert_eq!(footer(&state), "writing /tmp/all.cast, Esc cancels");
}
