//! What the console looks like, at the sizes that people have.

mod world;

use crossterm::event::KeyCode;
use opsctl_protocol::message::{
    AgentConnection, AgentList, ConnectionInfo, ConnectionList, Role, State as CommandState,
    Traffic,
};
use opsctl_protocol::{AgentId, Timestamp};
use opsctl_tui::state::{Answer, Effect, Input, Link, Message, State};
use opsctl_tui::view::Theme;
use ratatui::style::Color;
use world::*;

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 60)];

/// Takes a snapshot at every size, and makes sure that the smallest doesn't panic.
fn everywhere(name: &str, make: impl Fn(u16, u16) -> State) {
    for (cols, rows) in SIZES {
        insta::assert_snapshot!(format!("{name}_{cols}x{rows}"), text(&make(cols, rows)));
    }
    for (cols, rows) in [(10, 5), (10, 2), (1, 1), (2, 40), (300, 3)] {
        text(&make(cols, rows));
    }
}

/// The build's pane open and focused.
fn with_pane(cols: u16, rows: u16) -> State {
    let mut state = console(cols, rows);
    keys(&mut state, "\n\n");
    state.message(
        output(
            1,
            0,
            "\x1b[1;32m   Compiling\x1b[0m opsctl 表示 e\u{301}\r\n\x1b[31merror\x1b[0m: no\r\n",
        ),
        NOW,
    );
    state
}

#[test]
fn the_fleet() {
    everywhere("fleet", console);
}

#[test]
fn a_pane() {
    everywhere("pane", with_pane);
}

#[test]
fn a_grid() {
    everywhere("grid", |cols, rows| {
        let mut state = with_pane(cols, rows);
        for (number, line) in [(2, "htop"), (3, "tail -f log"), (4, "make")] {
            state.message(
                status(command(number, "build-1", line, CommandState::Running)),
                NOW,
            );
            state.message(
                status(command(number, "build-1", line, CommandState::Exited)),
                NOW,
            );
        }
        key(&mut state, KeyCode::Esc);
        for _ in 0..3 {
            key(&mut state, KeyCode::Up);
            keys(&mut state, "+");
        }
        state.message(output(3, 0, "one line\r\n"), NOW);
        state
    });
}

#[test]
fn no_agents_yet() {
    everywhere("empty", |cols, rows| {
        let mut state = console(cols, rows);
        state.message(Message::Connected(connected(Role::Admin)), NOW);
        state.message(Message::Agents(AgentList::default()), NOW);
        state
    });
}

#[test]
fn trouble_with_the_connection() {
    everywhere("reconnecting", |cols, rows| {
        let mut state = with_pane(cols, rows);
        let reason = "no daemon answers at unix:/run/opsctl.sock".to_owned();
        let until = Timestamp(NOW.0 + 4000);
        state.message(
            Message::Link(Link::Waiting {
                attempt: 5,
                until,
                reason,
            }),
            NOW,
        );
        state
    });
}

#[test]
fn nobody_there_and_nothing_known() {
    let reason = "no daemon answers at unix:/run/opsctl.sock".to_owned();
    let mut state = bare(80, 24);
    let until = Timestamp(NOW.0 + 4000);
    state.message(
        Message::Link(Link::Waiting {
            attempt: 1,
            until,
            reason,
        }),
        NOW,
    );
    insta::assert_snapshot!("nobody_80x24", text(&state));
    let message = "the token has run out".to_owned();
    state.message(Message::Link(Link::Refused { message }), NOW);
    insta::assert_snapshot!("refused_80x24", text(&state));
}

fn traffic(messages_per_second: u64, bytes_per_second: u64) -> Traffic {
    Traffic {
        messages_per_second,
        bytes_per_second,
        ..Traffic::default()
    }
}

