//! What the reducer does with keys and messages.

mod world;

use bytes::Bytes;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use opsctl_protocol::frame::Via;
use opsctl_protocol::message::{
    AcceptedCommand, AgentList, CommandAccepted, Kind, Payload, Program, Role, Signal,
    State as CommandState, Target, TerminalSnapshot,
};
use opsctl_protocol::{AgentId, OutputFrame, Timestamp};
use opsctl_tui::keys::Mode;
use opsctl_tui::layout::Layout;
use opsctl_tui::state::{Answer, Effect, Focus, Input, Link, Message, Redraw, State};
use proptest::prelude::*;
use ratatui::layout::Rect;
use world::*;

fn subscribed(effects: &[Effect]) -> Vec<String> {
    let channels = effects.iter().filter_map(|effect| match effect {
        Effect::Subscribe(subscribe) => Some(format!("+{}", subscribe.channel.as_str())),
        Effect::Unsubscribe(pattern) => Some(format!("-{}", pattern.as_str())),
        _ => None,
    });
    channels.collect()
}

#[test]
fn no_output_is_heard_at_first() {
    let state = bare(80, 24);
    let started = state.start();
    assert_eq!(subscribed(&started), ["+agent:*", "+system", "+task:*"]);
    let quiet = |effect: &Effect| matches!(effect, Effect::Subscribe(subscribe) if subscribe.no_output && !subscribe.lossless);
    assert!(started.iter().all(quiet));
}

#[test]
fn only_open_commands_are_subscribed() {
    let mut state = console(120, 40);
    let opened = keys(&mut state, "\n");
    assert_eq!(subscribed(&opened), [format!("+command:{}", id(1))]);
    state.message(
        status(command(2, "build-1", "ls", CommandState::Exited)),
        NOW,
    );
    key(&mut state, KeyCode::Up);
    let replaced = keys(&mut state, "\n");
    assert_eq!(
        subscribed(&replaced),
        [format!("-command:{}", id(1)), format!("+command:{}", id(2))]
    );
    let closed = keys(&mut state, "w");
    // What is selected is looked at in the place of the pane.
    assert_eq!(
        subscribed(&closed),
        [format!("-command:{}", id(2)), format!("+command:{}", id(2))]
    );
    assert_eq!(state.focus, Focus::List);
}

#[test]
fn a_command_runs_in_a_terminal_as_large_as_its_pane() {
    let mut state = console(120, 40);
    let effects = keys(&mut state, "rls -l\n");
    let run = |effect: &&Effect| matches!(effect, Effect::Run { .. });
    let effects: Vec<&Effect> = effects.iter().filter(run).collect();
    let inner = Layout::of(&state).inner(0);
    let agent = AgentId::new("build-1").unwrap();
    assert_eq!(
        effects,
        [&Effect::Run {
            target: Target::Agent(agent.clone()),
            program: Program::Shell("ls -l".to_owned()),
            size: inner,
        }]
    );
    let accepted = CommandAccepted {
        key: String::new(),
        commands: vec![AcceptedCommand {
            agent_id: agent,
            command_id: id(7),
        }],
        offline: Vec::new(),
    };
    // The status may come after the answer: then the pane waits for it.
    let effects = state
        .message(Message::Answer(Answer::Accepted(accepted)), NOW)
        .effects;
    assert!(matches!(&effects[..], [Effect::Query(_)]), "{effects:?}");
    let found = vec![command(7, "build-1", "ls -l", CommandState::Running)];
    let answer = Answer::Found {
        id: id(7).to_string(),
        commands: found,
    };
    let effects = state.message(Message::Answer(answer), NOW).effects;
    // The pane takes the place of the preview.
    let preview = format!("-command:{}", id(1));
    assert_eq!(
        subscribed(&effects),
        [preview, format!("+command:{}", id(7))]
    );
    assert_eq!(state.panes.current().unwrap().command, id(7));
}

