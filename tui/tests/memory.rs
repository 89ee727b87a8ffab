//! What a console remembers until its next start.
#![allow(clippy::unwrap_used, reason = "a test")]

mod world;

use crossterm::event::{KeyCode, KeyModifiers};
use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{Activity, AgentInfo, AgentList, Role, State as CommandState};
use opsctl_tui::state::doing::Doing;
use opsctl_tui::state::look::Look;
use opsctl_tui::state::memory::Remembered;
use opsctl_tui::state::{Answer, Effect, Input, Link, Message, State};
use world::*;

fn agents() -> Vec<AgentInfo> {
    let mut done = agent("coder-1", &[("project", "shop")], Vec::new());
    done.activity = Activity::Done;
    done.activity_since = Some(NOW);
    vec![done, agent("coder-2", &[("project", "opsctl")], Vec::new())]
}

fn connect(state: &mut State, agents: Vec<AgentInfo>) -> Vec<Effect> {
    state.message(Message::Link(Link::Connected), NOW);
    state.message(Message::Connected(connected(Role::Admin)), NOW);
    let more = false;
    state
        .message(Message::Agents(AgentList { agents, more }), NOW)
        .effects
}

/// What is to be kept once the console has been left alone for a while.
fn kept(state: &mut State) -> Option<Remembered> {
    let later = Timestamp(state.now.0 + 10_000);
    let effects = state.input(Input::Tick, later).effects;
    effects.into_iter().find_map(|effect| match effect {
        Effect::Remember(remembered) => Some(*remembered),
        _ => None,
    })
}

fn query(effects: &[Effect]) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::Query(query) => query.id_prefix.clone(),
        _ => None,
    })
}

fn found(state: &mut State, number: u8, there: bool) -> Vec<Effect> {
    let commands = if there {
        vec![command(number, "coder-1", "make", CommandState::Running)]
    } else {
        Vec::new()
    };
    let id = id(number).to_string();
    state
        .message(Message::Answer(Answer::Found { id, commands }), NOW)
        .effects
}

#[test]
fn a_new_start_is_as_the_last_end() {
    let mut state = bare(120, 40);
    connect(&mut state, agents());
    keys(&mut state, ":group project\n/coder\n");
    state.list.agent = Some(agents()[0].agent_id.clone());
    keys(&mut state, "s h");
    for number in [1, 2, 3] {
        state.message(
            status(command(number, "coder-1", "make", CommandState::Running)),
            NOW,
        );
        keys(&mut state, &format!(":logs {}\n", id(number)));
        key(&mut state, KeyCode::Esc);
        if number < 3 {
            keys(&mut state, "g");
        }
    }
    let remembered = kept(&mut state).unwrap();
    assert_eq!(kept(&mut state), None, "nothing is kept twice");
    let text = serde_json::to_string(&remembered).unwrap();

    let mut next = bare(120, 40);
    next.recall(serde_json::from_str(&text).unwrap());
    assert_eq!(next.remember(), None, "an early end forgets nothing");
    let mut effects = connect(&mut next, agents());
    assert_eq!(
        next.fleet.doing(&agents()[0].agent_id),
        Doing::Idle,
        "it was seen"
    );
    for command in &remembered.panes {
        assert_eq!(next.remember(), None, "what isn't open yet isn't forgotten");
        assert_eq!(query(&effects), Some(command.to_string()));
        effects = found(&mut next, command.0[0], true);
    }
    assert_eq!(query(&effects), None);
    assert_eq!(kept(&mut next), None, "it is as it was");
    assert_eq!(next.remember(), None);
    assert_eq!(next.list.filter, "coder");
    assert_eq!(next.list.marks, state.list.marks);
    assert!(
        next.fleet
            .roster()
            .groups()
            .iter()
            .any(|group| group.folded)
    );
    assert_eq!(
        (next.panes.len(), next.panes.grid),
        (state.panes.len(), state.panes.grid)
    );
}

#[test]
fn what_is_gone_is_left_out() {
    let mut next = bare(120, 40);
    next.recall(Remembered {
        marks: vec![
            agents()[0].agent_id.clone(),
            agent("gone", &[], Vec::new()).agent_id,
        ],
        panes: vec![id(1), id(2)],
        focused: 1,
        zoomed: true,
        ..Remembered::default()
    });
    connect(&mut next, agents());
    found(&mut next, 1, false);
    found(&mut next, 2, true);
    assert_eq!(next.panes.len(), 1);
    assert_eq!(next.panes.focused, 0);
    assert!(next.notice.is_none(), "{:?}", next.notice);
    assert_eq!(next.list.marks.len(), 1);
}

#[test]
fn watching_alone_keeps_nothing() {
    // Where no ages are shown, which change by themselves.
    let mut state = bare(40, 10);
    connect(&mut state, Vec::new());
    state.message(Message::Agent(agent("coder-1", &[], Vec::new())), NOW);
    assert_eq!(state.next_change(), None);
}

/// The theme that is to be shown.
fn theme(effects: &[Effect]) -> &str {
    let mut names = effects.iter().filter_map(|effect| match effect {
        Effect::Theme(name) => Some(name.as_str()),
        _ => None,
    });
    names.next().unwrap_or_default()
}

fn with_themes(setting: &str, asked: bool) -> State {
    let mut state = console(80, 24);
    state.look = Look {
        names: ["auto", "dark", "light"].map(str::to_owned).to_vec(),
        setting: setting.to_owned(),
        shown: setting.to_owned(),
        asked,
        colours: true,
    };
    state
}

#[test]
fn a_theme_that_was_chosen_lasts_until_the_setting_changes() {
    let mut state = with_themes("auto", false);
    assert_eq!(theme(&keys(&mut state, "T")), "dark");
    state.message(Message::Themed("light".to_owned()), NOW);
    assert!(text(&state).contains("theme: light"));
    assert_eq!(theme(&keys(&mut state, "T")), "auto");
    let remembered = kept(&mut state).unwrap();
    for (setting, asked, shown) in [
        ("auto", false, "light"),
        ("dark", false, "dark"),
        ("auto", true, "auto"),
    ] {
        let mut next = with_themes(setting, asked);
        next.recall(remembered.clone());
        assert_eq!(next.look.shown, shown, "{setting} {asked}");
    }
    // Back at the setting's own, nothing is remembered that a later setting would have to fight.
    state.message(Message::Themed("auto".to_owned()), NOW);
    assert_eq!(kept(&mut state).unwrap().theme, None);
}

#[test]
fn themes_are_found_in_the_palette_and_by_the_command_line() {
    let mut state = with_themes("auto", false);
    press(&mut state, KeyCode::Char('k'), KeyModifiers::CONTROL);
    let chosen = keys(&mut state, "theme li\n");
    assert_eq!(theme(&chosen), "light");
    let named = keys(&mut state, ":theme mine\n");
    assert_eq!(theme(&named), "mine");
}