#[test]
fn the_connections() {
    everywhere("connections", |cols, rows| {
        let mut state = console(cols, rows);
        let asked = keys(&mut state, "5");
        assert!(
            asked
                .iter()
                .any(|effect| matches!(effect, Effect::Connections(_)))
        );
        let connection = |id: &str, client: &str, channels: &[&str]| ConnectionInfo {
            client_id: id.to_owned(),
            client: client.to_owned(),
            subject: "uid:0".to_owned(),
            role: Role::Admin,
            since: Timestamp(NOW.0 - 300_000),
            channels: channels
                .iter()
                .map(|channel| (*channel).to_owned())
                .collect(),
            subscriptions: channels.len() as u32,
            address: "unix".to_owned(),
            received: traffic(1, 120),
            sent: traffic(410, 1_500_000),
        };
        let agent = |id: &str, address: &str, latency_ms, sent| AgentConnection {
            agent_id: AgentId::new(id).unwrap(),
            client_id: "c3".to_owned(),
            since: Timestamp(NOW.0 - 7_200_000),
            address: address.to_owned(),
            latency_ms,
            received: traffic(12, sent),
            sent: Traffic::default(),
        };
        let connections = vec![
            connection("c1", "tui", &["agent:*", "system", "task:*"]),
            connection(
                "c7",
                "attach",
                &["command:01010101010101010101010101010101"],
            ),
        ];
        let list = ConnectionList {
            connections,
            agents: vec![
                agent("web-1", "192.0.2.7:51234", Some(3), 2048),
                agent("web-2", "[2001:db8::17]:40000", None, 900),
                agent("db-1", "198.51.100.200:65000", Some(140), 4096),
            ],
            more: false,
        };
        state.message(Message::Answer(Answer::Connections(list)), NOW);
        // By latency.
        keys(&mut state, "s");
        state
    });
}

#[test]
fn the_help() {
    everywhere("help", |cols, rows| {
        let mut state = console(cols, rows);
        keys(&mut state, "?");
        state
    });
}

#[test]
fn the_help_cuts_nothing() {
    for cols in [40, 80, 120] {
        let mut state = console(cols, 600);
        keys(&mut state, "?");
        let shown = text(&state);
        let lines = shown.lines().map(|line| line.trim_matches(['│', ' ']));
        let flowing: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        let flowing = flowing.join(" ");
        for (binding, _) in state.keys.rows() {
            assert!(
                flowing.contains(binding.help),
                "{cols}: {}\n{shown}",
                binding.help
            );
        }
    }
}

#[test]
fn lines_and_questions() {
    let mut state = with_pane(80, 24);
    keys(&mut state, "K");
    insta::assert_snapshot!("kill_80x24", text(&state));
    keys(&mut state, "n:send web");
    insta::assert_snapshot!("command_line_80x24", text(&state));
}

#[test]
fn a_paused_pane_counts_what_came() {
    let mut state = with_pane(80, 24);
    let lines = numbered(100);
    let length = lines.len() as u64;
    state.message(output(1, 1000, &lines), NOW);
    key(&mut state, KeyCode::PageUp);
    state.message(output(1, 1000 + length, "more\r\nand more\r\n"), NOW);
    insta::assert_snapshot!("paused_80x24", text(&state));
}

#[test]
fn an_attached_pane_says_how_to_leave() {
    for (cols, rows) in SIZES {
        let mut state = with_pane(cols, rows);
        keys(&mut state, "a");
        let text = text(&state);
        assert!(text.contains("Ctrl-]"), "at {cols}x{rows}:\n{text}");
    }
}

#[test]
fn the_connection_is_always_seen() {
    for (cols, rows) in SIZES {
        let mut state = with_pane(cols, rows);
        for overlay in ["", "z", ":run"] {
            keys(&mut state, overlay);
            assert!(
                text(&state).contains("● connected"),
                "at {cols}x{rows} after {overlay:?}"
            );
        }
    }
}

#[test]
fn no_color_means_none() {
    for mut state in [console(120, 40), with_pane(120, 40)] {
        keys(&mut state, "?");
        let buffer = draw(&state, &Theme::plain());
        for cell in &buffer.content {
            assert_eq!(
                (cell.fg, cell.bg),
                (Color::Reset, Color::Reset),
                "{}",
                cell.symbol()
            );
        }
    }
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let mut state = console(120, 40);
    let evil = command(
        9,
        "web-1",
        "echo \x1b]0;owned\x07 \u{9b}31m",
        CommandState::Running,
    );
    state.message(status(evil.clone()), NOW);
    state.message(Message::Answer(Answer::Commands(vec![evil])), NOW);
    state.list.agent = Some(AgentId::new("web-1").unwrap());
    keys(&mut state, "\n\n");
    let buffer = draw(&state, &sixteen());
    assert!(
        buffer
            .content
            .iter()
            .all(|cell| !cell.symbol().chars().any(char::is_control))
    );
    assert!(text(&state).contains("echo"));
}