#[test]
fn what_only_goes_to_the_program_draws_no_frame() {
    let mut state = console(80, 24);
    keys(&mut state, "\n\na");
    assert!(state.attached);
    let pressed = |code| Input::Key(KeyEvent::new(code, KeyModifiers::NONE));
    let typed = state.input(pressed(KeyCode::Char('x')), NOW);
    assert_eq!(typed.effects, [Effect::Input(id(1), "x".into())]);
    assert_eq!(typed.redraw, Redraw::Nothing, "its echo will be drawn");
    let pasted = state.input(Input::Paste("text".to_owned()), NOW);
    assert!(pasted.redraw == Redraw::Nothing && !pasted.effects.is_empty());
    // A console that was dimmed is bright again.
    state.input(Input::Focus(false), NOW);
    let bright = state.input(pressed(KeyCode::Char('y')), NOW);
    assert_eq!(bright.redraw, Redraw::Everything);
    let left = KeyEvent::new(KeyCode::Char(']'), KeyModifiers::CONTROL);
    let left = state.input(Input::Key(left), NOW);
    assert_eq!(left.redraw, Redraw::Everything);
    assert!(!state.attached);
}

#[test]
fn attached_every_key_goes_through_but_one() {
    let mut state = console(120, 40);
    keys(&mut state, "\n\n");
    let attached = keys(&mut state, "a");
    let (cols, rows) = Layout::of(&state).inner(0);
    assert_eq!(attached, [Effect::Resize(id(1), cols, rows)]);
    for (code, modifiers, bytes) in [
        (KeyCode::Char('c'), KeyModifiers::CONTROL, "\x03"),
        (KeyCode::Char('q'), KeyModifiers::NONE, "q"),
        (KeyCode::Char('z'), KeyModifiers::CONTROL, "\x1a"),
        (KeyCode::Esc, KeyModifiers::NONE, "\x1b"),
        (KeyCode::F(10), KeyModifiers::NONE, "\x1b[21~"),
        (KeyCode::Tab, KeyModifiers::NONE, "\t"),
    ] {
        let effects = press(&mut state, code, modifiers);
        assert_eq!(
            effects,
            [Effect::Input(id(1), Bytes::from(bytes))],
            "{code:?}"
        );
    }
    let resized = state.input(Input::Resize(200, 60), NOW).effects;
    let (cols, rows) = Layout::of(&state).inner(0);
    assert_eq!(resized, [Effect::Resize(id(1), cols, rows)]);
    assert_eq!(
        press(&mut state, KeyCode::Char('5'), KeyModifiers::CONTROL),
        []
    );
    assert_eq!(state.mode(), Mode::Pane);
}

#[test]
fn watching_never_resizes_and_never_answers() {
    let mut state = console(120, 40);
    keys(&mut state, "\n\n");
    let mut effects = state.input(Input::Resize(200, 60), NOW).effects;
    effects.extend(keys(&mut state, "zzg"));
    effects.extend(state.message(output(1, 0, "\x1b[c\x1b[6n"), NOW).effects);
    assert_eq!(effects, []);
    keys(&mut state, "a");
    // The terminal that the person is attached to answers what is asked from now on.
    let asked = state.message(output(1, 7, "\x1b[6n"), NOW).effects;
    assert_eq!(asked, [Effect::Input(id(1), Bytes::from("\x1b[1;1R"))]);
}

#[test]
fn questions_in_old_output_are_not_answered() {
    let mut state = console(120, 40);
    let opened = keys(&mut state, "a");
    assert_eq!(subscribed(&opened), [format!("+command:{}", id(1))]);
    assert_eq!(state.mode(), Mode::Attached);
    let replayed = state.message(output(1, 0, "\x1b[6n"), NOW).effects;
    assert_eq!(replayed, []);
    keys(&mut state, "x");
    let asked = state.message(output(1, 4, "\x1b[6n"), NOW).effects;
    assert_eq!(asked, [Effect::Input(id(1), Bytes::from("\x1b[1;1R"))]);
}

#[test]
fn interrupts_are_plain_and_kills_are_confirmed() {
    let mut state = console(120, 40);
    let interrupted = keys(&mut state, "x");
    assert_eq!(interrupted[..1], [Effect::Signal(id(1), Signal::Int)]);
    assert_eq!(
        keys(&mut state, "K\n"),
        [],
        "Enter means the default, which is no"
    );
    assert_eq!(
        keys(&mut state, "Ky"),
        [Effect::Signal(id(1), Signal::Kill)]
    );
}

#[test]
fn watchers_send_nothing() {
    let mut viewer = console(120, 40);
    viewer.message(Message::Connected(connected(Role::Viewer)), NOW);
    let mut apart = console(120, 40);
    apart.message(Message::Link(Link::Connecting { attempt: 1 }), NOW);
    let mut reader = State::new((120, 40), NOW, String::new(), true);
    reader.message(Message::Link(Link::Connected), NOW);
    reader.message(Message::Agents(fleet()), NOW);
    for state in [&mut viewer, &mut apart, &mut reader] {
        keys(state, "\n\n");
        assert_eq!(keys(state, "axKyrls\n:send * -- ls\n"), []);
        assert!(state.notice.as_ref().is_some_and(|notice| notice.is_error));
    }
}

#[test]
fn the_end_of_a_command_detaches() {
    let mut state = console(120, 40);
    keys(&mut state, "\n\na");
    assert_eq!(state.mode(), Mode::Attached);
    state.message(
        status(command(1, "build-1", "cargo build", CommandState::Exited)),
        NOW,
    );
    assert_eq!(state.mode(), Mode::Pane);
    assert_eq!(keys(&mut state, "a"), []);
    assert_eq!(state.mode(), Mode::Pane);
}

#[test]
fn output_is_taken_once_and_in_place() {
    let mut state = console(120, 40);
    keys(&mut state, "\n\n");
    state.message(output(1, 0, "one two"), NOW);
    state.message(output(1, 4, "two three"), NOW);
    let pane = state.panes.current().unwrap();
    assert_eq!(pane.screen.text(), "one two three");
    let snapshot = TerminalSnapshot {
        agent_id: AgentId::new("build-1").unwrap(),
        command_id: id(1),
        offset: 100,
        cols: 20,
        rows: 5,
        data: Payload(Bytes::from("a screen")),
    };
    state.message(Message::Snapshot(snapshot), NOW);
    state.message(output(1, 90, "0123456789 and more"), NOW);
    let pane = state.panes.current().unwrap();
    assert_eq!(pane.screen.text(), "a screen and more");
    assert_eq!(pane.screen.size(), (20, 5));
}

#[test]
fn pipes_get_carriage_returns_and_colours() {
    let mut state = console(120, 40);
    let mut summary = command(5, "web-1", "make", CommandState::Running);
    summary.pty = false;
    state.message(status(summary), NOW);
    keys(&mut state, &format!(":logs {}\n", id(5).short()));
    let piece = |offset, kind, text: &'static str| {
        Message::Output(OutputFrame {
            command_id: id(5),
            kind,
            via: Via::Command,
            seq: 1,
            offset,
            time: NOW,
            size: None,
            data: Bytes::from(text),
        })
    };
    state.message(piece(0, Kind::Output, "a\nb\r"), NOW);
    state.message(piece(4, Kind::Output, "\n"), NOW);
    state.message(piece(5, Kind::Error, "bad\n"), NOW);
    let pane = state.panes.current().unwrap();
    assert_eq!(pane.screen.text(), "a\nb\nbad");
    let row = pane.screen.row(2).unwrap();
    assert_eq!(
        row.cell(0).unwrap().fg(),
        opsctl_terminal::Color::Indexed(1)
    );
    // Its width is that of the view.
    assert_eq!(pane.screen.size(), Layout::of(&state).inner(0));
}