#[test]
fn those_who_may_only_watch_are_told() {
    let mut state = console(120, 40);
    state.message(Message::Connected(connected(Role::Viewer)), NOW);
    assert!(text(&state).contains("watching only"));
    keys(&mut state, "r");
    assert!(text(&state).contains("your role may only watch"));
}

#[test]
fn the_help_is_one_wide_column_unless_two_have_room_and_says_that_there_is_more() {
    let mut state = console(120, 40);
    keys(&mut state, "?");
    assert!(text(&state).contains(" ↓ more "), "{}", text(&state));
    key(&mut state, KeyCode::End);
    let end = text(&state);
    assert!(end.contains(" ↑ more ") && end.contains(":quit"), "{end}");
    let told = end.lines().find(|line| line.contains(":quit"));
    let told = told.map_or(0, |line| line.split_whitespace().count());
    assert!(told > 3, "with what it does: {end}");
    key(&mut state, KeyCode::Up);
    assert!(text(&state).contains(" ↑↓ more "));
    key(&mut state, KeyCode::Home);
    assert!(text(&state).contains(" ↓ more "));
}

#[test]
fn esc_takes_the_filter_away_and_the_list_says_so() {
    let mut state = console(120, 40);
    keys(&mut state, " /nowhere\n");
    assert!(text(&state).contains("nothing fits the filter; Esc"));
    key(&mut state, KeyCode::Esc);
    assert_eq!(
        (state.list.filter.as_str(), state.list.marks.len()),
        ("", 1)
    );
    assert!(text(&state).contains("build-1"));
    key(&mut state, KeyCode::Esc);
    assert!(state.list.marks.is_empty());
    // In an agent's commands too; only then it leads back.
    keys(&mut state, "\n/nothing\n");
    assert!(text(&state).contains("nothing fits the filter; Esc"));
    key(&mut state, KeyCode::Esc);
    assert!(state.list.commands && state.list.command_filter.is_empty());
    key(&mut state, KeyCode::Esc);
    assert!(!state.list.commands);
    // Where there is no agent, no filter hides one.
    keys(&mut state, "/nowhere\n");
    state.message(Message::Connected(connected(Role::Admin)), NOW);
    state.message(Message::Agents(AgentList::default()), NOW);
    assert!(text(&state).contains("no agents yet"));
}

#[test]
fn a_narrow_title_keeps_the_name_and_where_keys_go() {
    let mut state = with_pane(120, 40);
    keys(&mut state, "/not there\n");
    assert!(text(&state).contains("nothing matches not there"));
    assert!(!text(&state).contains("match 0"), "{}", text(&state));
    keys(&mut state, "/error\nG");
    keys(&mut state, "ta");
    for cols in [40, 60, 80, 120] {
        state.input(Input::Resize(cols, 24), NOW);
        let shown = text(&state);
        let title = shown.lines().find(|line| line.contains("ATTACHED"));
        let title = title.unwrap_or_else(|| panic!("{cols}: {shown}"));
        assert!(title.trim_end().ends_with("build-1"), "{shown}");
        assert!(title.contains("●"), "{shown}");
    }
}

#[test]
fn without_a_connection_the_fleet_is_told_as_it_was() {
    let later = Timestamp(NOW.0 + 12_000);
    let waiting = Link::Waiting {
        attempt: 1,
        until: Timestamp(later.0 + 30_000),
        reason: "no daemon answers".to_owned(),
    };
    let mut state = console(120, 40);
    assert!(text(&state).contains("4 agents, 3 connected"));
    state.message(Message::Link(waiting.clone()), NOW);
    state.message(Message::Link(waiting), later);
    let bar = |state: &State| text(state).lines().next().unwrap_or_default().to_owned();
    let wide = bar(&state);
    assert!(
        wide.contains("4 agents, 12 s ago") || wide.contains("4 agents, as of 12 s ago"),
        "{wide}"
    );
    state.input(Input::Resize(40, 10), later);
    assert!(bar(&state).ends_with("⚡ reconnecting in 30 s"));
    state.message(Message::Link(Link::Connected), later);
    assert!(bar(&state).contains("connected"));
}