#[test]
fn scrolling_up_pauses_and_the_end_follows() {
    let mut state = console(120, 40);
    keys(&mut state, "\n\n");
    let lines = numbered(200);
    let length = lines.len() as u64;
    state.message(output(1, 0, &lines), NOW);
    let size = Layout::of(&state).inner(0);
    key(&mut state, KeyCode::Up);
    let before = state.panes.current().unwrap();
    let top = before.screen.row(before.window(size).line).unwrap().text();
    state.message(output(1, length, &lines), NOW);
    let pane = state.panes.current().unwrap();
    assert_eq!(pane.lines_since(), 200);
    assert_eq!(
        pane.screen.row(pane.window(size).line).unwrap().text(),
        top,
        "the view stays"
    );
    key(&mut state, KeyCode::Home);
    let pane = state.panes.current().unwrap();
    assert_eq!(
        pane.screen.row(pane.window(size).line).unwrap().text(),
        "line 0"
    );
    keys(&mut state, "G");
    assert!(state.panes.current().unwrap().follows());
}

#[test]
fn a_list_in_parts_replaces_the_fleet_when_it_is_whole() {
    let mut state = console(120, 40);
    state.message(Message::Connected(connected(Role::Admin)), NOW);
    let mut first = fleet();
    let rest = first.agents.split_off(2);
    first.more = true;
    state.message(Message::Agents(first), NOW);
    assert_eq!(state.fleet.counts().0, 4);
    state.message(
        Message::Agents(AgentList {
            agents: rest[..1].to_vec(),
            more: false,
        }),
        NOW,
    );
    assert_eq!(state.fleet.counts().0, 3);
}

#[test]
fn a_later_list_says_only_what_was_missed() {
    let mut state = console(120, 40);
    let one = AgentList {
        agents: vec![agent("web-9", &[], Vec::new())],
        more: false,
    };
    state.message(Message::Agents(one), NOW);
    assert_eq!(state.fleet.counts().0, 5);
}

#[test]
fn a_forgotten_agent_leaves_the_list() {
    let mut state = console(120, 40);
    let gone = state.list.agent.clone().unwrap();
    state.message(Message::Forgotten(gone.clone()), NOW);
    assert_eq!(state.fleet.counts().0, 3);
    assert!(state.list.agent.is_some_and(|selected| selected != gone));
}

#[test]
fn the_filter_works_while_it_is_typed() {
    let mut state = console(120, 40);
    keys(&mut state, "/env=prod");
    let groups = state.fleet.roster().groups().iter();
    let shown = groups.flat_map(|group| group.agents().map(AgentId::as_str));
    assert_eq!(shown.collect::<Vec<_>>(), ["db-1", "web-1"]);
    assert_eq!(state.list.agent.as_ref().unwrap().as_str(), "db-1");
    key(&mut state, KeyCode::Esc);
    assert_eq!(state.list.filter, "");
}

#[test]
fn nothing_ticks_unless_something_visible_changes() {
    let quiet = |cols, rows| {
        let mut state = console(cols, rows);
        state.message(Message::Connected(connected(Role::Admin)), NOW);
        let only_connected = AgentList {
            agents: vec![agent("web-1", &[], Vec::new())],
            more: false,
        };
        state.message(Message::Agents(only_connected), NOW);
        state
    };
    assert_eq!(quiet(40, 10).next_change(), None);
    let mut state = quiet(120, 40);
    // Where there is room, it says for how long it has been connected.
    assert_eq!(state.next_change(), Some(Timestamp(NOW.0 + 60_000)));
    let until = Timestamp(NOW.0 + 2500);
    state.message(
        Message::Link(Link::Waiting {
            attempt: 1,
            until,
            reason: String::new(),
        }),
        NOW,
    );
    assert_eq!(state.next_change(), Some(Timestamp(NOW.0 + 500)));
    state.message(Message::Agents(fleet()), NOW);
    state.message(Message::Link(Link::Connected), NOW);
    // An agent that is offline for five minutes and a half reads otherwise in half a minute.
    assert_eq!(state.next_change(), Some(Timestamp(NOW.0 + 30_000)));
}

#[derive(Debug, Clone)]
enum Step {
    Key(KeyCode, KeyModifiers),
    Paste(String),
    Size(u16, u16),
    Mouse(MouseEvent),
    Focus(bool),
    Later(u64),
    Say(Box<Message>),
}

/// Any key of the table, as often as those that type text.
fn bound_key() -> impl Strategy<Value = (KeyCode, KeyModifiers)> {
    let keys = opsctl_tui::keys::TABLE.iter().flat_map(|row| row.keys);
    let keys: Vec<_> = keys.map(|key| (key.0, key.1)).collect();
    prop::sample::select(keys)
}

fn mouse() -> impl Strategy<Value = MouseEvent> {
    let kinds = vec![
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::Up(MouseButton::Left),
        MouseEventKind::Drag(MouseButton::Left),
        MouseEventKind::Down(MouseButton::Right),
        MouseEventKind::ScrollUp,
        MouseEventKind::ScrollDown,
        MouseEventKind::ScrollLeft,
    ];
    let place = (0u16..240, 0u16..80);
    (prop::sample::select(kinds), place).prop_map(|(kind, (column, row))| MouseEvent {
        kind,
        column,
        row,
        modifiers: KeyModifiers::NONE,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let code = prop_oneof![
        8 => prop::sample::select("\n\njkhlotzgw+ rxKa:/RGq?0yn1234eé ls-bNi".chars().collect::<Vec<_>>())
            .prop_map(|c| if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) }),
        4 => prop::sample::select(vec![
            KeyCode::Tab, KeyCode::BackTab, KeyCode::Esc, KeyCode::Up, KeyCode::Down, KeyCode::Left, KeyCode::Right,
            KeyCode::PageUp, KeyCode::PageDown, KeyCode::Home, KeyCode::End, KeyCode::Backspace, KeyCode::Delete,
        ]),
    ];
    let modifiers = prop::sample::select(vec![
        KeyModifiers::NONE,
        KeyModifiers::NONE,
        KeyModifiers::NONE,
        KeyModifiers::CONTROL,
    ]);
    prop_oneof![
        10 => (code, modifiers).prop_map(|(code, modifiers)| Step::Key(code, modifiers)),
        8 => bound_key().prop_map(|(code, modifiers)| Step::Key(code, modifiers)),
        3 => mouse().prop_map(Step::Mouse),
        1 => any::<bool>().prop_map(Step::Focus),
        1 => (0u64..100_000).prop_map(Step::Later),
        1 => "[a-z\n\u{1b}é]{0,12}".prop_map(Step::Paste),
        2 => (0u16..230, 0u16..70).prop_map(|(cols, rows)| Step::Size(cols, rows)),
        6 => message().prop_map(|message| Step::Say(Box::new(message))),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let states = vec![
        CommandState::Queued,
        CommandState::Running,
        CommandState::Running,
        CommandState::Exited,
        CommandState::Lost,
    ];
    let names = prop::sample::select(vec!["build-1", "web-1", "opus-1"]);
    prop_oneof![
        (1u8..12, names, prop::sample::select(states), any::<bool>()).prop_map(
            |(number, agent, state, pty)| {
                let mut summary = command(number, agent, "ls", state);
                summary.pty = pty;
                status(summary)
            }
        ),
        (1u8..12, 0u64..200, "[a-z \r\n\u{1b}\\[0-9;Hm界]{0,60}")
            .prop_map(|(number, offset, text)| output(number, offset, &text)),
        Just(Message::Agents(fleet())),
        Just(Message::Agents(AgentList::default())),
        Just(Message::Link(Link::Connected)),
        Just(Message::Link(Link::Connecting { attempt: 9 })),
        (1u8..12).prop_map(|number| {
            let commands = vec![command(number, "web-1", "ls", CommandState::Running)];
            Message::Answer(Answer::Found {
                id: id(number).to_string(),
                commands,
            })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_console_holds(steps in prop::collection::vec(step(), 1..60), only_watches: bool) {
        let mut state = console(120, 40);
        state.read_only = only_watches;
        let mut now = NOW;
        for step in steps {
            let before = state.attached;
            let outcome = match step.clone() {
                Step::Key(code, modifiers) => state.input(Input::Key(KeyEvent::new(code, modifiers)), NOW),
                Step::Paste(text) => state.input(Input::Paste(text), NOW),
                Step::Mouse(event) => state.input(Input::Mouse(event), NOW),
                Step::Focus(focused) => state.input(Input::Focus(focused), NOW),
                Step::Later(by) => {
                    now = Timestamp(now.0 + by);
                    state.input(Input::Tick, now)
                }
                Step::Size(cols, rows) => state.input(Input::Resize(cols, rows), NOW),
                Step::Say(message) => state.message(*message, NOW),
            };
            prop_assert!(state.panes.is_empty() || state.panes.focused < state.panes.len());
            prop_assert!(state.focus == Focus::List || !state.panes.is_empty());
            let screen = Rect::new(0, 0, state.size.0, state.size.1);
            let layout = &state.layout;
            let parts = layout.panes.iter().map(|(_, rect)| *rect);
            let parts = parts.chain([layout.header, layout.footer]).chain(layout.list).chain(layout.room);
            for part in parts.chain(layout.blank) {
                prop_assert!(part.is_empty() || part.intersection(screen) == part, "{part:?} at {screen:?}");
            }
            for effect in &outcome.effects {
                prop_assert!(!only_watches || !effect.changes(), "{effect:?} after {step:?}");
                let typed = matches!(effect, Effect::Input(..) | Effect::Resize(..));
                prop_assert!(!typed || state.attached || before, "{effect:?} after {step:?}");
            }
            if let Some(agent) = &state.list.agent {
                let listed = state.list.commands || state.fleet.roster().cursor(agent).is_some();
                prop_assert!(listed, "{agent} is selected and not listed");
            }
            draw(&state, &sixteen());
        }
    }
}

#[test]
fn an_error_stays_until_it_could_be_read() {
    let mut state = console(80, 24);
    let told = |state: &State| state.notice.as_ref().map(|notice| notice.text.clone());
    for text in ["first", "second"] {
        state.message(Message::Error(text.to_owned()), NOW);
    }
    state.message(Message::News("third".to_owned()), NOW);
    let mut seen = Vec::new();
    let mut now = NOW;
    while let Some(text) = told(&state) {
        if seen.last() != Some(&text) {
            seen.push(text);
        }
        now = Timestamp(state.next_change().unwrap().0.max(now.0 + 1));
        state.input(Input::Tick, now);
        assert!(now.0 < NOW.0 + 60_000, "it ends");
    }
    assert_eq!(seen, ["first", "second", "third"]);
}

#[test]
fn a_connection_that_comes_back_takes_its_trouble_away_and_no_news() {
    let mut state = console(80, 24);
    let told = |state: &State| state.notice.as_ref().map(|notice| notice.text.clone());
    let come_back = |state: &mut State, now| {
        state.message(Message::Link(Link::Connecting { attempt: 1 }), now);
        state.message(Message::Link(Link::Connected), now);
    };
    state.message(Message::News("written".to_owned()), NOW);
    come_back(&mut state, NOW);
    assert_eq!(told(&state).as_deref(), Some("written"));
    let later = Timestamp(NOW.0 + 3000);
    state.message(Message::Error("not sent".to_owned()), NOW);
    come_back(&mut state, later);
    assert_eq!(told(&state), None);
}
